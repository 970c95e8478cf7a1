// SPDX-License-Identifier: BSD-2-Clause
/*
 * The turns: kernel, vj, kernel, vj. One run of each side after the other, several times, and the
 * medians compared: what disturbs a shared machine for a second disturbs one run of one side, not
 * the ratio. Of a side's ways the best is found first, in short runs, and then takes all its turns.
 */
#include "cli/bench.h"

#include "base/time.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROGRESS_AFTER_S = 2, TRIES = 3 /* of each way: one alone is luck where others use the machine, too */ };

const char *const bench_peers[] = { "kernel", "unix", "lwip", "rte_ring", NULL };

bool bench_vs(const struct bench_ctx *ctx, const char *peer)
{
	size_t len = strlen(peer);

	for (const char *p = ctx->o->vs; p != NULL; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, peer, len) == 0 && (p[len] == ',' || p[len] == '\0'))
			return true;
	}
	return false;
}

const char *bench_left_out(const struct bench_ctx *ctx, const struct bench_case *c, const char *peer)
{
	if (!bench_vs(ctx, peer))
		return "not asked for";
	if (strcmp(peer, "kernel") == 0)
		return c->kernel_cnt > 0 ? NULL : "it has nothing like this";
	for (unsigned i = 0; i < c->other_cnt; i++)
		if (strcmp(c->others[i].name, peer) == 0)
			return c->others[i].missing != NULL ? c->others[i].missing() : NULL;
	return "it has nothing like this";
}

double bench_rate(const struct bench_sample *s)
{
	return s->seconds > 0 ? (double)s->ops / s->seconds : 0;
}

double bench_median_s(const struct bench_sample *s)
{
	return hist_part_s(&s->hist, 0.5);
}

void bench_progress(struct bench_ctx *ctx, const char *fmt, ...)
{
	bool tty = isatty(STDERR_FILENO);
	uint64_t now_ns = bench_now_ns();
	va_list ap;

	if (now_ns - ctx->started_ns < PROGRESS_AFTER_S * NS_PER_SEC)
		return;
	if (!tty && now_ns - ctx->noted_ns < PROGRESS_AFTER_S * NS_PER_SEC)
		return;
	ctx->noted_ns = now_ns;
	fputs(tty ? "\r\033[K" : "", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(tty ? "" : "\n", stderr);
}

static void progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(const double *values, unsigned cnt)
{
	double sorted[BENCH_RUNS_MAX];

	if (cnt == 0)
		return 0;
	memcpy(sorted, values, cnt * sizeof(sorted[0]));
	qsort(sorted, cnt, sizeof(sorted[0]), compare_doubles);
	return (sorted[(cnt - 1) / 2] + sorted[cnt / 2]) / 2;
}

double series_median(const struct bench_series *s)
{
	return bench_median(s->values, s->cnt);
}

double series_part_median(const struct bench_series *s, unsigned part)
{
	return bench_median(s->parts[part], s->cnt);
}

static int measure(struct bench_ctx *ctx, const struct bench_case *c, const struct bench_way *way,
		   double seconds, struct bench_series *series)
{
	struct bench_sample *sample = calloc(1, sizeof(*sample));
	int rc;

	if (sample == NULL)
		return -ENOMEM;
	rc = way->measure(ctx, way, seconds, sample);
	if (bench_interrupted())
		rc = -EINTR;
	if (rc == 0) {
		series->how = way->how;
		for (unsigned i = 0; i < BENCH_PARTS_MAX; i++)
			series->parts[i][series->cnt] = sample->parts[i];
		series->values[series->cnt++] = c->value(sample);
		hist_merge(&series->hist, &sample->hist);
	}
	free(sample);
	return rc;
}

/* Short runs of each way, in turns; *ret_best is the index of the one with the best median. */
static int choose_way(struct bench_ctx *ctx, const struct bench_case *c, const char *whose, struct bench_way *ways,
		      unsigned cnt, unsigned *ret_best)
{
	double seconds = ctx->o->seconds / 4;
	struct bench_series *s;
	int rc = 0;

	*ret_best = 0;
	if (cnt < 2)
		return 0;
	s = calloc(cnt, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < TRIES * cnt && rc == 0; i++) {
		bench_progress(ctx, "%s: trying %s with %s", c->name, whose, ways[i % cnt].how);
		rc = measure(ctx, c, &ways[i % cnt], seconds, &s[i % cnt]);
	}
	for (unsigned i = 0; i < cnt && rc == 0; i++) {
		double best = ways[*ret_best].tried;

		ways[i].tried = series_median(&s[i]);
		if (c->lower_is_better ? ways[i].tried < best : ways[i].tried > best)
			*ret_best = i;
	}
	free(s);
	return rc;
}

/* One side of the comparison, and where its results go */
struct side {
	const char *name;
	struct bench_way *ways;
	unsigned way_cnt, best;
	struct bench_series *series;
};

enum { SIDES_MAX = 2 + BENCH_OTHERS_MAX };

/* Who takes part: rivals in the order of the case, vj last. Return: how many. */
static unsigned gather(const struct bench_ctx *ctx, struct bench_case *c, struct bench_result *r,
		       struct side sides[static SIDES_MAX])
{
	unsigned cnt = 0;

	if (bench_left_out(ctx, c, "kernel") == NULL)
		sides[cnt++] = (struct side){ "kernel", c->kernel, c->kernel_cnt, 0, &r->kernel };
	for (unsigned i = 0; i < c->other_cnt; i++)
		if (bench_left_out(ctx, c, c->others[i].name) == NULL)
			sides[cnt++] = (struct side){ c->others[i].name, c->others[i].ways, c->others[i].way_cnt, 0,
						      &r->others[i] };
	sides[cnt++] = (struct side){ "vj", c->vj, c->vj_cnt, 0, &r->vj };
	return cnt;
}

static void look_at_machine(struct bench_ctx *ctx, struct bench_result *r)
{
	double line_s = bench_line_s(ctx);

	if (line_s <= 0)
		return;
	if (r->line_s[0] <= 0 || line_s < r->line_s[0])
		r->line_s[0] = line_s;
	if (line_s > r->line_s[1])
		r->line_s[1] = line_s;
}

static int take_turns(struct bench_ctx *ctx, struct bench_case *c, struct bench_result *r)
{
	unsigned runs = (unsigned)ctx->o->runs;
	struct side sides[SIDES_MAX];
	unsigned cnt = gather(ctx, c, r, sides);
	int rc = 0;

	for (unsigned j = 0; j < cnt && cnt > 1 && rc == 0; j++)
		rc = choose_way(ctx, c, sides[j].name, sides[j].ways, sides[j].way_cnt, &sides[j].best);
	for (unsigned i = 0; i < runs && rc == 0; i++) {
		look_at_machine(ctx, r);
		for (unsigned j = 0; j < cnt && rc == 0; j++) {
			struct side *side = &sides[j];

			bench_progress(ctx, "%s: run %u of %u, %s", c->name, i + 1, runs, side->name);
			rc = measure(ctx, c, &side->ways[side->best], ctx->o->seconds, side->series);
		}
	}
	progress_end();
	return rc;
}

int bench_compare(struct bench_ctx *ctx, struct bench_case *c)
{
	struct bench_result *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	rc = take_turns(ctx, c, r);
	if (rc == 0)
		bench_report(ctx, c, r);
	json_decref(c->extra);
	free(r);
	return rc;
}
