// SPDX-License-Identifier: BSD-2-Clause
/*
 * The other side lies. Each lie closes the channel with its own reason, and from then on nothing in the shared memory
 * is used any more.
 */
#include "tests/unit/channel_test.h"

#include <pthread.h>
#include <sched.h>

#include "base/prng.h"
#include "base/time.h"
#include "channel/sys.h"

static const struct vj_area_params small = SMALL_PARAMS;

/* One lie and what it is met with. `lie` also makes the honest moves that lead to it. */
struct lie_case {
	const char *name;
	void (*lie)(struct channel_pair *pair);
	enum vj_channel_error want;
};

/* End 0 sends `n` frames; the peer neither takes nor gives back anything by itself. */
static unsigned int end_send(struct channel_pair *pair, unsigned int n)
{
	struct vj_buf bufs[16];

	n = vj_channel_tx_get(pair->ch[0], bufs, n);
	for (unsigned int i = 0; i < n; i++)
		bufs[i].len = 60;
	vj_channel_tx_put(pair->ch[0], bufs, n);
	vj_channel_tx_publish(pair->ch[0]);
	return n;
}

static unsigned int end_receive(struct channel_pair *pair)
{
	struct vj_buf bufs[16];
	unsigned int n = vj_channel_rx(pair->ch[0], bufs, 16);

	vj_channel_rx_free(pair->ch[0], bufs, n);
	return n;
}

static void set_word(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* Data ring. */

static void lie_rx_producer_far(struct channel_pair *pair)
{
	set_word(pair->peer_rx.producer, pair->start_idx + small.ring_cnt + 1);
	end_receive(pair);
}

static void lie_rx_producer_half(struct channel_pair *pair)
{
	set_word(pair->peer_rx.producer, pair->start_idx + (UINT32_C(1) << 31));
	assert_false(vj_channel_rx_ready(pair->ch[0]));
}

static void lie_rx_producer_back(struct channel_pair *pair)
{
	peer_send(pair, 0, 60, 0);
	assert_int_equal(end_receive(pair), 1);
	set_word(pair->peer_rx.producer, pair->start_idx);
	end_receive(pair);
}

static void lie_rx_producer_at_sleep(struct channel_pair *pair)
{
	set_word(pair->peer_rx.producer, pair->start_idx - 1);
	assert_false(vj_channel_arm(pair->ch[0], false));
}

/* It was 2 when it was last read; now it is 1, although the one read has not been consumed. */
static void lie_rx_producer_retreat(struct channel_pair *pair)
{
	struct vj_buf buf;

	peer_send(pair, 0, 60, 0);
	peer_send(pair, 2048, 60, 0);
	assert_int_equal(vj_channel_rx(pair->ch[0], &buf, 1), 1);
	set_word(pair->peer_rx.producer, pair->start_idx + 1);
	assert_false(vj_channel_arm(pair->ch[0], false));
}

static void lie_rx_addr_next(struct channel_pair *pair)
{
	peer_send(pair, 8 * 2048, 60, 0);
	assert_int_equal(end_receive(pair), 0);
}

static void lie_rx_addr_huge(struct channel_pair *pair)
{
	peer_send(pair, UINT64_MAX, 60, 0);
	assert_int_equal(end_receive(pair), 0);
}

/* Would be inside after an addition that overflows. */
static void lie_rx_addr_wraps(struct channel_pair *pair)
{
	peer_send(pair, UINT64_MAX - 2047, 2048 + 60, 0);
	assert_int_equal(end_receive(pair), 0);
}

static void lie_rx_len_over(struct channel_pair *pair)
{
	peer_send(pair, 0, 2049, 0);
	assert_int_equal(end_receive(pair), 0);
}

static void lie_rx_len_over_from_offset(struct channel_pair *pair)
{
	peer_send(pair, 2048 + 2000, 49, 0);
	assert_int_equal(end_receive(pair), 0);
}

static void lie_rx_len_overflow(struct channel_pair *pair)
{
	peer_send(pair, 2047, UINT32_MAX, 0);
	assert_int_equal(end_receive(pair), 0);
}

static void lie_rx_len_zero(struct channel_pair *pair)
{
	peer_send(pair, 0, 0, 0);
	assert_int_equal(end_receive(pair), 0);
}

static void lie_rx_options(struct channel_pair *pair)
{
	peer_send(pair, 0, 60, 1);
	assert_int_equal(end_receive(pair), 0);
}

/* One frame twice, in one batch: the first is good and stays. */
static void lie_rx_twice(struct channel_pair *pair)
{
	struct vj_buf bufs[4];

	peer_send(pair, 2048, 60, 0);
	peer_send(pair, 2048 + 64, 60, 0);
	assert_int_equal(vj_channel_rx(pair->ch[0], bufs, 4), 1);
	assert_int_equal(bufs[0].addr, 2048);
	assert_int_equal(vj_channel_rx_held(pair->ch[0]), 1);
}

/* ... and while the program still holds it from an earlier one. */
static void lie_rx_held(struct channel_pair *pair)
{
	struct vj_buf bufs[4];

	peer_send(pair, 2048, 60, 0);
	assert_int_equal(vj_channel_rx(pair->ch[0], bufs, 4), 1);
	peer_send(pair, 2048, 60, 0);
	assert_int_equal(vj_channel_rx(pair->ch[0], bufs, 4), 0);
}

/* Free ring. */

static void lie_free_producer(struct channel_pair *pair)
{
	struct vj_buf buf;

	set_word(pair->peer_completion.producer, pair->start_idx + small.frame_cnt + small.ring_cnt + 1);
	assert_int_equal(vj_channel_tx_get(pair->ch[0], &buf, 1), 0);
}

static void lie_free_producer_ready(struct channel_pair *pair)
{
	assert_int_equal(end_send(pair, 8), 8);
	set_word(pair->peer_completion.producer, pair->start_idx - 1);
	assert_false(vj_channel_tx_ready(pair->ch[0]));
}

static void lie_free_producer_at_sleep(struct channel_pair *pair)
{
	assert_int_equal(end_send(pair, 8), 8);
	set_word(pair->peer_completion.producer, pair->start_idx);
	assert_false(vj_channel_arm(pair->ch[0], true));
}

static void lie_free_addr(struct channel_pair *pair)
{
	assert_int_equal(end_send(pair, 8), 8);
	peer_give(pair, 8 * 2048);
	end_send(pair, 1);
}

static void lie_free_addr_huge(struct channel_pair *pair)
{
	assert_int_equal(end_send(pair, 8), 8);
	peer_give(pair, UINT64_MAX);
	end_send(pair, 1);
}

/* A frame given that is still in the program's hands. */
static void lie_free_held(struct channel_pair *pair)
{
	struct vj_buf buf, more[8];

	assert_int_equal(vj_channel_tx_get(pair->ch[0], &buf, 1), 1);
	assert_int_equal(vj_channel_tx_get(pair->ch[0], more, 7), 7);
	peer_give(pair, buf.addr);
	assert_int_equal(vj_channel_tx_get(pair->ch[0], more, 1), 0);
}

/* ... or was given back unused and waits for the next turn. */
static void lie_free_stashed(struct channel_pair *pair)
{
	struct vj_buf bufs[8];

	assert_int_equal(vj_channel_tx_get(pair->ch[0], bufs, 8), 8);
	vj_channel_tx_unget(pair->ch[0], bufs, 1);
	peer_give(pair, bufs[0].addr);
	assert_int_equal(vj_channel_tx_get(pair->ch[0], bufs, 2), 1);
}

/* ... or was never used. */
static void lie_free_fresh(struct channel_pair *pair)
{
	struct vj_buf bufs[8];

	assert_int_equal(end_send(pair, 1), 1);
	peer_give(pair, 2048);
	assert_int_equal(vj_channel_tx_get(pair->ch[0], bufs, 8), 0);
}

static void lie_free_twice(struct channel_pair *pair)
{
	assert_int_equal(end_send(pair, 8), 8);
	peer_give(pair, 2048);
	peer_give(pair, 2048);
	assert_int_equal(end_send(pair, 8), 1);
}

/* Indices of the peer as consumer. */

/* Frames come back although their descriptors were never consumed: after 16 entries the ring would overflow. */
static void lie_tx_consumer_stuck(struct channel_pair *pair)
{
	for (uint64_t round = 0; round < 3; round++) {
		end_send(pair, 8);
		for (uint64_t frame = 0; frame < 8; frame++)
			peer_give(pair, frame * 2048);
	}
}

static void lie_tx_consumer_ahead(struct channel_pair *pair)
{
	set_word(pair->peer_tx.consumer, pair->start_idx + small.ring_cnt + 1);
	lie_tx_consumer_stuck(pair);
}

static void lie_fill_consumer_stuck(struct channel_pair *pair)
{
	for (uint64_t i = 0; i < 17; i++) {
		peer_send(pair, i % 8 * 2048, 60, 0);
		end_receive(pair);
	}
}

static void lie_fill_consumer_back(struct channel_pair *pair)
{
	set_word(pair->peer_fill.consumer, pair->start_idx - 1);
	lie_fill_consumer_stuck(pair);
}

/* Not lies, but reasons all the same. */

static void peer_is_gone(struct channel_pair *pair)
{
	vj_channel_close(pair->ch[0], VJ_CHANNEL_ERR_PEER_GONE);
	vj_channel_close(pair->ch[0], VJ_CHANNEL_ERR_CLOSED); /* the first reason stays */
}

static void closed_by_us(struct channel_pair *pair)
{
	vj_channel_close(pair->ch[0], VJ_CHANNEL_ERR_CLOSED);
}

static const struct lie_case lies[] = {
	{ "rx producer too far", lie_rx_producer_far, VJ_CHANNEL_ERR_RX_INDEX },
	{ "rx producer by 2^31", lie_rx_producer_half, VJ_CHANNEL_ERR_RX_INDEX },
	{ "rx producer back", lie_rx_producer_back, VJ_CHANNEL_ERR_RX_INDEX },
	{ "rx producer back, seen at sleep", lie_rx_producer_at_sleep, VJ_CHANNEL_ERR_RX_INDEX },
	{ "rx producer before what was read", lie_rx_producer_retreat, VJ_CHANNEL_ERR_RX_INDEX },
	{ "rx address behind the pool", lie_rx_addr_next, VJ_CHANNEL_ERR_RX_ADDR },
	{ "rx address 2^64 - 1", lie_rx_addr_huge, VJ_CHANNEL_ERR_RX_ADDR },
	{ "rx address and length overflow", lie_rx_addr_wraps, VJ_CHANNEL_ERR_RX_ADDR },
	{ "rx length", lie_rx_len_over, VJ_CHANNEL_ERR_RX_LEN },
	{ "rx length from inside", lie_rx_len_over_from_offset, VJ_CHANNEL_ERR_RX_LEN },
	{ "rx length overflows 32 bits", lie_rx_len_overflow, VJ_CHANNEL_ERR_RX_LEN },
	{ "rx length 0", lie_rx_len_zero, VJ_CHANNEL_ERR_RX_LEN },
	{ "rx options", lie_rx_options, VJ_CHANNEL_ERR_RX_OPTIONS },
	{ "rx frame twice", lie_rx_twice, VJ_CHANNEL_ERR_RX_OWNER },
	{ "rx frame held", lie_rx_held, VJ_CHANNEL_ERR_RX_OWNER },
	{ "free producer too far", lie_free_producer, VJ_CHANNEL_ERR_FREE_INDEX },
	{ "free producer back", lie_free_producer_ready, VJ_CHANNEL_ERR_FREE_INDEX },
	{ "free producer back, at sleep", lie_free_producer_at_sleep, VJ_CHANNEL_ERR_FREE_INDEX },
	{ "free address behind the pool", lie_free_addr, VJ_CHANNEL_ERR_FREE_ADDR },
	{ "free address 2^64 - 1", lie_free_addr_huge, VJ_CHANNEL_ERR_FREE_ADDR },
	{ "free frame held", lie_free_held, VJ_CHANNEL_ERR_FREE_OWNER },
	{ "free frame stashed", lie_free_stashed, VJ_CHANNEL_ERR_FREE_OWNER },
	{ "free frame fresh", lie_free_fresh, VJ_CHANNEL_ERR_FREE_OWNER },
	{ "free frame twice", lie_free_twice, VJ_CHANNEL_ERR_FREE_OWNER },
	{ "tx consumer stuck", lie_tx_consumer_stuck, VJ_CHANNEL_ERR_CONSUMER_INDEX },
	{ "tx consumer ahead", lie_tx_consumer_ahead, VJ_CHANNEL_ERR_CONSUMER_INDEX },
	{ "fill consumer stuck", lie_fill_consumer_stuck, VJ_CHANNEL_ERR_CONSUMER_INDEX },
	{ "fill consumer back", lie_fill_consumer_back, VJ_CHANNEL_ERR_CONSUMER_INDEX },
	{ "peer gone", peer_is_gone, VJ_CHANNEL_ERR_PEER_GONE },
	{ "closed", closed_by_us, VJ_CHANNEL_ERR_CLOSED },
};

/* Closed: nothing comes, nothing goes, nothing is written, nothing crashes. */
static void closed_expect(struct channel_pair *pair)
{
	size_t bytes = vj_area_bytes(&small);
	uint8_t *before = malloc(bytes);
	struct vj_channel *ch = pair->ch[0];
	struct vj_buf buf = { .data = NULL };

	assert_non_null(before);
	memcpy(before, pair->area, bytes);
	assert_int_equal(vj_channel_rx(ch, &buf, 1), 0);
	assert_int_equal(vj_channel_tx_get(ch, &buf, 1), 0);
	vj_channel_rx_free(ch, &buf, 1);
	vj_channel_tx_put(ch, &buf, 1);
	vj_channel_tx_unget(ch, &buf, 1);
	vj_channel_tx_publish(ch);
	assert_false(vj_channel_rx_ready(ch));
	assert_false(vj_channel_tx_ready(ch));
	assert_true(vj_channel_arm(ch, true));
	vj_channel_disarm(ch);
	assert_memory_equal(before, pair->area, bytes);
	free(before);
}

static void lie_run(const struct lie_case *c, uint32_t start_idx)
{
	struct channel_pair pair, other;

	pair_open(&pair, small, start_idx);
	pair_open(&other, small, start_idx);
	c->lie(&pair);
	if (vj_channel_error(pair.ch[0]) != c->want)
		print_error("%s\n", c->name);
	assert_int_equal(vj_channel_error(pair.ch[0]), c->want);
	closed_expect(&pair);

	/* Nobody else notices. */
	assert_int_equal(end_send(&other, 3), 3);
	peer_send(&other, 0, 60, 0);
	assert_int_equal(end_receive(&other), 1);
	assert_int_equal(vj_channel_error(other.ch[0]), VJ_CHANNEL_ERR_NONE);
	pair_close(&pair);
	pair_close(&other);
}

static void test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		lie_run(&lies[i], 0);
		lie_run(&lies[i], UINT32_MAX - 2);
	}
}

static void test_every_reason_is_produced(void **state)
{
	uint32_t produced = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		produced |= 1u << lies[i].want;
#define X(name, text)                                                \
	if (VJ_CHANNEL_ERR_##name != VJ_CHANNEL_ERR_NONE)            \
		assert_true(produced & 1u << VJ_CHANNEL_ERR_##name); \
	assert_string_equal(vj_channel_error_text(VJ_CHANNEL_ERR_##name), text);
	VJ_CHANNEL_ERRORS(X)
#undef X
	assert_string_equal(vj_channel_error_text((enum vj_channel_error)999), "unknown");
}

/* What looks odd but is allowed. */
static void test_not_lies(void **state)
{
	struct channel_pair pair;
	struct vj_buf buf;

	(void)state;
	pair_open(&pair, small, 0);
	/* The whole frame, and the last byte of the last one. */
	peer_send(&pair, 0, 2048, 0);
	peer_send(&pair, 8 * 2048 - 1, 1, 0);
	assert_int_equal(vj_channel_rx(pair.ch[0], &buf, 1), 1);
	assert_int_equal(buf.len, 2048);
	vj_channel_rx_free(pair.ch[0], &buf, 1);
	assert_int_equal(vj_channel_rx(pair.ch[0], &buf, 1), 1);
	assert_int_equal(buf.room, 1);
	vj_channel_rx_free(pair.ch[0], &buf, 1);
	/* A free frame may be named by any of its bytes. */
	assert_int_equal(end_send(&pair, 8), 8);
	set_word(pair.peer_tx.consumer, 8);
	peer_give(&pair, 3 * 2048 + 100);
	assert_int_equal(vj_channel_tx_get(pair.ch[0], &buf, 1), 1);
	assert_int_equal(buf.addr / 2048, 3);
	/* Flags are the sleeper's own affair; without a doorbell nothing happens. */
	set_word(pair.peer_fill.flags, UINT32_MAX);
	set_word(pair.peer_tx.flags, UINT32_MAX);
	vj_channel_tx_publish(pair.ch[0]);
	assert_int_equal(vj_channel_error(pair.ch[0]), VJ_CHANNEL_ERR_NONE);
	pair_close(&pair);
}

/*
 * Everything in the rings is rewritten while it is being read, most of it near to valid so that it gets far. What end 0
 * hands out must be inside the pools and never twice, at every moment.
 */
struct scribbler {
	struct channel_pair *pair;
	_Atomic bool stop;
};

static void scribble_ring(struct ring *r, struct prng *prng, uint32_t words)
{
	uint32_t ahead = prng_chance(prng, 1, 8) ? 40 : 5;
	uint32_t base = atomic_load_explicit(r->consumer, memory_order_relaxed);
	uint64_t addr = prng_below(prng, 8) * 2048 + prng_below(prng, 2) * 64;

	if (prng_chance(prng, 1, 500))
		addr = prng_u64(prng);
	/* Entries of a data ring are two words; the second is the length, and options in its other half. */
	for (uint32_t i = 0; i < words; i++) {
		uint64_t v = addr;

		if (words == 2 && i == 1)
			v = prng_chance(prng, 1, 500) ? prng_u64(prng) : prng_below(prng, 1900);
		atomic_store_explicit(&r->entries[(prng_u32(prng) & r->mask) * words + i], v,
				      memory_order_relaxed);
	}
	if (prng_chance(prng, 1, 4))
		atomic_store_explicit(r->producer, base + (uint32_t)prng_below(prng, ahead),
				      memory_order_relaxed);
}

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	struct ring rings[2] = { s->pair->peer_rx, s->pair->peer_completion };
	struct ring consumed[2] = { s->pair->peer_tx, s->pair->peer_fill };
	struct prng prng;

	prng_seed(&prng, 1);
	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		scribble_ring(&rings[0], &prng, 2);
		scribble_ring(&rings[1], &prng, 1);
		for (unsigned int i = 0; i < 2; i++) {
			uint32_t at =
				atomic_load_explicit(consumed[i].producer, memory_order_relaxed);

			atomic_store_explicit(consumed[i].consumer, at - prng_u32(&prng) % 9,
					      memory_order_relaxed);
			atomic_store_explicit(consumed[i].flags, prng_u32(&prng) & 1,
					      memory_order_relaxed);
		}
	}
	return NULL;
}

static void buf_expect_inside(const struct channel_pair *pair, const struct vj_buf *buf,
			      unsigned int pool, uint32_t *held)
{
	const uint8_t *mem = pair->area + pair->layout.pool[pool];
	uint64_t frame = buf->addr / 2048;

	assert_true(frame < 8);
	assert_ptr_equal(buf->data, mem + buf->addr);
	assert_true(buf->addr % 2048 + buf->room == 2048);
	assert_true(buf->len <= buf->room);
	assert_false(*held & 1u << frame);
	*held |= 1u << frame;
}

/* A life of end 0 until the scribbler makes it close. */
static enum vj_channel_error victim_run(struct channel_pair *pair)
{
	struct vj_buf rx[8], tx[8];
	enum vj_channel_error why;
	unsigned int round = 0;

	while ((why = vj_channel_error(pair->ch[0])) == VJ_CHANNEL_ERR_NONE) {
		uint32_t rx_held = 0, tx_held = 0;
		unsigned int rx_cnt = vj_channel_rx(pair->ch[0], rx, 5);
		unsigned int tx_cnt = vj_channel_tx_get(pair->ch[0], tx, 3);

		for (unsigned int i = 0; i < rx_cnt; i++)
			buf_expect_inside(pair, &rx[i], 0, &rx_held);
		for (unsigned int i = 0; i < tx_cnt; i++) {
			buf_expect_inside(pair, &tx[i], 1, &tx_held);
			tx[i].len = 64;
		}
		vj_channel_rx_free(pair->ch[0], rx, rx_cnt);
		vj_channel_tx_put(pair->ch[0], tx, tx_cnt);
		vj_channel_tx_publish(pair->ch[0]);
		vj_channel_arm(pair->ch[0], true);
		vj_channel_disarm(pair->ch[0]);
		/* Where both share a CPU nothing is rewritten unless we let it. */
		if (++round % 256 == 0)
			sched_yield();
	}
	return why;
}

static void test_rewritten_while_read(void **state)
{
	/* A second is plenty, but on a busy machine the two may hardly ever run at the same time. */
	uint64_t start_ns = sys_clock_ns(), spent_ns;
	const uint32_t want = 1u << VJ_CHANNEL_ERR_RX_OWNER | 1u << VJ_CHANNEL_ERR_FREE_OWNER |
			      1u << VJ_CHANNEL_ERR_RX_INDEX;
	struct scribbler scribbler = { .stop = false };
	uint32_t closed_cnt = 0, reasons = 0;
	struct channel_pair pair;
	pthread_t thread;

	(void)state;
	pair_open(&pair, small, UINT32_MAX - 100);
	scribbler.pair = &pair;
	assert_int_equal(pthread_create(&thread, NULL, scribble, &scribbler), 0);
	while ((spent_ns = sys_clock_ns() - start_ns) < NS_PER_SEC ||
	       (spent_ns < 30 * NS_PER_SEC && ((reasons & want) != want || closed_cnt < 50))) {
		reasons |= 1u << victim_run(&pair);
		closed_cnt++;
		/* Not pair_reset(): the peer's rings are the scribbler's now. */
		vj_channel_detach(pair.ch[0]);
		assert_int_equal(area_init_at(pair.area, &pair.params, pair.start_idx), 0);
		pair.ch[0] = pair_attach(&pair, 0, -1);
	}
	atomic_store(&scribbler.stop, true);
	pthread_join(thread, NULL);
	print_message("%u lives, reasons %#x\n", closed_cnt, reasons);
	assert_true(closed_cnt >= 50);
	assert_int_equal(reasons & want, want);
	assert_false(reasons & (1u << VJ_CHANNEL_ERR_NONE | 1u << VJ_CHANNEL_ERR_PEER_GONE |
				1u << VJ_CHANNEL_ERR_CLOSED));
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_every_reason_is_produced),
		cmocka_unit_test(test_not_lies),
		cmocka_unit_test(test_rewritten_while_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
