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

static bool unit_leased(const struct lease_table *leases, uint8_t proto, unsigned unit)
{
	for (unsigned i = 0; i < PORT_UNIT; i++)
		if (lease_port_in_use(leases, proto, (uint16_t)(PORT_FIRST + unit * PORT_UNIT + i)))
			return true;
	return false;
}

/* A search among the units that as many applications have. */
struct search {
	const struct port_map *map;
	const struct lease_table *leases;
	const struct port_set *set; /* of who asks: those it has it doesn't get again */
	uint8_t proto;
	unsigned p; /* index of @proto */
	unsigned users;
	bool alone;
};

static bool suits(const struct search *s, unsigned unit)
{
	return s->map->users[s->p][unit] == s->users && !s->set->has[s->p][unit] &&
	       !(s->alone && s->map->kernel[s->p][unit]) && !unit_leased(s->leases, s->proto, unit);
}

/*
 * Of all runs of at most @want units, the first of the greatest length, from where the last one ended: who comes next shall not
 * have the ports of one that has just gone, of which peers know connections in TIME-WAIT. Return: length
 */
static unsigned find_run(const struct search *s, unsigned want, unsigned *ret_unit)
{
	unsigned best = 0, run = 0;

	for (unsigned i = 0; i < PORT_UNIT_CNT && best < want; i++) {
		unsigned u = (s->map->next[s->p] + i) % PORT_UNIT_CNT;

		if (u == 0)
			run = 0;
		run = suits(s, u) ? run + 1 : 0;
		if (run > best) {
			best = run;
			*ret_unit = u + 1 - run;
		}
	}
	return best;
}

/* The block held before a restart of vjd. */
static unsigned run_at(const struct search *s, uint16_t first, unsigned want, unsigned *ret_unit)
{
	unsigned unit = (unsigned)(first - PORT_FIRST) / PORT_UNIT;
	unsigned run = 0;

	if (first < PORT_FIRST || first >= PORT_END || (first - PORT_FIRST) % PORT_UNIT != 0)
		return 0;
	while (run < want && unit + run < PORT_UNIT_CNT && suits(s, unit + run))
		run++;
	*ret_unit = unit;
	return run == want ? run : 0;
}

/* How many applications the units have at least that @set hasn't got. Return: false: it has all */
static bool fewest_users(const struct port_map *map, const struct port_set *set, unsigned p, unsigned than,
			 unsigned *ret_users)
{
	unsigned fewest = UINT16_MAX + 1u;

	for (unsigned u = 0; u < PORT_UNIT_CNT; u++)
		if (!set->has[p][u] && map->users[p][u] > than)
			fewest = min_u32(fewest, map->users[p][u]);
	*ret_users = fewest;
	return fewest <= UINT16_MAX;
}

static unsigned find_shared(struct search *s, unsigned want, unsigned *ret_unit)
{
	unsigned run = 0;

	/* once, but where ports are leased in all units that the fewest have */
	while (run == 0 && fewest_users(s->map, s->set, s->p, s->users, &s->users))
		run = find_run(s, min_u32(want, PORT_SHARED_MAX / PORT_UNIT), ret_unit);
	return run;
}

static void take(struct port_map *map, struct port_set *set, unsigned p, unsigned unit)
{
	map->free_cnt[p] = (uint16_t)(map->free_cnt[p] - (map->users[p][unit] == 0));
	map->users[p][unit]++;
	set->has[p][unit] = true;
	set->cnt[p]++;
}

uint16_t port_map_take(struct port_map *map, const struct lease_table *leases, struct port_set *set,
		       uint8_t proto, uint16_t first, uint16_t cnt, bool alone, uint16_t *ret_first)
{
	struct search s = { map, leases, set, proto, .p = proto == CTL_PROTO_UDP, .alone = alone };
	unsigned want = (cnt + PORT_UNIT - 1u) / PORT_UNIT, unit = 0, run = 0;

	if (alone && map->free_cnt[s.p] <= PORT_UNIT_CNT / 2 && first == 0)
		return 0;
	if (first != 0)
		run = run_at(&s, first, want, &unit);
	if (run == 0 && map->free_cnt[s.p] > 0)
		run = find_run(&s, min_u32(want, max_u32(map->free_cnt[s.p] / 4u, 1)), &unit);
	if (run == 0 && !alone)
		run = find_shared(&s, want, &unit);
	for (unsigned i = 0; i < run; i++)
		take(map, set, s.p, unit + i);
	if (first == 0 && run > 0)
		map->next[s.p] = (uint16_t)((unit + run) % PORT_UNIT_CNT);
	*ret_first = (uint16_t)(PORT_FIRST + unit * PORT_UNIT);
	return (uint16_t)(run * PORT_UNIT);
}

static void give_back(struct port_map *map, struct port_set *set, unsigned p, unsigned unit)
{
	set->has[p][unit] = false;
	set->cnt[p]--;
	map->free_cnt[p] = (uint16_t)(map->free_cnt[p] + (--map->users[p][unit] == 0));
}

void port_map_give_back(struct port_map *map, struct port_set *set, uint8_t proto, uint16_t first, uint16_t cnt)
{
	unsigned p = proto == CTL_PROTO_UDP, unit = (unsigned)(first - PORT_FIRST) / PORT_UNIT;

	for (unsigned u = unit; u < unit + cnt / PORT_UNIT; u++)
		if (set->has[p][u])
			give_back(map, set, p, u);
}

void port_map_release(struct port_map *map, struct port_set *set)
{
	for (unsigned p = 0; p < 2; p++)
		for (unsigned u = 0; set->cnt[p] > 0 && u < PORT_UNIT_CNT; u++)
			if (set->has[p][u])
				give_back(map, set, p, u);
}
