// SPDX-License-Identifier: BSD-2-Clause
/*
 * A link and memory for tests of the stack: every frame is a heap block of its exact size, so that
 * AddressSanitizer sees each byte read too far and each use after rx_free(); and all that goes in
 * is counted until it has come out.
 */
#ifndef VJ_TESTS_SIM_FAKE_LINK_H
#define VJ_TESTS_SIM_FAKE_LINK_H

#include "base/assert.h"
#include "stack/stack.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------- */

struct fake_mem {
	size_t bytes;	  /* out */
	size_t bytes_max; /* refuse above; 0: no limit */
};

static inline void *fake_mem_get(void *arg, size_t bytes)
{
	struct fake_mem *mem = arg;
	void *p;

	VJ_ASSERT(bytes >= 65536 && bytes % 4096 == 0);
	if (mem->bytes_max != 0 && mem->bytes + bytes > mem->bytes_max)
		return NULL;
	p = aligned_alloc(4096, bytes);
	VJ_ASSERT(p != NULL);
	memset(p, 0, bytes);
	mem->bytes += bytes;
	return p;
}

static inline void fake_mem_put(void *arg, void *p, size_t bytes)
{
	struct fake_mem *mem = arg;

	VJ_ASSERT_OP(mem->bytes, >=, bytes);
	mem->bytes -= bytes;
	free(p);
}

/* Limits that suit most tests. */
static inline struct stack_config fake_stack_config(struct fake_mem *mem)
{
	struct stack_config cfg = {
		.seed = 1,
		.conns_max = 1000,
		.mem_bytes_max = (uint64_t)256 << 20,
		.mem_get = fake_mem_get,
		.mem_put = fake_mem_put,
		.mem_arg = mem,
	};

	memset(cfg.secret, 0x5a, sizeof(cfg.secret));
	return cfg;
}

/* ---- link ------------------------------------------------------------------------------------ */

#define FAKE_SENT_MAX 4096

struct fake_link {
	struct link_frame sent[FAKE_SENT_MAX]; /* in order; fake_link_next() takes them */
	uint32_t sent_first;
	uint32_t sent_cnt;
	uint32_t tx_max;   /* frames that may wait in `sent`; past it tx_get() fails */
	uint32_t tx_bytes; /* of each frame */
	uint32_t tx_open;  /* taken, neither put nor ungot */
	uint32_t rx_out;   /* handed in and not freed */
	uint64_t tx_refused;
	uint32_t tx_unawaited; /* for which nobody waits */
	uint8_t mac[6], peer_mac[6];
	uint32_t taken_back[2]; /* promises, by the far end, by us */
	uint32_t withdrawn[2];	/* calls, likewise */
	bool withdraws; /* the far end does when it is shown something */
	uint32_t withdraws_again; /* it does behind so many looks at that number */
};

static inline bool fake_tx_get(void *drv, struct link_frame *ret_frame)
{
	struct fake_link *link = drv;
	uint8_t *data;

	if (link->sent_cnt + link->tx_open >= link->tx_max) {
		link->tx_refused++;
		return false;
	}
	data = malloc(link->tx_bytes);
	VJ_ASSERT(data != NULL);
	memset(data, 0xee, link->tx_bytes);
	*ret_frame = (struct link_frame){
		.data = data,
		.room = link->tx_bytes,
		.token = (uint64_t)(uintptr_t)data,
	};
	link->tx_open++;
	return true;
}

static inline void fake_tx_put(void *drv, const struct link_frame *frame)
{
	struct fake_link *link = drv;

	VJ_ASSERT_OP(link->tx_open, >, 0u);
	VJ_ASSERT_OP(frame->len, <=, frame->room);
	VJ_ASSERT_OP(frame->token, ==, (uint64_t)(uintptr_t)frame->data);
	link->tx_open--;
	link->sent[(link->sent_first + link->sent_cnt++) % FAKE_SENT_MAX] = *frame;
}

static inline void fake_tx_unget(void *drv, const struct link_frame *frame)
{
	struct fake_link *link = drv;

	VJ_ASSERT_OP(link->tx_open, >, 0u);
	link->tx_open--;
	free(frame->data);
}

static inline void fake_tx_unawaited(void *drv)
{
	struct fake_link *link = drv;

	link->tx_unawaited++;
}

static inline void fake_rx_free(void *drv, const struct link_frame *frame)
{
	struct fake_link *link = drv;

	VJ_ASSERT_OP(link->rx_out, >, 0u);
	VJ_ASSERT_OP(frame->token, ==, (uint64_t)(uintptr_t)frame->data);
	link->rx_out--;
	free(frame->data);
}

static inline void fake_take_back(void *drv)
{
	struct fake_link *link = drv;

	link->taken_back[1]++;
}

static inline uint32_t fake_taken_back(void *drv, bool by_us)
{
	const struct fake_link *link = drv;

	return link->taken_back[by_us];
}

static inline uint32_t fake_withdrawn(void *drv, bool by_us)
{
	struct fake_link *link = drv;
	uint32_t withdrawn = link->withdrawn[by_us];

	if (!by_us && link->withdraws_again != 0) {
		link->withdraws_again--;
		link->withdrawn[0]++;
	}
	return withdrawn;
}

static inline uint32_t fake_show(void *drv)
{
	struct fake_link *link = drv;

	link->withdrawn[0] += link->withdraws;
	link->withdraws = false;
	return link->withdrawn[0];
}

static const struct link_ops fake_link_ops = {
	.tx_get = fake_tx_get,
	.tx_put = fake_tx_put,
	.tx_unget = fake_tx_unget,
	.tx_unawaited = fake_tx_unawaited,
	.rx_free = fake_rx_free,
	.take_back = fake_take_back,
	.taken_back = fake_taken_back,
	.withdrawn = fake_withdrawn,
	.show = fake_show,
};

static inline void fake_link_init(struct fake_link *link, uint32_t mtu)
{
	static const uint8_t mac[6] = { 0x02, 0, 0, 0, 0, 1 },
			     peer_mac[6] = { 0x02, 0, 0, 0, 0, 2 };

	memset(link, 0, sizeof(*link));
	link->tx_max = FAKE_SENT_MAX;
	link->tx_bytes = mtu + 14;
	memcpy(link->mac, mac, 6);
	memcpy(link->peer_mac, peer_mac, 6);
}

static inline struct link_config fake_link_config(struct fake_link *link, uint32_t mtu,
						  uint32_t flags)
{
	struct link_config cfg = {
		.ops = &fake_link_ops,
		.drv = link,
		.mtu = mtu,
		.flags = flags,
		.rx_hold_max = 16,
	};

	memcpy(cfg.mac, link->mac, 6);
	memcpy(cfg.peer_mac, link->peer_mac, 6);
	return cfg;
}

/* A copy of @len bytes as a received frame, to be passed to stack_rx() */
static inline struct link_frame fake_link_frame(struct fake_link *link, const void *bytes,
						uint32_t len)
{
	uint8_t *data = malloc(len != 0 ? len : 1);

	VJ_ASSERT(data != NULL);
	memcpy(data, bytes, len);
	link->rx_out++;
	return (struct link_frame){
		.data = data,
		.len = len,
		.room = len,
		.token = (uint64_t)(uintptr_t)data,
	};
}

static inline void fake_link_rx(struct stack *s, struct link_id id, struct fake_link *link,
				const void *bytes, uint32_t len)
{
	struct link_frame frame = fake_link_frame(link, bytes, len);

	stack_rx(s, id, &frame, 1);
}

/* The oldest frame sent: false: none. The caller frees ret_frame->data. */
static inline bool fake_link_next(struct fake_link *link, struct link_frame *ret_frame)
{
	if (link->sent_cnt == 0)
		return false;
	*ret_frame = link->sent[link->sent_first];
	link->sent_first = (link->sent_first + 1) % FAKE_SENT_MAX;
	link->sent_cnt--;
	return true;
}

/* Throw away what was sent. */
static inline void fake_link_drain(struct fake_link *link)
{
	struct link_frame frame;

	while (fake_link_next(link, &frame))
		free(frame.data);
}

#endif
