// SPDX-License-Identifier: BSD-2-Clause
/* vj attach, vj detach: have vjd offer channels at an interface of the host, or no longer. */
#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/doctor.h"

#include <errno.h>
#include <string.h>

enum { ATTACH_TIMEOUT_MS = 120000 }; /* programs are checked and compiled by the kernel meanwhile */

struct attach_options {
	const char *socket, *prefix;
	bool tc, gateway;
};

#define OPT(member) offsetof(struct attach_options, member)
const struct opt attach_opts[] = {
	{ .name = "tc",
	  .type = OPT_FLAG,
	  .offset = OPT(tc),
	  .help = "leave the interface's place for XDP free, for programs that come later; slower" },
	{ .name = "app-prefix",
	  .value = "PREFIX",
	  .type = OPT_STRING,
	  .offset = OPT(prefix),
	  .help = "give each application an IPv6 address of its own, out of this prefix of the network there (/64 to /120); when: vj help attach" },
	{ .name = "gateway",
	  .type = OPT_FLAG,
	  .offset = OPT(gateway),
	  .help = "no channels: what this host sends there, to applications of other hosts, goes to their own MAC addresses" },
	ASK_OPT_SOCKET(OPT(socket)),
	{ 0 },
};
const struct opt detach_opts[] = {
	{ .name = "gateway", .type = OPT_FLAG, .offset = OPT(gateway), .help = "no gateway to applications of other hosts any more; channels there stay" },
	ASK_OPT_SOCKET(OPT(socket)),
	{ 0 },
};
_Static_assert(sizeof(struct attach_options) <= CMD_OPTS_BYTES, "has to fit");

/* What can be done about it, where that is not plain from the message. */
static const char *advice(int err)
{
	switch (-err) {
	case EPERM:
		return "; use sudo, and start vjd as root";
	case ENODEV:
		return "; which there are: ip link";
	case EBUSY:
		return "; other programs hold its XDP and tc hooks, see: bpftool net, tc filter show";
	case EALREADY:
		return "; another vjd serves the interfaces of this network namespace, vjd's log says which";
	case EUCLEAN:
		return "; /sys/fs/bpf or vjchan in it is another user's, or others may write there, see: vj doctor";
	case EMEDIUMTYPE:
		return "; it carries no Ethernet frames. Programs of one host need no interface, so lo needs no attaching";
	case EEXIST:
		return "; applications have addresses of another prefix there, or of this one at another interface: vj status";
	case EOPNOTSUPP:
		return "; see: vj doctor";
	default:
		return "";
	}
}

/* What became of the connections there? */
static void detached(const struct ctl_interface *said)
{
	if (said->given != 0)
		printf("%s: connections of applications that go on as the kernel's: %u\n", said->name, said->given);
	if (said->ended != 0)
		printf("%s: connections that have ended, since they could not become the kernel's: %u\n", said->name, said->ended);
	if (said->silent != 0)
		printf("%s: applications that did not answer in time, and whose connections have ended: %u\n", said->name, said->silent);
}

static int change(const char *socket, const char *name, enum ctl_client_attach how, const struct ip_prefix *prefix)
{
	bool attach = how != CTL_CLIENT_DETACH && how != CTL_CLIENT_DETACH_GATEWAY;
	const char *verb = attach ? "attach" : "detach";
	struct ctl_interface said;
	struct ctl_client *client;
	int r = ask_open(verb, socket, &client);

	if (r != EXIT_OK)
		return r;
	if (attach && ctl_client_welcome(client)->private_mode) {
		complain("attach %s: the vjd at %s is a private one, and only the host's has interfaces: sudo systemctl start vjd-interfaces, or sudo vjd, "
			 "and without --socket and VJ_SOCKET it is the one that is asked", name, ctl_client_path(client));
		ctl_client_close(client);
		return EXIT_FAILED;
	}
	ctl_client_timeout_set(client, ATTACH_TIMEOUT_MS);
	r = ctl_client_attach(client, name, how, prefix, &said);
	ctl_client_close(client);
	if (r == -ENODEV && !attach) {
		complain("detach %s: it isn't %s; which are: vj status", name,
			 how == CTL_CLIENT_DETACH_GATEWAY ? "a gateway" : "attached");
		return EXIT_FAILED;
	}
	if (r < 0) {
		complain("%s %s: %s%s", verb, name, strerror(-r), advice(r));
		return EXIT_FAILED;
	}
	if ((said.flags & CTL_INTERFACE_GATEWAY) != 0) {
		printf(attach ? "%s: a gateway to applications' own MAC addresses; which it has learned: vj arp\n" :
				"%s: no gateway any more\n",
		       said.name);
		return EXIT_OK;
	}
	if (!attach) {
		printf("%s: the kernel's alone again\n", said.name);
		detached(&said);
		return EXIT_OK;
	}
	printf("%s: channels are offered, MTU %u%s\n", said.name, said.mtu, (said.flags & CTL_INTERFACE_TC) != 0 ? "; by tc, which is slower than XDP" : "");
	if (said.prefix_len != 0) {
		struct ip_addr addr = ip_addr_from_v6(said.addr);
		char text[IP_ADDR_TEXT_BYTES];

		printf("%s: applications have addresses of %s/%u; which: vj status\n", said.name, ip_addr_format(&addr, text),
		       said.prefix_len);
	}
	if ((said.flags & CTL_INTERFACE_RULES) != 0)
		printf("%s: but ports are left to the kernel, for rules of routing or too many routes; see: ip rule\n", said.name);
	/* a service that was reached through the kernel may not be reached through a channel: say so now */
	doctor_faults_only();
	doctor_attached(said.ifindex);
	doctor_interface(said.name, true);
	return EXIT_OK;
}

int cmd_attach(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct attach_options *o = opts;
	enum ctl_client_attach how = o->gateway ? CTL_CLIENT_DETACH_GATEWAY : CTL_CLIENT_DETACH;
	struct ip_prefix prefix;
	int worst = EXIT_OK;

	if (o->gateway && o->tc) {
		complain("%s: a gateway has no place of XDP's; --gateway or --tc", cmd->name);
		return EXIT_USAGE;
	}
	if (strcmp(cmd->name, "attach") == 0)
		how = o->gateway ? CTL_CLIENT_ATTACH_GATEWAY : o->tc ? CTL_CLIENT_ATTACH_TC : CTL_CLIENT_ATTACH;
	if (o->prefix != NULL && ip_prefix_parse(o->prefix, &prefix) < 0) {
		complain("%s: '%s' is no prefix: as 2001:db8:1::/64, with no bit set behind it", cmd->name, o->prefix);
		return EXIT_USAGE;
	}
	if (o->prefix != NULL && ctl_prefix_fault(&prefix) != NULL) {
		complain("%s: '%s': %s", cmd->name, o->prefix, ctl_prefix_fault(&prefix));
		return EXIT_USAGE;
	}
	if (o->prefix != NULL && (o->gateway || argc > 1)) {
		complain("%s: --app-prefix is for one interface with channels", cmd->name);
		return EXIT_USAGE;
	}
	if (argc == 0) {
		complain("%s: which interface? see: vj help %s", cmd->name, cmd->name);
		return EXIT_USAGE;
	}
	for (int i = 0; i < argc; i++) {
		int rc = change(o->socket, argv[i], how, o->prefix != NULL ? &prefix : NULL);

		worst = rc != EXIT_OK ? rc : worst;
	}
	return worst;
}
