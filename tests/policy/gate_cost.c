// SPDX-License-Identifier: BSD-2-Clause
/*
 * gate_cost.c - what gate takes for a datagram that leaves, with and without asking whose the port is at its destination (policy/learned.h)
 *
 * The kernel's own test runs; each row is the least of several. All runs of a row have the reason that it is about, or it fails. What is
 * learned is the address that stands there already, since a test run gives the frame that it changed to the next. Needs root.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/vj_gate.skel.h"
#include "policy/learned.h"
#include "tests/policy/kernel.h"
#include "tests/policy/steps.h"

enum { RUNS = 9, REPEAT = 400000, GATE_APP = 1, LOOPBACK = 1, FROM_PORT = PORT_UDP };

static struct vj_gate *gate;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "gate_cost: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set(const struct bpf_map *map, const void *key, const void *value)
{
	must(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) == 0, bpf_map__name(map));
}

/* Of those maps that gate has. */
static void set_if_there(void *arg, const char *name, const void *key, const void *value)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(arg, name);

	if (map != NULL)
		set(map, key, value);
}

/* ---- what is known */

static void set_hop(uint32_t hop)
{
	const struct policy_mac peer = { .mac = step_mac(MAC_OTHER) };

	set(gate->maps.hops, &peer, &hop);
}

static void know_nothing(void)
{
	set_hop(POLICY_HOP_KNOWN);
}

static void know_port(void)
{
	const struct policy_learned value = { UINT64_MAX, UINT64_MAX, step_mac(MAC_OTHER), step_mac(MAC_OTHER), { 0 } };

	set_hop(POLICY_HOP_KNOWN | POLICY_HOP_ASKS);
	for (int v6 = 0; v6 < 2; v6++) {
		const struct policy_learned_key key = { .addr = step_ip(v6, ADDR_PEER), .port = be16(PORT_PEER), .proto = IP_PROTO_UDP };

		set(gate->maps.learned, &key, &value);
	}
}

static void know_silent(void)
{
	const struct policy_learned_host host = { .quiet_ns = UINT64_MAX };

	set_hop(POLICY_HOP_KNOWN | POLICY_HOP_ASKS);
	for (int v6 = 0; v6 < 2; v6++) {
		const struct ip_addr addr = step_ip(v6, ADDR_PEER);

		set(gate->maps.learned_hosts, &addr, &host);
	}
}

static void load_gate(void)
{
	const struct policy_gate_cfg cfg = { .app = GATE_APP, .mtu = STEP_MTU, .hash_seed = STEP_SEED, .mac = step_mac(MAC_HOST) };
	struct policy_gate_counters *none = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*none));
	uint32_t zero = 0, one = 1, from = LOOPBACK, app = GATE_APP;

	gate = vj_gate__open_and_load();
	kernel_loaded(gate);
	must(none != NULL, "memory");
	set(gate->maps.gate_counters, &app, none);
	free(none);
	set(gate->maps.gate_cfg, &from, &cfg); /* where a test run comes from */
	set(gate->maps.out, &zero, &one);
	step_setup(set_if_there, gate->obj);
}

/* ---- what it takes */

static uint64_t counted(enum policy_reason reason)
{
	size_t cpus = (size_t)libbpf_num_possible_cpus();
	struct policy_gate_counters *values = calloc(cpus, sizeof(*values));
	uint32_t app = GATE_APP;
	uint64_t sum = 0;

	must(values != NULL && bpf_map_lookup_elem(bpf_map__fd(gate->maps.gate_counters), &app, values) == 0, "counters");
	for (size_t i = 0; i < cpus; i++)
		sum += values[i].of[reason];
	free(values);
	return sum;
}

static uint32_t least_ns(bool v6, enum policy_reason reason)
{
	struct step_frame f = { .v6 = v6, .src_mac = MAC_HOST, .dst_mac = MAC_OTHER, .src = ADDR_HOST, .dst = ADDR_PEER,
				.proto = IP_PROTO_UDP, .src_port = FROM_PORT, .dst_port = PORT_PEER, .payload = 20 };
	uint64_t before = counted(reason);
	uint32_t least = UINT32_MAX;
	uint8_t buf[STEP_FRAME_MAX];

	for (unsigned i = 0; i < RUNS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buf, .data_size_in = step_build(&f, buf), .repeat = REPEAT);

		must(bpf_prog_test_run_opts(bpf_program__fd(gate->progs.vj_gate), &opts) == 0, "a run");
		must(opts.retval == XDP_REDIRECT, "not sent");
		least = opts.duration < least ? opts.duration : least;
	}
	errno = 0;
	must(counted(reason) - before == (uint64_t)RUNS * REPEAT, "not for that reason");
	return least;
}

static void row(const char *what, void (*know)(void), enum policy_reason reason)
{
	load_gate();
	know();
	printf("| %s | `%s` | %u | %u |\n", what, policy_reason_word(reason), least_ns(false, reason), least_ns(true, reason));
	vj_gate__destroy(gate);
}

int main(void)
{
	kernel_begin();
	printf("| datagram to | reason | ns, IPv4 | IPv6 |\n|---|---|---|---|\n");
	row("a host that isn't asked (a router, a neighbour without PARP)", know_nothing, POLICY_SENT);
	row("a port whose application's address is known", know_port, POLICY_SENT_APP);
	row("a host that does not answer for ports", know_silent, POLICY_SENT);
	return 0;
}
