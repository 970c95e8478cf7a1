/* SPDX-License-Identifier: BSD-2-Clause */
/* if_state.h - what the files behind interfaces.h share */
#ifndef DAEMON_IF_STATE_H
#define DAEMON_IF_STATE_H

#include "daemon/gateway.h"
#include "daemon/host_watch.h"
#include "daemon/if_bpf.h"
#include "daemon/if_chan.h"
#include "daemon/if_lan.h"
#include "daemon/if_leave.h"
#include "daemon/if_maker.h"
#include "daemon/if_own6.h"
#include "daemon/if_ports.h"
#include "daemon/place.h"
#include "daemon/vjd.h"

#include <sys/queue.h>

/* An interface at which channels are offered. */
struct iface {
	TAILQ_ENTRY(iface) entry;
	const struct interfaces *s;
	uint32_t ifindex, mtu;
	uint8_t mac[6];
	char name[16];
	struct if_dispatch dispatch;
	bool hook_lost; /* dispatch was taken away, and could not be attached again: it was said */
	struct if_chan_list chans;
	bool chans_lost; /* while adopting: of channels that could not be found again, whose peers don't know of it yet */
	struct if_chan *spare; /* made ahead, for who comes next; NULL: none yet */
	struct xsk spare_xsk; /* if so */
	uint8_t spare_mac[6]; /* of the interface, as it knows it */
	bool judged; /* all that was judged by these rules could be: iface_unjudged() has not been called since */
	struct if_lan *lan; /* NULL: applications have no MAC addresses of their own here */
	struct if_own6 *own6; /* NULL: nor IPv6 addresses */
	struct if_leave leave; /* it is about to be detached */
};

/* A neighbour that an application has asked for, and has not been told of yet. */
struct resolve {
	TAILQ_ENTRY(resolve) entry;
	struct app *app;
	uint32_t ifindex;
	struct ip_addr addr;
	uint64_t until_ns;
};

enum { GATEWAY_MAX = HOST_INTERFACE_MAX };

struct interfaces {
	struct vjd *d;
	int epoll_fd;
	struct host_watch *host; /* NULL: nothing was ever attached; from then on @place has a socket here */
	bool ready;		 /* @place is open as a whole: channels have been offered */
	struct if_place place;
	struct place claim; /* see if_claim.h */
	bool claiming;	    /* something has it that is not there yet */
	bool beside;	    /* another vjd had it when it was last wanted */
	struct gateway *gateways[GATEWAY_MAX];
	uint32_t gateway_cnt;
	TAILQ_HEAD(iface_list, iface) ifaces;
	TAILQ_HEAD(resolve_list, resolve) resolves; /* by @until_ns */
	uint32_t resolve_cnt;
	struct if_maker *maker;
	struct if_work_list under_way;
	bool adopting; /* what an earlier vjd has left is being looked for: nothing new is made meanwhile */
	unsigned swept; /* channels that nothing told of: their peers don't know of it yet */
	bool inexact; /* see struct if_ports; the last that was said of it */
	uint32_t last_nr;
	uint64_t adopt_until_ns; /* 0: nothing to be found again */
	uint8_t lan_tag; /* its address: what epoll says of an interface's @lan */
	bool judging; /* other rules: ports up to those of @judged_app_id are judged by them, see ifaces_judge() */
	uint32_t judged_app_id;
	uint64_t judge_at_ns; /* what was not judged may have gone: then look again; 0: it has not */
	uint64_t hops_at_ns; /* neighbours are others: what gate lets applications send to is compared; 0: it is right */
	bool reserve_again; /* blocks have been given back: the kernel may have them */
};

/** interfaces_follow_host() - Have @s->host, and a socket of netlink here. Return: 0; negative errno */
int interfaces_follow_host(struct interfaces *s);

/** interfaces_find_host() - The host's interface @name as it is now. Return: 0; -ENODEV; -EMEDIUMTYPE: no Ethernet, as lo and tun */
int interfaces_find_host(struct interfaces *s, const char *name, const struct host_interface **ret);

/** gateways_run() - Progress of all; when it is wanted next */
void gateways_run(struct interfaces *s);
uint64_t gateways_deadline_ns(const struct interfaces *s);

/** gateways_follow() - The host's interfaces, addresses or filters may be others */
void gateways_follow(struct interfaces *s);

/** gateways_free() - Leave nothing of any */
void gateways_free(struct interfaces *s);

/** gateway_by_index() - NULL: none there */
struct gateway *gateway_by_index(const struct interfaces *s, uint32_t ifindex);

/** iface_by_index() - NULL: not attached */
struct iface *iface_by_index(const struct interfaces *s, uint32_t ifindex);

/** iface_end() - Take it down, with the channels there, and forget it */
void iface_end(struct interfaces *s, struct iface *i);

/** iface_tell() - INTERFACE_NEWS of it to all applications; @flags: enum of ctl_interface, beside those that it has */
void iface_tell(struct interfaces *s, const struct iface *i, uint32_t flags);

/** iface_ports() - For if_ports.h */
struct if_ports iface_ports(const struct interfaces *s, const struct iface *i);

/** iface_sync() - Judge anew what applications hold, by policy, firewall and the host's addresses, and put it in the maps of @i */
void iface_sync(struct interfaces *s, struct iface *i);

/** ifaces_judge() - Go on with what other rules leave to channels, as much as one turn of the loop may take */
void ifaces_judge(struct interfaces *s);

/** ifaces_judge_anew() - Begin with that: rules are others, or what had rules that only the kernel has may be gone */
void ifaces_judge_anew(struct interfaces *s);

/** iface_describe() - As messages show it */
void iface_describe(const struct iface *i, struct ctl_interface *ret);

/** chan_describe() - As messages show it; without its key */
void chan_describe(const struct iface *i, const struct if_chan *c, struct ctl_interface *ret);

/** iface_refusal() - Of an errno (negative) of if_bpf.h, if_chan.h or rtnl.h */
enum ctl_refusal iface_refusal(int err);

/** chan_end() - Take a channel down and out of the books */
void chan_end(struct interfaces *s, struct iface *i, struct if_chan *c);

/** chan_follow() - The interface has another MTU or address */
void chan_follow(struct interfaces *s, const struct iface *i, struct if_chan *c);

/** iface_spare() - Have a channel made ahead, unless there is one that fits the interface as it is now */
void iface_spare(struct interfaces *s, struct iface *i);

/** iface_part() - It goes: nothing is made for it any more, and its spare channel goes along. May block as if_maker_part() */
void iface_part(struct interfaces *s, struct iface *i);

/** works_finish() - Take what the maker has made */
void works_finish(struct interfaces *s);

/** chan_of() - @app's at @i, or NULL */
struct if_chan *chan_of(const struct iface *i, const struct app *app);

/** iface_unjudged() - A port in use at @i is left to the kernel's firewall: say so to applications */
void iface_unjudged(struct interfaces *s, struct iface *i);

/** iface_frames() - Tell dispatch which frames are too long for a channel of @i: one has come, gone, or has another MTU */
void iface_frames(const struct iface *i);

/** iface_judge_later() - Something at @i that may not have been judged is gone */
void iface_judge_later(struct interfaces *s, const struct iface *i);

/** if_has_channel() - At any interface */
bool if_has_channel(const struct app *app);

/** blocks_reserve() - Have the kernel leave alone what applications with channels hold. Return: 0; negative errno */
int blocks_reserve(struct interfaces *s);

/** chan_watch() - Hear of its spill from now on */
void chan_watch(const struct interfaces *s, struct if_chan *c);

/** adopt_begin() - Find again what an earlier vjd has left */
void adopt_begin(struct interfaces *s);

/** adopt_end() - Who hasn't stated anything by now doesn't live any more: take it down */
void adopt_end(struct interfaces *s);

/** resolve_done() - Tell those who asked */
void resolve_done(struct interfaces *s, uint32_t ifindex, const struct ip_addr *addr, bool failed);

/** resolve_expire() - Who has waited too long hears that it failed. Return: when the next one is due; TIME_NEVER */
uint64_t resolve_expire(struct interfaces *s);

/** resolve_app_gone() - Nobody is to be told any more */
void resolve_app_gone(struct interfaces *s, const struct app *app);

#endif
