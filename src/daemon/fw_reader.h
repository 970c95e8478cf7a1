/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_reader.h - the host's nftables rules, as text, again whenever they change
 *
 * libnftables is large, and ends its process where memory runs out; so a process of its own loads it and prints the rules (this same program,
 * started with FW_PRINT_OPTION), and vjd reads what it says. vjd itself hears from the kernel only that something has changed.
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
	FW_READ_FAILED, /* perhaps a mishap: tried again after a second */
};

struct fw_reader;

/** fw_reader_new() - Return: 0; -EPERM: rules are root's to see; -EPROTONOSUPPORT: the kernel has none; -ENOMEM and others */
int fw_reader_new(struct fw_reader **ret_reader);
void fw_reader_free(struct fw_reader *r);

/** fw_reader_fd() - Readable when fw_reader_run() is wanted */
int fw_reader_fd(const struct fw_reader *r);

/** fw_reader_deadline_ns() - When it is wanted next, whatever the descriptor says; TIME_NEVER */
uint64_t fw_reader_deadline_ns(const struct fw_reader *r);

/** fw_reader_again() - Read at @at_ns, though nothing changes: an element of a set goes by itself */
void fw_reader_again(struct fw_reader *r, uint64_t at_ns);

/**
 * fw_reader_run() - Do what is due; doesn't wait
 * @ret_json: FW_READ_RULES: text, until the next call; @ret_len bytes
 * @ret_why:  FW_READ_LEGACY, FW_READ_FAILED: why, constant text
 */
enum fw_read fw_reader_run(struct fw_reader *r, uint64_t now_ns, const char **ret_json, size_t *ret_len, const char **ret_why);

/** fw_reader_busy() - Rules are being read */
bool fw_reader_busy(const struct fw_reader *r);

/** fw_reader_wait() - Until the first answer is there, or @ms have passed */
void fw_reader_wait(const struct fw_reader *r, int ms);

/* What such a process prints, and the word behind FW_PRINT_OPTION. Those behind the first add what stands in standard input (fw_show.h). */
enum fw_print_what {
	FW_PRINT_READER, /* JSON, NUL, text with handles, NUL, fw_dump(): for vjd */
	FW_PRINT_TEXT,
	FW_PRINT_HANDLES, /* text with handles */
	FW_PRINT_JSON,
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
