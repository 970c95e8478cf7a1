/* SPDX-License-Identifier: BSD-2-Clause */
/* procs.h - what the parts of `procs` share */
#ifndef TESTS_APPS_PROCS_H
#define TESTS_APPS_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What must come has come by then, however slow the machine is. */
enum { ANSWER_MS = 30000 };

#define CHECK(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))
_Noreturn void check_failed(const char *file, int line, const char *what);

struct part {
	const char *name;
	void (*run)(void);
};
/* Those of @parts, or the one called @only if that isn't NULL; each says its name first. */
void parts_run(const struct part *parts, size_t cnt, const char *only);

/* From here on listen_any() and connect_to() are about ::1; or about 127.0.0.1 again. */
void use_ipv6(bool yes);
/* A listening socket on a port of the loopback address. Nobody has waited on it yet. */
int listen_any(uint16_t *ret_port);
/* From here on clients of @listener come over channels, where there are some. */
void wait_first(int listener);
int connect_to(uint16_t port);
/* Likewise, by an option that makes it the kernel's; not about ::1 */
int kernel_connect_to(uint16_t port);
/* Was the test asked for the kernel's path? */
bool wants_kernel(void);
/* The connection is on the path that the test was asked for. */
void check_path(int fd);
pid_t fork_must(void);
/* A process that runs @fn(arg) and exits with 0; killed when its parent ends. */
pid_t child_start(void (*fn)(int arg), int arg);
/* It has ended as it should. */
void child_end(pid_t pid);
/* It ends by @sig, as who serves for ever. */
void end_by_signal(pid_t pid, int sig);
uint64_t now_ms(void);
/* A connection to an echo server, used once. Return: was it the kernel's? */
bool ask_once(uint16_t port);
/*
 * What a server gives back to the kernel it gives back a little later: once more @ask(port), which is a connection and says whether the
 * kernel had it, until it has had @row of them one after another. Return: connections that were on channels by then
 */
int ask_until_kernel(bool (*ask)(uint16_t port), uint16_t port, int row);
void write_all(int fd, const void *buf, size_t len);
/* Return: a child that does */
pid_t child_writes(int fd, const void *buf, size_t len);
/* Return: bytes read before the end of file, at most @len. */
size_t read_all(int fd, void *buf, size_t len);
/* "ping" there and the same back, from an echo server. */
void ping(int fd);
/* Until end of file, then close. */
void echo(int fd);
/* A descriptor over a socket of AF_UNIX */
void fd_send(int via, int fd);
int fd_recv(int via);
/* This program again, in role @role, with standard descriptors as they are. */
_Noreturn void exec_role(const char *role);
/* Likewise, without the library, and @fd is its standard input */
_Noreturn void become_clean(const char *role, int fd);
/* Its arguments */
char **role_argv(const char *role);

/* @serve in a process that ends by itself. Return: the port, when it is ready. */
uint16_t server_start(void (*serve)(int), pid_t *ret_pid);
/* In @serve: clients may come */
void server_ready(int fd);
int accept_one(int fd);
/* A client's, in a child: who has accepted and used it has ended. */
int conn_left_to_child(int fd);
/* The other side of ping(), once */
void ping_back(int fd);
/* For server_start(): one connection, which is answered once */
void serve_ping(int fd);

/* A thread that polls *(int *)@arg, a set of epoll, until something comes */
void *poll_set(void *arg);

/* ---- procs_cage.c: under a seccomp filter of its own, as another user, in other namespaces */
void cage_parts(const char *only);

/* ---- procs_small.c: threads that have little */
void small_parts(const char *only);

/* ---- procs_cancel.c: threads that are cancelled */
void cancel_parts(const char *only);

/* ---- procs_rare.c: rarer ways to another process and another program */
void rare_parts(const char *only);

/* ---- procs_called.c: connections that begin before anybody looks */
void called_parts(const char *only);

/* ---- procs_raw.c: connections that are read and written by calls which nobody can interpose */
void raw_parts(const char *only);
void raw_role(const char *role);

/* ---- procs_accept.c: clients of the kernel's, whom several wait for */
void accept_parts(const char *only);
void accept_role(const char *role);

/* ---- procs_udp.c: UDP sockets that have copies */
void udp_parts(const char *only);
void udp_role(const char *role);

/* ---- procs_inside.c: who waits inside the kernel's call */
void inside_parts(const char *only);
void inside_role(const char *role);

/* ---- procs_elsewhere.c: connections that another process accepts than the one that they have come to */
void elsewhere_parts(const char *only);
void elsewhere_role(const char *role);

/* ---- procs_answers.c: who waits hears of what comes, at once */
void answers_parts(const char *only);

/* ---- procs_sparse.c: programs that are elsewhere most of the time */
void sparse_parts(const char *only);

/* ---- procs_conn.c: connections that change their process */
void conn_parts(const char *only);
/* This process was started to be @role: it does not come back. */
void conn_role(const char *role);

/* ---- procs_exec.c: what a process keeps, and what it gives up, when it becomes another program or a daemon */
void exec_parts(const char *only);
void exec_part_role(const char *role);

#endif
