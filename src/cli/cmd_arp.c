// SPDX-License-Identifier: BSD-2-Clause
/* vj arp: MAC addresses claimed for applications, and learned of others'. vj resolve: whose is a port of another host? */
#include "cli/ask.h"
#include "cli/cmd.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { RESOLVE_TIMEOUT_MS = 5000 };

static const char *const kinds[CTL_MAC_KIND_CNT] = {
	"?", "claiming", "claimed", "quarantine", "learned", "canonical", "asking", "silent", "routed", "local", "blocked",
	"address", "trying",
};

static const char *mac_text(const uint8_t bytes[static 6], char buf[static MAC_ADDR_TEXT_BYTES])
{
	static const uint8_t none[6];
	struct mac_addr mac;

	memcpy(mac.bytes, bytes, sizeof(mac.bytes));
	return memcmp(bytes, none, sizeof(none)) == 0 ? "-" : mac_addr_format(&mac, buf);
}

static const char *proto_text(uint8_t proto)
{
	return proto == CTL_PROTO_UDP ? "udp" : "tcp";
}

/* An application's IP address */
static bool is_address(const struct ctl_mac *m)
{
	return m->kind == CTL_MAC_ADDRESS || m->kind == CTL_MAC_ADDRESS_TRIED;
}

/* Learned of another host, or asked for; else claimed here. */
static bool is_of_another(const struct ctl_mac *m)
{
	static const uint8_t none[16];

	return memcmp(m->addr, none, sizeof(none)) != 0 && !is_address(m);
}

/* "10.0.0.1:6379/tcp", "[fd00::1]:32768-32799/udp"; of a whole host "10.0.0.1" */
static const char *endpoint_text(const struct ctl_mac *m, char buf[static 80])
{
	struct endpoint ep = { ip_addr_from_v6(m->addr), m->port_lo };
	char text[ENDPOINT_TEXT_BYTES], last[8] = "";

	if (m->proto == 0)
		return ip_addr_format(&ep.addr, buf);
	if (m->port_hi != m->port_lo)
		snprintf(last, sizeof(last), "-%u", m->port_hi);
	snprintf(buf, 80, "%s%s/%s", endpoint_format(&ep, text), last, proto_text(m->proto));
	return buf;
}

static json_t *json_of(const struct ctl_mac *m)
{
	char mac[MAC_ADDR_TEXT_BYTES], canonical[MAC_ADDR_TEXT_BYTES], addr[IP_ADDR_TEXT_BYTES];
	struct ip_addr ip = ip_addr_from_v6(m->addr);
	json_t *o = json_pack("{s:s, s:s, s:s, s:f, s:f}", "interface", m->name, "state", kinds[m->kind], "canonical_mac",
			      mac_text(m->canonical, canonical), "age_s", (double)m->age_ms / 1000, "left_s",
			      (double)m->left_ms / 1000);

	json_object_set_new(o, "mac", json_string(mac_text(m->mac, mac)));
	if (m->app_id != 0)
		json_object_set_new(o, "app_id", json_integer(m->app_id));
	if (!is_of_another(m) && !is_address(m))
		return o;
	json_object_set_new(o, "addr", json_string(ip_addr_format(&ip, addr)));
	if (m->proto == 0) /* all its ports */
		return o;
	json_object_set_new(o, "proto", json_string(proto_text(m->proto)));
	json_object_set_new(o, "port_first", json_integer(m->port_lo));
	json_object_set_new(o, "port_last", json_integer(m->port_hi));
	json_object_set_new(o, "generation", json_integer(m->gen));
	return o;
}

static int put_json(json_t *root)
{
	int rc = root != NULL ? json_dumpf(root, stdout, CMD_JSON) : -1;

	putchar('\n');
	json_decref(root);
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

/* ---- arp */

struct list {
	struct ctl_mac *macs;
	size_t cnt, room;
	struct ask_apps apps;
	bool failed;
};

static void collect(void *arg, const struct ctl_mac *mac)
{
	struct list *l = arg;

	if (l->cnt == l->room) {
		size_t room = l->room == 0 ? 64 : 2 * l->room;
		struct ctl_mac *macs = realloc(l->macs, room * sizeof(*macs));

		if (macs == NULL) {
			l->failed = true;
			return;
		}
		l->macs = macs;
		l->room = room;
	}
	l->macs[l->cnt++] = *mac;
}

static const char *owner_text(const struct list *l, uint32_t app_id, char buf[static 64])
{
	snprintf(buf, 64, app_id == 0 ? "-" : "application %u", app_id);
	for (size_t i = 0; i < l->apps.cnt; i++)
		if (l->apps.apps[i].id == app_id)
			snprintf(buf, 64, "%s[%d]", l->apps.apps[i].name, l->apps.apps[i].pid);
	return buf;
}

static const char *left_text(const struct ctl_mac *m, char buf[static 24])
{
	if (m->left_ms == 0)
		return "-";
	snprintf(buf, 24, "%llu s", (unsigned long long)((m->left_ms + 999) / 1000));
	return buf;
}

static void print_claimed(const struct list *l)
{
	printf("%-16s %-17s  %-11s %-30s %8s %8s\n", "INTERFACE", "MAC", "STATE", "APPLICATION", "AGE", "LEFT");
	for (size_t i = 0; i < l->cnt; i++) {
		const struct ctl_mac *m = &l->macs[i];
		char mac[MAC_ADDR_TEXT_BYTES], owner[64], left[24];

		if (!is_of_another(m) && !is_address(m))
			printf("%-16s %-17s  %-11s %-30s %6llu s %8s\n", m->name, mac_text(m->mac, mac), kinds[m->kind],
			       owner_text(l, m->app_id, owner), (unsigned long long)m->age_ms / 1000, left_text(m, left));
	}
}

static void print_addresses(const struct list *l)
{
	bool any = false;

	for (size_t i = 0; i < l->cnt; i++) {
		const struct ctl_mac *m = &l->macs[i];
		char mac[MAC_ADDR_TEXT_BYTES], text[80], owner[64];

		if (!is_address(m))
			continue;
		if (!any)
			printf("\n%-16s %-40s %-17s  %-11s %-30s %8s\n", "INTERFACE", "ADDRESS", "AT MAC", "STATE", "APPLICATION", "AGE");
		any = true;
		printf("%-16s %-40s %-17s  %-11s %-30s %6llu s\n", m->name, endpoint_text(m, text), mac_text(m->mac, mac), kinds[m->kind],
		       owner_text(l, m->app_id, owner), (unsigned long long)m->age_ms / 1000);
	}
}

static void print_learned(const struct list *l)
{
	bool any = false;

	for (size_t i = 0; i < l->cnt; i++) {
		const struct ctl_mac *m = &l->macs[i];
		char mac[MAC_ADDR_TEXT_BYTES], canonical[MAC_ADDR_TEXT_BYTES], ep[80], left[24], where[CTL_NAME_MAX + 16];

		if (!is_of_another(m))
			continue;
		if (!any)
			printf("\n%-16s %-40s %-17s  %-11s %-17s  %8s %8s\n", "INTERFACE", "PORT OF ANOTHER HOST", "MAC", "STATE",
			       "CANONICAL", "AGE", "LEFT");
		any = true;
		snprintf(where, sizeof(where), "%s%s", m->name, m->gateway != 0 ? ", gateway" : "");
		printf("%-16s %-40s %-17s  %-11s %-17s  %6llu s %8s\n", where, endpoint_text(m, ep), mac_text(m->mac, mac),
		       kinds[m->kind], mac_text(m->canonical, canonical), (unsigned long long)m->age_ms / 1000,
		       left_text(m, left));
	}
}

static int print_list(const struct list *l, bool json)
{
	json_t *claimed, *addresses, *learned;

	if (!json) {
		if (l->cnt == 0)
			puts("no MAC addresses: no interface is attached (vj attach), or vjd runs with --parp off");
		else
			print_claimed(l);
		print_addresses(l);
		print_learned(l);
		return EXIT_OK;
	}
	claimed = json_array();
	addresses = json_array();
	learned = json_array();
	for (size_t i = 0; i < l->cnt; i++) {
		json_t *o = json_of(&l->macs[i]);

		if (is_of_another(&l->macs[i]))
			json_object_set_new(o, "asked_by", json_string(l->macs[i].gateway != 0 ? "gateway" : "applications"));
		json_array_append_new(is_address(&l->macs[i]) ? addresses : is_of_another(&l->macs[i]) ? learned : claimed, o);
	}
	return put_json(json_pack("{s:o, s:o, s:o}", "claimed", claimed, "addresses", addresses, "learned", learned));
}

int cmd_arp(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct ask_options *o = opts;
	struct list l = { .cnt = 0 };
	struct ctl_client *client;
	int r;

	if (argc > 0)
		return takes_no(cmd, argv[0]);
	r = ask_open(cmd->name, o->socket, &client);
	if (r != EXIT_OK)
		return r;
	r = ctl_client_macs(client, collect, &l);
	if (r == 0)
		r = ask_apps(client, 0, &l.apps);
	ctl_client_close(client);
	if (r < 0 || l.failed) {
		complain("%s: no answer from vjd: %s", cmd->name, strerror(r < 0 ? -r : ENOMEM));
		r = EXIT_FAILED;
	} else {
		r = print_list(&l, o->json);
		free(l.apps.apps);
	}
	free(l.macs);
	return r;
}

/* ---- resolve */

struct resolve_options {
	struct ask_options ask;
	bool udp;
};

#define OPT(member) offsetof(struct resolve_options, member)
const struct opt resolve_opts[] = {
	{ .name = "udp", .type = OPT_FLAG, .offset = OPT(udp), .help = "a UDP port; else TCP" },
	{ .name = "json", .type = OPT_FLAG, .offset = OPT(ask.json), .help = "one JSON object instead of sentences" },
	ASK_OPT_SOCKET(OPT(ask.socket)),
	{ 0 },
};
_Static_assert(sizeof(struct resolve_options) <= CMD_OPTS_BYTES, "has to fit");

/* Where the kernel sends to everybody there */
static bool is_to_all(const struct ctl_mac *m)
{
	return (m->canonical[0] & 1) != 0;
}

static void explain(const struct ctl_mac *m)
{
	char ep[80], mac[MAC_ADDR_TEXT_BYTES], buf[MAC_ADDR_TEXT_BYTES];
	const char *canonical = mac_text(m->canonical, buf);

	endpoint_text(m, ep);
	switch (m->kind) {
	case CTL_MAC_LEARNED:
		printf("%s is at %s on %s\n"
		       "an application's own address; the host's is %s, which vouches for it. Asked again after %llu s.\n",
		       ep, mac_text(m->mac, mac), m->name, canonical, (unsigned long long)(m->left_ms + 999) / 1000);
		break;
	case CTL_MAC_NEG:
		printf("%s is at %s on %s\n"
		       "the host's own address: it speaks PARP, and no one application there has the port, or none with an "
		       "address.\n",
		       ep, canonical, m->name);
		break;
	case CTL_MAC_BLOCKED:
		printf("%s is at %s on %s\n"
		       "the host's own address: it names %s for the port, but nothing sent there comes through. Port security, a "
		       "hypervisor or a cloud that lets one MAC address pass does that.\n",
		       ep, canonical, m->name, mac_text(m->mac, mac));
		break;
	case CTL_MAC_ROUTED:
		printf("%s is behind a router, at %s on %s\n", ep, canonical, m->name);
		break;
	case CTL_MAC_LOCAL:
		printf("%s is this host's own\n", ep);
		break;
	default:
		if (strcmp(canonical, "-") == 0)
			printf("%s: no host on %s has this address\n", ep, m->name);
		else if (is_to_all(m))
			printf("%s: the broadcast address of %s, no one host's\n", ep, m->name);
		else
			printf("%s is at %s on %s\n"
			       "the host's own address: it does not answer for ports. It runs no vjd, or the network drops PARP "
			       "(try vjd --parp e2 on both).\n",
			       ep, canonical, m->name);
	}
}

/* Where nobody is, nothing is resolved. */
static bool is_nowhere(const struct ctl_mac *m)
{
	static const uint8_t none[6];

	return m->kind == CTL_MAC_SILENT && (is_to_all(m) || memcmp(m->canonical, none, sizeof(none)) == 0);
}

/* Return: EXIT_OK; EXIT_USAGE: it is said what is wrong with @text (NULL: there is none) */
static int take_endpoint(const char *cmd, const char *text, struct endpoint *ret_ep)
{
	int r = text != NULL ? endpoint_parse(text, ret_ep) : -EINVAL;

	if (r == -ERANGE || (r == 0 && ret_ep->port == 0))
		complain("%s %s: port out of range: 1 to 65535", cmd, text);
	else if (r < 0 && text != NULL && strchr(text, '%') != NULL)
		complain("%s %s: takes no zone (%%INTERFACE); the host's routes say where an address is", cmd, text);
	else if (r < 0)
		complain("%s: which endpoint? ADDRESS:PORT, as 10.0.0.1:6379 or [fd00::1]:53", cmd);
	else if (ip_addr_is_multicast(&ret_ep->addr) || ip_addr_is_broadcast(&ret_ep->addr))
		complain("%s %s: the address of many, no one host's", cmd, text);
	else if (ip_addr_is_any(&ret_ep->addr))
		complain("%s %s: any address, no one host's", cmd, text);
	else
		return EXIT_OK;
	return EXIT_USAGE;
}

int cmd_resolve(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct resolve_options *o = opts;
	struct ctl_client *client;
	struct endpoint ep;
	struct ctl_mac mac;
	int r;

	if (argc > 1)
		return takes_no(cmd, argv[1]);
	r = take_endpoint(cmd->name, argc > 0 ? argv[0] : NULL, &ep);
	if (r != EXIT_OK)
		return r;
	r = ask_open(cmd->name, o->ask.socket, &client);
	if (r != EXIT_OK)
		return r;
	ctl_client_timeout_set(client, RESOLVE_TIMEOUT_MS);
	r = ctl_client_ask(client, &ep, o->udp ? CTL_PROTO_UDP : CTL_PROTO_TCP, &mac);
	ctl_client_close(client);
	if (r < 0) {
		complain("%s %s: %s", cmd->name, argv[0],
			 r == -ENODEV ? "no attached interface leads there; which are: vj status" : strerror(-r));
		return EXIT_FAILED;
	}
	if (o->ask.json)
		r = put_json(json_of(&mac));
	else
		explain(&mac);
	return is_nowhere(&mac) ? EXIT_FAILED : r;
}
