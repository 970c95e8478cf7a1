// SPDX-License-Identifier: BSD-2-Clause
/* fw_facts.c - facts and steps of a rule in one form, and compared: see fw_raw.h */
#include "firewall/fw_raw.h"

#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "wire/eth.h"

enum { NFPROTO_OF_IP4 = 2, NFPROTO_OF_IP6 = 10 };

uint64_t fw_name_hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	if (name == NULL)
		return 0;
	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3u;
	return h != 0 ? h : 1;
}

static struct fw_fact *fresh(struct fw_reading *r, enum fw_fact_op op, struct fw_bytes of)
{
	struct fw_fact *f = &r->facts[r->fact_cnt];

	if (r->fact_cnt == FW_FACTS_MAX || of.len > FW_FACT_BYTES) {
		r->unknown = true;
		return NULL;
	}
	r->fact_cnt++;
	*f = (struct fw_fact){ .op = (uint8_t)op, .of = of };
	return f;
}

static bool is_known(const struct fw_reading *r, const struct fw_fact *f)
{
	for (uint32_t i = 0; i < r->fact_cnt; i++)
		if (memcmp(&r->facts[i], f, sizeof(*f)) == 0)
			return true;
	return false;
}

/* Byte by byte: nft joins what lies side by side, and leaves out what a mask does not touch. */
static void add_is(struct fw_reading *r, struct fw_bytes of, const uint8_t *mask, const uint8_t *lo)
{
	for (uint8_t i = 0; i < of.len; i++) {
		struct fw_fact one = { .op = FW_FACT_IS, .of = { of.source, of.key, (uint8_t)(of.off + i), 1 } }, *f;

		one.mask[0] = mask != NULL ? mask[i] : 0xff;
		one.lo[0] = lo[i];
		if ((lo[i] & ~one.mask[0]) != 0) {
			r->unknown = true; /* never true */
			return;
		}
		if (one.mask[0] == 0 || is_known(r, &one))
			continue;
		f = fresh(r, FW_FACT_IS, one.of);
		if (f != NULL)
			*f = one;
	}
}

static void add_is_not(struct fw_reading *r, struct fw_bytes of, const uint8_t *mask, const uint8_t *lo)
{
	uint8_t from = 0, to = of.len;
	struct fw_fact *f;

	while (mask != NULL && from < to && mask[from] == 0)
		from++;
	while (mask != NULL && to > from && mask[to - 1] == 0)
		to--;
	f = fresh(r, FW_FACT_IS_NOT, (struct fw_bytes){ of.source, of.key, (uint8_t)(of.off + from), (uint8_t)(to - from) });
	for (uint8_t i = from; f != NULL && i < to; i++) {
		f->mask[i - from] = mask != NULL ? mask[i] : 0xff;
		f->lo[i - from] = lo[i];
	}
}

/* Several ranges of the same bytes are one: where they overlap. */
static void add_range(struct fw_reading *r, enum fw_fact_op op, struct fw_bytes of, const uint8_t *lo, const uint8_t *hi)
{
	struct fw_fact *f = NULL;

	for (uint32_t i = 0; op == FW_FACT_IN && i < r->fact_cnt; i++)
		if (r->facts[i].op == FW_FACT_IN && memcmp(&r->facts[i].of, &of, sizeof(of)) == 0)
			f = &r->facts[i];
	if (f == NULL) {
		f = fresh(r, op, of);
		if (f == NULL)
			return;
		memcpy(f->lo, lo, of.len);
		memcpy(f->hi, hi, of.len);
		return;
	}
	if (memcmp(lo, f->lo, of.len) > 0)
		memcpy(f->lo, lo, of.len);
	if (memcmp(hi, f->hi, of.len) < 0)
		memcpy(f->hi, hi, of.len);
}

void fw_fact_add(struct fw_reading *r, enum fw_fact_op op, struct fw_bytes of, const uint8_t *mask, const uint8_t *lo, const uint8_t *hi)
{
	if (of.source == FW_SOURCE_NONE || of.len == 0 || of.len > FW_FACT_BYTES)
		r->unknown = true;
	else if (op == FW_FACT_IS)
		add_is(r, of, mask, lo);
	else if (op == FW_FACT_IS_NOT)
		add_is_not(r, of, mask, lo);
	else if (mask == NULL)
		add_range(r, op, of, lo, hi);
	else
		r->unknown = true;
}

void fw_fact_key(struct fw_reading *r, enum fw_fact_op op, struct fw_bytes of, uint32_t nr, const char *set)
{
	struct fw_fact *f = fresh(r, op, of);
	uint64_t hash = fw_name_hash(set);

	if (f == NULL)
		return;
	f->lo[0] = (uint8_t)nr;
	memcpy(f->hi, &hash, sizeof(hash));
}

void fw_step_add(struct fw_reading *r, enum fw_step_kind kind, uint32_t a, uint64_t b, uint64_t c)
{
	if (r->step_cnt == FW_STEPS_MAX)
		r->unknown = true;
	else
		r->steps[r->step_cnt++] = (struct fw_step){ .kind = kind, .a = a, .b = b, .c = c };
}

/* ---- one form */

/* [lo, hi] that is all that begins with the same bits: what is left is a mask. */
static bool prefix_mask(const struct fw_fact *f, uint8_t mask[static FW_FACT_BYTES])
{
	bool rest = false;

	for (uint8_t i = 0; i < f->of.len; i++) {
		uint8_t differ = f->lo[i] ^ f->hi[i];

		if ((differ & (differ + 1)) != 0 || (f->lo[i] & differ) != 0 || (rest && differ != 0xff))
			return false;
		rest |= differ != 0;
		mask[i] = (uint8_t)~differ;
	}
	return true;
}

static void settle_ranges(struct fw_reading *r)
{
	for (uint32_t i = 0; i < r->fact_cnt;) {
		struct fw_fact f = r->facts[i];
		uint8_t mask[FW_FACT_BYTES] = { 0 };

		if ((f.op != FW_FACT_IN && f.op != FW_FACT_OUT) || !prefix_mask(&f, mask)) {
			i++;
			continue;
		}
		r->facts[i] = r->facts[--r->fact_cnt];
		if (f.op == FW_FACT_IN)
			add_is(r, f.of, mask, f.lo);
		else
			add_is_not(r, f.of, mask, f.lo);
	}
}

static bool is_byte(const struct fw_fact *f, uint8_t source, uint8_t key, uint8_t off)
{
	return f->op == FW_FACT_IS && f->of.source == source && f->of.key == key && f->of.off == off && f->mask[0] == 0xff;
}

static void remove_at(struct fw_reading *r, uint32_t i)
{
	r->facts[i] = r->facts[--r->fact_cnt];
}

/* The type of the frame says which protocol it is. */
static void settle_ethertype(struct fw_reading *r)
{
	for (uint32_t i = 0; i < r->fact_cnt; i++)
		for (uint32_t k = 0; k < r->fact_cnt; k++) {
			struct fw_fact *hi = &r->facts[i], *lo = &r->facts[k];
			uint32_t type = (uint32_t)hi->lo[0] << 8 | lo->lo[0];
			uint8_t proto = type == ETH_TYPE_IP4 ? NFPROTO_OF_IP4 : NFPROTO_OF_IP6;

			if (!is_byte(hi, FW_SOURCE_META, NFT_META_PROTOCOL, 0) || !is_byte(lo, FW_SOURCE_META, NFT_META_PROTOCOL, 1) ||
			    (type != ETH_TYPE_IP4 && type != ETH_TYPE_IP6))
				continue;
			remove_at(r, i > k ? i : k);
			remove_at(r, i > k ? k : i);
			add_is(r, (struct fw_bytes){ FW_SOURCE_META, NFT_META_NFPROTO, 0, 1 }, NULL, &proto);
			return;
		}
}

/*
 * What one reading says, and the other one leaves to be understood: the family, by the table; of IPv4, that the header's protocol is that of
 * what follows (of IPv6 it need not be).
 */
static void settle_family(struct fw_reading *r, const char *family)
{
	uint8_t of_table = strcmp(family, "ip") == 0 ? NFPROTO_OF_IP4 : strcmp(family, "ip6") == 0 ? NFPROTO_OF_IP6 : 0;
	bool v4 = of_table == NFPROTO_OF_IP4;

	for (uint32_t i = 0; i < r->fact_cnt; i++)
		v4 |= is_byte(&r->facts[i], FW_SOURCE_META, NFT_META_NFPROTO, 0) && r->facts[i].lo[0] == NFPROTO_OF_IP4;
	for (uint32_t i = 0; i < r->fact_cnt;) {
		struct fw_fact *f = &r->facts[i], alias = *f;

		if (is_byte(f, FW_SOURCE_META, NFT_META_NFPROTO, 0) && f->lo[0] == of_table) {
			remove_at(r, i);
			continue;
		}
		alias.of = (struct fw_bytes){ FW_SOURCE_META, NFT_META_L4PROTO, 0, 1 };
		if (v4 && is_byte(f, FW_SOURCE_NET, 0, 9)) {
			if (is_known(r, &alias)) {
				remove_at(r, i);
				continue;
			}
			*f = alias;
		}
		i++;
	}
}

static int compare_facts(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fw_fact));
}

static void settle(struct fw_reading *r, const char *family)
{
	settle_ranges(r);
	settle_ethertype(r);
	settle_family(r, family);
	qsort(r->facts, r->fact_cnt, sizeof(*r->facts), compare_facts);
}

bool fw_readings_agree(struct fw_reading *a, struct fw_reading *b, const char *family)
{
	if (a->unknown || b->unknown || a->step_cnt != b->step_cnt)
		return false;
	for (uint32_t i = 0; i < a->step_cnt; i++) {
		const struct fw_step *x = &a->steps[i], *y = &b->steps[i];

		if (x->kind != y->kind || x->a != y->a || x->b != y->b || x->c != y->c)
			return false;
	}
	settle(a, family);
	settle(b, family);
	return a->fact_cnt == b->fact_cnt && memcmp(a->facts, b->facts, a->fact_cnt * sizeof(*a->facts)) == 0;
}
