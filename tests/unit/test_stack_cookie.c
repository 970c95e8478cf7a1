// SPDX-License-Identifier: BSD-2-Clause
/* The codec of SYN cookies: what goes in comes out, and nothing else is taken. */
#include "base/prng.h"
#include "stack/tcp_cookie.h"
#include "tests/sim/fake_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct fake_mem mem;

static int begin(void **state)
{
	struct stack_config cfg = fake_stack_config(&mem);
	struct stack *s;

	if (stack_create(&cfg, 1000 * US_PER_SEC, &s) != 0)
		return -1;
	*state = s;
	return 0;
}

static int end(void **state)
{
	stack_destroy(*state);
	return mem.bytes == 0 ? 0 : -1;
}

static struct flow_key key_of(bool v6)
{
	struct flow_key key = { .link = 1 };
	struct endpoint local, remote;

	assert_int_equal(endpoint_parse(v6 ? "[2001:db8::1]:80" : "10.0.0.1:80", &local), 0);
	assert_int_equal(endpoint_parse(v6 ? "[2001:db8::2]:4000" : "10.0.0.2:4000", &remote), 0);
	key.local = local.addr;
	key.remote = remote.addr;
	key.local_port = local.port;
	key.remote_port = remote.port;
	return key;
}

/* The MSS that is remembered for one in SYN: the next in the table, never more */
static void mss(void **state)
{
	static const uint16_t cases[][2] = {
		{ 0, 48 },	 { 47, 48 },	 { 48, 48 },	 { 255, 48 },	  { 256, 256 },
		{ 535, 256 },	 { 536, 536 },	 { 1219, 536 },	 { 1220, 1220 },  { 1380, 1360 },
		{ 1440, 1440 },	 { 1459, 1440 }, { 1460, 1460 }, { 8939, 1460 },  { 8940, 8940 },
		{ 65535, 8940 },
	};
	struct stack *s = *state;

	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct flow_key key = key_of(v6 != 0);

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			uint32_t cookie = tcp_cookie_make(s, &key, 7, cases[i][0]);
			uint16_t got = 0;

			assert_true(tcp_cookie_check(s, &key, 7, cookie, &got));
			assert_int_equal(got, cases[i][1]);
		}
	}
}

/* Good for 64 s wherever in an epoch it was made, bad after 128 s, and for ever */
static void age(void **state)
{
	struct stack *s = *state;
	struct flow_key key = key_of(false);

	for (unsigned int round = 0; round < 40; round++) {
		uint64_t made_us = s->now_us;
		uint32_t cookie = tcp_cookie_make(s, &key, 7, 1460);
		uint16_t got;

		stack_now(s, made_us + TCP_COOKIE_EPOCH_US);
		assert_true(tcp_cookie_check(s, &key, 7, cookie, &got));
		for (unsigned int n = 2; n < 70; n++) {
			stack_now(s, made_us + n * TCP_COOKIE_EPOCH_US);
			assert_false(tcp_cookie_check(s, &key, 7, cookie, &got));
		}
		stack_now(s, s->now_us + 3700001 * (uint64_t)round);
	}
}

/* In the very first epoch there is none before */
static void first_epoch(void **state)
{
	struct stack_config cfg = fake_stack_config(&mem);
	struct flow_key key = key_of(true);
	struct stack *s;
	uint16_t got;
	uint32_t cookie;

	(void)state;
	assert_int_equal(stack_create(&cfg, 0, &s), 0);
	cookie = tcp_cookie_make(s, &key, 7, 1460);
	assert_true(tcp_cookie_check(s, &key, 7, cookie, &got));
	assert_false(tcp_cookie_check(s, &key, 7, cookie ^ UINT32_C(1) << 31, &got));
	stack_destroy(s);
}

/* Another peer's, another link's, another SYN's, another stack's: none fits */
static void forged(void **state)
{
	struct stack *s = *state;

	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct flow_key key = key_of(v6 != 0), other;
		uint32_t cookie = tcp_cookie_make(s, &key, 7, 1460);
		struct stack_config cfg = fake_stack_config(&mem);
		struct stack *stranger;
		uint16_t got;

		assert_false(tcp_cookie_check(s, &key, 8, cookie, &got));
		other = key;
		other.remote_port++;
		assert_false(tcp_cookie_check(s, &other, 7, cookie, &got));
		other = key;
		other.local_port++;
		assert_false(tcp_cookie_check(s, &other, 7, cookie, &got));
		other = key;
		other.link++;
		assert_false(tcp_cookie_check(s, &other, 7, cookie, &got));
		other = key;
		other.remote.words[3].raw ^= 1;
		assert_false(tcp_cookie_check(s, &other, 7, cookie, &got));
		other = key;
		other.local.words[3].raw ^= 1;
		assert_false(tcp_cookie_check(s, &other, 7, cookie, &got));
		cfg.secret[0] ^= 1;
		assert_int_equal(stack_create(&cfg, s->now_us, &stranger), 0);
		assert_false(tcp_cookie_check(stranger, &key, 7, cookie, &got));
		stack_destroy(stranger);
		/* one bit each: parity, MSS and mac */
		for (unsigned int bit = 0; bit < 32; bit++)
			assert_false(tcp_cookie_check(s, &key, 7, cookie ^ UINT32_C(1) << bit,
						      &got));
		assert_true(tcp_cookie_check(s, &key, 7, cookie, &got));
	}
}

/* Guesses: of a million, 0.004 would fit on average; the seed is fixed, and none does. */
static void guessed(void **state)
{
	struct stack *s = *state;
	struct flow_key key = key_of(false);
	struct prng prng;
	uint16_t got;

	prng_seed(&prng, 1);
	for (unsigned int i = 0; i < 1000000; i++)
		assert_false(tcp_cookie_check(s, &key, 7, prng_u32(&prng), &got));
}

/* RFC 7323: never in the future, hardly in the past; all of it comes back */
static void timestamps(void **state)
{
	static const uint32_t nows[] = { 0, 1, 63, 64, 1000, 0x7fffffff, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nows); i++) {
		for (uint8_t wscale = 0; wscale <= TCP_WSCALE_MAX + 1; wscale++) {
			for (unsigned int bits = 0; bits < 4; bits++) {
				struct tcp_opts in = { .present = 0 }, out = { .present = 0 };
				bool ecn = !(bits & 1);
				uint32_t ts;

				if (wscale <= TCP_WSCALE_MAX) {
					in.present |= TCP_HAS_WSCALE;
					in.wscale = wscale;
				}
				if ((bits & 2) != 0)
					in.present |= TCP_HAS_SACK_PERMITTED;
				ts = tcp_cookie_ts_pack(nows[i], &in, (bits & 1) != 0);
				assert_true(nows[i] - ts < 128);
				tcp_cookie_ts_unpack(ts, &out, &ecn);
				assert_int_equal(out.present, in.present);
				assert_int_equal(out.wscale, in.wscale);
				assert_int_equal(ecn, (bits & 1) != 0);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mss, begin, end),
		cmocka_unit_test_setup_teardown(age, begin, end),
		cmocka_unit_test(first_epoch),
		cmocka_unit_test_setup_teardown(forged, begin, end),
		cmocka_unit_test_setup_teardown(guessed, begin, end),
		cmocka_unit_test(timestamps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
