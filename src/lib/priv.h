// SPDX-License-Identifier: BSD-2-Clause
/*
 * priv.h - what the files of libvj share
 *
 * Theory of operation
 *
 * A `struct vj` is one application: a connection to vjd (ctl_client.h), a stack, and a link for every channel. A link
 * glues a channel to the stack (link.c): what the channel receives goes into stack_rx(), what the stack wants to send is
 * composed in frames of vj_get_buffer(). Bare channels (raw.c) are links that the stack doesn't know.
 *
 * Progress is made by loop.c only: vj_process() takes frames from every link, hears vjd now and then, runs what is due
 * and publishes. Calls that send publish at once, so that a program which goes away to compute has nothing
 * withheld.
 *
 * Sleeping: every channel has a doorbell (an eventfd that the peer writes). They and the control socket are in one epoll
 * descriptor, the bell, edge-triggered, never read. vj_arm() asks all peers to ring and looks once more.
 *
 * vjd is needed to make channels, not to use them: when it goes, `ctl` becomes NULL, traffic goes on, and it is
 * looked for again now and then (control.c).
 *
 * Links die in one place, link_reap(): a peer gone, a violation, a bare channel closed. Whoever notices only marks
 * (link_kill()), because links are being iterated at that time.
 */
#ifndef LIB_PRIV_H
#define LIB_PRIV_H

#include "base/addr.h"
#include "base/types.h"
#include "control/msg.h"
#include "lib/arena.h"
#include "lib/copy_way.h"
#include "lib/ctl_client.h"
#include "lib/pause.h"
#include "stack/stack.h"

#include <vj/vj.h>

#include <limits.h>

struct capture;

enum { LINK_BATCH = 16, PEER_UNASKED = INT_MIN };

/* One channel. Made by link_open(), freed by link_reap(). */
/* PEER_STANDS: stopped, and has not run since the look before */
enum peer_stop { PEER_RUNS, PEER_STOPPED, PEER_STANDS };
struct vj_link {
	struct vj *vj;
	struct vj_channel *ch;
	uint8_t mac[6];		 /* ours on this link */
	struct link_id stack_id; /* valid unless raw */
	struct ctl_channel said; /* what vjd said of it: to be stated to a later one */
	uint32_t channel_id;	 /* vjd's number for it; 0: vjd is away, or a later one doesn't know it; or @ifl */
	bool unstated;		 /* vjd was away since, and a later one has not been told of it */
	const struct link_kind *kind; /* link.h */
	struct iflink *ifl;	 /* the other end is an interface, see iflink.h; NULL: a peer */
	int fds[CTL_CHANNEL_FDS]; /* area, wake peer, wake me */
	void *area;
	int peer_fd; /* a pidfd of the peer, < 0: has none; PEER_UNASKED */
	size_t area_bytes;
	uint32_t rx_given;	 /* frames of our pool that go round, see vj_channel_rx_more() */
	uint64_t rx_looked;	 /* bytes that had come at the last look, link_settle_next() */
	bool raw;
	bool raw_new;		 /* raw: the program has not been told of it yet */
	bool raw_error_told;
	bool begins;		 /* connections of ours have begun there, or have come there from where they had: see is_used() */
	bool raw_starved;	 /* raw: slept without a frame to send in */
	bool has_news;		 /* an interface: there is a kind->before_rx() */
	unsigned unseen;	 /* frames queued, not published; not 0: on vj->dirty */
	unsigned unawaited;	 /* of them, such as nobody waits for */
	struct vj_link *dirty_next;
	unsigned freed_cnt, freed_max, freed_most; /* so many frames wait to be given back; how many do now, and in the end */
	unsigned spare_cnt, spare_next;
	struct copy_way copy_way; /* into frames to send in */
	struct vj_buf freed[LINK_BATCH]; /* received frames to give back, together */
	struct vj_buf spare[LINK_BATCH]; /* frames to send in, taken together */
	enum peer_stop stop; /* its process: stopped.h */
	bool waited_for; /* by calls, inside stopped_poll() */
	uint64_t stop_ns, stop_runs; /* when that was seen, and what proc_is_stopped() said */
	uint32_t yield_said, yield_heard; /* move_yield(): the last one that was said, and answered; 0: none */
	bool starved;		 /* the stack found no frame to send in */
	bool leaving;		 /* an interface that is about to be detached: leaving.h */
	bool dead;		 /* to be reaped */
	bool tell_vjd;		 /* closed by us: vjd tells the peer */
	uint32_t unsaid;	 /* what move.c has to say here, and found no frame for */
	uint32_t full_round;	 /* in which it found none last */
	uint64_t raw_cookie;
};

/* A lease of a port with the kernel socket that proves it. Found by the stack's id (listener or UDP socket). */
struct lease {
	uint32_t id; /* vjd's; 0: not held at the moment (it rests, or vjd is away or behind) */
	uint32_t obj_id; /* listener_id.v or udp_id.v; 0: free slot. RAW: 1 */
	uint8_t proto;
	uint32_t flags; /* CTL_LEASE_* */
	int kernel_fd; /* ours, or the caller's (own_fd false) */
	bool own_fd;
	bool rests; /* not to be held from now on, or for now: see lease.h */
	struct endpoint local;
	uint64_t cookie; /* RAW: of the offer */
};

/*
 * Which link leads to an endpoint. Direct-mapped; forgotten whenever vjd reports a change. An endpoint that several
 * applications own (SO_REUSEPORT) has a route that says how many, and one to each. That nobody owns an endpoint (whom we
 * may talk to) is remembered too, for a moment, when it was asked for several times.
 */
enum { ROUTE_CNT = 64, ROUTE_ALL = UINT32_MAX, ROUTE_MISS = UINT32_MAX - 1 };
struct route {
	struct endpoint remote;
	uint8_t proto; /* 0: empty */
	int8_t err; /* ROUTE_MISS: what vjd answered */
	uint32_t owner; /* which of them; ROUTE_ALL: all; ROUTE_MISS: none */
	uint32_t owners; /* ROUTE_ALL: how many; ROUTE_MISS: how often in a row */
	bool copied; /* ROUTE_ALL: processes have copies of one listening socket: who waits for one that is stopped may go to another */
	uint32_t begun; /* ROUTE_ALL: connections so far, see route_spares() */
	uint64_t asked_ns; /* ROUTE_MISS: the last time */
	struct vj_link *link; /* NULL: @owners have one each */
	uint64_t table_seq; /* of an interface's link: when it was found; else 0 */
};

/* From which address the kernel sends to one of this host's, until when this is believed. Kept where the last bits of @remote say. */
enum { SOURCE_CNT = 8 };
struct source {
	struct ip_addr remote, addr;
	uint64_t until_ns; /* 0: empty */
};

/* Interfaces that vjd offers, and at which we have no channel (yet). */
enum { OFFERED_MAX = 16 };
struct offered {
	uint32_t ifindex[OFFERED_MAX]; /* 0: free slot */
	bool wanted; /* this application has to do with the network: take whatever is offered */
	bool again; /* vjd was too slow: to be asked once more when it has caught up */
};

/* Blocks of ephemeral ports leased from vjd. */
enum { PORT_BLOCK_CNT = 1024 }; /* more than vjd has units */
struct port_block {
	uint16_t first, cnt;
	uint8_t proto;
	bool unstated; /* as a link's */
};
struct ports {
	struct port_block blocks[PORT_BLOCK_CNT];
	unsigned block_cnt;
	unsigned cursor_block;
	uint16_t cursor; /* in the block */
	uint64_t kernels[65536 / 64]; /* of TCP, a bit each: a connection there has become the kernel's, see ports_are_kernels() */
};

struct vj {
	struct stack *stack;
	struct ctl_client *ctl; /* NULL: vjd is away */
	uint64_t ctl_run;	/* which vjd it was last */
	uint32_t ctl_app;	/* ... and our number there */
	int bell_fd;
	struct vj_link **links;
	unsigned link_cnt, link_room;
	unsigned settle_turn; /* of link_settle_next() */
	struct vj_link *dirty; /* links with something to publish */
	bool stack_touched;    /* since deadline_us was asked for */
	uint64_t deadline_us;  /* of the stack */
	bool links_dead;  /* some link waits for link_reap() */
	unsigned raw_cnt;
	bool armed;
	bool link_new; /* since vj_arm(): nobody asks its peer to ring */
	bool silent;   /* a sleep is over in which vjd and other processes would have rung, and did not: one look for what they say can be spared */
	bool crowded;  /* when frames were last taken: stack_is_crowded() */

	uint64_t now_ns;      /* see clock_refresh() */
	uint64_t clock_ticks; /* counter when now_ns was read */
	uint64_t ctl_next_ns; /* when to hear vjd again without being rung */
	struct pause ctl_pause; /* without vjd, or until what it has not answered is stated once more */
	uint64_t move_ns;     /* when move_poll() has to be called; UINT64_MAX: nothing moves */
	uint64_t stopped_ns;  /* likewise of stopped_poll(), which is part of it */
	bool leaving;	      /* some link is; and when it is to be seen to again */
	uint64_t leaving_ns;

	/* spinning before sleep: learn whether it pays */
	uint64_t spin_ns; /* longest; 0: never */
	bool alone; /* one processor is ours: wait.h */
	unsigned spin_misses; /* in a row */
	unsigned spin_skip; /* sleeps to go before the next try */
	uint64_t spins_won, spins_lost, sleeps;

	struct lease *leases;
	unsigned lease_room;
	struct route routes[ROUTE_CNT];
	struct source sources[SOURCE_CNT];
	struct offered offered;
	unsigned ifl_cnt; /* links to interfaces */
	uint32_t flow; /* of the next connection */
	struct ports ports;
	struct stack_config stack_cfg;
	uint8_t mtu_probing; /* enum vj_mtu_probing, as the program wants it */
	struct arena arena; /* of the stack */
	uint64_t channels_violated;
	uint64_t wakes_closed, rx_bytes_closed, tx_bytes_closed; /* of links already gone */
	struct moves *moves; /* NULL: none yet */
	struct deeds *deeds; /* NULL: none yet */
	struct capture *capture; /* NULL: not recording */
	uint64_t capture_flushed_ns;
	char name[CTL_NAME_MAX];
	char socket_path[108]; /* "" : the default search */
	void (*log)(void *arg, int level, const char *line);
	void *log_arg;
};

/* ---- vj.c */
void lib_log(const struct vj *vj, int level, const char *fmt, ...) VJ_PRINTF(3, 4);
uint64_t lib_clock_ns(void);
/* New connections go by what the administrator has set for TCP, and by what the program wants instead. */
void lib_host_settings(struct vj *vj);

/* ---- addr.c */
/* Return: 0; -EINVAL: too short; -EAFNOSUPPORT. */
int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct endpoint *ret_ep);
/*
 * The same of a destination: "any" means this host, as to the kernel. If what is sent from (@from; NULL: not known) is an address of IPv4, IPv4's "any"
 * is that one, and IPv6's is 127.0.0.1.
 */
int addr_of_peer(const struct sockaddr *sa, socklen_t len, const struct ip_addr *from, struct endpoint *ret_ep);
void addr_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ret_sa);
/* The source that the kernel would choose for a destination that @link leads to. */
struct ip_addr addr_source_for(struct vj *vj, const struct vj_link *link, const struct ip_addr *remote);

/* ---- link.c */
/* Takes the descriptors in any case. Return: 0; -ENOMEM, -EMFILE, -EINVAL (area isn't what the message says). */
int link_open(struct vj *vj, const struct ctl_channel *msg, const int fds[CTL_FDS_MAX], struct vj_link **ret_link);
/* The same at an interface. Takes the descriptors in any case. Return: 0; errors of iflink_open() */
int link_open_interface(struct vj *vj, const struct ctl_interface *said, const int fds[CTL_FDS_MAX]);
/* vjd says that the interface's MTU or MAC address is another. */
void link_interface_changed(struct vj_link *link, const struct ctl_interface *now);
/* vjd has found a neighbour, or given it up. */
void link_resolved(struct vj_link *link, const struct ctl_neighbour *said);
struct vj_link *link_by_ifindex(const struct vj *vj, uint32_t ifindex);
bool link_rx(struct vj_link *link);
/* All that had been put when this began, and all that is seen in one order with what we have written before. It is no more than the ring holds. */
void link_rx_all(struct vj_link *link);
/* What was put is to be seen, in one order with what is read next. Whoever isn't waited for is not woken. */
void link_show(struct vj_link *link);
/* vjd says so, too, but later. A process whose number means nothing here has ended as far as we can tell. Makes a system call */
bool link_peer_has_ended(struct vj_link *link);
/* All our calls there that have no answer yet: stack/tcp_withdraw.c */
void link_withdraw(struct vj_link *link);
void link_publish_dirty(struct vj *vj);
/* From time to time: if the link whose turn it is has been used for more than a short connection, make all its memory present */
void link_settle_next(struct vj *vj);
/* Before sleep: received frames that wait to be given back together */
void link_give_back(struct vj_link *link);

/* After every call into the stack that may have sent or armed a timer: let peers see what it did. */
static inline void link_publish_all(struct vj *vj)
{
	vj->stack_touched = true;
	if (vj->dirty)
		link_publish_dirty(vj);
}
/* One frame as it is, of the link's own protocol. Return: false: no frame to send it in. */
bool link_send(struct vj_link *link, const void *bytes, uint32_t len);
void link_kill(struct vj_link *link, enum vj_channel_error why, bool tell_vjd);
void link_peer_gone(struct vj_link *link);
/*
 * vjd is back: state our ends, those that it has not heard of yet; what has no other end any more dies. @same_run: it has told our peers that we are gone
 * Return: false: some are left, vjd is behind
 */
bool link_restate_all(struct vj *vj, bool same_run);
/* vjd has taken a channel that was stated long ago. */
void link_held(const struct vj *vj, const struct ctl_channel *now);
void link_reap(struct vj *vj);
struct vj_link *link_by_channel_id(const struct vj *vj, uint32_t channel_id);
struct vj_link *link_by_channel(const struct vj *vj, const struct vj_channel *ch);
/* fork: unmap and close, touch no ring */
void link_forget(struct vj_link *link);

/* ---- control.c */
/* Find vjd. Return: 0; errors of ctl_client_open_within() */
int control_dial(struct vj *vj, int timeout_ms, const struct ctl_meanwhile *meanwhile);
/* ... from which what it says is heard from here on. Return: 0; -errno: it is still there, and not heard */
int control_begin(struct vj *vj);
/* Something could not be stated: again in a while. */
void control_again(struct vj *vj);
/* Hear what vjd says, unless @spared: its socket has nothing new; look for vjd again when it is away. Return: true if anything came. */
bool control_poll(struct vj *vj, bool spared);
/* To be called with the result of every ctl_client_*() request; passes it on. -ENOTCONN: vjd is gone, vj->ctl is NULL now. */
int control_done(struct vj *vj, int err);

/*
 * This application has to do with the network: have channels at the interfaces that are offered, now and later. May ask vjd.
 * Return: 0: there is one at each where it may have one; -ETIMEDOUT: some come later, vjd is slow; -ENOTCONN
 */
int control_want_interfaces(struct vj *vj);

/* ---- route.c */
/* Return: 0; errors of vj_connect(). May ask vjd. */
/* @flow: of several owners of an endpoint, the same number leads to the same one. */
int route_find(struct vj *vj, uint8_t proto, const struct endpoint *remote, uint32_t flow, struct vj_link **ret_link);
/* For a call of @than's, whose process stands still: another, whose process isn't stopped. Return: false: there is none, or vjd is away */
bool route_other(struct vj *vj, const struct endpoint *remote, uint32_t flow, const struct vj_link *than, struct vj_link **ret_link);
/* Is it known that nobody else would take its calls? Asks nobody */
bool route_is_one(struct vj *vj, const struct endpoint *remote);
/* A link to an application of the same user. Return: 0; -ESRCH: it isn't there; -ENOTCONN: vjd isn't; limits. */
int route_join(struct vj *vj, uint32_t app_id, int32_t pid, struct vj_link **ret_link);
/* An endpoint turned out not to be there: ask again the next time. */
void route_forget(struct vj *vj, uint8_t proto, const struct endpoint *remote);
void route_forget_link(struct vj *vj, const struct vj_link *link);
void route_forget_all(struct vj *vj);
/* Next port to try. @tries counts up from 0. Return: 0; -EADDRNOTAVAIL: all tried, vjd has no more; -ENOTCONN. */
int ports_next(struct vj *vj, uint8_t proto, unsigned tries, uint16_t *ret_port);
/* A connection of ours at @port has become the kernel's. */
void ports_to_kernel(struct vj *vj, uint16_t port);
/* Has the kernel still one there? Another one of ours to the same peer would have it reset. */
bool ports_are_kernels(struct vj *vj, uint16_t port);
/* vjd is back: lease our blocks again; those that somebody else got meanwhile are given up. Return: as link_restate_all() */
bool ports_restate(struct vj *vj);
void ports_lost(struct vj *vj);

/* ---- lease.c */
/* Bind (unless @kernel_fd is given) and lease. Return: 0 and a lease whose obj_id the caller sets; errors of vj_listen(). */
int lease_take(struct vj *vj, uint8_t proto, const struct endpoint *local, unsigned flags, int kernel_fd,
	       struct lease **ret_lease);
struct lease *lease_by_obj(const struct vj *vj, uint8_t proto, uint32_t obj_id);
void lease_drop(struct vj *vj, struct lease *lease);
/* vjd is gone, and what it gave */
void lease_lost(struct vj *vj);
/* State again what we are to hold, and do not. Return: false: some are left */
bool lease_restate(struct vj *vj);
/* close descriptors only */
void lease_forget_all(struct vj *vj);

/* ---- raw.c */
void raw_accepted(struct vj *vj, struct vj_link *link, uint16_t port);
unsigned raw_events(struct vj *vj, struct vj_event *ev, unsigned n);
bool raw_pending(const struct vj *vj);

#endif
