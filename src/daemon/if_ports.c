// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_ports.h"

#include "daemon/app.h"
#include "daemon/firewall.h"
#include "daemon/if_lan.h"

#include <bpf/bpf.h>
#include <string.h>

static int map_of(const struct if_ports *p, enum if_map map)
{
	return p->dispatch->map_fds[map];
}

static uint32_t chan_of(const struct if_ports *p, const struct app *app)
{
	const struct if_chan *c;

	TAILQ_FOREACH (c, p->chans, entry)
		if (c->app == app)
			return c->rec.nr;
	return 0;
}

/* ---- ports: under "any", and repeated under each address of the host */

static struct policy_port any_of(const struct policy_port *key)
{
	struct policy_port any = *key;

	any.addr = ip_addr_is_v4(&key->addr) ? ip_addr_any_v4() : ip_addr_any_v6();
	return any;
}

static bool is_in_map(const struct if_ports *p, const struct ip_addr *addr, uint32_t *ret_whole)
{
	const struct policy_addr key = { .addr = *addr };

	return bpf_map_lookup_elem(map_of(p, IF_MAP_ADDRS), &key, ret_whole) == 0;
}

/* One where ports tell. */
static bool is_here(const struct if_ports *p, const struct ip_addr *addr)
{
	uint32_t whole;

	return is_in_map(p, addr, &whole) && whole == 0;
}

/* What is only there to save a look-up makes room. */
static void forget_repeated(const struct if_ports *p)
{
	int fd = map_of(p, IF_MAP_PORTS), more;
	struct policy_port key, next;
	struct policy_owner owner;

	for (more = bpf_map_get_next_key(fd, NULL, &key); more == 0; key = next) {
		more = bpf_map_get_next_key(fd, &key, &next);
		if (bpf_map_lookup_elem(fd, &key, &owner) == 0 && owner.flags & POLICY_OWNER_REPEATED)
			bpf_map_delete_elem(fd, &key);
	}
}

static void set_owner(const struct if_ports *p, const struct policy_port *key, const struct policy_owner *owner)
{
	int fd = map_of(p, IF_MAP_PORTS);

	if (owner->cnt != 0 && bpf_map_update_elem(fd, key, owner, BPF_ANY) == 0)
		return;
	if (owner->cnt != 0 && !(owner->flags & POLICY_OWNER_REPEATED)) {
		forget_repeated(p);
		if (bpf_map_update_elem(fd, key, owner, BPF_ANY) == 0)
			return;
	}
	/* what was there before must not stay; what isn't under its address is found under "any" */
	bpf_map_delete_elem(fd, key);
}

/* @own: who has leased this very address; nobody: @key is his who has leased "any" */
static void set_exact(const struct if_ports *p, const struct policy_port *key, const struct policy_owner *own)
{
	const struct policy_port any = any_of(key);
	struct policy_owner owner = *own;

	if (is_here(p, &key->addr)) {
		if (owner.cnt == 0 && bpf_map_lookup_elem(map_of(p, IF_MAP_PORTS), &any, &owner) == 0)
			owner.flags |= POLICY_OWNER_REPEATED;
		owner.flags |= POLICY_OWNER_HERE;
	}
	set_owner(p, key, &owner);
}

/* "Any" has changed, or the addresses of the host. */
static void repeat_at(const struct if_ports *p, const struct policy_port *key)
{
	struct policy_owner own = { .cnt = 0 };

	if (bpf_map_lookup_elem(map_of(p, IF_MAP_PORTS), key, &own) != 0 || own.flags & POLICY_OWNER_REPEATED)
		own = (struct policy_owner){ .cnt = 0 };
	own.flags &= ~(uint32_t)POLICY_OWNER_HERE;
	set_exact(p, key, &own);
}

static void repeat(const struct if_ports *p, const struct policy_port *any)
{
	struct policy_addr addr, *last = NULL;
	struct policy_port key = *any;

	for (; bpf_map_get_next_key(map_of(p, IF_MAP_ADDRS), last, &addr) == 0; last = &addr) {
		key.addr = addr.addr;
		if (addr.vlan == 0 && ip_addr_is_v4(&addr.addr) == ip_addr_is_v4(&any->addr))
			repeat_at(p, &key);
	}
}

static void repeat_all(const struct if_ports *p)
{
	int fd = map_of(p, IF_MAP_PORTS), more;
	struct policy_port key, next;

	for (more = bpf_map_get_next_key(fd, NULL, &key); more == 0; key = next) {
		more = bpf_map_get_next_key(fd, &key, &next);
		if (ip_addr_is_any(&key.addr))
			repeat(p, &key);
		else
			repeat_at(p, &key);
	}
}

/* ---- addresses */

/*
 * What the kernel takes at this interface, and sends from it: any address of the host, whichever interface has it (that of a loopback device
 * which routes name as their source, that of another link), but for those that mean something at one interface alone.
 */
static bool is_reached(const struct if_ports *p, const struct host_addr *a)
{
	return !ip_addr_is_loopback(&a->addr) && (a->ifindex == p->ifindex || !ip_addr_is_link_local(&a->addr));
}

static bool is_in_table(const struct if_ports *p, const struct ip_addr *addr)
{
	const struct host_image *image = p->image;

	for (uint32_t i = 0; i < image->addr_cnt; i++)
		if (is_reached(p, &image->addrs[i]) && ip_addr_eq(&image->addrs[i].addr, addr))
			return true;
	return false;
}

bool if_ports_addrs_differ(const struct if_ports *p)
{
	const struct host_image *image = p->image;
	struct policy_addr key, *last = NULL;
	uint32_t whole;

	for (uint32_t i = 0; i < image->addr_cnt; i++)
		if (is_reached(p, &image->addrs[i]) && !is_in_map(p, &image->addrs[i].addr, &whole))
			return true;
	for (; bpf_map_get_next_key(map_of(p, IF_MAP_ADDRS), last, &key) == 0; last = &key)
		if (key.vlan != 0 || !is_in_table(p, &key.addr))
			return true;
	return false;
}

void if_ports_sync_addrs(const struct if_ports *p)
{
	const struct host_image *image = p->image;
	struct policy_addr key, next;
	int fd = map_of(p, IF_MAP_ADDRS), more;
	uint32_t nobody = 0;

	for (uint32_t i = 0; i < image->addr_cnt; i++) {
		key = (struct policy_addr){ .addr = image->addrs[i].addr };
		if (is_reached(p, &image->addrs[i]))
			bpf_map_update_elem(fd, &key, &nobody, BPF_NOEXIST); /* whose it is as a whole, if_own6.h says */
	}
	/* the next one is asked for before this one goes: from a key that isn't there any more the walk starts anew */
	for (more = bpf_map_get_next_key(fd, NULL, &key); more == 0; key = next) {
		more = bpf_map_get_next_key(fd, &key, &next);
		if (key.vlan != 0 || !is_in_table(p, &key.addr))
			bpf_map_delete_elem(fd, &key);
	}
	repeat_all(p);
}

/* ---- leases */

/* Does a frame to @addr (an exact one, or the wildcard of its family) belong to this lease? */
static bool covers(const struct lease_key *lease, const struct ip_addr *addr)
{
	if (ip_addr_eq(&lease->local.addr, addr))
		return true;
	return ip_addr_is_any(addr) && ip_addr_is_v4(addr) && ip_addr_is_any(&lease->local.addr) &&
	       !ip_addr_is_v4(&lease->local.addr) && !lease->v6only;
}

/* Of a lease, or a block of ports: at each address that is reached. Return: as firewall_against() */
static uint32_t against(const struct if_ports *p, const struct ip_addr *addr, uint8_t proto, uint16_t first, uint16_t last)
{
	const struct host_image *image = p->image;
	uint32_t at;

	if (!ip_addr_is_any(addr) || image == NULL)
		return firewall_against(p->firewall, p->name, addr, proto, first, last);
	for (uint32_t i = 0; i < image->addr_cnt; i++)
		if (is_reached(p, &image->addrs[i]) && ip_addr_is_v4(&image->addrs[i].addr) == ip_addr_is_v4(addr) &&
		    (at = firewall_against(p->firewall, p->name, &image->addrs[i].addr, proto, first, last)) != 0)
			return at;
	return 0;
}

static struct policy_owner owners(const struct if_ports *p, const struct lease_table *leases, uint8_t proto,
				  const struct endpoint *at)
{
	struct policy_owner owner = { .cnt = 0 };
	const struct lease *l = NULL;

	while (p->exact && (l = lease_next_at(leases, proto, at->port, l)) != NULL) {
		uint32_t nr = l->key.netns == p->netns && covers(&l->key, &at->addr) ? chan_of(p, l->app) : 0;

		if (nr == 0 || (l->flags & CTL_LEASE_LOCAL) != 0 || !policy_may_port(policy_of(p->policy, l->key.uid), at->port) || owner.cnt == POLICY_OWNER_APPS_MAX)
			continue;
		owner.apps[owner.cnt++] = nr;
		if (l->proof.reuseport)
			owner.flags |= POLICY_OWNER_GROUP;
	}
	/* also of a listener that was shared by fork() */
	if (owner.cnt > 1)
		owner.flags |= POLICY_OWNER_GROUP;
	return owner;
}

/* What the map says of a lease of this very key. */
static struct policy_owner leased(const struct if_ports *p, const struct policy_port *key)
{
	struct policy_owner owner;

	if (bpf_map_lookup_elem(map_of(p, IF_MAP_PORTS), key, &owner) != 0 || owner.flags & POLICY_OWNER_REPEATED)
		owner = (struct policy_owner){ .cnt = 0 };
	return owner;
}

/* Return: false: somebody's, but not judged */
static bool sync_port(const struct if_ports *p, const struct lease_table *leases, const struct policy_port *key)
{
	const struct endpoint at = { .addr = key->addr, .port = be16_get(key->port) };
	const struct policy_owner was = leased(p, key);
	struct policy_owner owner = owners(p, leases, key->proto, &at);
	bool is_judged = owner.cnt == 0 || against(p, &at.addr, key->proto, at.port, at.port) == 0;

	if (!is_judged)
		owner = (struct policy_owner){ .cnt = 0 };
	if (ip_addr_is_any(&at.addr)) {
		set_owner(p, key, &owner);
		repeat(p, key);
	} else {
		set_exact(p, key, &owner);
	}
	if_lan_port_changed(p->lan, key, &was, &owner);
	return is_judged;
}

unsigned int if_ports_keys(const struct lease_key *lease, uint64_t netns, struct policy_port ret[static IF_PORTS_KEYS_MAX])
{
	const struct ip_addr *addr = &lease->local.addr;

	if (lease->proto == CTL_PROTO_RAW || lease->netns != netns || ip_addr_is_loopback(addr))
		return 0;
	ret[0] = (struct policy_port){ .addr = *addr, .port = be16(lease->local.port), .proto = lease->proto };
	if (!ip_addr_is_any(addr) || ip_addr_is_v4(addr) || lease->v6only)
		return 1;
	ret[1] = ret[0];
	ret[1].addr = ip_addr_any_v4();
	return 2;
}

bool if_ports_sync_lease(const struct if_ports *p, const struct lease_table *leases, const struct lease_key *key)
{
	struct policy_port keys[IF_PORTS_KEYS_MAX];
	unsigned int cnt = if_ports_keys(key, p->netns, keys);
	bool are_judged = true;

	for (unsigned int k = 0; k < cnt; k++)
		are_judged &= sync_port(p, leases, &keys[k]);
	return are_judged;
}

uint32_t if_ports_against(const struct if_ports *p, const struct lease_key *key)
{
	struct policy_port keys[IF_PORTS_KEYS_MAX];
	unsigned int cnt = if_ports_keys(key, p->netns, keys);
	uint32_t at = 0;

	for (unsigned int k = 0; k < cnt && at == 0; k++)
		at = against(p, &keys[k].addr, key->proto, key->local.port, key->local.port);
	return at;
}

/* ---- blocks */

bool if_ports_judges_block(const struct if_ports *p, uint8_t proto, uint16_t first, uint16_t cnt)
{
	const struct ip_addr v4 = ip_addr_any_v4(), v6 = ip_addr_any_v6();
	uint16_t last = (uint16_t)(first + cnt - 1);

	return against(p, &v4, proto, first, last) == 0 && against(p, &v6, proto, first, last) == 0;
}

bool if_ports_set_block(const struct if_ports *p, uint8_t proto, uint16_t first, uint32_t nr)
{
	uint32_t idx = policy_block_idx(proto == CTL_PROTO_UDP, first);
	bool is_judged = nr == 0 || if_ports_judges_block(p, proto, first, POLICY_BLOCK_PORTS);

	if (!is_judged)
		nr = 0;
	bpf_map_update_elem(map_of(p, IF_MAP_BLOCKS), &idx, &nr, BPF_ANY);
	return is_judged;
}

static bool is_chan(const struct if_ports *p, uint32_t nr)
{
	const struct if_chan *c;

	TAILQ_FOREACH (c, p->chans, entry)
		if (c->rec.nr == nr)
			return true;
	return false;
}

static void sweep_blocks(const struct if_ports *p)
{
	uint32_t none = 0, nr;

	for (uint32_t idx = 0; idx < POLICY_BLOCKS_MAX; idx++)
		if (bpf_map_lookup_elem(map_of(p, IF_MAP_BLOCKS), &idx, &nr) == 0 && nr != 0 && !is_chan(p, nr))
			bpf_map_update_elem(map_of(p, IF_MAP_BLOCKS), &idx, &none, BPF_ANY);
}

void if_ports_sweep(const struct if_ports *p, const struct lease_table *leases)
{
	int fd = map_of(p, IF_MAP_PORTS), more;
	struct policy_port key, next;

	for (more = bpf_map_get_next_key(fd, NULL, &key); more == 0; key = next) {
		more = bpf_map_get_next_key(fd, &key, &next);
		sync_port(p, leases, &key);
	}
	sweep_blocks(p);
}
