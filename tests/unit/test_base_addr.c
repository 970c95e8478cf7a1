// SPDX-License-Identifier: BSD-2-Clause
/* Addresses: predicates and text forms. */
#include "tests/unit/wire_test.h"

#include "base/addr.h"
#include "base/prng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr addr;

	assert_int_equal(ip_addr_parse(text, &addr), 0);
	return addr;
}

/* RFC 5952, section by section, and the corners: input, canonical form. */
static void test_ip_canonical(void **state)
{
	static const char *const cases[][2] = {
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },    /* 1, 4.2.3: first of equals */
		{ "2001:0db8::0001", "2001:db8::1" },		    /* 4.1 */
		{ "2001:db8:0:0:0:0:2:1", "2001:db8::2:1" },	    /* 4.2.1 */
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" }, /* 4.2.2: not for one group */
		{ "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" }, /* 4.2.3: longest */
		{ "2001:DB8::AAAA", "2001:db8::aaaa" },	   /* 4.3 */
		{ "0:0:0:0:0:0:0:0", "::" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "1::", "1::" },
		{ "0:0:0:0:0:0:0:1", "::1" },
		{ "1:0:0:0:0:0:0:0", "1::" },
		{ "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8" },
		{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
		{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ "64:ff9b::192.0.2.33", "64:ff9b::c000:221" },
		{ "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304" },
		{ "::13.1.68.3", "::d01:4403" }, /* IPv4-compatible is not IPv4-mapped */
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::ffff:c000:201", "192.0.2.1" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "10.0.0.1", "10.0.0.1" },
		{ "192.168.100.9", "192.168.100.9" },
	};
	char buf[IP_ADDR_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_addr addr = addr_of(cases[i][0]);

		assert_string_equal(ip_addr_format(&addr, buf), cases[i][1]);
	}
}

static void test_ip_refused(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		":",
		":::",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.",
		".1.2.3",
		"1..2.3",
		"256.1.1.1",
		"1.1.1.1000",
		"01.2.3.4",
		"1.2.3.00",
		"1.2.3.4 ",
		" 1.2.3.4",
		"1.2.3.-4",
		"0x1.2.3.4",
		"1.2.3.4:",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8:",
		":1:2",
		"1:2:",
		"1::2::3",
		"::1::",
		"12345::",
		"g::",
		"1:2:3:4:5:6:7:8::",
		"::1:2:3:4:5:6:7:8",
		"1:2:3:4:5:6:7:1.2.3.4",
		"::1.2.3",
		"::1.2.3.4.5",
		"::1.2.3.4:5",
		"::1.2.3.4::",
		"1.2.3.4::",
		"fe80::1%eth0",
		"[::1]",
		"::1 ",
		"-1::",
		"::00001",
		"1:::2",
		"::01.2.3.4",
		"::256.2.3.4",
		"::a1.2.3.4",
	};
	const struct ip_addr before = ip_addr_from_v4(be32(0x01020304));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_addr addr = before;

		if (ip_addr_parse(cases[i], &addr) != -EINVAL)
			fail_msg("accepted \"%s\"", cases[i]);
		if (!ip_addr_eq(&addr, &before))
			fail_msg("touched the result at \"%s\"", cases[i]);
	}
}

/* Zeros come often, so that every kind of "::" does. */
static struct ip_addr random_addr(struct prng *prng)
{
	struct ip_addr addr = ip_addr_any_v6();

	for (size_t i = 0; i < 16; i += 2) {
		if (prng_chance(prng, 1, 2))
			store_be16(addr.bytes + i, (uint16_t)prng_below(prng, 0x10000));
		else if (prng_chance(prng, 1, 4))
			store_be16(addr.bytes + i, (uint16_t)prng_below(prng, 0x10));
	}
	return addr;
}

/* libc's reader and writer agree with ours about random addresses. */
static void test_ip_against_libc(void **state)
{
	struct prng prng;

	(void)state;
	prng_seed(&prng, 5952);
	for (int i = 0; i < 200000; i++) {
		struct ip_addr addr = random_addr(&prng), back, libc;
		char buf[IP_ADDR_TEXT_BYTES], libc_text[INET6_ADDRSTRLEN];

		ip_addr_format(&addr, buf);
		assert_true(strlen(buf) < sizeof(buf));
		assert_int_equal(ip_addr_parse(buf, &back), 0);
		assert_true(ip_addr_eq(&addr, &back));
		if (ip_addr_is_v4(&addr))
			continue;
		assert_int_equal(inet_pton(AF_INET6, buf, &libc), 1);
		assert_true(ip_addr_eq(&addr, &libc));
		/* ... whatever form libc writes. */
		assert_non_null(inet_ntop(AF_INET6, &addr, libc_text, sizeof(libc_text)));
		assert_int_equal(ip_addr_parse(libc_text, &back), 0);
		assert_true(ip_addr_eq(&addr, &back));
		if (strchr(libc_text, '.') == NULL)
			assert_string_equal(buf, libc_text);
	}
}

/* Texts made of the right characters: accepted here if and only if libc accepts them. */
static void test_ip_random_text(void **state)
{
	static const char v6_chars[] = "0:1:a:f:.", v4_chars[] = "012.5.";
	struct prng prng;
	unsigned int accepted = 0;

	(void)state;
	prng_seed(&prng, 4291);
	for (int i = 0; i < 1000000; i++) {
		bool v4 = prng_chance(&prng, 1, 3);
		const char *chars = v4 ? v4_chars : v6_chars;
		char text[24];
		struct ip_addr addr, libc;
		size_t len = (size_t)prng_below(&prng, sizeof(text));
		bool ok, libc_ok;

		for (size_t k = 0; k < len; k++)
			text[k] = chars[prng_below(&prng, v4 ? sizeof(v4_chars) - 1
							     : sizeof(v6_chars) - 1)];
		text[len] = '\0';
		ok = ip_addr_parse(text, &addr) == 0;
		libc_ok = inet_pton(AF_INET6, text, &libc) == 1;
		if (!libc_ok) {
			struct in_addr in4;

			libc_ok = inet_pton(AF_INET, text, &in4) == 1;
			if (libc_ok)
				libc = ip_addr_from_v4((struct be32){ in4.s_addr });
		}
		if (ok != libc_ok)
			fail_msg("\"%s\": %d here, %d in libc", text, ok, libc_ok);
		if (ok) {
			assert_true(ip_addr_eq(&addr, &libc));
			accepted++;
		}
	}
	assert_true(accepted > 10000);
}

static void test_prefix_text(void **state)
{
	static const struct { const char *text, *in, *out; unsigned int len; } good[] = {
		{ "2001:db8:1::/64", "2001:db8:1::ffff", "2001:db8:1:1::", 64 },
		{ "2001:db8::80/121", "2001:db8::ff", "2001:db8::7f", 121 },
		{ "::/0", "10.0.0.1", NULL, 0 },
		{ "10.0.0.0/8", "10.255.0.1", "11.0.0.0", 104 },
		{ "10.0.0.1/32", "10.0.0.1", "10.0.0.0", 128 },
		{ "2001:db8::1/128", "2001:db8::1", "2001:db8::", 128 },
	};
	static const char *const bad[] = { "", "/64", "::", "::/", "::/129", "::/064", "10.0.0.0/33", "10.0.0.0/-1", "::/64 ", "x/64", "::/0x4" };
	static const char *const set[] = { "2001:db8::1/64", "10.0.0.1/31", "2001:db8::80/120" };
	struct ip_prefix p = { .len = 77 };
	struct ip_addr addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(ip_prefix_parse(good[i].text, &p), 0);
		assert_int_equal(p.len, good[i].len);
		assert_int_equal(ip_addr_parse(good[i].in, &addr), 0);
		assert_true(ip_prefix_has(&p, &addr));
		if (good[i].out != NULL) {
			assert_int_equal(ip_addr_parse(good[i].out, &addr), 0);
			assert_false(ip_prefix_has(&p, &addr));
		}
	}
	p.len = 77;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (ip_prefix_parse(bad[i], &p) != -EINVAL || p.len != 77)
			fail_msg("accepted \"%s\"", bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(set); i++)
		if (ip_prefix_parse(set[i], &p) != -ERANGE || p.len != 77)
			fail_msg("accepted \"%s\"", set[i]);
}

static void test_endpoint(void **state)
{
	static const char *const good[][2] = {
		{ "10.0.0.1:80", "10.0.0.1:80" },
		{ "[::1]:80", "[::1]:80" },
		{ "[2001:DB8::0]:65535", "[2001:db8::]:65535" },
		{ "0.0.0.0:0", "0.0.0.0:0" },
		{ "[::]:0", "[::]:0" },
		{ "[::ffff:10.0.0.1]:6379", "10.0.0.1:6379" },
	};
	static const char *const bad[] = {
		"",
		":80",
		"10.0.0.1",
		"10.0.0.1:",
		"10.0.0.1:-1",
		"10.0.0.1:+1",
		"10.0.0.1: 1",
		"10.0.0.1:1 ",
		"10.0.0.1:01",
		"10.0.0.1:000000",
		"::1:80",
		"[::1]",
		"[::1]80",
		"[::1]:",
		"[::1:80",
		"::1]:80",
		"[]:80",
		"[10.0.0.1]:80",
		"[::1]:80x",
		"[[::1]]:80",
		"[:80",
		"[::1]]:80",
		"[::1] :80",
		"localhost:80",
		"*:80",
		"[::1:99999",
		"localhost:99999",
		"10.0.0.1:99999x",
		"10.0.0.1:099999",
	};
	static const char *const large[] = { "10.0.0.1:65536", "[::1]:99999", "10.0.0.1:123456789012345678901" };
	char buf[ENDPOINT_TEXT_BYTES];
	struct endpoint ep = { .port = 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(endpoint_parse(good[i][0], &ep), 0);
		assert_string_equal(endpoint_format(&ep, buf), good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct endpoint same = ep;

		if (endpoint_parse(bad[i], &same) != -EINVAL || !endpoint_eq(&same, &ep))
			fail_msg("accepted \"%s\"", bad[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(large); i++) {
		struct endpoint same = ep;

		assert_int_equal(endpoint_parse(large[i], &same), -ERANGE);
		assert_true(endpoint_eq(&same, &ep));
	}
	memset(&ep, 0xff, sizeof(ep));
	assert_int_equal(strlen(endpoint_format(&ep, buf)), ENDPOINT_TEXT_BYTES - 1);
}

static void test_mac(void **state)
{
	static const char *const bad[] = {
		"",
		"02:00:00:00:00",
		"02:00:00:00:00:01:",
		"02:00:00:00:00:1",
		"02-00-00-00-00-01",
		"02:00:00:00:00:0g",
		"2:00:00:00:00:01",
		"02:00:00:00:00:011",
		" 02:00:00:00:00:01",
	};
	struct mac_addr mac, other;
	char buf[MAC_ADDR_TEXT_BYTES];

	(void)state;
	assert_int_equal(mac_addr_parse("02:1A:2b:3c:4D:5e", &mac), 0);
	assert_string_equal(mac_addr_format(&mac, buf), "02:1a:2b:3c:4d:5e");
	assert_false(mac_addr_is_multicast(&mac));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		other = mac;
		assert_int_equal(mac_addr_parse(bad[i], &other), -EINVAL);
		assert_true(mac_addr_eq(&mac, &other));
	}
	for (size_t i = 0; i < 6; i++) {
		other = mac;
		other.bytes[i] ^= 0x40;
		assert_false(mac_addr_eq(&mac, &other));
	}
	memset(&mac, 0xff, sizeof(mac));
	assert_true(mac_addr_is_broadcast(&mac) && mac_addr_is_multicast(&mac));
	mac.bytes[5] = 0xfe;
	assert_false(mac_addr_is_broadcast(&mac));
	memset(&mac, 0, sizeof(mac));
	assert_true(mac_addr_is_zero(&mac));
	mac.bytes[5] = 1;
	assert_false(mac_addr_is_zero(&mac));
}

enum trait { ANY = 1, LOOPBACK = 2, MULTICAST = 4, LINK_LOCAL = 8, V4 = 16, BROADCAST = 32 };

static unsigned int traits_of(const struct ip_addr *addr)
{
	return (ip_addr_is_any(addr) ? ANY : 0) | (ip_addr_is_loopback(addr) ? LOOPBACK : 0) |
	       (ip_addr_is_multicast(addr) ? MULTICAST : 0) | (ip_addr_is_v4(addr) ? V4 : 0) |
	       (ip_addr_is_link_local(addr) ? LINK_LOCAL : 0) |
	       (ip_addr_is_broadcast(addr) ? BROADCAST : 0);
}

static void test_predicates(void **state)
{
	static const struct {
		const char *text;
		unsigned int traits;
	} cases[] = {
		{ "::", ANY },
		{ "0.0.0.0", ANY | V4 },
		{ "::1", LOOPBACK },
		{ "::2", 0 },
		{ "1::", 0 },
		{ "::1:0:0", 0 },
		{ "::7f00:1", 0 },
		{ "127.0.0.1", LOOPBACK | V4 },
		{ "127.255.255.254", LOOPBACK | V4 },
		{ "128.0.0.1", V4 },
		{ "0.0.0.1", V4 },
		{ "224.0.0.1", MULTICAST | V4 },
		{ "239.255.255.255", MULTICAST | V4 },
		{ "240.0.0.0", V4 },
		{ "255.255.255.255", BROADCAST | V4 },
		{ "ff02::1", MULTICAST },
		{ "fe80::1", LINK_LOCAL },
		{ "febf::1", LINK_LOCAL },
		{ "fec0::1", 0 },
		{ "169.254.1.1", LINK_LOCAL | V4 },
		{ "ffff::", MULTICAST },
		{ "::ffff:0:0:0", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ip_addr addr = addr_of(cases[i].text);

		if (traits_of(&addr) != cases[i].traits)
			fail_msg("%s: %#x", cases[i].text, traits_of(&addr));
	}
}

static void test_prefix(void **state)
{
	struct ip_addr a = addr_of("2001:db8::ff"), b = a;

	(void)state;
	for (unsigned int bit = 0; bit < 128; bit++) {
		b = a;
		b.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		assert_false(ip_addr_eq(&a, &b));
		for (unsigned int len = 0; len <= 128; len++)
			assert_int_equal(ip_addr_prefix_eq(&a, &b, len), len <= bit);
	}
	a = addr_of("10.1.2.3");
	b = addr_of("10.1.3.4");
	assert_true(ip_addr_prefix_eq(&a, &b, 96 + 23));
	assert_false(ip_addr_prefix_eq(&a, &b, 96 + 24));
	assert_int_equal(be32_get(ip_addr_v4(&a)), 0x0a010203);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip_canonical),	cmocka_unit_test(test_ip_refused),
		cmocka_unit_test(test_ip_against_libc), cmocka_unit_test(test_ip_random_text),
		cmocka_unit_test(test_endpoint), cmocka_unit_test(test_prefix_text),	cmocka_unit_test(test_mac),
		cmocka_unit_test(test_predicates),	cmocka_unit_test(test_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
