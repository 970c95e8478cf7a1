// SPDX-License-Identifier: BSD-2-Clause
#include "tests/firewall/bpf_run.h"

#include "base/assert.h"
#include "policy/filter_packet.h"
#include "policy/filter_track.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/vj_dispatch.skel.h"
#include "bpf/vj_gate.skel.h"

enum { APP = 1, LOOPBACK = 1, CELLS_BYTES = 2 * FILTER_CELLS_MAX * sizeof(union filter_cell) };

static const struct mac_addr host_mac = { { 2, 0, 0, 0, 0, 1 } }, app_mac = { { 2, 0, 0, 0, 0, 2 } }, peer_mac = { { 2, 0, 0, 0, 0, 3 } };

struct bpf_run {
	struct vj_dispatch *dispatch;
	struct vj_gate *gate;
	union filter_cell *cells; /* of both images */
	uint32_t base;
};

static void set(const struct bpf_map *map, const void *key, const void *value)
{
	VJ_ASSERT(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) == 0);
}

/* All of an application's: whatever comes to its MAC address, all ports of the host's addresses. */
static void set_up(struct bpf_run *r)
{
	struct policy_gate_cfg gate = { .app = APP, .mtu = 1500, .hash_seed = 1, .mac = host_mac };
	struct policy_dispatch_cfg dispatch = { .mac = host_mac, .hash_seed = 1 };
	struct policy_mac mac = { .mac = app_mac }, hop = { .mac = peer_mac };
	struct policy_addr v4 = { .addr = ip_addr_from_v4(be32(0x0a090001)) };
	struct policy_addr v6 = { .addr = { .bytes = { 0xfd, 9, [15] = 1 } } };
	uint32_t zero = 0, app = APP, loopback = LOOPBACK, known = POLICY_HOP_KNOWN;

	set(r->dispatch->maps.dispatch_cfg, &zero, &dispatch);
	set(r->dispatch->maps.macs, &mac, &app);
	set(r->dispatch->maps.devs, &app, &loopback);
	set(r->dispatch->maps.addrs, &v4, &zero);
	set(r->dispatch->maps.addrs, &v6, &zero);
	for (uint32_t i = 0; i < POLICY_BLOCKS_MAX; i++)
		set(r->dispatch->maps.blocks, &i, &app);
	set(r->gate->maps.gate_cfg, &loopback, &gate);
	set(r->gate->maps.out, &zero, &loopback);
	set(r->gate->maps.hops, &hop, &known);
}

static int load_gate(struct bpf_run *r)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, r->gate->obj) {
		const struct bpf_map *shared = bpf_object__find_map_by_name(r->dispatch->obj, bpf_map__name(map));

		if (shared != NULL && bpf_map__type(map) != BPF_MAP_TYPE_PERCPU_ARRAY)
			VJ_ASSERT(bpf_map__reuse_fd(map, bpf_map__fd(shared)) == 0);
	}
	return vj_gate__load(r->gate);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level, (void)fmt, (void)args;
	return 0;
}

const char *bpf_run_new(struct bpf_run **ret_run)
{
	struct bpf_run *r = calloc(1, sizeof(*r));

	VJ_ASSERT(r != NULL);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(quiet);
	r->dispatch = vj_dispatch__open_and_load();
	if (r->dispatch == NULL && errno == EPERM) {
		free(r);
		return "BPF programs";
	}
	r->gate = vj_gate__open();
	VJ_ASSERT(r->dispatch != NULL && r->gate != NULL && load_gate(r) == 0);
	r->cells = mmap(NULL, CELLS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(r->dispatch->maps.filter_cells), 0);
	VJ_ASSERT(r->cells != MAP_FAILED);
	set_up(r);
	*ret_run = r;
	return NULL;
}

void bpf_run_free(struct bpf_run *r)
{
	munmap(r->cells, CELLS_BYTES);
	vj_gate__destroy(r->gate);
	vj_dispatch__destroy(r->dispatch);
	free(r);
}

void bpf_run_load(struct bpf_run *r, const struct fw_program *prog)
{
	struct filter_cfg cfg = { .on = 1, .wire = { .idx = 2 }, .loopback = { .idx = 1, .name = { 0x6c6f0000 } } };
	int tracks = bpf_map__fd(r->dispatch->maps.filter_tracks);
	uint8_t name[16] = GEN_IFNAME;
	struct policy_flow flow;
	uint32_t zero = 0;

	while (bpf_map_get_next_key(tracks, NULL, &flow) == 0)
		bpf_map_delete_elem(tracks, &flow);
	for (unsigned i = 0; i < 4; i++)
		cfg.wire.name[i] = load_be32(name + 4 * i);
	r->base = r->base == 0 ? FILTER_CELLS_MAX : 0;
	memcpy(r->cells + r->base, prog->cells, prog->cell_cnt * sizeof(*prog->cells));
	cfg.base = r->base;
	set(r->dispatch->maps.filter_cfg, &zero, &cfg);
}

union filter_cell *bpf_run_cells(struct bpf_run *r)
{
	return r->cells + r->base;
}

enum filter_verdict bpf_run_packet(struct bpf_run *r, const struct gen_packet *p, uint32_t repeat, uint32_t *ret_ns)
{
	uint8_t buf[GEN_PACKET_MAX + ETH_HDR_BYTES] = { 0 }, out[GEN_PACKET_MAX + 256];
	struct eth_hdr eth = { .dst = p->outbound ? peer_mac : app_mac,
			       .src = p->outbound ? host_mac : peer_mac,
			       .type = be16(p->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4) };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = buf, .data_size_in = ETH_HDR_BYTES + p->len, .data_out = out,
		    .data_size_out = sizeof(out), .repeat = (int)repeat);
	const struct bpf_program *prog = p->outbound ? r->gate->progs.vj_gate : r->dispatch->progs.vj_dispatch;

	memcpy(buf, &eth, sizeof(eth));
	memcpy(buf + ETH_HDR_BYTES, p->bytes, p->len);
	VJ_ASSERT_OP(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), ==, 0);
	if (ret_ns != NULL)
		*ret_ns = opts.duration;
	switch (opts.retval) {
	case XDP_REDIRECT:
		return FILTER_ACCEPT;
	case XDP_TX:
		return FILTER_REJECT;
	case XDP_PASS:
		return FILTER_KERNEL;
	default:
		return FILTER_DROP;
	}
}
