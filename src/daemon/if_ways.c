// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_ways.h"

#include <bpf/bpf.h>
#include <errno.h>

static int map_of(const struct if_dispatch *d)
{
	return d->map_fds[IF_MAP_WAYS];
}

static bool is_same_prefix(const struct host_prefix *a, const struct host_prefix *b)
{
	return a->prefix_len == b->prefix_len && ip_addr_eq(&a->dest, &b->dest);
}

/* Of a prefix the first route counts, and of its hops any: the kernel chooses one by flow. */
static bool leads_here(const struct host_image *im, uint32_t first, uint32_t ifindex)
{
	for (uint32_t i = first; i < im->route_cnt; i++) {
		if (i > first && !host_prefix_is_same_route(&im->routes[i], &im->routes[first]))
			return false;
		if (im->routes[i].ifindex == ifindex)
			return true;
	}
	return false;
}

/* The prefix after that at @i; its routes stand together. */
static uint32_t next_prefix(const struct host_image *im, uint32_t i)
{
	uint32_t first = i;

	while (i < im->route_cnt && is_same_prefix(&im->routes[i], &im->routes[first]))
		i++;
	return i;
}

static bool is_own(const struct host_image *im, const struct ip_addr *addr, uint32_t prefix_len)
{
	return prefix_len == 128 && host_image_has(im, addr);
}

/* But to the host itself: IPv6 has a route by lo to each address there. */
static bool all_lead_here(const struct host_image *im, uint32_t ifindex)
{
	for (uint32_t i = 0; i < im->route_cnt; i = next_prefix(im, i))
		if (!is_own(im, &im->routes[i].dest, im->routes[i].prefix_len) && !leads_here(im, i, ifindex))
			return false;
	return true;
}

/* Each interface may have it. */
static bool is_at(const struct host_image *im, const struct ip_addr *addr, uint32_t ifindex)
{
	for (uint32_t i = 0; i < im->addr_cnt; i++)
		if (im->addrs[i].ifindex == ifindex && ip_addr_eq(&im->addrs[i].addr, addr))
			return true;
	return false;
}

static int put(const struct if_dispatch *d, const struct ip_addr *dest, uint8_t prefix_len, bool here)
{
	const struct policy_way key = { .prefix_len = prefix_len, .dest = *dest };
	const uint32_t value = here ? POLICY_WAY_HERE : POLICY_WAY_ELSEWHERE;

	return bpf_map_update_elem(map_of(d), &key, &value, BPF_ANY) == 0 ? 0 : -errno;
}

static bool is_there(const struct host_image *im, const struct policy_way *key)
{
	const struct host_prefix wanted = { .dest = key->dest, .prefix_len = (uint8_t)key->prefix_len };

	if (is_own(im, &key->dest, key->prefix_len))
		return true;
	for (uint32_t i = 0; i < im->route_cnt; i = next_prefix(im, i))
		if (is_same_prefix(&im->routes[i], &wanted))
			return true;
	return false;
}

static void sweep(const struct if_dispatch *d, const struct host_image *im)
{
	struct policy_way key, next;
	int more;

	for (more = bpf_map_get_next_key(map_of(d), NULL, &key); more == 0; key = next) {
		more = bpf_map_get_next_key(map_of(d), &key, &next);
		if (!is_there(im, &key))
			bpf_map_delete_elem(map_of(d), &key);
	}
}

int if_ways_sync(const struct if_dispatch *d, const struct host_image *im)
{
	/* without a route of its own for the rest, IPv4 would be judged by IPv6's default */
	const struct host_prefix rest_v4 = { .dest = ip_addr_any_v4(), .prefix_len = 96 };
	int r, err = 0;

	if (all_lead_here(im, d->ifindex)) {
		if_dispatch_set_ways(d, false);
		return 0;
	}
	sweep(d, im);
	if (!is_there(im, &(struct policy_way){ .dest = rest_v4.dest, .prefix_len = rest_v4.prefix_len }))
		err = put(d, &rest_v4.dest, rest_v4.prefix_len, false);
	for (uint32_t i = 0; i < im->route_cnt; i = next_prefix(im, i)) {
		r = put(d, &im->routes[i].dest, im->routes[i].prefix_len, leads_here(im, i, d->ifindex));
		err = r < 0 ? r : err;
	}
	for (uint32_t i = 0; i < im->addr_cnt; i++) {
		r = put(d, &im->addrs[i].addr, 128, is_at(im, &im->addrs[i].addr, d->ifindex));
		err = r < 0 ? r : err;
	}
	if_dispatch_set_ways(d, true);
	return err;
}
