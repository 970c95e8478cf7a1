// SPDX-License-Identifier: BSD-2-Clause
#include "tests/firewall/gen.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- text */

struct out {
	struct prng *rng;
	char *text;
	size_t len;
	const char *family;
	const char *hook; /* of the base chain at hand, NULL: none */
	int prio;
	unsigned base_cnt;
	unsigned chain; /* of those that are jumped to: only later ones may follow */
	bool compared; /* nft 1.0.6 shows two one-sided comparisons of different fields as a range of the second */
	bool v4, v6, tcp, udp, icmp; /* what the rule at hand is about already */
};

enum { CHAINS = 3 };

static void VJ_PRINTF(2, 3) put(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	o->len += (size_t)vsnprintf(o->text + o->len, GEN_TEXT_BYTES - o->len, fmt, ap);
	va_end(ap);
	if (o->len >= GEN_TEXT_BYTES)
		o->len = GEN_TEXT_BYTES - 1;
}

static unsigned below(struct prng *rng, unsigned n)
{
	return (unsigned)prng_below(rng, n);
}

static const char *pick(struct prng *rng, const char *const *of, size_t cnt)
{
	return of[prng_below(rng, cnt)];
}
#define PICK(rng, ...) pick(rng, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* Addresses are few, so that rules hit: the last byte or two of each family differ. */
static void addr4(struct prng *rng, char buf[static 48])
{
	snprintf(buf, 48, "%s.%u", PICK(rng, "10.9.0", "10.9.1", "192.168.7"), 1 + below(rng, 9));
}

static void addr6(struct prng *rng, char buf[static 48])
{
	snprintf(buf, 48, "%s::%x", PICK(rng, "fd09", "fd09:0:0:1", "2001:db8"), 1 + below(rng, 9));
}

static unsigned port(struct prng *rng)
{
	static const unsigned few[] = { 22, 53, 80, 81, 443, 1000, 1001, 5353, 40000, 65535 };

	return prng_chance(rng, 5, 6) ? few[below(rng, ARRAY_SIZE(few))] : below(rng, 65536);
}

static void ports(struct out *o, unsigned max)
{
	unsigned at = below(o->rng, 60), n = 1 + below(o->rng, max);

	for (unsigned i = 0; i < n; i++) {
		put(o, "%s%u", i > 0 ? ", " : "", at);
		if (prng_chance(o->rng, 1, 3))
			put(o, "-%u", at += 1 + below(o->rng, 30));
		at += 1 + below(o->rng, i == 1 ? 400 : 40);
	}
}

static void addrs(struct out *o, bool v6, bool intervals, unsigned max)
{
	char a[48];
	unsigned n = 1 + below(o->rng, max);

	for (unsigned i = 0; i < n; i++) {
		/* one network each, so that intervals don't overlap */
		if (v6)
			snprintf(a, sizeof(a), "%s::%x", i % 3 == 0 ? "fd09" : i % 3 == 1 ? "fd09:0:0:1" : "2001:db8", 1 + i);
		else
			snprintf(a, sizeof(a), "%s.%u", i % 3 == 0 ? "10.9.0" : i % 3 == 1 ? "10.9.1" : "192.168.7", 1 + i);
		put(o, "%s%s", i > 0 ? ", " : "", a);
		if (intervals && i + 3 >= n && prng_chance(o->rng, 1, 3))
			put(o, "-%s", v6 ? (i % 3 == 0 ? "fd09::ff" : i % 3 == 1 ? "fd09:0:0:1:0:1::" : "2001:db8:0:5::")
					 : (i % 3 == 0 ? "10.9.0.77" : i % 3 == 1 ? "10.9.5.3" : "192.168.7.255"));
	}
}

/* ---- matches */

static const char *side_cmp(struct out *o)
{
	if (o->compared)
		return "";
	o->compared = true;
	return PICK(o->rng, "<", ">", "<=", ">=");
}

static const char *cmp(struct out *o)
{
	return PICK(o->rng, "", "", "", "!= ");
}

static void match_addr(struct out *o, bool v6)
{
	const char *ip = v6 ? "ip6" : "ip", *side = PICK(o->rng, "saddr", "daddr");
	char a[48];

	(v6 ? addr6 : addr4)(o->rng, a);
	switch (below(o->rng, 6)) {
	case 0:
		put(o, "%s %s %s%s/%u ", ip, side, cmp(o), a, v6 ? below(o->rng, 129) : below(o->rng, 33));
		break;
	case 1:
		put(o, "%s %s %s@%s ", ip, side, cmp(o), v6 ? "i6" : "i4");
		break;
	case 2:
		put(o, "%s %s %s@%s ", ip, side, cmp(o), v6 ? "x6" : "x4");
		break;
	case 3:
		put(o, "%s %s %s{ ", ip, side, cmp(o));
		addrs(o, v6, true, 4);
		put(o, " } ");
		break;
	case 4:
		if (v6)
			put(o, "ip6 %s %sfd09::3-fd09:0:0:1::4 ", side, cmp(o));
		else if (prng_chance(o->rng, 1, 2))
			put(o, "ip %s & 255.255.0.7 == 10.9.0.%u ", side, below(o->rng, 8));
		else
			put(o, "ip %s %s10.9.0.3-10.9.1.2 ", side, cmp(o));
		break;
	default:
		put(o, "%s %s %s%s ", ip, side, cmp(o), a);
	}
}

/* nft refuses a rule that is about two protocols: nothing more of one. */
static void any_protocol(struct out *o)
{
	o->tcp = o->udp = o->icmp = true;
}

static void match_ip(struct out *o, bool v6)
{
	switch (below(o->rng, 8)) {
	case 0:
		if (o->tcp || o->udp || o->icmp)
			break;
		any_protocol(o);
		put(o, v6 ? "ip6 nexthdr %s%s " : "ip protocol %s%s ", cmp(o), PICK(o->rng, "tcp", "udp", v6 ? "icmpv6" : "icmp"));
		break;
	case 1:
		put(o, v6 ? "ip6 hoplimit %s %u " : "ip ttl %s %u ", below(o->rng, 2) ? cmp(o) : side_cmp(o), 60 + below(o->rng, 6));
		break;
	case 2:
		put(o, "%s dscp %s%u ", v6 ? "ip6" : "ip", cmp(o), below(o->rng, 3) * 8);
		break;
	default:
		match_addr(o, v6);
	}
	o->v6 |= v6;
	o->v4 |= !v6;
}

static void match_port(struct out *o, const char *proto)
{
	const char *side = PICK(o->rng, "dport", "dport", "sport");

	switch (below(o->rng, 6)) {
	case 0:
		put(o, "%s %s %s@ports ", proto, side, cmp(o));
		break;
	case 1:
		put(o, "%s %s %s{ ", proto, side, cmp(o));
		ports(o, 6);
		put(o, " } ");
		break;
	case 2: {
		unsigned p = below(o->rng, 1000);

		put(o, "%s %s %s%u-%u ", proto, side, cmp(o), p, p + 1 + below(o->rng, 500));
		break;
	}
	case 3:
		put(o, "%s %s %s %u ", proto, side, side_cmp(o), 1 + below(o->rng, 1200));
		break;
	default:
		put(o, "%s %s %s%u ", proto, side, cmp(o), port(o->rng));
	}
}

static void match_tcp(struct out *o)
{
	switch (below(o->rng, 8)) {
	case 0:
		put(o, "tcp flags %s ", PICK(o->rng, "syn", "fin,rst", "!= syn", "syn / syn,ack,rst,fin", "& (syn|ack) == syn|ack",
					     "& (fin|syn|rst|ack) != syn", "! ack", "{ syn, syn|ack, ack }"));
		break;
	case 1:
		put(o, "tcp window %s %u ", below(o->rng, 2) ? cmp(o) : side_cmp(o), below(o->rng, 2) * 1000 + 1);
		break;
	default:
		match_port(o, "tcp");
	}
	o->tcp = true;
}

static void match_icmp(struct out *o)
{
	bool v6 = o->v6 || (!o->v4 && (strcmp(o->family, "ip6") == 0 || (strcmp(o->family, "inet") == 0 && below(o->rng, 2))));

	if (v6)
		put(o, "icmpv6 type %s ", PICK(o->rng, "destination-unreachable", "{ packet-too-big, time-exceeded }", "!= 1"));
	else
		put(o, "icmp %s ", PICK(o->rng, "type destination-unreachable", "type { time-exceeded, parameter-problem }", "code 4",
					"type != 3"));
	o->v6 |= v6;
	o->v4 |= !v6;
	o->icmp = true;
}

static void match_concat(struct out *o)
{
	if (o->v6 || strcmp(o->family, "ip6") == 0)
		put(o, "ip6 saddr . ip6 daddr { fd09::2 . fd09::1, fd09::1 . fd09::2, fd09::3-fd09::5 . fd09::1 } ");
	else if (o->udp || o->icmp || o->tcp)
		put(o, "ip saddr . ip daddr %s{ 10.9.0.2 . 10.9.0.1, 10.9.0.1-10.9.0.4 . 10.9.0.0/24 } ", cmp(o));
	else if (below(o->rng, 2))
		put(o, "ip saddr . tcp dport %s@pairs ", cmp(o)), o->tcp = true;
	else
		put(o, "meta l4proto . th dport { tcp . 22, tcp . 80, udp . 53, udp . 5353 } "), any_protocol(o);
	o->v4 |= !o->v6 && strcmp(o->family, "ip6") != 0;
}

static bool knows_state(const struct out *o)
{
	return o->hook == NULL || o->prio > -200;
}

static void match_state(struct out *o)
{
	if (knows_state(o))
		put(o, "ct state %s ", PICK(o->rng, "new", "established", "established,related", "invalid", "related", "!= new",
					    "{ new, established }", "! invalid"));
}

static void match_meta(struct out *o)
{
	bool any_l4 = !o->tcp && !o->udp && !o->icmp;
	unsigned what = below(o->rng, 8);

	if (what == 2 || what > 6)
		any_protocol(o);
	switch (what) {
	case 0:
		put(o, "iifname %s\"%s\" ", cmp(o), PICK(o->rng, GEN_IFNAME, "vjte*", "lo", "vjtestx"));
		break;
	case 1:
		put(o, "oifname %s{ \"%s\", \"eth0\" } ", cmp(o), PICK(o->rng, GEN_IFNAME, "wg0"));
		break;
	case 2:
		if (any_l4)
			put(o, "meta l4proto %s ", PICK(o->rng, "tcp", "udp", "{ tcp, udp }", "!= tcp"));
		break;
	case 3:
		if (any_l4 && strcmp(o->family, "inet") == 0 && !o->v4 && !o->v6) {
			o->v6 = below(o->rng, 2);
			o->v4 = !o->v6;
			put(o, "meta nfproto %s ", o->v6 ? "ipv6" : "ipv4");
		}
		break;
	case 4:
		put(o, "meta length %s %u ", below(o->rng, 2) ? cmp(o) : side_cmp(o), 40 + below(o->rng, 60));
		break;
	case 5:
		put(o, "fib daddr type %slocal ", cmp(o));
		break;
	case 6:
		put(o, "iif %s%s ", cmp(o), PICK(o->rng, GEN_IFNAME, "lo"));
		break;
	default:
		if (any_l4)
			put(o, "meta l4proto { tcp, udp } th dport %u ", port(o->rng));
	}
}

static void match(struct out *o)
{
	bool can4 = !o->v6 && strcmp(o->family, "ip6") != 0, can6 = !o->v4 && strcmp(o->family, "ip") != 0;
	unsigned what = below(o->rng, 9);

	if (what < 2 && (can4 || can6))
		match_ip(o, can6 && (!can4 || below(o->rng, 2)));
	else if (what < 4 && !o->udp && !o->icmp)
		match_tcp(o);
	else if (what == 4 && !o->tcp && !o->icmp)
		match_port(o, "udp"), o->udp = true;
	else if (what == 5 && !o->tcp && !o->udp && !o->icmp)
		match_icmp(o);
	else if (what == 6)
		match_state(o);
	else if (what == 7)
		match_concat(o);
	else
		match_meta(o);
}

/* ---- rules */

static void to_chain(struct out *o, const char *how, unsigned from)
{
	if (from < CHAINS)
		put(o, "%s r%u", how, from + below(o->rng, CHAINS - from));
	else
		put(o, "return");
}

static void verdict_map(struct out *o)
{
	unsigned next = o->hook != NULL ? 0 : o->chain + 1;

	if (next == 0 && !o->udp && !o->icmp && below(o->rng, 2)) {
		put(o, "tcp dport vmap @vports");
		return;
	}
	if (knows_state(o) && below(o->rng, 2))
		put(o, "ct state vmap { established : accept, new : ");
	else if (!o->tcp && !o->udp && !o->icmp)
		put(o, "meta l4proto . th dport vmap { tcp . 80 : accept, udp . 53 : drop, tcp . 443 : ");
	else
		put(o, "meta length vmap { 0-50 : accept, 51-60 : continue, 70-300 : ");
	to_chain(o, PICK(o->rng, "jump", "goto"), next);
	put(o, " }");
}

static void verdict(struct out *o)
{
	unsigned next = o->hook != NULL ? 0 : o->chain + 1;

	/* chains that are jumped to may ask for the state */
	switch (knows_state(o) ? below(o->rng, 10) : below(o->rng, 3)) {
	case 0:
	case 1:
		put(o, "accept");
		break;
	case 2:
		put(o, "drop");
		break;
	case 3:
	case 4:
		to_chain(o, PICK(o->rng, "jump", "jump", "goto"), next);
		break;
	case 5:
		put(o, "return");
		break;
	case 6:
		if (o->hook != NULL && strcmp(o->hook, "input") == 0 && !o->icmp)
			put(o, "reject");
		break;
	case 7:
		verdict_map(o);
		break;
	default:
		break; /* a rule that only counts */
	}
}

static void rule(struct out *o)
{
	unsigned n = below(o->rng, 4);

	o->compared = o->v4 = o->v6 = o->tcp = o->udp = o->icmp = false;
	put(o, "\t\t");
	for (unsigned i = 0; i < n; i++)
		match(o);
	if (prng_chance(o->rng, 1, 8))
		put(o, "limit rate %s1/day burst %u packets ", PICK(o->rng, "", "over "), 1 + below(o->rng, 9));
	else if (prng_chance(o->rng, 1, 16))
		put(o, "limit name \"slow\" ");
	put(o, "counter ");
	if (prng_chance(o->rng, 1, 6))
		put(o, "counter name \"%s\" ", PICK(o->rng, "c0", "c1"));
	verdict(o);
	put(o, "\n");
}

static void rules(struct out *o, unsigned max)
{
	for (unsigned n = 1 + below(o->rng, max); n > 0; n--)
		rule(o);
	put(o, "\t}\n");
}

static void base_chain(struct out *o, const char *hook)
{
	o->hook = hook;
	o->prio = (int[]){ -300, -150, 0, 0, 10 }[below(o->rng, 5)];
	put(o, "\tchain b%u {\n\t\ttype filter hook %s priority %d; policy %s;\n", o->base_cnt++, hook, o->prio,
	    PICK(o->rng, "accept", "accept", "accept", "drop"));
	rules(o, 6);
}

static void objects(struct out *o)
{
	bool v4 = strcmp(o->family, "ip6") != 0, v6 = strcmp(o->family, "ip") != 0;

	put(o, "\tcounter c0 {\n\t}\n\tcounter c1 {\n\t}\n\tlimit slow {\n\t\trate 1/day burst 7 packets\n\t}\n");
	put(o, "\tset ports {\n\t\ttype inet_service\n\t\tflags interval\n\t\telements = { ");
	ports(o, 12);
	put(o, " }\n\t}\n");
	for (unsigned i = 0; i < 4; i++) {
		bool six = i % 2, intervals = i / 2;

		if (six ? !v6 : !v4)
			continue;
		put(o, "\tset %s%s {\n\t\ttype ipv%s_addr\n%s\t\telements = { ", intervals ? "i" : "x", six ? "6" : "4", six ? "6" : "4",
		    intervals ? "\t\tflags interval\n" : "");
		addrs(o, six, intervals, 8);
		put(o, " }\n\t}\n");
	}
	if (v4)
		put(o, "\tset pairs {\n\t\ttype ipv4_addr . inet_service\n\t\tflags interval\n"
		       "\t\telements = { 10.9.0.0/29 . 22, 10.9.0.2 . 80-90, 192.168.7.1-192.168.7.4 . 1-1024 }\n\t}\n");
	put(o, "\tmap vports {\n\t\ttype inet_service : verdict\n\t\tflags interval\n"
	       "\t\telements = { 22 : accept, 80-81 : jump r0, 443 : goto r1, 1000-1001 : return, 5353 : drop }\n\t}\n");
}

static void table(struct out *o, const char *family, const char *name)
{
	static const char *const hooks[] = { "prerouting", "input", "output", "postrouting" };

	o->family = family;
	put(o, "table %s %s {\n", family, name);
	objects(o);
	o->hook = NULL;
	for (o->chain = CHAINS; o->chain-- > 0;) {
		put(o, "\tchain r%u {\n", o->chain);
		rules(o, 3);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(hooks); i++)
		if (prng_chance(o->rng, i % 2 ? 2 : 1, 3))
			base_chain(o, hooks[i]);
	put(o, "}\n");
}

void gen_ruleset(struct prng *rng, char text[static GEN_TEXT_BYTES])
{
	struct out o = { .rng = rng, .text = text };

	text[0] = '\0';
	table(&o, "inet", "one");
	if (prng_chance(rng, 1, 3))
		table(&o, "ip", "two");
	if (prng_chance(rng, 1, 3))
		table(&o, "ip6", "three");
}

/* ---- packets */

static void address(struct prng *rng, bool v6, bool local, uint8_t ret[static 16])
{
	char a[48];

	memset(ret, 0, 16);
	if (local)
		strcpy(a, v6 ? "fd09::1" : "10.9.0.1");
	else
		do
			(v6 ? addr6 : addr4)(rng, a);
		while (strcmp(a, v6 ? "fd09::1" : "10.9.0.1") == 0);
	inet_pton(v6 ? AF_INET6 : AF_INET, a, v6 ? ret : ret + 12);
}

void gen_flows(struct prng *rng, struct gen_flow flows[static GEN_FLOWS])
{
	for (unsigned i = 0; i < GEN_FLOWS; i++) {
		struct gen_flow *f = &flows[i];

		*f = (struct gen_flow){ .v6 = below(rng, 2), .tcp = below(rng, 3) != 0, .ours = below(rng, 2) };
		address(rng, f->v6, false, f->remote);
		address(rng, f->v6, true, f->local);
		f->remote_port = (uint16_t)(prng_chance(rng, 1, 2) ? port(rng) : 1024 + below(rng, 60000));
		f->local_port = (uint16_t)port(rng);
	}
}

static uint32_t sum(const uint8_t *p, size_t len, uint32_t s)
{
	for (size_t i = 0; i < len; i++)
		s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* The header in front of @len bytes; @src, @dst as in gen_flow. Return: its length */
static uint32_t ip_header(struct prng *rng, bool v6, uint8_t proto, const uint8_t *src, const uint8_t *dst, uint32_t len, uint8_t *p)
{
	uint8_t ttl = (uint8_t)(60 + below(rng, 6)), tos = (uint8_t)(below(rng, 3) << 5);

	if (v6) {
		memset(p, 0, 40);
		store_be32(p, 6u << 28 | (uint32_t)tos << 20);
		store_be16(p + 4, (uint16_t)len);
		p[6] = proto;
		p[7] = ttl;
		memcpy(p + 8, src, 16);
		memcpy(p + 24, dst, 16);
		return 40;
	}
	memset(p, 0, 20);
	p[0] = 0x45;
	p[1] = tos;
	store_be16(p + 2, (uint16_t)(20 + len));
	store_be16(p + 4, (uint16_t)(1 + below(rng, 65535)));
	p[8] = ttl;
	p[9] = proto;
	memcpy(p + 12, src + 12, 4);
	memcpy(p + 16, dst + 12, 4);
	store_be16(p + 10, fold(sum(p, 20, 0)));
	return 20;
}

/* With the addresses and all, @csum_off into the transport header at @l4. */
static void l4_checksum(bool v6, uint8_t proto, const uint8_t *src, const uint8_t *dst, uint8_t *l4, uint32_t len, uint32_t csum_off)
{
	uint32_t s = 0;
	uint16_t c;

	if (v6 || proto != 1) {
		s = sum(src, 16, s);
		s = sum(dst, 16, s) + proto + len;
	}
	store_be16(l4 + csum_off, 0);
	c = fold(sum(l4, len, s));
	store_be16(l4 + csum_off, c == 0 && proto == 17 ? 0xffff : c);
}

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/*
 * What two hosts say to each other from SYN to FIN, whether the rules let it through or not; some of it twice, some out of nothing, and
 * some that no host sends.
 */
enum { PHASE_NONE, PHASE_SYN, PHASE_SYNACK, PHASE_OPEN, PHASE_FIN, PHASE_OVER };

static const struct {
	uint8_t phase, weight, flags;
	enum { FIRST, OTHER, EITHER } who; /* of those that began */
	uint8_t then;
} talk[] = {
	{ PHASE_NONE, 8, SYN, FIRST, PHASE_SYN },
	{ PHASE_NONE, 1, ACK, FIRST, PHASE_OPEN },
	{ PHASE_NONE, 1, RST, EITHER, PHASE_NONE },
	{ PHASE_NONE, 1, SYN | ACK, EITHER, PHASE_NONE },
	{ PHASE_NONE, 1, FIN | ACK, EITHER, PHASE_NONE },
	{ PHASE_SYN, 8, SYN | ACK, OTHER, PHASE_SYNACK },
	{ PHASE_SYN, 3, SYN, FIRST, PHASE_SYN },
	{ PHASE_SYN, 2, RST | ACK, OTHER, PHASE_NONE },
	{ PHASE_SYNACK, 8, ACK, FIRST, PHASE_OPEN },
	{ PHASE_SYNACK, 2, SYN | ACK, OTHER, PHASE_SYNACK },
	{ PHASE_OPEN, 16, ACK, EITHER, PHASE_OPEN },
	{ PHASE_OPEN, 8, ACK | 8, EITHER, PHASE_OPEN },
	{ PHASE_OPEN, 1, FIN | ACK, EITHER, PHASE_FIN },
	{ PHASE_OPEN, 2, FIN | SYN, EITHER, PHASE_OPEN },
	{ PHASE_OPEN, 2, 0, EITHER, PHASE_OPEN },
	{ PHASE_FIN, 5, ACK, EITHER, PHASE_FIN },
	{ PHASE_FIN, 2, FIN | ACK, EITHER, PHASE_OVER },
	{ PHASE_OVER, 4, ACK, EITHER, PHASE_OVER },
};

static uint8_t say(struct prng *rng, struct gen_flow *f, bool *ret_out)
{
	unsigned all = 0, at;

	for (size_t i = 0; i < ARRAY_SIZE(talk); i++)
		all += talk[i].phase == f->phase ? talk[i].weight : 0;
	at = below(rng, all);
	for (size_t i = 0; i < ARRAY_SIZE(talk); i++) {
		if (talk[i].phase != f->phase)
			continue;
		if (at < talk[i].weight) {
			*ret_out = talk[i].who == EITHER ? below(rng, 2) : (talk[i].who == FIRST) == f->ours;
			f->phase = talk[i].then;
			return talk[i].flags;
		}
		at -= talk[i].weight;
	}
	return 0;
}

static uint32_t l4_header(struct prng *rng, const struct gen_flow *f, bool out, uint8_t flags, uint8_t *l4)
{
	store_be16(l4, out ? f->local_port : f->remote_port);
	store_be16(l4 + 2, out ? f->remote_port : f->local_port);
	if (!f->tcp) {
		store_be16(l4 + 6, 0);
		return 8;
	}
	store_be32(l4 + 4, 1000);
	store_be32(l4 + 8, 1000);
	l4[12] = 5 << 4;
	l4[13] = flags;
	if (!(l4[13] & 0x10))
		store_be32(l4 + 8, 0);
	store_be16(l4 + 14, below(rng, 2) ? 1001 : 1);
	store_be32(l4 + 16, 0);
	return 20;
}

/* An error about a packet that went out. From a router, or from the other end. */
static void gen_error(struct prng *rng, const struct gen_flow *f, uint32_t nr, struct gen_packet *ret)
{
	static const uint8_t types[2][4] = { { 3, 3, 11, 12 }, { 1, 2, 3, 4 } };
	uint8_t body[200] = { 0 }, from[16];
	uint32_t quoted, ip, mark = GEN_MARK + nr;

	ret->proto = f->v6 ? 58 : 1;
	memcpy(from, f->remote, 16);
	if (below(rng, 2))
		address(rng, f->v6, false, from);
	body[0] = types[f->v6][below(rng, 4)];
	body[1] = f->v6 ? 0 : (uint8_t)below(rng, 2);
	if (!f->v6 && body[0] == 3 && below(rng, 2))
		body[1] = 4;
	if ((f->v6 && body[0] == 2) || (!f->v6 && body[1] == 4))
		store_be32(body + 4, 1400);
	quoted = ip_header(rng, f->v6, f->tcp ? 6 : 17, f->local, f->remote, 40, body + 8);
	l4_header(rng, f, true, ACK, body + 8 + quoted);
	if (!f->tcp)
		store_be16(body + 8 + quoted + 4, 40);
	quoted += 8 + 40 + 4;
	memcpy(body + quoted - 4, &mark, 4);
	l4_checksum(f->v6, ret->proto, from, f->local, body, quoted, 2);
	ip = ip_header(rng, f->v6, ret->proto, from, f->local, quoted, ret->bytes);
	memcpy(ret->bytes + ip, body, quoted);
	ret->len = ip + quoted;
}

void gen_packet(struct prng *rng, struct gen_flow flows[static GEN_FLOWS], uint32_t nr, struct gen_packet *ret)
{
	struct gen_flow *f = &flows[below(rng, GEN_FLOWS)];
	bool error = prng_chance(rng, 1, 12), out = below(rng, 5) < 2;
	uint8_t flags = f->tcp && !error ? say(rng, f, &out) : 0;
	const uint8_t *src = out ? f->local : f->remote, *dst = out ? f->remote : f->local;
	uint32_t ip = f->v6 ? 40 : 20, mark = GEN_MARK + nr, hdr, len;

	*ret = (struct gen_packet){ .v6 = f->v6, .outbound = out, .proto = f->tcp ? 6 : 17 };
	if (error) {
		ret->outbound = false;
		gen_error(rng, f, nr, ret);
		return;
	}
	hdr = l4_header(rng, f, out, flags, ret->bytes + ip);
	len = hdr + below(rng, 8) * 4 + 4;
	memcpy(ret->bytes + ip + len - 4, &mark, 4);
	if (!f->tcp)
		store_be16(ret->bytes + ip + 4, (uint16_t)len);
	l4_checksum(f->v6, ret->proto, src, dst, ret->bytes + ip, len, f->tcp ? 16 : 6);
	ip_header(rng, f->v6, ret->proto, src, dst, len, ret->bytes);
	ret->len = ip + len;
}

/* Bytes [@from, @to) of what is behind the IP header of @whole. */
static void gen_part(const struct gen_packet *whole, uint32_t id, uint32_t from, uint32_t to, struct gen_packet *ret)
{
	uint32_t hdr = whole->v6 ? 40 : 20;
	bool more = hdr + to < whole->len;

	*ret = *whole;
	ret->len = hdr + (whole->v6 ? 8 : 0) + to - from;
	memcpy(ret->bytes + ret->len - (to - from), whole->bytes + hdr + from, to - from);
	if (whole->v6) {
		store_be16(ret->bytes + 4, (uint16_t)(ret->len - hdr));
		ret->bytes[6] = 44;
		store_be32(ret->bytes + 40, 17u << 24 | from | more);
		store_be32(ret->bytes + 44, id);
		return;
	}
	store_be16(ret->bytes + 2, (uint16_t)ret->len);
	store_be16(ret->bytes + 4, (uint16_t)id);
	store_be16(ret->bytes + 6, (uint16_t)(from / 8 | (more ? 0x2000 : 0)));
	store_be16(ret->bytes + 10, 0);
	store_be16(ret->bytes + 10, fold(sum(ret->bytes, 20, 0)));
}

unsigned gen_datagram(struct prng *rng, uint32_t nr, uint32_t id, struct gen_packet *ret_whole, struct gen_packet ret_parts[static GEN_PARTS])
{
	struct gen_flow f = { .v6 = below(rng, 2), .remote_port = (uint16_t)(20000 + nr), .local_port = (uint16_t)port(rng) };
	bool out = below(rng, 3) == 0;
	uint32_t ip = f.v6 ? 40 : 20, mark = GEN_MARK + nr, len = 100 + below(rng, 60) * 4, from = 0;
	unsigned cnt = 0;

	address(rng, f.v6, false, f.remote);
	address(rng, f.v6, true, f.local);
	*ret_whole = (struct gen_packet){ .v6 = f.v6, .outbound = out, .proto = 17, .len = ip + len };
	l4_header(rng, &f, out, 0, ret_whole->bytes + ip);
	store_be16(ret_whole->bytes + ip + 4, (uint16_t)len);
	memcpy(ret_whole->bytes + ip + len - 4, &mark, 4);
	l4_checksum(f.v6, 17, out ? f.local : f.remote, out ? f.remote : f.local, ret_whole->bytes + ip, len, 6);
	ip_header(rng, f.v6, 17, out ? f.local : f.remote, out ? f.remote : f.local, len, ret_whole->bytes);
	while (from < len) {
		uint32_t to = cnt + 1 < GEN_PARTS ? from + 8 + 8 * below(rng, 12) : len;

		to = to < len - 8 || from == 0 ? to : len;
		gen_part(ret_whole, id, from, to, &ret_parts[cnt++]);
		from = to;
	}
	return cnt;
}
