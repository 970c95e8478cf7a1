// SPDX-License-Identifier: BSD-2-Clause
/* A channel end over rings of the kernel (channel/attach.h): the test plays the kernel, honest and not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vj/channel.h>

#include "base/types.h"
#include "channel/attach.h"

enum { FRAME = 2048, HALF = 8, ALL = 2 * HALF, RING_BYTES = 4096, KERNEL_HEADROOM = 256 };

struct kernel {
	uint8_t rings[4][RING_BYTES] VJ_ALIGNED(64);
	uint8_t frames[ALL * FRAME] VJ_ALIGNED(64);
	struct channel_rings params;
	struct ring rx, fill, tx, completion; /* its view, by the application's names */
	struct vj_channel *ch;
	unsigned fill_wakes, tx_wakes;
	uint32_t last_next;
};

/* Not ours (area.h): each ring of the kernel's may lie as it likes. */
static const struct ring_offsets offsets[4] = {
	{ .producer = 0, .consumer = 64, .flags = 128, .desc = 256 },
	{ .producer = 64, .consumer = 128, .flags = 192, .desc = 320 },
	{ .producer = 0, .consumer = 64, .flags = 128, .desc = 192 },
	{ .producer = 128, .consumer = 64, .flags = 0, .desc = 512 },
};

static bool wake(void *arg, bool fill, uint32_t next)
{
	struct kernel *k = arg;

	k->fill_wakes += fill;
	k->tx_wakes += !fill;
	k->last_next = next;
	return !fill;
}

static struct channel_ring ring_of(struct kernel *k, unsigned i, uint32_t cnt)
{
	return (struct channel_ring){ .mem = k->rings[i], .at = offsets[i], .cnt = cnt };
}

static struct kernel *kernel_new(void)
{
	struct kernel *k = aligned_alloc(64, sizeof(*k));

	assert_non_null(k);
	memset(k, 0, sizeof(*k));
	k->params = (struct channel_rings){
		.rx = ring_of(k, 0, HALF),
		.fill = ring_of(k, 1, ALL),
		.tx = ring_of(k, 2, ALL),
		.completion = ring_of(k, 3, HALF),
		.frames = k->frames,
		.frame_bytes = FRAME,
		.rx_frame_cnt = HALF,
		.tx_frame_cnt = HALF,
		.wake = wake,
		.wake_arg = k,
	};
	ring_init(&k->rx, k->rings[0], &offsets[0], HALF, 0, 0);
	ring_init(&k->fill, k->rings[1], &offsets[1], ALL, 0, 0);
	ring_init(&k->tx, k->rings[2], &offsets[2], ALL, 0, 0);
	ring_init(&k->completion, k->rings[3], &offsets[3], HALF, 0, 0);
	return k;
}

static struct kernel *kernel_attached(void)
{
	struct kernel *k = kernel_new();

	assert_int_equal(channel_attach_kernel(&k->params, &k->ch), 0);
	return k;
}

static void kernel_free(struct kernel *k)
{
	vj_channel_detach(k->ch);
	free(k);
}

static void kernel_rx(struct kernel *k, struct ring_desc desc)
{
	ring_desc_set(&k->rx, k->rx.next++, desc);
	ring_publish(&k->rx);
}

/* A frame from the wire, as the kernel does it: taken from fill, written behind its headroom. The caller releases fill. */
static void kernel_receives(struct kernel *k, uint32_t at, uint8_t byte)
{
	uint64_t addr = ring_addr_get(&k->fill, k->fill.next + at) + KERNEL_HEADROOM;

	memset(k->frames + addr, byte, 100);
	kernel_rx(k, (struct ring_desc){ .addr = addr, .len = 100 });
}

static void kernel_completes(struct kernel *k, uint64_t addr)
{
	ring_addr_set(&k->completion, k->completion.next++, addr);
	ring_publish(&k->completion);
}

/* ---- tests --------------------------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
	static const struct {
		size_t member;
		uint32_t value;
	} wrong[] = {
		{ offsetof(struct channel_rings, frame_bytes), 1024 },
		{ offsetof(struct channel_rings, frame_bytes), 3000 },
		{ offsetof(struct channel_rings, rx_frame_cnt), 0 },
		{ offsetof(struct channel_rings, rx_frame_cnt), HALF + 1 },
		{ offsetof(struct channel_rings, tx_frame_cnt), 0 },
		{ offsetof(struct channel_rings, rx.cnt), HALF / 2 },
		{ offsetof(struct channel_rings, rx.cnt), HALF + 1 },
		{ offsetof(struct channel_rings, fill.cnt), HALF },
		{ offsetof(struct channel_rings, tx.cnt), HALF },
		{ offsetof(struct channel_rings, completion.cnt), HALF / 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct kernel *k = kernel_new();

		memcpy((uint8_t *)&k->params + wrong[i].member, &wrong[i].value, sizeof(uint32_t));
		assert_int_equal(channel_attach_kernel(&k->params, &k->ch), -EINVAL);
		kernel_free(k);
	}
	for (unsigned i = 0; i < 4; i++) {
		struct kernel *k = kernel_new();

		k->rings[i][offsets[i].consumer] = 1; /* somebody has used it */
		assert_int_equal(channel_attach_kernel(&k->params, &k->ch), -EINVAL);
		kernel_free(k);
	}
}

/* From the start the kernel may receive in all of the first half, and we may send in all of the second. */
static void test_start(void **state)
{
	struct kernel *k = kernel_attached();
	struct vj_buf bufs[HALF + 1];

	(void)state;
	assert_int_equal(ring_ready(&k->fill), HALF);
	for (uint32_t i = 0; i < HALF; i++)
		assert_int_equal(ring_addr_get(&k->fill, i), i * FRAME);
	assert_int_equal(k->fill_wakes, 1);
	assert_int_equal(k->last_next, HALF);
	assert_int_equal(vj_channel_tx_get(k->ch, bufs, HALF + 1), HALF);
	for (uint32_t i = 0; i < HALF; i++)
		assert_int_equal(bufs[i].addr / FRAME, HALF + i);
	kernel_free(k);
}

/* There and back many times round the rings, in the kernel's order: rx shows before fill's consumer moves. */
static void test_rounds(void **state)
{
	struct kernel *k = kernel_attached();

	(void)state;
	for (uint32_t round = 0; round < 100; round++) {
		uint32_t n = 1 + round % HALF;
		struct vj_buf bufs[HALF];

		assert_true(ring_ready(&k->fill) >= n);
		for (uint32_t i = 0; i < n; i++)
			kernel_receives(k, i, (uint8_t)(round + i));
		for (uint32_t got = 0; got < n;)
			got += vj_channel_rx(k->ch, bufs + got, n - got);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(bufs[i].data[99], (uint8_t)(round + i));
		vj_channel_rx_free(k->ch, bufs, n); /* into a fill ring that still has them, as it seems */
		assert_int_equal(k->last_next, k->fill.next + HALF + n);
		ring_release(&k->fill, n);
		k->fill.cached = k->last_next;

		for (uint32_t got = 0; got < n;)
			got += vj_channel_tx_get(k->ch, bufs + got, n - got);
		for (uint32_t i = 0; i < n; i++) {
			bufs[i].len = 60;
			bufs[i].data[0] = (uint8_t)i;
		}
		vj_channel_tx_put(k->ch, bufs, n);
		vj_channel_tx_publish(k->ch);
		assert_int_equal(ring_ready(&k->tx), n);
		for (uint32_t i = 0; i < n; i++) {
			struct ring_desc desc = ring_desc_get(&k->tx, k->tx.next + i);

			assert_int_equal(k->frames[desc.addr], i);
			assert_in_range(desc.addr, HALF * FRAME, ALL * FRAME - 60);
			kernel_completes(k, desc.addr); /* before tx's consumer moves */
		}
		ring_release(&k->tx, n);
	}
	assert_int_equal(vj_channel_error(k->ch), VJ_CHANNEL_ERR_NONE);
	assert_int_equal(vj_channel_rx_held(k->ch), 0);
	kernel_free(k);
}

/* The request in tx's flags is the kernel's to withdraw; without one there is no call. */
static void test_wake(void **state)
{
	struct kernel *k = kernel_attached();
	struct vj_buf buf;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		if (i == 2)
			ring_arm(&k->tx);
		assert_int_equal(vj_channel_tx_get(k->ch, &buf, 1), 1);
		buf.len = 60;
		vj_channel_tx_put(k->ch, &buf, 1);
		vj_channel_tx_publish(k->ch);
		assert_int_equal(k->tx_wakes, i < 2 ? 0 : i - 1);
		assert_int_equal(*k->tx.flags, i < 2 ? 0 : RING_NEED_WAKEUP);
	}
	kernel_free(k);
}

static enum vj_channel_error rx_error(struct ring_desc desc)
{
	struct kernel *k = kernel_attached();
	enum vj_channel_error error;
	struct vj_buf buf;

	kernel_rx(k, desc);
	assert_int_equal(vj_channel_rx(k->ch, &buf, 1), 0);
	error = vj_channel_error(k->ch);
	kernel_free(k);
	return error;
}

static enum vj_channel_error completion_error(uint64_t addr)
{
	struct kernel *k = kernel_attached();
	enum vj_channel_error error;
	struct vj_buf bufs[HALF + 1];

	kernel_completes(k, addr);
	vj_channel_tx_get(k->ch, bufs, HALF + 1);
	error = vj_channel_error(k->ch);
	kernel_free(k);
	return error;
}

/* The other pool's frames are in the same memory, and nobody's. */
static void test_violations(void **state)
{
	struct kernel *k;
	struct vj_buf buf;

	(void)state;
	assert_int_equal(rx_error((struct ring_desc){ .addr = HALF * FRAME, .len = 60 }), VJ_CHANNEL_ERR_RX_OWNER);
	assert_int_equal(rx_error((struct ring_desc){ .addr = ALL * FRAME, .len = 60 }), VJ_CHANNEL_ERR_RX_ADDR);
	assert_int_equal(rx_error((struct ring_desc){ .addr = 0, .len = FRAME + 1 }), VJ_CHANNEL_ERR_RX_LEN);
	assert_int_equal(rx_error((struct ring_desc){ .addr = 0, .len = 60, .options = 1 }), VJ_CHANNEL_ERR_RX_OPTIONS);
	assert_int_equal(completion_error(0), VJ_CHANNEL_ERR_FREE_OWNER);
	assert_int_equal(completion_error(HALF * FRAME), VJ_CHANNEL_ERR_FREE_OWNER); /* never sent */
	assert_int_equal(completion_error(ALL * FRAME), VJ_CHANNEL_ERR_FREE_ADDR);
	k = kernel_attached();
	kernel_rx(k, (struct ring_desc){ .addr = KERNEL_HEADROOM, .len = 60 });
	kernel_rx(k, (struct ring_desc){ .addr = KERNEL_HEADROOM, .len = 60 });
	assert_int_equal(vj_channel_rx(k->ch, &buf, 1), 1);
	assert_int_equal(vj_channel_rx(k->ch, &buf, 1), 0); /* the same once more */
	assert_int_equal(vj_channel_error(k->ch), VJ_CHANNEL_ERR_RX_OWNER);
	kernel_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_start),	   cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_wake),	cmocka_unit_test(test_violations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
