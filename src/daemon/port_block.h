/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port_block.h - ephemeral ports, leased in blocks
 *
 * TCP's and UDP's are separate. A unit is the smallest block; a unit with a leased port in it isn't
 * given out. The fewer units are free, the smaller the blocks: nobody gets more than a quarter of
 * what is left, so that a late-comer gets some. Given back when the application goes. A private vjd
 * can't keep the kernel from using the same numbers; on a direct channel that does no harm, because
 * the channel is part of what tells connections apart.
 */
#ifndef DAEMON_PORT_BLOCK_H
#define DAEMON_PORT_BLOCK_H

#include "base/types.h"

struct app;
struct lease_table;

enum {
	PORT_FIRST = 32768,
	PORT_END = 60992, /* the kernel's default range, to whole units */
	PORT_UNIT = 32,
	PORT_UNIT_CNT = (PORT_END - PORT_FIRST) / PORT_UNIT,
	PORT_APP_MAX = 8192
}; /* of one application and protocol */

struct port_map {
	const struct app *owner[2][PORT_UNIT_CNT]; /* [0] TCP, [1] UDP; NULL: free */
	uint16_t free_cnt[2];
};

void port_map_init(struct port_map *map);

/**
 * port_map_take() - Lease a block
 * @proto: CTL_PROTO_TCP or CTL_PROTO_UDP
 * @first: 0: any; else the block wanted back after vjd was restarted: given if it is whole units
 *         and free
 * @cnt:   wanted, >= 1; rounded up to whole units
 * Return: ports given, from *@ret_first on; 0: none left, or @app has PORT_APP_MAX
 */
uint16_t port_map_take(struct port_map *map, const struct lease_table *leases,
		       const struct app *app, uint8_t proto, uint16_t first, uint16_t cnt,
		       uint16_t *ret_first);

/** port_map_release() - Take back all that @app has */
void port_map_release(struct port_map *map, const struct app *app);

#endif
