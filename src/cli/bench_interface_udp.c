// SPDX-License-Identifier: BSD-2-Clause
/*
 * Datagrams of o->bytes from the kernel into a native program, and what else takes them at the same interface:
 *
 *	kernel  a socket, in the best of several ways
 *	bare    a bare AF_XDP loop (bench_bare.h): no program gets more by that way
 *	alone   nobody: dropped as early as the kernel can; so this is what the sender can send
 *
 * The kernel works for the receiver on the sender's processor (veth), so a rate is that of sending and receiving together,
 * and `alone` says how much of it is sending. Of a socket's sender, one by one, that is most; in batches, which the kernel cuts into
 * datagrams (UDP_SEGMENT), much less of it. As from a driver (bench_flood.h) no socket is on the way, and what the receiver's side
 * takes is nearly all: from many senders at once as a server has them, and from one, whose datagrams the kernel can join (GRO).
 */
#include "cli/bench_bare.h"
#include "cli/bench_flood.h"
#include "cli/bench_interface.h"
#include "cli/cmd.h"

#include <vj/vj.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif

enum {
	PORT = 7777,
	BATCH = 64,
	SEND_MAX = 60000, /* bytes of one call */
	WARM_UP_US = 200000,
	FLOOD_LOOK_US = 1000,
	BUSY_POLL_US = 50,
	RECEIVE_ROOM = 8 << 20,
	CPU_MASK_BYTES = 512,
};

enum kernel_way { KERNEL_MMSG, KERNEL_BUSY_POLL, KERNEL_GRO, KERNEL_THREADED, KERNEL_RPS };

/* What is sent. */
struct traffic {
	const char *name, *words;
	int (*client)(struct bench_peer *peer);
	bool v6, together; /* @together: one call's bytes are cut by the kernel */
	uint32_t flows; /* of a flood */
};

static const struct bench_hosts *hosts;
static const struct traffic *traffic; /* of this row */
static _Atomic uint64_t *sent; /* datagrams; all processes have it */
static struct bench_series bare, alone, of_bare_loop; /* the last: what vj got, of `bare` of the same turn */

/* ---- client -------------------------------------------------------------------------------------------------------- */

static struct sockaddr_in server_addr(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	inet_pton(AF_INET, BENCH_SERVER_ADDR, &addr.sin_addr);
	return addr;
}

static void note_sent(struct bench_peer *peer, unsigned cnt, uint64_t start_ns)
{
	atomic_fetch_add_explicit(sent, cnt, memory_order_relaxed);
	if (bench_now_ns() - start_ns > WARM_UP_US * UINT64_C(1000))
		atomic_store(&peer->shm->clients_ready, 1);
}

/* Sends for as long as the server wants it. */
static void send_all(struct bench_peer *peer, int fd)
{
	static char payload[SEND_MAX];
	int bytes = (int)peer->ctx->o->bytes;
	unsigned each = traffic->together ? min_u32(BATCH, SEND_MAX / (unsigned)bytes) : 1;
	struct iovec iov = { payload, (size_t)bytes * each };
	struct mmsghdr msgs[BATCH] = { 0 };
	uint64_t start_ns = bench_now_ns();

	if (traffic->together)
		setsockopt(fd, SOL_UDP, UDP_SEGMENT, &bytes, sizeof(bytes));
	for (unsigned i = 0; i < BATCH; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	while (atomic_load_explicit(&peer->shm->stop, memory_order_relaxed) == 0) {
		int cnt = sendmmsg(fd, msgs, BATCH / each, 0);

		note_sent(peer, cnt > 0 ? (unsigned)cnt * each : 0, start_ns);
	}
}

static int client_socket(struct bench_peer *peer)
{
	struct sockaddr_in to = server_addr();
	int fd, rc;

	rc = bench_hosts_enter_client(hosts);
	if (rc < 0)
		return bench_fail(peer, "client's namespace", rc);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return bench_fail(peer, "socket", errno);
	while (atomic_load(&peer->shm->server_ready) == 0)
		usleep(1000);
	send_all(peer, fd);
	return EXIT_OK;
}

struct flooding {
	struct bench_peer *peer;
	struct bench_flood *flood;
};

static void *flood_all(void *arg)
{
	const struct flooding *f = arg;

	bench_fail(f->peer, "BPF_PROG_TEST_RUN (live frames: Linux 5.18)", bench_flood_run(f->flood));
	atomic_store(&f->peer->shm->stop, 1);
	return NULL;
}

static int client_flood(struct bench_peer *peer)
{
	struct bench_flood_params params = { .device = "eth0", .v6 = traffic->v6, .port = PORT, .flows = traffic->flows,
					     .bytes = (uint32_t)peer->ctx->o->bytes };
	uint64_t start_ns, made, before = 0;
	struct bench_flood *flood = NULL;
	pthread_t thread;
	int rc;

	rc = bench_flood_mac("eth0", &params.to);
	if (rc == 0)
		rc = bench_hosts_enter_client(hosts);
	if (rc == 0)
		rc = bench_flood_open(&params, &flood);
	if (rc < 0)
		return bench_fail(peer, "a program that makes datagrams", rc);
	while (atomic_load(&peer->shm->server_ready) == 0)
		usleep(1000);
	rc = -pthread_create(&thread, NULL, flood_all, &(struct flooding){ peer, flood });
	for (start_ns = bench_now_ns(); rc == 0 && atomic_load(&peer->shm->stop) == 0; before = made) {
		usleep(FLOOD_LOOK_US);
		made = bench_flood_made(flood);
		note_sent(peer, (unsigned)(made - before), start_ns);
	}
	if (rc < 0)
		return bench_fail(peer, "a thread", rc);
	/* the thread ends with the process */
	return peer->shm->error[0] != '\0' ? EXIT_FAILED : EXIT_OK;
}

/* ---- servers ------------------------------------------------------------------------------------------------------- */

/* Counts what @take gives for the time of a run, from when the client is warm. */
static void count(struct bench_peer *peer, unsigned (*take)(void *arg), void *arg)
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

struct kernel_receiver {
	int fd;
	unsigned bytes; /* of a datagram; several may come as one message (UDP_GRO) */
};

static unsigned take_kernel(void *arg)
{
	static char payloads[BATCH][1 << 16];
	const struct kernel_receiver *r = arg;
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iovs[BATCH];
	unsigned cnt = 0;
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){ payloads[i], sizeof(payloads[i]) };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iovs[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(r->fd, msgs, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		cnt += msgs[i].msg_len / r->bytes;
	return cnt;
}

/* IPv4 and IPv6 */
static struct sockaddr_in6 any_addr(void)
{
	return (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
}

static int server_kernel(struct bench_peer *peer)
{
	struct kernel_receiver r = { .fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0),
				     .bytes = (unsigned)peer->ctx->o->bytes };
	int busy_us = BUSY_POLL_US, room = RECEIVE_ROOM, one = 1;
	struct sockaddr_in6 addr = any_addr();

	if (r.fd < 0 || bind(r.fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return bench_fail(peer, "socket", errno);
	setsockopt(r.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (peer->way == KERNEL_BUSY_POLL)
		setsockopt(r.fd, SOL_SOCKET, SO_BUSY_POLL, &busy_us, sizeof(busy_us));
	if (peer->way == KERNEL_GRO)
		setsockopt(r.fd, SOL_UDP, UDP_GRO, &one, sizeof(one));
	count(peer, take_kernel, &r);
	return EXIT_OK;
}

static unsigned take_bare(void *arg)
{
	return bench_bare_take(arg);
}

static int server_bare(struct bench_peer *peer)
{
	struct bench_bare *b;
	int rc = bench_bare_open("eth0", false, &b);

	if (rc < 0)
		return bench_fail(peer, "AF_XDP", rc);
	count(peer, take_bare, b);
	bench_bare_close(b);
	return EXIT_OK;
}

/* Nothing is received: what was sent meanwhile. */
static unsigned take_sent(void *arg)
{
	uint64_t *before = arg, now = atomic_load_explicit(sent, memory_order_relaxed);
	unsigned cnt = (unsigned)(now - *before);

	*before = now;
	return cnt;
}

static int server_alone(struct bench_peer *peer)
{
	uint64_t before = atomic_load(sent);
	struct bench_bare *b;
	int rc = bench_bare_open("eth0", true, &b);

	if (rc < 0)
		return bench_fail(peer, "XDP_DROP", rc);
	count(peer, take_sent, &before);
	bench_bare_close(b);
	return EXIT_OK;
}

struct vj_receiver {
	struct vj *vj;
	struct vj_udp udp;
};

static unsigned take_vj(void *arg)
{
	struct vj_receiver *r = arg;
	char payload[BENCH_INTERFACE_BYTES_MAX];
	unsigned n = 0;

	vj_process(r->vj);
	while (vj_udp_recv(r->vj, r->udp, payload, sizeof(payload), false, NULL, NULL) >= 0)
		n++;
	return n;
}

static int server_vj(struct bench_peer *peer)
{
	struct vj_options opts = VJ_OPTIONS_INIT;
	struct sockaddr_in6 addr = any_addr();
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
	count(peer, take_vj, &r);
	vj_close(r.vj);
	return EXIT_OK;
}

/* ---- turns --------------------------------------------------------------------------------------------------------- */

/* A run of something that is in neither of the two columns, for the note. */
static int measure_beside(struct bench_ctx *ctx, const struct bench_way *way, int (*server)(struct bench_peer *peer),
			  double seconds, struct bench_series *series)
{
	struct bench_way beside = { .server = server, .client = way->client };
	struct bench_sample *sample = calloc(1, sizeof(*sample));
	int rc = sample != NULL ? bench_pair(ctx, &beside, seconds, sample) : -ENOMEM;

	if (rc == 0 && series->cnt < BENCH_RUNS_MAX)
		series->values[series->cnt++] = bench_rate(sample);
	free(sample);
	return rc;
}

/* What root can do at the device. */
static int set_device(const char *file, const char *value)
{
	char path[128];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "/sys/class/net/eth0/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0) {
		rc = -errno;
		complain("bench: interface: %s: %s", path, strerror(-rc));
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Words of 32 processors each, the highest first. */
static void cpu_mask(int cpu, char ret_mask[static CPU_MASK_BYTES])
{
	size_t len = (size_t)snprintf(ret_mask, CPU_MASK_BYTES, "%x", cpu < 0 ? 1u : 1u << (unsigned)cpu % 32);

	for (int i = 32; i <= cpu && len < CPU_MASK_BYTES; i += 32)
		len += (size_t)snprintf(ret_mask + len, CPU_MASK_BYTES - len, ",00000000");
}

static int prepare_device(const struct bench_ctx *ctx, int nr, bool on)
{
	char mask[CPU_MASK_BYTES] = "0";

	if (nr == KERNEL_THREADED)
		return set_device("threaded", on ? "1" : "0");
	if (nr != KERNEL_RPS)
		return 0;
	if (on)
		cpu_mask(ctx->cpu_server, mask);
	return set_device("queues/rx-0/rps_cpus", mask);
}

static int measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds, struct bench_sample *ret_sample)
{
	struct bench_way pair = *way;
	int rc = prepare_device(ctx, way->nr, true);

	pair.with_vjd = false; /* it runs: that of the server's host */
	if (rc == 0 && way->with_vjd && bench_vs(ctx, "kernel")) {
		rc = measure_beside(ctx, way, server_bare, seconds, &bare);
		if (rc == 0)
			rc = measure_beside(ctx, way, server_alone, seconds, &alone);
	}
	if (rc == 0 && way->with_vjd)
		rc = bench_hosts_vjd(ctx);
	if (rc == 0)
		rc = bench_pair(ctx, &pair, seconds, ret_sample);
	prepare_device(ctx, way->nr, false);
	if (way->with_vjd)
		bench_vjd_stop(ctx);
	if (rc == 0 && way->with_vjd && bare.cnt > of_bare_loop.cnt)
		of_bare_loop.values[of_bare_loop.cnt++] = bench_rate(ret_sample) / bare.values[bare.cnt - 1];
	return rc;
}

static void finish(char note[static BENCH_NOTE_BYTES], json_t *obj)
{
	double bare_rate = series_median(&bare), alone_rate = series_median(&alone), of_bare = series_median(&of_bare_loop);

	if (bare.cnt == 0)
		return;
	snprintf(note, BENCH_NOTE_BYTES, "beside  a bare AF_XDP loop there: %.0f k/s, of which vj has %.2f; the sender alone: %.0f k/s",
		 bare_rate * 1e-3, of_bare, alone_rate * 1e-3);
	json_object_set_new(obj, "bare", json_real(bare_rate));
	json_object_set_new(obj, "ratio_of_bare", json_real(of_bare));
	json_object_set_new(obj, "sender_alone", json_real(alone_rate));
}

static int compare(struct bench_ctx *ctx, const struct traffic *row)
{
	char title[128];
	struct bench_case c = {
		.name = row->name,
		.title = title,
		.unit = "datagrams per second",
		.value = bench_rate,
		.finish = finish,
		.vj[0] = { .how = "native program, spinning", .measure = measure, .server = server_vj, .client = row->client,
			.with_vjd = true },
		.kernel = { { .how = "recvmmsg(), spinning", .nr = KERNEL_MMSG, .ordinary = true },
			    { .how = "recvmmsg(), SO_BUSY_POLL", .nr = KERNEL_BUSY_POLL },
			    { .how = "recvmmsg(), UDP_GRO", .nr = KERNEL_GRO },
			    { .how = "recvmmsg(), the device's poll a thread on its processor", .nr = KERNEL_THREADED },
			    { .how = "recvmmsg(), RPS to its processor", .nr = KERNEL_RPS } },
		.kernel_cnt = 5,
	};

	for (unsigned i = 0; i < c.kernel_cnt; i++) {
		c.kernel[i].measure = measure;
		c.kernel[i].server = server_kernel;
		c.kernel[i].client = row->client;
	}
	traffic = row;
	bare.cnt = alone.cnt = of_bare_loop.cnt = 0;
	snprintf(title, sizeof(title), "datagrams of %lld bytes %s", (long long)ctx->o->bytes, row->words);
	return bench_compare(ctx, &c);
}

static const struct traffic rows[] = {
	{ .name = "interface-flood", .words = "as from a driver, 1,024 flows", .client = client_flood, .flows = 1024 },
	{ .name = "interface-flood6", .words = "as from a driver, 1,024 flows over IPv6", .client = client_flood, .flows = 1024,
	  .v6 = true },
	{ .name = "interface-flood-one", .words = "as from a driver, one flow", .client = client_flood, .flows = 1 },
	{ .name = "interface-udp-batches", .words = "from a kernel sender at an interface, in batches (UDP_SEGMENT)",
	  .client = client_socket, .together = true },
	{ .name = "interface-udp", .words = "from a kernel sender at an interface, one by one", .client = client_socket },
};

const char *bench_interface_udp_name(unsigned row)
{
	return row < ARRAY_SIZE(rows) ? rows[row].name : NULL;
}

int bench_interface_udp(struct bench_ctx *ctx, const struct bench_hosts *at, unsigned row)
{
	int rc;

	hosts = at;
	sent = mmap(NULL, sizeof(*sent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sent == MAP_FAILED)
		return -errno;
	rc = compare(ctx, &rows[row]);
	munmap(sent, sizeof(*sent));
	return rc;
}
