// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/learned.h"

#include "lan/resolver.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

_Static_assert((int)POLICY_LEARNED_BLOCK == (int)RESOLVER_BLOCK_PORTS, "one size of blocks");

/* ---- what is known */

struct policy_learned_key learned_key(const struct resolver_entry *e)
{
	return (struct policy_learned_key){ .addr = e->key.addr, .port = be16(e->key.port), .proto = e->key.proto,
					    .block = e->key.kind == RESOLVER_BLOCK };
}

static struct policy_learned_host host_get(const struct learned *l, const struct ip_addr *addr)
{
	struct policy_learned_host host = { .quiet_ns = 0 };

	bpf_map_lookup_elem(l->fds.hosts, addr, &host);
	return host;
}

static void host_put(struct learned *l, const struct ip_addr *addr, const struct policy_learned_host *host)
{
	if (host->blocks == 0 && host->quiet_ns == 0)
		bpf_map_delete_elem(l->fds.hosts, addr);
	else
		bpf_map_update_elem(l->fds.hosts, addr, host, BPF_ANY);
}

/* A block of @addr is there that wasn't (@by 1), or is no more (-1). */
static void host_count(struct learned *l, const struct ip_addr *addr, int by)
{
	struct policy_learned_host host = host_get(l, addr);

	if (by > 0)
		host.blocks++;
	else if (host.blocks > 0)
		host.blocks--;
	host_put(l, addr, &host);
}

static void host_quiet(struct learned *l, const struct ip_addr *addr, uint64_t until_ns)
{
	struct policy_learned_host host = host_get(l, addr);

	host.quiet_ns = until_ns;
	host_put(l, addr, &host);
}

static bool is_host(const struct policy_learned_key *key)
{
	return key->proto == 0;
}

void learned_set(struct learned *l, const struct resolver_entry *e)
{
	const struct policy_learned_key key = learned_key(e);
	const struct policy_learned value = {
		.until_ns = time_mul_sat(e->until_us, NS_PER_US),
		.refresh_ns = time_mul_sat(resolver_refresh_us(e), NS_PER_US),
		.mac = e->group->mac,
		.canonical = e->group->canonical,
	};
	int r = bpf_map_update_elem(l->fds.learned, &key, &value, BPF_NOEXIST);

	if (r == 0 && key.block)
		host_count(l, &key.addr, 1);
	else if (r == -EEXIST)
		bpf_map_update_elem(l->fds.learned, &key, &value, BPF_EXIST);
	/* what it has asked for lately it may ask for again: when this is to be refreshed */
	bpf_map_delete_elem(l->fds.asked, &key);
}

void learned_quiet(struct learned *l, const struct policy_learned_key *key, uint64_t until_us)
{
	uint64_t until_ns = time_mul_sat(until_us, NS_PER_US);

	if (is_host(key))
		host_quiet(l, &key->addr, until_ns);
	else
		bpf_map_update_elem(l->fds.asked, key, &until_ns, BPF_ANY);
}

void learned_forget(struct learned *l, const struct resolver_entry *e)
{
	const struct policy_learned_key key = learned_key(e);

	if (is_host(&key)) {
		host_quiet(l, &key.addr, 0);
		return;
	}
	if (bpf_map_delete_elem(l->fds.learned, &key) == 0 && key.block)
		host_count(l, &key.addr, -1);
	bpf_map_delete_elem(l->fds.asked, &key);
}

/* ---- what is asked */

static void watch(const struct learned *l, int op, uint32_t events)
{
	struct epoll_event e = { .events = events };

	epoll_ctl(l->epoll_fd, op, l->fds.misses, &e);
}

/* The map is as long as we say; what is in it is the program's, which we have loaded. Return: not 0: no more for now */
static int on_miss(void *arg, void *data, size_t bytes)
{
	struct learned *l = arg;

	if (bytes >= sizeof(struct policy_miss))
		l->missed(l->arg, data);
	lan_limit_take(&l->limit, l->now_us);
	return lan_limit_at(&l->limit) > l->now_us ? -EAGAIN : 0;
}

void learned_run(struct learned *l, uint64_t now_us)
{
	bool pause = lan_limit_at(&l->limit) > now_us;

	if (pause != l->paused)
		watch(l, EPOLL_CTL_MOD, pause ? 0 : EPOLLIN);
	l->paused = pause;
	l->now_us = now_us;
	if (!pause)
		ring_buffer__consume(l->ring);
}

uint64_t learned_deadline_us(const struct learned *l)
{
	return l->paused ? lan_limit_at(&l->limit) : TIME_NEVER;
}

/* What an earlier vjd has left there: nobody would take it back when it isn't so any more. All of it is asked for anew. */
static void clear(int fd)
{
	uint8_t key[sizeof(struct policy_learned_key)], next[sizeof(key)]; /* the longest of the three */

	/* the next one first: the map is searched from its beginning for what is after a key that is gone */
	for (int more = bpf_map_get_next_key(fd, NULL, key); more == 0; memcpy(key, next, sizeof(key))) {
		more = bpf_map_get_next_key(fd, key, next);
		bpf_map_delete_elem(fd, key);
	}
}

int learned_open(const struct learned_fds *fds, void (*missed)(void *arg, const struct policy_miss *miss), void *arg,
		 struct learned *ret)
{
	*ret = (struct learned){ .fds = *fds, .missed = missed, .arg = arg };
	lan_limit_init(&ret->limit, LEARNED_PER_SECOND, LEARNED_BURST);
	ret->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ret->epoll_fd < 0)
		return -errno;
	ret->ring = ring_buffer__new(fds->misses, on_miss, ret, NULL);
	if (ret->ring == NULL) {
		int r = -errno;

		close(ret->epoll_fd);
		return r;
	}
	clear(fds->hosts);
	clear(fds->learned);
	clear(fds->asked);
	watch(ret, EPOLL_CTL_ADD, EPOLLIN);
	return 0;
}

void learned_close(struct learned *l)
{
	ring_buffer__free(l->ring);
	close(l->epoll_fd);
}
