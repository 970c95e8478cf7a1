// SPDX-License-Identifier: BSD-2-Clause
/* The checksum against RFC examples and against the plainest possible reference. */
#include "tests/unit/wire_test.h"

#include "base/prng.h"
#include "wire/checksum.h"

/* RFC 1071 section 4.1, bytes taken in wire order; not complemented. */
static uint16_t reference(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum += (i & 1) != 0 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static uint16_t folded(struct csum sum)
{
	return be16_get((struct be16){ csum_fold_raw(sum) });
}

static void test_rfc_examples(void **state)
{
	static const uint8_t rfc1071[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	struct csum sum;

	(void)state;
	assert_int_equal(folded(csum_bytes(rfc1071, sizeof(rfc1071))), 0xddf2);
	assert_int_equal(be16_get(csum_finish(csum_words(rfc1071, sizeof(rfc1071)))), 0x220d);
	/* RFC 1624 section 4: checksum 0xdd2f, field 0x5555 becomes 0x3285. */
	sum = csum_of_field(be16(0xdd2f));
	sum = csum_add_be16(csum_sub_be16(sum, be16(0x5555)), be16(0x3285));
	assert_int_equal(be16_get(csum_finish(sum)), 0x0000);
	assert_int_equal(be16_get(csum_finish_udp(sum)), 0xffff);
	assert_int_equal(be16_get(csum_finish(CSUM_ZERO)), 0xffff);
}

static void check_one(const uint8_t *p, size_t len)
{
	uint8_t copy[512];
	uint16_t expected = reference(p, len);

	assert_true(len <= sizeof(copy));
	assert_int_equal(folded(csum_bytes(p, len)), expected);
	for (size_t at = 0; at < 8; at += 3) {
		if (len + at > sizeof(copy))
			break;
		memset(copy, 0xa5, sizeof(copy));
		assert_int_equal(folded(csum_copy(copy + at, p, len)), expected);
		assert_memory_equal(copy + at, p, len);
		assert_true(at == 0 || copy[at - 1] == 0xa5);
		assert_true(at + len == sizeof(copy) || copy[at + len] == 0xa5);
	}
}

static void test_every_alignment_and_length(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 1071);
	for (size_t len = 0; len <= 200; len++) {
		for (size_t at = 0; at < 16; at++) {
			uint8_t *block = malloc(at + len + (at + len == 0));

			assert_non_null(block);
			prng_bytes(&prng, block, at + len);
			check_one(block + at, len);
			memset(block, 0xff, at + len); /* every carry there is */
			check_one(block + at, len);
			memset(block, 0, at + len);
			check_one(block + at, len);
			free(block);
		}
	}
}

static void test_big(void **state)
{
	enum { BYTES = 1 << 17 };
	uint8_t *block = malloc(BYTES), *copy = malloc(BYTES);
	struct prng prng;

	(void)state;
	assert_non_null(block);
	assert_non_null(copy);
	prng_seed(&prng, 1624);
	for (unsigned int round = 0; round < 200; round++) {
		size_t at = (size_t)prng_below(&prng, 64);
		size_t len = (size_t)prng_below(&prng, BYTES - at);

		if (round % 4 == 0)
			memset(block, 0xff, BYTES);
		else
			prng_bytes(&prng, block, BYTES);
		assert_int_equal(folded(csum_bytes(block + at, len)), reference(block + at, len));
		assert_int_equal(folded(csum_copy(copy, block + at, len)),
				 reference(block + at, len));
		assert_memory_equal(copy, block + at, len);
	}
	free(copy);
	free(block);
}

/* The sum of the parts is the sum of the whole, wherever it is cut. */
static void test_parts(void **state)
{
	uint8_t block[97];
	struct prng prng;

	(void)state;
	prng_seed(&prng, 2);
	for (unsigned int round = 0; round < 2000; round++) {
		size_t a = (size_t)prng_below(&prng, sizeof(block) + 1);
		size_t b = a + (size_t)prng_below(&prng, sizeof(block) + 1 - a);
		struct csum sum;

		prng_bytes(&prng, block, sizeof(block));
		sum = csum_bytes(block, a);
		sum = csum_add_at(sum, csum_bytes(block + a, b - a), a);
		sum = csum_add_at(sum, csum_bytes(block + b, sizeof(block) - b), b);
		assert_int_equal(folded(sum), reference(block, sizeof(block)));
	}
}

/* Equal as checksums are: 0 and 0xffff are the same number in ones' complement. */
static bool same_sum(uint16_t a, uint16_t b)
{
	return a % 0xffff == b % 0xffff;
}

static void test_incremental(void **state)
{
	uint8_t block[40];
	struct prng prng;

	(void)state;
	prng_seed(&prng, 3);
	for (unsigned int round = 0; round < 20000; round++) {
		size_t at = 2 * (size_t)prng_below(&prng, sizeof(block) / 2);
		struct be16 before, after = be16((uint16_t)prng_u32(&prng));
		struct csum sum;

		prng_bytes(&prng, block, sizeof(block));
		memcpy(&before, block + at, 2);
		sum = csum_of_field(csum_finish(csum_bytes(block, sizeof(block))));
		memcpy(block + at, &after, 2);
		sum = csum_add_be16(csum_sub_be16(sum, before), after);
		assert_true(same_sum(folded(sum), reference(block, sizeof(block))));
		/* ... and a receiver agrees. */
		assert_true(csum_is_ok(
			csum_add_be16(csum_bytes(block, sizeof(block)), csum_finish(sum))));
	}
}

static void test_fold_extremes(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 4);
	assert_int_equal(csum_fold_raw((struct csum){ UINT64_MAX }), 0xffff);
	assert_int_equal(csum_fold_raw((struct csum){ UINT64_MAX - 1 }), 0xfffe);
	for (unsigned int i = 0; i < 100000; i++) {
		uint64_t v = prng_u64(&prng) |
			     (prng_chance(&prng, 1, 2) ? UINT64_C(0xffffffff00000000) : 0);
		uint16_t sum = csum_fold_raw((struct csum){ v });

		assert_true(sum != 0 && same_sum(sum, (uint16_t)(v % 0xffff)));
	}
}

static void test_pseudo(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 5);
	for (unsigned int i = 0; i < 20000; i++) {
		struct be32 src4 = be32(prng_u32(&prng)), dst4 = be32(prng_u32(&prng));
		struct ip_addr src = ip_addr_from_v4(src4), dst = ip_addr_from_v4(dst4);
		uint32_t len = (uint32_t)prng_below(&prng, 65536);
		uint8_t proto = (uint8_t)prng_below(&prng, 256);
		uint8_t plain[40] = { 0 };

		memcpy(plain, &src4, 4);
		memcpy(plain + 4, &dst4, 4);
		plain[9] = proto;
		store_be16(plain + 10, (uint16_t)len);
		assert_true(same_sum(folded(csum_pseudo_v4(src4, dst4, proto, len)),
				     reference(plain, 12)));
		assert_true(same_sum(folded(csum_pseudo_addr(&src, &dst, proto, len)),
				     reference(plain, 12)));

		prng_bytes(&prng, src.bytes, 16);
		prng_bytes(&prng, dst.bytes, 16);
		memset(plain, 0, sizeof(plain));
		memcpy(plain, &src, 16);
		memcpy(plain + 16, &dst, 16);
		store_be32(plain + 32, len);
		plain[39] = proto;
		assert_true(same_sum(folded(csum_pseudo_v6(&src, &dst, proto, len)),
				     reference(plain, 40)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc_examples),
		cmocka_unit_test(test_every_alignment_and_length),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_incremental),
		cmocka_unit_test(test_fold_extremes),
		cmocka_unit_test(test_pseudo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
