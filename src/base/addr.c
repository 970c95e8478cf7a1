// SPDX-License-Identifier: BSD-2-Clause
/*
 * Text forms of addresses. Written here and not taken from libc: inet_ntop() and inet_pton() differ
 * between libraries in what they accept, need two families, and belong to the names that the
 * preload library has to keep away from.
 */
#include "base/addr.h"

#include <errno.h>
#include <string.h>

#define IP_GROUPS 8

/* Most digits of an IPv4 byte, and of an IPv6 group. */
#define DEC_DIGITS_MAX 3
#define HEX_DIGITS_MAX 4

bool ip_addr_prefix_eq(const struct ip_addr *a, const struct ip_addr *b, unsigned int prefix_len)
{
	unsigned int whole = prefix_len / 8;
	unsigned int rest = prefix_len % 8;

	if (memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

static char *put_dec(char *out, unsigned int v)
{
	char digits[10];
	unsigned int cnt = 0;

	do {
		digits[cnt++] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	while (cnt > 0)
		*out++ = digits[--cnt];
	return out;
}

static char *put_hex(char *out, unsigned int v, unsigned int min_digits)
{
	unsigned int digits = HEX_DIGITS_MAX;

	while (digits > min_digits && v >> (4 * (digits - 1)) == 0)
		digits--;
	while (digits-- > 0)
		*out++ = "0123456789abcdef"[v >> (4 * digits) & 15];
	return out;
}

const char *mac_addr_format(const struct mac_addr *mac, char buf[static MAC_ADDR_TEXT_BYTES])
{
	char *out = buf;

	for (unsigned int i = 0; i < sizeof(mac->bytes); i++) {
		if (i > 0)
			*out++ = ':';
		out = put_hex(out, mac->bytes[i], 2);
	}
	*out = '\0';
	return buf;
}

static char *put_v4(char *out, const uint8_t *bytes)
{
	for (unsigned int i = 0; i < 4; i++) {
		if (i > 0)
			*out++ = '.';
		out = put_dec(out, bytes[i]);
	}
	return out;
}

/*
 * RFC 5952 section 4.2: the longest run of zero groups, the first of several, and never a run of
 * one.
 */
static unsigned int longest_zero_run(const uint8_t *bytes, unsigned int *ret_start)
{
	unsigned int best = 1, run = 0;

	for (unsigned int i = 0; i < IP_GROUPS; i++) {
		run = load_be16(bytes + 2 * i) == 0 ? run + 1 : 0;
		if (run > best) {
			best = run;
			*ret_start = i + 1 - run;
		}
	}
	return best > 1 ? best : 0;
}

static char *put_v6(char *out, const uint8_t *bytes)
{
	unsigned int start = IP_GROUPS;
	unsigned int run = longest_zero_run(bytes, &start);

	for (unsigned int i = 0; i < IP_GROUPS; i++) {
		if (run > 0 && i == start) {
			*out++ = ':';
			*out++ = ':';
			i += run - 1;
			continue;
		}
		if (i > 0 && !(run > 0 && i == start + run))
			*out++ = ':';
		out = put_hex(out, load_be16(bytes + 2 * i), 1);
	}
	return out;
}

static char *put_ip(char *out, const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? put_v4(out, addr->bytes + 12) : put_v6(out, addr->bytes);
}

const char *ip_addr_format(const struct ip_addr *addr, char buf[static IP_ADDR_TEXT_BYTES])
{
	*put_ip(buf, addr) = '\0';
	return buf;
}

const char *endpoint_format(const struct endpoint *ep, char buf[static ENDPOINT_TEXT_BYTES])
{
	bool v6 = !ip_addr_is_v4(&ep->addr);
	char *out = buf;

	if (v6)
		*out++ = '[';
	out = put_ip(out, &ep->addr);
	if (v6)
		*out++ = ']';
	*out++ = ':';
	out = put_dec(out, ep->port);
	*out = '\0';
	return buf;
}

/*
 * The readers below take a position in the text and its end, and return the position behind what
 * they read, or NULL if it is not there.
 */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Without leading zeros, at most `max`, at most `digits_max` digits. */
static const char *read_dec(const char *p, const char *end, unsigned int digits_max,
			    unsigned int max, unsigned int *ret_v)
{
	const char *start = p;
	unsigned int v = 0;

	while (p < end && *p >= '0' && *p <= '9') {
		if (p - start >= (ptrdiff_t)digits_max)
			return NULL;
		v = v * 10 + (unsigned int)(*p++ - '0');
	}
	if (p == start || v > max || (*start == '0' && p - start > 1))
		return NULL;
	*ret_v = v;
	return p;
}

static const char *read_hex(const char *p, const char *end, unsigned int digits_min,
			    unsigned int digits_max, unsigned int *ret_v)
{
	const char *start = p;
	unsigned int v = 0;

	while (p < end && p - start < (ptrdiff_t)digits_max && hex_digit(*p) >= 0)
		v = v << 4 | (unsigned int)hex_digit(*p++);
	if (p - start < (ptrdiff_t)digits_min)
		return NULL;
	*ret_v = v;
	return p;
}

static const char *read_v4(const char *p, const char *end, uint8_t *bytes)
{
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int v;

		if (i > 0 && (p == end || *p++ != '.'))
			return NULL;
		p = read_dec(p, end, DEC_DIGITS_MAX, UINT8_MAX, &v);
		if (p == NULL)
			return NULL;
		bytes[i] = (uint8_t)v;
	}
	return p;
}

/* Groups as read so far, and where the "::" stood. */
struct v6_reader {
	uint8_t bytes[16];
	unsigned int group_cnt;
	unsigned int gap; /* group in front of which "::" stood; IP_GROUPS + 1 for none */
};

/* One group, or the dotted IPv4 address that stands for the last two. */
static const char *read_group(struct v6_reader *reader, const char *p, const char *end)
{
	unsigned int v;
	const char *next = read_hex(p, end, 1, HEX_DIGITS_MAX, &v);

	if (next == NULL || reader->group_cnt >= IP_GROUPS)
		return NULL;
	if (next < end && *next == '.') {
		if (reader->group_cnt > IP_GROUPS - 2)
			return NULL;
		next = read_v4(p, end, reader->bytes + 2 * reader->group_cnt);
		reader->group_cnt += 2;
		return next == end ? next : NULL;
	}
	store_be16(reader->bytes + 2 * reader->group_cnt, (uint16_t)v);
	reader->group_cnt++;
	return next;
}

static bool is_gap(const char *p, const char *end)
{
	return end - p >= 2 && p[0] == ':' && p[1] == ':';
}

static bool read_groups(struct v6_reader *reader, const char *p, const char *end)
{
	bool separated = true; /* a group may follow here */

	while (p < end) {
		if (is_gap(p, end)) {
			if (reader->gap <= IP_GROUPS)
				return false;
			reader->gap = reader->group_cnt;
			separated = true;
			p += 2;
			continue;
		}
		if (!separated) {
			if (*p++ != ':')
				return false;
		}
		p = read_group(reader, p, end);
		if (p == NULL)
			return false;
		separated = false;
	}
	return true;
}

static bool parse_v6(const char *p, const char *end, struct ip_addr *ret_addr)
{
	struct v6_reader reader = { .gap = IP_GROUPS + 1 };
	unsigned int head_bytes, tail_bytes;

	if (!read_groups(&reader, p, end))
		return false;
	if (reader.gap > IP_GROUPS) {
		if (reader.group_cnt != IP_GROUPS)
			return false;
		memcpy(ret_addr->bytes, reader.bytes, sizeof(reader.bytes));
		return true;
	}
	if (reader.group_cnt >= IP_GROUPS) /* "::" stands for one group at least */
		return false;
	head_bytes = 2 * reader.gap;
	tail_bytes = 2 * (reader.group_cnt - reader.gap);
	memset(ret_addr->bytes, 0, sizeof(ret_addr->bytes));
	memcpy(ret_addr->bytes, reader.bytes, head_bytes);
	memcpy(ret_addr->bytes + 16 - tail_bytes, reader.bytes + head_bytes, tail_bytes);
	return true;
}

static bool parse_v4(const char *p, const char *end, struct ip_addr *ret_addr)
{
	uint8_t bytes[4];

	if (read_v4(p, end, bytes) != end)
		return false;
	*ret_addr = ip_addr_from_v4((struct be32){ load_u32(bytes) });
	return true;
}

int ip_addr_parse(const char *text, struct ip_addr *ret_addr)
{
	const char *end = text + strlen(text);

	if (parse_v4(text, end, ret_addr) || parse_v6(text, end, ret_addr))
		return 0;
	return -EINVAL;
}

int endpoint_parse(const char *text, struct endpoint *ret_ep)
{
	const char *end = text + strlen(text);
	const char *colon = strrchr(text, ':');
	struct ip_addr addr;
	unsigned int port = 0;
	bool ok, in_range;

	if (colon == NULL)
		return -EINVAL;
	in_range = read_dec(colon + 1, end, 5, UINT16_MAX, &port) == end;
	if (!in_range && (colon[1] < '1' || colon[1] > '9' || strspn(colon + 1, "0123456789") != (size_t)(end - colon - 1)))
		return -EINVAL;
	if (*text == '[')
		ok = colon - text >= 2 && colon[-1] == ']' && parse_v6(text + 1, colon - 1, &addr);
	else
		ok = parse_v4(text, colon, &addr);
	if (!ok)
		return -EINVAL;
	if (!in_range)
		return -ERANGE;
	*ret_ep = (struct endpoint){ .addr = addr, .port = (uint16_t)port };
	return 0;
}

int ip_prefix_parse(const char *text, struct ip_prefix *ret_prefix)
{
	const char *end = text + strlen(text), *slash = strrchr(text, '/');
	unsigned int len, shift = 0;
	struct ip_addr addr, bits = { .bytes = { 0 } };

	if (slash == NULL)
		return -EINVAL;
	if (parse_v4(text, slash, &addr))
		shift = 96;
	else if (!parse_v6(text, slash, &addr))
		return -EINVAL;
	if (read_dec(slash + 1, end, 3, 128 - shift, &len) != end)
		return -EINVAL;
	len += shift;
	memcpy(bits.bytes, addr.bytes, len / 8);
	if (len % 8 != 0)
		bits.bytes[len / 8] = (uint8_t)(addr.bytes[len / 8] & 0xff << (8 - len % 8));
	if (!ip_addr_eq(&addr, &bits))
		return -ERANGE;
	*ret_prefix = (struct ip_prefix){ .addr = addr, .len = (uint8_t)len };
	return 0;
}

int mac_addr_parse(const char *text, struct mac_addr *ret_mac)
{
	const char *end = text + strlen(text);
	const char *p = text;
	struct mac_addr mac;

	for (unsigned int i = 0; i < sizeof(mac.bytes); i++) {
		unsigned int v;

		if (i > 0 && (p == end || *p++ != ':'))
			return -EINVAL;
		p = read_hex(p, end, 2, 2, &v);
		if (p == NULL)
			return -EINVAL;
		mac.bytes[i] = (uint8_t)v;
	}
	if (p != end)
		return -EINVAL;
	*ret_mac = mac;
	return 0;
}
