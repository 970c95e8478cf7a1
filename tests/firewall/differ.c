// SPDX-License-Identifier: BSD-2-Clause
/*
 * differ.c - the same random rules and packets through the kernel's nftables and through the compiled program, in user space and in
 * dispatch and gate: the same verdict for every packet, the same count in every counter
 *
 *	differ [-s SEED] [-r RULESETS] [-p PACKETS] [FILE...]
 *
 * FILE: its rules in place of random ones, for one run of packets; what of it is not compiled, and which ports keep a channel, is printed. Of several each
 * is run in a process of its own, behind a line "== FILE"; one that fails is told by a line "failed", and ends nothing.
 *
 * A seed is one ruleset with its packets; -s with -r 1 runs one again, and shows it. Needs root, and nothing outside of its own namespace is touched.
 */
#include "tests/firewall/bpf_run.h"
#include "tests/firewall/gen.h"
#include "tests/firewall/kernel.h"
#include "tests/firewall/run.h"

#include "base/assert.h"
#include "firewall/firewall.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEFT_MAX = 256, LARGEST = 65000, GIVEN_S = 60 };

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
	bool file; /* rules may be what isn't compiled */
	unsigned otherwise; /* rulesets with a rule that nft shows otherwise than the kernel has it */
	uint64_t left[LEFT_MAX]; /* flows of which a packet was left to the kernel, whose next ones only it can judge */
	unsigned left_cnt;
	uint32_t datagrams; /* in fragments, so far */
	unsigned same[2]; /* of those that both must judge alike: not accepted, accepted */
};

static void show(const struct differ *d, const char *what)
{
	fprintf(stderr, "%s\n%s\nagain: differ -s %llu -r 1 -p %u\n", d->text, what, (unsigned long long)d->seed, d->packet_cnt);
	exit(1);
}

static const char otherwise[] = "nft shows it otherwise than the kernel has it";

/* Random rules are what is compiled, unless nft doesn't show them as they are. Return: all is compiled */
static bool compile(struct differ *d, char *json)
{
	char why[FW_WHY_BYTES];

	if (kernel_compile(json, &d->prog, why) != 0) {
		fprintf(stderr, "%s\n", why);
		show(d, "does not compile");
	}
	for (uint32_t i = 0; i < d->prog.gap_cnt; i++) {
		const struct fw_gap *g = &d->prog.gaps[i];

		if (d->file)
			printf("gap %s %s %s: %s\n", g->place.family, g->place.table, g->place.chain, g->why);
		else if (strcmp(g->why, otherwise) != 0) {
			fprintf(stderr, "%s\n%s %s %llu: %s\n", json, g->place.table, g->place.chain,
				(unsigned long long)g->place.handle, g->why);
			show(d, "a rule is not compiled");
		}
	}
	free(json);
	return d->prog.gap_cnt == 0;
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

static uint32_t class_of(const struct fw_program *prog, uint32_t port)
{
	uint32_t c = 0;

	while (prog->ports[c].hi < port)
		c++;
	return c;
}

/* Of all ports at once the answer is the same as of each. */
static void compare_ports(const struct differ *d, struct fw_question q, enum filter_word word, bool gaps_only)
{
	uint32_t port = q.word[word].lo, c = class_of(&d->prog, port);
	uint32_t *at = calloc(d->prog.port_cnt, sizeof(*at));
	struct fw_answer answer;
	bool against;

	VJ_ASSERT(at != NULL);
	fw_ask_ports(&d->prog, &q, word, gaps_only, 0, at);
	if (fw_ask(&d->prog, &q, &answer) != 0)
		show(d, "fw_ask() does not answer");
	against = gaps_only ? (answer.verdicts & 1u << FILTER_KERNEL) != 0 : answer.verdicts != 1u << FILTER_ACCEPT || answer.counts;
	if (d->prog.ports[c].lo > port || (at[c] != 0) != against)
		show(d, "fw_ask_ports() says another thing than fw_ask()");
	free(at);
}

/* What is known of the packet's port must not exclude what became of the packet. */
static void compare_ask(const struct differ *d, const struct run *run, const struct gen_packet *p, enum filter_verdict v)
{
	struct fw_question q = fw_question_any(p->outbound ? FILTER_OUTBOUND : FILTER_INBOUND);
	static const uint8_t known[] = { FILTER_NFPROTO, FILTER_L4PROTO, FILTER_DPORT, FILTER_IIFNAME, FILTER_OIFNAME };
	struct fw_answer answer;

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		q.word[known[i]].lo = q.word[known[i]].hi = run->run.word[known[i]];
	if (p->proto == 6 || p->proto == 17) {
		compare_ports(d, q, FILTER_DPORT, d->file);
		q.word[FILTER_SPORT] = (struct fw_range){ run->run.word[FILTER_SPORT], run->run.word[FILTER_SPORT] };
		compare_ports(d, q, FILTER_SPORT, !d->file);
		q.word[FILTER_SPORT] = (struct fw_range){ 0, UINT32_MAX };
	}
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

/* Also of an error about it. */
static uint64_t flow_of(const struct run *run)
{
	uint32_t ports = run->run.word[FILTER_SPORT] ^ run->run.word[FILTER_DPORT];

	return (uint64_t)ports << 32 | (run->run.word[FILTER_SADDR] ^ run->run.word[FILTER_DADDR]);
}

/* Is it the kernel's alone to say what becomes of this packet? */
static bool is_left(struct differ *d, const struct run *run, const struct gen_packet *p, enum filter_verdict v)
{
	uint64_t flow = flow_of(run);

	if (d->prog.gap_cnt == 0)
		return false;
	if (v == FILTER_KERNEL && d->left_cnt < LEFT_MAX)
		d->left[d->left_cnt++] = flow;
	for (unsigned i = 0; i < d->left_cnt; i++)
		if (d->left[i] == flow)
			return true;
	return d->left_cnt == LEFT_MAX || (p->proto != 6 && p->proto != 17);
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
		if (is_left(d, run, p, v))
			continue;
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

/* ---- fragments */

/*
 * Of datagrams inbound both get the fragments, in the same order. Outbound the kernel gets the datagram, as from an application, and cuts it behind
 * its rules. Where the kernel judges datagrams and not fragments, the same is accepted; else no more than the kernel does. One that comes before
 * its first is never accepted.
 */
enum { DATAGRAMS = 40 };

static bool send_parts(struct differ *d, const struct gen_packet *whole, const struct gen_packet *parts, unsigned cnt, bool late)
{
	bool all = true;

	if (whole->outbound)
		kernel_send(d->kernel, whole);
	for (unsigned i = 0; i < cnt; i++) {
		const struct gen_packet *p = &parts[late ? (i + 1) % cnt : i];

		if (!whole->outbound)
			kernel_send(d->kernel, p);
		all &= bpf_run_packet(d->bpf, p, 1, NULL) == FILTER_ACCEPT;
	}
	return all;
}

static void compare_datagrams(struct differ *d, struct prng *rng)
{
	struct gen_packet whole[DATAGRAMS], parts[GEN_PARTS];
	bool ours[DATAGRAMS], kernels[DATAGRAMS], late[DATAGRAMS];
	uint32_t flags = d->prog.cells[0].head.flags;
	char what[128];

	for (uint32_t i = 0; i < DATAGRAMS; i++) {
		unsigned cnt = gen_datagram(rng, i, ++d->datagrams, &whole[i], parts);

		/* what the kernel lets through then, and we don't, would make a difference for later ones, if rules count them */
		late[i] = !(flags & FILTER_TIMED) && prng_chance(rng, 1, 8);
		ours[i] = send_parts(d, &whole[i], parts, cnt, late[i]);
	}
	kernel_accepted(d->kernel, kernels, DATAGRAMS);
	for (uint32_t i = 0; i < DATAGRAMS; i++) {
		bool exact = !(flags & FILTER_SIZED) && !late[i] &&
			     (whole[i].outbound || flags & (whole[i].v6 ? FILTER_WHOLE_IP6 : FILTER_WHOLE_IP4));

		d->same[ours[i]] += exact;
		if ((!ours[i] || kernels[i]) && !(late[i] && ours[i]) && (!exact || ours[i] == kernels[i]))
			continue;
		snprintf(what, sizeof(what), "datagram %u in fragments (%s, IPv%d, the first one %s): %s; the kernel %s it", i,
			 whole[i].outbound ? "out" : "in", whole[i].v6 ? 6 : 4, late[i] ? "last" : "first",
			 ours[i] ? "accepted" : "not accepted", kernels[i] ? "accepts" : "does not accept");
		show(d, what);
	}
}

static void run_rules(struct differ *d, struct prng *rng)
{
	struct gen_flow flows[GEN_FLOWS];
	bool whole;

	gen_flows(rng, flows);
	kernel_load(d->kernel, d->text);
	whole = compile(d, kernel_json(d->kernel));
	d->otherwise += !whole;
	d->left_cnt = 0;
	for (uint32_t i = 0; i < d->packet_cnt; i++) {
		gen_packet(rng, flows, i, &d->packets[i]);
		kernel_send(d->kernel, &d->packets[i]);
	}
	kernel_accepted(d->kernel, d->accepted, d->packet_cnt);
	bpf_run_load(d->bpf, &d->prog);
	compare_packets(d);
	if (!whole)
		return;
	d->cells = d->prog.cells;
	compare_counters(d);
	d->cells = bpf_run_cells(d->bpf);
	compare_counters(d);
	if (!d->file)
		compare_datagrams(d, rng);
}

static void one(struct differ *d, uint64_t seed)
{
	struct prng rng;

	d->seed = seed;
	prng_seed(&rng, seed);
	gen_ruleset(&rng, d->text);
	run_rules(d, &rng);
	fw_program_free(&d->prog);
}

/* What random rules seldom have: where a datagram and its fragments would be judged otherwise. */
static void fragments(struct differ *d)
{
	static const char *const rules[] = {
		"table inet t {\nchain c {\ntype filter hook input priority 0;\nct state new counter\nmeta length > 200 drop\n}\n}\n",
		"table inet t {\nchain c {\ntype filter hook input priority 0;\nmeta length > 200 drop\n}\n"
		"chain d {\ntype filter hook output priority 0;\nmeta length vmap { 200-400 : drop }\n}\n}\n",
		"table inet t {\nchain c {\ntype filter hook prerouting priority -450; policy drop;\nudp dport 1-65534 accept\n}\n"
		"chain d {\ntype filter hook input priority 0;\nct state new counter\n}\n}\n",
		"table ip t {\nchain c {\ntype filter hook input priority 0;\nct state new counter\n}\n}\n"
		"table inet u {\nchain c {\ntype filter hook input priority 0; policy drop;\nudp dport 1-65534 accept\n}\n}\n",
		"table inet t {\nchain c {\ntype filter hook input priority 0;\nct state new ip6 nexthdr udp drop\n}\n"
		"chain d {\ntype filter hook output priority 0;\nip6 nexthdr 44 drop\nudp sport > 1000 drop\n}\n}\n",
		"table inet t {\nchain c {\ntype filter hook input priority 0;\nmeta l4proto udp limit rate 1/day burst 20 packets drop\n}\n}\n",
		"table inet t {\nchain c {\ntype filter hook input priority 0;\nct state new limit rate 1/day burst 20 packets drop\n}\n}\n",
		"table inet t {\nchain c {\ntype filter hook input priority 0;\nct state new limit rate 1 bytes/day burst 9000 bytes drop\n}\n}\n",
		"table inet t {\nchain c {\ntype filter hook prerouting priority 0; policy drop;\nudp dport 1-65534 accept\n}\n}\n",
	};
	struct prng rng;

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		strcpy(d->text, rules[i]);
		prng_seed(&rng, i);
		run_rules(d, &rng);
		if (d->prog.gap_cnt > 0)
			show(d, "a rule is not compiled");
		fw_program_free(&d->prog);
	}
}

/* ---- given rules */

static void know(struct fw_question *q, unsigned word, uint32_t value)
{
	q->word[word] = (struct fw_range){ value, value };
}

/* As vjd asks of a port at the addresses of this namespace. */
static void say_port(const struct differ *d, bool v6, uint8_t proto, uint32_t port)
{
	static const uint32_t addrs[2][4] = { { 0x0a090001 }, { 0xfd090000, 0, 0, 1 } };
	bool left = false;

	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++) {
		struct fw_question q = fw_question_any(dir);
		bool in = dir == FILTER_INBOUND;
		struct fw_answer a = { .verdicts = 0 };
		uint8_t name[16] = GEN_IFNAME;

		know(&q, FILTER_NFPROTO, v6 ? FILTER_NFPROTO_IP6 : FILTER_NFPROTO_IP4);
		know(&q, FILTER_L4PROTO, proto);
		know(&q, in ? FILTER_DPORT : FILTER_SPORT, port);
		know(&q, FILTER_DADDR_TYPE, in ? FILTER_RTN_LOCAL : FILTER_RTN_UNICAST);
		for (unsigned i = 0; i < 4; i++) {
			know(&q, (in ? FILTER_DADDR : FILTER_SADDR) + i, addrs[v6][i]);
			know(&q, (in ? FILTER_IIFNAME : FILTER_OIFNAME) + i, load_be32(name + 4 * i));
			know(&q, (in ? FILTER_OIFNAME : FILTER_IIFNAME) + i, 0);
		}
		left |= fw_ask(&d->prog, &q, &a) != 0 || a.verdicts & 1u << FILTER_KERNEL;
	}
	printf("%s%s %u: %s\n", proto == 6 ? "tcp" : "udp", v6 ? "6" : "4", port, left ? "kernel" : "channel");
}

static void given(struct differ *d, const char *path)
{
	static const uint16_t ports[] = { 22, 53, 80, 123, 443, 7000, 8080 };
	FILE *f = fopen(path, "re");
	struct prng rng;
	size_t len;

	if (f == NULL) {
		fprintf(stderr, "%s is not there\n", path);
		exit(2);
	}
	len = fread(d->text, 1, GEN_TEXT_BYTES - 1, f);
	d->text[len] = '\0';
	fclose(f);
	d->file = true;
	for (char *flush = d->text; (flush = strstr(flush, "flush ruleset")) != NULL;)
		memset(flush, ' ', strlen("flush ruleset")); /* the harness is loaded before */
	prng_seed(&rng, d->seed);
	run_rules(d, &rng);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		for (unsigned k = 0; k < 4; k++)
			say_port(d, k & 1, k & 2 ? 17 : 6, ports[i]);
	fw_program_free(&d->prog);
}

/* Loading the programs takes longer than a run: so it is done once. Return: exit status */
static int given_all(struct differ *d, char *const paths[], int cnt)
{
	int status, rc = 0;

	for (int i = 0; i < cnt; i++) {
		pid_t pid;

		if (cnt > 1)
			printf("== %s\n", paths[i]);
		fflush(stdout);
		pid = fork();
		VJ_ASSERT(pid >= 0);
		if (pid == 0) {
			alarm(GIVEN_S);
			given(d, paths[i]);
			exit(0);
		}
		VJ_ASSERT(waitpid(pid, &status, 0) == pid);
		if (status != 0) {
			printf("failed\n");
			rc = 1;
		}
	}
	return rc;
}

/* ---- rules of which nft 1.0.6 shows something else: they are gaps, or (of a later nft) shown as they are */

static void shown_otherwise(struct differ *d)
{
	static const char *const rules[] = { "tcp sport < 673 tcp window > 1001 drop", "tcp sport < 673 tcp sport > 1001 drop" };

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		snprintf(d->text, sizeof(d->text), "table inet t {\nchain c {\ntype filter hook input priority 0;\n%s\n}\n}\n", rules[i]);
		kernel_load(d->kernel, d->text);
		compile(d, kernel_json(d->kernel));
		if ((d->prog.gap_cnt == 1) == kernel_lists(d->kernel, rules[i]))
			show(d, "is it a gap?");
		fw_program_free(&d->prog);
	}
}

/* ---- the largest rulesets, as text alone: nft would take a while */

/* Port 53 is the last one's. Return: as fw_compile() */
static int many(struct differ *d, uint32_t cnt, char why[static FW_WHY_BYTES])
{
	static const char head[] = "{\"nftables\":[{\"metainfo\":{\"json_schema_version\":1}},{\"table\":{\"family\":\"inet\",\"name\":\"t\","
				   "\"handle\":1}},{\"chain\":{\"family\":\"inet\",\"table\":\"t\",\"name\":\"c\",\"handle\":1,\"type\":"
				   "\"filter\",\"hook\":\"input\",\"prio\":0,\"policy\":\"accept\"}}";
	char *json = NULL;
	size_t len;
	FILE *f = open_memstream(&json, &len);
	int r;

	VJ_ASSERT(f != NULL);
	fputs(head, f);
	for (uint32_t i = 1; i <= cnt; i++)
		fprintf(f, ",{\"rule\":{\"family\":\"inet\",\"table\":\"t\",\"chain\":\"c\",\"handle\":%u,\"expr\":[{\"match\":{\"op\":"
			   "\"==\",\"left\":{\"payload\":{\"protocol\":\"udp\",\"field\":\"dport\"}},\"right\":%u}},{\"drop\":null}]}}",
			i + 1, i < cnt ? 1000 + i % 60000 : 53);
	fputs("]}", f);
	fclose(f);
	r = fw_compile(json, len, NULL, &d->prog, why);
	free(json);
	return r;
}

static void limits(struct differ *d)
{
	struct gen_flow flows[GEN_FLOWS] = { { .v6 = false } };
	char why[FW_WHY_BYTES];
	struct gen_packet p;
	struct prng rng;

	prng_seed(&rng, 1);
	for (unsigned i = 0; i < GEN_FLOWS; i++)
		flows[i] = (struct gen_flow){ .remote = { [12] = 10, 9, 0, 2 }, .local = { [12] = 10, 9, 0, 1 }, .remote_port = 4000,
					      .local_port = 53 };
	do
		gen_packet(&rng, flows, 1, &p);
	while (p.outbound || p.proto != 17);
	strcpy(d->text, "many rules");
	if (many(d, LARGEST, why) != 0 || d->prog.longest > FILTER_STEPS_MAX || d->prog.longest < LARGEST)
		show(d, "the largest ruleset does not compile");
	bpf_run_load(d->bpf, &d->prog);
	if (bpf_run_packet(d->bpf, &p, 1, NULL) != FILTER_DROP)
		show(d, "the last rule of the largest ruleset does not hold");
	printf("%u rules: %u cells, at most %u steps\n", (unsigned)LARGEST, d->prog.cell_cnt, d->prog.longest);
	fw_program_free(&d->prog);
	if (many(d, LARGEST + 1000, why) != -E2BIG)
		show(d, "a ruleset beyond the limits compiles");
}

static void random_rules(struct differ *d, uint64_t seed, unsigned long rulesets)
{
	shown_otherwise(d);
	limits(d);
	fragments(d);
	d->otherwise = 0;
	for (unsigned long i = 0; i < rulesets; i++)
		one(d, seed + i);
	/* nft joins "not this" of two fields that lie side by side to "not both", which it shows as before */
	if (d->otherwise > 5 + rulesets / 20)
		show(d, "too many rules are shown otherwise than the kernel has them");
	if (rulesets >= 20 && (d->same[0] < rulesets || d->same[1] < rulesets))
		show(d, "hardly any datagrams in fragments were judged");
	printf("datagrams in fragments, judged as the kernel does: %u accepted, %u not\n", d->same[1], d->same[0]);
	printf("%lu rulesets, %lu packets: the same; %u with rules that nft shows otherwise\n", rulesets, rulesets * d->packet_cnt,
	       d->otherwise);
}

int main(int argc, char **argv)
{
	static struct differ d = { .packet_cnt = 400 };
	unsigned long rulesets = 100;
	uint64_t seed = 1;
	const char *why;
	int opt, rc = 0;

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
	d.seed = seed;
	if (optind < argc)
		rc = given_all(&d, argv + optind, argc - optind);
	else
		random_rules(&d, seed, rulesets);
	free(d.packets);
	free(d.accepted);
	bpf_run_free(d.bpf);
	kernel_free(d.kernel);
	return rc;
}
