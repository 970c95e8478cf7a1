/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port_block.h - ephemeral ports, leased in blocks
 *
 * TCP's and UDP's are separate. A unit is the smallest block; a unit with a leased port in it isn't
 * given out. The fewer units are free, the smaller the blocks: nobody gets more than a quarter of
 * what is left at once, so that a late-comer gets some of his own. Given back when the application goes.
 *
 * To one destination the kernel lets a program have all ports of the range, and the next program, which can't have the
 * same ones there, all of them elsewhere. So an application may have all units. When none is free, units are
 * shared: those that the fewest have, in small blocks. On a direct channel that does no harm, because the channel is part
 * of what tells connections apart; only a server that two such applications connect to can see the same remote
 * address and port twice. A private vjd can't keep the kernel from using the same numbers either.
 */
#ifndef DAEMON_PORT_BLOCK_H
#define DAEMON_PORT_BLOCK_H

#include "base/types.h"

struct lease_table;

enum {
	PORT_FIRST = 32768,
	PORT_END = 60992, /* the kernel's default range, to whole units */
	PORT_UNIT = 32,
	PORT_UNIT_CNT = (PORT_END - PORT_FIRST) / PORT_UNIT,
	PORT_SHARED_MAX = 256, /* ports of a block that others have too */
};

/* The units of one application. [0] TCP, [1] UDP */
struct port_set {
	bool has[2][PORT_UNIT_CNT];
	uint16_t cnt[2];
};

struct port_map {
	uint16_t users[2][PORT_UNIT_CNT]; /* applications that have it */
	bool kernel[2][PORT_UNIT_CNT]; /* a socket of the kernel's was seen in it: nothing for who wants it alone */
	uint16_t free_cnt[2];
	uint16_t next[2];     /* unit behind the last block that was given */
};

void port_map_init(struct port_map *map);

/**
 * port_map_take() - Lease a block
 * @set:   of who asks
 * @proto: CTL_PROTO_TCP or CTL_PROTO_UDP
 * @first: 0: any; else the block wanted back after vjd was restarted: given if it is whole units
 *         and free
 * @cnt:   wanted, >= 1; rounded up to whole units
 * @alone: never share: on an interface two applications' ports are told apart by nothing else. Half of all units stay the kernel's
 * Return: ports given, from *@ret_first on; 0: there are none that it hasn't got
 */
uint16_t port_map_take(struct port_map *map, const struct lease_table *leases, struct port_set *set,
		       uint8_t proto, uint16_t first, uint16_t cnt, bool alone, uint16_t *ret_first);

/** port_map_give_back() - @set has units of a block no longer */
void port_map_give_back(struct port_map *map, struct port_set *set, uint8_t proto, uint16_t first, uint16_t cnt);

/** port_map_release() - Take back all that @set has */
void port_map_release(struct port_map *map, struct port_set *set);

#endif
