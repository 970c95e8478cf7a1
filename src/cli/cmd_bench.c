// SPDX-License-Identifier: BSD-2-Clause
/* vj bench: options, and the table of benchmarks. What they do stands in bench.h. */
#include "cli/bench.h"
#include "cli/cmd.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define BENCHES(X)                                                                                \
	X(channel, "frames per second over a channel's bare rings; the kernel: datagrams over a " \
		   "Unix socket pair")                                                            \
	X(rtt, "time of a TCP round trip on one connection")                                      \
	X(rpc, "TCP requests per second, one outstanding on each of many connections")            \
	X(udp, "datagrams per second from one socket to another")                                 \
	X(cps, "TCP connections per second: connect, a message there and back, close")            \
	X(stream, "bits per second on one TCP connection: by copy, and in the channel's own memory") \
	X(redis, "unmodified redis-server and redis-benchmark under vj run, and reading back "    \
		 "every key written")                                                             \
	X(apps, "unmodified redis, nginx, memcached, iperf3, curl, node and others under vj run, each with "\
		"its own load generator")                                                         \
	X(idle, "processor time used by connected applications while nothing happens")            \
	X(c10m, "ten million TCP connections (--connections) that are open at a time: made, messages on random ones, each checked, " \
		"closed; takes some GB of memory")                                                \
	X(interface, "a kernel client at a network interface: datagrams into a native program, from sockets and as a driver brings them, "\
		     "redis, iperf3; in namespaces of its own, needs root")

const struct topic bench_topics[] = {
#define X(name, help) { #name, help },
	BENCHES(X)
#undef X
		{ "all", "all of these but c10m and interface" },
	{ NULL, NULL },
};

static int (*const bench_fns[])(struct bench_ctx *ctx) = {
#define X(name, help) bench_##name,
	BENCHES(X)
#undef X
};

#define OPT(member) offsetof(struct bench_options, member)
const struct opt bench_opts[] = {
	{ .name = "vs",
	  .value = "PEER",
	  .type = OPT_CHOICES,
	  .choices = "kernel|unix|lwip|rte_ring",
	  .offset = OPT(vs),
	  .help = "also measure these, with commas between: kernel, its TCP or UDP; unix, its Unix sockets; lwip, "
		  "another TCP in the program (Debian's liblwip); rte_ring, DPDK's (Debian's librte-ring)" },
	{ .name = "json",
	  .type = OPT_FLAG,
	  .offset = OPT(json),
	  .help = "one line of JSON for each benchmark: bench, unit, vj, kernel, ratio and more; "
		  "rates per second, times in seconds" },
	{ .name = "seconds",
	  .value = "S",
	  .type = OPT_REAL,
	  .offset = OPT(seconds),
	  .min = 0.05,
	  .max = 3600,
	  .def = "1",
	  .help = "length of each run, where time limits it" },
	{ .name = "runs",
	  .value = "N",
	  .type = OPT_INT,
	  .offset = OPT(runs),
	  .min = 1,
	  .max = BENCH_RUNS_MAX,
	  .def = "3",
	  .help = "runs of each side, in turns; the median counts; c10m has one" },
	{ .name = "wait",
	  .value = "HOW",
	  .type = OPT_CHOICE,
	  .choices = "busy|sleep",
	  .offset = OPT(wait),
	  .def = "busy",
	  .help = "rtt, rpc, udp, cps, stream, c10m: busy, never sleep, on both sides (not with one processor); or sleep, "
		  "as most programs do" },
	{ .name = "spin",
	  .value = "USEC",
	  .type = OPT_INT,
	  .offset = OPT(spin_us),
	  .min = -1,
	  .max = 1000000,
	  .def = "0",
	  .help = "--wait sleep: longest spin before sleeping; -1: none; 0: the library's" },
	{ .name = "bytes",
	  .value = "N",
	  .type = OPT_INT,
	  .offset = OPT(bytes),
	  .min = 8,
	  .max = BENCH_BYTES_MAX,
	  .def = "64",
	  .help = "channel, rtt, rpc, udp, cps, c10m, interface: size of a frame or message" },
	{ .name = "batch",
	  .value = "N",
	  .type = OPT_INT,
	  .offset = OPT(batch),
	  .min = 1,
	  .max = 256,
	  .def = "64",
	  .help = "channel, udp: frames or datagrams handed over at once" },
	{ .name = "connections",
	  .value = "N",
	  .type = OPT_INT,
	  .offset = OPT(connections),
	  .min = 0,
	  .max = BENCH_C10M_CONNS_MAX,
	  .def = "0",
	  .help = "rpc, cps, idle, c10m: connections; 0: 100, and 10,000,000 of c10m" },
	{ .name = "clients",
	  .value = "N",
	  .type = OPT_INT,
	  .offset = OPT(clients),
	  .min = 1,
	  .max = 1000,
	  .def = "50",
	  .help = "redis, interface: connections of redis-benchmark" },
	{ .name = "requests",
	  .value = "N",
	  .type = OPT_INT,
	  .offset = OPT(requests),
	  .min = 100,
	  .max = 1e9,
	  .def = "200000",
	  .help = "redis, interface: requests of each kind in a run" },
	{ .name = "app",
	  .value = "NAME",
	  .type = OPT_STRING,
	  .offset = OPT(app),
	  .help = "apps, interface: only this one; its name is that in the result, behind apps- or interface-" },
	{ .name = "keys",
	  .value = "N",
	  .type = OPT_INT,
	  .offset = OPT(keys),
	  .min = 1,
	  .max = 1e6,
	  .def = "10000",
	  .help = "redis: keys loaded, and different keys that redis-benchmark writes; all are "
		  "read back" },
	{ .name = "active",
	  .value = "FRACTION",
	  .type = OPT_REAL,
	  .offset = OPT(active),
	  .min = 0,
	  .max = 1,
	  .def = "1",
	  .help = "c10m: the part of the connections that get messages, spread over all" },
	{ .name = "rate",
	  .value = "MSGS",
	  .type = OPT_INT,
	  .offset = OPT(rate),
	  .min = 0,
	  .max = 1e9,
	  .def = "0",
	  .help = "c10m: messages per second; round trips count from when one was due; 0: as many as can be, 128 outstanding" },
	{ 0 },
};
_Static_assert(sizeof(struct bench_options) <= CMD_OPTS_BYTES, "has to fit");

static int find(const char *name)
{
	struct nearest n = { 0 };

	for (int i = 0; bench_topics[i].name != NULL; i++) {
		if (strcmp(bench_topics[i].name, name) == 0)
			return i;
		nearest_try(&n, name, bench_topics[i].name);
	}
	if (n.word != NULL)
		complain("bench: no benchmark '%s'; did you mean '%s'?", name, n.word);
	else
		complain("bench: no benchmark '%s'; see: vj help bench", name);
	return -1;
}

/* Those that "all" leaves out need another namespace, or gigabytes. */
static bool in_all(int (*bench)(struct bench_ctx *ctx))
{
	return bench != bench_interface && bench != bench_c10m;
}

/* Those that take less than the options allow; 0: as these */
static const struct limits {
	int (*bench)(struct bench_ctx *ctx);
	int64_t bytes_min, bytes_max;
	bool words; /* of 8 bytes, only */
	int64_t conns_max;
} limits[] = {
	{ bench_channel, 8, BENCH_CHANNEL_BYTES_MAX, true, 0 },
	{ bench_rpc, 8, BENCH_BYTES_MAX, false, BENCH_CONNS_MAX },
	{ bench_udp, 8, BENCH_UDP_BYTES_MAX, true, 0 },
	{ bench_cps, 8, BENCH_CPS_BYTES_MAX, false, BENCH_CONNS_MAX },
	{ bench_idle, 8, BENCH_BYTES_MAX, false, BENCH_CONNS_MAX },
	{ bench_c10m, BENCH_C10M_BYTES_MIN, BENCH_C10M_BYTES_MAX, false, 0 },
	{ bench_interface, 8, BENCH_INTERFACE_BYTES_MAX, false, 0 },
};

/* Can it be run with these options? Complains if not. */
static bool fits(const struct bench_options *o, const char *name, const struct limits *l)
{
	if (o->bytes < l->bytes_min || o->bytes > l->bytes_max || (l->words && o->bytes % 8 != 0)) {
		complain("bench: %s: --bytes takes a number from %lld to %lld%s, not %lld", name, (long long)l->bytes_min,
			 (long long)l->bytes_max, l->words ? " that 8 divides" : "", (long long)o->bytes);
		return false;
	}
	if (l->conns_max != 0 && o->connections > l->conns_max) {
		complain("bench: %s: --connections takes %lld at most, not %lld; c10m takes more", name,
			 (long long)l->conns_max, (long long)o->connections);
		return false;
	}
	return true;
}

/* What was named fits the options, as far as that can be told before anything is run. */
static bool check(const struct bench_options *o, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		int which = find(argv[i]);
		bool all = which == (int)ARRAY_SIZE(bench_fns);

		if (which < 0)
			return false;
		for (size_t j = 0; j < ARRAY_SIZE(bench_fns); j++) {
			if (all ? !in_all(bench_fns[j]) : (int)j != which)
				continue;
			if (bench_fns[j] == bench_apps && !bench_app_ok(o->app))
				return false;
			if (bench_fns[j] == bench_interface && !bench_interface_ok(o->app))
				return false;
			for (size_t k = 0; k < ARRAY_SIZE(limits); k++)
				if (limits[k].bench == bench_fns[j] && !fits(o, bench_topics[j].name, &limits[k]))
					return false;
		}
	}
	return true;
}

/* All that were named, in that order; the first that fails ends it. */
static int run_all(struct bench_ctx *ctx, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		int which = find(argv[i]);
		bool all = which == (int)ARRAY_SIZE(bench_fns);

		for (int j = all ? 0 : which; j < (all ? (int)ARRAY_SIZE(bench_fns) : which + 1);
		     j++) {
			/* what needs root, or gigabytes, is asked for by name */
			if (all && !in_all(bench_fns[j]))
				continue;
			if (bench_fns[j](ctx) < 0)
				return EXIT_FAILED;
		}
	}
	return EXIT_OK;
}

int cmd_bench(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	struct bench_ctx ctx = { .o = opts };
	int rc;

	(void)cmd;
	if (argc == 0) {
		complain("bench: which one? See: vj help bench");
		return EXIT_USAGE;
	}
	if (!check(ctx.o, argc, argv))
		return EXIT_USAGE;
	bench_setup(&ctx);
	rc = run_all(&ctx, argc, argv);
	bench_cleanup(&ctx);
	if (bench_interrupted() != 0) {
		complain("bench: interrupted");
		/* end by the same signal, so that a shell's loop around us ends as well */
		signal(bench_interrupted(), SIG_DFL);
		raise(bench_interrupted());
	}
	return rc;
}
