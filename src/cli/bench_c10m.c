// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench c10m: ten million TCP connections at a time, or as many as asked for; what they cost, and what messages on random ones of them
 * take. The kernel gets as many of them as it can hold: its descriptors and memory bound it.
 */
#include "cli/bench_c10m.h"
#include "cli/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum {
	CONNS_DEFAULT = 10000000,
	VJ_BYTES = 400,	       /* more than one takes, both ends */
	KERNEL_BYTES = 8192,   /* more than it takes for a connection, both ends and their descriptors */
	SLOWEST_PER_S = 20000, /* connections: what is slower than that hangs */
	FDS_OTHER = 64,
	NR_OPEN_USUAL = 1048576, /* fs.nr_open, where nobody changed it */
};

/* Of the last run of each side; the parent's, filled from what the children share with it */
static struct c10m_shared last[2], *shared;
enum { VJ, KERNEL };

static uint32_t kernel_conns(uint32_t wanted)
{
	const rlim_t need = (rlim_t)wanted + FDS_OTHER;
	uint64_t most = bench_memory_available() / 2 / KERNEL_BYTES;
	struct rlimit rl, more = { .rlim_cur = need, .rlim_max = need };

	/* who may, raises it */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_max < need && setrlimit(RLIMIT_NOFILE, &more) < 0) {
		more.rlim_cur = more.rlim_max = NR_OPEN_USUAL;
		if (rl.rlim_max < NR_OPEN_USUAL)
			setrlimit(RLIMIT_NOFILE, &more);
	}
	getrlimit(RLIMIT_NOFILE, &rl);
	most = min_u64(most, rl.rlim_cur > FDS_OTHER ? rl.rlim_cur - FDS_OTHER : 1);
	return (uint32_t)max_u64(min_u64(wanted, most), 1);
}

/* Every connection came to an orderly end, at both ends. */
static int check_end(const struct c10m_shared *sh)
{
	unsigned long long resets = sh->server.resets + sh->client.resets, left = sh->server.left + sh->client.left;

	if (resets == 0 && left == 0)
		return 0;
	complain("bench: c10m: %llu resets, %llu connections that were not over at the end", resets, left);
	return -EPROTO;
}

static int measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds, struct bench_sample *ret_sample)
{
	bool kernel = way->nr == KERNEL;
	int rc;

	(void)seconds; /* is what the client measures for; the limit of a run comes from the connections */
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	shared->conns = kernel ? kernel_conns(ctx->conns) : ctx->conns;
	rc = bench_pair(ctx, way, ctx->o->seconds + shared->conns / SLOWEST_PER_S, ret_sample);
	if (rc == 0 && !kernel)
		rc = check_end(shared);
	if (rc == 0)
		last[way->nr] = *shared;
	munmap(shared, sizeof(*shared));
	return rc;
}

static int server_vj(struct bench_peer *peer)
{
	return c10m_server(peer, &many_vj, shared);
}

static int client_vj(struct bench_peer *peer)
{
	return c10m_client(peer, &many_vj, shared);
}

static int server_kernel(struct bench_peer *peer)
{
	return c10m_server(peer, &many_kernel, shared);
}

static int client_kernel(struct bench_peer *peer)
{
	return c10m_client(peer, &many_kernel, shared);
}

/* ---- report ---- */

/* All that a side has in memory at its most, the benchmark's own words and the tables of pages included */
static double side_bytes(const struct c10m_shared *sh, const struct c10m_side *side)
{
	double bytes = (double)(side->open.resident_most + side->open.page_tables);

	/* of what both sides have in the kernel, half */
	if (sh == &last[KERNEL])
		bytes += ((double)side->open.slab - (double)side->before.slab) / 2;
	return bytes;
}

static double per_conn(const struct c10m_shared *sh, const struct c10m_side *side)
{
	return side_bytes(sh, side) / sh->conns;
}

static double huge_share(const struct c10m_side *side)
{
	return side->open.anonymous > 0 ? (double)side->open.anonymous_huge / (double)side->open.anonymous : 0;
}

static json_t *json_side(const struct c10m_shared *sh, const struct c10m_side *side)
{
	return json_pack("{s:f, s:f, s:I, s:I, s:f, s:I, s:I}", "bytes", side_bytes(sh, side), "bytes_per_connection",
			 per_conn(sh, side), "resident_bytes", (json_int_t)side->open.resident_most, "page_table_bytes",
			 (json_int_t)side->open.page_tables, "huge_share", huge_share(side), "resets",
			 (json_int_t)side->resets, "left", (json_int_t)side->left);
}

static json_t *json_run(const struct c10m_shared *sh)
{
	return json_pack("{s:i, s:f, s:f, s:f, s:f, s:o, s:o}", "connections", (int)sh->conns, "make_s", sh->times.make,
			 "made_per_s", sh->conns / sh->times.make, "check_s", sh->times.check, "close_s",
			 sh->times.close, "server", json_side(sh, &sh->server), "client", json_side(sh, &sh->client));
}

static void print_run(const char *who, const struct c10m_shared *sh)
{
	printf("  %-7s %u connections made in %.1f s (%.0f/s), each checked by an echo in %.1f s (%.0f/s), closed in %.1f s (%.0f/s)\n",
	       who, sh->conns, sh->times.make, sh->conns / sh->times.make, sh->times.check, sh->conns / sh->times.check,
	       sh->times.close, sh->conns / sh->times.close);
	printf("          a connection takes %.0f B at the server (%.2f GB in all), %.0f B at the client (%.2f GB)%s\n",
	       per_conn(sh, &sh->server), side_bytes(sh, &sh->server) * 1e-9, per_conn(sh, &sh->client),
	       side_bytes(sh, &sh->client) * 1e-9, sh == &last[KERNEL] ? ", half of the growth of slab memory each" : "");
	if (sh == &last[VJ])
		printf("          in pages of 2 MiB: server %.0f %%, client %.0f %%; no connection was reset, none is left\n",
		       100 * huge_share(&sh->server), 100 * huge_share(&sh->client));
}

static void finish(char note[static BENCH_NOTE_BYTES], json_t *obj)
{
	snprintf(note, BENCH_NOTE_BYTES, "opened   all connections were open at a time, were heard of, and came to an orderly end");
	json_object_set_new(obj, "vj_connections", json_run(&last[VJ]));
	if (last[KERNEL].conns != 0)
		json_object_set_new(obj, "kernel_connections", json_run(&last[KERNEL]));
}

static int check_memory(uint32_t conns)
{
	uint64_t need = (uint64_t)conns * VJ_BYTES, have = bench_memory_available();

	/* who needs more than there is would be killed for it, or somebody else */
	if (need > have && have != 0) {
		complain("bench: %u connections take %.1f GB of memory, and %.1f GB are free; see --connections", conns,
			 (double)need * 1e-9, (double)have * 1e-9);
		return -ENOMEM;
	}
	return 0;
}

int bench_c10m(struct bench_ctx *ctx)
{
	char title[128];
	struct bench_case c = {
		.name = "c10m",
		.title = title,
		.unit = "messages per second",
		.value = bench_rate,
		.latency = true,
		.finish = finish,
		.vj[0] = { .how = "direct channel, pinned", .measure = measure, .server = server_vj, .client = client_vj,
			.with_vjd = true, .nr = VJ },
		.kernel = { { .how = "loopback TCP, pinned, TCP_NODELAY, epoll batches, edge-triggered", .measure = measure,
			      .server = server_kernel, .client = client_kernel, .nr = KERNEL } },
		.kernel_cnt = 1,
	};
	const struct bench_options *o = ctx->o;
	struct bench_options once = *o;
	int rc;

	ctx->conns = bench_connections(o, CONNS_DEFAULT);
	rc = check_memory(ctx->conns);
	if (rc < 0)
		return rc;
	once.runs = 1;
	ctx->o = &once;
	snprintf(title, sizeof(title), "messages of %lld B on random ones of %u TCP connections", (long long)o->bytes, ctx->conns);
	rc = bench_compare(ctx, &c);
	ctx->o = o;
	if (rc == 0 && !ctx->o->json) {
		print_run("vj", &last[VJ]);
		if (bench_vs(ctx, "kernel"))
			print_run("kernel", &last[KERNEL]);
	}
	return rc;
}
