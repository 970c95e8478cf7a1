// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_port.h"

#include <string.h>

enum { PROTO_TCP = 6, PROTO_UDP = 17 };

void fw_name_words(const char *name, uint32_t words[static 4])
{
	uint8_t bytes[16] = { 0 };

	memcpy(bytes, name, strnlen(name, sizeof(bytes) - 1));
	for (unsigned i = 0; i < 4; i++)
		words[i] = load_be32(bytes + 4 * i);
}

static void know(struct fw_question *q, unsigned word, uint32_t value)
{
	q->word[word] = (struct fw_range){ value, value };
}

static void know_name(struct fw_question *q, unsigned word, const char *name)
{
	uint32_t words[4];

	fw_name_words(name, words);
	for (unsigned i = 0; i < 4; i++)
		know(q, word + i, words[i]);
}

static void know_addr(struct fw_question *q, unsigned word, const struct ip_addr *addr)
{
	bool v4 = ip_addr_is_v4(addr);

	if (ip_addr_is_any(addr))
		return;
	for (unsigned i = 0; i < 4; i++)
		know(q, word + i, v4 ? (i == 0 ? be32_get(addr->words[3]) : 0) : be32_get(addr->words[i]));
}

/* A packet between this host's @key->addr and anybody, from there (@ours) or to it. */
static struct fw_question question(enum filter_dir dir, const char *device, bool ours, const struct fw_port_key *key)
{
	struct fw_question q = fw_question_any(dir);
	bool v4 = ip_addr_is_v4(&key->addr);

	know(&q, FILTER_NFPROTO, v4 ? FILTER_NFPROTO_IP4 : FILTER_NFPROTO_IP6);
	know(&q, FILTER_ETHERTYPE, v4 ? 0x0800 : 0x86dd);
	know(&q, FILTER_L4PROTO, key->proto);
	q.word[FILTER_HAVE] = (struct fw_range){ 0, FILTER_HAVE_L4 };
	q.word[FILTER_CT_FIRST] = (struct fw_range){ 0, 1 };
	know(&q, FILTER_PKTTYPE, 0);
	know_name(&q, FILTER_IIFNAME, dir == FILTER_INBOUND ? device : "");
	know_name(&q, FILTER_OIFNAME, dir == FILTER_OUTBOUND ? device : "");
	know_addr(&q, ours ? FILTER_SADDR : FILTER_DADDR, &key->addr);
	q.word[FILTER_DADDR_TYPE] = (struct fw_range){ FILTER_RTN_UNICAST, FILTER_RTN_LOCAL };
	if (dir == FILTER_INBOUND)
		know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
	return q;
}

static void ask(const struct fw_program *prog, const struct fw_question *q, bool ours, bool gaps_only, uint32_t *at)
{
	fw_ask_ports(prog, q, ours ? FILTER_SPORT : FILTER_DPORT, gaps_only, ours ? FW_AGAINST_ANSWER : 0, at);
}

/*
 * By the device; and between two applications of this host, by way of the loopback device. There a packet is to be judged by the port that it
 * goes to, which is asked about for both of them; else what one may answer to anybody would count against it.
 */
static void ask_interface(const struct fw_program *prog, const struct fw_port_key *key, uint32_t *at)
{
	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++) {
		struct fw_question q = question(dir, "lo", false, key);

		know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
		ask(prog, &q, false, true, at);
	}
	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++) {
		struct fw_question q = question(dir, key->device, dir == FILTER_OUTBOUND, key);

		if (dir == FILTER_OUTBOUND)
			know(&q, FILTER_DADDR_TYPE, FILTER_RTN_UNICAST);
		ask(prog, &q, dir == FILTER_OUTBOUND, true, at);
	}
}

/* Both hosts are this one, and both ends of it the loopback device's. Stacks of ours send nothing that is invalid. */
static struct fw_question loopback_question(enum filter_dir dir, const struct fw_port_key *key, bool ours)
{
	struct fw_question q = question(dir, "lo", ours, key);

	know(&q, FILTER_HAVE, FILTER_HAVE_L4);
	know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
	q.ct = FILTER_CT_ESTABLISHED | (ours ? 0 : FILTER_CT_NEW);
	if (ours)
		know(&q, FILTER_CT_FIRST, 0);
	return q;
}

static void ask_loopback(const struct fw_program *prog, const struct fw_port_key *key, uint32_t *at)
{
	for (unsigned i = 0; i < 2 * FILTER_DIR_CNT; i++) {
		bool ours = i >= FILTER_DIR_CNT;
		struct fw_question q = loopback_question((enum filter_dir)(i % FILTER_DIR_CNT), key, ours);

		ask(prog, &q, ours, false, at);
	}
}

void fw_port_against(const struct fw_program *prog, const struct fw_port_key *key, uint32_t *at)
{
	if (key->directly)
		ask_loopback(prog, key, at);
	else
		ask_interface(prog, key, at);
}

void fw_port_not_direct(const struct fw_program *prog, uint8_t *against)
{
	/* each of: 1 UDP, else TCP; 2 IPv6, else IPv4; 4 inbound, else outbound. What is sent from any port is sent to any port. */
	for (unsigned i = 0; i < 8; i++) {
		const struct fw_port_key key = { .addr = i & 2 ? ip_addr_any_v6() : ip_addr_any_v4(), .proto = i & 1 ? PROTO_UDP : PROTO_TCP };
		struct fw_question q = loopback_question(i & 4 ? FILTER_INBOUND : FILTER_OUTBOUND, &key, false);
		struct fw_answer a;

		q.ret_against = against;
		fw_ask(prog, &q, &a);
	}
}

uint32_t fw_port_class(const struct fw_program *prog, uint16_t port)
{
	uint32_t lo = 0, hi = prog->port_cnt;

	while (lo + 1 < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (prog->ports[mid].lo <= port)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}
