/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_bpf.h - the programs of interface channels: loaded, told what they need, attached, found again
 *
 * policy/maps.h says what is in the maps. dispatch and the maps of dispatch and gate are pinned below IF_PIN_DIR, one directory for
 * each interface, and serve on while no vjd runs; a new vjd loads programs of its own over the same maps, and puts them in
 * place of the old ones (if_hook.h). Where pins were lost, the maps are those that the old dispatch has. gate and deliver hang on the devices
 * of a channel and go with them; a new vjd finds the maps of deliver by its program (own_prog.h).
 */
#ifndef DAEMON_IF_BPF_H
#define DAEMON_IF_BPF_H

#include "base/addr.h"
#include "daemon/if_hook.h"
#include "daemon/if_pin.h"
#include "policy/maps.h"

/* Maps of dispatch and gate that vjd writes or reads, by name: enum constant, name, program. */
#define IF_MAPS(X)                               \
	X(DISPATCH_CFG, dispatch_cfg, dispatch)  \
	X(MACS, macs, dispatch)                  \
	X(WAYS, ways, dispatch)                  \
	X(ADDRS, addrs, dispatch)                \
	X(PORTS, ports, dispatch)                \
	X(BLOCKS, blocks, dispatch)              \
	X(DEVS, devs, dispatch)                  \
	X(FLOWS, flows, dispatch)                \
	X(COUNTERS, counters, dispatch)          \
	X(FILTER_CFG, filter_cfg, dispatch)      \
	X(FILTER_CELLS, filter_cells, dispatch)  \
	X(GATE_CFG, gate_cfg, gate)              \
	X(GATE_COUNTERS, gate_counters, gate)    \
	X(HOPS, hops, gate)                      \
	X(LEARNED_HOSTS, learned_hosts, gate)    \
	X(LEARNED, learned, gate)                \
	X(ASKED, asked, gate)                    \
	X(MISSES, misses, gate)                  \
	X(OUT, out, gate)

enum if_map {
#define X(id, name, program) IF_MAP_##id,
	IF_MAPS(X)
#undef X
	IF_MAP_CNT
};

enum { IF_FRAME_HEADROOM = 256 }; /* what AF_XDP leaves free in front of a received frame */

enum { IF_LEARNED_MAX = 1 << 13 }; /* ports of other hosts that gate may know of */

struct if_dispatch {
	uint32_t ifindex;
	int map_fds[IF_MAP_CNT];
	int gate_fd; /* the program */
	struct if_hook_progs progs;
	enum if_hook hook;
	uint32_t hash_seed;
	bool fresh; /* the maps are new: if there are channels from before, nothing is known of them */
	char pin_dir[IF_PIN_DIR_BYTES];
};

/**
 * if_dispatch_attach() - Load dispatch, or take over what an earlier vjd left, and attach it
 * @at_tc: at tc, though XDP's place is free
 * Return: 0; errors of if_hook_attach(); -EOPNOTSUPP; other errno of bpf(2)
 */
int if_dispatch_attach(uint32_t ifindex, const uint8_t mac[static 6], bool at_tc, struct if_dispatch *ret_dispatch);

/** if_dispatch_holds() - Is it still attached, and not replaced by somebody? */
bool if_dispatch_holds(const struct if_dispatch *d);

/** if_dispatch_keep() - Pin once more what isn't pinned any more. Return: 1: that was so; 0: it wasn't; negative errno */
int if_dispatch_keep(const struct if_dispatch *d);

/** if_dispatch_move() - To tc, from wherever it is. Return: as if_hook_attach() */
int if_dispatch_move(struct if_dispatch *d);

/** if_dispatch_set_mac() - The interface's address has changed */
void if_dispatch_set_mac(const struct if_dispatch *d, const uint8_t mac[static 6]);

/** if_dispatch_set_ways() - Does the map `ways` count? */
void if_dispatch_set_ways(const struct if_dispatch *d, bool on);

/** if_dispatch_set_left() - From now on `flows` may have some that are the kernel's. Nothing if it knows */
void if_dispatch_set_left(const struct if_dispatch *d);

/** if_dispatch_set_frame_max() - Longest frame that all channels take; 0: there is none */
void if_dispatch_set_frame_max(const struct if_dispatch *d, uint32_t bytes);

/** if_dispatch_forget() - Channel @nr is no more: frames for it are the kernel's. @host_ifindex: 0: not known */
void if_dispatch_forget(const struct if_dispatch *d, uint32_t nr, uint32_t host_ifindex);

/** if_dispatch_unhook() - Off the interface: from here on all frames are the kernel's. The maps stay; removal follows */
void if_dispatch_unhook(const struct if_dispatch *d);

/** if_dispatch_remove() - Unpin and close, after if_dispatch_unhook() */
void if_dispatch_remove(struct if_dispatch *d);

/** if_dispatch_close() - Let it serve on */
void if_dispatch_close(struct if_dispatch *d);

/* What a channel's deliver counts and keeps. */
struct if_chan_maps {
	int deliver_state, credit, counters;
};

struct if_chan_config {
	uint32_t app; /* number of the channel in the maps */
	uint32_t mtu;
	const uint8_t *mac; /* of the interface */
	uint32_t host_ifindex, app_ifindex; /* of the pair */
	int netns_fd; /* of the application's end */
	int xsk_fd;   /* bound to it */
	uint32_t frame_bytes, rx_frame_cnt, spill_max;
};

/** if_deliver_attach() - At the application's end. Return: 0; negative errno of bpf(2) */
int if_deliver_attach(const struct if_chan_config *cfg);

/** if_gate_attach() - At the host's end, in place of an earlier vjd's. Return: 0; negative errno of bpf(2) */
int if_gate_attach(const struct if_dispatch *d, const struct if_chan_config *cfg);

/** if_gate_configure() - Tell gate of a channel, or of what has changed: its MTU, the interface's address */
int if_gate_configure(const struct if_dispatch *d, const struct if_chan_config *cfg);

/** if_chan_maps_find() - The maps of the deliver that hangs on an application's end. Return: 0; -ENOENT: it isn't ours */
int if_chan_maps_find(uint32_t app_ifindex, int netns_fd, struct if_chan_maps *ret_maps);

void if_chan_maps_close(struct if_chan_maps *maps);

/** if_counter_read() - One counter, all processors together; 0 if it can't be read */
uint64_t if_counter_read(int counters_fd, enum policy_reason reason);

/** if_gate_counters_read() - Those of channel @nr; all 0 if they can't be read */
void if_gate_counters_read(const struct if_dispatch *d, uint32_t nr, uint64_t ret_counters[static POLICY_REASON_CNT]);

#endif
