/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vjd_proc.h - a real vjd for a test, and clients of it, polite ones and others
 *
 * The program is argv[1] of the test, so that one test runs against vjd with and without
 * sanitizers. vjd serves a socket in a directory of its own. vjd_stop() demands that it ends with
 * 0, which it doesn't with a leak or a report.
 */
#ifndef TESTS_VJD_PROC_H
#define TESTS_VJD_PROC_H

#include "control/packet.h"
#include "lib/ctl_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <cmocka.h>

/* What must happen has happened by then, however slow the machine is. */
enum { EVENTUALLY_MS = 30000 };

struct vjd_proc {
	pid_t pid;
	char dir[64];
	char path[96];
};

/* The program under test. */
extern const char *vjd_program;
/* It is instrumented: slower, and larger. */
extern bool vjd_sanitized;

/* Reads argv. */
void vjd_test_init(int argc, char **argv);

/*
 * Start one with these options more, separated by blanks ("" for none); --private unless @service.
 * Ready on return.
 */
void vjd_start_as(struct vjd_proc *v, bool service, const char *options);
void vjd_start(struct vjd_proc *v, const char *options);

/* kill -9, and another one with these options at the same path. */
void vjd_restart(struct vjd_proc *v, const char *options);

/* SIGTERM; it must end with 0 and take its socket with it. */
void vjd_stop(struct vjd_proc *v);

/* Wait for its end by itself. Return: ms that it took; fails after @max_ms */
unsigned vjd_wait_exit(struct vjd_proc *v, unsigned max_ms);

/* Remove the directory. vjd_stop() and vjd_wait_exit() do it. */
void vjd_clean(struct vjd_proc *v);

/* Descriptors that it holds, once that stands still. */
unsigned vjd_fd_cnt(const struct vjd_proc *v);
/* It comes to hold so many, and no others. */
void vjd_expect_fds(const struct vjd_proc *v, unsigned cnt);
/* It comes to know so many applications. */
void vjd_expect_apps(const struct vjd_proc *v, unsigned cnt);
unsigned vjd_rss_kib(const struct vjd_proc *v);
/* CPU time that it has used. */
unsigned vjd_cpu_ms(const struct vjd_proc *v);

/* ---- polite clients */

struct ctl_client *client_open(const struct vjd_proc *v, const char *name);
struct ctl_client *client_open_flags(const struct vjd_proc *v, const char *name, uint32_t flags);

struct ctl_endpoint endpoint_of(const char *text, enum ctl_proto proto);

/* A bound socket of @text; listening if @listening (TCP). Fails the test if it can't be. */
int bound_socket(const char *text, enum ctl_proto proto, bool listening);

/* Its address as it is now, the port chosen by the kernel included. */
struct ctl_endpoint name_of(int fd, enum ctl_proto proto);

/* Offer RAW @port. Return: lease id */
uint32_t offer_raw(struct ctl_client *c, uint16_t port);

/*
 * Ask for RAW @port and close what comes. Return: 0 or the errno of the refusal; *ret_id: of the
 * channel
 */
int connect_raw(struct ctl_client *c, uint16_t port, uint32_t *ret_id);

/* Wait for an event; its descriptors are closed. It must be of @type. */
struct ctl_msg event_wait(struct ctl_client *c, enum ctl_type type);

/* No event is there, nor comes within @ms. */
void event_none(struct ctl_client *c, int ms);

/* A call that must be refused so; @msg is sent with @fd. */
void expect_refusal(struct ctl_client *c, struct ctl_msg *msg, int fd, enum ctl_refusal why);

/* The STATUS_END of a STATUS by an observer. */
struct ctl_daemon daemon_status(const struct vjd_proc *v);

void fds_close(const int *fds, unsigned cnt);

/* ---- others */

/* A connected socket, without HELLO. */
int raw_connect(const struct vjd_proc *v);
void raw_hello(int fd);
/* Return: as sendmsg() */
ssize_t raw_send(int fd, const void *bytes, size_t len, const int *fds, unsigned fd_cnt);
/* Next packet within @ms. Return: 1; 0: the end; -1: time is up. Its descriptors are closed. */
int raw_recv(int fd, struct ctl_msg *ret_msg, int ms);
/* REFUSED for that reason comes, and then (if @closed) the end. */
void raw_expect_refused(int fd, enum ctl_refusal why, bool closed);
/* The connection ends within @ms, whatever comes before. */
void raw_expect_end(int fd, int ms);

uint64_t now_ms(void);
void sleep_ms(unsigned ms);

#endif
