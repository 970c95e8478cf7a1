// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_field.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "base/types.h"

const char *fw_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* ---- fields */

struct row {
	const char *of, *name; /* of a payload: header and field; else the object and its key */
	enum fw_value_kind kind;
	uint8_t word, word_cnt, shift;
	uint32_t mask, needs;
	struct fw_bytes at;
	uint8_t bit;
	uint32_t most;
};

/* A number of @bytes whole bytes, from @from on of a header */
#define NUMBER(of, name, word, needs, header, from, bytes)                                                                       \
	{ of, name, FW_VALUE_NUMBER, word, 1, 0, UINT32_MAX, needs, { header, 0, from, bytes }, 0, UINT32_MAX >> (32 - 8 * (bytes)) }

/* clang-format off */
static const struct row payload[] = {
	{ "ip",     "saddr",    FW_VALUE_IP4, FILTER_SADDR, 1, 0, UINT32_MAX, FW_NEED_IP4, { FW_SOURCE_NET, 0, 12, 4 }, 0, UINT32_MAX },
	{ "ip",     "daddr",    FW_VALUE_IP4, FILTER_DADDR, 1, 0, UINT32_MAX, FW_NEED_IP4, { FW_SOURCE_NET, 0, 16, 4 }, 0, UINT32_MAX },
	NUMBER("ip", "protocol", FILTER_IP_PROTO, FW_NEED_IP4, FW_SOURCE_NET, 9, 1),
	NUMBER("ip", "length", FILTER_IP_LEN, FW_NEED_IP4, FW_SOURCE_NET, 2, 2),
	NUMBER("ip", "id", FILTER_IP_ID, FW_NEED_IP4, FW_SOURCE_NET, 4, 2),
	NUMBER("ip", "ttl", FILTER_TTL, FW_NEED_IP4, FW_SOURCE_NET, 8, 1),
	{ "ip",     "dscp",     FW_VALUE_NUMBER, FILTER_TOS, 1, 2, 0xfc, FW_NEED_IP4, { FW_SOURCE_NET, 0, 1, 1 }, 0, 0xff },
	{ "ip6",    "saddr",    FW_VALUE_IP6, FILTER_SADDR, 4, 0, UINT32_MAX, FW_NEED_IP6, { FW_SOURCE_NET, 0, 8, 16 }, 0, UINT32_MAX },
	{ "ip6",    "daddr",    FW_VALUE_IP6, FILTER_DADDR, 4, 0, UINT32_MAX, FW_NEED_IP6, { FW_SOURCE_NET, 0, 24, 16 }, 0, UINT32_MAX },
	NUMBER("ip6", "nexthdr", FILTER_IP_PROTO, FW_NEED_IP6, FW_SOURCE_NET, 6, 1),
	NUMBER("ip6", "length", FILTER_IP_LEN, FW_NEED_IP6, FW_SOURCE_NET, 4, 2),
	NUMBER("ip6", "hoplimit", FILTER_TTL, FW_NEED_IP6, FW_SOURCE_NET, 7, 1),
	{ "ip6",    "dscp",     FW_VALUE_NUMBER, FILTER_TOS, 1, 2, 0xfc, FW_NEED_IP6, { FW_SOURCE_NET, 0, 0, 2 }, 4, 0xff },
	NUMBER("th", "sport", FILTER_SPORT, FW_NEED_L4, FW_SOURCE_L4, 0, 2),
	NUMBER("th", "dport", FILTER_DPORT, FW_NEED_L4, FW_SOURCE_L4, 2, 2),
	NUMBER("tcp", "sport", FILTER_SPORT, FW_NEED_TCP, FW_SOURCE_L4, 0, 2),
	NUMBER("tcp", "dport", FILTER_DPORT, FW_NEED_TCP, FW_SOURCE_L4, 2, 2),
	NUMBER("tcp", "sequence", FILTER_TCP_SEQ, FW_NEED_TCP, FW_SOURCE_L4, 4, 4),
	NUMBER("tcp", "ackseq", FILTER_TCP_ACK, FW_NEED_TCP, FW_SOURCE_L4, 8, 4),
	{ "tcp",    "doff",     FW_VALUE_NUMBER, FILTER_TCP_DOFF, 1, 0, UINT32_MAX, FW_NEED_TCP, { FW_SOURCE_L4, 0, 12, 1 }, 4, 0xf },
	NUMBER("tcp", "flags", FILTER_TCP_FLAGS, FW_NEED_TCP, FW_SOURCE_L4, 13, 1),
	NUMBER("tcp", "window", FILTER_TCP_WINDOW, FW_NEED_TCP, FW_SOURCE_L4, 14, 2),
	NUMBER("tcp", "urgptr", FILTER_TCP_URGPTR, FW_NEED_TCP, FW_SOURCE_L4, 18, 2),
	NUMBER("udp", "sport", FILTER_SPORT, FW_NEED_UDP, FW_SOURCE_L4, 0, 2),
	NUMBER("udp", "dport", FILTER_DPORT, FW_NEED_UDP, FW_SOURCE_L4, 2, 2),
	NUMBER("udp", "length", FILTER_UDP_LEN, FW_NEED_UDP, FW_SOURCE_L4, 4, 2),
	NUMBER("icmp", "type", FILTER_ICMP_TYPE, FW_NEED_ICMP4, FW_SOURCE_L4, 0, 1),
	NUMBER("icmp", "code", FILTER_ICMP_CODE, FW_NEED_ICMP4, FW_SOURCE_L4, 1, 1),
	NUMBER("icmpv6", "type", FILTER_ICMP_TYPE, FW_NEED_ICMP6, FW_SOURCE_L4, 0, 1),
	NUMBER("icmpv6", "code", FILTER_ICMP_CODE, FW_NEED_ICMP6, FW_SOURCE_L4, 1, 1),
};
#undef NUMBER

static const struct row keyed[] = {
	{ "meta", "nfproto",  FW_VALUE_NUMBER, FILTER_NFPROTO, 1, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_NFPROTO, 0, 1 }, 0, 0xff },
	{ "meta", "protocol", FW_VALUE_ETHERTYPE, FILTER_ETHERTYPE, 1, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_PROTOCOL, 0, 2 }, 0, 0xffff },
	{ "meta", "l4proto",  FW_VALUE_NUMBER, FILTER_L4PROTO, 1, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_L4PROTO, 0, 1 }, 0, 0xff },
	{ "meta", "length",   FW_VALUE_NUMBER, FILTER_LEN, 1, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_LEN, 0, 4 }, 0, UINT32_MAX },
	{ "meta", "pkttype",  FW_VALUE_NUMBER, FILTER_PKTTYPE, 1, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_PKTTYPE, 0, 1 }, 0, 0xff },
	/* shown by the name that the index has now, and read again when that changes */
	{ "meta", "iif",      FW_VALUE_IFNAME, FILTER_IIFNAME, 4, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_IIF, 0, 4 }, 0, UINT32_MAX },
	{ "meta", "oif",      FW_VALUE_IFNAME, FILTER_OIFNAME, 4, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_OIF, 0, 4 }, 0, UINT32_MAX },
	{ "meta", "iifname",  FW_VALUE_IFNAME, FILTER_IIFNAME, 4, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_IIFNAME, 0, 16 }, 0, UINT32_MAX },
	{ "meta", "oifname",  FW_VALUE_IFNAME, FILTER_OIFNAME, 4, 0, UINT32_MAX, 0, { FW_SOURCE_META, NFT_META_OIFNAME, 0, 16 }, 0, UINT32_MAX },
	{ "ct",   "state",    FW_VALUE_NUMBER, FILTER_CT_STATE, 1, 0, UINT32_MAX, FW_NEED_CT, { FW_SOURCE_CT, NFT_CT_STATE, 0, 4 }, 0, UINT32_MAX },
	{ "ct",   "status",   FW_VALUE_NAT, FILTER_CT_STATUS, 1, 0, UINT32_MAX, FW_NEED_CT, { FW_SOURCE_CT, NFT_CT_STATUS, 0, 4 }, 0, UINT32_MAX },
};
/* clang-format on */

static bool from_table(const struct row *rows, size_t cnt, const char *of, const char *name, struct fw_field *ret)
{
	for (size_t i = 0; i < cnt; i++) {
		const struct row *r = &rows[i];

		if (name == NULL || strcmp(r->of, of) != 0 || strcmp(r->name, name) != 0)
			continue;
		*ret = (struct fw_field){ .kind = r->kind, .word = r->word, .word_cnt = r->word_cnt,
					  .shift = r->shift, .mask = r->mask, .needs = r->needs, .of = r->at, .bit = r->bit, .most = r->most };
		return true;
	}
	return false;
}

/* { "op": [ field, mask ] }: the same bits of it */
static bool masked(const json_t *both, struct fw_field *ret)
{
	const json_t *left = json_array_get(both, 0);
	struct fw_interval value;
	const char *field = fw_text(json_object_get(left, "payload"), "field");
	struct fw_field f;
	uint32_t mask;

	/* of the whole word; newer nft may mean the offset alone, which this mask leaves */
	if (field != NULL && strcmp(field, "frag-off") == 0) {
		if (!fw_number_of(json_array_get(both, 1), &mask) || mask != 0x1fff)
			return false;
		*ret = (struct fw_field){ .kind = FW_VALUE_NUMBER, .word = FILTER_IP_FRAG, .word_cnt = 1,
					  .mask = mask, .needs = FW_NEED_IP4, .of = { FW_SOURCE_NET, 0, 6, 2 }, .most = 0xffff };
		return true;
	}
	if (json_array_size(both) != 2 || !fw_field_of(left, &f) || f.word_cnt != 1 || f.mask != UINT32_MAX)
		return false;
	if (f.kind == FW_VALUE_NUMBER) {
		if (!fw_number_of(json_array_get(both, 1), &f.mask))
			return false;
	} else if (f.kind == FW_VALUE_IP4) {
		if (!json_is_string(json_array_get(both, 1)) || !fw_value_of(&f, json_array_get(both, 1), &value))
			return false;
		f.mask = value.lo[0];
	} else {
		return false;
	}
	*ret = f;
	return true;
}

/* Only of the destination, anywhere: is it this host? */
static bool fib_type(const json_t *fib, struct fw_field *ret)
{
	const json_t *flags = json_object_get(fib, "flags");
	const char *result = fw_text(fib, "result"), *flag = json_string_value(flags);

	if (json_is_array(flags) && json_array_size(flags) == 1)
		flag = json_string_value(json_array_get(flags, 0));
	if (result == NULL || strcmp(result, "type") != 0 || flag == NULL || strcmp(flag, "daddr") != 0)
		return false;
	*ret = (struct fw_field){ .kind = FW_VALUE_LOCAL, .word = FILTER_DADDR_TYPE, .word_cnt = 1, .mask = UINT32_MAX,
				  .of = { FW_SOURCE_FIB_TYPE, 0, 0, 4 }, .most = UINT32_MAX };
	return true;
}

bool fw_field_of(const json_t *left, struct fw_field *ret_field)
{
	const json_t *value;
	const char *key;

	if (json_object_size(left) != 1)
		return false;
	json_object_foreach ((json_t *)left, key, value) {
		if (strcmp(key, "payload") == 0) {
			const char *of = fw_text(value, "protocol");

			return of != NULL && from_table(payload, ARRAY_SIZE(payload), of, fw_text(value, "field"), ret_field);
		}
		if (strcmp(key, "&") == 0)
			return masked(value, ret_field);
		if (strcmp(key, "fib") == 0)
			return fib_type(value, ret_field);
		/* of "ct" anything beside the key (a direction, a family) is another question */
		return json_object_size(value) == 1 &&
		       from_table(keyed, ARRAY_SIZE(keyed), key, fw_text(value, "key"), ret_field);
	}
	return false;
}

/* ---- values */

static bool number(const json_t *value, uint32_t *ret)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || n > UINT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* Some versions show several flags as a list, some as { "|": [ ... ] }, one in the other. */
static bool flags(const json_t *value, unsigned depth, uint32_t *all)
{
	const json_t *list = json_is_object(value) && json_object_size(value) == 1 ? json_object_get(value, "|") : value;
	uint32_t one;

	if (!json_is_array(list)) {
		if (!number(value, &one))
			return false;
		*all |= one;
		return true;
	}
	for (size_t i = 0; i < json_array_size(list); i++)
		if (depth > 32 || !flags(json_array_get(list, i), depth + 1, all))
			return false;
	return json_array_size(list) > 0;
}

bool fw_number_of(const json_t *value, uint32_t *ret_number)
{
	uint32_t all = 0;

	if (!flags(value, 0, &all))
		return false;
	*ret_number = all;
	return true;
}

static void words_of(const uint8_t *bytes, unsigned cnt, uint32_t words[static 4])
{
	for (unsigned i = 0; i < cnt; i++)
		words[i] = load_be32(bytes + 4 * i);
}

/* "eth*" is all that begin so; nft writes a star of the name itself as "\*", which we leave alone. */
static bool ifname(const char *text, struct fw_interval *ret)
{
	size_t len = strlen(text);
	uint8_t lo[16] = { 0 }, hi[16] = { 0 };

	if (len == 0 || len > 15 || strchr(text, '\\') != NULL)
		return false;
	if (text[len - 1] == '*') {
		memset(hi, 0xff, sizeof(hi));
		len--;
	}
	memcpy(lo, text, len);
	memcpy(hi, text, len);
	words_of(lo, 4, ret->lo);
	words_of(hi, 4, ret->hi);
	return true;
}

static bool address(const struct fw_field *field, const char *text, struct fw_interval *ret)
{
	uint8_t bytes[16];

	if (inet_pton(field->kind == FW_VALUE_IP4 ? AF_INET : AF_INET6, text, bytes) != 1)
		return false;
	words_of(bytes, field->word_cnt, ret->lo);
	memcpy(ret->hi, ret->lo, sizeof(ret->hi));
	return true;
}

static bool single_number(const struct fw_field *field, const json_t *value, struct fw_interval *ret)
{
	uint32_t n;

	if (!fw_number_of(value, &n))
		return false;
	if (field->kind == FW_VALUE_ETHERTYPE)
		/* some versions show it in the order of the wire */
		n = n == 0x0008 ? 0x0800 : n == 0xdd86 ? 0x86dd : n;
	if (field->kind == FW_VALUE_LOCAL && n != FILTER_RTN_LOCAL)
		return false;
	if (field->mask >> field->shift < n)
		return false;
	ret->lo[0] = ret->hi[0] = n << field->shift;
	return true;
}

static bool single(const struct fw_field *field, const json_t *value, struct fw_interval *ret)
{
	const char *text = json_string_value(value);

	*ret = (struct fw_interval){ { 0 }, { 0 } };
	switch (field->kind) {
	case FW_VALUE_IFNAME:
		return text != NULL && ifname(text, ret);
	case FW_VALUE_IP4:
	case FW_VALUE_IP6:
		return text != NULL && address(field, text, ret);
	default:
		return single_number(field, value, ret);
	}
}

static bool prefix(const struct fw_field *field, const json_t *of, struct fw_interval *ret)
{
	uint32_t len, bits = 32u * field->word_cnt;

	if ((field->kind != FW_VALUE_IP4 && field->kind != FW_VALUE_IP6) || !number(json_object_get(of, "len"), &len) ||
	    len > bits || !single(field, json_object_get(of, "addr"), ret))
		return false;
	for (unsigned i = 0; i < field->word_cnt; i++) {
		uint32_t in = len > 32u * i ? min_u32(len - 32u * i, 32) : 0;
		uint32_t mask = in == 0 ? 0 : UINT32_MAX << (32 - in);

		ret->lo[i] &= mask;
		ret->hi[i] = ret->lo[i] | ~mask;
	}
	return true;
}

static bool range(const struct fw_field *field, const json_t *of, struct fw_interval *ret)
{
	struct fw_interval lo, hi;

	if (json_array_size(of) != 2 || field->kind == FW_VALUE_IFNAME || field->kind == FW_VALUE_LOCAL ||
	    field->kind == FW_VALUE_ETHERTYPE || !single(field, json_array_get(of, 0), &lo) ||
	    !single(field, json_array_get(of, 1), &hi))
		return false;
	for (unsigned i = 0; i < field->word_cnt; i++) {
		if (lo.lo[i] > hi.hi[i])
			return false;
		if (lo.lo[i] < hi.hi[i])
			break;
	}
	memcpy(ret->lo, lo.lo, sizeof(ret->lo));
	memcpy(ret->hi, hi.hi, sizeof(ret->hi));
	return true;
}

bool fw_value_of(const struct fw_field *field, const json_t *value, struct fw_interval *ret_interval)
{
	const json_t *of;

	if (json_is_object(value) && json_object_size(value) != 1)
		return false;
	of = json_object_get(value, "prefix");
	if (of != NULL)
		return prefix(field, of, ret_interval);
	of = json_object_get(value, "range");
	return of != NULL ? range(field, of, ret_interval) : single(field, value, ret_interval);
}
