// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_bpf.h"

#include "daemon/if_reset.h"
#include "daemon/netns.h"
#include "daemon/own_prog.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* bpftool writes it so */
#include "bpf/vj_deliver.skel.h"
#include "bpf/vj_dispatch.skel.h"
#include "bpf/vj_gate.skel.h"
#pragma GCC diagnostic pop

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- pins */

/* The sections of variables are the program's own. */
static bool is_shared(const struct bpf_map *map)
{
	return strchr(bpf_map__name(map), '.') == NULL;
}

/*
 * Return: 0: the map pinned there, if there is one, will be used; -EINVAL: it is of another make. (libbpf's own way compares flags, too,
 * and the kernel adds some to those of a devmap.)
 */
static int reuse_pin(struct bpf_map *map, const char *dir)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);
	char path[IF_PIN_PATH_BYTES];
	int fd, r = 0;

	if_pin_path(dir, bpf_map__name(map), path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0 || info.type != bpf_map__type(map) ||
	    info.key_size != bpf_map__key_size(map) || info.value_size != bpf_map__value_size(map) ||
	    info.max_entries != bpf_map__max_entries(map))
		r = -EINVAL;
	if (r == 0)
		r = bpf_map__reuse_fd(map, fd);
	close(fd);
	return r;
}

static int reuse_pins(struct bpf_object *obj, const char *dir)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		int r = is_shared(map) ? reuse_pin(map, dir) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int pin_fresh(struct bpf_object *obj, const char *dir)
{
	struct bpf_map *map;
	char path[IF_PIN_PATH_BYTES];

	bpf_object__for_each_map(map, obj) {
		if_pin_path(dir, bpf_map__name(map), path);
		if (is_shared(map) && bpf_obj_pin(bpf_map__fd(map), path) != 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* ---- dispatch */

static int load(struct bpf_object *obj, const char *dir)
{
	int r = reuse_pins(obj, dir);

	if (r == 0)
		r = bpf_object__load(obj);
	return r == 0 ? pin_fresh(obj, dir) : r;
}

/* Both programs of an interface. gate finds the maps that they share where dispatch has pinned them. */
struct programs {
	struct vj_dispatch *dispatch;
	struct vj_gate *gate;
};

static void programs_destroy(struct programs *p)
{
	vj_dispatch__destroy(p->dispatch);
	vj_gate__destroy(p->gate);
}

/* Of what applications of one host send to: a router's maps are larger. */
static int size_learned(const struct vj_gate *gate)
{
	int r = bpf_map__set_max_entries(gate->maps.learned, IF_LEARNED_MAX);

	if (r == 0)
		r = bpf_map__set_max_entries(gate->maps.learned_hosts, IF_LEARNED_MAX);
	return r == 0 ? bpf_map__set_max_entries(gate->maps.asked, IF_LEARNED_MAX) : r;
}

static int programs_load(const char *dir, struct programs *ret)
{
	struct programs p = { vj_dispatch__open(), vj_gate__open() };
	int r = p.dispatch != NULL && p.gate != NULL ? 0 : -ENOMEM;

	if (r == 0)
		r = size_learned(p.gate);
	if (r == 0)
		r = load(p.dispatch->obj, dir);
	if (r == 0)
		r = load(p.gate->obj, dir);
	if (r < 0)
		programs_destroy(&p);
	else
		*ret = p;
	return r;
}

static int open_flows(const char *dir)
{
	char path[IF_PIN_PATH_BYTES];

	if_pin_path(dir, "flows", path);
	return bpf_obj_get(path);
}

/*
 * Maps that an earlier version left and that don't fit any more are no use: its channels end.
 * @ret_flows_fd: what it knew of flows; -1: the maps are those from before, or there were none
 */
static int programs_load_over(const char *dir, struct programs *ret, int *ret_flows_fd)
{
	int r = programs_load(dir, ret);

	*ret_flows_fd = -1;
	if (r != -EINVAL)
		return r;
	*ret_flows_fd = open_flows(dir);
	if_pin_dir_remove(dir);
	if (mkdir(dir, 0700) != 0)
		return -errno;
	return programs_load(dir, ret);
}

static int keep_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int keep_maps(struct if_dispatch *d, const struct programs *p)
{
	bool all = true;

#define X(id, name, program) d->map_fds[IF_MAP_##id] = keep_fd(bpf_map__fd(p->program->maps.name));
	IF_MAPS(X)
#undef X
	d->gate_fd = keep_fd(bpf_program__fd(p->gate->progs.vj_gate));
	d->progs.xdp_fd = keep_fd(bpf_program__fd(p->dispatch->progs.vj_dispatch));
	d->progs.tc_fd = keep_fd(bpf_program__fd(p->dispatch->progs.vj_dispatch_tc));
	for (unsigned i = 0; i < IF_MAP_CNT; i++)
		all &= d->map_fds[i] >= 0;
	all &= d->gate_fd >= 0 && d->progs.xdp_fd >= 0 && d->progs.tc_fd >= 0;
	return all ? 0 : -EMFILE;
}

static struct policy_dispatch_cfg read_cfg(const struct if_dispatch *d)
{
	struct policy_dispatch_cfg cfg = { .hash_seed = 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(d->map_fds[IF_MAP_DISPATCH_CFG], &zero, &cfg);
	return cfg;
}

static void write_cfg(const struct if_dispatch *d, const struct policy_dispatch_cfg *cfg)
{
	uint32_t zero = 0;

	bpf_map_update_elem(d->map_fds[IF_MAP_DISPATCH_CFG], &zero, cfg, BPF_ANY);
}

/* The seed stays the same over restarts: flows must not move. */
static void configure(struct if_dispatch *d, const uint8_t mac[static 6])
{
	struct policy_dispatch_cfg cfg = read_cfg(d);
	uint32_t zero = 0;

	while (cfg.hash_seed == 0)
		if (getrandom(&cfg.hash_seed, sizeof(cfg.hash_seed), 0) < 0)
			break;
	d->hash_seed = cfg.hash_seed;
	memcpy(cfg.mac.bytes, mac, sizeof(cfg.mac.bytes));
	write_cfg(d, &cfg);
	bpf_map_update_elem(d->map_fds[IF_MAP_OUT], &zero, &d->ifindex, BPF_ANY);
}

/* Were these maps made for a dispatch before? */
static bool is_configured(const struct if_dispatch *d)
{
	return read_cfg(d).hash_seed != 0;
}

static int attach_loaded(struct if_dispatch *d, const struct programs *p, const uint8_t mac[static 6], bool at_tc)
{
	int r = keep_maps(d, p);

	if (r < 0)
		return r;
	d->fresh = !is_configured(d);
	configure(d, mac);
	return if_hook_attach(d->ifindex, d->pin_dir, &d->progs, at_tc, &d->hook);
}

static int attach(struct if_dispatch *d, const uint8_t mac[static 6], bool at_tc)
{
	struct programs p;
	int flows_fd, r = programs_load_over(d->pin_dir, &p, &flows_fd);

	if (r == 0) {
		r = attach_loaded(d, &p, mac, at_tc);
		programs_destroy(&p);
	}
	if (flows_fd >= 0) {
		if (r == 0) {
			if_reset_dead(d, flows_fd);
			if_dispatch_set_left(d); /* that some have become the kernel's, these maps don't know */
		}
		close(flows_fd);
	}
	return r;
}

/* Of what is attached, where the pins were lost. */
static void pins_again(uint32_t ifindex, const char *dir)
{
	int fd = if_hook_left(ifindex);

	if (fd < 0)
		return;
	own_prog_pin_maps(fd, dir); /* else its channels end, as those of another version */
	close(fd);
}

int if_dispatch_attach(uint32_t ifindex, const uint8_t mac[static 6], bool at_tc, struct if_dispatch *ret_dispatch)
{
	struct if_dispatch d = { .ifindex = ifindex };
	int r;

	libbpf_set_print(NULL); /* what fails is said by whoever wanted it */
	r = if_pin_dir_make("if", ifindex, d.pin_dir);
	if (r < 0)
		return r;
	pins_again(ifindex, d.pin_dir);
	r = attach(&d, mac, at_tc);
	if (r < 0) {
		int left = if_hook_left(ifindex);

		if_dispatch_close(&d);
		if (left >= 0)
			close(left);
		else
			if_pin_dir_remove(d.pin_dir);
		return r;
	}
	*ret_dispatch = d;
	return 0;
}

void if_dispatch_set_mac(const struct if_dispatch *d, const uint8_t mac[static 6])
{
	struct policy_dispatch_cfg cfg = read_cfg(d);

	memcpy(cfg.mac.bytes, mac, sizeof(cfg.mac.bytes));
	write_cfg(d, &cfg);
}

void if_dispatch_set_ways(const struct if_dispatch *d, bool on)
{
	struct policy_dispatch_cfg cfg = read_cfg(d);

	cfg.ways = on;
	write_cfg(d, &cfg);
}

void if_dispatch_set_left(const struct if_dispatch *d)
{
	struct policy_dispatch_cfg cfg = read_cfg(d);

	if (cfg.left)
		return;
	cfg.left = 1;
	write_cfg(d, &cfg);
}

void if_dispatch_set_frame_max(const struct if_dispatch *d, uint32_t bytes)
{
	struct policy_dispatch_cfg cfg = read_cfg(d);

	cfg.frame_max = bytes;
	write_cfg(d, &cfg);
}

void if_dispatch_forget(const struct if_dispatch *d, uint32_t nr, uint32_t host_ifindex)
{
	bpf_map_delete_elem(d->map_fds[IF_MAP_DEVS], &nr);
	bpf_map_delete_elem(d->map_fds[IF_MAP_GATE_COUNTERS], &nr);
	bpf_map_delete_elem(d->map_fds[IF_MAP_GATE_CFG], &host_ifindex);
}

void if_dispatch_close(struct if_dispatch *d)
{
	const int progs[] = { d->gate_fd, d->progs.xdp_fd, d->progs.tc_fd };

	for (unsigned i = 0; i < IF_MAP_CNT; i++)
		if (d->map_fds[i] > 0)
			close(d->map_fds[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(progs); i++)
		if (progs[i] > 0)
			close(progs[i]);
}

int if_dispatch_move(struct if_dispatch *d)
{
	return if_hook_attach(d->ifindex, d->pin_dir, &d->progs, true, &d->hook);
}

int if_dispatch_keep(const struct if_dispatch *d)
{
	char path[IF_PIN_PATH_BYTES], dir[IF_PIN_DIR_BYTES];
	int r;

	if_pin_path(d->pin_dir, "dispatch_cfg", path);
	if (access(path, F_OK) == 0)
		return 0;
	r = if_pin_dir_make("if", d->ifindex, dir);
	if (r == 0)
		r = own_prog_pin_maps(d->progs.xdp_fd, dir);
	if (r == 0)
		r = own_prog_pin_maps(d->gate_fd, dir);
	return r == 0 ? 1 : r;
}

bool if_dispatch_holds(const struct if_dispatch *d)
{
	return if_hook_holds(d->ifindex, d->pin_dir, d->hook);
}

void if_dispatch_unhook(const struct if_dispatch *d)
{
	if_hook_detach(d->ifindex, d->pin_dir);
}

void if_dispatch_remove(struct if_dispatch *d)
{
	if_dispatch_close(d);
	if_pin_dir_remove(d->pin_dir);
}

/* ---- an application's programs */

static int set_one(const struct bpf_map *map, const void *value)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(bpf_map__fd(map), &zero, value, BPF_ANY) == 0 ? 0 : -errno;
}

/* Devices in the other namespace can be named only from there. */
struct there {
	uint32_t ifindex;
	int prog_fd;
	uint32_t prog_id;
};

static int attach_there(void *arg)
{
	const struct there *t = arg;

	return bpf_xdp_attach((int)t->ifindex, t->prog_fd, XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
}

static int query_there(void *arg)
{
	struct there *t = arg;

	return bpf_xdp_query_id((int)t->ifindex, 0, &t->prog_id);
}

int if_deliver_attach(const struct if_chan_config *cfg)
{
	struct vj_deliver *skel = vj_deliver__open_and_load();
	const struct policy_deliver_cfg deliver = {
		.frame_max = cfg->frame_bytes - IF_FRAME_HEADROOM,
		.rx_frame_cnt = cfg->rx_frame_cnt,
		.spill_max = cfg->spill_max,
	};
	struct there t = { .ifindex = cfg->app_ifindex };
	int r;

	if (skel == NULL)
		return -errno;
	r = set_one(skel->maps.deliver_cfg, &deliver);
	if (r == 0)
		r = set_one(skel->maps.xsks, &cfg->xsk_fd);
	t.prog_fd = bpf_program__fd(skel->progs.vj_deliver);
	if (r == 0)
		r = netns_do(cfg->netns_fd, attach_there, &t);
	vj_deliver__destroy(skel);
	return r;
}

int if_gate_configure(const struct if_dispatch *d, const struct if_chan_config *cfg)
{
	struct policy_gate_cfg gate = { .app = cfg->app, .mtu = cfg->mtu, .hash_seed = d->hash_seed };

	memcpy(gate.mac.bytes, cfg->mac, sizeof(gate.mac.bytes));
	if (bpf_map_update_elem(d->map_fds[IF_MAP_GATE_CFG], &cfg->host_ifindex, &gate, BPF_ANY) != 0)
		return -errno;
	return 0;
}

/* Return: room for the counters of each processor, all 0; NULL: no memory */
static struct policy_gate_counters *counters_new(int *ret_cpus)
{
	int cpus = libbpf_num_possible_cpus();

	_Static_assert(sizeof(struct policy_gate_counters) % 8 == 0, "no gap between processors");
	*ret_cpus = cpus;
	return cpus > 0 ? calloc((size_t)cpus, sizeof(struct policy_gate_counters)) : NULL;
}

/* Those of a channel that is found again go on. */
static int counters_begin(const struct if_dispatch *d, uint32_t nr)
{
	int cpus, r = 0;
	struct policy_gate_counters *zero = counters_new(&cpus);

	if (zero == NULL)
		return -ENOMEM;
	if (bpf_map_update_elem(d->map_fds[IF_MAP_GATE_COUNTERS], &nr, zero, BPF_NOEXIST) != 0 && errno != EEXIST)
		r = -errno;
	free(zero);
	return r;
}

int if_gate_attach(const struct if_dispatch *d, const struct if_chan_config *cfg)
{
	int r = counters_begin(d, cfg->app);

	if (r == 0)
		r = if_gate_configure(d, cfg);
	if (r < 0)
		return r;
	/*
	 * What an AF_XDP socket sends in copy mode comes as the kernel's own packets, and generic mode leaves them so: no driver has to
	 * take frames of XDP (ndo_xdp_xmit), and it saves two conversions.
	 */
	return bpf_xdp_attach((int)cfg->host_ifindex, d->gate_fd, XDP_FLAGS_SKB_MODE, NULL);
}

/* ---- found again */

/* Another version's may have the same name, and other values in it. */
static int maps_of_prog(uint32_t id, struct if_chan_maps *ret)
{
	int fd = own_prog_open(OWN_PROG_DELIVER, id);

	if (fd < 0)
		return fd;
	ret->deliver_state = own_prog_map(fd, "deliver_state", sizeof(struct policy_deliver_state));
	ret->credit = own_prog_map(fd, "credit", sizeof(struct policy_credit));
	ret->counters = own_prog_map(fd, "counters", sizeof(uint64_t));
	close(fd);
	return ret->deliver_state >= 0 && ret->credit >= 0 && ret->counters >= 0 ? 0 : -ENOENT;
}

int if_chan_maps_find(uint32_t app_ifindex, int netns_fd, struct if_chan_maps *ret_maps)
{
	struct if_chan_maps m = { -1, -1, -1 };
	struct there app = { .ifindex = app_ifindex };
	int r = netns_do(netns_fd, query_there, &app);

	if (r == 0)
		r = maps_of_prog(app.prog_id, &m);
	if (r < 0) {
		if_chan_maps_close(&m);
		return r;
	}
	*ret_maps = m;
	return 0;
}

void if_chan_maps_close(struct if_chan_maps *maps)
{
	int *fds[] = { &maps->deliver_state, &maps->credit, &maps->counters };

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

void if_gate_counters_read(const struct if_dispatch *d, uint32_t nr, uint64_t ret_counters[static POLICY_REASON_CNT])
{
	int cpus;
	struct policy_gate_counters *each = counters_new(&cpus);

	memset(ret_counters, 0, POLICY_REASON_CNT * sizeof(ret_counters[0]));
	if (each != NULL && bpf_map_lookup_elem(d->map_fds[IF_MAP_GATE_COUNTERS], &nr, each) == 0)
		for (int i = 0; i < cpus; i++)
			for (unsigned k = 0; k < POLICY_REASON_CNT; k++)
				ret_counters[k] += each[i].of[k];
	free(each);
}

uint64_t if_counter_read(int counters_fd, enum policy_reason reason)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values, sum = 0;
	uint32_t key = (uint32_t)reason;

	values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;
	if (values != NULL && bpf_map_lookup_elem(counters_fd, &key, values) == 0)
		for (int i = 0; i < cpus; i++)
			sum += values[i];
	free(values);
	return sum;
}
