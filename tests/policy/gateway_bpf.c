// SPDX-License-Identifier: BSD-2-Clause
/* Where the gateway's program sends which packet, in the kernel (BPF_PROG_TEST_RUN). Needs root. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/vj_gateway.skel.h"
#include "policy/learned.h"
#include "tests/policy/kernel.h"
#include "tests/policy/steps.h"

enum { PORT_KNOWN = 7000, PORT_OLD = 7001, PORT_AGEING = 7002, PORT_NEG = 7003, PORT_IN_BLOCK = 8005, PORT_UNKNOWN = 9000 };

static struct vj_gateway *gateway;

static void set(const struct bpf_map *map, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY), 0);
}

/* The host's address vouches for it. */
static void learn(bool v6, uint16_t port, uint8_t proto, bool block, uint64_t until_ns, uint64_t refresh_ns)
{
	const struct policy_learned_key key = { .addr = step_ip(v6, ADDR_HOST), .port = be16(port), .proto = proto, .block = block };
	const struct policy_learned value = { until_ns, refresh_ns, step_mac(MAC_APP), step_mac(MAC_HOST), { 0 } };

	set(gateway->maps.learned, &key, &value);
}

static void know(void)
{
	const uint64_t ever = UINT64_MAX;

	for (int v6 = 0; v6 < 2; v6++) {
		const struct policy_learned_host blocks = { .blocks = 1 }, silent = { .quiet_ns = ever };
		const struct ip_addr host = step_ip(v6, ADDR_HOST), other = step_ip(v6, ADDR_OTHER);
		const struct policy_learned_key neg = { .addr = host, .port = be16(PORT_NEG), .proto = IP_PROTO_UDP };

		learn(v6, PORT_KNOWN, IP_PROTO_UDP, false, ever, ever);
		learn(v6, PORT_KNOWN, IP_PROTO_TCP, false, ever, ever);
		learn(v6, PORT_OLD, IP_PROTO_UDP, false, 1, 1);
		learn(v6, PORT_AGEING, IP_PROTO_UDP, false, ever, 1);
		learn(v6, PORT_IN_BLOCK / 32 * 32, IP_PROTO_UDP, true, ever, ever);
		set(gateway->maps.learned_hosts, &host, &blocks);
		set(gateway->maps.learned_hosts, &other, &silent);
		set(gateway->maps.asked, &neg, &ever);
	}
}

static const struct {
	const char *name;
	struct step_frame frame; /* of both families; from the interface to the host's address */
	enum policy_reason reason;
	unsigned misses; /* that are reported */
	enum { BOTH, ONLY_V4, ONLY_V6 } families;
} steps[] = {
#define TO(a, p, at, ...) { .proto = p, .dst = a, .src = ADDR_PEER, .dst_port = at, .payload = 20, __VA_ARGS__ }
#define UDP(at, ...) TO(ADDR_HOST, IP_PROTO_UDP, at, __VA_ARGS__)
	{ "known", UDP(PORT_KNOWN, ), POLICY_HOP_APP, 0, BOTH },
	{ "known, of TCP", TO(ADDR_HOST, IP_PROTO_TCP, PORT_KNOWN, ), POLICY_HOP_APP, 0, BOTH },
	{ "by its block", UDP(PORT_IN_BLOCK, ), POLICY_HOP_APP, 0, BOTH },
	{ "beside its block", UDP(PORT_IN_BLOCK + 32, ), POLICY_HOP_MISS, 1, BOTH },
	{ "unknown", UDP(PORT_UNKNOWN, ), POLICY_HOP_MISS, 1, BOTH },
	{ "unknown, and reported before", UDP(PORT_UNKNOWN, ), POLICY_HOP_ASKED, 0, BOTH },
	{ "of the other protocol", TO(ADDR_HOST, IP_PROTO_TCP, PORT_OLD, ), POLICY_HOP_MISS, 1, BOTH },
	{ "over", UDP(PORT_OLD, ), POLICY_HOP_MISS, 1, BOTH },
	{ "to be refreshed", UDP(PORT_AGEING, ), POLICY_HOP_APP, 1, BOTH },
	{ "to be refreshed, and reported before", UDP(PORT_AGEING, ), POLICY_HOP_APP, 0, BOTH },
	{ "answered that it has none", UDP(PORT_NEG, ), POLICY_HOP_ASKED, 0, BOTH },
	{ "to a silent host", TO(ADDR_OTHER, IP_PROTO_UDP, PORT_KNOWN, ), POLICY_HOP_QUIET, 0, BOTH },
	{ "through another hop", UDP(PORT_KNOWN, .dst_mac = MAC_OTHER), POLICY_HOP_MISS, 1, BOTH },
	{ "broadcast", UDP(PORT_KNOWN, .dst_mac = MAC_GROUP), POLICY_PASS_GROUP, 0, BOTH },
	{ "VLAN", UDP(PORT_KNOWN, .vlans = { 6 }), POLICY_HOP_VLAN, 0, BOTH },
	{ "priority tag", UDP(PORT_KNOWN, .vlans = { 1 }), POLICY_HOP_VLAN, 0, BOTH },
	{ "first fragment", UDP(PORT_KNOWN, .more_frags = true), POLICY_HOP_FRAG, 0, BOTH },
	{ "later fragment", UDP(PORT_KNOWN, .frag_off = 1480), POLICY_HOP_FRAG, 0, BOTH },
	{ "no ports", TO(ADDR_HOST, 132, 0, ), POLICY_PASS_PROTO, 0, BOTH },
	{ "not IP", UDP(PORT_KNOWN, .eth_type = ETH_TYPE_ARP), POLICY_PASS_TYPE, 0, BOTH },
	{ "options", UDP(PORT_KNOWN, .options = 8), POLICY_HOP_APP, 0, ONLY_V4 },
	{ "extension headers", UDP(PORT_KNOWN, .ext = EXT_DEST), POLICY_HOP_APP, 0, ONLY_V6 },
	{ "more of them than are followed", UDP(PORT_KNOWN, .ext = EXT_MANY), POLICY_PASS_BAD, 0, ONLY_V6 },
#undef UDP
#undef TO
};

static void read_counters(uint64_t sums[static POLICY_REASON_CNT])
{
	uint64_t values[256];

	assert_true(libbpf_num_possible_cpus() <= 256);
	for (uint32_t r = 0; r < POLICY_REASON_CNT; r++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(gateway->maps.counters), &r, values), 0);
		sums[r] = 0;
		for (int i = 0; i < libbpf_num_possible_cpus(); i++)
			sums[r] += values[i];
	}
}

static int on_miss(void *arg, void *data, size_t bytes)
{
	(void)data;
	assert_int_equal((bytes + 7) / 8 * 8, (sizeof(struct policy_miss) + 7) / 8 * 8);
	++*(unsigned *)arg;
	return 0;
}

static void run(size_t nr, bool v6, struct ring_buffer *ring, const unsigned *misses)
{
	uint64_t before[POLICY_REASON_CNT], after[POLICY_REASON_CNT];
	struct step_frame frame = steps[nr].frame;
	uint8_t in[STEP_FRAME_MAX], out[STEP_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	unsigned missed = *misses;
	bool hit = steps[nr].reason == POLICY_HOP_APP;
	struct mac_addr app = step_mac(MAC_APP);

	frame.v6 = v6;
	opts.data_size_in = step_build(&frame, in);
	read_counters(before);
	if (bpf_prog_test_run_opts(bpf_program__fd(gateway->progs.vj_gateway), &opts))
		fail_msg("%s: %s", steps[nr].name, strerror(errno));
	read_counters(after);
	ring_buffer__consume(ring);
	for (uint32_t r = 0; r < POLICY_REASON_CNT; r++)
		if (after[r] != before[r] + (r == steps[nr].reason))
			fail_msg("%s, v%d: %s counted %llu", steps[nr].name, v6 ? 6 : 4, policy_reason_word((enum policy_reason)r),
				 (unsigned long long)(after[r] - before[r]));
	assert_int_equal(opts.retval, (uint32_t)TC_ACT_UNSPEC);
	assert_memory_equal(out, hit ? app.bytes : in, sizeof(app));
	assert_memory_equal(out + sizeof(app), in + sizeof(app), opts.data_size_in - sizeof(app)); /* nothing else changes */
	if (*misses - missed != steps[nr].misses)
		fail_msg("%s: %u reported", steps[nr].name, *misses - missed);
}

static void test_steps(void **state)
{
	unsigned misses = 0;
	struct ring_buffer *ring = ring_buffer__new(bpf_map__fd(gateway->maps.misses), on_miss, &misses, NULL);

	(void)state;
	assert_non_null(ring);
	know();
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (steps[i].families != (v6 ? ONLY_V4 : ONLY_V6))
				run(i, v6, ring, &misses);
	ring_buffer__free(ring);
}

/* Nobody reads: the ring fills, and nothing else happens; what found no room is reported when there is some. */
static void test_full_ring(void **state)
{
	uint8_t in[STEP_FRAME_MAX];
	struct step_frame frame = { .proto = IP_PROTO_UDP, .dst = ADDR_HOST2, .src = ADDR_PEER };
	uint64_t before[POLICY_REASON_CNT], after[POLICY_REASON_CNT];
	unsigned misses = 0;
	struct ring_buffer *ring = ring_buffer__new(bpf_map__fd(gateway->maps.misses), on_miss, &misses, NULL);

	(void)state;
	assert_non_null(ring);
	read_counters(before);
	for (unsigned port = 1; port <= 4000; port++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .repeat = 1);

		frame.dst_port = (uint16_t)port;
		opts.data_size_in = step_build(&frame, in);
		assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(gateway->progs.vj_gateway), &opts), 0);
	}
	read_counters(after);
	ring_buffer__consume(ring);
	assert_int_equal(after[POLICY_HOP_MISS] - before[POLICY_HOP_MISS], misses);
	assert_int_equal(after[POLICY_HOP_BUSY] - before[POLICY_HOP_BUSY], 4000 - misses);
	assert_in_range(misses, 1000, 2000);
	ring_buffer__free(ring);
}

/* ---- what the last packets have found */

enum { FRONT_FIRST = 20000, FRONT_PORTS = 3 << POLICY_FRONT_BITS }; /* more than it has places for */

static struct policy_learned front_entry(uint16_t port)
{
	return (struct policy_learned){ UINT64_MAX, UINT64_MAX, { { 0x02, 0, 0, 0, (uint8_t)(port >> 8), (uint8_t)port } },
					step_mac(MAC_HOST), { 0 } };
}

static struct policy_learned_key front_key(bool v6, uint16_t port)
{
	return (struct policy_learned_key){ .addr = step_ip(v6, ADDR_HOST2), .port = be16(port), .proto = IP_PROTO_UDP };
}

/* Return: where it went */
static struct mac_addr sent_to(bool v6, uint16_t port, enum step_mac hop)
{
	struct step_frame frame = { .proto = IP_PROTO_UDP, .dst = ADDR_HOST2, .src = ADDR_PEER, .dst_port = port, .v6 = v6, .dst_mac = hop };
	uint8_t in[STEP_FRAME_MAX], out[STEP_FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	struct mac_addr mac;

	opts.data_size_in = step_build(&frame, in);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(gateway->progs.vj_gateway), &opts), 0);
	memcpy(&mac, out, sizeof(mac));
	return mac;
}

static bool goes(bool v6, uint16_t port, const struct mac_addr *where)
{
	struct mac_addr mac = sent_to(v6, port, MAC_HOST);

	return mac_addr_eq(&mac, where);
}

/* Each goes to its own address, whatever the one before it has left; another hop counts at once; and so does a tick later what vjd says. */
static void test_front(void **state)
{
	const struct timespec tick = { .tv_nsec = 30000000 }; /* two, and more, with the slowest clock that kernels have */
	const struct mac_addr host = step_mac(MAC_HOST), other = step_mac(MAC_OTHER);
	struct mac_addr mac;

	(void)state;
	for (uint32_t k = 0; k < 4 * FRONT_PORTS; k++) {
		uint16_t port = (uint16_t)(FRONT_FIRST + k % FRONT_PORTS);
		const struct policy_learned_key key = front_key(k / FRONT_PORTS % 2, port);
		const struct policy_learned value = front_entry(port);

		if (k < 2 * FRONT_PORTS)
			set(gateway->maps.learned, &key, &value);
		assert_true(goes(k / FRONT_PORTS % 2, port, &value.mac));
		assert_true(goes(k / FRONT_PORTS % 2, port, &value.mac));
	}
	for (int v6 = 0; v6 < 2; v6++) {
		const struct policy_learned_key key = front_key(v6, FRONT_FIRST);
		const struct policy_learned value = front_entry(FRONT_FIRST);

		assert_true(goes(v6, FRONT_FIRST, &value.mac));
		mac = sent_to(v6, FRONT_FIRST, MAC_OTHER);
		assert_memory_equal(&mac, &other, sizeof(mac));
		assert_int_equal(bpf_map_delete_elem(bpf_map__fd(gateway->maps.learned), &key), 0);
		nanosleep(&tick, NULL);
		assert_true(goes(v6, FRONT_FIRST, &host));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_steps), cmocka_unit_test(test_full_ring), cmocka_unit_test(test_front) };

	kernel_begin();
	gateway = vj_gateway__open_and_load();
	kernel_loaded(gateway);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
