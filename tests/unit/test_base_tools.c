// SPDX-License-Identifier: BSD-2-Clause
/*
 * The small tools of base: byte order, bits, random numbers, time, sequence numbers, log,
 * assertions.
 */
#include "tests/unit/wire_test.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/go_note.h"
#include "base/log.h"
#include "base/prng.h"
#include "base/seq.h"
#include "base/time.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_byte_order(void **state)
{
	static const struct be32 constant = BE32_INIT(0x01020304);
	uint8_t buf[16];

	(void)state;
	assert_memory_equal(&constant, "\1\2\3\4", 4);
	assert_int_equal(be32_get(constant), 0x01020304);
	assert_true(be32_eq(be32(0x01020304), constant));
	assert_int_equal(be16_get(be16(0xbeef)), 0xbeef);
	for (size_t at = 0; at < 8; at++) {
		store_be64(buf + at, UINT64_C(0x0102030405060708));
		assert_memory_equal(buf + at, "\1\2\3\4\5\6\7\10", 8);
		assert_true(load_be64(buf + at) == UINT64_C(0x0102030405060708));
		assert_int_equal(load_be32(buf + at + 1), 0x02030405);
		assert_int_equal(load_be16(buf + at + 3), 0x0405);
		store_be32(buf + at, 0xa0b0c0d0);
		store_be16(buf + at + 4, 0xe0f0);
		assert_memory_equal(buf + at, "\xa0\xb0\xc0\xd0\xe0\xf0\7\10", 8);
	}
}

static void test_bits(void **state)
{
	(void)state;
	assert_false(bits_is_pow2(0));
	for (unsigned int i = 0; i < 64; i++) {
		uint64_t v = UINT64_C(1) << i;

		assert_true(bits_is_pow2(v));
		assert_int_equal(bits_ctz64(v), i);
		assert_int_equal(bits_clz64(v), 63 - i);
		assert_int_equal(bits_log2_floor(v), i);
		assert_int_equal(bits_log2_ceil(v), i);
		if (i > 1) {
			assert_false(bits_is_pow2(v - 1));
			assert_int_equal(bits_log2_floor(v - 1), i - 1);
			assert_int_equal(bits_log2_ceil(v - 1), i);
		}
	}
	assert_true(bits_align_up(1, 64) == 64 && bits_align_up(64, 64) == 64);
	assert_true(bits_is_aligned(128, 64) && !bits_is_aligned(129, 64));
	assert_int_equal(min_u32(3, 4), 3);
	assert_int_equal(max_u32(3, 4), 4);
	assert_true(min_s64(-1, 1) == -1);
}

static uint32_t naive_find(const bool *bits, uint32_t cnt, uint32_t from)
{
	for (uint32_t i = from; i < cnt; i++) {
		if (bits[i])
			return i;
	}
	return BITMAP_NONE;
}

static void test_bitmap(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 7);
	for (uint32_t cnt = 0; cnt <= 200; cnt++) {
		uint64_t *map = calloc(BITMAP_WORDS(cnt) + (cnt == 0), sizeof(*map));
		bool bits[200] = { false };

		assert_non_null(map);
		for (unsigned int step = 0; cnt > 0 && step < 60; step++) {
			uint32_t bit = (uint32_t)prng_below(&prng, cnt);

			bits[bit] = prng_chance(&prng, 1, 2);
			if (bits[bit])
				bitmap_set(map, bit);
			else
				bitmap_clear(map, bit);
			assert_int_equal(bitmap_test(map, bit), bits[bit]);
		}
		for (uint32_t from = 0; from <= cnt; from++) {
			assert_int_equal(bitmap_find_set(map, cnt, from), naive_find(bits, cnt, from));
		}
		free(map);
	}
}

/*
 * First values of xoshiro256** from the state 1, 2, 3, 4, and of splitmix64 from 0, as published.
 */
static void test_prng_golden(void **state)
{
	static const uint64_t expected[] = { 11520, 0, 1509978240, UINT64_C(1215971899390074240) };
	struct prng prng = { .state = { 1, 2, 3, 4 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_true(prng_u64(&prng) == expected[i]);
	prng_seed(&prng, 0);
	assert_true(prng.state[0] == UINT64_C(0xe220a8397b1dcdaf));
	assert_true(prng.state[1] == UINT64_C(0x6e789e6aa1b965f4));
}

static void test_prng_bounds(void **state)
{
	enum { ROUNDS = 60000 };
	unsigned int hits[6] = { 0 };
	struct prng a, b;
	uint8_t bytes[13], again[13];

	(void)state;
	prng_seed(&a, 42);
	for (unsigned int i = 0; i < ROUNDS; i++)
		hits[prng_below(&a, 6)]++;
	for (size_t i = 0; i < 6; i++) /* 10,000 expected, standard deviation 91 */
		assert_in_range(hits[i], 9500, 10500);
	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t big = (UINT64_C(1) << 63) + 1; /* half of the draws are refused */

		assert_true(prng_below(&a, big) < big);
		assert_in_range(prng_range(&a, 5, 7), 5, 7);
		assert_int_equal(prng_below(&a, 1), 0);
		assert_false(prng_chance(&a, 0, 3));
		assert_true(prng_chance(&a, 3, 3));
	}
	(void)prng_range(&a, 0, UINT64_MAX);
	/* Without the draws refused, multiples of 3 would come half of the time. */
	memset(hits, 0, sizeof(hits));
	for (unsigned int i = 0; i < ROUNDS; i++)
		hits[prng_below(&a, UINT64_C(3) << 62) % 3]++;
	for (size_t i = 0; i < 3; i++) /* 20,000 expected, standard deviation 115 */
		assert_in_range(hits[i], 19400, 20600);
	prng_seed(&a, 1);
	prng_seed(&b, 1);
	prng_bytes(&a, bytes, sizeof(bytes));
	prng_bytes(&b, again, sizeof(again));
	assert_memory_equal(bytes, again, sizeof(bytes));
	assert_true(prng_u64(&a) == prng_u64(&b));
}

static void test_time(void **state)
{
	(void)state;
	assert_true(time_add_sat(1, 2) == 3);
	assert_true(time_add_sat(TIME_NEVER, 1) == TIME_NEVER);
	assert_true(time_add_sat(TIME_NEVER - 1, 1) == TIME_NEVER);
	assert_true(time_sub_sat(1, 2) == 0 && time_sub_sat(2, 1) == 1);
	assert_true(time_mul_sat(UINT64_C(1) << 33, UINT64_C(1) << 31) == TIME_NEVER);
	assert_true(time_mul_sat(3, NS_PER_SEC) == UINT64_C(3000000000));
	assert_true(time_ns_to_ms_ceil(0) == 0 && time_ns_to_ms_ceil(1) == 1);
	assert_true(time_ns_to_ms_ceil(NS_PER_MS) == 1 && time_ns_to_ms_ceil(NS_PER_MS + 1) == 2);
	assert_true(time_ns_to_ms_ceil(UINT64_MAX) == UINT64_MAX / NS_PER_MS + 1);
	assert_true(time_before32(UINT32_MAX, 0) && time_after32(0, UINT32_MAX));
	assert_false(time_before32(5, 5));
	assert_true(time_after_eq32(5, 5));
}

static void test_seq(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 793);
	for (unsigned int i = 0; i < 100000; i++) {
		uint32_t a = prng_u32(&prng);
		uint32_t d = (uint32_t)prng_range(&prng, 1, INT32_MAX);
		uint32_t b = a + d;

		assert_true(seq_lt(a, b) && seq_leq(a, b) && seq_gt(b, a) && seq_geq(b, a));
		assert_false(seq_lt(b, a) || seq_leq(b, a) || seq_gt(a, b) || seq_geq(a, b));
		assert_true(seq_leq(a, a) && seq_geq(a, a) && !seq_lt(a, a) && !seq_gt(a, a));
		assert_int_equal(seq_diff(b, a), d);
		assert_true(seq_max(a, b) == b && seq_min(a, b) == a && seq_min(b, a) == a);
	}
}

struct log_capture {
	unsigned int cnt;
	enum log_level level;
	size_t len;
	char line[LOG_LINE_BYTES];
};

static void capture_line(void *arg, enum log_level level, const char *line, size_t len)
{
	struct log_capture *capture = arg;

	capture->cnt++;
	capture->level = level;
	capture->len = len;
	memcpy(capture->line, line, len + 1);
}

static void test_log(void **state)
{
	struct log_capture capture = { 0 };
	struct log_sink sink = { .fn = capture_line, .arg = &capture, .level = LOG_LEVEL_INFO };

	(void)state;
	log_info(&sink, "port %d", 80);
	assert_string_equal(capture.line, "port 80");
	assert_int_equal(capture.len, 7);
	assert_int_equal(capture.level, LOG_LEVEL_INFO);
	log_debug(&sink, "not shown");
	log_error(NULL, "nowhere");
	assert_int_equal(capture.cnt, 1);
	for (int width = LOG_LINE_BYTES - 3; width < LOG_LINE_BYTES + 3; width++) {
		log_error(&sink, "%*d", width, 7);
		assert_int_equal(capture.len, min_size((size_t)width, LOG_LINE_BYTES - 1));
		assert_int_equal(strlen(capture.line), capture.len);
		assert_string_equal(capture.line + capture.len - 3,
				    width < LOG_LINE_BYTES ? "  7" : "...");
	}
	sink.fn = NULL;
	log_error(&sink, "nowhere");
	assert_string_equal(log_level_name(LOG_LEVEL_WARN), "warning");
	assert_string_equal(log_level_name((enum log_level)99), "unknown");
}

/*
 * Runs `fn` in a child whose standard error is a pipe; it must abort. What it said goes to `said`.
 */
static void expect_abort(void (*fn)(void), char *said, size_t room)
{
	int fds[2], status;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	got = read(fds[0], said, room - 1);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_true(got > 0);
	said[got] = '\0';
}

static int evaluated;

static int count(int v)
{
	evaluated++;
	return v;
}

static void fail_cond(void)
{
	VJ_ASSERT(evaluated == 1000);
}

static void fail_op(void)
{
	VJ_ASSERT_OP(count(-5), >=, count(7));
}

static void fail_unreachable(void)
{
	VJ_UNREACHABLE();
}

static void test_assert(void **state)
{
	char said[512];

	(void)state;
	VJ_ASSERT(evaluated == 0);
	VJ_ASSERT_OP(count(3), <, count(4));
	assert_int_equal(evaluated, 2);
	VJ_DASSERT(count(0) == 1 || evaluated > 0);
	expect_abort(fail_cond, said, sizeof(said));
	assert_non_null(strstr(said, "evaluated == 1000"));
	assert_non_null(strstr(said, "test_base_tools.c"));
	expect_abort(fail_op, said, sizeof(said));
	assert_non_null(strstr(said, "left -5 "));
	assert_non_null(strstr(said, "right 7 "));
	expect_abort(fail_unreachable, said, sizeof(said));
	assert_non_null(strstr(said, "fail_unreachable"));
}

/* Behind another note, cut short anywhere, and notes that claim any size; in memory that ends where they do, for the sanitizers. */
static void test_go_note(void **state)
{
	static const struct {
		Elf64_Nhdr other;
		char name[8], desc[4];
		Elf64_Nhdr go;
		char go_name[4];
	} notes = { { 5, 2, 4 }, "Other", "x", { 4, 0, GO_NOTE_BUILD_ID }, "Go" };

	(void)state;
	for (size_t bytes = 0; bytes <= sizeof(notes); bytes++) {
		char *cut = malloc(bytes + !bytes);

		assert_non_null(cut);
		memcpy(cut, &notes, bytes);
		assert_int_equal(go_note_is_in(cut, bytes), bytes == sizeof(notes));
		free(cut);
	}
	for (unsigned i = 0; i < 3; i++) {
		Elf64_Nhdr claims[3] = { { i == 0 ? UINT32_MAX : 0, i == 1 ? UINT32_MAX : 0, i == 2 ? UINT32_MAX : GO_NOTE_BUILD_ID } };

		assert_false(go_note_is_in((char *)claims, sizeof(claims)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_byte_order),  cmocka_unit_test(test_bits),
		cmocka_unit_test(test_bitmap),	    cmocka_unit_test(test_prng_golden),
		cmocka_unit_test(test_prng_bounds), cmocka_unit_test(test_time),
		cmocka_unit_test(test_seq),	    cmocka_unit_test(test_log),
		cmocka_unit_test(test_assert),	    cmocka_unit_test(test_go_note),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
