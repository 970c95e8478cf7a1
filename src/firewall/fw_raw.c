// SPDX-License-Identifier: BSD-2-Clause
/* fw_raw.c - the kernel's expressions of a rule, read: registers are followed from where they are loaded to where they are compared */
#include "firewall/fw_raw.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 16, ATTRS_MAX = 32 };

/* ---- attributes */

struct attr {
	const uint8_t *at; /* NULL: not there */
	uint32_t len;
};

/* Return: behind the attribute at @at; NULL: none is there */
static const uint8_t *next_attr(const uint8_t *at, const uint8_t *end, uint32_t *ret_type, struct attr *ret)
{
	struct nlattr nla;
	size_t left = (size_t)(end - at), whole;

	if (left < sizeof(nla))
		return NULL;
	memcpy(&nla, at, sizeof(nla));
	if (nla.nla_len < sizeof(nla) || nla.nla_len > left)
		return NULL;
	*ret_type = nla.nla_type & (uint32_t)NLA_TYPE_MASK;
	*ret = (struct attr){ at + sizeof(nla), (uint32_t)(nla.nla_len - sizeof(nla)) };
	whole = ((size_t)nla.nla_len + 3) & ~(size_t)3;
	return whole < left ? at + whole : end;
}

/* Of a nest, by type. */
static void attrs_of(const uint8_t *at, uint32_t len, struct attr ret[static ATTRS_MAX])
{
	const uint8_t *end = at + len;
	struct attr a;
	uint32_t type;

	memset(ret, 0, ATTRS_MAX * sizeof(*ret));
	while (at != NULL && at < end) {
		at = next_attr(at, end, &type, &a);
		if (at != NULL && type < ATTRS_MAX)
			ret[type] = a;
	}
}

static uint32_t u32_of(const struct attr *a)
{
	return a->at != NULL && a->len == 4 ? load_be32(a->at) : 0;
}

static uint64_t u64_of(const struct attr *a)
{
	return a->at != NULL && a->len == 8 ? (uint64_t)load_be32(a->at) << 32 | load_be32(a->at + 4) : 0;
}

/* Return: a string that ends in the message; NULL: none */
static const char *text_of(const struct attr *a)
{
	return a->at != NULL && a->len > 0 && a->at[a->len - 1] == '\0' ? (const char *)a->at : NULL;
}

static struct attr value_of(const struct attr *data)
{
	struct attr of[ATTRS_MAX];

	attrs_of(data->at, data->at != NULL ? data->len : 0, of);
	return of[NFTA_DATA_VALUE];
}

/* ---- registers */

/* What begins at a register. */
struct slot {
	struct fw_bytes of;
	bool swapped; /* into network byte order, from the host's */
	bool masked;
	uint8_t mask[FW_FACT_BYTES];
};

struct reader {
	struct fw_reading *r;
	struct slot slots[SLOTS];
};

static struct slot *slot_of(struct reader *rd, uint32_t reg)
{
	uint32_t i = reg >= NFT_REG32_00 ? reg - NFT_REG32_00 : (reg - NFT_REG_1) * 4;

	if (reg < NFT_REG_1 || i >= SLOTS) {
		rd->r->unknown = true;
		return NULL;
	}
	return &rd->slots[i];
}

/* Numbers of the host that have more than a byte. */
static bool is_host_order(const struct slot *s)
{
	bool number = s->of.source == FW_SOURCE_CT || s->of.source == FW_SOURCE_FIB_TYPE ||
		      (s->of.source == FW_SOURCE_META && s->of.key == NFT_META_LEN);

	return number && !s->swapped;
}

static bool bytes_of(const struct slot *s, const struct attr *value, uint8_t ret[static FW_FACT_BYTES])
{
	if (value->at == NULL || value->len > FW_FACT_BYTES)
		return false;
	memset(ret, 0, FW_FACT_BYTES);
	memcpy(ret, value->at, value->len);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (uint32_t i = 0; is_host_order(s) && i < value->len; i++)
		ret[i] = value->at[value->len - 1 - i];
#endif
	return true;
}

static void load(struct reader *rd, uint32_t reg, struct fw_bytes of)
{
	struct slot *s = slot_of(rd, reg);

	if (s != NULL)
		*s = (struct slot){ .of = of };
}

static void read_payload(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	uint32_t base = u32_of(&of[NFTA_PAYLOAD_BASE]), off = u32_of(&of[NFTA_PAYLOAD_OFFSET]), len = u32_of(&of[NFTA_PAYLOAD_LEN]);

	if (of[NFTA_PAYLOAD_SREG].at != NULL || off > UINT8_MAX || len > UINT8_MAX ||
	    (base != NFT_PAYLOAD_NETWORK_HEADER && base != NFT_PAYLOAD_TRANSPORT_HEADER)) {
		rd->r->unknown = true;
		return;
	}
	load(rd, u32_of(&of[NFTA_PAYLOAD_DREG]),
	     (struct fw_bytes){ base == NFT_PAYLOAD_NETWORK_HEADER ? FW_SOURCE_NET : FW_SOURCE_L4, 0, (uint8_t)off, (uint8_t)len });
}

static void read_meta(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	static const uint8_t lens[] = { [NFT_META_LEN] = 4,	 [NFT_META_PROTOCOL] = 2, [NFT_META_IIF] = 4,
					[NFT_META_OIF] = 4,	 [NFT_META_IIFNAME] = 16, [NFT_META_OIFNAME] = 16,
					[NFT_META_NFPROTO] = 1, [NFT_META_L4PROTO] = 1,	 [NFT_META_PKTTYPE] = 1 };
	uint32_t key = u32_of(&of[NFTA_META_KEY]);

	if (of[NFTA_META_SREG].at != NULL || key >= sizeof(lens) || lens[key] == 0)
		rd->r->unknown = true;
	else
		load(rd, u32_of(&of[NFTA_META_DREG]), (struct fw_bytes){ FW_SOURCE_META, (uint8_t)key, 0, lens[key] });
}

static void read_ct(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	uint32_t key = u32_of(&of[NFTA_CT_KEY]);

	if (of[NFTA_CT_SREG].at != NULL || of[NFTA_CT_DIRECTION].at != NULL || (key != NFT_CT_STATE && key != NFT_CT_STATUS))
		rd->r->unknown = true;
	else
		load(rd, u32_of(&of[NFTA_CT_DREG]), (struct fw_bytes){ FW_SOURCE_CT, (uint8_t)key, 0, 4 });
}

static void read_fib(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	if (u32_of(&of[NFTA_FIB_RESULT]) != NFT_FIB_RESULT_ADDRTYPE || u32_of(&of[NFTA_FIB_FLAGS]) != NFTA_FIB_F_DADDR)
		rd->r->unknown = true;
	else
		load(rd, u32_of(&of[NFTA_FIB_DREG]), (struct fw_bytes){ FW_SOURCE_FIB_TYPE, 0, 0, 4 });
}

/* ---- what is done with them */

static void read_bitwise(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	struct slot *s = slot_of(rd, u32_of(&of[NFTA_BITWISE_SREG]));
	struct attr mask = value_of(&of[NFTA_BITWISE_MASK]), flip = value_of(&of[NFTA_BITWISE_XOR]);

	if (s == NULL || u32_of(&of[NFTA_BITWISE_OP]) != NFT_BITWISE_BOOL || s->masked ||
	    u32_of(&of[NFTA_BITWISE_DREG]) != u32_of(&of[NFTA_BITWISE_SREG]) || mask.len != s->of.len ||
	    !bytes_of(s, &mask, s->mask)) {
		rd->r->unknown = true;
		return;
	}
	s->masked = true;
	for (uint32_t i = 0; i < flip.len; i++)
		rd->r->unknown |= flip.at[i] != 0;
}

static void read_byteorder(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	struct slot *s = slot_of(rd, u32_of(&of[NFTA_BYTEORDER_SREG]));

	if (s == NULL || u32_of(&of[NFTA_BYTEORDER_OP]) != NFT_BYTEORDER_HTON || s->masked || s->swapped ||
	    u32_of(&of[NFTA_BYTEORDER_DREG]) != u32_of(&of[NFTA_BYTEORDER_SREG]) ||
	    u32_of(&of[NFTA_BYTEORDER_LEN]) != s->of.len || u32_of(&of[NFTA_BYTEORDER_SIZE]) != s->of.len || !is_host_order(s))
		rd->r->unknown = true;
	else
		s->swapped = true;
}

/* One more or one less, of a number in network byte order. Return: false: there is none */
static bool step_number(uint8_t *n, uint8_t len, bool up)
{
	for (uint8_t i = len; i-- > 0;) {
		n[i] = (uint8_t)(up ? n[i] + 1 : n[i] - 1);
		if (n[i] != (up ? 0 : 0xff))
			return true;
	}
	return false;
}

/* What is shorter than its field (a name that ends in a star) is compared as far as it goes. */
static void compare(struct reader *rd, const struct slot *s, uint32_t op, const struct attr *value)
{
	uint8_t lo[FW_FACT_BYTES], least[FW_FACT_BYTES] = { 0 }, most[FW_FACT_BYTES];
	const uint8_t *mask = s->masked ? s->mask : NULL;
	struct fw_bytes b = s->of;
	bool ok = bytes_of(s, value, lo) && value->len <= b.len;

	if (b.source == FW_SOURCE_META && (b.key == NFT_META_IIF || b.key == NFT_META_OIF))
		memset(lo, 0, sizeof(lo)); /* the other reading has a name */

	memset(most, 0xff, sizeof(most));
	b.len = (uint8_t)value->len;
	if (ok && op == NFT_CMP_EQ)
		fw_fact_add(rd->r, FW_FACT_IS, b, mask, lo, NULL);
	else if (ok && op == NFT_CMP_NEQ)
		fw_fact_add(rd->r, FW_FACT_IS_NOT, b, mask, lo, NULL);
	else if (ok && b.len == s->of.len && (op == NFT_CMP_LTE || (op == NFT_CMP_LT && step_number(lo, b.len, false))))
		fw_fact_add(rd->r, FW_FACT_IN, b, mask, least, lo);
	else if (ok && b.len == s->of.len && (op == NFT_CMP_GTE || (op == NFT_CMP_GT && step_number(lo, b.len, true))))
		fw_fact_add(rd->r, FW_FACT_IN, b, mask, lo, most);
	else
		rd->r->unknown = true;
}

static void read_cmp(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	struct slot *s = slot_of(rd, u32_of(&of[NFTA_CMP_SREG]));
	struct attr value = value_of(&of[NFTA_CMP_DATA]);

	if (s != NULL)
		compare(rd, s, u32_of(&of[NFTA_CMP_OP]), &value);
}

static void read_range(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	struct slot *s = slot_of(rd, u32_of(&of[NFTA_RANGE_SREG]));
	struct attr from = value_of(&of[NFTA_RANGE_FROM_DATA]), to = value_of(&of[NFTA_RANGE_TO_DATA]);
	uint8_t lo[FW_FACT_BYTES], hi[FW_FACT_BYTES];

	if (s == NULL || from.len != s->of.len || to.len != s->of.len || !bytes_of(s, &from, lo) || !bytes_of(s, &to, hi)) {
		rd->r->unknown = true;
		return;
	}
	fw_fact_add(rd->r, u32_of(&of[NFTA_RANGE_OP]) == NFT_RANGE_NEQ ? FW_FACT_OUT : FW_FACT_IN, s->of, s->masked ? s->mask : NULL, lo, hi);
}

static void read_lookup(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	bool is_map = of[NFTA_LOOKUP_DREG].at != NULL, not = u32_of(&of[NFTA_LOOKUP_FLAGS]) & NFT_LOOKUP_F_INV;
	enum fw_fact_op op = is_map ? FW_FACT_MAP : not ? FW_FACT_NOT_FOUND : FW_FACT_FOUND;
	struct slot *s = slot_of(rd, u32_of(&of[NFTA_LOOKUP_SREG]));
	const char *set = text_of(&of[NFTA_LOOKUP_SET]);

	if (s == NULL || set == NULL || s->of.len == 0 || (is_map && u32_of(&of[NFTA_LOOKUP_DREG]) != NFT_REG_VERDICT)) {
		rd->r->unknown = true;
		return;
	}
	for (uint32_t nr = 0; s < rd->slots + SLOTS && s->of.len > 0; nr++) {
		rd->r->unknown |= s->masked;
		fw_fact_key(rd->r, op, s->of, nr, strncmp(set, "__", 2) == 0 ? NULL : set);
		s += (s->of.len + 3) / 4;
	}
	memset(rd->slots, 0, sizeof(rd->slots));
	if (is_map)
		fw_step_add(rd->r, FW_STEP_MAP, 0, 0, 0);
}

/* ---- statements */

static void read_immediate(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	struct attr data[ATTRS_MAX], verdict[ATTRS_MAX];

	attrs_of(of[NFTA_IMMEDIATE_DATA].at, of[NFTA_IMMEDIATE_DATA].at != NULL ? of[NFTA_IMMEDIATE_DATA].len : 0, data);
	attrs_of(data[NFTA_DATA_VERDICT].at, data[NFTA_DATA_VERDICT].at != NULL ? data[NFTA_DATA_VERDICT].len : 0, verdict);
	if (u32_of(&of[NFTA_IMMEDIATE_DREG]) != NFT_REG_VERDICT || verdict[NFTA_VERDICT_CODE].at == NULL)
		rd->r->unknown = true;
	else
		fw_step_add(rd->r, FW_STEP_VERDICT, u32_of(&verdict[NFTA_VERDICT_CODE]),
			    fw_name_hash(text_of(&verdict[NFTA_VERDICT_CHAIN])), 0);
}

static void read_objref(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	uint32_t type = u32_of(&of[NFTA_OBJREF_IMM_TYPE]);
	const char *name = text_of(&of[NFTA_OBJREF_IMM_NAME]);

	if (name == NULL || (type != NFT_OBJECT_COUNTER && type != NFT_OBJECT_LIMIT))
		rd->r->unknown = true;
	else
		fw_step_add(rd->r, type == NFT_OBJECT_COUNTER ? FW_STEP_NAMED_COUNTER : FW_STEP_NAMED_LIMIT, 0, fw_name_hash(name), 0);
}

static void read_limit(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	uint32_t type = u32_of(&of[NFTA_LIMIT_TYPE]), inverted = u32_of(&of[NFTA_LIMIT_FLAGS]) & NFT_LIMIT_F_INV;

	fw_step_add(rd->r, FW_STEP_LIMIT, type << 1 | inverted, u64_of(&of[NFTA_LIMIT_RATE]), u64_of(&of[NFTA_LIMIT_UNIT]));
}

static void read_counter(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	(void)of;
	fw_step_add(rd->r, FW_STEP_COUNTER, 0, 0, 0);
}

static void read_reject(struct reader *rd, const struct attr of[static ATTRS_MAX])
{
	uint32_t type = u32_of(&of[NFTA_REJECT_TYPE]);
	const struct attr *code = &of[NFTA_REJECT_ICMP_CODE];

	fw_step_add(rd->r, FW_STEP_REJECT, type, type != NFT_REJECT_TCP_RST && code->at != NULL && code->len == 1 ? code->at[0] : 0, 0);
}

static void read_expr(struct reader *rd, const char *name, const struct attr of[static ATTRS_MAX])
{
	static const struct {
		const char *name;
		void (*read)(struct reader *rd, const struct attr of[static ATTRS_MAX]);
	} kinds[] = { { "payload", read_payload },   { "meta", read_meta },	{ "ct", read_ct },	     { "fib", read_fib },
		      { "bitwise", read_bitwise },   { "byteorder", read_byteorder }, { "cmp", read_cmp },   { "range", read_range },
		      { "lookup", read_lookup },     { "immediate", read_immediate }, { "objref", read_objref }, { "limit", read_limit },
		      { "counter", read_counter }, { "reject", read_reject } };

	for (size_t i = 0; name != NULL && i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0) {
			kinds[i].read(rd, of);
			return;
		}
	rd->r->unknown = true;
}

static void read_exprs(const struct attr *list, struct fw_reading *ret)
{
	const uint8_t *at = list->at, *end = at + list->len;
	struct reader rd = { .r = ret };
	struct attr expr, of[ATTRS_MAX], data[ATTRS_MAX];
	uint32_t type;

	while (at < end) {
		at = next_attr(at, end, &type, &expr);
		if (at == NULL || type != NFTA_LIST_ELEM) {
			ret->unknown = true;
			return;
		}
		attrs_of(expr.at, expr.len, of);
		attrs_of(of[NFTA_EXPR_DATA].at, of[NFTA_EXPR_DATA].at != NULL ? of[NFTA_EXPR_DATA].len : 0, data);
		read_expr(&rd, text_of(&of[NFTA_EXPR_NAME]), data);
	}
}

/* ---- rules */

static int compare_handle(const void *a, const void *b)
{
	uint64_t x = ((const struct fw_raw_rule *)a)->handle, y = ((const struct fw_raw_rule *)b)->handle;

	return x < y ? -1 : x > y;
}

static int add_rule(struct fw_raw *raw, const uint8_t *body, uint32_t len)
{
	struct attr of[ATTRS_MAX];
	struct nfgenmsg nfg;

	if (len < NLMSG_ALIGN(sizeof(nfg)))
		return -EINVAL;
	if (raw->cnt == raw->max) {
		uint32_t max = raw->max > 0 ? 2 * raw->max : 64;
		struct fw_raw_rule *more = realloc(raw->rules, max * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		raw->rules = more;
		raw->max = max;
	}
	memcpy(&nfg, body, sizeof(nfg));
	body += NLMSG_ALIGN(sizeof(nfg));
	len -= (uint32_t)NLMSG_ALIGN(sizeof(nfg));
	attrs_of(body, len, of);
	raw->rules[raw->cnt++] = (struct fw_raw_rule){ u64_of(&of[NFTA_RULE_HANDLE]), body, len, nfg.nfgen_family };
	return 0;
}

int fw_raw_read(const uint8_t *bytes, size_t len, struct fw_raw *ret_raw)
{
	struct fw_raw raw = { .cnt = 0 };
	struct nlmsghdr h;
	int r = 0;

	for (size_t at = 0; r == 0 && len - at >= sizeof(h); at += NLMSG_ALIGN(h.nlmsg_len)) {
		memcpy(&h, bytes + at, sizeof(h));
		/* both: NLMSG_ALIGN() of the longest wraps to 0 */
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - at || NLMSG_ALIGN(h.nlmsg_len) > len - at)
			r = -EINVAL;
		else if (h.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
			r = add_rule(&raw, bytes + at + sizeof(h), h.nlmsg_len - (uint32_t)sizeof(h));
		if (r < 0) {
			fw_raw_free(&raw);
			return r;
		}
	}
	if (raw.cnt > 0)
		qsort(raw.rules, raw.cnt, sizeof(*raw.rules), compare_handle);
	*ret_raw = raw;
	return 0;
}

void fw_raw_free(struct fw_raw *raw)
{
	free(raw->rules);
	*raw = (struct fw_raw){ .cnt = 0 };
}

static bool is_named(const struct attr *a, const char *name)
{
	const char *text = text_of(a);

	return text != NULL && strcmp(text, name) == 0;
}

/* Handles are given once in a table. */
bool fw_raw_rule(const struct fw_raw *raw, const char *family, const char *table, const char *chain, uint64_t handle,
		 struct fw_reading *ret_reading)
{
	uint8_t nfproto = strcmp(family, "inet") == 0 ? NFPROTO_INET : strcmp(family, "ip") == 0 ? NFPROTO_IPV4
								     : strcmp(family, "ip6") == 0 ? NFPROTO_IPV6 : 0;
	uint32_t from = 0, to = raw->cnt;

	while (from < to) {
		uint32_t mid = from + (to - from) / 2;

		if (raw->rules[mid].handle < handle)
			from = mid + 1;
		else
			to = mid;
	}
	for (; to < raw->cnt && raw->rules[to].handle == handle; to++) {
		const struct fw_raw_rule *rule = &raw->rules[to];
		struct attr of[ATTRS_MAX];

		attrs_of(rule->attrs, rule->len, of);
		if (rule->family != nfproto || !is_named(&of[NFTA_RULE_TABLE], table) || !is_named(&of[NFTA_RULE_CHAIN], chain))
			continue;
		*ret_reading = (struct fw_reading){ .fact_cnt = 0 };
		if (of[NFTA_RULE_EXPRESSIONS].at != NULL)
			read_exprs(&of[NFTA_RULE_EXPRESSIONS], ret_reading);
		ret_reading->unknown |= of[NFTA_RULE_COMPAT].at != NULL;
		return true;
	}
	return false;
}
