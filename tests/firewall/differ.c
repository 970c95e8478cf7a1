// SPDX-License-Identifier: BSD-2-Clause
/*
 * differ.c - the same random rules and packets through the kernel's nftables and through the compiled program, in user space and in
 * dispatch and gate: the same verdict for every packet, the same count in every counter
 *
 *	differ [-s SEED] [-r RULESETS] [-p PACKETS]
 *
 * A seed is one ruleset with its packets; -s with -r 1 runs one again, and shows it. Needs root, and nothing outside of its own namespace is touched.
 */
#include "tests/firewall/bpf_run.h"
#include "tests/firewall/gen.h"
#include "tests/firewall/kernel.h"
#include "tests/firewall/run.h"

#include "base/assert.h"
#include "firewall/firewall.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct differ {
	struct kernel *kernel;
	struct bpf_run *bpf;
	const union filter_cell *cells; /* that have counted */
	uint64_t seed;
	uint32_t packet_cnt;
	char text[GEN_TEXT_BYTES];
	struct fw_program prog;
	struct gen_packet *packets;
	bool *accepted;
};

static void show(const struct differ *d, const char *what)
{
	fprintf(stderr, "%s\n%s\nagain: differ -s %llu -r 1 -p %u\n", d->text, what, (unsigned long long)d->seed, d->packet_cnt);
	exit(1);
}

static void compile(struct differ *d, char *json)
{
	char why[FW_WHY_BYTES];

	if (fw_compile(json, strlen(json), &d->prog, why) != 0) {
		fprintf(stderr, "%s\n", why);
		show(d, "does not compile");
	}
	for (uint32_t i = 0; i < d->prog.gap_cnt; i++) {
		fprintf(stderr, "%s\n%s %s %llu: %s\n", json, d->prog.gaps[i].place.table, d->prog.gaps[i].place.chain,
			(unsigned long long)d->prog.gaps[i].place.handle, d->prog.gaps[i].why);
		show(d, "a rule is not compiled");
	}
	free(json);
}

/* ---- counters */

static struct filter_count counted(const struct differ *d, const json_t *of, const char *chain, bool named, uint32_t nth)
{
	struct filter_count sum = { 0, 0 };

	for (uint32_t i = 0; i < d->prog.counter_cnt; i++) {
		const struct fw_counter *c = &d->prog.counters[i];

		if (c->named != named || c->nth != nth || strcmp(c->place.chain, chain) != 0 ||
		    strcmp(c->place.table, json_string_value(json_object_get(of, "table"))) != 0 ||
		    (!named && c->place.handle != (uint64_t)json_integer_value(json_object_get(of, "handle"))))
			continue;
		sum.packets += d->cells[c->cell].count.packets;
		sum.bytes += d->cells[c->cell].count.bytes;
	}
	return sum;
}

static void compare_counter(const struct differ *d, const json_t *of, const char *chain, bool named, uint32_t nth, const json_t *c)
{
	struct filter_count ours = counted(d, of, chain, named, nth);
	uint64_t packets = (uint64_t)json_integer_value(json_object_get(c, "packets"));
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(c, "bytes"));
	char what[256];

	if (ours.packets == packets && ours.bytes == bytes)
		return;
	snprintf(what, sizeof(what), "counter %u of %.64s %.64s (handle %d): %llu packets, %llu bytes; the kernel has %llu, %llu", nth,
		 json_string_value(json_object_get(of, "table")), chain, (int)json_integer_value(json_object_get(of, "handle")),
		 (unsigned long long)ours.packets, (unsigned long long)ours.bytes, (unsigned long long)packets,
		 (unsigned long long)bytes);
	show(d, what);
}

static void compare_rule(const struct differ *d, const json_t *rule)
{
	const json_t *exprs = json_object_get(rule, "expr");
	uint32_t nth = 0;

	for (size_t i = 0; i < json_array_size(exprs); i++) {
		const json_t *c = json_object_get(json_array_get(exprs, i), "counter");

		if (json_is_object(c))
			compare_counter(d, rule, json_string_value(json_object_get(rule, "chain")), false, nth++, c);
	}
}

static void compare_counters(const struct differ *d)
{
	char *text = kernel_json(d->kernel);
	json_t *root = json_loads(text, 0, NULL), *items = json_object_get(root, "nftables");

	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *rule = json_object_get(json_array_get(items, i), "rule");
		const json_t *counter = json_object_get(json_array_get(items, i), "counter");

		if (rule != NULL)
			compare_rule(d, rule);
		if (counter != NULL)
			compare_counter(d, counter, json_string_value(json_object_get(counter, "name")), true, 0, counter);
	}
	json_decref(root);
	free(text);
}

/* ---- verdicts */

/* What is known of the packet's port must not exclude what became of the packet. */
static void compare_ask(const struct differ *d, const struct run *run, const struct gen_packet *p, enum filter_verdict v)
{
	struct fw_question q = fw_question_any(p->outbound ? FILTER_OUTBOUND : FILTER_INBOUND);
	static const uint8_t known[] = { FILTER_NFPROTO, FILTER_L4PROTO, FILTER_DPORT, FILTER_IIFNAME, FILTER_OIFNAME };
	struct fw_answer answer;

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		q.word[known[i]].lo = q.word[known[i]].hi = run->run.word[known[i]];
	q.word[FILTER_DPORT].lo -= q.word[FILTER_DPORT].lo % 7;
	if (fw_ask(&d->prog, &q, &answer) != 0 || !(answer.verdicts & 1u << v))
		show(d, "fw_ask() excludes what happens");
}

/* A reject of what isn't answered is a drop. */
static void compare_bpf(const struct differ *d, uint32_t nr, enum filter_verdict v)
{
	enum filter_verdict bpf = bpf_run_packet(d->bpf, &d->packets[nr], 1, NULL);
	char what[128];

	if (bpf == v || (v == FILTER_REJECT && bpf == FILTER_DROP))
		return;
	snprintf(what, sizeof(what), "packet %u: verdict %d in user space, %d in BPF", nr, (int)v, (int)bpf);
	show(d, what);
}

static void compare_packets(struct differ *d)
{
	struct run *run = run_new(&d->prog);
	char what[160];

	for (uint32_t i = 0; i < d->packet_cnt; i++) {
		const struct gen_packet *p = &d->packets[i];
		enum filter_verdict v = run_packet(run, p);

		if (i % 8 == 0)
			compare_ask(d, run, p, v);
		compare_bpf(d, i, v);
		if ((v == FILTER_ACCEPT) == d->accepted[i])
			continue;
		snprintf(what, sizeof(what), "packet %u (%s, IPv%d, protocol %u, %u to %u, state %u): %s; the kernel %s it", i,
			 p->outbound ? "out" : "in", p->v6 ? 6 : 4, p->proto, run->run.word[FILTER_SPORT],
			 run->run.word[FILTER_DPORT], run->run.word[FILTER_CT_STATE],
			 v == FILTER_ACCEPT ? "accepted" : "not accepted", d->accepted[i] ? "accepts" : "does not accept");
		show(d, what);
	}
	run_free(run);
}

static void one(struct differ *d, uint64_t seed)
{
	struct gen_flow flows[GEN_FLOWS];
	struct prng rng;

	d->seed = seed;
	prng_seed(&rng, seed);
	gen_ruleset(&rng, d->text);
	gen_flows(&rng, flows);
	kernel_load(d->kernel, d->text);
	compile(d, kernel_json(d->kernel));
	for (uint32_t i = 0; i < d->packet_cnt; i++) {
		gen_packet(&rng, flows, i, &d->packets[i]);
		kernel_send(d->kernel, &d->packets[i]);
	}
	kernel_accepted(d->kernel, d->accepted, d->packet_cnt);
	bpf_run_load(d->bpf, &d->prog);
	compare_packets(d);
	d->cells = d->prog.cells;
	compare_counters(d);
	d->cells = bpf_run_cells(d->bpf);
	compare_counters(d);
	fw_program_free(&d->prog);
}

int main(int argc, char **argv)
{
	static struct differ d = { .packet_cnt = 400 };
	unsigned long rulesets = 100;
	uint64_t seed = 1;
	const char *why;
	int opt;

	while ((opt = getopt(argc, argv, "s:r:p:")) != -1) {
		if (opt == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (opt == 'r')
			rulesets = strtoul(optarg, NULL, 10);
		else
			d.packet_cnt = (uint32_t)strtoul(optarg, NULL, 10);
	}
	why = kernel_new(&d.kernel);
	if (why == NULL)
		why = bpf_run_new(&d.bpf);
	if (why != NULL) {
		printf("skipped: this machine does not allow %s\n", why);
		return 77;
	}
	d.packets = calloc(d.packet_cnt, sizeof(*d.packets));
	d.accepted = calloc(d.packet_cnt, sizeof(*d.accepted));
	for (unsigned long i = 0; i < rulesets; i++)
		one(&d, seed + i);
	printf("%lu rulesets, %lu packets: the same\n", rulesets, rulesets * d.packet_cnt);
	free(d.packets);
	free(d.accepted);
	bpf_run_free(d.bpf);
	kernel_free(d.kernel);
	return 0;
}
