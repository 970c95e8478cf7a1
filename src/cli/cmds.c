// SPDX-License-Identifier: BSD-2-Clause
/* The table of commands: see cmd.h. The options of each stand in its own file. */
#include "cli/cmd.h"

#include <string.h>

const struct cmd cmds[] = {
	{
		.name = "run",
		.help = "run an unmodified program on network channels",
		.args = "[--] PROGRAM [ARGUMENT...]",
		.about = "Starts PROGRAM with its TCP and UDP sockets on channels wherever the "
			 "other end is on this host and "
			 "on channels too, or is reached through an interface at which vjd offers channels (vj attach), and on "
			 "the kernel's sockets everywhere else. A port on "
			 "which it listens, or to which a UDP socket is bound, is "
			 "reachable both ways. Needs no privilege and no configuration: if no vjd "
			 "runs, a private one is started, "
			 "which leaves when its last program does. Where none can be had, or the one that is there is stopped, "
			 "PROGRAM is on the kernel's sockets, which is said on standard error; it has channels as soon as vjd answers, for which the first of its sockets waits two seconds.\n\n"
			 "So is a program that is statically linked, 32-bit, set-user-id or of Go, which no library can be put in front of; --strict starts "
			 "none of these. Programs that PROGRAM starts are on channels as well, as far as they can be.",
		.example = "vj run -- redis-server --port 7000\n"
			   "vj run -- redis-benchmark -p 7000 -t get\n"
			   "vj run --pcap /tmp/%p.pcap -- curl http://127.0.0.1:8000/",
		.opts = run_opts,
		.kind_of_args = CMD_ARGS_PROGRAM,
		.exits = { { 1, "the file of --pcap can't be written; with --strict: vjd or the preload library could not be had" },
			   { 2, "wrong use" },
			   { 126,
			     "the program is there, but cannot be run; with --strict: or cannot be on channels" },
			   { 127, "no such program" },
			   { -1, "that of the program" } },
		.run = cmd_run,
	},
	{
		.name = "status",
		.help = "show applications, port leases and channels",
		.args = "",
		.about = "Asks vjd what it knows: every application of this user (all users, for "
			 "root), the ports each has "
			 "leased, the channels between them, and the daemon itself; the interfaces at which it offers channels, who "
			 "has one there, and what became of frames: taken, left to the kernel, spilled or dropped, by reason (COUNTERS in vj(1)); and rules of the "
			 "firewall that keep ports off channels.",
		.example = "vj status\nvj status --json | jq .applications",
		.opts = ask_opts,
		.exits = { { 0, "shown" },
			   { 1, "vjd runs, but gave no answer, or speaks another version" },
			   { 2, "wrong use" },
			   { 3, "no vjd runs" } },
		.run = cmd_status,
	},
	{
		.name = "connections",
		.help = "show TCP connections on channels, each with what it knows about itself",
		.args = "[PID]",
		.about = "Asks each application of this user (all users, for root), or the one of process PID, for its TCP "
			 "connections: state, round-trip time, congestion window, what is in flight, queued and unread, "
			 "retransmissions, and segments dropped with the reason. With --json all that getsockopt(TCP_INFO) would tell. "
			 "On a channel between two programs nothing is lost, so there is no round-trip time and no "
			 "congestion window there.\n\n"
			 "The application answers, not vjd: a program under `vj run` does at any time, even while it computes; "
			 "a native program when it next calls the library; one that is stopped does not.",
		.example = "vj connections\n"
			   "vj connections 1234 --json | jq '.applications[].connections[] | select(.unread_bytes > 0)'",
		.opts = ask_opts,
		.exits = { { 0, "shown" },
			   { 1, "vjd, or an application, gave no answer" },
			   { 2, "wrong use" },
			   { 3, "no vjd runs" } },
		.run = cmd_connections,
	},
	{
		.name = "why",
		.help = "show each socket of a process, and why it is not on a channel",
		.args = "PID...",
		.kind_of_args = CMD_ARGS_PROCESSES,
		.about = "Lists the TCP and UDP sockets of each process PID with the path that each takes: channel; kernel; both, for "
			 "sockets that listen, and UDP sockets, which take what comes either way; undecided. Behind what is the "
			 "kernel's stands the reason. A rule of the firewall that keeps a port of it off channels is quoted.\n\n"
			 "The library in the process tells, asked by vjd, so neither may be stopped; where one is, sockets that may be on channels have "
			 "\"unknown\" as their path, and it is said. Without --socket it is the vjd that the process was started with. Of a process that is not under vj run it is "
			 "said why it can't be, or that it was not started so.\n\n"
			 "In JSON, an object for each process, one after the other; \"this_host\": false says that a rule of the firewall keeps programs of this host off a "
			 "channel to the socket, whatever it has at interfaces. It is left out where no rule does.",
		.example = "vj why $(pidof nginx)\n"
			   "vj why 1234 --json | jq -r '.sockets[] | select(.path == \"kernel\") | .why.text'",
		.opts = ask_opts,
		.exits = { { 0, "shown" },
			   { 1, "there is no such process, it is another user's, or it is not under vj run, or it gave no answer, or vjd didn't, so that "
			     "a path is \"unknown\"" },
			   { 2, "wrong use" } },
		.run = cmd_why,
	},
	{
		.name = "arp",
		.help = "show MAC and IPv6 addresses of applications: claimed here, and learned of other hosts",
		.args = "",
		.about = "Lists the MAC addresses that vjd has claimed on the LANs of attached interfaces: those of applications, "
			 "those claimed ahead, and those in quarantine, whose application has ended or was given another; applications' "
			 "own IPv6 addresses (vj attach --app-prefix); and what is known of the ports of other hosts, by who asked: applications, or a gateway at the same "
			 "interface, which asks for itself. Everything works by the interfaces' own addresses as well; "
			 "with one of its own an application's frames are told from others by layer 2 alone.\n\n"
			 "Every user sees what is known of other hosts, and the addresses that no application has; those of applications "
			 "their own user, and root.\n\n"
			 "In JSON, \"claimed\" are the MAC addresses, \"addresses\" the IPv6 addresses of applications, \"learned\" the ports of "
			 "other hosts, each with \"asked_by\": \"applications\" or \"gateway\".",
		.example = "vj arp\nvj arp --json | jq '.claimed[] | select(.state == \"quarantine\")'",
		.opts = ask_opts,
		.exits = { { 0, "shown" },
			   { 1, "vjd runs, but gave no answer, or speaks another version" },
			   { 2, "wrong use" },
			   { 3, "no vjd runs" } },
		.run = cmd_arp,
	},
	{
		.name = "resolve",
		.help = "ask which MAC address has a port of another host, and explain the answer",
		.args = "ADDRESS:PORT",
		.about = "Has vjd ask the LAN by port-aware ARP, and shows whether the port has an application with a MAC address of its "
			 "own, or else why the host's own address is right. An answer counts only from the address that the kernel "
			 "has resolved for the host. Takes up to 3 seconds where nobody answers.",
		.example = "vj resolve 10.0.0.1:6379\nvj resolve --udp '[fd00::1]:53'",
		.opts = resolve_opts,
		.exits = { { 0, "there is an address to send to" },
			   { 1, "no attached interface leads there, nobody has the address, or vjd gave no answer" },
			   { 2, "wrong use" },
			   { 3, "no vjd runs" } },
		.run = cmd_resolve,
	},
	{
		.name = "firewall",
		.help = "show the host's nftables rules, with what channels have counted",
		.args = "",
		.about = "Lists the rules as nft does, in its syntax; in their counters is what the kernel has counted and what channels have. "
			 "Behind a rule that vjd does not compile, so that the ports which it concerns have no channel, and behind one that "
			 "keeps ports off channels between programs of this host only (it counts, limits or drops what they say to each other), "
			 "stands a comment that says so. For root, as nft is; which rule keeps a program's port off channels: vj why.",
		.example = "sudo vj firewall\nsudo vj firewall --json | jq '.nftables[].rule | select(.vjchan)'",
		.opts = firewall_opts,
		.exits = { { 0, "shown; there may be no rules" },
			   { 1, "not root, or vjd can't see or read the rules" },
			   { 2, "wrong use" },
			   { 3, "no vjd runs" } },
		.run = cmd_firewall,
	},
	{
		.name = "attach",
		.help = "offer channels at an interface of the host",
		.args = "INTERFACE...",
		.kind_of_args = CMD_ARGS_INTERFACES,
		.about = "Has the vjd of the host give applications channels at INTERFACE: from then on programs under vj "
			 "serve the network there, and reach it, at the host's own addresses. All else goes to the kernel "
			 "as before. Where another XDP program is, it stays and goes first: what it passes on is looked at by a filter of tc, which "
			 "is slower. For root. A vjd that is killed, or ends while applications have channels there, has it again when "
			 "it is started; else it is to be said anew, or given to vjd as --attach.\n\n"
			 "With --gateway no channels are offered: packets that this host sends or forwards at INTERFACE go to the MAC addresses of "
			 "applications of other hosts, as far as port-aware ARP has told; vj arp shows which.\n\n"
			 "With --app-prefix each application has an IPv6 address of its own, out of PREFIX, besides the host's: every host of "
			 "the network there finds it by plain neighbour discovery. PREFIX has to be on link there, and nobody else's to give. A server of TCP gets its address "
			 "a second or two after its first two clients from other hosts, who come to the host's address; other applications after they first "
			 "use the network there. vj status shows the addresses; docs/interface-channel.md says what they are good for.",
		.example = "sudo vj attach eth0\nvj run -- redis-server\nsudo vj attach --gateway eth1\nsudo vj attach --app-prefix 2001:db8:1::/64 eth2",
		.opts = attach_opts,
		.exits = { { 0, "all are attached" },
			   { 1, "one could not be; the reason is said" },
			   { 2, "wrong use" },
			   { 3, "no vjd runs" } },
		.run = cmd_attach,
	},
	{
		.name = "detach",
		.help = "leave an interface to the kernel",
		.args = "INTERFACE...",
		.kind_of_args = CMD_ARGS_INTERFACES,
		.about = "Ends what vj attach began. Connections of applications over INTERFACE become the kernel's and go on, as far as the applications answer: "
			 "within 5 s of the last one given, and within 20 s in all; a second call ends the wait. Those of an application that is stopped, or at an "
			 "address of the application's own, break. What became of them is said.",
		.example = "sudo vj detach eth0",
		.opts = detach_opts,
		.exits = { { 0, "none is attached any more" },
			   { 1, "one was not attached, or could not be detached; the reason is said" },
			   { 2, "wrong use" },
			   { 3, "no vjd runs" } },
		.run = cmd_attach,
	},
	{
		.name = "doctor",
		.help = "find out what keeps channels from working well",
		.args = "[INTERFACE...]",
		.kind_of_args = CMD_ARGS_INTERFACES,
		.about = "Looks at the kernel, memory, vjd and the interfaces (all, or those named), and says of each what it means for "
			 "channels at interfaces, with the command that mends what isn't right. Of an interface that is named, it also looks "
			 "for a second at what comes in. Changes nothing.",
		.example = "sudo vj doctor eth0",
		.opts = doctor_opts,
		.exits = { { 0, "nothing was found that keeps channels at interfaces from working" },
			   { 1, "something keeps them from working, or there is no such interface" },
			   { 2, "wrong use" } },
		.run = cmd_doctor,
	},
	{
		.name = "bench",
		.help = "measure channels, beside the kernel's sockets",
		.args = "BENCHMARK...",
		.about = "Runs a benchmark between two processes pinned to different processors, "
			 "with a private vjd of its own. With "
			 "--vs kernel the same traffic goes over the kernel's nearest equivalent "
			 "in the same run, in turns, and the "
			 "ratio of the medians is given: always how many times better than the "
			 "kernel; and the median of the ratios of each turn, which a machine that changes "
			 "between turns disturbs less. The kernel is given its best "
			 "of several ways, which is named; of apps both sides are, "
			 "server and client pinned or left alone. Without --vs no way is tried, and the first is taken.",
		.example = "vj bench rtt --vs kernel\n"
			   "vj bench rpc --vs kernel --connections 1000 --json\n"
			   "vj bench all --vs kernel --runs 5",
		.topics = bench_topics,
		.opts = bench_opts,
		.exits = { { 0, "measured" },
			   { 1, "something failed on the way, or a value read back was wrong" },
			   { 2, "wrong use" },
			   { 130, "interrupted; everything was cleaned up" } },
		.run = cmd_bench,
	},
	{
		.name = "help",
		.help = "explain a command",
		.args = "[COMMAND]",
		.about = "Explains COMMAND, or lists all of them.",
		.opts = help_opts,
		.exits = { { 0, "explained" }, { 2, "no such command" } },
		.run = cmd_help,
	},
	{ 0 },
};

const struct cmd *cmd_find(const char *name)
{
	for (const struct cmd *c = cmds; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}
