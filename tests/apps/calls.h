/* SPDX-License-Identifier: BSD-2-Clause */
/* calls.h - what the parts of `calls` share */
#ifndef TESTS_APPS_CALLS_H
#define TESTS_APPS_CALLS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Until then what must happen has happened, however slow the machine is. */
enum { EVENTUALLY_MS = 30000 };

/* ---- printing */
void title(const char *text);
/* The result, or the name of errno if it is negative. */
void say(const char *what, long ret);
/* EPOLLIN ... by name */
void say_bits(const char *what, uint32_t bits);
/* What poll() reports for one descriptor. */
uint32_t poll_now(int fd, int timeout_ms);
/* Time for both sides of a connection in one process. */
void settle(void);
/* The path that connections must be on is the kernel. */
bool on_kernel(void);
/* What the test itself needs. */
void must(const char *what, bool ok);

/* ---- calls_pair.c: a listening socket and a connection through it */
struct pair {
	int listener, client, server;
	struct sockaddr_storage addr;
	socklen_t addr_len;
};

/* TCP that is to be over IPv4 is over IPv6. */
extern bool only_ipv6;
/* What @family is then */
int tcp_family(int family);
/* Who waits for connections gets them over channels: from here on they come by them. */
void wait_first(int listener);
/* Ends the test if the connection isn't on the path that it must be on. */
void check_conn_path(int fd);
void listen_on(struct pair *p, int family, const char *text);
void pair_open(struct pair *p, int family, const char *text);
void pair_close(struct pair *p);

/* ---- calls_options.c */
void calls_options(void);

/* ---- calls_edge.c, calls_bind.c, calls_sets.c, calls_jump.c, calls_group.c */
void calls_edge(void);
void calls_bind(void);
void calls_sets(void);
void calls_jump(void);
void calls_group(void);

/* ---- calls_number.c, calls_fds.c, calls_interrupt.c */
void calls_number(void);
void calls_fds(void);
void calls_interrupt(void);

/* ---- calls_rare.c */
void calls_rare(void);

/* ---- calls_udp.c */
void calls_udp(void);

/* A server with a name, which has read once, and a client that has no name yet */
struct udp_pair {
	int server, client;
	struct sockaddr_storage addr;
	socklen_t addr_len;
};

/* @text: an address; the port is the kernel's choice */
int udp_bound(int family, const char *text, struct sockaddr_storage *ret_addr, socklen_t *ret_len);
void udp_open(struct udp_pair *p, int family, const char *text);
void udp_close(struct udp_pair *p);
long to_server(const struct udp_pair *p, const char *text);
/* A datagram has been sent to the server and waits there: in the kernel, or on a channel? Ends the test if it isn't where it should be. */
void check_udp_path(const struct udp_pair *p);
/* The result, and what came, or the name of errno */
void say_text(const char *what, const char *text, long len);

/* ---- calls_ports.c */
void calls_ports(void);

/* ---- calls_io.c */
void calls_io(void);

/* ---- calls_wait.c */
void calls_epoll(void);
void calls_poll(void);
void calls_timeouts(void);
void calls_signals(void);
void calls_cancel(void);

#endif
