// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_hops.h"

#include <bpf/bpf.h>
#include <string.h>

static int map_of(const struct if_dispatch *d)
{
	return d->map_fds[IF_MAP_HOPS];
}

void if_hops_add(const struct if_dispatch *d, const struct mac_addr *mac, bool asks)
{
	const struct policy_mac key = { .mac = *mac };
	const uint32_t value = POLICY_HOP_KNOWN | (asks ? POLICY_HOP_ASKS : 0u);

	bpf_map_update_elem(map_of(d), &key, &value, BPF_ANY);
}

static bool is_hop(const struct host_neighbour *n, uint32_t ifindex)
{
	return n->ifindex == ifindex && n->state >= HOST_NEIGHBOUR_STALE;
}

static bool is_there(const struct host_image *image, uint32_t ifindex, const struct mac_addr *mac)
{
	for (unsigned k = 0; k < HOST_NEIGHBOUR_MAX; k++)
		if (is_hop(&image->neighbours[k], ifindex) && memcmp(image->neighbours[k].mac, mac->bytes, sizeof(mac->bytes)) == 0)
			return true;
	return false;
}

void if_hops_sync(const struct if_dispatch *d, const struct host_image *image, bool asks)
{
	struct policy_mac key, next;
	int more;

	for (unsigned k = 0; k < HOST_NEIGHBOUR_MAX; k++) {
		struct mac_addr mac;

		if (!is_hop(&image->neighbours[k], d->ifindex))
			continue;
		memcpy(mac.bytes, image->neighbours[k].mac, sizeof(mac.bytes));
		if_hops_add(d, &mac, asks);
	}
	for (more = bpf_map_get_next_key(map_of(d), NULL, &key); more == 0; key = next) {
		more = bpf_map_get_next_key(map_of(d), &key, &next);
		if (!is_there(image, d->ifindex, &key.mac))
			bpf_map_delete_elem(map_of(d), &key);
	}
}
