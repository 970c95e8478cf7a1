/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_chan.h - one application's channel at one interface: a pair of devices, a socket, two programs
 *
 *	interface ══ dispatch ═> vjh<nr> ──────> vja<nr> ══ deliver ═> the application's socket
 *	     <══ out ══ gate ═══ vjh<nr> <────── vja<nr> <──────────── the application's socket
 *	        host's namespace  │  vjchan's own namespace
 *
 * All of it hangs on the pair: whoever removes that removes the rest. It outlives vjd; what the next one has to know stands in a
 * record file, readable by root only, since the key in it is all that proves whose a channel is.
 */
#ifndef DAEMON_IF_CHAN_H
#define DAEMON_IF_CHAN_H

#include "control/msg.h"
#include "daemon/if_bpf.h"
#include "daemon/rtnl.h"
#include "daemon/xsk.h"

#include <sys/queue.h>

struct app;
struct spill;

/* What all channels need. */
struct if_place {
	struct rtnl here, there; /* the host's namespace; vjchan's own */
	int netns_fd;		 /* vjchan's own */
	int packet_fd;		 /* of the host's namespace, only to send; of who makes channels, else -1 */
	char dir[108];		 /* of record files */
};

/* The record file. */
struct if_chan_record {
	uint32_t magic; /* IF_CHAN_MAGIC: also the version */
	uint32_t nr, ifindex;
	uint32_t uid;
	int32_t pid; /* 0: made ahead, and nobody's yet */
	uint32_t mtu;
	struct xsk_params xsk; /* @ifindex: of the application's end */
	uint8_t key[16];
	uint32_t zero_copy; /* 1: the kernel has bound the socket so */
	uint32_t napi_id; /* of the application's end; 0: the application can't poll it */
	struct ip_addr own; /* the application's IPv6 address there (if_own6.h); any: none */
};

enum { IF_CHAN_MAGIC = 0x766a6334 }; /* "vjc4" */

struct if_chan {
	TAILQ_ENTRY(if_chan) entry;
	struct if_chan_record rec;
	uint32_t host_ifindex;
	struct if_chan_maps maps;
	struct spill *spill;
	int poll_fd; /* if_poll.h; -1: handed out, or there is none */
	bool polled; /* by the application */
	bool empty; /* its application has said so: no peer is to be reset */
	struct app *app; /* NULL: made by an earlier vjd, and not stated yet */
};

TAILQ_HEAD(if_chan_list, if_chan);

/**
 * if_chan_make() - Make one
 * @rec:     nr, ifindex, uid, pid, mtu, key and the sizes in @xsk are given
 * @mac:     of the interface
 * @ret_xsk: the socket and its memory, to be handed out and closed
 * Return: 0; negative errno, and nothing is left of it
 */
int if_chan_make(struct if_place *place, const struct if_dispatch *d, const struct if_chan_record *rec,
		 const uint8_t mac[static 6], struct xsk *ret_xsk, struct if_chan **ret_chan);

/** if_chan_find() - One that an earlier vjd made, by its record. Return: 0; -ENOENT: not all of it was there any more, and nothing is left */
int if_chan_find(struct if_place *place, const struct if_dispatch *d, const struct if_chan_record *rec, const uint8_t mac[static 6],
		 struct if_chan **ret_chan);

/** if_chan_scrap() - One that an earlier vjd made: take down whatever there is of it */
void if_chan_scrap(struct if_place *place, uint32_t nr);

/**
 * if_chan_sweep() - Take down pairs of devices that no record tells of: another version's, or of a vjd that died while it made them, or whose
 * directory was removed. Return: how many
 */
unsigned if_chan_sweep(struct if_place *place);

/** if_chan_frame_max() - The longest frame that its devices carry and its memory takes, bytes */
uint32_t if_chan_frame_max(const struct if_chan *c);

/** if_chan_give() - One that was made ahead is this process's now. Return: 0; negative errno: it could not be written down */
int if_chan_give(const struct if_place *place, struct if_chan *c, uint32_t uid, int32_t pid);

/** if_chan_own() - Its application has this address now; any: none. Return: as if_chan_give() */
int if_chan_own(const struct if_place *place, struct if_chan *c, const struct ip_addr *addr);

/** if_chan_follow() - The interface has another MTU or address. Return: 0; negative errno: the devices can't have it, longer packets are lost */
int if_chan_follow(struct if_place *place, const struct if_dispatch *d, struct if_chan *c, uint32_t mtu,
		   const uint8_t mac[static 6]);

/** if_chan_poll() - The application polls, or no more */
void if_chan_poll(const struct if_place *place, struct if_chan *c, bool on);

/** if_chan_remove() - Take it down: devices, programs, record */
void if_chan_remove(struct if_place *place, struct if_chan *c);

/** if_chan_close() - Let it serve on */
void if_chan_close(struct if_chan *c);

/** if_chan_memory_bytes() - What it is charged for */
uint64_t if_chan_memory_bytes(const struct if_chan_record *rec);

/** if_chan_records() - Call @fn for each record file in @dir; remove those that this version can't read */
void if_chan_records(const char *dir, void (*fn)(void *arg, const struct if_chan_record *rec), void *arg);

/** if_chan_record_drop() - Of a channel that is no more */
void if_chan_record_drop(const char *dir, uint32_t nr);

#endif
