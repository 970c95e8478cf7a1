// SPDX-License-Identifier: BSD-2-Clause
/* A result as a table for people, or as one line of JSON. */
#include "cli/bench.h"

#include "vj_version.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static const struct {
	const char *name;
	double part;
} percentiles[] = {
	{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "p99.99", 0.9999 }
};

double bench_ratio(const struct bench_case *c, double vj, double other)
{
	double ratio = c->lower_is_better ? other / vj : vj / other;

	return vj > 0 && other > 0 ? ratio : 0;
}

/* 1234567 -> "1.23 M", 0.00000123 -> "1.23 µ" */
static const char *scaled(double x, char buf[static 32])
{
	static const struct {
		double unit;
		const char *prefix;
	} scales[] = { { 1e9, "G" },  { 1e6, "M" },  { 1e3, "k" }, { 1, "" },
		       { 1e-3, "m" }, { 1e-6, "µ" }, { 1e-9, "n" } };
	size_t i = 0;

	if (x < 1e-12) {
		snprintf(buf, 32, "0 ");
		return buf;
	}
	while (i + 1 < ARRAY_SIZE(scales) && x < scales[i].unit)
		i++;
	x /= scales[i].unit;
	snprintf(buf, 32, "%.*f %s", x < 10 ? 2 : x < 100 ? 1 : 0, x, scales[i].prefix);
	return buf;
}

/* "requests per second" -> "requests/s" */
static const char *short_unit(const char *unit, char buf[static 32])
{
	const char *per = strstr(unit, " per second");

	if (strcmp(unit, "seconds") == 0)
		snprintf(buf, 32, "s");
	else
		snprintf(buf, 32, "%.*s%s", per != NULL ? (int)(per - unit) : 31, unit,
			 per != NULL ? "/s" : "");
	return buf;
}

static void range(const struct bench_series *s, double *ret_min, double *ret_max)
{
	*ret_min = *ret_max = s->cnt > 0 ? s->values[0] : 0;
	for (unsigned i = 1; i < s->cnt; i++) {
		if (s->values[i] < *ret_min)
			*ret_min = s->values[i];
		if (s->values[i] > *ret_max)
			*ret_max = s->values[i];
	}
}

static void print_series(const struct bench_case *c, const char *who, const struct bench_series *s)
{
	char a[32], b[32], d[32], u[32];
	double min, max;

	range(s, &min, &max);
	printf("  %-7s %s%s   (%u run%s: %s.. %s; %s)\n", who, scaled(series_median(s), a),
	       short_unit(c->unit, u), s->cnt, s->cnt == 1 ? "" : "s", scaled(min, b), scaled(max, d), s->how);
	if (!c->latency || s->hist.cnt == 0)
		return;
	printf("          ");
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++)
		printf("%s %ss  ", percentiles[i].name,
		       scaled(hist_part_s(&s->hist, percentiles[i].part), a));
	printf("max %ss\n", scaled(hist_max_s(&s->hist), a));
}

/* What each of a rival's ways came to when the best was looked for. */
static void print_tried(const struct bench_case *c, const struct bench_way *ways, unsigned cnt)
{
	char a[32], u[32];

	short_unit(c->unit, u);
	for (unsigned i = 0; i < cnt; i++)
		if (ways[i].tried > 0)
			printf("          tried %s%s: %s\n", scaled(ways[i].tried, a), u, ways[i].how);
}

/*
 * Beside the kernel's best way, which the ratio is against and which burns a processor a side, the one that most programs
 * use, from its short runs. NULL: was not tried.
 */
static const struct bench_way *ordinary_way(const struct bench_case *c)
{
	for (unsigned i = 0; i < c->kernel_cnt; i++)
		if (c->kernel[i].ordinary && c->kernel[i].tried > 0)
			return &c->kernel[i];
	return NULL;
}

static void print_ordinary(const struct bench_case *c, double vj)
{
	const struct bench_way *way = ordinary_way(c);
	char a[32], u[32];

	if (way != NULL)
		printf("  beside  %.3g times what most programs do (%s%s, short runs: %s)\n",
		       bench_ratio(c, vj, way->tried), scaled(way->tried, a), short_unit(c->unit, u), way->how);
}

static void print_parts(const struct bench_case *c, const struct bench_series *vj,
			const struct bench_series *kernel)
{
	char a[32], b[32], u[32];

	short_unit(c->unit, u);
	for (unsigned i = 0; i < BENCH_PARTS_MAX && c->parts[i] != NULL; i++) {
		double x = series_part_median(vj, i),
		       y = kernel != NULL ? series_part_median(kernel, i) : 0;

		printf("  %-7s vj %s%s", c->parts[i], scaled(x, a), u);
		if (kernel != NULL)
			printf(", kernel %s%s, ratio %.3g", scaled(y, b), u, bench_ratio(c, x, y));
		putchar('\n');
	}
}

static void print_finish(const struct bench_case *c)
{
	char note[BENCH_NOTE_BYTES] = "";
	json_t *unused = json_object();

	c->finish(note, unused);
	json_decref(unused);
	printf("  %s\n", note);
}

/*
 * The ratio of each turn. Where the machine changes between turns (processors nearer or further apart, others that use it), medians of the two
 * sides may be of different machines; the two runs of a turn hardly are.
 */
struct turns {
	double median, min, max;
};

static struct turns turn_ratios(const struct bench_case *c, const struct bench_result *r)
{
	unsigned cnt = min_u32(r->vj.cnt, r->kernel.cnt);
	double ratios[BENCH_RUNS_MAX];
	struct turns t = { 0 };

	for (unsigned i = 0; i < cnt; i++) {
		ratios[i] = bench_ratio(c, r->vj.values[i], r->kernel.values[i]);
		t.min = i == 0 || ratios[i] < t.min ? ratios[i] : t.min;
		t.max = ratios[i] > t.max ? ratios[i] : t.max;
	}
	t.median = bench_median(ratios, cnt);
	return t;
}

static void print_result(const struct bench_ctx *ctx, const struct bench_case *c, const struct bench_result *r)
{
	double vj = series_median(&r->vj), ratio = bench_ratio(c, vj, series_median(&r->kernel));
	const struct turns turns = turn_ratios(c, r);
	const struct bench_series *kernel = r->kernel.cnt > 0 ? &r->kernel : NULL;

	printf("%s: %s\n", c->name, c->title);
	if (kernel != NULL) {
		print_series(c, "kernel", kernel);
		print_tried(c, c->kernel, c->kernel_cnt);
	}
	for (unsigned i = 0; i < c->other_cnt; i++) {
		if (r->others[i].cnt == 0)
			continue;
		print_series(c, c->others[i].name, &r->others[i]);
		print_tried(c, c->others[i].ways, c->others[i].way_cnt);
	}
	print_series(c, "vj", &r->vj);
	print_tried(c, c->vj, c->vj_cnt);
	print_parts(c, &r->vj, kernel);
	if (ratio > 0)
		printf("  ratio   %.3g times the kernel; turn by turn %.3g (%.3g.. %.3g)\n", ratio, turns.median, turns.min, turns.max);
	for (unsigned i = 0; i < c->other_cnt; i++)
		if (bench_ratio(c, vj, series_median(&r->others[i])) > 0)
			printf("  ratio   %.3g times %s\n", bench_ratio(c, vj, series_median(&r->others[i])),
			       c->others[i].name);
	print_ordinary(c, vj);
	for (const char *const *peer = bench_peers; *peer != NULL; peer++)
		if (bench_vs(ctx, *peer) && bench_left_out(ctx, c, *peer) != NULL)
			printf("  without %s: %s\n", *peer, bench_left_out(ctx, c, *peer));
	if (r->line_s[1] > 0)
		printf("  machine a cache line there and back between the two processors: %.0f..%.0f ns\n", r->line_s[0] * 1e9,
		       r->line_s[1] * 1e9);
	if (c->finish != NULL)
		print_finish(c);
}

static json_t *json_series(const struct bench_case *c, const struct bench_series *s)
{
	json_t *values = json_array(), *obj;
	double min, max;

	range(s, &min, &max);
	for (unsigned i = 0; i < s->cnt; i++)
		json_array_append_new(values, json_real(s->values[i]));
	obj = json_pack("{s:s, s:f, s:f, s:f, s:o}", "how", s->how, "median", series_median(s),
			"min", min, "max", max, "runs", values);
	if (!c->latency || s->hist.cnt == 0)
		return obj;
	for (size_t i = 0; i < ARRAY_SIZE(percentiles); i++) {
		char key[16];

		snprintf(key, sizeof(key), "%s_s", percentiles[i].name);
		json_object_set_new(obj, key,
				    json_real(hist_part_s(&s->hist, percentiles[i].part)));
	}
	json_object_set_new(obj, "max_s", json_real(hist_max_s(&s->hist)));
	return obj;
}

static void cpu_model(char buf[static 128])
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(buf, 128, "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || colon == NULL)
			continue;
		snprintf(buf, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
		break;
	}
	if (f != NULL)
		fclose(f);
}

static json_t *json_machine(const struct bench_ctx *ctx)
{
	struct utsname u;
	char cpu[128];

	uname(&u);
	cpu_model(cpu);
	return json_pack("{s:s, s:s, s:i, s:s}", "cpu", cpu, "arch", u.machine, "cpus",
			 (int)ctx->cpus, "kernel", u.release);
}

static json_t *real_or_null(double x)
{
	return x > 0 ? json_real(x) : json_null();
}

static json_t *json_tried(const struct bench_way *ways, unsigned cnt)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < cnt; i++)
		if (ways[i].tried > 0)
			json_array_append_new(all, json_pack("{s:s, s:f}", "how", ways[i].how, "value", ways[i].tried));
	return all;
}

static json_t *json_others(const struct bench_case *c, const struct bench_result *r)
{
	double vj = series_median(&r->vj);
	json_t *all = json_object();

	for (unsigned i = 0; i < c->other_cnt; i++) {
		json_t *one;

		if (r->others[i].cnt == 0)
			continue;
		one = json_series(c, &r->others[i]);
		json_object_set_new(one, "ratio", real_or_null(bench_ratio(c, vj, series_median(&r->others[i]))));
		json_object_set_new(one, "tried", json_tried(c->others[i].ways, c->others[i].way_cnt));
		json_object_set_new(all, c->others[i].name, one);
	}
	return all;
}

/* Who was named with --vs and has no part, and why */
static json_t *json_left_out(const struct bench_ctx *ctx, const struct bench_case *c)
{
	json_t *all = json_object();

	for (const char *const *peer = bench_peers; *peer != NULL; peer++)
		if (bench_vs(ctx, *peer) && bench_left_out(ctx, c, *peer) != NULL)
			json_object_set_new(all, *peer, json_string(bench_left_out(ctx, c, *peer)));
	return all;
}

static json_t *json_ordinary(const struct bench_case *c, double vj)
{
	const struct bench_way *way = ordinary_way(c);

	if (way == NULL)
		return json_null();
	return json_pack("{s:s, s:f, s:o}", "how", way->how, "value", way->tried, "ratio",
			 real_or_null(bench_ratio(c, vj, way->tried)));
}

static void json_parts(json_t *root, const struct bench_case *c, const struct bench_series *vj,
		       const struct bench_series *kernel)
{
	for (unsigned i = 0; i < BENCH_PARTS_MAX && c->parts[i] != NULL; i++) {
		double x = series_part_median(vj, i),
		       y = kernel != NULL ? series_part_median(kernel, i) : 0;

		json_object_set_new(root, c->parts[i],
				    json_pack("{s:f, s:o, s:o}", "vj", x, "kernel", real_or_null(y),
					      "ratio", real_or_null(bench_ratio(c, x, y))));
	}
}

static void print_json(const struct bench_ctx *ctx, const struct bench_case *c, const struct bench_result *r)
{
	const struct bench_series *kernel = r->kernel.cnt > 0 ? &r->kernel : NULL;
	double vj_median = series_median(&r->vj), kernel_median = series_median(&r->kernel);
	const struct bench_options *o = ctx->o;
	json_t *root;

	root = json_pack("{s:s, s:s, s:s, s:b, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "bench", c->name, "title",
			 c->title, "unit", c->unit, "lower_is_better", c->lower_is_better, "vj", vj_median, "kernel",
			 kernel != NULL ? json_real(kernel_median) : json_null(), "ratio",
			 real_or_null(bench_ratio(c, vj_median, kernel_median)), "vj_runs", json_series(c, &r->vj),
			 "kernel_runs", kernel != NULL ? json_series(c, kernel) : json_null(), "kernel_tried",
			 json_tried(c->kernel, c->kernel_cnt), "vj_tried", json_tried(c->vj, c->vj_cnt), "others", json_others(c, r), "left_out",
			 json_left_out(ctx, c));
	json_object_set_new(root, "ratio_turns", real_or_null(turn_ratios(c, r).median));
	json_object_set_new(root, "kernel_ordinary", json_ordinary(c, vj_median));
	json_parts(root, c, &r->vj, kernel);
	if (c->extra != NULL)
		json_object_update(root, c->extra);
	if (c->finish != NULL) {
		char note[BENCH_NOTE_BYTES];

		c->finish(note, root);
	}
	json_object_set_new(root, "settings",
			    json_pack("{s:f, s:i, s:s, s:i}", "seconds", o->seconds, "runs",
				      (int)o->runs, "wait", ctx->busy ? "busy" : "sleep", "spin_us",
				      (int)o->spin_us));
	json_object_set_new(root, "machine", json_machine(ctx));
	json_object_set_new(root, "line_s", json_pack("[f, f]", r->line_s[0], r->line_s[1]));
	json_object_set_new(root, "version", json_string(VJ_VERSION_STRING));
	json_object_set_new(root, "time", json_integer((json_int_t)time(NULL)));
	json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(root);
}

void bench_report(const struct bench_ctx *ctx, const struct bench_case *c, const struct bench_result *r)
{
	if (ctx->o->json)
		print_json(ctx, c, r);
	else
		print_result(ctx, c, r);
	fflush(stdout);
}
