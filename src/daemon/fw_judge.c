// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_judge.c - which ports the rules leave to channels
 *
 * What was asked is remembered until the rules change: an application leases a port at some addresses of some interfaces, and
 * leases come and go. For most programs the first question, of all ports at once, answers for each of them.
 */
#include "daemon/fw_state.h"
#include "daemon/quota.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is known */

/* All of it is compared as bytes. */
struct known_key {
	struct ip_addr addr;
	char device[16];
	uint16_t first, last;
	uint8_t proto;
	uint8_t directly; /* 1: between two applications of this host; 0: at an interface */
	uint8_t pad[2];
};

struct fw_known_row {
	struct known_key key;
	uint32_t at; /* the cell that is against it; 0: none */
	bool taken;
};

enum { KNOWN_MAX = 1 << 16 };

static uint32_t hash_of(const struct known_key *key)
{
	const uint8_t *b = (const uint8_t *)key;
	uint32_t h = 2166136261;

	for (size_t i = 0; i < sizeof(*key); i++)
		h = (h ^ b[i]) * 16777619;
	return h;
}

/* Where it is, or would be. The table is never full. */
static struct fw_known_row *row_of(const struct fw_known *k, const struct known_key *key)
{
	for (uint32_t i = hash_of(key);; i++) {
		struct fw_known_row *row = &k->rows[i & (k->max - 1)];

		if (!row->taken || memcmp(&row->key, key, sizeof(*key)) == 0)
			return row;
	}
}

void fw_known_forget(struct fw_known *k)
{
	free(k->rows);
	*k = (struct fw_known){ .cnt = 0 };
}

static bool make_room(struct fw_known *k)
{
	struct fw_known more = { .max = k->max > 0 ? 2 * k->max : 64 };

	if (k->cnt * 2 < k->max)
		return true;
	if (more.max > KNOWN_MAX) {
		fw_known_forget(k);
		more.max = 64;
	}
	more.rows = calloc(more.max, sizeof(*more.rows));
	if (more.rows == NULL)
		return false;
	for (uint32_t i = 0; i < k->max; i++)
		if (k->rows[i].taken) {
			*row_of(&more, &k->rows[i].key) = k->rows[i];
			more.cnt++;
		}
	free(k->rows);
	*k = more;
	return true;
}

/* What can't be remembered is asked again. */
static void remember(struct fw_known *k, const struct known_key *key, uint32_t at)
{
	struct fw_known_row *row;

	if (!make_room(k))
		return;
	row = row_of(k, key);
	k->cnt += !row->taken;
	*row = (struct fw_known_row){ .key = *key, .at = at, .taken = true };
}

/* ---- questions */

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

/* A packet between this host's @local, ports [@first, @last], and anybody. @ours: it is from there; else to it */
static struct fw_question question(enum filter_dir dir, const char *device, bool ours, const struct ip_addr *local, uint8_t proto,
				   uint16_t first, uint16_t last)
{
	struct fw_question q = fw_question_any(dir);

	know(&q, FILTER_NFPROTO, ip_addr_is_v4(local) ? FILTER_NFPROTO_IP4 : FILTER_NFPROTO_IP6);
	know(&q, FILTER_ETHERTYPE, ip_addr_is_v4(local) ? 0x0800 : 0x86dd);
	know(&q, FILTER_L4PROTO, proto);
	q.word[FILTER_HAVE] = (struct fw_range){ 0, FILTER_HAVE_L4 };
	q.word[FILTER_CT_FIRST] = (struct fw_range){ 0, 1 };
	know(&q, FILTER_PKTTYPE, 0);
	know_name(&q, FILTER_IIFNAME, dir == FILTER_INBOUND ? device : "");
	know_name(&q, FILTER_OIFNAME, dir == FILTER_OUTBOUND ? device : "");
	know_addr(&q, ours ? FILTER_SADDR : FILTER_DADDR, local);
	q.word[ours ? FILTER_SPORT : FILTER_DPORT] = (struct fw_range){ first, last };
	q.word[FILTER_DADDR_TYPE] = (struct fw_range){ FILTER_RTN_UNICAST, FILTER_RTN_LOCAL };
	if (dir == FILTER_INBOUND)
		know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
	return q;
}

/* Return: a cell that is against it; 0: none; UINT32_MAX: it can't be said which */
static uint32_t gap_of(const struct firewall *fw, const struct fw_question *q)
{
	struct fw_answer a = { .at = 0 };

	if (fw_ask(&fw->prog, q, &a) == 0 && !(a.verdicts & 1u << FILTER_KERNEL))
		return 0;
	return a.at != 0 ? a.at : UINT32_MAX;
}

/*
 * By the device; and between two applications of this host, by way of the loopback device. There a packet is to be judged by the port that it
 * goes to, which is asked about for both of them; else what one may answer to anybody would count against it.
 */
static uint32_t ask_interface(const struct firewall *fw, const struct known_key *k)
{
	uint32_t at = 0;

	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT && at == 0; dir++) {
		struct fw_question q = question(dir, k->device, dir == FILTER_OUTBOUND, &k->addr, k->proto, k->first, k->last);

		if (dir == FILTER_OUTBOUND)
			know(&q, FILTER_DADDR_TYPE, FILTER_RTN_UNICAST);
		at = gap_of(fw, &q);
		if (at != 0 && dir == FILTER_OUTBOUND)
			at |= FW_AGAINST_ANSWER;
		if (at != 0)
			break;
		q = question(dir, "lo", false, &k->addr, k->proto, k->first, k->last);
		know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
		at = gap_of(fw, &q);
	}
	return at;
}

/* Both hosts are this one, and both ends of it the loopback device's. Stacks of ours send nothing that is invalid. */
static struct fw_question loopback_question(enum filter_dir dir, const struct known_key *k, bool answer)
{
	struct fw_question q = question(dir, "lo", answer, &k->addr, k->proto, k->first, k->last);

	know(&q, FILTER_HAVE, FILTER_HAVE_L4);
	know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
	q.ct = FILTER_CT_ESTABLISHED | (answer ? 0 : FILTER_CT_NEW);
	if (answer)
		know(&q, FILTER_CT_FIRST, 0);
	return q;
}

static uint32_t ask_loopback(const struct firewall *fw, const struct known_key *k, bool answer)
{
	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++) {
		struct fw_question q = loopback_question(dir, k, answer);
		struct fw_answer a = { .at = 0 };

		if (fw_ask(&fw->prog, &q, &a) < 0 || a.verdicts != 1u << FILTER_ACCEPT || a.counts)
			return a.at != 0 ? a.at | (answer ? FW_AGAINST_ANSWER : 0) : UINT32_MAX;
	}
	return 0;
}

static uint32_t ask(struct firewall *fw, const struct known_key *key)
{
	const struct fw_known_row *row = fw->known.max > 0 ? row_of(&fw->known, key) : NULL;
	uint32_t at;

	if (row != NULL && row->taken)
		return row->at;
	if (key->directly) {
		at = ask_loopback(fw, key, false);
		if (at == 0)
			at = ask_loopback(fw, key, true);
	} else {
		at = ask_interface(fw, key);
	}
	remember(&fw->known, key, at);
	return at;
}

/* Of all ports at all addresses first. */
static uint32_t ask_all(struct firewall *fw, const char *device, bool directly, const struct ip_addr *local, uint8_t proto,
			uint16_t first, uint16_t last)
{
	struct known_key key = { .addr = ip_addr_is_v4(local) ? ip_addr_any_v4() : ip_addr_any_v6(),
				 .last = UINT16_MAX, .proto = proto, .directly = directly };

	memcpy(key.device, device, strnlen(device, sizeof(key.device) - 1));
	if (ask(fw, &key) == 0)
		return 0;
	key.addr = *local;
	key.first = first;
	key.last = last;
	return ask(fw, &key);
}

uint32_t firewall_against(struct firewall *fw, const char *name, const struct ip_addr *local, uint8_t proto, uint16_t first,
			  uint16_t last)
{
	if (fw == NULL || fw->rules == RULES_NONE || (fw->rules == RULES_PROGRAM && fw->prog.gap_cnt == 0))
		return 0;
	return fw->rules == RULES_UNREAD ? UINT32_MAX : ask_all(fw, name, false, local, proto, first, last);
}

/* May two applications of this host talk directly, one of them at @at? */
static uint32_t against_directly(struct firewall *fw, uint8_t proto, const struct endpoint *at)
{
	if (fw->rules == RULES_NONE || proto == CTL_PROTO_RAW)
		return 0;
	return fw->rules == RULES_UNREAD ? UINT32_MAX : ask_all(fw, "lo", true, &at->addr, proto, at->port, at->port);
}

/* One at [::] is one at 0.0.0.0, too. */
static uint32_t against_all_directly(struct firewall *fw, const struct lease_key *key)
{
	const struct endpoint v4 = { .addr = ip_addr_any_v4(), .port = key->local.port };
	bool both = ip_addr_is_any(&key->local.addr) && !ip_addr_is_v4(&key->local.addr) && !key->v6only;
	uint32_t at = against_directly(fw, key->proto, &key->local);

	return at == 0 && both ? against_directly(fw, key->proto, &v4) : at;
}

uint32_t firewall_against_direct(const struct vjd *d, const struct lease_key *key)
{
	return d->firewall == NULL || key->netns != d->cfg.netns ? 0 : against_all_directly(d->firewall, key);
}

uint8_t *firewall_cells_not_direct(const struct firewall *fw)
{
	uint8_t *against = calloc((size_t)fw->prog.cell_cnt + 1, 1);

	/* each of: 1 UDP, else TCP; 2 IPv6, else IPv4; 4 inbound, else outbound. What is sent from any port is sent to any port. */
	for (unsigned i = 0; against != NULL && fw->rules == RULES_PROGRAM && i < 8; i++) {
		struct known_key key = { .addr = i & 2 ? ip_addr_any_v6() : ip_addr_any_v4(), .last = UINT16_MAX,
					 .proto = i & 1 ? CTL_PROTO_UDP : CTL_PROTO_TCP };
		struct fw_question q = loopback_question(i & 4 ? FILTER_INBOUND : FILTER_OUTBOUND, &key, false);
		struct fw_answer a;

		q.ret_against = against;
		fw_ask(&fw->prog, &q, &a);
	}
	return against;
}

bool firewall_allows(const struct vjd *d, struct lease *l)
{
	if (d->firewall == NULL || l->key.netns != d->cfg.netns)
		return true;
	if (l->asked != d->firewall->nr) {
		l->asked = d->firewall->nr;
		l->forbidden = firewall_against_direct(d, &l->key) != 0;
	}
	return !l->forbidden;
}

bool firewall_allows_at(const struct vjd *d, struct lease *l, const struct endpoint *at)
{
	return firewall_allows(d, l) ||
	       (ip_addr_is_any(&l->key.local.addr) && against_directly(d->firewall, l->key.proto, at) == 0);
}

/* ---- what was reached directly */

enum { SPOKEN_MAX = 1024 };

void firewall_spoken(const struct vjd *d, struct user *user, uint8_t proto, const struct endpoint *at)
{
	struct user_spoken *s;

	if (d->firewall == NULL || proto == CTL_PROTO_RAW)
		return;
	for (uint32_t i = 0; i < user->spoken_cnt; i++)
		if (user->spoken[i].proto == proto && user->spoken[i].at.port == at->port &&
		    ip_addr_eq(&user->spoken[i].at.addr, &at->addr))
			return;
	/* room is made by doubling, at powers of two */
	if (user->spoken_cnt < SPOKEN_MAX && (user->spoken_cnt & (user->spoken_cnt - 1)) == 0) {
		s = realloc(user->spoken, 2 * (user->spoken_cnt + 1) * sizeof(*s));
		if (s != NULL)
			user->spoken = s;
		else
			user->spoken_more = true;
	}
	user->spoken_more |= user->spoken_cnt == SPOKEN_MAX;
	if (!user->spoken_more)
		user->spoken[user->spoken_cnt++] = (struct user_spoken){ *at, proto };
}

/* Of more than can be remembered, some may be. */
bool firewall_forbids_spoken(const struct vjd *d, const struct user *user)
{
	if (user->spoken_more && d->firewall->rules != RULES_NONE)
		return true;
	for (uint32_t i = 0; i < user->spoken_cnt; i++)
		if (against_directly(d->firewall, user->spoken[i].proto, &user->spoken[i].at) != 0)
			return true;
	return false;
}
