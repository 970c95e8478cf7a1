/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_reader.h - the host's nftables rules, read and compiled, again whenever they change
 *
 * libnftables is large, and ends its process where memory runs out, and many rules take a second: so a process of its own (this same program,
 * started with FW_PRINT_OPTION) reads, compiles and judges, and vjd maps the result (fw_pack.h). vjd itself hears from the kernel only that something has changed.
 */
#ifndef DAEMON_FW_READER_H
#define DAEMON_FW_READER_H

#include "base/types.h"

#include <sys/types.h>

#define FW_PRINT_OPTION "--print-firewall"

enum fw_read {
	FW_READ_NOTHING, /* go on as before */
	FW_READ_EMPTY,	 /* no rules, or a kernel that knows none */
	FW_READ_RULES,
	FW_READ_LEGACY, /* rules that can't be read, by no mishap */
	FW_READ_SETTLED, /* what fw_reader_settle() was for */
	FW_READ_FAILED, /* perhaps a mishap: tried again after a second */
};

struct fw_reader;

/* Of FW_READ_RULES: for fw_unpack(), and then for munmap(). */
struct fw_bytes_read {
	void *at;
	size_t len;
};

/**
 * fw_reader_new()
 * @keys_fd: gives a memfd, at any position, with an array of struct fw_port_key: what is to be judged; or negative errno: nothing is. The reader closes it
 * Return: 0; -EPERM: rules are root's to see; -EPROTONOSUPPORT: the kernel has none; -ENOMEM and others
 */
int fw_reader_new(int (*keys_fd)(void *arg), void *arg, struct fw_reader **ret_reader);
void fw_reader_free(struct fw_reader *r);

/** fw_reader_fd() - Readable when fw_reader_run() is wanted */
int fw_reader_fd(const struct fw_reader *r);

/** fw_reader_deadline_ns() - When it is wanted next, whatever the descriptor says; TIME_NEVER */
uint64_t fw_reader_deadline_ns(const struct fw_reader *r);

/** fw_reader_again() - Read at @at_ns, though nothing changes: an element of a set goes by itself */
void fw_reader_again(struct fw_reader *r, uint64_t at_ns);

/**
 * fw_reader_run() - Do what is due; doesn't wait
 * @ret_bytes: FW_READ_RULES: the caller's
 * @ret_why:   FW_READ_LEGACY, FW_READ_FAILED: why, constant text
 */
enum fw_read fw_reader_run(struct fw_reader *r, uint64_t now_ns, struct fw_bytes_read *ret_bytes, const char **ret_why);

/** fw_reader_settle() - Have a process wait until nobody runs what was in force until now; then fw_reader_run() says FW_READ_SETTLED */
void fw_reader_settle(struct fw_reader *r);

/** fw_wait_for_runs() - The same, here: up to some 50 ms */
void fw_wait_for_runs(void);

/** fw_reader_busy() - Rules are being read */
bool fw_reader_busy(const struct fw_reader *r);

/** fw_reader_wait() - Until the first answer is there, or @ms have passed */
void fw_reader_wait(const struct fw_reader *r, int ms);

/* What such a process prints, and the word behind FW_PRINT_OPTION. FW_PRINT_TEXT to FW_PRINT_JSON add what stands in standard input (fw_show.h). */
enum fw_print_what {
	FW_PRINT_READER, /* fw_pack(), for vjd; standard input: struct fw_port_key */
	FW_PRINT_TEXT,
	FW_PRINT_HANDLES, /* text with handles */
	FW_PRINT_JSON,
	FW_PRINT_SETTLE, /* nothing, once fw_wait_for_runs() is over */
	FW_PRINT_CNT,
};

/**
 * fw_print_start() - Start one
 * @in, @out: its standard input (-1: none) and output; stay the caller's
 * @ret_pid:  to be waited for
 */
int fw_print_start(enum fw_print_what what, int in, int out, pid_t *ret_pid);

/** fw_print() - What that process does. @what: the word. Return: its exit status */
int fw_print(const char *what);

#endif
