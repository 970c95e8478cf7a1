// SPDX-License-Identifier: BSD-2-Clause
/*
 * Flow table: from (link, addresses, ports) to a connection's number
 *
 * An entry is 8 bytes: 32 bits of the flow's hash (the tag) and the number. The whole key is
 * compared by the caller in the connection itself, which is needed next anyway.
 *
 * The table is a directory of segments of 64 KiB (extendible hashing: the top `depth` bits of the
 * tag choose the segment). A segment that is full is split in two, which takes some 20 us however
 * large the table is: there is no moment at which ten million entries have to move, and memory
 * grows in small steps.
 *
 * In a segment an entry's home is proportional to the tag, and entries lie sorted by tag at their
 * home or, where that is taken, behind it (linear probing kept in order, which is Robin Hood
 * hashing):
 *
 *	home   0     1     2     3     4     5     6
 *	     | 0.1 | 1.2 | 1.7 | 1.9 | 2.0 | -   | 6.3 |
 *
 * A look-up starts at the home and ends at the first greater tag or empty slot. Deletion moves the
 * followers one back, so no tombstones gather. At 7/8 load an entry is 3.5 slots from its home on
 * average (less than one cache line), and the chance that one is farther than FLOW_REACH is below
 * 10^-14: the distance behaves like the waiting time of an M/D/1 queue, with a tail of exp(-0.26
 * d).
 *
 * The hash is XXH3, keyed with a secret, so that strangers cannot choose keys that collide.
 */
#ifndef VJ_STACK_FLOW_H
#define VJ_STACK_FLOW_H

#include "base/addr.h"
#include "base/types.h"
#include "stack/mem.h"

#define FLOW_SEGMENT_BYTES 65536
#define FLOW_SLOTS (FLOW_SEGMENT_BYTES / 8)
#define FLOW_REACH 127 /* farthest an entry may be from its home */
#define FLOW_HOMES                                                                    \
	(FLOW_SLOTS - 1 - FLOW_REACH - 1) /* but the head and an end that stays empty \
					   */
#define FLOW_DEPTH_MAX 13		  /* 2^13 segments, some 58 million entries */
#define FLOW_SECRET_BYTES 192

struct flow_key {
	struct ip_addr local;
	struct ip_addr remote;
	uint32_t link;
	uint16_t local_port;
	uint16_t remote_port;
};

_Static_assert(sizeof(struct flow_key) == 40, "hashed as a whole, so without holes");

static inline struct flow_key flow_key_of(const struct endpoint *local, const struct endpoint *remote, uint32_t link)
{
	return (struct flow_key){
		.local = local->addr,
		.remote = remote->addr,
		.link = link,
		.local_port = local->port,
		.remote_port = remote->port,
	};
}

struct flow_slot {
	uint32_t tag;
	uint32_t id; /* 0: empty */
};

/* slot[0] of a segment is its head. */
struct flow_segment {
	uint32_t used;
	uint32_t self; /* index in its pool */
	struct flow_slot slot[FLOW_SLOTS - 1];
};

_Static_assert(sizeof(struct flow_segment) == FLOW_SEGMENT_BYTES, "a whole number of pages");

struct flow {
	uintptr_t *dir; /* 2^depth segments; the low 5 bits are the segment's own depth */
	uint32_t depth;
	uint32_t split_at; /* entries */
	uint64_t used;
	struct pool segments;
	struct mem *mem;
	uint8_t secret[FLOW_SECRET_BYTES];
};

/*
 * @secret: FLOW_SECRET_BYTES of keyed randomness. @load_percent: split above this load, 50..95;
 * 0: 87. Return: 0; -ENOMEM.
 */
int flow_init(struct flow *flow, struct mem *mem, const uint8_t secret[static FLOW_SECRET_BYTES],
	      unsigned int load_percent) VJ_MUST_CHECK;
void flow_fini(struct flow *flow);

/*
 * The tag of a key, given as its five words of 64 bits in the machine's order: in registers, since
 * a key that was just put together in smaller pieces is slow to read back (store forwarding).
 */
uint32_t flow_hash_words(const struct flow *flow, uint64_t w0, uint64_t w1, uint64_t w2,
			 uint64_t w3, uint64_t w4);

/* The last of them */
static inline uint64_t flow_key_word(uint32_t link, uint16_t local_port, uint16_t remote_port)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return link | (uint64_t)local_port << 32 | (uint64_t)remote_port << 48;
#else
	return (uint64_t)link << 32 | (uint32_t)local_port << 16 | remote_port;
#endif
}

/* A key of IPv4, in the words that flow_hash() reads: see ip_addr_v4_half() */
static inline void flow_key_set_v4(struct flow_key *key, struct be32 local, struct be32 remote, uint64_t last)
{
	uint8_t *p = (uint8_t *)key;

	store_u64(p, 0);
	store_u64(p + 8, ip_addr_v4_half(local));
	store_u64(p + 16, 0);
	store_u64(p + 24, ip_addr_v4_half(remote));
	store_u64(p + 32, last);
}

static inline uint32_t flow_hash(const struct flow *flow, const struct flow_key *key)
{
	const uint8_t *p = (const uint8_t *)key;

	return flow_hash_words(flow, load_u64(p), load_u64(p + 8), load_u64(p + 16),
			       load_u64(p + 24), load_u64(p + 32));
}

static inline struct flow_segment *flow_segment(const struct flow *flow, uint32_t tag,
						uint32_t *ret_home)
{
	/* Shifted twice, since a shift by 32 (depth 0) is not defined. */
	uintptr_t entry = flow->dir[tag >> 1 >> (31 - flow->depth)];
	uint32_t depth = (uint32_t)(entry & 31);

	*ret_home = (uint32_t)((uint64_t)(tag << depth) * FLOW_HOMES >> 32);
	return (struct flow_segment *)(entry & ~(uintptr_t)31);
}

/* Get the slots of @tag on their way. */
static inline void flow_prefetch(const struct flow *flow, uint32_t tag)
{
	uint32_t home;
	const struct flow_segment *seg = flow_segment(flow, tag, &home);

	__builtin_prefetch(&seg->slot[home]);
	__builtin_prefetch(&seg->slot[home + 7]);
}

/*
 * The number that has @tag and that match(arg, number) agrees to; 0: none. A constant @match is
 * compiled in place.
 */
VJ_INLINE uint32_t flow_find(const struct flow *flow, uint32_t tag,
			     bool (*match)(const void *arg, uint32_t id), const void *arg)
{
	uint32_t home;
	const struct flow_segment *seg = flow_segment(flow, tag, &home);

	for (const struct flow_slot *slot = &seg->slot[home]; slot->id != 0 && slot->tag <= tag;
	     slot++)
		if (slot->tag == tag && likely(match(arg, slot->id)))
			return slot->id;
	return 0;
}

/* A number that has @tag, probably the right one: to prefetch. 0: none. */
static inline uint32_t flow_guess(const struct flow *flow, uint32_t tag)
{
	uint32_t home;
	const struct flow_segment *seg = flow_segment(flow, tag, &home);

	for (const struct flow_slot *slot = &seg->slot[home]; slot->id != 0 && slot->tag <= tag;
	     slot++)
		if (slot->tag == tag)
			return slot->id;
	return 0;
}

/* @id: not 0. The caller knows that the key is not there yet. Return: 0; -ENOMEM. */
int flow_add(struct flow *flow, uint32_t tag, uint32_t id) VJ_MUST_CHECK;

/* The pair must be there. */
void flow_del(struct flow *flow, uint32_t tag, uint32_t id);

/* The pair of @tag and @id must be there; from now on it is @new_id, not 0. */
void flow_replace(struct flow *flow, uint32_t tag, uint32_t id, uint32_t new_id);

#endif
