// SPDX-License-Identifier: BSD-2-Clause
/* vj connections: every TCP connection on a channel, as the application that has it tells. */
#include "cli/ask.h"
#include "cli/cmd.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What one of them said */
struct answer {
	struct report_conn *conns;
	uint32_t cnt;
	uint64_t left_out;
};

static int take(const struct ask_question *q, struct answer *ret)
{
	void *records;
	int r = ask_end(q, sizeof(struct report_conn), &records, &ret->cnt, &ret->left_out);

	if (r == 0)
		ret->conns = records;
	return r;
}

/* ---- text */

static const char *endpoint_text(const struct ctl_endpoint *from, char buf[static ENDPOINT_TEXT_BYTES])
{
	struct endpoint ep = ctl_endpoint_get(from);

	return endpoint_format(&ep, buf);
}

static const char *rtt_text(uint32_t us, char buf[static 16])
{
	if (us == 0)
		return "-";
	snprintf(buf, 16, "%.3g ms", us / 1000.0);
	return buf;
}

static const char *window_text(uint32_t bytes, char buf[static 16])
{
	if (bytes == UINT32_MAX)
		return "-";
	snprintf(buf, 16, "%u", bytes);
	return buf;
}

/* One that only the library of that application knows has no name here. */
static const char *drop_name(unsigned why)
{
	const char *name = vj_drop_name(why);

	return name != NULL ? name : "?";
}

static void print_head(void)
{
	printf("%-24s %-24s %-24s %-12s %10s %9s %9s %8s %8s %7s  %s\n", "APPLICATION", "LOCAL", "REMOTE", "STATE", "RTT",
	       "CWND", "IN FLIGHT", "UNSENT", "UNREAD", "RETRANS", "DROPPED");
}

static void print_conn(const char *who, const struct report_conn *c)
{
	char local[ENDPOINT_TEXT_BYTES], remote[ENDPOINT_TEXT_BYTES], rtt[16], cwnd[16];
	const struct vj_conn_info *i = &c->info;

	printf("%-24s %-24s %-24s %-12s %10s %9s %9u %8u %8u %7u ", who, endpoint_text(&c->local, local),
	       endpoint_text(&c->remote, remote), vj_state_name(i->state), rtt_text(i->srtt_us, rtt),
	       window_text(i->cwnd_bytes, cwnd), i->in_flight_bytes, i->unsent_bytes, i->unread_bytes,
	       i->retransmits);
	for (unsigned why = 0; why < VJ_DROPS_MAX; why++)
		if (i->drops[why] != 0)
			printf(" %s %u", drop_name(why), i->drops[why]);
	putchar('\n');
}

static void print_answer(const struct ctl_app *app, const struct answer *answer)
{
	char who[64];

	snprintf(who, sizeof(who), "%s[%d]", app->name, app->pid);
	for (uint32_t i = 0; i < answer->cnt; i++)
		print_conn(who, &answer->conns[i]);
	if (answer->left_out != 0)
		printf("%-24s ... and %llu more\n", who, (unsigned long long)answer->left_out);
}

/* ---- JSON */

/* Every number of struct vj_conn_info that is not told otherwise: name, member */
#define INFO_NUMBERS(X)                                                                                       \
	X(ca_state) X(srtt_us) X(rttvar_us) X(rto_us) X(min_rtt_us) X(backoff) X(ssthresh_bytes) X(mss)       \
	X(snd_wnd) X(rcv_wnd) X(in_flight_bytes) X(unsent_bytes) X(unread_bytes) X(sacked_segs) X(lost_segs)  \
	X(resent_segs) X(retransmits) X(out_of_order) X(rcv_rtt_us) X(rcv_mss) X(rcv_space_bytes)             \
	X(rcv_ssthresh_bytes) X(ato_ms) X(last_data_sent_ms) X(last_data_rcvd_ms) X(last_ack_sent_ms)         \
	X(last_ack_rcvd_ms) X(bytes_acked) X(bytes_rcvd) X(bytes_sent) X(bytes_retrans) X(segs_in)            \
	X(segs_out) X(data_segs_in) X(data_segs_out) X(pacing_Bps) X(probes) X(snd_wscale) X(rcv_wscale)      \
	X(delivered) X(delivered_ce) X(dsack_dups) X(reord_seen) X(reordering) X(delivery_rate_Bps)           \
	X(busy_us) X(rwnd_limited_us) X(sndbuf_limited_us) X(expiries)

static json_t *json_endpoint(const struct ctl_endpoint *ep)
{
	struct ip_addr addr = ip_addr_from_v6(ep->addr);
	char text[IP_ADDR_TEXT_BYTES];

	return json_pack("{s:s, s:i}", "addr", ip_addr_format(&addr, text), "port", (int)ep->port);
}

static json_t *json_drops(const struct vj_conn_info *i)
{
	json_t *drops = json_object();

	for (unsigned why = 0; why < VJ_DROPS_MAX; why++)
		if (i->drops[why] != 0)
			json_object_set_new(drops, drop_name(why), json_integer(i->drops[why]));
	return drops;
}

static json_t *json_conn(const struct report_conn *c)
{
	const struct vj_conn_info *i = &c->info;
	char cc[sizeof(i->congestion) + 1] = { 0 };
	json_t *o;

	memcpy(cc, i->congestion, sizeof(i->congestion));
	o = json_pack("{s:o, s:o, s:s, s:b, s:b, s:b, s:b, s:o}", "local", json_endpoint(&c->local), "remote",
		      json_endpoint(&c->remote), "state", vj_state_name(i->state), "timestamps",
		      i->timestamps != 0, "sack", i->sack != 0, "ecn", i->ecn != 0, "delivery_app_limited",
		      i->delivery_app_limited != 0, "drops", json_drops(i));
	json_object_set_new(o, "congestion", json_string(cc)); /* NULL, thus left out, if it isn't UTF-8 */
	/* without a limit: left out */
	if (i->cwnd_bytes != UINT32_MAX)
		json_object_set_new(o, "cwnd_bytes", json_integer(i->cwnd_bytes));
#define X(member) json_object_set_new(o, #member, json_integer((json_int_t)i->member));
	INFO_NUMBERS(X)
#undef X
	return o;
}

static json_t *json_answer(const struct ctl_app *app, const struct answer *answer)
{
	json_t *conns = json_array();

	for (uint32_t i = 0; i < answer->cnt; i++)
		json_array_append_new(conns, json_conn(&answer->conns[i]));
	return json_pack("{s:I, s:i, s:s, s:o, s:I}", "id", (json_int_t)app->id, "pid", app->pid, "name", app->name,
			 "connections", conns, "left_out", (json_int_t)answer->left_out);
}

/* ---- all of it */

/* @apps: NULL: as text. @r: of ask_begin(). Return: false: no answer, complained about */
static bool show_one(const struct ctl_app *app, const struct ask_question *q, int r, json_t *apps)
{
	struct answer answer = { 0 };

	if (r == 0)
		r = take(q, &answer);
	if (r == -ESRCH) /* ended meanwhile, or an observer like this one: there is nothing to tell */
		return true;
	if (r < 0)
		complain("connections: %s[%d]: %s", app->name, app->pid, ask_failure(r, app->pid));
	else if (apps != NULL)
		json_array_append_new(apps, json_answer(app, &answer));
	else
		print_answer(app, &answer);
	free(answer.conns);
	return r == 0;
}

/* Return: of those asked, how many did not answer */
static unsigned show_all(struct ctl_client *client, const struct ask_apps *who, bool json)
{
	json_t *apps = json ? json_array() : NULL, *root;
	struct ask_question q[ASK_AT_ONCE];
	int r[ASK_AT_ONCE];
	unsigned silent = 0;

	if (!json)
		print_head();
	for (size_t at = 0; at < who->cnt; at += ASK_AT_ONCE) {
		size_t cnt = min_size(who->cnt - at, ASK_AT_ONCE);

		for (size_t i = 0; i < cnt; i++)
			r[i] = ask_begin(client, &who->apps[at + i], CTL_REPORT_CONNS, &q[i]);
		for (size_t i = 0; i < cnt; i++)
			silent += !show_one(&who->apps[at + i], &q[i], r[i], apps);
	}
	if (json) {
		root = json_pack("{s:o}", "applications", apps);
		json_dumpf(root, stdout, CMD_JSON);
		putchar('\n');
		json_decref(root);
	}
	return silent;
}

static int show(struct ctl_client *client, int32_t pid, bool json)
{
	struct ask_apps who = { 0 };
	int rc = ask_apps(client, pid, &who), status = EXIT_FAILED;

	if (rc < 0)
		complain("connections: vjd did not tell: %s", strerror(-rc));
	else if (pid != 0 && who.cnt == 0)
		complain("connections: process %d is no application of this vjd that you may see; see: vj status, vj why %d", pid, pid);
	else
		status = show_all(client, &who, json) == 0 ? EXIT_OK : EXIT_FAILED;
	free(who.apps);
	return status;
}

int cmd_connections(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct ask_options *o = opts;
	struct ctl_client *client;
	int32_t pid = 0;
	int rc;

	if (argc > 1)
		return takes_no(cmd, argv[1]);
	if (argc == 1 && !ask_pid(argv[0], &pid)) {
		complain("connections: '%s' is no process number; see: vj help connections", argv[0]);
		return EXIT_USAGE;
	}
	rc = ask_open(cmd->name, o->socket, &client);
	if (rc != EXIT_OK)
		return rc;
	rc = show(client, pid, o->json);
	ctl_client_close(client);
	return rc;
}
