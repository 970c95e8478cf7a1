// SPDX-License-Identifier: BSD-2-Clause
#include "tests/unit/stack_stubs.h"

static struct fake_mem fake;
static struct mem mem;
static uint32_t *tags; /* by id; the reference */

static void begin(struct flow *flow, unsigned int load_percent)
{
	uint8_t secret[FLOW_SECRET_BYTES];

	memset(secret, 0x77, sizeof(secret));
	memset(&fake, 0, sizeof(fake));
	mem_init(&mem, fake_mem_get, fake_mem_put, &fake, (uint64_t)1 << 30);
	assert_int_equal(flow_init(flow, &mem, secret, load_percent), 0);
}

static void end(struct flow *flow)
{
	flow_fini(flow);
	assert_int_equal(fake.bytes, 0);
}

static bool match_id(const void *arg, uint32_t id)
{
	return id == *(const uint32_t *)arg;
}

static uint32_t find(const struct flow *flow, uint32_t id)
{
	return flow_find(flow, tags[id], match_id, &id);
}

/* Walks the table; every promise of flow.h about where entries lie is checked. */
static void check_all(const struct flow *flow, uint32_t *ret_max, double *ret_mean)
{
	uint64_t cnt = 0, sum = 0;
	uint32_t max = 0;

	for (uint32_t i = 0; i < UINT32_C(1) << flow->depth; i++) {
		uint32_t depth = (uint32_t)(flow->dir[i] & 31), in_segment = 0, last_tag = 0;
		const struct flow_segment *seg =
			(const struct flow_segment *)(flow->dir[i] & ~(uintptr_t)31);
		bool gap = true;

		if (i > 0 && flow->dir[i] == flow->dir[i - 1])
			continue;
		assert_int_equal(seg->slot[FLOW_SLOTS - 2].id, 0);
		for (uint32_t pos = 0; pos < FLOW_SLOTS - 1; pos++) {
			uint32_t tag = seg->slot[pos].tag, home;

			if (seg->slot[pos].id == 0) {
				gap = true;
				continue;
			}
			assert_ptr_equal(flow_segment(flow, tag, &home), seg);
			assert_int_equal(depth > 0 ? tag >> (32 - depth) : 0,
					 i >> (flow->depth - depth));
			assert_true(home <= pos && pos - home <= FLOW_REACH);
			assert_true(home == pos || !gap);
			assert_true(tag >= last_tag);
			last_tag = tag;
			gap = false;
			in_segment++;
			sum += pos - home;
			max = max_u32(max, pos - home);
		}
		assert_int_equal(in_segment, seg->used);
		cnt += in_segment;
	}
	assert_int_equal(cnt, flow->used);
	*ret_max = max;
	*ret_mean = (double)sum / (double)(cnt != 0 ? cnt : 1);
}

static void test_random_million(void **state)
{
	enum { CNT = 1000000, ROUNDS = 3000000 };
	struct prng prng;
	struct flow flow;
	uint64_t bytes, step_max = 0;
	uint32_t max, segments;
	double mean, begin_s, slowest_s = 0;

	(void)state;
	prng_seed(&prng, 7);
	tags = calloc(CNT + 1, sizeof(*tags));
	uint8_t *in = calloc(CNT + 1, 1);

	begin(&flow, 0);
	begin_s = seconds_now();
	for (uint32_t i = 0; i < ROUNDS; i++) {
		/* Three inserts to a deletion, so that the table fills up. */
		uint32_t id = 1 + (uint32_t)prng_below(&prng, CNT);

		if (in[id] != 0 && prng_chance(&prng, 1, 3)) {
			assert_int_equal(find(&flow, id), id);
			flow_del(&flow, tags[id], id);
			assert_int_equal(find(&flow, id), 0);
			in[id] = 0;
		} else if (in[id] == 0) {
			double one_s = seconds_now();

			tags[id] = prng_u32(&prng);
			bytes = mem.bytes;
			segments = flow.segments.used;
			assert_int_equal(flow_add(&flow, tags[id], id), 0);
			step_max = max_u64(step_max, mem.bytes - bytes);
			/* One segment became two at most: no more than its entries have moved. */
			assert_in_range(flow.segments.used - segments, 0, 1);
			one_s = seconds_now() - one_s;
			slowest_s = one_s > slowest_s ? one_s : slowest_s;
			in[id] = 1;
		}
	}
	print_message("%u operations in %.2f s, slowest insertion %.0f us\n", (unsigned int)ROUNDS,
		      seconds_now() - begin_s, slowest_s * 1e6);
	/* Growth takes memory by the chunk, not by the table. */
	assert_true(step_max <= 2 << 20);
	for (uint32_t id = 1; id <= CNT; id++)
		assert_int_equal(in[id] != 0 ? find(&flow, id) : id, id);
	check_all(&flow, &max, &mean);
	print_message("%llu entries, depth %u: %.2f slots from home, at most %u\n",
		      (unsigned long long)flow.used, flow.depth, mean, max);
	assert_true(mean < 3.5);
	/* No tombstones: empty again, it is as it was. */
	for (uint32_t id = 1; id <= CNT; id++)
		if (in[id] != 0)
			flow_del(&flow, tags[id], id);
	check_all(&flow, &max, &mean);
	assert_int_equal(flow.used, 0);
	end(&flow);
	free(tags);
	free(in);
}

/* As full as it gets at 90 %: how far from home? (M/D/1: 4.5 slots on average) */
static void test_load_90(void **state)
{
	enum { CNT = FLOW_HOMES * 90 / 100 };
	struct prng prng;
	uint32_t worst = 0;
	double sum = 0;

	(void)state;
	prng_seed(&prng, 3);
	for (int round = 0; round < 50; round++) {
		struct flow flow;
		uint32_t max;
		double mean;

		begin(&flow, 90);
		for (uint32_t id = 1; id <= CNT; id++)
			assert_int_equal(flow_add(&flow, prng_u32(&prng), id), 0);
		assert_int_equal(flow.depth, 0);
		check_all(&flow, &max, &mean);
		worst = max_u32(worst, max);
		sum += mean;
		assert_int_equal(flow_add(&flow, prng_u32(&prng), CNT + 1), 0);
		assert_int_equal(flow.depth, 1);
		end(&flow);
	}
	print_message("at 90 %%: %.2f slots from home, at most %u\n", sum / 50, worst);
	assert_true(sum / 50 < 5.5);
	assert_true(worst <= 100);
}

/* Full tables churn for long without getting worse. */
static void test_churn(void **state)
{
	enum { CNT = FLOW_HOMES * 85 / 100 };
	struct prng prng;
	struct flow flow;
	uint32_t max;
	double mean;

	(void)state;
	prng_seed(&prng, 4);
	tags = calloc(CNT + 1, sizeof(*tags));
	begin(&flow, 90);
	for (uint32_t id = 1; id <= CNT; id++) {
		tags[id] = prng_u32(&prng);
		assert_int_equal(flow_add(&flow, tags[id], id), 0);
	}
	for (uint32_t i = 0; i < 1000000; i++) {
		uint32_t id = 1 + (uint32_t)prng_below(&prng, CNT);

		flow_del(&flow, tags[id], id);
		tags[id] = prng_u32(&prng);
		assert_int_equal(flow_add(&flow, tags[id], id), 0);
	}
	assert_int_equal(flow.depth, 0);
	check_all(&flow, &max, &mean);
	assert_true(mean < 4);
	end(&flow);
	free(tags);
}

/* A pair becomes another where it is, also among others of its tag. */
static void test_replace(void **state)
{
	enum { CNT = 1000 };
	struct prng prng;
	struct flow flow;

	(void)state;
	prng_seed(&prng, 11);
	tags = calloc(2 * CNT + 1, sizeof(*tags));
	begin(&flow, 0);
	for (uint32_t id = 1; id <= CNT; id++) {
		tags[id] = tags[id + CNT] = id % 3 != 0 ? prng_u32(&prng) : tags[id - 1];
		assert_int_equal(flow_add(&flow, tags[id], id), 0);
	}
	for (uint32_t id = 1; id <= CNT; id += 2)
		flow_replace(&flow, tags[id], id, id + CNT);
	assert_int_equal(flow.used, CNT);
	for (uint32_t id = 1; id <= CNT; id++) {
		bool moved = id % 2 == 1;

		assert_int_equal(find(&flow, id), moved ? 0 : id);
		assert_int_equal(find(&flow, id + CNT), moved ? id + CNT : 0);
		flow_del(&flow, tags[id], moved ? id + CNT : id);
	}
	assert_int_equal(flow.used, 0);
	end(&flow);
	free(tags);
}

/* Tags that all collide, as no one without the secret could bring about: refused, nothing breaks.
 */
static void test_same_tag(void **state)
{
	static const uint32_t bad[] = { 0, UINT32_MAX, 0x12345678 };

	(void)state;
	tags = calloc(1000, sizeof(*tags));
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct flow flow;
		uint32_t id, max, cnt;
		double mean;

		begin(&flow, 0);
		for (id = 1; id < 1000; id++) {
			tags[id] = bad[i];
			if (flow_add(&flow, bad[i], id) != 0)
				break;
		}
		cnt = id - 1;
		assert_int_equal(cnt, FLOW_REACH + 1);
		check_all(&flow, &max, &mean);
		for (id = 1; id <= cnt; id++)
			assert_int_equal(find(&flow, id), id);
		assert_int_equal(flow_add(&flow, ~bad[i], 999), 0);
		for (id = 1; id <= cnt; id++)
			flow_del(&flow, bad[i], id);
		check_all(&flow, &max, &mean);
		assert_int_equal(flow_guess(&flow, ~bad[i]), 999);
		end(&flow);
	}
	free(tags);
}

/* Without memory to split, it fills up, and says so when it is full. */
static void test_no_memory(void **state)
{
	struct prng prng;
	struct flow flow;
	uint32_t id, max;
	double mean;

	(void)state;
	prng_seed(&prng, 5);
	begin(&flow, 0);
	mem.bytes_max = mem.bytes;
	for (id = 1; flow_add(&flow, prng_u32(&prng), id) == 0; id++)
		assert_true(id < 1000000);
	assert_true(flow.used > FLOW_HOMES * 87 / 100);
	check_all(&flow, &max, &mean);
	end(&flow);
}

static void test_hash_keyed(void **state)
{
	struct flow_key key = { .link = 1, .local_port = 80, .remote_port = 4000 };
	struct flow flow, other;
	struct fake_mem fake_of_first;
	uint32_t tag, same = 0;

	(void)state;
	begin(&flow, 0);
	fake_of_first = fake;
	struct mem mem_of_first = mem;

	flow.mem = &mem_of_first;
	flow.segments.mem = &mem_of_first;
	mem_of_first.arg = &fake_of_first;
	begin(&other, 0);
	memset(other.secret, 0x33, sizeof(other.secret));
	for (uint16_t port = 0; port < 1000; port++) {
		key.remote_port = port;
		tag = flow_hash(&flow, &key);
		assert_int_equal(tag, flow_hash(&flow, &key));
		same += tag == flow_hash(&other, &key);
		key.link = 2;
		same += tag == flow_hash(&flow, &key);
		key.link = 1;
	}
	assert_true(same < 3);
	end(&other);
	flow_fini(&flow);
	assert_int_equal(fake_of_first.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_million), cmocka_unit_test(test_load_90),
		cmocka_unit_test(test_churn),	       cmocka_unit_test(test_replace),
		cmocka_unit_test(test_same_tag),
		cmocka_unit_test(test_no_memory),      cmocka_unit_test(test_hash_keyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
