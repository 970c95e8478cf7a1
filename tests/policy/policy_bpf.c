// SPDX-License-Identifier: BSD-2-Clause
/*
 * The lists of steps.h, decided by the BPF programs in the kernel (BPF_PROG_TEST_RUN). Needs root.
 *
 * A run tells the program's verdict, not where a redirect leads; so of each frame that an application gets, it is asked a
 * second time with all other applications' devices away, and once more with only its own away.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/vj_deliver.skel.h"
#include "bpf/vj_dispatch.skel.h"
#include "bpf/vj_gate.skel.h"
#include "policy/filter_packet.h"
#include "tests/policy/kernel.h"
#include "tests/policy/steps.h"

enum {
	GATE_APP = 1,
	/* The kernel makes no packet of less than Ethernet's and IP's headers; a test run of XDP makes none at all. */
	TC_RUN_MIN_V4 = 34,
	TC_RUN_MIN_V6 = 54,
};

static struct vj_dispatch *dispatch;
static struct vj_gate *gate;
static step_set_fn *const set = kernel_set;

/* dispatch counts by reason; gate by application and reason, of which there is the one. */
static void read_counters(const struct bpf_map *map, uint64_t sums[static POLICY_REASON_CNT])
{
	bool by_app = map == gate->maps.gate_counters;
	size_t cpus = (size_t)libbpf_num_possible_cpus(), width = by_app ? POLICY_REASON_CNT : 1;
	uint64_t *values = calloc(cpus * width, sizeof(*values));

	for (uint32_t r = 0; r < POLICY_REASON_CNT; r++) {
		uint32_t key = by_app ? GATE_APP : r;

		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &key, values), 0);
		sums[r] = 0;
		for (size_t i = 0; i < cpus; i++)
			sums[r] += values[i * width + (by_app ? r : 0)];
	}
	free(values);
}

/* Return: the verdict; and the one reason that was counted. */
static uint32_t run(const struct bpf_program *prog, const struct bpf_map *counters, const struct step_frame *f,
		    enum policy_reason *ret_reason)
{
	uint64_t before[POLICY_REASON_CNT], after[POLICY_REASON_CNT];
	uint8_t buf[STEP_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buf, .data_size_in = step_build(f, buf), .repeat = 1);
	unsigned counted = 0;

	read_counters(counters, before);
	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		fail_msg("a run with %u bytes: %s", opts.data_size_in, strerror(errno));
	read_counters(counters, after);
	for (uint32_t r = 0; r < POLICY_REASON_CNT; r++) {
		if (after[r] == before[r])
			continue;
		assert_int_equal(after[r], before[r] + 1);
		*ret_reason = r;
		counted++;
	}
	assert_int_equal(counted, 1);
	return opts.retval;
}

static void expect(const struct step *step, enum policy_reason reason, uint32_t verdict, uint32_t expected)
{
	if (reason != step->reason || verdict != expected)
		fail_msg("%s: %s, verdict %u; not %s, verdict %u", step->name, policy_reason_word(reason), verdict,
			 policy_reason_word(step->reason), expected);
}

static void configure(void)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST), .ways = 1, .left = 1, .hash_seed = STEP_SEED, .frame_max = STEP_LONG };
	uint32_t zero = 0;

	set(dispatch->obj, "dispatch_cfg", &zero, &cfg);
}

/* Of frames that leave traces the maps are full: others. */
static void load_anew(void)
{
	vj_dispatch__destroy(dispatch);
	dispatch = vj_dispatch__open_and_load();
	assert_non_null(dispatch);
	configure();
	step_setup(set, dispatch->obj);
}

static void run_dispatch(const struct bpf_program *prog, uint32_t take, uint32_t pass, uint32_t drop)
{
	uint8_t buf[STEP_FRAME_MAX];

	for (size_t i = 0; i < dispatch_step_cnt; i++) {
		const struct step *step = &dispatch_steps[i];
		enum policy_reason reason = POLICY_REASON_CNT;
		uint32_t verdict;

		step_apply(step->change, set, dispatch->obj);
		if (prog == dispatch->progs.vj_dispatch_tc && step_build(&step->frame, buf) < (step->frame.v6 ? TC_RUN_MIN_V6 : TC_RUN_MIN_V4))
			continue;
		verdict = run(prog, dispatch->maps.counters, &step->frame, &reason);
		expect(step, reason, verdict,
		       policy_reason_fate(step->reason) == POLICY_FATE_DROP ? drop : step->app ? take : pass);
	}
}

static void test_dispatch(void **state)
{
	(void)state;
	configure();
	run_dispatch(dispatch->progs.vj_dispatch, XDP_REDIRECT, XDP_PASS, XDP_DROP);
}

static void test_dispatch_tc(void **state)
{
	(void)state;
	load_anew();
	run_dispatch(dispatch->progs.vj_dispatch_tc, TC_ACT_REDIRECT, (uint32_t)TC_ACT_UNSPEC, TC_ACT_SHOT);
}

/* As `app`'s own: devices of all others are away, then only its own is. */
static void expect_owner(const struct step *step)
{
	uint32_t one = 1, gone = 0;
	enum policy_reason reason;

	for (uint32_t app = 1; app <= 5; app++) {
		if (app == step->app || bpf_map_lookup_elem(bpf_map__fd(dispatch->maps.devs), &app, &gone) != 0)
			continue;
		set(dispatch->obj, "devs", &app, NULL);
		if (run(dispatch->progs.vj_dispatch, dispatch->maps.counters, &step->frame, &reason) != XDP_REDIRECT)
			fail_msg("%s: not for application %u alone", step->name, step->app);
		set(dispatch->obj, "devs", &app, &one);
	}
	/* an address of who is gone is one of the host's, where another may have the port */
	if (step->reason == POLICY_TO_ADDR)
		return;
	set(dispatch->obj, "devs", &step->app, NULL);
	if (run(dispatch->progs.vj_dispatch, dispatch->maps.counters, &step->frame, &reason) != XDP_PASS)
		fail_msg("%s: for another application than %u", step->name, step->app);
	set(dispatch->obj, "devs", &step->app, &one);
}

/* Only of frames that leave no trace and find none. */
static void test_dispatch_owner(void **state)
{
	(void)state;
	load_anew();
	for (size_t i = 0; i < dispatch_step_cnt && dispatch_steps[i].change == CHANGE_NONE; i++)
		if (dispatch_steps[i].app && !dispatch_steps[i].frame.frag_off && dispatch_steps[i].reason != POLICY_TO_FLOW)
			expect_owner(&dispatch_steps[i]);
}

/* What the firewall leaves to the kernel, the kernel takes: also of frames to an application's MAC address. */
static void test_kernel_judges(void **state)
{
	static const union filter_cell program[] = {
		{ .head = { .magic = FILTER_MAGIC, .entry = { 1, 1 } } },
		{ .insn = { .op = FILTER_OP_KERNEL } },
	};
	const struct step_frame f = { .dst_mac = MAC_APP, .src = ADDR_PEER, .dst = ADDR_HOST, .proto = IP_PROTO_TCP };
	const struct mac_addr host = step_mac(MAC_HOST);
	struct filter_cfg cfg = { .on = 1 };
	uint8_t in[STEP_FRAME_MAX], out[STEP_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = step_build(&f, in), .data_out = out,
		    .data_size_out = sizeof(out), .repeat = 1);
	uint32_t zero = 0;

	(void)state;
	load_anew();
	for (uint32_t i = 0; i < ARRAY_SIZE(program); i++)
		set(dispatch->obj, "filter_cells", &i, &program[i]);
	set(dispatch->obj, "filter_cfg", &zero, &cfg);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(dispatch->progs.vj_dispatch), &opts), 0);
	assert_int_equal(opts.retval, XDP_PASS);
	assert_memory_equal(out, &host, sizeof(host));
}

static void test_gate(void **state)
{
	struct policy_gate_cfg cfg = { .app = GATE_APP, .mtu = STEP_MTU, .hash_seed = STEP_SEED, .mac = step_mac(MAC_HOST) };
	struct policy_gate_counters *none = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*none));
	uint32_t zero = 0, one = 1, loopback = 1, app = GATE_APP;

	(void)state;
	set(gate->obj, "gate_counters", &app, none);
	free(none);
	set(gate->obj, "gate_cfg", &loopback, &cfg); /* where a test run comes from */
	set(gate->obj, "out", &zero, &one);
	step_setup_gate(set, gate->obj);
	for (size_t i = 0; i < gate_step_cnt; i++) {
		enum policy_reason reason = POLICY_REASON_CNT;
		uint32_t verdict;
		bool sent = gate_steps[i].reason == POLICY_SENT || gate_steps[i].reason == POLICY_SENT_LOCAL;

		step_apply(gate_steps[i].change, set, gate->obj);
		verdict = run(gate->progs.vj_gate, gate->maps.gate_counters, &gate_steps[i].frame, &reason);
		expect(&gate_steps[i], reason, verdict, sent ? XDP_REDIRECT : XDP_DROP);
	}
}

static void put_rules(uint8_t op)
{
	const union filter_cell program[] = {
		{ .head = { .magic = FILTER_MAGIC, .flags = FILTER_TRACKS, .entry = { 1, 1 } } },
		{ .insn = { .op = op } },
	};
	struct filter_cfg cfg = { .on = op != FILTER_OP_NONE };
	uint32_t zero = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(program); i++)
		set(gate->obj, "filter_cells", &i, &program[i]);
	set(gate->obj, "filter_cfg", &zero, &cfg);
}

static void expect_gate(const struct step_frame *f, enum policy_reason expected)
{
	enum policy_reason reason = POLICY_REASON_CNT;

	run(gate->progs.vj_gate, gate->maps.gate_counters, f, &reason);
	assert_string_equal(policy_reason_word(reason), policy_reason_word(expected));
}

/* Where the state of connections is asked for, a later fragment leaves if the first one could. After test_gate(). */
static void test_gate_fragments(void **state)
{
	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const struct step_frame first = { .v6 = v6, .src_mac = MAC_HOST, .dst_mac = MAC_OTHER, .src = ADDR_HOST, .dst = ADDR_PEER, .proto = IP_PROTO_UDP,
						  .src_port = 53, .dst_port = 1234, .more_frags = true, .frag_id = 7 };
		struct step_frame later = first, other;

		later.frag_off = 1480;
		other = later;
		other.frag_id = 8;
		put_rules(FILTER_OP_END);
		expect_gate(&later, POLICY_GATE_DROP);
		expect_gate(&first, POLICY_SENT);
		expect_gate(&later, POLICY_SENT);
		expect_gate(&other, POLICY_GATE_DROP);
		/* the same number once more, of what may not leave */
		put_rules(FILTER_OP_DROP);
		expect_gate(&first, POLICY_GATE_DROP);
		expect_gate(&later, POLICY_GATE_DROP);
	}
	put_rules(FILTER_OP_NONE);
}

/* ---- deliver: what only a vjd or a wire out of the ordinary sends (the rest: tests/net/iface.c). There is no socket: what goes to the ring is dropped */

enum { DELIVER_FRAME_MAX = 200 };

static uint32_t deliver_run(const struct vj_deliver *deliver, const struct step_frame *f, uint32_t behind, enum policy_reason *ret_reason)
{
	uint64_t before[POLICY_REASON_CNT], after[POLICY_REASON_CNT];
	uint8_t buf[STEP_FRAME_MAX] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buf, .data_size_in = behind + step_build(f, buf + behind), .repeat = 1);

	if (behind > 0) {
		buf[12] = POLICY_GIVE_BACK_TYPE >> 8;
		buf[13] = POLICY_GIVE_BACK_TYPE & 0xff;
	}
	read_counters(deliver->maps.counters, before);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(deliver->progs.vj_deliver), &opts), 0);
	read_counters(deliver->maps.counters, after);
	*ret_reason = POLICY_REASON_CNT;
	for (uint32_t r = 0; r < POLICY_REASON_CNT; r++)
		if (after[r] != before[r])
			*ret_reason = r;
	return opts.retval;
}

static struct policy_deliver_state deliver_state(const struct vj_deliver *deliver)
{
	struct policy_deliver_state state;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(deliver->maps.deliver_state), &zero, &state), 0);
	return state;
}

static void test_deliver(void **state)
{
	const struct policy_deliver_cfg cfg = { .frame_max = DELIVER_FRAME_MAX, .rx_frame_cnt = 8, .spill_max = 8 };
	const struct step_frame arp = { .eth_type = ETH_TYPE_ARP }, six = { .v6 = true, .proto = IP_PROTO_UDP },
				longest = { .v6 = true, .proto = IP_PROTO_UDP, .payload = DELIVER_FRAME_MAX - 74 },
				longer = { .v6 = true, .proto = IP_PROTO_UDP, .payload = DELIVER_FRAME_MAX - 73 };
	struct vj_deliver *deliver = vj_deliver__open_and_load();
	struct policy_credit credit = { .posted = 1 };
	enum policy_reason reason;
	uint32_t zero = 0;

	(void)state;
	assert_non_null(deliver);
	set(deliver->obj, "deliver_cfg", &zero, &cfg);
	/* IP alone, and no longer than the memory takes */
	assert_int_equal(deliver_run(deliver, &arp, 0, &reason), XDP_DROP);
	assert_int_equal(reason, POLICY_NOT_DISPATCHED);
	assert_int_equal(deliver_run(deliver, &longer, 0, &reason), XDP_DROP);
	assert_int_equal(reason, POLICY_TOO_LONG);
	/* without credit to vjd; what it gives back without there being any, once more, and that counts as nothing new */
	assert_int_equal(deliver_run(deliver, &longest, 0, &reason), XDP_PASS);
	assert_int_equal(reason, POLICY_SPILLED);
	assert_int_equal(deliver_run(deliver, &six, POLICY_GIVE_BACK_BYTES, &reason), XDP_PASS);
	assert_int_equal(reason, POLICY_SPILLED);
	assert_int_equal(deliver_state(deliver).spilled, 1);
	assert_int_equal(deliver_state(deliver).returned, 0);
	assert_int_equal(deliver_state(deliver).given, 0);
	/* with credit into the ring */
	set(deliver->obj, "credit", &zero, &credit);
	deliver_run(deliver, &six, POLICY_GIVE_BACK_BYTES, &reason);
	assert_int_equal(reason, POLICY_GIVEN_BACK);
	assert_int_equal(deliver_state(deliver).returned, 1);
	assert_int_equal(deliver_state(deliver).given, 1);
	vj_deliver__destroy(deliver);
}

static int setup(void **state)
{
	struct bpf_map *const of_gate[] = { gate->maps.addrs, gate->maps.ports, gate->maps.blocks, gate->maps.flows,
					    gate->maps.devs };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(of_gate); i++) {
		const struct bpf_map *shared = bpf_object__find_map_by_name(dispatch->obj, bpf_map__name(of_gate[i]));

		assert_int_equal(bpf_map__reuse_fd(of_gate[i], bpf_map__fd(shared)), 0);
	}
	step_setup(set, dispatch->obj);
	return vj_gate__load(gate);
}

static int teardown(void **state)
{
	(void)state;
	vj_gate__destroy(gate);
	vj_dispatch__destroy(dispatch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_gate_fragments),
		cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_dispatch_tc),
		cmocka_unit_test(test_dispatch_owner),
		cmocka_unit_test(test_kernel_judges),
		cmocka_unit_test(test_deliver),
	};

	kernel_begin();
	dispatch = vj_dispatch__open_and_load();
	kernel_loaded(dispatch);
	gate = vj_gate__open();
	if (!gate) {
		fprintf(stderr, "gate does not open: %s\n", strerror(errno));
		return 1;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
