// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench redis: unmodified redis-server and redis-benchmark, on the kernel's loopback and under
 * `vj run`.
 *
 * A run: start a server on a free port, in a directory of ours and with nothing saved; load keys
 * with known values through redis-cli; let redis-benchmark set and get random keys; read back every
 * key that is there. Under vj run that is done twice, through redis-cli on a channel and through
 * the kernel's loopback, which reaches the same server, and both must have the same values. While
 * redis-benchmark runs, vjd is asked whether there is a channel: if both ended up on the kernel the
 * run fails, so nothing is reported as a channel that was none.
 */
#include "cli/cmd.h"
#include "cli/program.h"
#include "cli/redis_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For the last line; reset by each benchmark. */
static struct redis_tally tally;

static int measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
		   struct bench_sample *ret_sample)
{
	struct program_run run = {
		.ctx = ctx, .on_channel = way->with_vjd, .pinned = way->nr != 0, .log = -1
	};
	int rc = bench_dir(ctx);

	if (rc == 0 && way->with_vjd)
		rc = bench_vjd_start(ctx);
	if (rc == 0)
		rc = redis_server_start(&run);
	if (rc == 0 && run.on_channel)
		rc = redis_load(&run);
	if (rc == 0)
		rc = redis_hammer(&run, seconds / ctx->o->seconds, ret_sample);
	if (rc == 0 && run.on_channel)
		rc = redis_read_back(&run, &tally);
	program_server_stop(&run);
	if (way->with_vjd)
		bench_vjd_stop(ctx);
	return rc;
}

static int check_programs(void)
{
	static const char *const names[] = { "redis-server", "redis-benchmark", "redis-cli" };
	static struct program p;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (program_check(names[i], &p) == PROGRAM_OK)
			continue;
		complain("bench: redis: %s (Debian: apt install redis-server redis-tools)", program_why(&p));
		return -ENOENT;
	}
	return 0;
}

static void finish(char note[static BENCH_NOTE_BYTES], json_t *obj)
{
	snprintf(note, BENCH_NOTE_BYTES,
		 "keys    %llu written; read back: %llu over the channel, %llu over the kernel, "
		 "%llu wrong",
		 (unsigned long long)tally.written, (unsigned long long)tally.read_channel,
		 (unsigned long long)tally.read_kernel, (unsigned long long)tally.wrong);
	json_object_set_new(obj, "keys",
			    json_pack("{s:I, s:I, s:I, s:I}", "written", (json_int_t)tally.written,
				      "read_channel", (json_int_t)tally.read_channel, "read_kernel",
				      (json_int_t)tally.read_kernel, "wrong",
				      (json_int_t)tally.wrong));
}

int bench_redis(struct bench_ctx *ctx)
{
	char title[128];
	struct bench_case c = {
		.name = "redis",
		.title = title,
		.unit = "requests per second",
		.value = bench_rate,
		.parts = { "set", "get" },
		.finish = finish,
		.vj[0] = { .how = "both under vj run, not pinned",
			.measure = measure,
			.with_vjd = true },
		.kernel = { { .how = "loopback TCP, pinned", .measure = measure, .nr = 1 },
			    { .how = "loopback TCP, not pinned", .measure = measure, .nr = 0 } },
		.kernel_cnt = 2,
	};

	if (check_programs() < 0)
		return -ENOENT;
	memset(&tally, 0, sizeof(tally));
	snprintf(title, sizeof(title),
		 "unmodified redis-server and redis-benchmark, %lld clients, no pipelining",
		 (long long)ctx->o->clients);
	return bench_compare(ctx, &c);
}
