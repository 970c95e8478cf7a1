/* SPDX-License-Identifier: BSD-2-Clause */
/* procs_udp.h - a UDP server, who sends to it numbered datagrams, and how these are looked for: procs_udp.c, procs_udp_exec.c */
#ifndef TESTS_APPS_PROCS_UDP_H
#define TESTS_APPS_PROCS_UDP_H

#include "procs.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

enum {
	WINDOW = 64, /* datagrams under way */
	LIMIT_S = 30,
	SOME = 20,
	ALL = 3000,
	READERS = 4,
	UDP_WAYS = 8,
	UDP_COMMON_FD = 100, /* `common`, also of programs started by this one */
};

/* Of this process and its children */
struct udp_common {
	_Atomic unsigned got; /* by all who read */
	_Atomic unsigned turn; /* parts begun: what comes from a former one doesn't count */
	_Atomic unsigned char seen[ALL + 1];
	/* for programs that are started */
	unsigned nr, last;
	int way;
	_Atomic unsigned ready;
};
extern struct udp_common *common;
void udp_common_map(void);

struct numbered {
	unsigned turn, nr;
};

void limit_check(time_t begin);

struct order {
	struct sockaddr_storage to;
	socklen_t len;
	unsigned cnt; /* 0: end */
};

struct sender {
	pid_t pid;
	int ctl;
};
void sender_start(struct sender *s);
void sender_end(const struct sender *s);

struct server {
	int fd;
	struct order at;
	struct sender sender;
};
int bound_to(const struct order *at, bool shared);
void send_begin(const struct server *s, unsigned cnt);
void send_end(const struct server *s);
void send_some(const struct server *s, unsigned cnt);
/* Return: its number; 0: nothing is there */
unsigned take(int fd, int flags);
/* Does anything for the server wait in the kernel? */
bool waits_in_kernel(const struct server *s);
/* Bound to a port, and nobody has read. @s->sender is there. */
void server_bind(struct server *s, int family);
/* It reads until datagrams reach it as the test was asked. Return: the next one's number */
unsigned server_read(struct server *s);
/* Both */
unsigned server_serve(struct server *s, int family);
/* The same with a sender */
unsigned server_open(struct server *s, int family);
void server_close(const struct server *s);

extern const struct way {
	const char *name;
	void (*look)(int fd);
} ways[UDP_WAYS];
extern int set_inherited; /* for one of them */

/* SOME that have come, in order, then as many that come. */
void reads_on(const struct server *s, const struct way *way, unsigned nr);
/* As one of several, until number @last has been read. @waits: in poll() */
void reads_by_turns(const struct server *s, unsigned last, bool waits);

/* ---- procs_udp_exec.c: copies that other programs have, or that are made before anybody reads; and holders that end badly */
void udp_exec_parts(const char *only);

#endif
