// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench interface: channels at an interface, and the kernel's sockets there, to a client that is the kernel alone.
 *
 *	udp     datagrams of o->bytes from a kernel sender into a native program
 *	redis   redis-server, redis-benchmark as the client, o->clients connections, no pipelining
 *	iperf3  iperf3 -s, iperf3 as the client
 *
 * The hosts are namespaces (bench_hosts.h), without offloads on either side. Of a server under `vj run` the
 * kernel's counters tell whether it was on a channel: if the server's kernel has received what the client sent, the
 * run fails.
 */
#include "cli/bench_hosts.h"
#include "cli/cmd.h"
#include "cli/program.h"
#include "cli/redis_run.h"

#include <vj/vj.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PORT = 7777, BATCH = 64, BYTES_MAX = 1400, WARM_UP_US = 200000 };

static struct bench_hosts hosts;

static struct sockaddr_in server_addr(bool any)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	if (!any)
		inet_pton(AF_INET, BENCH_SERVER_ADDR, &addr.sin_addr);
	return addr;
}

/* ---- udp ----------------------------------------------------------------------------------------------------------- */

/* Sends for as long as the server wants it. */
static int udp_client(struct bench_peer *peer)
{
	static char payload[BYTES_MAX];
	struct sockaddr_in to = server_addr(false);
	struct iovec iov = { payload, (size_t)peer->ctx->o->bytes };
	struct mmsghdr msgs[BATCH] = { 0 };
	uint64_t start_ns;
	int fd, rc;

	rc = bench_hosts_enter_client(&hosts);
	if (rc < 0)
		return bench_fail(peer, "client's namespace", rc);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return bench_fail(peer, "socket", errno);
	for (unsigned i = 0; i < BATCH; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	while (atomic_load(&peer->shm->server_ready) == 0)
		usleep(1000);
	start_ns = bench_now_ns();
	while (atomic_load_explicit(&peer->shm->stop, memory_order_relaxed) == 0) {
		sendmmsg(fd, msgs, BATCH, 0);
		if (bench_now_ns() - start_ns > WARM_UP_US * UINT64_C(1000))
			atomic_store(&peer->shm->clients_ready, 1);
	}
	return EXIT_OK;
}

/* Counts what @take gives for the time of a run, from when the client is warm. */
static void udp_count(struct bench_peer *peer, unsigned (*take)(void *arg), void *arg)
{
	uint64_t start_ns, now_ns, ops = 0;

	atomic_store(&peer->shm->server_ready, 1);
	while (atomic_load(&peer->shm->clients_ready) == 0 && atomic_load(&peer->shm->stop) == 0)
		take(arg);
	start_ns = now_ns = bench_now_ns();
	while ((double)(now_ns - start_ns) < peer->seconds * 1e9 && atomic_load(&peer->shm->stop) == 0) {
		for (unsigned i = 0; i < 16; i++)
			ops += take(arg);
		now_ns = bench_now_ns();
	}
	peer->shm->sample.ops = ops;
	peer->shm->sample.seconds = (double)(now_ns - start_ns) * 1e-9;
	atomic_store(&peer->shm->stop, 1);
}

static unsigned take_kernel(void *arg)
{
	static char payloads[BATCH][BYTES_MAX];
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iovs[BATCH];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){ payloads[i], BYTES_MAX };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(*(int *)arg, msgs, BATCH, MSG_DONTWAIT, NULL);
	return n > 0 ? (unsigned)n : 0;
}

static int udp_server_kernel(struct bench_peer *peer)
{
	struct sockaddr_in addr = server_addr(true);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return bench_fail(peer, "socket", errno);
	udp_count(peer, take_kernel, &fd);
	return EXIT_OK;
}

struct vj_receiver {
	struct vj *vj;
	struct vj_udp udp;
};

static unsigned take_vj(void *arg)
{
	struct vj_receiver *r = arg;
	char payload[BYTES_MAX];
	unsigned n = 0;

	vj_process(r->vj);
	while (vj_udp_recv(r->vj, r->udp, payload, sizeof(payload), false, NULL, NULL) >= 0)
		n++;
	return n;
}

static int udp_server_vj(struct bench_peer *peer)
{
	struct vj_options opts = VJ_OPTIONS_INIT;
	struct sockaddr_in addr = server_addr(true);
	struct vj_receiver r;
	int rc;

	opts.name = "vj bench";
	opts.socket_path = peer->ctx->socket;
	rc = vj_open(&opts, &r.vj);
	if (rc < 0)
		return bench_fail(peer, "vj_open", rc);
	rc = vj_udp_open(r.vj, (struct sockaddr *)&addr, sizeof(addr), 0, -1, 0, &r.udp);
	if (rc < 0)
		return bench_fail(peer, "vj_udp_open", rc);
	udp_count(peer, take_vj, &r);
	vj_close(r.vj);
	return EXIT_OK;
}

static int udp_measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds, struct bench_sample *ret_sample)
{
	struct bench_way pair = *way;
	int rc = way->with_vjd ? bench_hosts_vjd(ctx) : 0;

	pair.with_vjd = false; /* it runs: that of the server's host */
	if (rc == 0)
		rc = bench_pair(ctx, &pair, seconds, ret_sample);
	if (way->with_vjd)
		bench_vjd_stop(ctx);
	return rc;
}

static int udp(struct bench_ctx *ctx)
{
	char title[128];
	struct bench_case c = {
		.name = "interface-udp",
		.title = title,
		.unit = "datagrams per second",
		.value = bench_rate,
		.vj = { .how = "native program, spinning", .measure = udp_measure, .server = udp_server_vj,
			.client = udp_client, .with_vjd = true },
		.kernel = { { .how = "recvmmsg(), spinning", .measure = udp_measure, .server = udp_server_kernel,
			      .client = udp_client } },
		.kernel_cnt = 1,
	};

	snprintf(title, sizeof(title), "datagrams of %lld bytes from a kernel sender at an interface",
		 (long long)ctx->o->bytes);
	return bench_compare(ctx, &c);
}

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
		.name = "interface-redis",
		.title = title,
		.unit = "requests per second",
		.value = bench_rate,
		.parts = { "set", "get" },
		.vj = { .how = "redis-server under vj run, client of the kernel", .measure = redis_measure, .with_vjd = true },
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
		.name = "interface-iperf3",
		.title = "iperf3 from a kernel client, one connection",
		.unit = "bits per second",
		.value = bench_rate,
		.vj = { .how = "iperf3 -s under vj run", .measure = iperf_measure, .with_vjd = true },
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
		complain("bench: interface: %s (Debian: apt install redis-server redis-tools iperf3 iproute2 ethtool)", p.why);
		return -ENOENT;
	}
	return 0;
}

bool bench_interface_bytes_ok(int64_t bytes)
{
	if (bytes <= BYTES_MAX)
		return true;
	complain("bench: interface: --bytes takes a number from 8 to %d, not %lld", BYTES_MAX, (long long)bytes);
	return false;
}

int bench_interface(struct bench_ctx *ctx)
{
	static int (*const parts[])(struct bench_ctx * ctx) = { udp, redis, iperf };
	int rc = check_programs();

	if (rc == 0)
		rc = bench_hosts_up(&hosts);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_SIZE(parts) && rc == 0; i++)
		rc = parts[i](ctx);
	bench_hosts_down(&hosts);
	return rc;
}
