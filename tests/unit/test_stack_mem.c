// SPDX-License-Identifier: BSD-2-Clause
#include "tests/unit/stack_stubs.h"

#include <sys/mman.h>

static void begin(struct mem *mem, struct fake_mem *fake, uint64_t bytes_max)
{
	memset(fake, 0, sizeof(*fake));
	mem_init(mem, fake_mem_get, fake_mem_put, fake, bytes_max);
}

static void test_mem_limit(void **state)
{
	struct fake_mem fake;
	struct mem mem;
	void *a, *b;

	(void)state;
	begin(&mem, &fake, 256 << 10);
	a = mem_get(&mem, 1);
	assert_non_null(a);
	assert_int_equal(mem.bytes, 64 << 10);
	b = mem_get(&mem, 192 << 10);
	assert_non_null(b);
	assert_null(mem_get(&mem, 1));
	assert_null(mem_get(&mem, SIZE_MAX - 5));
	mem_put(&mem, a, 1);
	mem_put(&mem, NULL, 5);
	a = mem_get(&mem, 64 << 10);
	assert_non_null(a);
	mem_put(&mem, a, 64 << 10);
	mem_put(&mem, b, 192 << 10);
	assert_int_equal(mem.bytes, 0);
	assert_int_equal(fake.bytes, 0);
}

/* What one object says must not show up in another, hot or cold. */
static void test_pool_objects_apart(void **state)
{
	struct fake_mem fake;
	struct mem mem;
	struct pool pool;
	enum { CNT = 30000 };

	(void)state;
	begin(&mem, &fake, 64 << 20);
	assert_int_equal(pool_init(&pool, &mem, 128, 64, CNT), 0);
	for (uint32_t i = 1; i <= CNT; i++) {
		uint32_t idx = pool_get(&pool);

		assert_int_equal(idx, i);
		memset(pool_at(&pool, idx), (int)(idx % 251), 128);
		assert_true(pool_cold_need(&pool, idx));
		memset(pool_cold_sized(&pool, idx, 64), (int)(idx % 241), 64);
		assert_true((uintptr_t)pool_at(&pool, idx) % 64 == 0);
	}
	assert_int_equal(pool_get(&pool), 0);
	for (uint32_t i = 1; i <= CNT; i++) {
		const uint8_t *hot = pool_at_sized(&pool, i, 128),
			      *cold = pool_cold_sized(&pool, i, 64);

		assert_int_equal(hot[0], i % 251);
		assert_int_equal(hot[127], i % 251);
		assert_int_equal(cold[0], i % 241);
		assert_int_equal(cold[63], i % 241);
	}
	/* Last in, first out; no more than was made. */
	pool_put(&pool, 7);
	pool_put(&pool, 9);
	assert_int_equal(pool_get(&pool), 9);
	assert_int_equal(pool_get(&pool), 7);
	assert_int_equal(pool_get(&pool), 0);
	assert_int_equal(pool.used, CNT);
	pool_fini(&pool);
	assert_int_equal(fake.bytes, 0);
}

static bool is_zero(const uint8_t *bytes, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

#ifndef POOL_CHECKED
static unsigned gets_cnt;

/* The pool's directory can be written to, its objects can't. */
static void *read_only_get(void *arg, size_t bytes)
{
	(void)arg;
	gets_cnt++;
	return mmap(NULL, bytes, gets_cnt > 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void read_only_put(void *arg, void *p, size_t bytes)
{
	(void)arg;
	munmap(p, bytes);
}
#endif

/* Zero whatever who had it left there; and one that nobody had is not written to, in a build without checks. */
static void test_pool_zero(void **state)
{
	struct fake_mem fake;
	struct mem mem;
	struct pool pool;
	uint32_t idx;

	(void)state;
	begin(&mem, &fake, 1 << 20);
	assert_int_equal(pool_init(&pool, &mem, 4096, 0, 2), 0);
	for (unsigned i = 0; i < 2; i++) {
		idx = pool_get_zero(&pool);
		assert_true(is_zero(pool_at(&pool, idx), 4096));
		memset(pool_at(&pool, idx), 0xee, 4096);
		pool_put(&pool, idx);
	}
	pool_fini(&pool);
#ifndef POOL_CHECKED
	gets_cnt = 0;
	mem_init(&mem, read_only_get, read_only_put, NULL, 1 << 20);
	assert_int_equal(pool_init(&pool, &mem, 4096, 0, 2), 0);
	idx = pool_get_zero(&pool);
	assert_true(is_zero(pool_at(&pool, idx), 4096));
	pool_fini(&pool);
#endif
}

/* Cold halves are there, chunk by chunk, for who asks. */
static void test_pool_cold_on_demand(void **state)
{
	struct fake_mem fake;
	struct mem mem;
	struct pool pool;
	enum { CNT = 40000 };
	uint32_t per_chunk;
	uint64_t bytes;

	(void)state;
	begin(&mem, &fake, 64 << 20);
	assert_int_equal(pool_init(&pool, &mem, 128, 64, CNT), 0);
	for (uint32_t i = 1; i <= CNT; i++)
		assert_int_equal(pool_get(&pool), i);
	per_chunk = pool.mask + 1;
	assert_true(CNT > 2 * per_chunk);
	bytes = mem.bytes;
	assert_null(pool_cold_sized(&pool, 5, 64));
	mem.bytes_max = bytes;
	assert_false(pool_cold_need(&pool, 5));
	assert_null(pool_cold_sized(&pool, 5, 64));
	mem.bytes_max = 64 << 20;
	assert_true(pool_cold_need(&pool, 5));
	assert_int_equal(mem.bytes - bytes, 64 * per_chunk);
	assert_true(pool_cold_need(&pool, 6));
	assert_int_equal(mem.bytes - bytes, 64 * per_chunk);
	assert_ptr_equal(pool_cold_sized(&pool, 6, 64), (uint8_t *)pool_cold_sized(&pool, 5, 64) + 64);
	assert_non_null(pool_cold_sized(&pool, per_chunk - 1, 64));
	assert_null(pool_cold_sized(&pool, per_chunk, 64));
	pool_put(&pool, 5);
	assert_int_equal(pool_get(&pool), 5);
	pool_fini(&pool);
	assert_int_equal(fake.bytes, 0);
}

/* Random gets and puts: an index is never handed out twice, and its memory stays. */
static void test_pool_random(void **state)
{
	struct fake_mem fake;
	struct mem mem;
	struct pool pool;
	struct prng prng;
	static uint32_t held[5000];
	uint32_t cnt = 0;

	(void)state;
	prng_seed(&prng, 1);
	begin(&mem, &fake, 64 << 20);
	assert_int_equal(pool_init(&pool, &mem, 24, 0, 4000), 0);
	for (int i = 0; i < 200000; i++) {
		if (prng_chance(&prng, 1, 2)) {
			uint32_t idx = pool_get(&pool);

			assert_int_equal(idx == 0, cnt == 4000);
			if (idx == 0)
				continue;
			store_u32((uint8_t *)pool_at(&pool, idx) + 20, idx);
			held[cnt++] = idx;
		} else if (cnt > 0) {
			uint32_t which = (uint32_t)prng_below(&prng, cnt);

			assert_int_equal(load_u32((uint8_t *)pool_at(&pool, held[which]) + 20),
					 held[which]);
			pool_put(&pool, held[which]);
			held[which] = held[--cnt];
		}
		assert_int_equal(pool.used, cnt);
	}
	pool_fini(&pool);
	assert_int_equal(fake.bytes, 0);
}

/* As large as a chunk, or larger: one each */
static void test_pool_large_objects(void **state)
{
	static const uint32_t sizes[] = { 65536, 200000 };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fake_mem fake;
		struct mem mem;
		struct pool pool;

		begin(&mem, &fake, 4 << 20);
		assert_int_equal(mem.chunk_bytes, 65536);
		assert_int_equal(pool_init(&pool, &mem, sizes[i], 0, 10), 0);
		for (uint32_t n = 1; n <= 10; n++) {
			assert_int_equal(pool_get(&pool), n);
			memset(pool_at(&pool, n), (int)n, sizes[i]);
		}
		assert_int_equal(pool_get(&pool), 0);
		for (uint32_t n = 1; n <= 10; n++)
			assert_int_equal(((uint8_t *)pool_at(&pool, n))[sizes[i] - 1], n);
		pool_fini(&pool);
		assert_int_equal(fake.bytes, 0);
	}
}

static void test_pool_no_memory(void **state)
{
	struct fake_mem fake;
	struct mem mem;
	struct pool pool;
	uint32_t cnt = 0;

	(void)state;
	begin(&mem, &fake, 1 << 20);
	assert_int_equal(pool_init(&pool, &mem, 1024, 0, 1 << 20), 0);
	while (pool_get(&pool) != 0)
		cnt++;
	assert_true(cnt > 512);
	assert_true(mem.bytes <= 1 << 20);
	pool_put(&pool, 5);
	assert_int_equal(pool_get(&pool), 5);
	assert_int_equal(pool_get(&pool), 0);
	pool_fini(&pool);
	memset(&pool, 0, sizeof(pool));
	pool_fini(&pool);
	assert_int_equal(fake.bytes, 0);
}

/* stack_create() with less and less memory either works or leaves nothing behind. */
static void test_create_no_memory(void **state)
{
	unsigned int worked = 0, failed = 0;

	(void)state;
	for (size_t limit = 64 << 10; limit < 6 << 20; limit += 64 << 10) {
		struct fake_mem fake = { .bytes_max = limit };
		struct stack_config cfg = fake_stack_config(&fake);
		struct stack *s = NULL;
		int ret = stack_create(&cfg, 0, &s);

		if (ret == 0) {
			worked++;
			stack_destroy(s);
		} else {
			assert_int_equal(ret, -ENOMEM);
			failed++;
		}
		assert_int_equal(fake.bytes, 0);
	}
	assert_true(worked > 0 && failed > 0);
	stack_destroy(NULL);
}

static void test_create_limits(void **state)
{
	struct fake_mem fake = { 0 };
	struct stack_config cfg = fake_stack_config(&fake);
	struct stack *s;

	(void)state;
	cfg.conns_max = 0;
	assert_int_equal(stack_create(&cfg, 0, &s), -EINVAL);
	cfg.conns_max = (1 << 24) + 1;
	assert_int_equal(stack_create(&cfg, 0, &s), -EINVAL);
	cfg.conns_max = 1;
	cfg.mem_bytes_max = 1000;
	assert_int_equal(stack_create(&cfg, 0, &s), -EINVAL);
	assert_int_equal(fake.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem_limit),      cmocka_unit_test(test_pool_objects_apart),
		cmocka_unit_test(test_pool_cold_on_demand), cmocka_unit_test(test_pool_zero),
		cmocka_unit_test(test_pool_random),    cmocka_unit_test(test_pool_large_objects),
		cmocka_unit_test(test_pool_no_memory), cmocka_unit_test(test_create_no_memory),
		cmocka_unit_test(test_create_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
