// SPDX-License-Identifier: BSD-2-Clause
/*
 * The turns: kernel, vj, kernel, vj. One run of each side after the other, several times, and the
 * medians compared: what disturbs a shared machine for a second disturbs one run of one side, not
 * the ratio. Of the kernel's ways the best is found first, in short runs, and then takes all the
 * kernel's turns.
 */
#include "cli/bench.h"

#include "base/time.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROGRESS_AFTER_S = 2 };

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

static double median(const double *values, unsigned cnt)
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
	return median(s->values, s->cnt);
}

double series_part_median(const struct bench_series *s, unsigned part)
{
	return median(s->parts[part], s->cnt);
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

/* Short runs of each way; *ret_best is the index of the best. */
static int choose_way(struct bench_ctx *ctx, struct bench_case *c, unsigned *ret_best)
{
	double seconds = ctx->o->seconds / 4, best = 0;
	struct bench_series *s;
	int rc = 0;

	*ret_best = 0;
	if (c->kernel_cnt < 2)
		return 0;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < c->kernel_cnt && rc == 0; i++) {
		bench_progress(ctx, "%s: trying the kernel with %s", c->name, c->kernel[i].how);
		s->cnt = 0;
		rc = measure(ctx, c, &c->kernel[i], seconds, s);
		if (rc < 0)
			break;
		c->kernel[i].tried = s->values[0];
		if (i == 0 || (c->lower_is_better ? s->values[0] < best : s->values[0] > best)) {
			best = s->values[0];
			*ret_best = i;
		}
	}
	free(s);
	return rc;
}

static int take_turns(struct bench_ctx *ctx, struct bench_case *c, struct bench_series *vj,
		      struct bench_series *kernel)
{
	unsigned runs = (unsigned)ctx->o->runs, best = 0;
	int rc = 0;

	if (ctx->vs_kernel)
		rc = choose_way(ctx, c, &best);
	for (unsigned i = 0; i < runs && rc == 0; i++) {
		if (ctx->vs_kernel) {
			bench_progress(ctx, "%s: run %u of %u, kernel", c->name, i + 1, runs);
			rc = measure(ctx, c, &c->kernel[best], ctx->o->seconds, kernel);
		}
		if (rc == 0) {
			bench_progress(ctx, "%s: run %u of %u, vj", c->name, i + 1, runs);
			rc = measure(ctx, c, &c->vj, ctx->o->seconds, vj);
		}
	}
	progress_end();
	return rc;
}

int bench_compare(struct bench_ctx *ctx, struct bench_case *c)
{
	struct bench_series *series = calloc(2, sizeof(*series));
	int rc;

	if (series == NULL)
		return -ENOMEM;
	rc = take_turns(ctx, c, &series[0], &series[1]);
	if (rc == 0)
		bench_report(ctx, c, &series[0], ctx->vs_kernel ? &series[1] : NULL);
	json_decref(c->extra);
	free(series);
	return rc;
}
