// SPDX-License-Identifier: BSD-2-Clause
/* vj status: what vjd knows, as this user may see it. */
#include "cli/ask.h"
#include "cli/cmd.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Everything vjd said, in the order in which it came: applications, leases, channels, itself. */
struct status {
	struct ctl_msg *msgs;
	size_t cnt, room;
	uint32_t self_id; /* of this command, which is not worth showing */
	bool failed;
	struct ctl_report_rule *rules; /* of the firewall, that keep ports off channels */
	uint32_t rule_cnt;
};

static void collect(void *arg, const struct ctl_msg *msg)
{
	struct status *s = arg;

	if (msg->type == CTL_STATUS_APP && msg->app.id == s->self_id)
		return;
	if (s->cnt == s->room) {
		size_t room = s->room == 0 ? 64 : 2 * s->room;
		struct ctl_msg *msgs = realloc(s->msgs, room * sizeof(*msgs));

		if (msgs == NULL) {
			s->failed = true;
			return;
		}
		s->msgs = msgs;
		s->room = room;
	}
	s->msgs[s->cnt++] = *msg;
}

static const char *proto_name(uint8_t proto)
{
	switch (proto) {
	case CTL_PROTO_TCP:
		return "tcp";
	case CTL_PROTO_UDP:
		return "udp";
	case CTL_PROTO_RAW:
		return "raw";
	default:
		return "?";
	}
}

static const char *local_text(const struct ctl_endpoint *local,
			      char buf[static ENDPOINT_TEXT_BYTES])
{
	struct endpoint ep = { .addr = ip_addr_from_v6(local->addr), .port = local->port };

	if (local->proto == CTL_PROTO_RAW)
		snprintf(buf, ENDPOINT_TEXT_BYTES, "%u", local->port);
	else
		endpoint_format(&ep, buf);
	return buf;
}

static const char *mac_text(const uint8_t bytes[static 6], char buf[static MAC_ADDR_TEXT_BYTES])
{
	struct mac_addr mac;

	memcpy(mac.bytes, bytes, sizeof(mac.bytes));
	return mac_addr_format(&mac, buf);
}

static const struct ctl_app *app_of(const struct status *s, uint32_t id)
{
	for (size_t i = 0; i < s->cnt; i++)
		if (s->msgs[i].type == CTL_STATUS_APP && s->msgs[i].app.id == id)
			return &s->msgs[i].app;
	return NULL;
}

/* "redis-server[1234]" */
static const char *app_text(const struct status *s, uint32_t id, char buf[static 64])
{
	const struct ctl_app *app = app_of(s, id);

	if (app != NULL)
		snprintf(buf, 64, "%s[%d]", app->name, app->pid);
	else
		snprintf(buf, 64, "application %u", id);
	return buf;
}

static const char *duration_text(uint64_t ms, char buf[static 32])
{
	uint64_t sec = ms / 1000;

	if (sec < 60)
		snprintf(buf, 32, "%llu s", (unsigned long long)sec);
	else if (sec < 3600)
		snprintf(buf, 32, "%llu min %llu s", (unsigned long long)(sec / 60),
			 (unsigned long long)(sec % 60));
	else
		snprintf(buf, 32, "%llu h %llu min", (unsigned long long)(sec / 3600),
			 (unsigned long long)(sec / 60 % 60));
	return buf;
}

static const char *bytes_text(uint64_t bytes, char buf[static 32])
{
	if (bytes >= 1 << 20)
		snprintf(buf, 32, "%.1f MiB", (double)bytes / (1 << 20));
	else
		snprintf(buf, 32, "%.1f KiB", (double)bytes / (1 << 10));
	return buf;
}

static void print_apps(const struct status *s)
{
	printf("%-24s %8s %10s  %-17s  %6s %8s  %10s  %s\n", "APPLICATION", "PID", "USER", "MAC",
	       "LEASES", "CHANNELS", "MEMORY", "ATTACHED");
	for (size_t i = 0; i < s->cnt; i++) {
		const struct ctl_app *a = &s->msgs[i].app;
		char mac[MAC_ADDR_TEXT_BYTES], since[32], mem[32];

		if (s->msgs[i].type == CTL_STATUS_APP)
			printf("%-24s %8d %10u  %-17s  %6u %8u  %10s  %s\n", a->name, a->pid, a->uid,
			       mac_text(a->mac, mac), a->leases, a->channels,
			       bytes_text(a->memory_bytes, mem),
			       duration_text(a->attached_ms, since));
	}
}

static void print_leases(const struct status *s)
{
	printf("\n%-6s %-30s %s\n", "LEASE", "LOCAL", "APPLICATION");
	for (size_t i = 0; i < s->cnt; i++) {
		const struct ctl_lease *l = &s->msgs[i].lease;
		char local[ENDPOINT_TEXT_BYTES], app[64];

		if (s->msgs[i].type == CTL_STATUS_LEASE)
			printf("%-6s %-30s %s\n", proto_name(l->local.proto),
			       local_text(&l->local, local), app_text(s, l->app_id, app));
	}
}

static void print_channels(const struct status *s)
{
	printf("\n%-10s %-30s %-30s %s\n", "CHANNEL", "BETWEEN", "AND", "FRAMES");
	for (size_t i = 0; i < s->cnt; i++) {
		const struct ctl_channel *c = &s->msgs[i].channel;
		char a[64], b[64];

		if (s->msgs[i].type == CTL_STATUS_CHANNEL)
			printf("%-10u %-30s %-30s 2 x %u of %u bytes\n", c->id,
			       app_text(s, c->app_id, a), app_text(s, c->peer_app_id, b),
			       c->params.frame_cnt, c->params.frame_bytes);
	}
}

static const char *interface_name(const struct status *s, uint32_t ifindex)
{
	for (size_t i = 0; i < s->cnt; i++)
		if (s->msgs[i].type == CTL_STATUS_INTERFACE && s->msgs[i].interface.ifindex == ifindex)
			return s->msgs[i].interface.name;
	return "?";
}

static const char *mode_text(uint32_t flags)
{
	if (flags & CTL_INTERFACE_GATEWAY)
		return "gateway";
	return flags & CTL_INTERFACE_TC ? "tc" : "native";
}

/* How frames get into and out of an application's memory. */
static const char *frames_text(const struct ctl_interface *c)
{
	return c->memory_bytes == 0 ? "-" : c->flags & CTL_INTERFACE_ZERO_COPY ? "zero-copy" : "copied";
}

/* Words of enum ctl_macs, and what is to be known of the bad ones. */
static const struct {
	const char *word, *text;
} macs[CTL_MACS_CNT] = {
	[CTL_MACS_OFF] = { "off", NULL },
	[CTL_MACS_UNTRIED] = { "untried", NULL },
	[CTL_MACS_REACHED] = { "reached", NULL },
	[CTL_MACS_BLOCKED] = { "blocked", "nothing sent to applications' MAC addresses arrives (port security? a cloud?): they are told apart by port" },
	[CTL_MACS_ONE] = { "one", "has one MAC address only: applications are told apart by port" },
};

enum { PREFIX_TEXT_BYTES = IP_ADDR_TEXT_BYTES + 4 };

/* "2001:db8:1::/64"; of an application "2001:db8:1::5" */
static const char *prefix_text(const struct ctl_interface *c, char buf[static PREFIX_TEXT_BYTES])
{
	struct ip_addr addr = ip_addr_from_v6(c->addr);

	ip_addr_format(&addr, buf);
	if (c->prefix_len != 128)
		snprintf(buf + strlen(buf), 5, "/%u", c->prefix_len);
	return buf;
}

static void print_interfaces(const struct status *s)
{
	printf("\n%-16s %-30s %-17s  %6s %-8s %-10s %s\n", "INTERFACE", "APPLICATION", "MAC", "MTU", "XDP", "FRAMES",
	       "MEMORY");
	for (size_t i = 0; i < s->cnt; i++) {
		const struct ctl_interface *c = &s->msgs[i].interface;
		char app[64] = "-", mac[MAC_ADDR_TEXT_BYTES], mem[32] = "-", text[PREFIX_TEXT_BYTES];

		if (s->msgs[i].type != CTL_STATUS_INTERFACE)
			continue;
		if (c->memory_bytes > 0) {
			app_text(s, c->app_id, app);
			bytes_text(c->memory_bytes, mem);
		}
		printf("%-16s %-30s %-17s  %6u %-8s %-10s %s\n", c->name, app, mac_text(c->mac, mac), c->mtu,
		       mode_text(c->flags), frames_text(c), mem);
		if (c->prefix_len != 0)
			printf("%-16s   %s %s\n", "", c->memory_bytes > 0 ? "has the address" : "applications have addresses of", prefix_text(c, text));
		if (c->memory_bytes == 0 && (c->flags & CTL_INTERFACE_RULES) != 0)
			printf("%-16s   its ports are left to the kernel, for rules of routing or too many routes; see: ip rule\n", "");
		if (c->memory_bytes == 0 && macs[c->macs].text != NULL)
			printf("%-16s   %s\n", "", macs[c->macs].text);
	}
}

static void print_counters(const struct status *s)
{
	printf("\n%-16s %-30s %-16s %-16s %12s\n", "INTERFACE", "APPLICATION", "WHERE", "WHAT", "COUNT");
	for (size_t i = 0; i < s->cnt; i++) {
		const struct ctl_counter *c = &s->msgs[i].counter;
		char app[64] = "-";

		if (s->msgs[i].type != CTL_STATUS_COUNTER)
			continue;
		if (c->app_id != 0)
			app_text(s, c->app_id, app);
		printf("%-16s %-30s %-16s %-16s %12llu\n", interface_name(s, c->ifindex), app, c->where, c->name,
		       (unsigned long long)c->value);
	}
}

/* Of all applications. What one of them has no answer for is not shown. */
static void collect_rules(struct ctl_client *client, struct status *s)
{
	for (size_t i = 0; i < s->cnt; i++) {
		struct ctl_report_rule *all;
		void *rules;
		uint32_t cnt;

		if (s->msgs[i].type != CTL_STATUS_APP || s->msgs[i].app.leases == 0 ||
		    ask_rules(client, &s->msgs[i].app, &rules, &cnt) < 0)
			continue;
		all = realloc(s->rules, (s->rule_cnt + cnt + 1) * sizeof(*all));
		if (all != NULL) {
			s->rules = all;
			memcpy(all + s->rule_cnt, rules, cnt * sizeof(*all));
			s->rule_cnt += cnt;
		}
		free(rules);
	}
}

static bool has_type(const struct status *s, uint32_t type)
{
	for (size_t i = 0; i < s->cnt; i++)
		if (s->msgs[i].type == type)
			return true;
	return false;
}

/* "last refused: LEASE of redis-server[1234], 5 s ago: ..." */
static void print_last_refused(const struct ctl_daemon *d)
{
	char ago[32];

	if (d->last_refusal != CTL_REFUSAL_NONE)
		printf("last refused: %s of %s[%d], %s ago: %s\n", d->last_request != 0 ? ctl_type_name(d->last_request) : "a message",
		       d->last_name[0] != '\0' ? d->last_name : "?", d->last_pid, duration_text(d->last_s * UINT64_C(1000), ago),
		       ctl_refusal_text((enum ctl_refusal)d->last_refusal));
}

static void print_tables(const struct status *s, const char *path)
{
	const struct ctl_daemon *d = &s->msgs[s->cnt - 1].daemon;
	char up[32];

	printf("vjd %s, pid %d, %s, up %s, at %s\n", d->release, d->pid,
	       d->private_mode ? "private" : "service", duration_text(d->uptime_ms, up), path);
	printf("%u application%s, %u lease%s, %u channel%s; %llu request%s refused, %llu malformed\n", d->apps,
	       plural(d->apps), d->leases, plural(d->leases), d->channels, plural(d->channels),
	       (unsigned long long)d->refused, plural(d->refused), (unsigned long long)d->malformed);
	print_last_refused(d);
	if (d->apps > 0)
		putchar('\n');
	if (d->apps > 0)
		print_apps(s);
	if (d->leases > 0)
		print_leases(s);
	if (d->channels > 0)
		print_channels(s);
	if (has_type(s, CTL_STATUS_INTERFACE))
		print_interfaces(s);
	if (has_type(s, CTL_STATUS_COUNTER))
		print_counters(s);
	if (s->rule_cnt > 0)
		putchar('\n');
	ask_print_rules(s->rules, s->rule_cnt);
}

static json_t *json_app(const struct ctl_app *a)
{
	char mac[MAC_ADDR_TEXT_BYTES];

	return json_pack("{s:I, s:i, s:I, s:s, s:s, s:i, s:i, s:I, s:f}", "id", (json_int_t)a->id, "pid",
			 a->pid, "uid", (json_int_t)a->uid, "name", a->name, "mac", mac_text(a->mac, mac),
			 "leases", (int)a->leases, "channels", (int)a->channels, "memory_bytes",
			 (json_int_t)a->memory_bytes, "attached_s", (double)a->attached_ms / 1000);
}

static json_t *json_lease(const struct ctl_lease *l)
{
	struct ip_addr addr = ip_addr_from_v6(l->local.addr);
	char text[IP_ADDR_TEXT_BYTES];

	return json_pack("{s:I, s:I, s:s, s:s, s:i}", "id", (json_int_t)l->id, "app_id", (json_int_t)l->app_id,
			 "proto", proto_name(l->local.proto), "addr", ip_addr_format(&addr, text),
			 "port", (int)l->local.port);
}

static json_t *json_channel(const struct ctl_channel *c)
{
	return json_pack("{s:I, s:I, s:I, s:i, s:i, s:i}", "id", (json_int_t)c->id, "app_id",
			 (json_int_t)c->app_id, "peer_app_id", (json_int_t)c->peer_app_id, "frame_bytes",
			 (int)c->params.frame_bytes, "frame_cnt", (int)c->params.frame_cnt,
			 "ring_cnt", (int)c->params.ring_cnt);
}

/* Of an application: with @app_id. */
static json_t *json_interface(const struct ctl_interface *c)
{
	char mac[MAC_ADDR_TEXT_BYTES], text[PREFIX_TEXT_BYTES];
	json_t *o = json_pack("{s:i, s:s, s:s, s:i, s:s, s:b}", "ifindex", (int)c->ifindex, "name", c->name, "mac",
			      mac_text(c->mac, mac), "mtu", (int)c->mtu, "xdp", mode_text(c->flags), "ports_left_to_kernel",
			      (c->flags & CTL_INTERFACE_RULES) != 0);

	if (c->prefix_len != 0)
		json_object_set_new(o, c->memory_bytes > 0 ? "addr" : "application_prefix", json_string(prefix_text(c, text)));
	if (c->memory_bytes == 0)
		json_object_set_new(o, "application_macs", json_string(macs[c->macs].word));
	if (c->memory_bytes > 0) {
		json_object_set_new(o, "app_id", json_integer(c->app_id));
		json_object_set_new(o, "frames", json_string(frames_text(c)));
		json_object_set_new(o, "memory_bytes", json_integer((json_int_t)c->memory_bytes));
	}
	return o;
}

static json_t *json_counter(const struct ctl_counter *c)
{
	return json_pack("{s:i, s:I, s:s, s:s, s:I}", "ifindex", (int)c->ifindex, "app_id", (json_int_t)c->app_id, "where",
			 c->where, "name", c->name, "value", (json_int_t)c->value);
}

static json_t *json_daemon(const struct ctl_daemon *d, const char *path)
{
	json_t *o = json_pack("{s:s, s:i, s:I, s:b, s:f, s:s, s:I, s:I}", "release", d->release, "pid",
			      d->pid, "uid", (json_int_t)d->uid, "private", d->private_mode, "uptime_s",
			      (double)d->uptime_ms / 1000, "socket", path, "refused",
			      (json_int_t)d->refused, "malformed", (json_int_t)d->malformed);

	if (d->last_refusal != CTL_REFUSAL_NONE)
		json_object_set_new(o, "last_refused",
				    json_pack("{s:s, s:s, s:i, s:I, s:s, s:s}", "request", ctl_type_name(d->last_request), "name",
					      d->last_name, "pid", d->last_pid, "ago_s", (json_int_t)d->last_s, "why",
					      ctl_refusal_name((enum ctl_refusal)d->last_refusal), "text",
					      ctl_refusal_text((enum ctl_refusal)d->last_refusal)));
	return o;
}

static int print_json(const struct status *s, const char *path)
{
	json_t *apps = json_array(), *leases = json_array(), *channels = json_array(), *root;
	json_t *interfaces = json_array(), *counters = json_array();
	int rc;

	for (size_t i = 0; i < s->cnt; i++) {
		const struct ctl_msg *m = &s->msgs[i];

		if (m->type == CTL_STATUS_APP)
			json_array_append_new(apps, json_app(&m->app));
		else if (m->type == CTL_STATUS_LEASE)
			json_array_append_new(leases, json_lease(&m->lease));
		else if (m->type == CTL_STATUS_CHANNEL)
			json_array_append_new(channels, json_channel(&m->channel));
		else if (m->type == CTL_STATUS_INTERFACE)
			json_array_append_new(interfaces, json_interface(&m->interface));
		else if (m->type == CTL_STATUS_COUNTER)
			json_array_append_new(counters, json_counter(&m->counter));
	}
	root = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "daemon",
			 json_daemon(&s->msgs[s->cnt - 1].daemon, path), "applications", apps,
			 "leases", leases, "channels", channels, "interfaces", interfaces, "counters", counters, "rules",
			 ask_json_rules(s->rules, s->rule_cnt));
	rc = root != NULL ? json_dumpf(root, stdout, CMD_JSON) : -1;
	putchar('\n');
	json_decref(root);
	return rc < 0 ? -ENOMEM : 0;
}

static int show(struct ctl_client *client, bool json)
{
	struct status s = { .self_id = ctl_client_welcome(client)->app_id };
	int rc = ctl_client_status(client, collect, &s);

	if (rc == 0 && (s.failed || s.cnt == 0 || s.msgs[s.cnt - 1].type != CTL_STATUS_END))
		rc = s.failed ? -ENOMEM : -EPROTO;
	if (rc == 0)
		collect_rules(client, &s);
	if (rc == 0 && json)
		rc = print_json(&s, ctl_client_path(client));
	else if (rc == 0)
		print_tables(&s, ctl_client_path(client));
	if (rc < 0)
		complain("status: vjd did not tell: %s", strerror(-rc));
	free(s.msgs);
	free(s.rules);
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_status(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct ask_options *o = opts;
	struct ctl_client *client;
	int rc;

	if (argc > 0)
		return takes_no(cmd, argv[0]);
	rc = ask_open(cmd->name, o->socket, &client);
	if (rc != EXIT_OK)
		return rc;
	rc = show(client, o->json);
	ctl_client_close(client);
	return rc;
}
