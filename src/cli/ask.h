// SPDX-License-Identifier: BSD-2-Clause
/* Asking vjd, and through it applications about themselves: what commands that show something share. */
#ifndef VJ_CLI_ASK_H
#define VJ_CLI_ASK_H

#include "lib/ctl_client.h"
#include "lib/report.h"

#include <jansson.h>

/* Options of these commands: ask_opts */
struct ask_options {
	bool json;
	const char *socket;
};

/* A row of struct opt: which vjd is asked, at this offset of the options */
#define ASK_OPT_SOCKET(at) { .name = "socket", .value = "PATH", .type = OPT_FILE, .offset = (at), .help = "socket of the vjd to ask" }

/*
 * Connects to vjd, as an observer.
 * @cmd: name of the command, for messages
 * Return: EXIT_OK; EXIT_NO_DAEMON or EXIT_FAILED, complained about.
 */
int ask_open(const char *cmd, const char *socket, struct ctl_client **ret_client);

/* The applications that vjd shows this user */
struct ask_apps {
	struct ctl_app *apps; /* to free() */
	size_t cnt;
};

/* @pid: only of this process; 0: all. Return: 0; errors of ctl_client_status(), -ENOMEM: nothing to free. */
int ask_apps(struct ctl_client *client, int32_t pid, struct ask_apps *ret_apps);

/*
 * A question that is under way. Several are asked before the first answer is waited for: however many don't answer, they are waited for together.
 */
struct ask_question {
	int fd;
	enum ctl_report_kind kind;
	uint64_t end_ms;
};
enum { ASK_AT_ONCE = 64 };

/* Return: 0; errors of ctl_client_report(): ask_failure() says them. */
int ask_begin(struct ctl_client *client, const struct ctl_app *app, enum ctl_report_kind kind, struct ask_question *ret);
/*
 * The answer, and the end of the question
 * @bytes: of a record of this kind. *ret_records is the caller's to free().
 * Return: 0; errors of report_recv(): ask_failure() says them.
 */
int ask_end(const struct ask_question *q, size_t bytes, void **ret_records, uint32_t *ret_cnt, uint64_t *ret_left_out);

/*
 * Rules of the firewall that keep @app's ports off channels.
 * *ret_rules is the caller's to free(). Return: 0; else as ask_begin(), ask_end()
 */
int ask_rules(struct ctl_client *client, const struct ctl_app *app, void **ret_rules, uint32_t *ret_cnt);

/* Is it about channels between programs of this host? Else about an interface */
bool ask_is_direct(const struct ctl_report_rule *rule);

/* As text: each rule once, with the ports below it; nothing if there are none */
void ask_print_rules(const struct ctl_report_rule *rules, uint32_t cnt);

json_t *ask_json_rules(const struct ctl_report_rule *rules, uint32_t cnt);

/* @pid: of whom it was. Until the next call */
const char *ask_failure(int err, int32_t pid);

/* Return: false: @text is no process number */
bool ask_pid(const char *text, int32_t *ret_pid);

#endif
