// SPDX-License-Identifier: BSD-2-Clause
/*
 * ring.h - one single-producer single-consumer ring in shared memory, as the kernel's AF_XDP lays it out
 *
 * Theory of operation
 *
 * A ring is three 32-bit words and 2^k entries. Where they lie is given by offsets, so the same code runs
 * on our areas (area.h) and on the rings of an AF_XDP socket (offsets from XDP_MMAP_OFFSETS):
 *
 *	producer   entries ever produced   written by the producer, read by the consumer
 *	consumer   entries ever consumed   written by the consumer, read by the producer
 *	flags      RING_NEED_WAKEUP        set by the consumer before it sleeps; see below
 *
 * The indices run freely through 2^32 and are masked on access, so a ring may be quite full and
 * "producer - consumer" is always the number of entries in it.
 *
 * `struct ring` is one side's private half. It holds that side's own index, which is never read back from
 * shared memory, and the last checked value of the other's ("cached"). The shared index is read again only
 * when the cached one says full or empty, so a burst costs one cache-line transfer, not one per entry.
 *
 * The other side is hostile. A shared index is read once, compared with the private one, and refused
 * (RING_BAD) when it claims more than the ring can hold. Entries are read once, by relaxed atomic loads, and
 * must be checked by the caller before use.
 *
 * Sleeping
 *
 * The consumer asks to be woken, then looks once more; the producer publishes, then looks whether it
 * was asked:
 *
 *	producer                                        consumer
 *
 *	   write entries
 *	A  store producer                               C  store flags = NEED_WAKEUP
 *	   ------ in this order for everybody ------       ------ in this order for everybody ------
 *	B  load flags: set? then ring the doorbell      D  load producer: unchanged? then sleep
 *
 * If B misses C and D misses A, a consumer sleeps on a full ring for ever. Release and acquire do not
 * exclude that: a store may still wait in the store buffer while the later load is served, on x86 too.
 * Measured on x86-64 (tests/stress/wake_litmus.c): one wake-up in 10 to 20 lost when the two meet; with full
 * ordering, none. It is needed on both sides: taken from either, wake-ups are lost.
 *
 * All four accesses are sequentially consistent operations, which C11 (7.17.3p6-7) puts in one order that
 * agrees with each side's program order: either A is before D or C is before B. No separate fence is used,
 * because ThreadSanitizer does not model fences. x86-64 makes A and C exchanges, arm64 makes
 * them STLR and B and D LDAR, which it does not reorder. A also releases the entries to the consumer.
 *
 * Whoever finds the flag set clears it (ring_claim_wake()), so that one sleep costs one doorbell however
 * many bursts follow before the sleeper runs. A claim can hit a newer request than the one that B
 * saw; then the doorbell that follows the claim answers the newer one.
 *
 * VJ_TEST_NO_FENCE takes the sequential consistency away from the producer (1), the consumer (2) or both (3), for the
 * test that shows that both need it.
 */
#ifndef VJ_CHANNEL_RING_H
#define VJ_CHANNEL_RING_H

#include <stdatomic.h>

#include "base/types.h"

/* Offsets in bytes from the start of a ring's memory; the members of the kernel's struct xdp_ring_offset. */
struct ring_offsets {
	uint64_t producer, consumer, desc, flags;
};

/* An entry of a data ring; struct xdp_desc of <linux/if_xdp.h>. Entries of a free ring are the uint64_t addr alone. */
struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint32_t options;
};

_Static_assert(sizeof(struct ring_desc) == 16, "struct xdp_desc");
_Static_assert(offsetof(struct ring_desc, len) == 8, "struct xdp_desc");
_Static_assert(sizeof(_Atomic uint32_t) == 4 && sizeof(_Atomic uint64_t) == 8,
	       "lock-free, no padding");

/* In the flags word; XDP_RING_NEED_WAKEUP of <linux/if_xdp.h>. */
#define RING_NEED_WAKEUP 1u

/* Result of a function that read a shared index: the other side lied. */
#define RING_BAD UINT32_MAX

#ifndef VJ_TEST_NO_FENCE
#define VJ_TEST_NO_FENCE 0
#endif

/* A to D of the drawing above. */
#if VJ_TEST_NO_FENCE & 1
#define RING_ORDER_A memory_order_release
#define RING_ORDER_B memory_order_acquire
#else
#define RING_ORDER_A memory_order_seq_cst
#define RING_ORDER_B memory_order_seq_cst
#endif
#if VJ_TEST_NO_FENCE & 2
#define RING_ORDER_C memory_order_release
#define RING_ORDER_D memory_order_acquire
#else
#define RING_ORDER_C memory_order_seq_cst
#define RING_ORDER_D memory_order_seq_cst
#endif

struct ring {
	_Atomic uint32_t *producer;
	_Atomic uint32_t *consumer;
	_Atomic uint32_t *flags;
	_Atomic uint64_t *entries; /* two words per struct ring_desc, one per address */
	uint32_t mask;		   /* entries - 1 */
	uint32_t next;		   /* own index: the next entry to produce or to consume */
	uint32_t cached;	   /* the other's index when it was last read and found right */
};

/*
 * `mem` is where the ring's memory is mapped, `cnt` its entries (a power of two), `next` and `cached` the
 * indices to start from, which are known from the protocol and not read from the ring.
 */
static inline void ring_init(struct ring *r, void *mem, const struct ring_offsets *at, uint32_t cnt,
			     uint32_t next, uint32_t cached)
{
	uint8_t *base = mem;

	r->producer = (_Atomic uint32_t *)(void *)(base + at->producer);
	r->consumer = (_Atomic uint32_t *)(void *)(base + at->consumer);
	r->flags = (_Atomic uint32_t *)(void *)(base + at->flags);
	r->entries = (_Atomic uint64_t *)(void *)(base + at->desc);
	r->mask = cnt - 1;
	r->next = next;
	r->cached = cached;
}

/* Entries. Relaxed atomics: they compile to plain moves, but are done once and whole. */

/* Where entry `idx` lies: two words of a data ring, one of a free ring. Also for prefetching. */
static inline _Atomic uint64_t *ring_desc_at(const struct ring *r, uint32_t idx)
{
	return &r->entries[2 * (size_t)(idx & r->mask)];
}

static inline _Atomic uint64_t *ring_addr_at(const struct ring *r, uint32_t idx)
{
	return &r->entries[idx & r->mask];
}

static inline void ring_desc_set(const struct ring *r, uint32_t idx, struct ring_desc desc)
{
	_Atomic uint64_t *entry = ring_desc_at(r, idx);
	uint64_t second;

	__builtin_memcpy(&second, &desc.len, sizeof(second));
	atomic_store_explicit(&entry[0], desc.addr, memory_order_relaxed);
	atomic_store_explicit(&entry[1], second, memory_order_relaxed);
}

static inline struct ring_desc ring_desc_get(const struct ring *r, uint32_t idx)
{
	_Atomic uint64_t *entry = ring_desc_at(r, idx);
	struct ring_desc desc;
	uint64_t second;

	desc.addr = atomic_load_explicit(&entry[0], memory_order_relaxed);
	second = atomic_load_explicit(&entry[1], memory_order_relaxed);
	__builtin_memcpy(&desc.len, &second, sizeof(second));
	return desc;
}

static inline void ring_addr_set(const struct ring *r, uint32_t idx, uint64_t addr)
{
	atomic_store_explicit(ring_addr_at(r, idx), addr, memory_order_relaxed);
}

static inline uint64_t ring_addr_get(const struct ring *r, uint32_t idx)
{
	return atomic_load_explicit(ring_addr_at(r, idx), memory_order_relaxed);
}

/*
 * Producer: ring_room(), then ring_*_set(r, r->next + i, ...) and `r->next += n` at will, then
 * ring_publish().
 */

/* Entries that may be written now; at least `want` if there is room for so many. RING_BAD: the consumer lied. */
static inline uint32_t ring_room(struct ring *r, uint32_t want)
{
	uint32_t cnt = r->mask + 1;

	if (unlikely(cnt - (r->next - r->cached) < want)) {
		/* Acquire: the consumer has read the entries that we are going to write over. */
		uint32_t seen = atomic_load_explicit(r->consumer, memory_order_acquire);

		/* Its index may only move forward, and not past what was produced. */
		if (unlikely(r->next - seen > r->next - r->cached))
			return RING_BAD;
		r->cached = seen;
	}
	return cnt - (r->next - r->cached);
}

/* Show the consumer everything up to `r->next`. True: it asked to be woken; ring_claim_wake() or the kernel's own way follows. */
static inline bool ring_publish(struct ring *r)
{
	atomic_store_explicit(r->producer, r->next, RING_ORDER_A);
	return unlikely(atomic_load_explicit(r->flags, RING_ORDER_B) & RING_NEED_WAKEUP);
}

/* The same for a consumer that need not be woken: it looks when something else wakes it. In order with what either end reads after it, stack/tcp_withdraw.c. */
static inline void ring_show(struct ring *r)
{
	atomic_store_explicit(r->producer, r->next, memory_order_seq_cst);
}

/* After ring_publish() said so, on rings between programs: true if this call is the one that has to ring the doorbell. */
static inline bool ring_claim_wake(struct ring *r)
{
	return (atomic_exchange_explicit(r->flags, 0, memory_order_acq_rel) & RING_NEED_WAKEUP) !=
	       0;
}

/*
 * Consumer: ring_ready(), then ring_*_get(r, r->next + i) and ring_release().
 */

/* Entries to consume, 0 only if there are none. RING_BAD: the producer lied. */
static inline uint32_t ring_ready(struct ring *r)
{
	uint32_t ready = r->cached - r->next;

	if (ready == 0) {
		uint32_t seen = atomic_load_explicit(r->producer, memory_order_acquire);

		ready = seen - r->next;
		if (unlikely(ready > r->mask + 1))
			return RING_BAD;
		r->cached = seen;
	}
	return ready;
}

/* The next `n` entries have been read; the producer may write over them. */
static inline void ring_release(struct ring *r, uint32_t n)
{
	r->next += n;
	atomic_store_explicit(r->consumer, r->next, memory_order_release);
}

/* First half of going to sleep: ask to be woken. */
static inline void ring_arm(struct ring *r)
{
	atomic_store_explicit(r->flags, RING_NEED_WAKEUP, RING_ORDER_C);
}

/* Second half: 0 means sleep. Otherwise as ring_ready(), and the request should be withdrawn. */
static inline uint32_t ring_armed_ready(struct ring *r)
{
	uint32_t seen = atomic_load_explicit(r->producer, RING_ORDER_D);
	uint32_t ready = seen - r->next;

	if (unlikely(ready > r->mask + 1 || ready < r->cached - r->next))
		return RING_BAD;
	r->cached = seen;
	return ready;
}

/* Withdraw the request. Relaxed: a producer that still sees it rings once too often, which harms nothing. */
static inline void ring_disarm(struct ring *r)
{
	atomic_store_explicit(r->flags, 0, memory_order_relaxed);
}

#endif
