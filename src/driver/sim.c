// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim.c - the virtual network; see sim.h for what it promises
 *
 * A frame enters a path at once when the simulator runs, passes the path's gates in the order in which path_enter()
 * names them, and is then an entry in one heap over all paths, ordered by arrival and, at the same nanosecond, by
 * the order of entry. Nothing depends on addresses in memory, the host's clock or hash order.
 */
#include "driver/sim.h"

#include <vj/driver.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/time.h"

#define PORT_MAX 64u
#define PATH_MAX_CNT (PORT_MAX * (PORT_MAX - 1))
#define AREA_ALIGN 4096u
#define ETH_HEADER_BYTES 14u
#define RX_BATCH 32u
#define QUEUE_CNT_DEFAULT 1000u
#define REORDER_NS_DEFAULT NS_PER_MS
#define PPM 1000000u

/* What the trace hash knows of a frame's fate. */
enum sim_fate {
	FATE_DELIVERED,
	FATE_LOST,
	FATE_TOO_LONG,
	FATE_QUEUE_FULL,
	FATE_NO_BUFFER,
};

struct sim_port {
	void *area;
	struct vj_channel *app, *far;
	struct mac_addr mac;
	struct tap tap;
};

/* One direction of a link. */
struct sim_dir {
	uint32_t from, to; /* ports */
	struct sim_path path;
	struct sim_path_stats stats;
	struct prng prng;
	uint64_t frame_idx;	  /* frames that entered since `path` was set */
	uint64_t sent_ns;	  /* when the last frame accepted leaves the queue */
	uint64_t last_arrival_ns; /* of those that keep their order */
};

/* A copy of a frame under way. */
struct sim_flight {
	uint64_t arrival_ns;
	uint64_t order; /* of entry, over all paths */
	uint32_t dir;
	uint32_t len;
	uint8_t bytes[];
};

struct sim {
	uint64_t seed;
	uint64_t now_ns;
	uint64_t order;
	uint64_t trace;
	uint32_t port_cnt;
	uint32_t dir_cnt;
	uint32_t flight_cnt;
	uint32_t flight_max;
	struct sim_port *ports;	     /* PORT_MAX */
	struct sim_dir *dirs;	     /* PATH_MAX_CNT */
	struct sim_flight **flights; /* binary heap */
};

/* The random part of a frame's way, drawn whole for every frame. */
struct sim_luck {
	bool loss, dup, reorder, corrupt;
	uint64_t jitter_ns[2]; /* of the frame and of its copy */
	uint64_t bit;
};

/* FNV-1a, 64 bits. */
static uint64_t trace_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Numbers byte by byte from the low end, so that the digest is the same on every machine. */
static uint64_t trace_u64(uint64_t hash, uint64_t v)
{
	for (unsigned int i = 0; i < 8; i++)
		hash = (hash ^ (v >> 8 * i & 0xff)) * UINT64_C(0x100000001b3);
	return hash;
}

static void sim_trace(struct sim *sim, const struct sim_dir *dir, enum sim_fate fate,
		      uint64_t at_ns, const void *bytes, uint32_t len)
{
	uint64_t hash = trace_u64(sim->trace, at_ns);

	hash = trace_u64(hash, (uint64_t)dir->from << 32 | dir->to);
	hash = trace_u64(hash, (uint64_t)fate << 32 | len);
	sim->trace = trace_bytes(hash, bytes, len);
}

/* The heap. */

static bool flight_before(const struct sim_flight *a, const struct sim_flight *b)
{
	if (a->arrival_ns != b->arrival_ns)
		return a->arrival_ns < b->arrival_ns;
	return a->order < b->order;
}

static void flight_push(struct sim *sim, struct sim_flight *flight)
{
	uint32_t at = sim->flight_cnt++;

	while (at > 0 && flight_before(flight, sim->flights[(at - 1) / 2])) {
		sim->flights[at] = sim->flights[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	sim->flights[at] = flight;
}

static struct sim_flight *flight_pop(struct sim *sim)
{
	struct sim_flight *first = sim->flights[0], *last = sim->flights[--sim->flight_cnt];
	uint32_t at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= sim->flight_cnt)
			break;
		if (child + 1 < sim->flight_cnt &&
		    flight_before(sim->flights[child + 1], sim->flights[child]))
			child++;
		if (!flight_before(sim->flights[child], last))
			break;
		sim->flights[at] = sim->flights[child];
		at = child;
	}
	sim->flights[at] = last;
	return first;
}

/* A copy of the frame for the heap. A simulation that is short of memory cannot go on as the seed says: it stops. */
static struct sim_flight *flight_new(struct sim *sim, const uint8_t *bytes, uint32_t len)
{
	struct sim_flight *flight = malloc(sizeof(*flight) + len);

	if (sim->flight_cnt == sim->flight_max) {
		sim->flight_max = sim->flight_max ? sim->flight_max * 2 : 256;
		sim->flights = realloc(sim->flights, sim->flight_max * sizeof(struct sim_flight *));
	}
	VJ_ASSERT(flight && sim->flights);
	flight->len = len;
	flight->order = sim->order++;
	memcpy(flight->bytes, bytes, len);
	return flight;
}

/* Paths. */

static bool chance_hits(struct prng *prng, const struct sim_chance *chance, uint64_t frame_idx)
{
	bool by_luck = prng_below(prng, PPM) < chance->ppm;
	bool by_mask = frame_idx < 64 && (chance->mask >> frame_idx & 1) != 0;

	return by_luck || by_mask;
}

static struct sim_luck luck_draw(struct sim_dir *dir)
{
	const struct sim_path *path = &dir->path;
	uint64_t idx = dir->frame_idx++;
	struct sim_luck luck;

	luck.loss = chance_hits(&dir->prng, &path->loss, idx);
	luck.dup = chance_hits(&dir->prng, &path->dup, idx);
	luck.reorder = chance_hits(&dir->prng, &path->reorder, idx);
	luck.corrupt = chance_hits(&dir->prng, &path->corrupt, idx);
	/* The remainder is not quite even; what counts is that it takes one value whatever the jitter. */
	for (unsigned int i = 0; i < 2; i++)
		luck.jitter_ns[i] = prng_u64(&dir->prng) % (path->jitter_ns + 1);
	luck.bit = prng_u64(&dir->prng);
	return luck;
}

/* Nanoseconds that `len` bytes take. Frames and rates are small enough for 64 bits. */
static uint64_t path_serialise_ns(const struct sim_path *path, uint32_t len)
{
	return path->rate_bps ? (uint64_t)len * 8 * NS_PER_SEC / path->rate_bps : 0;
}

/* Would this frame be one too many of those that wait for the rate? Counted in frames of its own length. */
static bool path_queue_full(const struct sim *sim, const struct sim_dir *dir, uint32_t len)
{
	uint64_t each_ns = path_serialise_ns(&dir->path, len);
	uint32_t queue_cnt = dir->path.queue_cnt ? dir->path.queue_cnt : QUEUE_CNT_DEFAULT;

	return each_ns > 0 && time_sub_sat(dir->sent_ns, sim->now_ns) / each_ns >= queue_cnt;
}

static void path_send_copy(struct sim *sim, struct sim_dir *dir, struct sim_flight *flight,
			   uint64_t jitter_ns, bool late)
{
	uint64_t arrival_ns = dir->sent_ns + dir->path.delay_ns + jitter_ns;

	arrival_ns = max_u64(arrival_ns, dir->last_arrival_ns);
	if (late)
		arrival_ns += dir->path.reorder_ns ? dir->path.reorder_ns : REORDER_NS_DEFAULT;
	else
		dir->last_arrival_ns = arrival_ns;
	flight->arrival_ns = arrival_ns;
	flight->dir = (uint32_t)(dir - sim->dirs);
	flight_push(sim, flight);
}

static void path_corrupt(struct sim_flight *flight, uint64_t bit)
{
	uint32_t bits = (flight->len - ETH_HEADER_BYTES) * 8;

	bit %= bits;
	flight->bytes[ETH_HEADER_BYTES + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static bool path_drops(struct sim *sim, struct sim_dir *dir, const struct sim_luck *luck,
		       const uint8_t *bytes, uint32_t len)
{
	const struct sim_path *path = &dir->path;
	enum sim_fate fate;

	if (path->mtu && len > path->mtu + ETH_HEADER_BYTES) {
		dir->stats.too_long++;
		fate = FATE_TOO_LONG;
	} else if (luck->loss) {
		dir->stats.lost++;
		fate = FATE_LOST;
	} else if (path_queue_full(sim, dir, len)) {
		dir->stats.queue_full++;
		fate = FATE_QUEUE_FULL;
	} else {
		return false;
	}
	sim_trace(sim, dir, fate, sim->now_ns, bytes, len);
	return true;
}

/* MTU, loss, queue, rate; then damage, delay, order, and the second copy. */
static void path_enter(struct sim *sim, struct sim_dir *dir, const uint8_t *bytes, uint32_t len)
{
	struct sim_luck luck = luck_draw(dir);
	struct sim_flight *flight;

	dir->stats.frames++;
	dir->stats.bytes += len;
	if (path_drops(sim, dir, &luck, bytes, len))
		return;
	dir->sent_ns = max_u64(dir->sent_ns, sim->now_ns) + path_serialise_ns(&dir->path, len);
	flight = flight_new(sim, bytes, len);
	if (luck.corrupt && len > ETH_HEADER_BYTES) {
		path_corrupt(flight, luck.bit);
		dir->stats.corrupted++;
	}
	path_send_copy(sim, dir, flight, luck.jitter_ns[0], luck.reorder);
	dir->stats.reordered += luck.reorder;
	if (luck.dup) {
		path_send_copy(sim, dir, flight_new(sim, bytes, len), luck.jitter_ns[1], false);
		dir->stats.duplicated++;
	}
}

/* Ports. */

static bool port_takes(const struct sim_port *port, const uint8_t *bytes, uint32_t len)
{
	struct mac_addr to;

	if (mac_addr_is_zero(&port->mac) || len < sizeof(to))
		return true;
	memcpy(&to, bytes, sizeof(to));
	return mac_addr_is_multicast(&to) || mac_addr_eq(&to, &port->mac);
}

/* Everything that the application of a port has sent enters the links. */
static void port_collect(struct sim *sim, uint32_t idx)
{
	struct sim_port *port = &sim->ports[idx];
	struct vj_buf bufs[RX_BATCH];
	unsigned int n;

	while ((n = vj_channel_rx(port->far, bufs, RX_BATCH)) > 0) {
		for (unsigned int i = 0; i < n; i++) {
			tap_frame(&port->tap, TAP_TX, sim->now_ns, bufs[i].data, bufs[i].len);
			for (uint32_t d = 0; d < sim->dir_cnt; d++) {
				struct sim_dir *dir = &sim->dirs[d];

				if (dir->from == idx &&
				    port_takes(&sim->ports[dir->to], bufs[i].data, bufs[i].len))
					path_enter(sim, dir, bufs[i].data, bufs[i].len);
			}
		}
		vj_channel_rx_free(port->far, bufs, n);
	}
}

static void sim_deliver(struct sim *sim, struct sim_flight *flight)
{
	struct sim_dir *dir = &sim->dirs[flight->dir];
	struct sim_port *port = &sim->ports[dir->to];
	enum sim_fate fate = FATE_NO_BUFFER;
	struct vj_buf buf;

	if (vj_get_buffer(port->far, flight->len, &buf) == 0) {
		memcpy(buf.data, flight->bytes, flight->len);
		vj_netif_rx(port->far, &buf);
		tap_frame(&port->tap, TAP_RX, flight->arrival_ns, flight->bytes, flight->len);
		dir->stats.delivered++;
		fate = FATE_DELIVERED;
	} else {
		dir->stats.no_buffer++;
	}
	sim_trace(sim, dir, fate, flight->arrival_ns, flight->bytes, flight->len);
	free(flight);
}

void sim_run(struct sim *sim, uint64_t now_ns)
{
	VJ_ASSERT_OP(now_ns, >=, sim->now_ns);
	sim->now_ns = now_ns;
	for (uint32_t i = 0; i < sim->port_cnt; i++)
		port_collect(sim, i);
	while (sim->flight_cnt > 0 && sim->flights[0]->arrival_ns <= now_ns)
		sim_deliver(sim, flight_pop(sim));
	for (uint32_t i = 0; i < sim->port_cnt; i++)
		vj_netif_rx_flush(sim->ports[i].far);
}

uint64_t sim_next_ns(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->port_cnt; i++) {
		if (vj_channel_rx_ready(sim->ports[i].far))
			return sim->now_ns;
	}
	return sim->flight_cnt > 0 ? sim->flights[0]->arrival_ns : TIME_NEVER;
}

uint32_t sim_in_flight(const struct sim *sim)
{
	return sim->flight_cnt;
}

uint64_t sim_trace_hash(const struct sim *sim)
{
	return sim->trace;
}

/* Building and taking down. */

int sim_new(uint64_t seed, struct sim **ret_sim)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		return -ENOMEM;
	sim->seed = seed;
	sim->trace = UINT64_C(0xcbf29ce484222325);
	sim->ports = calloc(PORT_MAX, sizeof(*sim->ports));
	sim->dirs = calloc(PATH_MAX_CNT, sizeof(*sim->dirs));
	if (!sim->ports || !sim->dirs) {
		sim_free(sim);
		return -ENOMEM;
	}
	*ret_sim = sim;
	return 0;
}

static void port_release(struct sim_port *port)
{
	vj_channel_detach(port->app);
	vj_channel_detach(port->far);
	free(port->area);
	*port = (struct sim_port){ .area = NULL };
}

void sim_free(struct sim *sim)
{
	if (!sim)
		return;
	while (sim->flight_cnt > 0)
		free(flight_pop(sim));
	for (uint32_t i = 0; i < sim->port_cnt; i++)
		port_release(&sim->ports[i]);
	free(sim->flights);
	free(sim->dirs);
	free(sim->ports);
	free(sim);
}

static int port_open(struct sim_port *port, const struct vj_area_params *params)
{
	struct vj_channel_options opts = VJ_CHANNEL_OPTIONS_INIT;
	size_t bytes = vj_area_bytes(params);
	int err;

	port->area = aligned_alloc(AREA_ALIGN, bytes);
	if (!port->area)
		return -ENOMEM;
	memset(port->area, 0, bytes);
	err = vj_area_init(port->area, params);
	if (err < 0)
		return err;
	opts.area = port->area;
	opts.area_bytes = bytes;
	opts.params = *params;
	err = vj_channel_attach(&opts, &port->app);
	if (err < 0)
		return err;
	opts.end = 1;
	return vj_channel_attach(&opts, &port->far);
}

int sim_port_add(struct sim *sim, const struct vj_area_params *params, const struct mac_addr *mac,
		 struct sim_port_id *ret_port)
{
	struct sim_port *port;
	int err;

	if (sim->port_cnt == PORT_MAX)
		return -ENOSPC;
	err = vj_area_params_check(params);
	if (err < 0)
		return err;
	port = &sim->ports[sim->port_cnt];
	err = port_open(port, params);
	if (err < 0) {
		port_release(port);
		return err;
	}
	if (mac)
		port->mac = *mac;
	ret_port->idx = sim->port_cnt++;
	return 0;
}

static struct sim_port *port_get(struct sim *sim, struct sim_port_id port)
{
	VJ_ASSERT_OP(port.idx, <, sim->port_cnt);
	return &sim->ports[port.idx];
}

struct vj_channel *sim_port_channel(struct sim *sim, struct sim_port_id port)
{
	return port_get(sim, port)->app;
}

void sim_port_tap(struct sim *sim, struct sim_port_id port, struct tap tap)
{
	port_get(sim, port)->tap = tap;
}

static struct sim_dir *dir_find(const struct sim *sim, struct sim_port_id from,
				struct sim_port_id to)
{
	for (uint32_t i = 0; i < sim->dir_cnt; i++) {
		if (sim->dirs[i].from == from.idx && sim->dirs[i].to == to.idx)
			return &sim->dirs[i];
	}
	return NULL;
}

/* Its luck depends on the seed and on which ports it joins, not on the order in which links were made. */
static void dir_add(struct sim *sim, struct sim_port_id from, struct sim_port_id to,
		    const struct sim_path *path)
{
	struct sim_dir *dir = &sim->dirs[sim->dir_cnt++];

	*dir = (struct sim_dir){ .from = from.idx, .to = to.idx, .path = *path };
	prng_seed(&dir->prng, trace_u64(trace_u64(sim->seed, from.idx), to.idx));
}

int sim_link_add(struct sim *sim, struct sim_port_id a, struct sim_port_id b,
		 const struct sim_path *a_to_b, const struct sim_path *b_to_a)
{
	VJ_ASSERT_OP(a.idx, <, sim->port_cnt);
	VJ_ASSERT_OP(b.idx, <, sim->port_cnt);
	if (a.idx == b.idx || dir_find(sim, a, b))
		return -EINVAL;
	dir_add(sim, a, b, a_to_b);
	dir_add(sim, b, a, b_to_a);
	return 0;
}

void sim_path_set(struct sim *sim, struct sim_port_id from, struct sim_port_id to,
		  const struct sim_path *path)
{
	struct sim_dir *dir = dir_find(sim, from, to);

	VJ_ASSERT(dir);
	dir->path = *path;
	dir->frame_idx = 0;
}

void sim_path_stats(const struct sim *sim, struct sim_port_id from, struct sim_port_id to,
		    struct sim_path_stats *ret_stats)
{
	const struct sim_dir *dir = dir_find(sim, from, to);

	VJ_ASSERT(dir);
	*ret_stats = dir->stats;
}
