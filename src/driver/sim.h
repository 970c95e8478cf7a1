// SPDX-License-Identifier: BSD-2-Clause
/*
 * sim.h - a network that is not there
 *
 * Ports are joined by links. At each port hangs a channel in plain memory; the simulator holds its far end and
 * carries what the application sends over the links, each direction of which loses, repeats, delays, reorders, damages,
 * throttles and drops as it was told. Time is what the caller says it is: the simulator has no clock, and
 * nothing in it happens but in sim_run().
 *
 * The same seed and the same calls give the same frames at the same nanosecond, on every machine. sim_trace_hash()
 * digests all that happened, so a test can hold a run against an earlier one with one number.
 *
 * The loop of a test:
 *
 *	now = min(sim_next_ns(sim), deadlines of the stacks);
 *	sim_run(sim, now);
 *	let every stack take its frames and send, at `now`
 *
 * Each direction of a link draws its randomness from a generator of its own, and the same number of values for every frame
 * whatever the settings; so turning duplication on does not move the losses, and one link's traffic
 * does not change another's luck.
 */
#ifndef VJ_DRIVER_SIM_H
#define VJ_DRIVER_SIM_H

#include <vj/channel.h>

#include "base/addr.h"
#include "base/types.h"
#include "driver/tap.h"

struct sim;

/* A port, by the order of sim_port_add(). */
struct sim_port_id {
	uint32_t idx;
};

/*
 * Something that happens to frames: by chance, and to certain ones by number. Bit n of `mask` names the n-th frame
 * (from 0, up to 63) that enters this direction, so a regression fits in a literal.
 */
struct sim_chance {
	uint32_t ppm;
	uint64_t mask;
};

/* What one direction of a link does to frames. All zero is a perfect wire. */
struct sim_path {
	struct sim_chance loss;
	struct sim_chance dup;	   /* a second copy, with a delay of its own */
	struct sim_chance reorder; /* later by `reorder_ns`; those behind it overtake */
	struct sim_chance corrupt; /* one bit flipped behind the Ethernet header */
	uint64_t delay_ns;
	uint64_t jitter_ns;  /* up to so much is added to the delay; by itself it never reorders */
	uint64_t reorder_ns; /* 0: 1 ms */
	uint64_t rate_bps;   /* bits of frame a second; 0: no limit */
	uint32_t queue_cnt;  /* frames that may wait for the rate; more are dropped; 0: 1000 */
	uint32_t mtu; /* longest IP packet, so that frames may have 14 bytes more; 0: no limit */
};

/* What became of the frames of one direction, since the link was made. */
struct sim_path_stats {
	uint64_t frames, bytes; /* that entered */
	uint64_t delivered;	/* copies handed up */
	uint64_t lost, duplicated, reordered, corrupted;
	uint64_t too_long;   /* dropped: longer than the MTU */
	uint64_t queue_full; /* dropped: too many wait for the rate */
	uint64_t no_buffer; /* dropped: the receiver has no free buffer, or its channel is closed */
};

/* Return: 0; -ENOMEM. sim_free() takes NULL too and detaches all channels. */
int sim_new(uint64_t seed, struct sim **ret_sim);
void sim_free(struct sim *sim);

/*
 * Add a port.
 * @params: Of its channel
 * @mac:    Frames to other unicast addresses do not enter its links' ends; all zero or NULL: it takes everything
 * Return: 0; -EINVAL: bad parameters; -ENOSPC: 64 ports there are; -ENOMEM.
 */
int sim_port_add(struct sim *sim, const struct vj_area_params *params, const struct mac_addr *mac,
		 struct sim_port_id *ret_port);

/* The application's end of the port's channel; it lives as long as the simulator. */
struct vj_channel *sim_port_channel(struct sim *sim, struct sim_port_id port);

/* Show all frames that leave and reach a port's application to `tap`. */
void sim_port_tap(struct sim *sim, struct sim_port_id port, struct tap tap);

/*
 * Join two ports. A port may have many links: what its application sends enters every one whose far port takes
 * its destination address.
 * Return: 0; -EINVAL: the same port twice, or joined already.
 */
int sim_link_add(struct sim *sim, struct sim_port_id a, struct sim_port_id b,
		 const struct sim_path *a_to_b, const struct sim_path *b_to_a);

/* Change a direction; masks and the frame number start again. The two must be joined. */
void sim_path_set(struct sim *sim, struct sim_port_id from, struct sim_port_id to,
		  const struct sim_path *path);

void sim_path_stats(const struct sim *sim, struct sim_port_id from, struct sim_port_id to,
		    struct sim_path_stats *ret_stats);

/*
 * When sim_run() has something to do: a frame arrives, or an application has sent. The last time it ran, if
 * that is now; TIME_NEVER if nothing is on the way.
 */
uint64_t sim_next_ns(struct sim *sim);

/* Let time pass until `now_ns`, which never goes back: take what was sent, deliver what has arrived. */
void sim_run(struct sim *sim, uint64_t now_ns);

/* Frames on the way, in all links. */
uint32_t sim_in_flight(const struct sim *sim);

/* Digest of every frame so far: which, from where to where, when, and what became of it. */
uint64_t sim_trace_hash(const struct sim *sim);

#endif
