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
	struct endpoint local, remote; /* port 0: none */
};

struct proc_socks {
	struct proc_sock *socks; /* by fd; to free() */
	size_t cnt;
};

/* Return: 0; -ESRCH; -EACCES: another user's; -ENOMEM. */
int proc_socks_read(int32_t pid, struct proc_socks *ret);

/* NULL: none */
struct proc_sock *proc_socks_find(const struct proc_socks *socks, int fd);

/* Has it mapped a file of this name? Return: 1, 0; -EACCES, -ESRCH. */
int proc_has_mapped(int32_t pid, const char *name);

/* Is only its exit status left of it, a zombie? */
bool proc_has_ended(int32_t pid);

/* The user that it acts as, by which vjd knows it; -1: there is no such process. */
int64_t proc_user(int32_t pid);

#endif
