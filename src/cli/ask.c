// SPDX-License-Identifier: BSD-2-Clause
#include "cli/ask.h"

#include "cli/cmd.h"
#include "lib/proc_state.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	ANSWER_MS = 1000, /* it may be computing */
	BUSY_TRIES = 20,  /* somebody else asks the same application at this moment */
	BUSY_US = 25000,
};

#define OPT(member) offsetof(struct ask_options, member)
const struct opt ask_opts[] = {
	{ .name = "json", .type = OPT_FLAG, .offset = OPT(json), .help = "one JSON object instead of tables" },
	ASK_OPT_SOCKET(OPT(socket)),
	{ 0 },
};
_Static_assert(sizeof(struct ask_options) <= CMD_OPTS_BYTES, "has to fit");

int ask_open(const char *cmd, const char *socket, struct ctl_client **ret_client)
{
	char name[CTL_NAME_MAX], why[CTL_CLIENT_WHY_BYTES];
	int r;

	snprintf(name, sizeof(name), "vj %s", cmd);
	r = ctl_client_open_why(socket, name, CTL_HELLO_OBSERVER, ret_client, why);
	if (r == 0)
		return EXIT_OK;
	if (r == -ENOENT || r == -ECONNREFUSED) {
		complain("%s: no vjd runs: %s; vj run starts a private one, sudo systemctl start vjd-interfaces the host's", cmd, why);
		return EXIT_NO_DAEMON;
	}
	complain("%s: %s", cmd, why);
	return EXIT_FAILED;
}

struct collecting {
	struct ask_apps to;
	size_t room;
	int32_t pid;
	uint32_t self_id; /* of this command */
	bool failed;
};

static void collect(void *arg, const struct ctl_msg *msg)
{
	struct collecting *c = arg;

	if (msg->type != CTL_STATUS_APP || msg->app.id == c->self_id || (c->pid != 0 && msg->app.pid != c->pid))
		return;
	if (c->to.cnt == c->room) {
		size_t room = c->room == 0 ? 64 : 2 * c->room;
		struct ctl_app *apps = realloc(c->to.apps, room * sizeof(*apps));

		if (apps == NULL) {
			c->failed = true;
			return;
		}
		c->to.apps = apps;
		c->room = room;
	}
	c->to.apps[c->to.cnt++] = msg->app;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int ask_apps(struct ctl_client *client, int32_t pid, struct ask_apps *ret_apps)
{
	struct collecting c = { .pid = pid, .self_id = ctl_client_welcome(client)->app_id };
	int rc = ctl_client_status(client, collect, &c);

	if (rc == 0 && c.failed)
		rc = -ENOMEM;
	if (rc < 0) {
		free(c.to.apps);
		return rc;
	}
	*ret_apps = c.to;
	return 0;
}

int ask_begin(struct ctl_client *client, const struct ctl_app *app, enum ctl_report_kind kind, struct ask_question *ret)
{
	int fd, r;

	r = ctl_client_report(client, app->id, kind, &fd);
	for (unsigned i = 0; r == -EAGAIN && i < BUSY_TRIES; i++) {
		usleep(BUSY_US);
		r = ctl_client_report(client, app->id, kind, &fd);
	}
	if (r == 0)
		*ret = (struct ask_question){ .fd = fd, .kind = kind, .end_ms = now_ms() + ANSWER_MS };
	return r;
}

int ask_end(const struct ask_question *q, size_t bytes, void **ret_records, uint32_t *ret_cnt, uint64_t *ret_left_out)
{
	uint64_t at_ms = now_ms();
	int r = report_recv(q->fd, q->kind, bytes, q->end_ms > at_ms ? (int)(q->end_ms - at_ms) : 0, ret_records, ret_cnt, ret_left_out);

	close(q->fd);
	return r;
}

static int ask_report(struct ctl_client *client, const struct ctl_app *app, enum ctl_report_kind kind, size_t bytes,
		      void **ret_records, uint32_t *ret_cnt, uint64_t *ret_left_out)
{
	struct ask_question q;
	int r = ask_begin(client, app, kind, &q);

	return r < 0 ? r : ask_end(&q, bytes, ret_records, ret_cnt, ret_left_out);
}

int ask_rules(struct ctl_client *client, const struct ctl_app *app, void **ret_rules, uint32_t *ret_cnt)
{
	uint64_t left_out;
	int r = ask_report(client, app, CTL_REPORT_RULES, sizeof(struct ctl_report_rule), ret_rules, ret_cnt, &left_out);
	struct ctl_report_rule *rules = r == 0 ? *ret_rules : NULL;

	for (uint32_t i = 0; r == 0 && i < *ret_cnt; i++) {
		rules[i].device[sizeof(rules[i].device) - 1] = '\0';
		rules[i].rule[sizeof(rules[i].rule) - 1] = '\0';
	}
	return r;
}

static const char *proto_text(uint8_t proto)
{
	return proto == CTL_PROTO_TCP ? "tcp" : proto == CTL_PROTO_UDP ? "udp" : "raw";
}

bool ask_is_direct(const struct ctl_report_rule *rule)
{
	return strcmp(rule->device, "lo") == 0;
}

static int compare_ports(const struct ctl_endpoint *x, const struct ctl_endpoint *y)
{
	if (x->port != y->port)
		return x->port - y->port;
	return x->proto != y->proto ? x->proto - y->proto : memcmp(x->addr, y->addr, sizeof(x->addr));
}

/* By rule, then device, then port. */
static int compare_rules(const void *a, const void *b)
{
	const struct ctl_report_rule *x = *(const struct ctl_report_rule *const *)a, *y = *(const struct ctl_report_rule *const *)b;
	int r = strcmp(x->rule, y->rule);

	if (r == 0)
		r = strcmp(x->device, y->device);
	return r != 0 ? r : compare_ports(&x->local, &y->local);
}

/* @was: the one before it, or NULL */
static void print_rule(const struct ctl_report_rule *rule, const struct ctl_report_rule *was)
{
	struct endpoint local = ctl_endpoint_get(&rule->local);
	bool same_rule = was != NULL && strcmp(was->rule, rule->rule) == 0;
	bool same_device = same_rule && strcmp(was->device, rule->device) == 0;
	char buf[ENDPOINT_TEXT_BYTES];

	/* several processes may have one port */
	if (same_device && compare_ports(&was->local, &rule->local) == 0)
		return;
	if (was != NULL && !same_device)
		putchar('\n');
	if (!same_rule)
		printf("firewall: %s\n", rule->rule);
	if (same_device)
		printf(", ");
	else
		printf("  therefore the kernel's %s%s: ", ask_is_direct(rule) ? "between programs of this host" : "at ",
		       ask_is_direct(rule) ? "" : rule->device);
	printf("%s %s", proto_text(rule->local.proto), endpoint_format(&local, buf));
}

void ask_print_rules(const struct ctl_report_rule *rules, uint32_t cnt)
{
	const struct ctl_report_rule **sorted = calloc((size_t)cnt + 1, sizeof(struct ctl_report_rule *));

	if (sorted == NULL || cnt == 0) {
		free(sorted);
		return;
	}
	for (uint32_t i = 0; i < cnt; i++)
		sorted[i] = &rules[i];
	qsort(sorted, cnt, sizeof(struct ctl_report_rule *), compare_rules);
	for (uint32_t i = 0; i < cnt; i++)
		print_rule(sorted[i], i > 0 ? sorted[i - 1] : NULL);
	putchar('\n');
	free(sorted);
}

json_t *ask_json_rules(const struct ctl_report_rule *rules, uint32_t cnt)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < cnt; i++) {
		struct endpoint local = ctl_endpoint_get(&rules[i].local);
		char addr[IP_ADDR_TEXT_BYTES];

		json_array_append_new(all, json_pack("{s:s, s:s, s:i, s:s, s:s}", "proto", proto_text(rules[i].local.proto), "addr",
						     ip_addr_format(&local.addr, addr), "port", (int)local.port, "device",
						     rules[i].device, "rule", rules[i].rule));
	}
	return all;
}

const char *ask_failure(int err, int32_t pid)
{
	static char text[80];

	switch (err) {
	case -EAGAIN:
	case -ETIMEDOUT:
		if (proc_state(pid) != 'T')
			return "it does not come to it (a native program answers when it next calls the library)";
		snprintf(text, sizeof(text), "it does not come to it: it is stopped (kill -CONT %d)", pid);
		return text;
	case -ENODATA:
		return "it did not tell";
	case -EPROTO:
		return "its answer makes no sense";
	default:
		return strerror(-err);
	}
}

bool ask_pid(const char *text, int32_t *ret_pid)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno != 0 || *text == '\0' || *end != '\0' || pid < 1 || pid > INT32_MAX)
		return false;
	*ret_pid = (int32_t)pid;
	return true;
}
