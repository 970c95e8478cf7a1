// SPDX-License-Identifier: BSD-2-Clause
/*
 * cost.c - what rules cost a frame: dispatch with the compiled program, and the kernel with nftables, in one run
 *
 * The packet is a datagram that the last rule accepts. dispatch: BPF_PROG_TEST_RUN with the time that it reports. nftables: what the kernel takes longer to receive
 * a packet from a TUN device than without rules, its path to the socket included in both.
 */
#include "tests/firewall/bpf_run.h"
#include "tests/firewall/gen.h"
#include "tests/firewall/kernel.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_BYTES = 1 << 20, REPEAT = 200000, PACKETS = 20000, ROUNDS = 5 };

struct cost {
	struct kernel *kernel;
	struct bpf_run *bpf;
	struct gen_packet packet;
	char *text;
	double kernel_base_ns;
};

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* The best of some rounds. */
static double kernel_ns(struct cost *c)
{
	double best = 1e18;
	bool accepted;

	for (unsigned r = 0; r < ROUNDS; r++) {
		double start = now_ns(), took;

		for (unsigned i = 0; i < PACKETS; i++)
			kernel_send(c->kernel, &c->packet);
		took = (now_ns() - start) / PACKETS;
		best = took < best ? took : best;
		kernel_accepted(c->kernel, &accepted, 1);
	}
	return best;
}

static double dispatch_ns(struct cost *c)
{
	uint32_t best = UINT32_MAX, ns;

	for (unsigned r = 0; r < ROUNDS; r++) {
		VJ_ASSERT_OP(bpf_run_packet(c->bpf, &c->packet, REPEAT, &ns), ==, FILTER_ACCEPT);
		best = ns < best ? ns : best;
	}
	return best;
}

static void measure(struct cost *c, const char *what)
{
	char why[FW_WHY_BYTES], *json;
	struct fw_program prog;
	double nft;

	kernel_load(c->kernel, c->text);
	json = kernel_json(c->kernel);
	VJ_ASSERT(kernel_compile(json, &prog, why) == 0 && prog.gap_cnt == 0);
	bpf_run_load(c->bpf, &prog);
	nft = kernel_ns(c);
	if (c->kernel_base_ns == 0)
		c->kernel_base_ns = nft;
	printf("%-28s %8.0f ns %8u cells %6u steps at most; nftables %+8.0f ns\n", what, dispatch_ns(c), prog.cell_cnt, prog.longest,
	       nft - c->kernel_base_ns);
	fw_program_free(&prog);
	free(json);
}

static void chain(struct cost *c, const char *sets, const char *rules)
{
	snprintf(c->text, TEXT_BYTES, "table inet t {\n%s\nchain in {\ntype filter hook input priority 0; policy drop;\n%s\n}\n}\n", sets,
		 rules);
}

static void linear(struct cost *c, unsigned cnt)
{
	char *rules = calloc(1, TEXT_BYTES / 2), what[64];
	size_t len = 0;

	for (unsigned i = 1; i < cnt; i++)
		len += (size_t)sprintf(rules + len, "udp dport %u drop\n", 10000 + i);
	sprintf(rules + len, "udp dport 53 accept\n");
	chain(c, "", rules);
	snprintf(what, sizeof(what), "%u linear rules", cnt);
	measure(c, what);
	free(rules);
}

static void set_of(struct cost *c, unsigned cnt)
{
	char *set = calloc(1, TEXT_BYTES / 2), what[64];
	size_t len = (size_t)sprintf(set, "set s {\ntype ipv4_addr\nflags interval\nelements = { 10.9.0.2");

	for (unsigned i = 1; i < cnt; i++)
		len += (size_t)sprintf(set + len, ", 11.%u.%u.0/25", i >> 8, i & 255);
	sprintf(set + len, " }\n}\n");
	chain(c, set, "ip saddr @s udp dport 53 accept\n");
	snprintf(what, sizeof(what), "a set of %u prefixes", cnt);
	measure(c, what);
	free(set);
}

int main(void)
{
	static struct cost c;
	struct gen_flow flows[GEN_FLOWS];
	struct prng rng;
	const char *why = kernel_new(&c.kernel);

	if (why == NULL)
		why = bpf_run_new(&c.bpf);
	if (why != NULL) {
		printf("skipped: this machine does not allow %s\n", why);
		return 77;
	}
	c.text = malloc(TEXT_BYTES);
	VJ_ASSERT(c.text != NULL);
	prng_seed(&rng, 1);
	memset(flows, 0, sizeof(flows));
	for (unsigned i = 0; i < GEN_FLOWS; i++)
		flows[i] = (struct gen_flow){ .remote = { [12] = 10, 9, 0, 2 }, .local = { [12] = 10, 9, 0, 1 },
					      .remote_port = 4000, .local_port = 53 };
	do
		gen_packet(&rng, flows, 1, &c.packet);
	while (c.packet.outbound || c.packet.proto != 17);
	strcpy(c.text, "");
	kernel_load(c.kernel, c.text);
	for (unsigned i = 0; i < 4; i++) /* until processor and caches are warm */
		kernel_ns(&c);
	measure(&c, "no rules");
	linear(&c, 10);
	linear(&c, 100);
	set_of(&c, 1000);
	set_of(&c, 10000);
	chain(&c, "", "ct state established,related accept\nudp dport 53 accept\n");
	measure(&c, "ct state");
	free(c.text);
	bpf_run_free(c.bpf);
	kernel_free(c.kernel);
	return 0;
}
