// SPDX-License-Identifier: BSD-2-Clause
/*
 * What dispatch costs a frame: to the MAC address of an application against to the interface's own, by port. Needs root.
 *
 * Instructions are counted by bpf_count.h; that it counts no nonsense is tested on every frame of steps.h: its verdict is
 * that of BPF_PROG_TEST_RUN, its reason and application those of the list. With --table: the table of docs/interface-channel.md,
 * with the time that the kernel's own runs take.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/vj_dispatch.skel.h"
#include "tests/policy/bpf_count.h"
#include "tests/policy/kernel.h"
#include "tests/policy/steps.h"
#include "wire/ip4.h"
#include "wire/tcp.h"

enum { TIMED_RUNS = 5, TIMED_REPEAT = 400000 };

static struct vj_dispatch *dispatch;

/* @left: are there connections that have become the kernel's? */
static void configure(bool ways, bool left)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST), .ways = ways, .left = left, .hash_seed = STEP_SEED, .frame_max = STEP_LONG };
	uint32_t zero = 0;

	kernel_set(dispatch->obj, "dispatch_cfg", &zero, &cfg);
}

/* Maps as steps.h fills them */
static void load_anew(void)
{
	vj_dispatch__destroy(dispatch);
	dispatch = vj_dispatch__open_and_load();
	assert_non_null(dispatch);
	configure(true, true);
	step_setup(kernel_set, dispatch->obj);
}

/* And of UDP a block of ephemeral ports, too */
static void load_for_rows(void)
{
	uint32_t block = policy_block_idx(true, PORT_BLOCK), app = 3;

	load_anew();
	kernel_set(dispatch->obj, "blocks", &block, &app);
}

/* Return: what the kernel's runs take, ns each. @ret_verdict: of the last */
static uint32_t run_kernel(const struct step_frame *f, uint32_t repeat, uint32_t *ret_verdict)
{
	uint8_t buf[STEP_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buf, .data_size_in = step_build(f, buf), .repeat = (int)repeat);

	if (bpf_prog_test_run_opts(bpf_program__fd(dispatch->progs.vj_dispatch), &opts))
		fail_msg("a run with %u bytes: %s", opts.data_size_in, strerror(errno));
	*ret_verdict = opts.retval;
	return opts.duration;
}

/* Counted, and then run by the kernel: the same verdict, and the wanted reason, or a failure. */
static struct bpf_count run(const char *name, const struct step_frame *f, enum policy_reason reason)
{
	const struct bpf_program *prog = dispatch->progs.vj_dispatch;
	uint8_t buf[STEP_FRAME_MAX];
	struct bpf_count count;
	uint32_t verdict;
	int err;

	err = bpf_count_run(bpf_program__insns(prog), bpf_program__insn_cnt(prog), buf, buf + step_build(f, buf), &count);
	if (err)
		fail_msg("%s: %s", name, strerror(-err));
	run_kernel(f, 1, &verdict);
	if (count.verdict != verdict || count.percpu_key != reason)
		fail_msg("%s: counted to verdict %u, reason %u; the kernel's is %u, and %u is wanted", name, count.verdict,
			 count.percpu_key, verdict, reason);
	return count;
}

/* ---- tests --------------------------------------------------------------------------------------------------------- */

static void test_verdicts(void **state)
{
	(void)state;
	load_anew();
	for (size_t i = 0; i < dispatch_step_cnt; i++) {
		const struct step *step = &dispatch_steps[i];
		struct bpf_count count;

		step_apply(step->change, kernel_set, dispatch->obj);
		count = run(step->name, &step->frame, step->reason);
		if (count.redirect_key != step->app)
			fail_msg("%s: counted to application %u, not %u", step->name, count.redirect_key, step->app);
	}
}

/* In this order: the second of a flow finds what the first has written down. */
static const struct row {
	const char *name;
	enum policy_reason reason;
	uint8_t proto;
	enum step_mac mac;
	uint16_t port, src_port;
	uint8_t flags;
	bool ways;
} rows[] = {
	{ "to the application's own MAC", POLICY_TO_MAC, IP_PROTO_TCP, MAC_APP, PORT_TCP, 9, TCP_ACK, false },
	{ "SYN to a listening socket", POLICY_TO_PORT, IP_PROTO_TCP, MAC_HOST, PORT_TCP, 9, TCP_SYN, false },
	{ "that connection's next", POLICY_TO_FLOW, IP_PROTO_TCP, MAC_HOST, PORT_TCP, 9, TCP_ACK, false },
	{ "SYN, and the host has several ways", POLICY_TO_PORT, IP_PROTO_TCP, MAC_HOST, PORT_TCP, 9, TCP_SYN, true },
	{ "port of one owner, no such flow", POLICY_TO_PORT, IP_PROTO_TCP, MAC_HOST, PORT_TCP, 10, TCP_ACK, false },
	{ "block of ephemeral ports", POLICY_TO_BLOCK, IP_PROTO_TCP, MAC_HOST, PORT_BLOCK, 9, TCP_ACK, false },
	{ "the kernel's port", POLICY_PASS_PORT, IP_PROTO_TCP, MAC_HOST, PORT_NONE, 9, TCP_ACK, false },
	{ "to the application's own MAC", POLICY_TO_MAC, IP_PROTO_UDP, MAC_APP, PORT_UDP, 9, 0, false },
	{ "port of one owner", POLICY_TO_PORT, IP_PROTO_UDP, MAC_HOST, PORT_UDP, 9, 0, false },
	{ "the same, and the host has several ways", POLICY_TO_PORT, IP_PROTO_UDP, MAC_HOST, PORT_UDP, 9, 0, true },
	{ "port of several, first datagram", POLICY_TO_PORT, IP_PROTO_UDP, MAC_HOST, PORT_GROUP, 9, 0, false },
	{ "the next", POLICY_TO_FLOW, IP_PROTO_UDP, MAC_HOST, PORT_GROUP, 9, 0, false },
	{ "block of ephemeral ports", POLICY_TO_BLOCK, IP_PROTO_UDP, MAC_HOST, PORT_BLOCK, 9, 0, false },
	{ "the kernel's port", POLICY_PASS_PORT, IP_PROTO_UDP, MAC_HOST, PORT_NONE, 9, 0, false },
};

static struct step_frame begin_row(const struct row *row, bool v6)
{
	configure(row->ways, false);
	return (struct step_frame){ .v6 = v6,
				    .src_mac = MAC_OTHER,
				    .dst_mac = row->mac,
				    .src = ADDR_PEER,
				    .dst = ADDR_HOST,
				    .proto = row->proto,
				    .src_port = row->src_port,
				    .dst_port = row->port,
				    .flags = row->flags };
}

enum { INSNS_MAX = 450 }; /* of any way: read byte by byte headers take up to 502 */

/* By MAC takes less than 6 in 10 of the instructions of any way by port (not fewer look-ups: a port's only owner is found by one). */
static void test_rows(void **state)
{
	struct bpf_count by_mac = { 0 };

	(void)state;
	load_for_rows();
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct step_frame f = begin_row(&rows[i], v6);
			struct bpf_count count = run(rows[i].name, &f, rows[i].reason);

			if (rows[i].reason == POLICY_TO_MAC)
				by_mac = count;
			else
				assert_true(10 * by_mac.insns < 6 * count.insns);
			assert_true(count.insns < INSNS_MAX);
		}
}

/* ---- table --------------------------------------------------------------------------------------------------------- */

static uint32_t least_ns(const struct step_frame *f)
{
	uint32_t least = UINT32_MAX, verdict;

	for (unsigned i = 0; i < TIMED_RUNS; i++) {
		uint32_t ns = run_kernel(f, TIMED_REPEAT, &verdict);

		least = ns < least ? ns : least;
	}
	return least;
}

static void print_row(const struct row *row)
{
	struct step_frame f4 = begin_row(row, false), f6 = begin_row(row, true);
	struct bpf_count v4 = run(row->name, &f4, row->reason), v6 = run(row->name, &f6, row->reason);

	assert_int_equal(v4.lookups, v6.lookups);
	assert_int_equal(v4.helpers, v6.helpers);
	printf("| %s: %s | `%s` | %u | %u | %u | %u | %u | %u |\n", row->proto == IP_PROTO_TCP ? "TCP" : "UDP", row->name,
	       policy_reason_word(row->reason), v4.insns, v6.insns, v4.lookups, v4.helpers - v4.lookups, least_ns(&f4),
	       least_ns(&f6));
}

static void print_table(void **state)
{
	(void)state;
	load_for_rows();
	printf("| frame | reason | instructions, IPv4 | IPv6 | map look-ups | other helpers | ns, IPv4 | IPv6 |\n"
	       "|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		print_row(&rows[i]);
}

static int teardown(void **state)
{
	(void)state;
	vj_dispatch__destroy(dispatch);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_rows),
	};
	const struct CMUnitTest table[] = {
		cmocka_unit_test(print_table),
	};

	kernel_begin();
	dispatch = vj_dispatch__open_and_load();
	kernel_loaded(dispatch);
	if (argc == 2 && strcmp(argv[1], "--table") == 0)
		return cmocka_run_group_tests(table, NULL, teardown);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
