// SPDX-License-Identifier: BSD-2-Clause
#include "stack/ip_pmtu.h"

#include "base/time.h"
#include "stack/stack_priv.h"

#define PMTU_SETS 512u
#define PMTU_WAYS 4u
#define PMTU_AGE_US (600 * US_PER_SEC) /* RFC 1191 section 6.3, RFC 8201 section 4; as Linux */

struct pmtu_entry {
	struct ip_addr dst;
	uint64_t until_us;
	uint32_t link; /* 0: empty */
	uint16_t mtu;
	bool frag_ok;
};

_Static_assert(sizeof(struct pmtu_entry) == 32, "a set is two cache lines");

struct pmtu_table {
	struct pmtu_entry entry[PMTU_SETS][PMTU_WAYS];
};

/* ---- the table ------------------------------------------------------------------------------- */

static struct pmtu_entry *pmtu_set(const struct stack *s, uint32_t link_id,
				   const struct ip_addr *dst)
{
	struct {
		struct ip_addr dst;
		uint32_t link, what;
	} key = { .dst = *dst, .link = link_id, .what = 0x70617468 };

	return s->pmtu->entry[stack_siphash(s, &key, sizeof(key)) % PMTU_SETS];
}

/* NULL: nothing is known */
static struct pmtu_entry *pmtu_find(const struct stack *s, uint32_t link_id,
				    const struct ip_addr *dst)
{
	struct pmtu_entry *set;

	if (s->pmtu == NULL)
		return NULL;
	set = pmtu_set(s, link_id, dst);
	for (unsigned int i = 0; i < PMTU_WAYS; i++)
		if (set[i].link == link_id && s->now_us < set[i].until_us &&
		    ip_addr_eq(&set[i].dst, dst))
			return &set[i];
	return NULL;
}

/* In place of what is known of it, or of the entry that ends first. Without memory it is forgotten. */
static void pmtu_put(struct stack *s, uint32_t link_id, const struct ip_addr *dst,
		     const struct pmtu *pmtu)
{
	struct pmtu_entry *e, *set;

	if (s->pmtu == NULL)
		s->pmtu = mem_get(&s->mem, sizeof(struct pmtu_table));
	if (s->pmtu == NULL)
		return;
	e = pmtu_find(s, link_id, dst);
	if (e == NULL) {
		e = set = pmtu_set(s, link_id, dst);
		for (unsigned int i = 1; i < PMTU_WAYS; i++)
			if (set[i].until_us < e->until_us)
				e = &set[i];
	}
	*e = (struct pmtu_entry){
		.dst = *dst,
		.until_us = pmtu->until_us,
		.link = link_id,
		.mtu = (uint16_t)pmtu->mtu,
		.frag_ok = pmtu->frag_ok,
	};
}

struct pmtu pmtu_get(const struct stack *s, uint32_t link_id, const struct ip_addr *dst)
{
	const struct pmtu_entry *e = pmtu_find(s, link_id, dst);
	uint32_t most = link_at(&s->links, link_id)->mtu;

	if (e == NULL || e->mtu >= most)
		return (struct pmtu){ .mtu = most, .until_us = TIME_NEVER };
	return (struct pmtu){ .mtu = e->mtu, .frag_ok = e->frag_ok, .until_us = e->until_us };
}

void pmtu_link_gone(struct stack *s, uint32_t link_id)
{
	for (unsigned int i = 0; s->pmtu != NULL && i < PMTU_SETS * PMTU_WAYS; i++) {
		struct pmtu_entry *e = &s->pmtu->entry[i / PMTU_WAYS][i % PMTU_WAYS];

		if (e->link == link_id)
			*e = (struct pmtu_entry){ .link = 0 };
	}
}

void pmtu_fini(struct stack *s)
{
	mem_put(&s->mem, s->pmtu, sizeof(struct pmtu_table));
}

/* ---- what is learned ------------------------------------------------------------------------- */

/*
 * A router of before RFC 1191 does not say what it can pass: the next smaller of those MTUs that
 * links have (section 7.1). Some count the header twice in the length that they quote, so that is
 * not trusted beyond what we send.
 */
static uint32_t pmtu_guess(uint32_t quoted_len, uint32_t now)
{
	static const uint16_t plateau[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006 };
	uint32_t below = min_u32(quoted_len, now);

	for (size_t i = 0; i < ARRAY_SIZE(plateau); i++)
		if (plateau[i] < below)
			return plateau[i];
	return PMTU_MIN_V4;
}

bool pmtu_learn(struct stack *s, const struct icmp_error *error, struct pmtu *ret_pmtu)
{
	bool v4 = ip_addr_is_v4(&error->remote.addr);
	struct pmtu known = pmtu_get(s, error->link, &error->remote.addr);
	uint32_t mtu = error->mtu;

	if (v4 && mtu == 0)
		mtu = pmtu_guess(error->quoted_len, known.mtu);
	/* RFC 8201 section 4: IPv6 passes 1280 bytes everywhere. Nothing becomes larger. */
	if ((!v4 && mtu < PMTU_MIN_V6) || mtu >= link_at(&s->links, error->link)->mtu) {
		stack_drop(s, STACK_DROP_ICMP_MTU);
		return false;
	}
	*ret_pmtu = known;
	if (mtu > known.mtu)
		return true;
	*ret_pmtu = (struct pmtu){
		.mtu = max_u32(mtu, pmtu_min(v4)),
		.frag_ok = mtu < pmtu_min(v4),
		.until_us = s->now_us + PMTU_AGE_US,
	};
	pmtu_put(s, error->link, &error->remote.addr, ret_pmtu);
	return true;
}

void pmtu_found(struct stack *s, uint32_t link_id, const struct ip_addr *dst, uint32_t mtu)
{
	struct pmtu pmtu = { .mtu = mtu, .until_us = s->now_us + PMTU_AGE_US };

	if (mtu < pmtu_get(s, link_id, dst).mtu)
		pmtu_put(s, link_id, dst, &pmtu);
}
