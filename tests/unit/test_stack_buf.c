// SPDX-License-Identifier: BSD-2-Clause
#include "tests/unit/stack_stubs.h"

#define REF_BYTES 400000

/* What a queue should hold */
struct ref_queue {
	struct bufq q;
	struct bufq_pos pos;
	uint8_t bytes[REF_BYTES];
	uint32_t len;
};

static struct ref_queue queues[2];

static void check(const struct fix *f, struct ref_queue *rq)
{
	static uint8_t out[REF_BYTES];

	assert_int_equal(rq->q.bytes, rq->len);
	assert_int_equal(rq->q.head == 0, rq->len == 0 || rq->q.head == 0);
	bufq_read_at(&f->s->bufs, &rq->q, 0, out, rq->len, NULL);
	assert_memory_equal(out, rq->bytes, rq->len);
	if (rq->len == 0)
		assert_int_equal(rq->q.head, 0);
}

static void ref_append(struct ref_queue *rq, const uint8_t *data, uint32_t len)
{
	memcpy(rq->bytes + rq->len, data, len);
	rq->len += len;
}

static void ref_consume(struct ref_queue *rq, uint32_t len)
{
	memmove(rq->bytes, rq->bytes + len, rq->len - len);
	rq->len -= len;
	bufq_pos_consumed(&rq->pos, len);
}

/* @len bytes of @data as part of a frame, as the receive loop would hand it on */
static void append_pkt(struct fix *f, struct ref_queue *rq, const uint8_t *data, uint32_t len)
{
	static uint8_t bytes[70000];
	struct pkt pkt = { .link = link_find(&f->s->links, f->link.v), .link_id = f->link.v };

	memcpy(bytes + 54, data, len);
	memset(bytes + 54 + len, 0xaa, 10);
	pkt.frame = fake_link_frame(&f->drv, bytes, 54 + len + 10);
	assert_int_equal(bufq_append_pkt(&f->s->bufs, &rq->q, &pkt, 54, len), 0);
	if (!pkt.kept)
		link_rx_free(pkt.link, &pkt.frame);
	else
		assert_true(len > BUF_COPY_MAX);
	ref_append(rq, data, len);
}

static void random_append(struct fix *f, struct prng *prng, struct ref_queue *rq)
{
	static uint8_t data[65536];
	static const uint32_t most[] = { 1, 100, 600, 3000, 20000 };
	uint32_t len = (uint32_t)prng_below(prng, most[prng_below(prng, ARRAY_SIZE(most))] + 1);

	if (rq->len + len > REF_BYTES)
		return;
	prng_bytes(prng, data, len);
	if (prng_chance(prng, 1, 2)) {
		append_pkt(f, rq, data, len);
		return;
	}
	assert_int_equal(bufq_append(&f->s->bufs, &rq->q, data, len), 0);
	ref_append(rq, data, len);
}

static void random_read(struct fix *f, struct prng *prng, struct ref_queue *rq)
{
	static uint8_t out[REF_BYTES];
	uint32_t off = (uint32_t)prng_below(prng, rq->len + 1);
	uint32_t len = (uint32_t)prng_below(prng, rq->len - off + 1);

	bufq_read_at(&f->s->bufs, &rq->q, off, out, len, prng_chance(prng, 1, 2) ? &rq->pos : NULL);
	assert_memory_equal(out, rq->bytes + off, len);
}

static void random_remove(struct fix *f, struct prng *prng, struct ref_queue *rq)
{
	static uint8_t out[REF_BYTES];
	uint32_t len = (uint32_t)prng_below(prng, rq->len + 1);
	unsigned int what = (unsigned int)prng_below(prng, 10);

	if (what < 4) {
		bufq_consume(&f->s->bufs, &rq->q, len);
		ref_consume(rq, len);
	} else if (what < 8) {
		assert_int_equal(bufq_pull(&f->s->bufs, &rq->q, out, len), len);
		assert_memory_equal(out, rq->bytes, len);
		ref_consume(rq, len);
	} else if (what == 8) {
		bufq_cut(&f->s->bufs, &rq->q, len);
		rq->len = len;
		rq->pos = (struct bufq_pos){ 0 };
	} else {
		bufq_drop(&f->s->bufs, &rq->q);
		rq->len = 0;
		rq->pos = (struct bufq_pos){ 0 };
	}
}

static void random_other(struct fix *f, struct prng *prng)
{
	struct ref_queue *a = &queues[0], *b = &queues[1];

	if (prng_chance(prng, 1, 2)) {
		uint32_t held_by_b = 0;

		assert_int_equal(bufq_own(&f->s->bufs, &a->q), 0);
		a->pos = (struct bufq_pos){ 0 };
		assert_int_equal(bufq_own(&f->s->bufs, &b->q), 0);
		b->pos = (struct bufq_pos){ 0 };
		assert_int_equal(link_at(&f->s->links, f->link.v)->held, held_by_b);
		assert_int_equal(f->drv.rx_out, 0);
	} else if (a->len + b->len <= REF_BYTES) {
		bufq_splice(&f->s->bufs, &a->q, &b->q);
		ref_append(a, b->bytes, b->len);
		b->len = 0;
		b->pos = (struct bufq_pos){ 0 };
	}
}

static void test_random(void **state)
{
	struct prng prng;
	struct fix f;

	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		prng_seed(&prng, seed);
		fix_begin(&f, false, 0);
		memset(queues, 0, sizeof(queues));
		for (int i = 0; i < 8000; i++) {
			struct ref_queue *rq = &queues[prng_below(&prng, 2)];
			unsigned int what = (unsigned int)prng_below(&prng, 20);

			if (what < 10)
				random_append(&f, &prng, rq);
			else if (what < 15)
				random_read(&f, &prng, rq);
			else if (what < 19)
				random_remove(&f, &prng, rq);
			else
				random_other(&f, &prng);
			assert_true(f.drv.rx_out <= 16);
			assert_int_equal(f.drv.rx_out, link_at(&f.s->links, f.link.v)->held);
			if (i % 16 == 0) {
				check(&f, &queues[0]);
				check(&f, &queues[1]);
			}
		}
		for (int i = 0; i < 2; i++) {
			bufq_drop(&f.s->bufs, &queues[i].q);
			assert_int_equal(queues[i].q.head | queues[i].q.tail | queues[i].q.bytes,
					 0);
		}
		for (int kind = 0; kind < BUF_KIND_CNT; kind++)
			assert_int_equal(f.s->bufs.pool[kind].used, 0);
		fix_end(&f);
	}
}

/* Small payload frees its frame at once; large keeps it, until the link's limit. */
static void test_copy_or_keep(void **state)
{
	static uint8_t data[2000];
	struct fix f;

	(void)state;
	fix_begin(&f, false, 0);
	memset(queues, 0, sizeof(queues));
	append_pkt(&f, &queues[0], data, BUF_COPY_MAX);
	assert_int_equal(f.drv.rx_out, 0);
	append_pkt(&f, &queues[0], data, BUF_COPY_MAX + 1);
	assert_int_equal(f.drv.rx_out, 1);
	for (int i = 0; i < 40; i++)
		append_pkt(&f, &queues[0], data, 1400);
	assert_int_equal(f.drv.rx_out, 16);
	/* Reading frees them one by one. */
	bufq_consume(&f.s->bufs, &queues[0].q, BUF_COPY_MAX + BUF_COPY_MAX);
	assert_int_equal(f.drv.rx_out, 16);
	bufq_consume(&f.s->bufs, &queues[0].q, 1);
	assert_int_equal(f.drv.rx_out, 15);
	bufq_drop(&f.s->bufs, &queues[0].q);
	assert_int_equal(f.drv.rx_out, 0);
	fix_end(&f);
}

/* A stream of small writes fills blocks, it does not take one each. */
static void test_tail_room(void **state)
{
	struct fix f;
	struct bufq q = { 0 };

	(void)state;
	fix_begin(&f, false, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(bufq_append(&f.s->bufs, &q, "0123456789", 10), 0);
	assert_true(f.s->bufs.pool[BUF_SMALL].used + f.s->bufs.pool[BUF_LARGE].used <= 5);
	bufq_drop(&f.s->bufs, &q);
	fix_end(&f);
}

/* Out of memory, appending changes nothing, and what is there can still be read. */
static void test_no_memory(void **state)
{
	static uint8_t data[300000], out[300000];
	struct bufq q = { 0 };
	struct prng prng;
	struct fix f;
	uint32_t len = 0;

	(void)state;
	prng_seed(&prng, 9);
	prng_bytes(&prng, data, sizeof(data));
	fix_begin(&f, false, 0);
	assert_int_equal(bufq_append(&f.s->bufs, &q, data, 5000), 0);
	f.s->mem.bytes_max = f.s->mem.bytes;
	while (bufq_append(&f.s->bufs, &q, data + q.bytes % 5000, 5000) == 0) {
		assert_true(q.bytes < 100000000);
		len = q.bytes;
	}
	assert_int_equal(q.bytes, len);
	len = bufq_append_some(&f.s->bufs, &q, data, sizeof(data));
	assert_true(len < sizeof(data));
	bufq_read_at(&f.s->bufs, &q, q.bytes - len, out, len, NULL);
	assert_memory_equal(out, data, len);
	bufq_drop(&f.s->bufs, &q);
	fix_end(&f);
}

/* bufq_own() without memory leaves everything as it was. */
static void test_own_no_memory(void **state)
{
	static uint8_t data[1400];
	struct fix f;
	struct bufq fill = { 0 };

	(void)state;
	fix_begin(&f, false, 0);
	memset(queues, 0, sizeof(queues));
	append_pkt(&f, &queues[0], data, 1400);
	append_pkt(&f, &queues[0], data, 1400);
	assert_int_equal(bufq_append(&f.s->bufs, &fill, data, 1400), 0);
	f.s->mem.bytes_max = f.s->mem.bytes;
	while (bufq_append_some(&f.s->bufs, &fill, data, 1400) == 1400)
		;
	assert_int_equal(bufq_own(&f.s->bufs, &queues[0].q), -ENOMEM);
	assert_int_equal(f.drv.rx_out, 2);
	check(&f, &queues[0]);
	bufq_drop(&f.s->bufs, &fill);
	assert_int_equal(bufq_own(&f.s->bufs, &queues[0].q), 0);
	assert_int_equal(f.drv.rx_out, 0);
	check(&f, &queues[0]);
	bufq_drop(&f.s->bufs, &queues[0].q);
	fix_end(&f);
}

/* Reading on from a place does not walk the queue from its front. */
static void test_pos(void **state)
{
	static uint8_t data[REF_BYTES];
	struct bufq_pos pos = { 0 };
	struct bufq q = { 0 };
	struct prng prng;
	struct fix f;
	const uint8_t *piece;

	(void)state;
	prng_seed(&prng, 10);
	prng_bytes(&prng, data, sizeof(data));
	fix_begin(&f, false, 0);
	assert_int_equal(bufq_append(&f.s->bufs, &q, data, sizeof(data)), 0);
	for (uint32_t off = 0; off < sizeof(data);) {
		uint32_t n = bufq_peek_at(&f.s->bufs, &q, off, &piece, &pos);

		assert_memory_equal(piece, data + off, n);
		assert_true(pos.off <= off);
		off += n;
	}
	assert_true(pos.off > sizeof(data) - BUF_LARGE_BYTES);
	/* Back, as for a retransmission; then consumed past the place. */
	bufq_peek_at(&f.s->bufs, &q, 17, &piece, &pos);
	assert_int_equal(piece[0], data[17]);
	bufq_peek_at(&f.s->bufs, &q, 100000, &piece, &pos);
	bufq_consume(&f.s->bufs, &q, 99999);
	bufq_pos_consumed(&pos, 99999);
	bufq_peek_at(&f.s->bufs, &q, 1, &piece, &pos);
	assert_int_equal(piece[0], data[100000]);
	bufq_drop(&f.s->bufs, &q);
	fix_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	      cmocka_unit_test(test_copy_or_keep),
		cmocka_unit_test(test_tail_room),     cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_own_no_memory), cmocka_unit_test(test_pos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
