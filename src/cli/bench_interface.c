// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench interface: channels at an interface, and the kernel's sockets there, to a client that is the kernel alone.
 *
 *	flood, flood6, flood-one, udp-batches, udp     bench_interface_udp.c
 *	redis   redis-server, redis-benchmark as the client, o->clients connections, no pipelining
 *	iperf3  iperf3 -s, iperf3 as the client
 *
 * The hosts are namespaces (bench_hosts.h), without offloads on either side; all that runs has the highest ordinary priority, so
 * that little else of the machine comes between. Of a server under `vj run` the
 * kernel's counters tell whether it was on a channel: if the server's kernel has received what the client sent, the
 * run fails.
 */
#include "cli/bench_interface.h"
#include "base/assert.h"
#include "cli/cmd.h"
#include "cli/program.h"
#include "cli/redis_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PREFIX "interface-"
#define REDIS PREFIX "redis"
#define IPERF3 PREFIX "iperf3"

static struct bench_hosts hosts;

/* ---- unmodified programs ------------------------------------------------------------------------------------------- */

static struct program_run run_of(struct bench_ctx *ctx, const struct bench_way *way)
{
	return (struct program_run){ .ctx = ctx, .on_channel = way->with_vjd, .pinned = true, .net = hosts.client_net,
				     .host = BENCH_SERVER_ADDR, .log = -1 };
}

/* The server's kernel saw little of it. */
static int check_channel(const struct program_run *run, uint64_t kernel_before, uint64_t least_packets, const char *program)
{
	if (!run->on_channel || bench_hosts_kernel_packets() - kernel_before < least_packets / 10)
		return 0;
	complain("bench: interface: %s ran, but on the kernel's sockets", program);
	return -ENOTCONN;
}

static int redis_measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
			 struct bench_sample *ret_sample)
{
	struct program_run run = run_of(ctx, way);
	uint64_t before = 0;
	int rc = bench_dir(ctx);

	if (rc == 0 && way->with_vjd)
		rc = bench_hosts_vjd(ctx);
	if (rc == 0)
		rc = redis_server_start(&run);
	if (rc == 0) {
		before = bench_hosts_kernel_packets();
		rc = redis_hammer(&run, seconds / ctx->o->seconds, ret_sample);
	}
	if (rc == 0)
		rc = check_channel(&run, before, ret_sample->ops, "redis-server");
	program_server_stop(&run);
	if (way->with_vjd)
		bench_vjd_stop(ctx);
	return rc;
}

static int redis(struct bench_ctx *ctx)
{
	char title[128];
	struct bench_case c = {
		.name = REDIS,
		.title = title,
		.unit = "requests per second",
		.value = bench_rate,
		.parts = { "set", "get" },
		.vj[0] = { .how = "redis-server under vj run, client of the kernel", .measure = redis_measure, .with_vjd = true },
		.kernel = { { .how = "both of the kernel", .measure = redis_measure } },
		.kernel_cnt = 1,
	};

	snprintf(title, sizeof(title), "redis-server at an interface, redis-benchmark with %lld clients, no pipelining",
		 (long long)ctx->o->clients);
	return bench_compare(ctx, &c);
}

static int iperf_run(const struct program_run *run, double seconds, struct bench_sample *ret_sample)
{
	char duration[16], *said;
	const char *args[] = { "iperf3", "-c", program_host(run), "-p", run->port, "-t", duration, "-J", NULL };
	const json_t *sum;
	json_t *report;
	int rc;

	snprintf(duration, sizeof(duration), "%d", seconds < 1 ? 1 : (int)(seconds + 0.5));
	rc = program_tool(run, args, STDIN_FILENO, false, &said);
	if (rc < 0)
		return rc;
	report = json_loads(said, 0, NULL);
	sum = json_object_get(json_object_get(report, "end"), "sum_received");
	ret_sample->seconds = json_number_value(json_object_get(sum, "seconds"));
	ret_sample->ops = (uint64_t)(8 * json_number_value(json_object_get(sum, "bytes")));
	if (ret_sample->ops == 0) {
		const char *why = json_string_value(json_object_get(report, "error"));

		complain("bench: interface: iperf3: %s", why != NULL ? why : "no report");
		rc = -EPROTO;
	}
	json_decref(report);
	free(said);
	return rc;
}

static int iperf_measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
			 struct bench_sample *ret_sample)
{
	struct program_run run = run_of(ctx, way);
	const char *args[] = { "iperf3", "-s", "-p", run.port, NULL };
	uint64_t before = bench_hosts_kernel_packets();
	int rc = bench_dir(ctx);

	if (rc == 0 && way->with_vjd)
		rc = bench_hosts_vjd(ctx);
	program_port(&run);
	if (rc == 0)
		rc = program_server_start(&run, args, program_listens);
	if (rc == 0)
		rc = iperf_run(&run, seconds, ret_sample);
	if (rc == 0)
		rc = check_channel(&run, before, ret_sample->ops / 8 / 1500, "iperf3");
	program_server_stop(&run);
	if (way->with_vjd)
		bench_vjd_stop(ctx);
	return rc;
}

static int iperf(struct bench_ctx *ctx)
{
	struct bench_case c = {
		.name = IPERF3,
		.title = "iperf3 from a kernel client, one connection",
		.unit = "bits per second",
		.value = bench_rate,
		.vj[0] = { .how = "iperf3 -s under vj run", .measure = iperf_measure, .with_vjd = true },
		.kernel = { { .how = "both of the kernel, without offloads", .measure = iperf_measure } },
		.kernel_cnt = 1,
	};

	return bench_compare(ctx, &c);
}

static int check_programs(void)
{
	static const char *const names[] = { "redis-server", "redis-benchmark", "iperf3", "ip", "ethtool", "nsenter" };
	static struct program p;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (program_check(names[i], &p) == PROGRAM_OK)
			continue;
		complain("bench: interface: %s (Debian: apt install redis-server redis-tools iperf3 iproute2 ethtool)", program_why(&p));
		return -ENOENT;
	}
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct bench_ctx *ctx);
} programs[] = { { REDIS, redis }, { IPERF3, iperf } };

/* Of all parts, datagrams first, as --app says it: without what all begin with. NULL: there are no more */
static const char *part_name(unsigned part)
{
	unsigned udp_cnt = 0;
	const char *name;

	while ((name = bench_interface_udp_name(udp_cnt)) != NULL && udp_cnt < part)
		udp_cnt++;
	if (name == NULL && part - udp_cnt < ARRAY_SIZE(programs))
		name = programs[part - udp_cnt].name;
	return name != NULL ? name + strlen(PREFIX) : NULL;
}

static int run_part(struct bench_ctx *ctx, unsigned part)
{
	unsigned udp_cnt = 0;

	while (bench_interface_udp_name(udp_cnt) != NULL)
		udp_cnt++;
	return part < udp_cnt ? bench_interface_udp(ctx, &hosts, part) : programs[part - udp_cnt].run(ctx);
}

bool bench_interface_ok(const char *name)
{
	char list[256];
	size_t len = 0;

	for (unsigned i = 0; part_name(i) != NULL; i++) {
		if (name == NULL || strcmp(name, part_name(i)) == 0)
			return true;
		len += (size_t)snprintf(list + len, sizeof(list) - len, ", %s", part_name(i));
		VJ_ASSERT_OP(len, <, sizeof(list));
	}
	complain("bench: interface: there is no '%s'; there are: %s", name, list + 2);
	return false;
}

int bench_interface(struct bench_ctx *ctx)
{
	const char *only = ctx->o->app;
	int rc = check_programs();

	if (rc == 0)
		rc = bench_hosts_up(&hosts);
	if (rc < 0)
		return rc;
	setpriority(PRIO_PROCESS, 0, -20);
	for (unsigned i = 0; part_name(i) != NULL && rc == 0; i++)
		if (only == NULL || strcmp(only, part_name(i)) == 0)
			rc = run_part(ctx, i);
	bench_hosts_down(&hosts);
	return rc;
}
