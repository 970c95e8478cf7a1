// SPDX-License-Identifier: BSD-2-Clause
#include "lib/stopped.h"

#include "base/time.h"
#include "lib/connect.h"
#include "lib/move.h"
#include "lib/proc_state.h"
#include "stack/tcp_move.h"

#include <syslog.h>

enum { LOOK_MS = 200, AGAIN_MS = 50, FRESH_MS = 40 };

static void watch_at(struct vj *vj, uint64_t at_ns)
{
	vj->stopped_ns = at_ns;
	vj->move_ns = min_u64(vj->move_ns, at_ns);
}

/* The time of the last look, vj->now_ns, may be as long ago as the call before. */
void stopped_watch(struct vj *vj)
{
	if (vj->stopped_ns == UINT64_MAX)
		watch_at(vj, lib_clock_ns() + LOOK_MS * NS_PER_MS);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static enum peer_stop look(struct vj_link *link)
{
	uint64_t now_ns = lib_clock_ns(), runs = 0;

	if (link->ifl || (link->stop && now_ns - link->stop_ns < FRESH_MS * NS_PER_MS))
		return link->stop;
	if (!proc_is_stopped(link->said.peer_pid, &runs))
		link->stop = PEER_RUNS;
	else
		link->stop = link->stop && runs == link->stop_runs ? PEER_STANDS : PEER_STOPPED;
	link->stop_runs = runs;
	link->stop_ns = now_ns;
	return link->stop;
}

bool link_stands_still(struct vj_link *link)
{
	return unlikely(link->stop == PEER_STANDS) && look(link) == PEER_STANDS;
}

bool link_is_stopped(struct vj_link *link)
{
	return look(link) != PEER_RUNS;
}

bool stopped_alone(struct vj *vj, struct vj_link *link, const struct endpoint *remote)
{
	struct vj_link *other;

	return link_is_stopped(link) && !route_other(vj, remote, vj->flow, link, &other);
}

/* ---- withdrawing ------------------------------------------------------------------------------------------------- */

/* The next after @id that waits there for an answer */
static bool waiting_next(const struct vj *vj, const struct vj_link *link, struct tcp_id *id)
{
	while (tcp_next(vj->stack, id))
		if (tcp_link(vj->stack, *id).v == link->stack_id.v && tcp_may_withdraw(vj->stack, *id))
			return true;
	return false;
}

/* They are withdrawn together, or not at all. */
static bool all_have_others(struct vj *vj, const struct vj_link *link)
{
	struct endpoint local, remote, last = { 0 };
	struct tcp_id id = { 0 };
	struct vj_link *other;

	while (waiting_next(vj, link, &id)) {
		tcp_endpoints(vj->stack, id, &local, &remote);
		if (!endpoint_eq(&remote, &last) && !route_other(vj, &remote, vj->flow, link, &other))
			return false;
		last = remote;
	}
	return true;
}

static void withdraw_all(struct vj *vj, struct vj_link *link)
{
	struct tcp_id id = { 0 };
	unsigned cnt = 0;

	link_rx_all(link);
	link_withdraw(link);
	link_rx_all(link);
	if (link->dead) /* they end with it */
		return;
	for (; waiting_next(vj, link, &id); cnt++)
		tcp_withdraw(vj->stack, id);
	lib_log(vj, LOG_INFO, "process %d is stopped: %u connections that it has not accepted go to others", link->said.peer_pid, cnt);
	vj->stack_touched = true;
}

/* One that is connected, and may have said something */
static bool has_called(const struct vj *vj, const struct vj_link *link)
{
	struct tcp_id id = { 0 };

	while (waiting_next(vj, link, &id))
		if (tcp_ready(vj->stack, id) & STACK_EV_CONNECTED)
			return true;
	return false;
}

/*
 * Others that wait to be connected there ask again by themselves. Where one is connected already no counter is touched, and who goes on may find a
 * connection that has ended, as of a client that has given up.
 */
bool conn_withdraw(struct vj *vj, struct vj_conn c)
{
	struct tcp_id id = { c.v };
	struct vj_link *link = move_link_of(vj, id);
	struct endpoint local, remote;

	tcp_endpoints(vj->stack, id, &local, &remote);
	if (!link || !stopped_alone(vj, link, &remote))
		return false;
	link_rx_all(link);
	if (!has_called(vj, link)) {
		link_withdraw(link);
		link_rx_all(link);
	}
	return !(tcp_ready(vj->stack, id) & STACK_EV_CONNECTED);
}

/* Return: does any that others may take? */
static bool mark_waited_for(struct vj *vj)
{
	struct endpoint local, remote;
	struct tcp_id id = { 0 };
	bool any = false;

	for (unsigned i = 0; i < vj->link_cnt; i++)
		vj->links[i]->waited_for = false;
	while (tcp_next(vj->stack, &id)) {
		struct vj_link *link = tcp_may_withdraw(vj->stack, id) ? move_link_of(vj, id) : NULL;

		if (!link)
			continue;
		tcp_endpoints(vj->stack, id, &local, &remote);
		if (route_is_one(vj, &remote))
			continue;
		link->waited_for = any = true;
	}
	return any;
}

void stopped_poll(struct vj *vj)
{
	bool again = false;

	if (vj->now_ns < vj->stopped_ns) {
		vj->move_ns = min_u64(vj->move_ns, vj->stopped_ns);
		return;
	}
	vj->stopped_ns = UINT64_MAX;
	if (!mark_waited_for(vj))
		return;
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		struct vj_link *link = vj->links[i];

		if (!link->waited_for || link->dead)
			continue;
		if (look(link) == PEER_STOPPED)
			again = true;
		else if (link->stop == PEER_STANDS && all_have_others(vj, link))
			withdraw_all(vj, link);
	}
	watch_at(vj, vj->now_ns + (again ? AGAIN_MS : LOOK_MS) * NS_PER_MS);
}
