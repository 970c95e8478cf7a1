/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_ports.h - what the books say of addresses and ports, put into the maps of an interface
 *
 * A map is always made to say what the books say now, never changed by a difference: whatever was there before, from an
 * earlier vjd as well, is right afterwards.
 */
#ifndef DAEMON_IF_PORTS_H
#define DAEMON_IF_PORTS_H

#include "control/host_table.h"
#include "daemon/if_bpf.h"
#include "daemon/if_chan.h"
#include "daemon/lease.h"

enum { IF_PORTS_KEYS_MAX = 2 }; /* of one lease: [::] takes IPv4 too */

/* An interface, as these functions see it. */
struct if_ports {
	const struct if_dispatch *dispatch;
	const struct if_chan_list *chans;
	struct if_lan *lan; /* hears of every change */
	const struct policy_conf *policy;
	struct firewall *firewall;
	const char *name; /* of the interface */
	const struct host_image *image; /* with its addresses */
	uint32_t ifindex;
	uint64_t netns; /* cookie of the interface's namespace: leases of others don't count */
	bool exact;	/* the host table says all of how the kernel routes; else no lease counts, the kernel serves */
};

/** if_ports_addrs_differ() - Has the interface other addresses than its map says? */
bool if_ports_addrs_differ(const struct if_ports *p);

/**
 * if_ports_sync_addrs() - The interface's addresses
 * A new one gets the owners of "any": what the firewall can't judge there has to be out before (if_ports_sync_lease(),
 * if_ports_set_block(), which ask about the addresses of @p->image).
 */
void if_ports_sync_addrs(const struct if_ports *p);

/**
 * if_ports_sync_lease() - A lease of @key has come or gone, or its owner's channel has
 * Return: false: it would be a channel's, but there are rules for it that only the kernel has
 */
bool if_ports_sync_lease(const struct if_ports *p, const struct lease_table *leases, const struct lease_key *key);

/** if_ports_keys() - Where in the map `ports` a lease stands, at interfaces of namespace @netns. Return: how many keys */
unsigned int if_ports_keys(const struct lease_key *lease, uint64_t netns, struct policy_port ret[static IF_PORTS_KEYS_MAX]);

/** if_ports_against() - What keeps a lease off channels here? Return: as firewall_against() */
uint32_t if_ports_against(const struct if_ports *p, const struct lease_key *key);

/** if_ports_set_block() - Ports @first to @first + PORT_UNIT - 1 are those of channel @nr; 0: nobody's. Return: as of a lease */
bool if_ports_set_block(const struct if_ports *p, uint8_t proto, uint16_t first, uint32_t nr);

/** if_ports_judges_block() - Can the firewall's program judge all that comes to, and leaves, these ports at any address? */
bool if_ports_judges_block(const struct if_ports *p, uint8_t proto, uint16_t first, uint16_t cnt);

/** if_ports_sweep() - Take out what no channel of this interface, or nobody any more, has leased */
void if_ports_sweep(const struct if_ports *p, const struct lease_table *leases);

#endif
