// SPDX-License-Identifier: BSD-2-Clause
/* The sockets of a process, as /proc shows them: proc_pid_fd(5), proc_pid_net(5). */
#ifndef VJ_CLI_PROC_SOCKS_H
#define VJ_CLI_PROC_SOCKS_H

#include "base/addr.h"
#include "base/types.h"

struct proc_sock {
	int fd;
	uint64_t ino;
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP; 0: another, or neither bound nor connected */
	bool listens;
	bool other; /* Unix, netlink, of packets: never on a channel */
	struct endpoint local, remote; /* port 0: none */
};

struct proc_socks {
	struct proc_sock *socks; /* by fd; to free() */
	size_t cnt;
};

/* Return: 0; -ESRCH; -EACCES: another user's; -ENOMEM. */
int proc_socks_read(int32_t pid, struct proc_socks *ret);

/* Has a lower descriptor the same socket? */
bool proc_socks_is_copy(const struct proc_socks *socks, const struct proc_sock *s);

/* Is the descriptor a socket of MPTCP, which /proc/net lists as its first TCP one? */
bool proc_sock_is_mptcp(int32_t pid, int fd);

/* Has it mapped a file of this name? Return: 1, 0; -EACCES, -ESRCH. */
int proc_has_mapped(int32_t pid, const char *name);

/* Has it a thread of this name? */
bool proc_has_thread(int32_t pid, const char *name);

/*
 * A variable of the environment that it was started with.
 * Return: false: it has none, or one that has no room in @ret_value, or it is another user's
 */
bool proc_variable(int32_t pid, const char *name, char *ret_value, size_t room);

/* Is only its exit status left of it, a zombie? Also of a thread */
bool proc_has_ended(int32_t pid);

/* /proc shows nothing of a process whose first thread has ended by pthread_exit(), but by the number of another one. Return: such a one; @pid: it needs none, or has none */
int32_t proc_living_thread(int32_t pid);

/* The user that it acts as, by which vjd knows it; -1: there is no such process. */
int64_t proc_user(int32_t pid);

/* How many descriptors it may have at most, its hard limit; UINT64_MAX: not known */
uint64_t proc_fd_limit(int32_t pid);

#endif
