// SPDX-License-Identifier: BSD-2-Clause
/* move.c - moving connections in-band; see move.h */
#include "lib/move.h"
#include "lib/stopped.h"

#include "base/assert.h"
#include "base/time.h"

#include "stack/tcp_move.h"
#include "wire/eth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum {
	TRANSIT_MS = 15000,
	AGAIN_MS = 50,
	RETRY_MS = 1,
	ANSWERS_MAX = 4096, /* that wait for frames of one peer, to what was asked about no connection of ours */
};

/* A connection of ours whose other end is on its way. It is on the link to nowhere. */
struct transit {
	struct transit *next;
	uint8_t token[MOVE_TOKEN_BYTES];
	struct endpoint local, remote;
	struct vj_link *from; /* by which its other end left; NULL: it is gone */
	bool given; /* by whoever had it: he may end */
	bool called; /* nobody has accepted it, and we call another if nobody comes: not before what LEFT has said */
	uint64_t until_ns, last_ns; /* when it is looked at next, and ends in any case */
};

/* Something to be said that found no frame */
struct saying {
	struct saying *next;
	struct vj_link *link;
	struct move_frame frame;
	bool releases; /* then the connection that it is about goes on, if it is still there */
};

struct moves {
	struct link_id nowhere;
	struct transit *transits;
	struct saying *sayings, **sayings_end; /* of each link in its order; one without frames keeps no other waiting */
	uint32_t round; /* of sayings_send() */
	uint32_t yield_nr; /* of the last move_yield() */
};

/* ---- the link to nowhere --------------------------------------------------------------------------------------- */

static bool nowhere_tx_get(void *drv, struct link_frame *ret_frame)
{
	(void)drv;
	(void)ret_frame;
	return false;
}

static void nowhere_no_frame(void *drv, const struct link_frame *frame)
{
	(void)drv;
	(void)frame;
	VJ_UNREACHABLE();
}

static const struct link_ops nowhere_ops = {
	.tx_get = nowhere_tx_get,
	.tx_put = nowhere_no_frame,
	.tx_unget = nowhere_no_frame,
	.rx_free = nowhere_no_frame,
};

/* NULL: no memory */
static struct moves *moves_get(struct vj *vj)
{
	struct link_config cfg = { .ops = &nowhere_ops, .mtu = 65535, .flags = LINK_NO_CSUM | LINK_NO_LOSS };
	struct moves *m;

	if (vj->moves)
		return vj->moves;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	if (stack_link_add(vj->stack, &cfg, &m->nowhere)) {
		free(m);
		return NULL;
	}
	m->sayings_end = &m->sayings;
	vj->moves = m;
	return m;
}

struct link_id move_nowhere(struct vj *vj)
{
	const struct moves *m = moves_get(vj);

	return m ? m->nowhere : (struct link_id){ 0 };
}

/* ---- saying ---------------------------------------------------------------------------------------------------- */

static struct move_frame frame_make(const struct vj *vj, enum move_kind kind,
				    const uint8_t token[static MOVE_TOKEN_BYTES], const struct endpoint *local,
				    const struct endpoint *remote)
{
	struct move_frame f = { .magic = MOVE_MAGIC,
				.kind = kind,
				.local_port = local->port,
				.remote_port = remote->port };

	memcpy(f.token, token, sizeof(f.token));
	memcpy(f.local, local->addr.bytes, sizeof(f.local));
	memcpy(f.remote, remote->addr.bytes, sizeof(f.remote));
	if (kind == MOVE_LEFT)
		f.app_id = vj->ctl_app;
	return f;
}

/* Return: false: no frame now. */
static bool frame_send(struct vj_link *link, const struct move_frame *f)
{
	uint8_t bytes[ETH_HDR_BYTES + sizeof(*f)];

	memcpy(bytes, link->said.peer_mac, 6);
	memcpy(bytes + 6, link->mac, 6);
	store_be16(bytes + 12, ETH_TYPE_LINK);
	memcpy(bytes + ETH_HDR_BYTES, f, sizeof(*f));
	return link_send(link, bytes, sizeof(bytes));
}

/* Nothing orders a look at the clock behind a store that other processors are to see (arm64): so long it may take, and more. */
#define SHOWN_BY_NS NS_PER_MS

/* May whoever called have called another? If not he finds what we have put. */
static bool is_late(struct vj_link *link, uint64_t until_ns)
{
	if (!until_ns)
		return false;
	if (!link->dead)
		link_show(link);
	return lib_clock_ns() + SHOWN_BY_NS >= until_ns;
}

/* ARRIVED has been put. The program may have given it up since that was to be said. */
static void release(struct vj *vj, struct vj_link *link, const struct move_frame *f)
{
	const struct endpoint local = { .addr = ip_addr_from_v6(f->local), .port = f->local_port };
	const struct endpoint remote = { .addr = ip_addr_from_v6(f->remote), .port = f->remote_port };
	struct tcp_id id;

	if (tcp_find(vj->stack, link->stack_id, &local, &remote, &id))
		return;
	if (is_late(link, f->until_ns))
		tcp_withdrawn_meanwhile(vj->stack, id);
	tcp_release(vj->stack, id);
}

static void say(struct vj *vj, struct vj_link *link, const struct move_frame *f, bool releases)
{
	struct moves *m = moves_get(vj);
	struct saying *s;

	if (m && !link->unsaid && frame_send(link, f)) {
		if (releases)
			release(vj, link, f);
		return;
	}
	s = m ? malloc(sizeof(*s)) : NULL;
	if (!s) { /* the other side waits in vain, and gives the connection up */
		lib_log(vj, LOG_ERR, "a connection cannot move: no memory");
		return;
	}
	*s = (struct saying){ .link = link, .frame = *f, .releases = releases };
	*m->sayings_end = s;
	m->sayings_end = &s->next;
	link->unsaid++;
	vj->move_ns = 0;
}

/* To a question about no connection of ours, or about a port of its own. A peer that asks on and on, and gives no frames for the answers, gets none. */
static void say_none(struct vj *vj, struct vj_link *link, enum move_kind kind, const struct move_frame *asked, const struct endpoint *local,
		     const struct endpoint *remote)
{
	struct move_frame answer = frame_make(vj, kind, asked->token, local, remote);

	if (link->unsaid < ANSWERS_MAX)
		say(vj, link, &answer, false);
}

static struct move_frame frame_of(const struct vj *vj, enum move_kind kind, const uint8_t token[static MOVE_TOKEN_BYTES], struct tcp_id id)
{
	struct endpoint local, remote;

	tcp_endpoints(vj->stack, id, &local, &remote);
	return frame_make(vj, kind, token, &local, &remote);
}

void move_leave(struct vj *vj, struct vj_link *link, const uint8_t token[static MOVE_TOKEN_BYTES], struct tcp_id id)
{
	struct move_frame f = frame_of(vj, MOVE_LEAVE, token, id);

	say(vj, link, &f, false);
}

void move_arrived(struct vj *vj, struct vj_link *link, const uint8_t token[static MOVE_TOKEN_BYTES], uint64_t until_ns, struct tcp_id id)
{
	struct move_frame f = frame_of(vj, MOVE_ARRIVED, token, id);

	f.until_ns = until_ns;
	say(vj, link, &f, true);
}

/* It is shown before anybody else can have the connection. Nobody need wake for it. */
bool move_given(struct vj *vj, struct tcp_id id, const uint8_t token[static MOVE_TOKEN_BYTES])
{
	struct vj_link *link = move_link_of(vj, id);
	struct move_frame f = frame_of(vj, MOVE_GIVEN, token, id);

	if (!link)
		return true;
	if (link->unsaid || !frame_send(link, &f))
		return false;
	link->unawaited++;
	link_show(link);
	return true;
}

static void sayings_send(struct vj *vj, struct moves *m)
{
	struct saying **at = &m->sayings;

	m->round++;
	while (*at) {
		struct saying *s = *at;

		if (s->link->full_round == m->round || !frame_send(s->link, &s->frame)) {
			s->link->full_round = m->round;
			at = &s->next;
			continue;
		}
		*at = s->next;
		s->link->unsaid--;
		if (s->releases)
			release(vj, s->link, &s->frame);
		free(s);
	}
	m->sayings_end = at;
}

/* Whoever was to hand them on has ended, and all that he said was heard. */
static void transits_orphaned(struct vj *vj, const struct moves *m, const struct vj_link *link)
{
	for (struct transit *t = m->transits; t; t = t->next) {
		if (t->from != link)
			continue;
		t->from = NULL;
		if (!t->given)
			t->until_ns = vj->now_ns;
		vj->move_ns = 0;
	}
}

void move_link_gone(struct vj *vj, const struct vj_link *link)
{
	struct moves *m = vj->moves;

	if (!m)
		return;
	transits_orphaned(vj, m, link);
	m->sayings_end = &m->sayings;
	while (*m->sayings_end) {
		struct saying *s = *m->sayings_end;

		if (s->link != link) {
			m->sayings_end = &s->next;
			continue;
		}
		*m->sayings_end = s->next;
		free(s);
	}
}

/* ---- the peer's part ------------------------------------------------------------------------------------------- */

struct vj_link *move_link_of(const struct vj *vj, struct tcp_id id)
{
	struct link_id on = tcp_link(vj->stack, id);

	for (unsigned i = 0; i < vj->link_cnt; i++)
		if (!vj->links[i]->raw && !vj->links[i]->dead && vj->links[i]->stack_id.v == on.v)
			return vj->links[i];
	return NULL;
}

/* Off its link. Return: false: no such connection, or no memory. */
static bool transit_begin(struct vj *vj, struct vj_link *link, const struct move_frame *f, const struct endpoint *local, const struct endpoint *remote)
{
	struct moves *m = moves_get(vj);
	struct transit *t;
	struct tcp_id id;

	if (!m || tcp_find(vj->stack, link->stack_id, local, remote, &id))
		return false;
	t = calloc(1, sizeof(*t));
	if (!t || tcp_hold_here(vj->stack, id) || tcp_move(vj->stack, id, m->nowhere)) {
		free(t);
		tcp_fail(vj->stack, id, ECONNRESET);
		return false;
	}
	memcpy(t->token, f->token, sizeof(t->token));
	t->local = *local;
	t->remote = *remote;
	t->from = link;
	t->called = tcp_keeps_said(vj->stack, id);
	t->last_ns = vj->now_ns + TRANSIT_MS * NS_PER_MS;
	t->until_ns = t->called ? lib_clock_ns() + MOVE_CALL_WAITS_MS * NS_PER_MS : t->last_ns; /* from now on: deed_left() knows that it is so */
	t->next = m->transits;
	m->transits = t;
	vj->move_ns = min_u64(vj->move_ns, t->until_ns);
	return true;
}

static void on_leave(struct vj_link *link, const struct move_frame *f, const struct endpoint *local,
		     const struct endpoint *remote)
{
	struct vj *vj = link->vj;
	struct move_frame left;
	struct tcp_id id;
	bool known = !tcp_find(vj->stack, link->stack_id, local, remote, &id);

	if (known && deed_is_leaving(vj, id) && link->said.end == 0)
		return; /* ours goes first */
	if (known)
		deed_postpone(vj, id);
	if (!known || !transit_begin(vj, link, f, local, remote)) {
		say_none(vj, link, MOVE_LEFT_NONE, f, local, remote);
		return;
	}
	left = frame_make(vj, MOVE_LEFT, f->token, local, remote);
	left.until_ns = vj->moves->transits->called ? vj->moves->transits->until_ns : 0;
	say(vj, link, &left, false);
}

static struct transit **transit_find(struct moves *m, const uint8_t token[static MOVE_TOKEN_BYTES])
{
	struct transit **at = &m->transits;

	while (*at && memcmp((*at)->token, token, MOVE_TOKEN_BYTES) != 0)
		at = &(*at)->next;
	return at;
}

/* Return: 0 and the connection, still on the link to nowhere; -ENOENT. The transit is over. */
static int transit_end(struct vj *vj, struct transit **at, struct tcp_id *ret_id)
{
	struct moves *m = vj->moves;
	struct transit *t = *at;
	int err = tcp_find(vj->stack, m->nowhere, &t->local, &t->remote, ret_id);

	*at = t->next;
	free(t);
	return err;
}

static void on_arrived(struct vj_link *link, const struct move_frame *f, const struct endpoint *local,
		       const struct endpoint *remote)
{
	struct vj *vj = link->vj;
	struct transit **at = vj->moves ? transit_find(vj->moves, f->token) : NULL;
	struct tcp_id id;

	if (at && *at && endpoint_eq(&(*at)->local, local) && endpoint_eq(&(*at)->remote, remote) &&
	    !transit_end(vj, at, &id)) {
		if (!tcp_move(vj->stack, id, link->stack_id)) {
			link->begins = true;
			tcp_release(vj->stack, id);
			vj->move_ns = 0; /* somebody may have claimed ours meanwhile */
			return;
		}
		tcp_fail(vj->stack, id, ECONNRESET);
	}
	say_none(vj, link, MOVE_GONE, f, local, remote);
}

static void on_given(const struct vj_link *link, const struct move_frame *f)
{
	struct transit **at = link->vj->moves ? transit_find(link->vj->moves, f->token) : NULL;

	if (at && *at && (*at)->from == link)
		(*at)->given = true;
}

bool move_is_used(const struct vj *vj, const struct endpoint *local, const struct endpoint *remote)
{
	struct tcp_id id;

	return vj->moves && vj->moves->transits && !tcp_find(vj->stack, vj->moves->nowhere, local, remote, &id);
}

int move_transit_take(struct vj *vj, const uint8_t token[static MOVE_TOKEN_BYTES], struct tcp_id *ret_id)
{
	struct transit **at = vj->moves ? transit_find(vj->moves, token) : NULL;

	return at && *at ? transit_end(vj, at, ret_id) : -ENOENT;
}

void move_transit_stay(struct vj *vj, const uint8_t token[static MOVE_TOKEN_BYTES], bool stay)
{
	struct transit **at = vj->moves ? transit_find(vj->moves, token) : NULL;

	if (at && *at)
		(*at)->until_ns = stay ? UINT64_MAX : vj->now_ns + TRANSIT_MS * NS_PER_MS;
	vj->move_ns = 0;
}

bool move_transit_has_news(const struct vj *vj, const uint8_t token[static MOVE_TOKEN_BYTES])
{
	struct transit **at = vj->moves ? transit_find(vj->moves, token) : NULL;
	struct tcp_id id;

	return at && *at && !tcp_find(vj->stack, vj->moves->nowhere, &(*at)->local, &(*at)->remote, &id) && tcp_has_more_to_say(vj->stack, id);
}

/* Who is late refuses us, and we call another then. */
static bool giver_goes_on(const struct transit *t)
{
	return t->from && !link_peer_has_ended(t->from) && !link_is_stopped(t->from);
}

/* Whoever was in time has put his ARRIVED before our clock showed @now_ns, and vjd had told us of his channel before that. Return: is any due? */
static bool transits_look(struct vj *vj, struct moves *m, uint64_t now_ns)
{
	bool any = false, called = false;

	for (struct transit *t = m->transits; t; t = t->next) {
		if (t->until_ns > now_ns)
			continue;
		if (t->called && now_ns < t->last_ns && giver_goes_on(t)) {
			t->until_ns = now_ns + AGAIN_MS * NS_PER_MS;
			continue;
		}
		any = true;
		called |= t->called;
	}
	if (called && vj->ctl)
		control_poll(vj, false);
	for (unsigned i = 0; called && i < vj->link_cnt; i++)
		if (!vj->links[i]->ifl)
			link_rx_all(vj->links[i]);
	return any;
}

static void transits_expire(struct vj *vj, struct moves *m)
{
	uint64_t now_ns = vj->now_ns;
	bool any = transits_look(vj, m, now_ns);

	for (struct transit **at = &m->transits; *at;) {
		struct tcp_id id;

		if (!any || (*at)->until_ns > now_ns) {
			vj->move_ns = min_u64(vj->move_ns, (*at)->until_ns);
			at = &(*at)->next;
			continue;
		}
		lib_log(vj, LOG_WARNING, "a connection's other end left its process and did not arrive anywhere: reset");
		if (!transit_end(vj, at, &id))
			tcp_peer_gone(vj->stack, id);
	}
}

/* ---- ports of UDP ---------------------------------------------------------------------------------------------- */

uint32_t move_yield(struct vj *vj, const struct endpoint *local)
{
	struct moves *m = moves_get(vj);
	uint8_t token[MOVE_TOKEN_BYTES] = { 0 };
	const struct endpoint none = { 0 };

	if (!m)
		return 0;
	m->yield_nr += m->yield_nr == UINT32_MAX ? 2 : 1; /* never 0 */
	memcpy(token, &m->yield_nr, sizeof(m->yield_nr));
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		struct vj_link *link = vj->links[i];
		struct move_frame f = frame_make(vj, MOVE_YIELD, token, local, &none);

		if (link->raw || link->ifl || link->dead)
			continue;
		link->yield_said = m->yield_nr;
		say(vj, link, &f, false);
	}
	link_publish_all(vj);
	return m->yield_nr;
}

static bool yield_is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

bool move_yielded(const struct vj *vj, uint32_t nr)
{
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		const struct vj_link *link = vj->links[i];

		if (nr && link->yield_said && !link->dead && !yield_is_before(link->yield_said, nr) && yield_is_before(link->yield_heard, nr))
			return false;
	}
	return true;
}

/* Who sends there asks vjd from now on. Other peers' routes are none of this one's business. */
static void on_yield(struct vj_link *link, const struct move_frame *f, const struct endpoint *local, const struct endpoint *remote)
{
	route_forget_link(link->vj, link);
	say_none(link->vj, link, MOVE_YIELDED, f, local, remote);
}

static void on_yielded(struct vj_link *link, const struct move_frame *f)
{
	uint32_t nr;

	memcpy(&nr, f->token, sizeof(nr));
	if (link->yield_said && !yield_is_before(link->yield_said, nr))
		link->yield_heard = nr;
}

/* ---- the way in ------------------------------------------------------------------------------------------------ */

void move_input(struct vj_link *link, const uint8_t *data, uint32_t len)
{
	struct endpoint local, remote;
	struct move_frame f;
	struct tcp_id id;

	if (len != ETH_HDR_BYTES + sizeof(f))
		return;
	memcpy(&f, data + ETH_HDR_BYTES, sizeof(f)); /* once: the peer can still write there */
	if (f.magic != MOVE_MAGIC)
		return;
	/* what is local to the peer is remote to us */
	local = (struct endpoint){ .addr = ip_addr_from_v6(f.remote), .port = f.remote_port };
	remote = (struct endpoint){ .addr = ip_addr_from_v6(f.local), .port = f.local_port };
	switch (f.kind) {
	case MOVE_LEAVE:
		on_leave(link, &f, &local, &remote);
		break;
	case MOVE_LEFT:
	case MOVE_LEFT_NONE:
		if (!tcp_find(link->vj->stack, link->stack_id, &local, &remote, &id))
			deed_left(link->vj, id, link, &f);
		break;
	case MOVE_ARRIVED:
		on_arrived(link, &f, &local, &remote);
		break;
	case MOVE_GONE:
		if (!tcp_find(link->vj->stack, link->stack_id, &local, &remote, &id))
			tcp_fail(link->vj->stack, id, ECONNRESET);
		break;
	case MOVE_YIELD:
		on_yield(link, &f, &local, &remote);
		break;
	case MOVE_YIELDED:
		on_yielded(link, &f);
		break;
	case MOVE_GIVEN:
		on_given(link, &f);
		break;
	default:
		break; /* of a later version: the sender must do without an answer */
	}
}

void move_poll(struct vj *vj)
{
	bool spared = vj->silent && vj->move_ns;
	struct moves *m = vj->moves;

	vj->move_ns = UINT64_MAX;
	if (m) {
		sayings_send(vj, m);
		transits_expire(vj, m);
		if (m->sayings)
			vj->move_ns = vj->now_ns + RETRY_MS * UINT64_C(1000000);
	}
	deed_poll(vj, spared);
	if (vj->leaving)
		vj->move_ns = min_u64(vj->move_ns, vj->leaving_ns);
	stopped_poll(vj);
	link_publish_all(vj);
}

uint64_t move_deadline_us(const struct vj *vj)
{
	uint64_t ns = deed_pump_ns(vj);

	if (move_busy(vj))
		return vj->move_ns / 1000 + 1;
	ns = min_u64(min_u64(ns, deed_offered_ns(vj)), vj->stopped_ns);
	for (const struct transit *t = vj->moves ? vj->moves->transits : NULL; t; t = t->next)
		ns = min_u64(ns, t->until_ns);
	return ns == UINT64_MAX ? ns : ns / 1000 + 1;
}

bool move_oversleeps(const struct vj *vj, uint64_t wake_ns)
{
	return vj->stopped_ns < wake_ns || (vj->moves && vj->moves->transits && deed_pump_ns(vj) < wake_ns);
}

bool move_busy(const struct vj *vj)
{
	return (vj->moves && vj->moves->sayings) || deed_busy(vj);
}

void move_forget_all(struct vj *vj)
{
	struct moves *m = vj->moves;

	deed_forget_all(vj);
	vj->moves = NULL;
	if (!m)
		return;
	while (m->sayings) {
		struct saying *s = m->sayings;

		m->sayings = s->next;
		free(s);
	}
	while (m->transits) {
		struct transit *t = m->transits;

		m->transits = t->next;
		free(t);
	}
	free(m);
}
