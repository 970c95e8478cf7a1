// SPDX-License-Identifier: BSD-2-Clause
/*
 * A LAN of hosts that claim, answer and ask, in virtual time; a seed reproduces a run.
 *
 * Every host is claims, owner and resolver (src/lan) and what vjd does around them: books of ports, a neighbour table, MACs
 * exchanged when a port leaves an application. What is sent is built to bytes, and parsed again by every host that hears it.
 * The LAN loses, repeats, delays and divides; and it watches:
 *
 *  - R1: no frame is ordinary ARP; R2: each comes from the canonical MAC of its host;
 *  - no host sends more than NET_FRAMES_MAX in any second;
 *  - two that have claimed one address are parted in the time that the protocol promises;
 *  - who has resolved a port sends to the application that has it, or to an address in quarantine, or (for the rest of a
 *    lifetime) to one that was lost in a conflict.
 */
#ifndef VJ_TESTS_SIM_LAN_NET_H
#define VJ_TESTS_SIM_LAN_NET_H

#include "base/prng.h"
#include "lan/owner.h"
#include "lan/resolver.h"

enum {
	NET_FRAMES_MAX = 15, /* what Dynamic ARP Inspection allows */
	NET_ENTRIES = 512,
	NET_PORTS = 64, /* of a host, from NET_PORT_FIRST on */
	NET_PORT_FIRST = 1024,
};

struct net_params {
	uint32_t hosts, apps; /* apps: of each host */
	uint32_t slots, pool; /* of each host's claims */
	unsigned int mac_bits;
	bool rfc;	      /* timing */
	bool filtered;	      /* no frame gets to an application's address */
	uint32_t loss, dup;   /* per thousand */
	uint32_t scale;	      /* of limits; 0: none */
	uint64_t quarantine_us, check_us;
	uint32_t lifetime_ms;
};

struct net;

struct net_app {
	uint32_t id; /* 0: not running; never used twice */
	uint64_t ports; /* bit: NET_PORT_FIRST + bit */
};

struct net_lost {
	struct mac_addr mac;
	uint64_t until_us;
};

struct net_host {
	struct net *net;
	uint32_t nr;
	struct lan_host lan;
	struct claims claims;
	struct owner owner;
	struct resolver resolver;
	void *book; /* the resolver's memory */
	struct ip_addr addr;
	uint32_t side;	/* of a division of the LAN */
	struct net_app *apps;
	uint64_t sent_us[NET_FRAMES_MAX]; /* ring: when the last ones were sent */
	uint64_t sent;
	struct net_lost lost[64]; /* ring */
	uint32_t lost_cnt;
};

struct net_frame {
	uint8_t *bytes;
	size_t len;
	uint32_t refs;
};

struct net_event {
	uint64_t at_us, order;
	uint32_t host;
	struct net_frame *frame;
};

struct net_stats {
	uint64_t frames, heard, collisions, collision_max_us;
};

struct net {
	struct net_params params;
	struct prng prng;
	uint64_t now_us, order;
	uint64_t united_us; /* the LAN has been one since */
	bool divided, trace;
	struct net_host *hosts;
	struct net_event *events;
	size_t event_cnt, event_room;
	uint32_t last_app;
	uint64_t check_us;
	void *pairs; /* lan_net.c */
	struct net_stats stats;
};

/** net_new() - Hosts are up, their applications run and have no ports yet */
struct net *net_new(const struct net_params *params, uint64_t seed, bool trace);
void net_free(struct net *n);

/** net_run() - For so long */
void net_run(struct net *n, uint64_t us);

/** net_inject() - A frame from somebody who is no host */
void net_inject(struct net *n, const struct parp_msg *msg);

/* What happens on a host. */
void net_app_start(struct net_host *h, unsigned int app);
void net_app_end(struct net_host *h, unsigned int app);
void net_port_lease(struct net_host *h, unsigned int app, unsigned int port);
void net_port_leave(struct net_host *h, unsigned int app, unsigned int port);
/** net_restart() - vjd ends and begins anew: claims of living applications are adopted, all else is forgotten */
void net_restart(struct net_host *h);
/** net_send() - @h sends to a port of @to. Return: the application MAC that it takes; NULL: the canonical one */
const struct mac_addr *net_send(struct net_host *h, const struct net_host *to, unsigned int port);

/** net_divide() - Hosts hear only those of their side (random); net_unite() ends it */
void net_divide(struct net *n);
void net_unite(struct net *n);

/** net_collisions_now() - Addresses that several hosts have claimed */
uint32_t net_collisions_now(struct net *n);

/** net_unclaimed() - Applications without an address */
uint32_t net_unclaimed(const struct net *n);

#endif
