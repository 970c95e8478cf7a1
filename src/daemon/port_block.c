/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/port_block.h"

#include "control/msg.h"
#include "daemon/lease.h"

#include <string.h>

void port_map_init(struct port_map *map)
{
	memset(map, 0, sizeof(*map));
	map->free_cnt[0] = map->free_cnt[1] = PORT_UNIT_CNT;
}

static bool unit_free(const struct port_map *map, const struct lease_table *leases, unsigned p,
		      uint8_t proto, unsigned unit)
{
	if (map->owner[p][unit] != NULL)
		return false;
	for (unsigned i = 0; i < PORT_UNIT; i++)
		if (lease_port_in_use(leases, proto, (uint16_t)(PORT_FIRST + unit * PORT_UNIT + i)))
			return false;
	return true;
}

static unsigned held(const struct port_map *map, unsigned p, const struct app *app)
{
	unsigned cnt = 0;

	for (unsigned u = 0; u < PORT_UNIT_CNT; u++)
		cnt += map->owner[p][u] == app;
	return cnt;
}

/* Of all runs of at most @want free units, the first of the greatest length. Return: length */
static unsigned find_run(const struct port_map *map, const struct lease_table *leases, unsigned p,
			 uint8_t proto, unsigned want, unsigned *ret_unit)
{
	unsigned best = 0, run = 0;

	for (unsigned u = 0; u < PORT_UNIT_CNT && best < want; u++) {
		run = unit_free(map, leases, p, proto, u) ? run + 1 : 0;
		if (run > best) {
			best = run;
			*ret_unit = u + 1 - run;
		}
	}
	return best;
}

/* The block held before a restart of vjd. */
static unsigned run_at(const struct port_map *map, const struct lease_table *leases, unsigned p,
		       uint8_t proto, uint16_t first, unsigned want, unsigned *ret_unit)
{
	unsigned unit = (unsigned)(first - PORT_FIRST) / PORT_UNIT;
	unsigned run = 0;

	if (first < PORT_FIRST || first >= PORT_END || (first - PORT_FIRST) % PORT_UNIT != 0)
		return 0;
	while (run < want && unit + run < PORT_UNIT_CNT &&
	       unit_free(map, leases, p, proto, unit + run))
		run++;
	*ret_unit = unit;
	return run == want ? run : 0;
}

uint16_t port_map_take(struct port_map *map, const struct lease_table *leases,
		       const struct app *app, uint8_t proto, uint16_t first, uint16_t cnt,
		       uint16_t *ret_first)
{
	unsigned p = proto == CTL_PROTO_UDP;
	unsigned want = (cnt + PORT_UNIT - 1u) / PORT_UNIT;
	unsigned mine = held(map, p, app), unit = 0, run = 0;

	if (mine >= PORT_APP_MAX / PORT_UNIT)
		return 0;
	want = min_u32(want, PORT_APP_MAX / PORT_UNIT - mine);
	if (first != 0)
		run = run_at(map, leases, p, proto, first, want, &unit);
	if (run == 0)
		run = find_run(map, leases, p, proto,
			       min_u32(want, max_u32(map->free_cnt[p] / 4u, 1)), &unit);
	for (unsigned i = 0; i < run; i++)
		map->owner[p][unit + i] = app;
	map->free_cnt[p] = (uint16_t)(map->free_cnt[p] - run);
	*ret_first = (uint16_t)(PORT_FIRST + unit * PORT_UNIT);
	return (uint16_t)(run * PORT_UNIT);
}

void port_map_release(struct port_map *map, const struct app *app)
{
	for (unsigned p = 0; p < 2; p++)
		for (unsigned u = 0; u < PORT_UNIT_CNT; u++)
			if (map->owner[p][u] == app) {
				map->owner[p][u] = NULL;
				map->free_cnt[p]++;
			}
}
