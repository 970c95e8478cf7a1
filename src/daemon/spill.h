/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spill.h - frames that an application had no room for: held, and given back in order
 *
 * deliver passes such a frame on to the kernel, where a packet socket of ours takes it. As soon as the application has made
 * frames free, it is sent into the channel's device once more, behind a header that says so; the rules, and what says "no more" in the
 * same queue, stand at struct policy_deliver_state. vjd gives back no more than there is room for, so none is refused but by an
 * application that lies about its room, and that one disturbs its own order only.
 *
 * The quota is kept by deliver; how much memory a frame held here takes is bounded by it.
 */
#ifndef DAEMON_SPILL_H
#define DAEMON_SPILL_H

#include "daemon/if_bpf.h"

struct spill;

/**
 * spill_new() - Listen at the application's end of a channel
 * @maps: of the channel; must outlive it
 * Return: 0; -ENOMEM; -EPERM; -ENODEV
 */
int spill_new(int netns_fd, uint32_t app_ifindex, uint32_t host_ifindex, const struct if_chan_maps *maps,
	      struct spill **ret_spill);

/** spill_free() - What is held is lost */
void spill_free(struct spill *s);

/** spill_fd() - Readable when frames have been spilled */
int spill_fd(const struct spill *s);

/** spill_run() - Take what is there, give back what there is room for */
void spill_run(struct spill *s, uint64_t now_ns);

/** spill_deadline_ns() - When spill_run() is wanted next, whatever the descriptor says; TIME_NEVER */
uint64_t spill_deadline_ns(const struct spill *s);

struct spill_stats {
	uint64_t held;	    /* frames now */
	uint64_t held_bytes; /* their length */
	uint64_t lost;	    /* spilled, but the socket had no room, or there was no memory */
};

void spill_stats(const struct spill *s, struct spill_stats *ret_stats);

#endif
