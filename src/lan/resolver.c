// SPDX-License-Identifier: BSD-2-Clause
#include "lan/resolver.h"

#include "base/seq.h"
#include "lan/nd.h"
#include "lan/resolver_book.h"

static const struct mac_addr no_mac;

static bool has_mac(const struct resolver_group *g)
{
	return !mac_addr_is_zero(&g->mac);
}

/* ---- what is known of a port */

static struct resolver_entry *find(const struct resolver *r, const struct parp_endpoint *ep)
{
	/* the one port goes before the block, and what is known of either before the host's silence */
	for (unsigned int kind = RESOLVER_PORT; kind <= RESOLVER_HOST; kind++) {
		const struct resolver_key key = book_key(ep, (enum resolver_kind)kind);
		struct resolver_entry *e = book_find(r, &key);

		if (e != NULL)
			return e;
	}
	return NULL;
}

const struct resolver_entry *resolver_find(const struct resolver *r, const struct parp_endpoint *ep)
{
	return find(r, ep);
}

static uint32_t last_port(const struct resolver_entry *e)
{
	return e->key.port + (e->key.kind == RESOLVER_BLOCK ? RESOLVER_BLOCK_PORTS - 1u : 0u);
}

/* ---- questions */

static bool question_open(struct resolver *r, struct resolver_question *q, bool urgent)
{
	if (r->asking_cnt >= (urgent ? RESOLVER_ASKING_MAX : RESOLVER_ASKING_NEW_MAX)) {
		r->stats.refused++;
		return false;
	}
	q->open = true;
	q->tries = 0;
	q->nonce = lan_nonce(r->host, r->host->asker);
	if (urgent)
		TAILQ_INSERT_HEAD(&r->questions, q, entry);
	else
		TAILQ_INSERT_TAIL(&r->questions, q, entry);
	r->asking_cnt++;
	return true;
}

static void question_close(struct resolver *r, struct resolver_question *q)
{
	if (!q->open)
		return;
	q->open = false;
	TAILQ_REMOVE(&r->questions, q, entry);
	r->asking_cnt--;
	r->closed[r->closed_cnt++ % ARRAY_SIZE(r->closed)] = q->nonce;
}

static struct parp_msg query_of(const struct resolver *r, const struct resolver_question *q)
{
	const struct resolver_entry *e = q->of_entry;
	bool refresh = e->state == RESOLVER_VALID && q->tries == 1;

	return (struct parp_msg){
		.eth_dst = refresh ? e->group->canonical : lan_broadcast(),
		.encoding = r->host->encoding,
		.type = PARP_QUERY,
		.sender_mac = r->host->canonical,
		.sender.addr = ip_addr_any_v4(),
		.target = { e->key.addr, q->port, q->port, e->key.proto, 0 },
		.has = PARP_HAS_NONCE,
		.nonce = q->nonce,
	};
}

/* To the address itself: who answers has got it. */
static struct parp_msg proof_of(const struct resolver *r, const struct resolver_question *q)
{
	const struct resolver_group *g = q->of_group;

	return (struct parp_msg){
		.eth_dst = g->mac,
		.encoding = r->host->encoding,
		.type = PARP_MAC_PROBE,
		.sender_mac = r->host->canonical,
		.sender = { .addr = ip_addr_any_v4(), .gen = r->host->gen },
		.target.addr = ip_addr_any_v4(),
		.has = PARP_HAS_NONCE,
		.nonce = q->nonce,
		.mac_cnt = 1,
		.macs = { g->mac },
	};
}

static void question_send(struct resolver *r, struct resolver_question *q, uint64_t now_us)
{
	struct parp_msg msg;

	if (!lan_limit_take(&r->host->own, now_us)) {
		q->retry_us = max_u64(lan_limit_at(&r->host->own), now_us + RESOLVER_TRY_US);
		return;
	}
	q->retry_us = now_us + (RESOLVER_TRY_US << q->tries);
	q->tries++;
	if (q->of_group != NULL) {
		msg = proof_of(r, q);
		r->stats.proofs++;
	} else {
		struct ip_addr addr = q->of_entry->key.addr;
		struct mac_addr to;

		msg = query_of(r, q);
		to = msg.eth_dst;
		if (!lan_nd_address(r->host, &msg, &addr, false))
			return;
		if (!mac_addr_is_multicast(&to))
			msg.eth_dst = to;
		r->stats.queries++;
	}
	lan_send(r->host, &msg);
}

/* Return: it is being asked for */
static bool ask(struct resolver *r, struct resolver_entry *e, uint16_t port, bool urgent, uint64_t now_us)
{
	if (e->question.open)
		return true;
	e->question.port = port;
	if (!question_open(r, &e->question, urgent || e->state == RESOLVER_VALID))
		return false;
	question_send(r, &e->question, now_us);
	return true;
}

static bool prove(struct resolver *r, struct resolver_group *g, uint64_t now_us)
{
	if (g->question.open)
		return true;
	if (!question_open(r, &g->question, true))
		return false;
	question_send(r, &g->question, now_us);
	return true;
}

/* ---- states: whoever leaves VALID or NEG says so, and the last of a group ends its question */

static void leave_state(struct resolver *r, struct resolver_entry *e)
{
	if (e->state == RESOLVER_VALID || e->state == RESOLVER_NEG)
		r->ops->forgotten(r->arg, e);
	e->state = RESOLVER_ASKING;
}

static void move(struct resolver *r, struct resolver_entry *e, const struct mac_addr *mac)
{
	if (mac_addr_eq(&e->group->mac, mac))
		return;
	if (book_is_last(e))
		question_close(r, &e->group->question);
	book_move(r, e, mac);
}

static void entry_put(struct resolver *r, struct resolver_entry *e)
{
	leave_state(r, e);
	question_close(r, &e->question);
	if (book_is_last(e))
		question_close(r, &e->group->question);
	book_put(r, e);
}

static struct resolver_entry *entry_get(struct resolver *r, const struct resolver_key *key)
{
	struct resolver_entry *e = book_get(r, key);

	if (e != NULL)
		return e;
	entry_put(r, TAILQ_FIRST(&r->by_use));
	r->stats.evicted++;
	return book_get(r, key);
}

static uint64_t pause_us(uint8_t times)
{
	return min_u64(RESOLVER_NEG_US << min_u32(times, 8), RESOLVER_NEG_MAX_US);
}

static void become_neg(struct resolver *r, struct resolver_entry *e, enum resolver_why why, uint64_t quiet_us, uint64_t now_us)
{
	leave_state(r, e);
	question_close(r, &e->question);
	if (why != RESOLVER_BLOCKED)
		move(r, e, &no_mac);
	e->state = RESOLVER_NEG;
	e->why = (uint8_t)why;
	if (e->silent < UINT8_MAX)
		e->silent++;
	e->quiet_us = quiet_us;
	/* remembered for as long again, so that the next pause is longer */
	book_set_until(r, e, quiet_us + (quiet_us - now_us));
	r->ops->quiet(r->arg, e);
}

static void become_valid(struct resolver *r, struct resolver_entry *e)
{
	e->state = RESOLVER_VALID;
	e->silent = 0;
	r->ops->learned(r->arg, e);
}

/* At @mac, as @msg says. Used when the way there is proved. */
static void become_known(struct resolver *r, struct resolver_entry *e, const struct parp_msg *msg, uint64_t now_us)
{
	uint32_t life_ms = min_u32(max_u32(msg->lifetime_ms, RESOLVER_LIFE_MIN_MS), RESOLVER_LIFE_MAX_MS);
	bool again = e->state == RESOLVER_VALID && mac_addr_eq(&e->group->mac, &msg->sender_mac);
	struct resolver_group *g;

	if (!again)
		leave_state(r, e);
	question_close(r, &e->question);
	move(r, e, &msg->sender_mac);
	g = e->group;
	g->proven &= mac_addr_eq(&g->canonical, &msg->eth_src);
	g->canonical = msg->eth_src;
	e->gen = msg->sender.gen;
	e->learned_us = now_us;
	book_set_until(r, e, now_us + life_ms * US_PER_MS);
	if (g->proven) {
		r->stats.refreshed += again;
		become_valid(r, e);
		if (now_us - g->proved_us >= RESOLVER_PROOF_US)
			prove(r, g, now_us);
	} else if (now_us < g->blocked_us) {
		become_neg(r, e, RESOLVER_BLOCKED, g->blocked_us, now_us);
	} else if (prove(r, g, now_us)) {
		e->state = RESOLVER_PROVING;
	} else {
		become_neg(r, e, RESOLVER_SILENT, now_us + pause_us(0), now_us);
	}
}

/* ---- silence */

/* Does @addr speak PARP at all, as far as is known? */
static bool speaks(const struct resolver *r, const struct ip_addr *addr)
{
	struct resolver_group *g = NULL;

	while ((g = book_next_group(r, addr, g)) != NULL)
		if (g->spoke || has_mac(g))
			return true;
	return false;
}

static void host_spoke(struct resolver *r, const struct ip_addr *addr)
{
	const struct resolver_key key = { .addr = *addr, .kind = RESOLVER_HOST };
	struct resolver_entry *e = book_find(r, &key);

	if (e != NULL)
		entry_put(r, e);
}

static void entry_is_silent(struct resolver *r, struct resolver_entry *e, uint64_t now_us)
{
	const struct resolver_key key = { .addr = e->key.addr, .kind = RESOLVER_HOST };
	struct resolver_entry *host;

	r->stats.silent++;
	/* a refresh that nobody answers changes nothing before the answer that is there is over */
	if (e->state == RESOLVER_VALID && e->until_us > now_us) {
		question_close(r, &e->question);
		return;
	}
	if (speaks(r, &key.addr)) {
		become_neg(r, e, RESOLVER_SILENT, now_us + pause_us(e->silent), now_us);
		return;
	}
	entry_put(r, e);
	host = book_find(r, &key);
	if (host == NULL)
		host = entry_get(r, &key);
	become_neg(r, host, RESOLVER_SILENT, now_us + pause_us(host->silent), now_us);
}

/* Nothing gets there: the canonical MAC for all its ports. */
static void group_is_blocked(struct resolver *r, struct resolver_group *g, uint64_t now_us)
{
	struct resolver_entry *e;

	question_close(r, &g->question);
	r->stats.blocked++;
	g->proven = false;
	g->blocked_us = now_us + pause_us(g->failed);
	if (g->failed < UINT8_MAX)
		g->failed++;
	TAILQ_FOREACH (e, &g->entries, of_group)
		if (e->state == RESOLVER_VALID || e->state == RESOLVER_PROVING)
			become_neg(r, e, RESOLVER_BLOCKED, g->blocked_us, now_us);
}

/* ---- use */

static const struct resolver_entry *lookup(struct resolver *r, const struct parp_endpoint *ep, bool urgent, uint64_t now_us)
{
	const struct resolver_key key = book_key(ep, RESOLVER_PORT);
	struct resolver_entry *e = find(r, ep);

	if (e != NULL)
		book_used(r, e, now_us);
	if (e != NULL && e->state == RESOLVER_NEG && now_us < e->quiet_us)
		return NULL;
	if (e == NULL || e->key.kind == RESOLVER_HOST) {
		if (r->asking_cnt >= (urgent ? RESOLVER_ASKING_MAX : RESOLVER_ASKING_NEW_MAX)) {
			r->stats.refused++;
			return NULL;
		}
		e = entry_get(r, &key);
	}
	if (e->state == RESOLVER_VALID && now_us < e->until_us) {
		if (now_us >= resolver_refresh_us(e))
			ask(r, e, ep->port_lo, urgent, now_us);
		return e;
	}
	if (e->state != RESOLVER_PROVING)
		ask(r, e, ep->port_lo, urgent, now_us);
	return NULL;
}

const struct resolver_entry *resolver_lookup(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us)
{
	return lookup(r, ep, false, now_us);
}

const struct resolver_entry *resolver_ask(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us)
{
	return lookup(r, ep, true, now_us);
}

void resolver_ask_anew(struct resolver *r, const struct parp_endpoint *ep, uint64_t now_us)
{
	struct resolver_entry *e = find(r, ep);

	if (e != NULL && e->question.open)
		e->question.tries = 0;
	else if (e != NULL && e->state == RESOLVER_NEG && e->why == RESOLVER_SILENT)
		entry_put(r, e);
	lookup(r, ep, true, now_us);
}

/* ---- answers */

/* R4. */
static bool vouched(const struct resolver *r, const struct ip_addr *addr, const struct mac_addr *src)
{
	struct mac_addr canonical;

	return r->ops->neighbour(r->arg, addr, &canonical) && mac_addr_eq(&canonical, src);
}

static bool was_asked(const struct resolver *r, uint64_t nonce)
{
	uint32_t cnt = min_u32(r->closed_cnt, ARRAY_SIZE(r->closed));

	for (uint32_t k = 0; k < cnt; k++)
		if (r->closed[k] == nonce)
			return true;
	return false;
}

/* Return: the open question that @msg answers, of an entry or of a group; NULL, and that is counted */
static struct resolver_question *answered(struct resolver *r, const struct parp_msg *msg, bool of_entry)
{
	struct resolver_question *q;

	TAILQ_FOREACH (q, &r->questions, entry)
		if (q->nonce == msg->nonce && (q->of_entry != NULL) == of_entry)
			return q;
	if (lan_nonce_is_anothers(msg->nonce, r->host->asker))
		r->stats.of_others++;
	else if (was_asked(r, msg->nonce))
		r->stats.late++;
	else
		r->stats.bad_nonce++;
	return NULL;
}

/* Is all of the entry in what is said? If not, it was divided. */
static bool covers(const struct parp_msg *msg, const struct resolver_entry *e)
{
	return msg->sender.port_lo <= e->key.port && msg->sender.port_hi >= last_port(e);
}

/* The answer covers the whole block of the port: it is better known by that. */
static struct resolver_entry *widen(struct resolver *r, struct resolver_entry *e, const struct parp_msg *msg)
{
	const struct parp_endpoint ep = { e->key.addr, e->key.port, e->key.port, e->key.proto, 0 };
	const struct resolver_key block = book_key(&ep, RESOLVER_BLOCK);
	struct resolver_entry *known;

	if (e->key.kind != RESOLVER_PORT || msg->sender.port_lo > block.port ||
	    msg->sender.port_hi < block.port + RESOLVER_BLOCK_PORTS - 1)
		return e;
	known = book_find(r, &block);
	if (known != NULL) {
		entry_put(r, e);
		return known;
	}
	leave_state(r, e);
	book_rekey(r, e, &block);
	return e;
}

static void rx_answer(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	const struct resolver_question *q = answered(r, msg, true);
	struct resolver_entry *e;

	if (q == NULL)
		return;
	e = q->of_entry;
	if (!ip_addr_eq(&e->key.addr, &msg->sender.addr) || e->key.proto != msg->sender.proto || q->port < msg->sender.port_lo ||
	    q->port > msg->sender.port_hi) {
		r->stats.bad_range++;
		return;
	}
	if (!vouched(r, &msg->sender.addr, &msg->eth_src)) {
		r->stats.bad_source++;
		return;
	}
	if (msg->type == PARP_REPLY && (e->state == RESOLVER_VALID || e->state == RESOLVER_PROVING) &&
	    seq_lt(msg->sender.gen, e->gen)) {
		r->stats.bad_gen++;
		return;
	}
	e->group->spoke = true;
	host_spoke(r, &msg->sender.addr);
	if (e->key.kind == RESOLVER_BLOCK && !covers(msg, e)) {
		/* each port of it is asked for again, when it is used */
		entry_put(r, e);
		return;
	}
	e = widen(r, e, msg);
	if (msg->type == PARP_REPLY) {
		r->stats.replies++;
		become_known(r, e, msg, now_us);
		return;
	}
	r->stats.negs++;
	become_neg(r, e, RESOLVER_REFUSED,
		   now_us + max_u64(pause_us(e->silent), min_u32(msg->lifetime_ms, RESOLVER_LIFE_MAX_MS) * US_PER_MS), now_us);
	e->group->spoke = true;
}

static bool is_about(const struct parp_msg *msg, const struct mac_addr *mac)
{
	for (unsigned int i = 0; i < msg->mac_cnt; i++)
		if (mac_addr_eq(&msg->macs[i], mac))
			return true;
	return false;
}

/* What was sent to the MAC itself has been answered. Defences that nobody asked for are no business of ours. */
static void rx_proof(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	const struct resolver_question *q;
	struct resolver_entry *e;
	struct resolver_group *g;

	if ((msg->has & PARP_HAS_NONCE) == 0)
		return;
	q = answered(r, msg, false);
	if (q == NULL)
		return;
	g = q->of_group;
	if (!is_about(msg, &g->mac) || !mac_addr_eq(&g->canonical, &msg->eth_src)) {
		r->stats.bad_source++;
		return;
	}
	question_close(r, &g->question);
	g->proven = true;
	g->proved_us = now_us;
	g->failed = 0;
	TAILQ_FOREACH (e, &g->entries, of_group)
		if (e->state == RESOLVER_PROVING)
			become_valid(r, e);
}

/* ---- what is said unasked */

static void rx_announce(struct resolver *r, struct resolver_entry *e, const struct parp_msg *msg, uint64_t now_us)
{
	bool same = mac_addr_eq(&e->group->mac, &msg->sender_mac);

	if (!covers(msg, e) || e->key.proto != msg->sender.proto || e->key.kind == RESOLVER_HOST)
		return;
	if (e->state == RESOLVER_VALID || e->state == RESOLVER_PROVING) {
		if (!seq_lt(msg->sender.gen, e->gen))
			become_known(r, e, msg, now_us);
	} else if (e->state == RESOLVER_NEG && !same) {
		entry_put(r, e); /* an application has it now, or at another address: it is asked for when it is used */
	}
}

/* Which entries are about it? One port has a key; else all of the host are looked at. Entries may end meanwhile, and so their group. */
static void rx_announce_all(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	const struct resolver_key one = book_key(&msg->sender, RESOLVER_PORT), block = book_key(&msg->sender, RESOLVER_BLOCK);
	struct resolver_entry *e = book_find(r, &one), *next;
	struct resolver_group *g, *next_group;

	if (msg->sender.port_lo == msg->sender.port_hi) {
		if (e != NULL)
			rx_announce(r, e, msg, now_us);
		/* nobody had a port of that block: that is over */
		e = book_find(r, &block);
		if (e != NULL && e->state == RESOLVER_NEG)
			entry_put(r, e);
		return;
	}
	for (g = book_next_group(r, &msg->sender.addr, NULL); g != NULL; g = next_group) {
		next_group = book_next_group(r, &msg->sender.addr, g);
		for (e = TAILQ_FIRST(&g->entries); e != NULL; e = next) {
			next = TAILQ_NEXT(e, of_group);
			rx_announce(r, e, msg, now_us);
		}
	}
}

static void rx_release(struct resolver *r, const struct parp_msg *msg)
{
	struct resolver_group *g = book_group(r, &msg->sender.addr, &msg->sender_mac);
	struct resolver_entry *e, *next;

	for (e = g != NULL ? TAILQ_FIRST(&g->entries) : NULL; e != NULL; e = next) {
		next = TAILQ_NEXT(e, of_group);
		if ((msg->sender.proto == 0 || e->key.proto == msg->sender.proto) && msg->sender.port_lo <= last_port(e) &&
		    msg->sender.port_hi >= e->key.port)
			entry_put(r, e);
	}
}

static void rx_news(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	if (book_next_group(r, &msg->sender.addr, NULL) == NULL || !vouched(r, &msg->sender.addr, &msg->eth_src))
		return;
	host_spoke(r, &msg->sender.addr);
	if (msg->type == PARP_ANNOUNCE)
		rx_announce_all(r, msg, now_us);
	else
		rx_release(r, msg);
}

void resolver_rx(struct resolver *r, const struct parp_msg *msg, uint64_t now_us)
{
	if ((msg->has & PARP_HAS_HOST) != 0 && parp_host_id_eq(&msg->host, &r->host->id))
		return;
	if (msg->type == PARP_REPLY || msg->type == PARP_NEG)
		rx_answer(r, msg, now_us);
	else if (msg->type == PARP_ANNOUNCE || msg->type == PARP_RELEASE)
		rx_news(r, msg, now_us);
	else if (msg->type == PARP_MAC_DEFEND)
		rx_proof(r, msg, now_us);
}

void resolver_canonical_changed(struct resolver *r, const struct ip_addr *addr)
{
	struct resolver_group *g = book_next_group(r, addr, NULL), *next_group;
	struct resolver_entry *e, *next;
	struct mac_addr canonical;
	bool known;

	if (g == NULL)
		return;
	known = r->ops->neighbour(r->arg, addr, &canonical);
	for (; g != NULL; g = next_group) {
		next_group = book_next_group(r, addr, g);
		if (!has_mac(g) || (known && mac_addr_eq(&canonical, &g->canonical)))
			continue;
		for (e = TAILQ_FIRST(&g->entries); e != NULL; e = next) {
			next = TAILQ_NEXT(e, of_group);
			entry_put(r, e);
		}
	}
}

/* ---- time */

static void give_up(struct resolver *r, struct resolver_question *q, uint64_t now_us)
{
	if (q->of_entry != NULL)
		entry_is_silent(r, q->of_entry, now_us);
	else
		group_is_blocked(r, q->of_group, now_us);
}

/* Giving one up may end others: begun anew then, which RESOLVER_ASKING_MAX bounds. */
static void run_questions(struct resolver *r, uint64_t now_us)
{
	struct resolver_question *q = TAILQ_FIRST(&r->questions);

	while (q != NULL) {
		if (q->retry_us > now_us) {
			q = TAILQ_NEXT(q, entry);
		} else if (q->tries < RESOLVER_TRIES) {
			question_send(r, q, now_us);
			q = TAILQ_NEXT(q, entry);
		} else {
			give_up(r, q, now_us);
			q = TAILQ_FIRST(&r->questions);
		}
	}
}

void resolver_run(struct resolver *r, uint64_t now_us)
{
	run_questions(r, now_us);
	while (r->heap_cnt > 0 && r->heap[0]->until_us <= now_us) {
		struct resolver_entry *e = r->heap[0];

		/* what nobody has used since it ended is no use; one that is being asked for is about to be known */
		if (e->question.open) {
			leave_state(r, e);
			move(r, e, &no_mac);
			book_set_until(r, e, TIME_NEVER);
		} else {
			entry_put(r, e);
		}
	}
}

uint64_t resolver_deadline_us(const struct resolver *r)
{
	uint64_t due_us = r->heap_cnt > 0 ? r->heap[0]->until_us : TIME_NEVER;
	const struct resolver_question *q;

	TAILQ_FOREACH (q, &r->questions, entry)
		due_us = min_u64(due_us, q->retry_us);
	return due_us;
}

void resolver_init(struct resolver *r, void *mem, uint32_t cnt)
{
	book_init(r, mem, cnt);
	r->closed_cnt = 0;
	r->stats = (struct resolver_stats){ .queries = 0 };
}
