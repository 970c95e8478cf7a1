// SPDX-License-Identifier: BSD-2-Clause
/* The lists of steps.h, decided by src/policy in user space, over tables in memory */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/dispatch.h"
#include "policy/filter_track.h"
#include "policy/gate.h"
#include "tests/policy/steps.h"
#include "tests/policy/tables.h"

/* In memory of exactly the frame's length, so that the sanitizer sees a byte too far. */
static struct policy_frame frame_of(const struct step_frame *f, uint8_t **ret_mem)
{
	uint8_t buf[STEP_FRAME_MAX];
	uint32_t len = step_build(f, buf);

	*ret_mem = malloc(len);
	memcpy(*ret_mem, buf, len);
	return (struct policy_frame){ .data = *ret_mem, .end = *ret_mem + len };
}

static void expect(const struct step *step, enum policy_reason reason, uint32_t app)
{
	if (reason != step->reason || app != step->app)
		fail_msg("%s: %s for %u, not %s for %u", step->name, policy_reason_word(reason), app,
			 policy_reason_word(step->reason), step->app);
}

static void test_dispatch(void **state)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST), .ways = 1, .left = 1, .hash_seed = STEP_SEED, .frame_max = STEP_LONG };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);

	(void)state;
	tables_init(&w);
	for (size_t i = 0; i < dispatch_step_cnt; i++) {
		const struct step *step = &dispatch_steps[i];
		enum policy_reason reason;
		struct policy_frame frame;
		uint32_t app;
		uint8_t *mem;

		step_apply(step->change, tables_set, &w);
		frame = frame_of(&step->frame, &mem);
		reason = policy_dispatch(&maps, &frame, 0, &cfg, &app);
		expect(step, reason, app);
		free(mem);
	}
}

/* As tc has them: only headers are there, and the kernel has taken the outer tag out. */
static void test_dispatch_tc(void **state)
{
	const struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST), .hash_seed = STEP_SEED, .frame_max = STEP_LONG };
	const struct step_frame udp = { .src = ADDR_PEER, .dst = ADDR_HOST, .proto = IP_PROTO_UDP, .src_port = PORT_PEER, .dst_port = PORT_UDP };
	const struct step_frame tagged = { .src = ADDR_PEER, .dst = ADDR_QINQ, .proto = IP_PROTO_TCP, .src_port = PORT_PEER,
					   .dst_port = PORT_TCP, .vlans = { 5 + 1 } };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);
	struct policy_frame frame;
	uint8_t *mem;
	uint32_t app;

	(void)state;
	tables_init(&w);
	frame = frame_of(&udp, &mem);
	frame.whole = STEP_LONG;
	assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_TO_PORT);
	frame.whole = STEP_LONG + 1;
	assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_PASS_LONG);
	free(mem);
	frame = frame_of(&tagged, &mem);
	assert_int_equal(policy_dispatch(&maps, &frame, 6, &cfg, &app), POLICY_TO_PORT);
	assert_int_equal(policy_dispatch(&maps, &frame, 7, &cfg, &app), POLICY_PASS_ADDR);
	assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_PASS_ADDR);
	free(mem);
}

/* A host of one way doesn't ask, though its map says otherwise; and without a limit nothing is too long. */
static void test_one_way(void **state)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST), .hash_seed = STEP_SEED };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);
	unsigned asked = 0;

	(void)state;
	for (size_t i = 0; i < dispatch_step_cnt; i++) {
		enum policy_reason reason;
		struct policy_frame frame;
		uint32_t app;
		uint8_t *mem;

		if (dispatch_steps[i].reason != POLICY_PASS_WAY && dispatch_steps[i].reason != POLICY_PASS_LONG)
			continue;
		tables_init(&w);
		frame = frame_of(&dispatch_steps[i].frame, &mem);
		reason = policy_dispatch(&maps, &frame, 0, &cfg, &app);
		assert_in_range(reason, POLICY_TO_MAC, POLICY_TO_ICMP);
		assert_int_equal(reason == POLICY_TO_MAC, dispatch_steps[i].frame.dst_mac == MAC_APP);
		assert_int_not_equal(app, 0);
		asked++;
		free(mem);
	}
	assert_int_not_equal(asked, 0);
}

/* Is it looked up whether an application there has the port? */
static bool is_asked_for(const struct step *step)
{
	const struct step_frame *f = &step->frame;

	return step->reason == POLICY_SENT && f->dst_mac == MAC_OTHER && !f->vlans[0] && !f->more_frags && !f->frag_off &&
	       f->proto != IP_PROTO_ICMP6;
}

static void test_gate(void **state)
{
	struct policy_gate_cfg cfg = { .app = 1, .mtu = STEP_MTU, .hash_seed = STEP_SEED, .mac = step_mac(MAC_HOST) };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);

	(void)state;
	tables_init(&w);
	for (size_t i = 0; i < gate_step_cnt; i++) {
		enum policy_reason reason;
		struct policy_frame frame;
		struct policy_learned_key ask;
		uint32_t app;
		uint8_t *mem;

		step_apply(gate_steps[i].change, tables_set, &w);
		frame = frame_of(&gate_steps[i].frame, &mem);
		reason = policy_gate(&maps, &frame, &cfg, &app, &ask);
		expect(&gate_steps[i], reason, app);
		if (be16_get(ask.port) != (is_asked_for(&gate_steps[i]) ? PORT_PEER : 0))
			fail_msg("%s: asks for port %u", gate_steps[i].name, be16_get(ask.port));
		free(mem);
	}
	/* With a MAC address of its own, and in the name of application 3, whose block that port is */
	cfg.app_mac = step_mac(MAC_APP);
	cfg.app = 3;
	{
		struct step_frame f = gate_steps[0].frame;
		struct policy_frame frame;
		struct policy_learned_key ask;
		uint32_t app;
		uint8_t *mem;

		f.src_mac = MAC_APP;
		f.src_port = 40000;
		frame = frame_of(&f, &mem);
		assert_int_equal(policy_gate(&maps, &frame, &cfg, &app, &ask), POLICY_SENT);
		free(mem);
	}
}

/* A connection that the kernel had when the port was leased stays the kernel's; a new one is the application's. */
static void test_kernel_flow(void **state)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST) };
	uint8_t mem[2 * (sizeof(struct policy_flow) + 4)];
	struct policy_table kernel = { .mem = mem, .key_bytes = sizeof(struct policy_flow), .value_bytes = 4, .max = 2 };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);

	(void)state;
	maps.kernel = &kernel;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct step_frame f = dispatch_steps[v6].frame; /* to a leased TCP port, no SYN */
		struct policy_frame frame;
		struct policy_eth eth = { 0 };
		struct policy_view v;
		uint32_t app, one = 1;
		uint8_t *mem_frame;

		tables_init(&w);
		frame = frame_of(&f, &mem_frame);
		assert_true(policy_eth(&frame, &eth));
		assert_int_equal(policy_ip(&frame, &eth, false, &v), POLICY_IP_OK);
		policy_map_set(&kernel, &v.flow, &one);
		assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_PASS_FLOW);
		assert_int_equal(app, 0);
		free(mem_frame);
		/* The peer has closed it, and opens another with the same port. */
		f.flags = TCP_SYN;
		frame = frame_of(&f, &mem_frame);
		assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_TO_PORT);
		free(mem_frame);
		f.flags = TCP_ACK;
		frame = frame_of(&f, &mem_frame);
		assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_TO_FLOW);
		assert_int_equal(app, 1);
		free(mem_frame);
	}
}

/* One that has become the kernel's, of which `flows` knows nothing any more: at a port of a block, an application's address, or its MAC. */
static void test_kernel_flow_forgotten(void **state)
{
	static const struct {
		struct step_frame frame;
		enum policy_reason otherwise;
	} cases[] = {
		{ { .src = ADDR_PEER, .dst = ADDR_HOST, .dst_port = PORT_BLOCK }, POLICY_TO_BLOCK },
		{ { .src = ADDR_PEER, .dst = ADDR_HOST, .dst_port = PORT_BLOCK, .v6 = true }, POLICY_TO_BLOCK },
		{ { .src = ADDR_PEER, .dst = ADDR_OWN2, .dst_port = PORT_NONE, .v6 = true }, POLICY_TO_ADDR },
		{ { .src = ADDR_PEER, .dst = ADDR_HOST, .dst_port = PORT_BLOCK, .dst_mac = MAC_APP }, POLICY_TO_MAC },
	};
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST), .left = 1 };
	uint8_t mem[sizeof(struct policy_flow) + 4];
	struct policy_table kernel = { .mem = mem, .key_bytes = sizeof(struct policy_flow), .value_bytes = 4, .max = 1 };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);

	(void)state;
	maps.kernel = &kernel;
	tables_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned round = 0; round < 3; round++) {
			bool is_kernels = round == 1;
			struct step_frame f = cases[i].frame;
			struct policy_frame frame;
			struct policy_eth eth = { 0 };
			struct policy_view v;
			uint32_t app, one = 1;
			uint8_t *mem_frame;

			f.proto = IP_PROTO_TCP;
			f.src_port = PORT_PEER;
			f.flags = round == 2 ? TCP_SYN : TCP_ACK;
			frame = frame_of(&f, &mem_frame);
			assert_true(policy_eth(&frame, &eth));
			assert_int_equal(policy_ip(&frame, &eth, false, &v), POLICY_IP_OK);
			kernel.cnt = 0;
			if (round != 0)
				policy_map_set(&kernel, &v.flow, &one);
			assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), is_kernels ? POLICY_PASS_FLOW : cases[i].otherwise);
			assert_int_equal(app == 0, is_kernels);
			free(mem_frame);
		}
	}
}

/* Under an address that is the host's a port says so itself: `addrs` is asked of all others, and of what has a tag. */
static void test_here(void **state)
{
	const struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST) };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct step_frame f = dispatch_steps[i & 1].frame; /* to a leased TCP port, IPv4 and IPv6 */
		enum policy_reason expected = i < 2 ? POLICY_TO_PORT : POLICY_PASS_ADDR;
		struct tables w;
		struct policy_maps maps = tables_maps(&w);
		struct policy_frame frame;
		uint32_t app;
		uint8_t *mem;

		tables_init(&w);
		((struct policy_table *)maps.addrs)->cnt = 0;
		f.dst = i >= 4 ? ADDR_HOST2 : ADDR_HOST;
		f.vlans[0] = i / 2 == 1 ? 6 : 0;
		frame = frame_of(&f, &mem);
		assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), expected);
		assert_int_equal(app, expected == POLICY_TO_PORT);
		free(mem);
	}
}

/* A tag that tc gives beside the frame counts as one in it: also at an application's own MAC. */
static void test_tag_beside(void **state)
{
	static const struct {
		uint32_t vlan;
		enum step_addr dst;
		enum policy_reason reason;
		uint32_t app;
	} cases[] = {
		{ 0, ADDR_HOST, POLICY_TO_MAC, 2 },
		{ 5, ADDR_HOST, POLICY_PASS_ADDR, 0 },
		{ 5, ADDR_VLAN, POLICY_TO_PORT, 1 },
	};
	const struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST) };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);

	(void)state;
	tables_init(&w);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct step_frame f = dispatch_steps[i & 1].frame; /* to a leased TCP port, IPv4 and IPv6 */
		struct policy_frame frame;
		uint32_t app;
		uint8_t *mem;

		f.dst_mac = MAC_APP;
		f.dst = cases[i / 2].dst;
		frame = frame_of(&f, &mem);
		assert_int_equal(policy_dispatch(&maps, &frame, cases[i / 2].vlan, &cfg, &app), cases[i / 2].reason);
		assert_int_equal(app, cases[i / 2].app);
		free(mem);
	}
}

/* What an application has begun comes back to it. */
static void test_connects(void **state)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST) };
	struct policy_gate_cfg gate = { .app = 3, .mtu = STEP_MTU, .mac = step_mac(MAC_HOST) };
	struct step_frame out = gate_steps[0].frame, in;
	struct tables w;
	struct policy_maps maps = tables_maps(&w);
	struct policy_frame frame;
	struct policy_learned_key ask;
	uint32_t app;
	uint8_t *mem;

	(void)state;
	tables_init(&w);
	out.src_port = 40000; /* in its block */
	out.flags = TCP_SYN;
	frame = frame_of(&out, &mem);
	assert_int_equal(policy_gate(&maps, &frame, &gate, &app, &ask), POLICY_SENT);
	free(mem);
	in = (struct step_frame){ .src = out.dst, .dst = out.src, .proto = IP_PROTO_TCP, .src_port = out.dst_port,
				  .dst_port = out.src_port, .flags = TCP_SYN | TCP_ACK };
	frame = frame_of(&in, &mem);
	assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_TO_FLOW);
	assert_int_equal(app, 3);
	free(mem);
}

/* What it has accepted, too, though the SYN came to its own MAC: known when the listener and that address are no more. */
static void test_accepts(void **state)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST) };
	struct policy_gate_cfg gate = { .app = 1, .mtu = STEP_MTU, .mac = step_mac(MAC_HOST) };

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct step_frame in = dispatch_steps[v6].frame, out = in; /* to a leased TCP port, no SYN */
		struct tables w;
		struct policy_maps maps = tables_maps(&w);
		struct policy_frame frame;
		struct policy_learned_key ask;
		uint32_t app;
		uint8_t *mem;

		tables_init(&w);
		out.src = in.dst;
		out.dst = in.src;
		out.src_port = in.dst_port;
		out.dst_port = in.src_port;
		out.flags = TCP_SYN | TCP_ACK;
		out.src_mac = MAC_HOST;
		out.dst_mac = MAC_OTHER;
		frame = frame_of(&out, &mem);
		assert_int_equal(policy_gate(&maps, &frame, &gate, &app, &ask), POLICY_SENT);
		free(mem);
		step_apply(CHANGE_LISTENER_CLOSED, tables_set, &w);
		frame = frame_of(&in, &mem);
		assert_int_equal(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_TO_FLOW);
		assert_int_equal(app, 1);
		free(mem);
	}
}

/* Every frame of the lists, cut at every length: no byte behind the end is read (under the sanitizer, that is seen). */
static void test_cut_anywhere(void **state)
{
	struct policy_dispatch_cfg cfg = { .mac = step_mac(MAC_HOST) };
	struct policy_gate_cfg gate = { .app = 1, .mtu = STEP_MTU, .mac = step_mac(MAC_HOST) };
	struct tables w;
	struct policy_maps maps = tables_maps(&w);

	(void)state;
	tables_init(&w);
	for (size_t i = 0; i < dispatch_step_cnt; i++) {
		uint8_t buf[STEP_FRAME_MAX];
		uint32_t len = step_build(&dispatch_steps[i].frame, buf);

		for (uint32_t cut = 0; cut <= len && cut < 200; cut++) {
			uint8_t *mem = malloc(cut ? cut : 1);
			struct policy_frame frame = { .data = mem, .end = mem + cut };
			struct policy_learned_key ask;
			uint32_t app;

			memcpy(mem, buf, cut);
			assert_in_range(policy_dispatch(&maps, &frame, 0, &cfg, &app), POLICY_TO_MAC, POLICY_PASS_BAD);
			assert_in_range(policy_gate(&maps, &frame, &gate, &app, &ask), POLICY_SENT, POLICY_GATE_LOCAL);
			free(mem);
		}
	}
}

/* The flows of a group are spread: of 10,000, no member of ten has less than 900 or more than 1,100. */
static void test_spread(void **state)
{
	struct policy_owner owner = { .cnt = 10, .apps = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } };
	unsigned got[11] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		struct policy_flow flow = { .remote = ip_addr_from_v4(be32(0x0a000000 + i / 100)),
					    .local = ip_addr_from_v4(be32(0x0a010101)),
					    .remote_port = be16((uint16_t)(32768 + i % 100)),
					    .local_port = be16(443),
					    .proto = IP_PROTO_TCP };

		got[policy_pick(&owner, &flow, 99)]++;
	}
	for (unsigned i = 1; i <= 10; i++)
		assert_in_range(got[i], 900, 1100);
}

/* One segment of a connection that this host has begun; the rules accept it. Return: "ct state" */
static uint32_t track(struct policy_table *tracks, bool out, uint32_t flags, uint32_t seq, uint32_t ack, uint64_t now_ns)
{
	struct policy_flow flow = { .remote = ip_addr_from_v4(be32(0x0a000064)), .local = ip_addr_from_v4(be32(0x0a000001)),
				    .remote_port = be16(80), .local_port = be16(40000), .proto = IP_PROTO_TCP };
	struct policy_view view = { .flow = out ? policy_flow_reverse(&flow) : flow };
	struct filter_run run = { .verdict = FILTER_ACCEPT };
	struct filter_tracked tracked;
	struct filter_track *known;

	run.word[FILTER_TCP_FLAGS] = flags;
	run.word[FILTER_TCP_SEQ] = seq;
	run.word[FILTER_TCP_ACK] = ack;
	known = filter_track_look(&run, tracks, &view, out ? FILTER_OUTBOUND : FILTER_INBOUND, false, now_ns, &tracked);
	filter_track_keep(&run, tracks, known, &tracked);
	return run.word[FILTER_CT_STATE];
}

/* A reset from the wire ends a connection if its number is the next; else it goes on, also after the 10 s of one that is closed. */
static void test_blind_reset(void **state)
{
	const uint64_t later = 60 * 1000000000ull;

	(void)state;
	for (unsigned exact = 0; exact < 2; exact++) {
		uint8_t mem[2 * (sizeof(struct policy_flow) + sizeof(struct filter_track))];
		struct policy_table tracks = { .mem = mem, .key_bytes = sizeof(struct policy_flow),
					       .value_bytes = sizeof(struct filter_track), .max = 2 };

		assert_int_equal(track(&tracks, true, TCP_SYN, 10, 0, 1), FILTER_CT_NEW);
		assert_int_equal(track(&tracks, false, TCP_SYN | TCP_ACK, UINT32_MAX - 1, 11, 1), FILTER_CT_ESTABLISHED);
		assert_int_equal(track(&tracks, true, TCP_ACK, 11, UINT32_MAX, 1), FILTER_CT_ESTABLISHED);
		assert_int_equal(track(&tracks, true, TCP_ACK, 11, 1, 1), FILTER_CT_ESTABLISHED);
		assert_int_equal(track(&tracks, true, TCP_ACK, 11, UINT32_MAX, 1), FILTER_CT_ESTABLISHED); /* overtaken */
		assert_int_equal(track(&tracks, false, TCP_RST, exact ? 1 : 2, 0, 1), FILTER_CT_ESTABLISHED);
		assert_int_equal(track(&tracks, true, TCP_ACK, 11, 1, later), exact ? FILTER_CT_NEW : FILTER_CT_ESTABLISHED);
	}
}

static void test_table(void **state)
{
	uint8_t mem[3 * 8];
	struct policy_table t = { .mem = mem, .key_bytes = 4, .value_bytes = 4, .max = 3 };
	uint32_t key, value;

	(void)state;
	for (key = 1; key <= 4; key++) {
		value = key * 10;
		policy_map_set(&t, &key, &value);
	}
	key = 1;
	assert_null(policy_map_find(&t, &key)); /* the oldest made room */
	key = 3;
	assert_int_equal(*(uint32_t *)policy_map_find(&t, &key), 30);
	value = 31;
	policy_map_set(&t, &key, &value);
	assert_int_equal(*(uint32_t *)policy_map_find(&t, &key), 31);
	policy_map_del(&t, &key);
	policy_map_del(&t, &key);
	assert_null(policy_map_find(&t, &key));
	key = 4;
	assert_int_equal(*(uint32_t *)policy_map_find(&t, &key), 40);
	assert_int_equal(t.cnt, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dispatch), cmocka_unit_test(test_dispatch_tc), cmocka_unit_test(test_one_way), cmocka_unit_test(test_gate),   cmocka_unit_test(test_kernel_flow), cmocka_unit_test(test_kernel_flow_forgotten), cmocka_unit_test(test_connects),
		cmocka_unit_test(test_accepts),	 cmocka_unit_test(test_here), cmocka_unit_test(test_tag_beside), cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_spread), cmocka_unit_test(test_blind_reset), cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
