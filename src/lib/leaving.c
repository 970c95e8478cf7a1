// SPDX-License-Identifier: BSD-2-Clause
#include "lib/leaving.h"

#include "base/time.h"
#include "lib/deed_priv.h"
#include "lib/iflink.h"
#include "lib/own_fd.h"
#include "lib/to_kernel.h"
#include "stack/tcp_leave.h"

#include <syslog.h>

enum { TURN = 32 }; /* connections: some 10 ms */
#define TURN_NS NS_PER_MS

static bool leaves(const struct vj *vj, struct tcp_id id)
{
	const struct vj_link *link = move_link_of(vj, id);

	return link && link->leaving && tcp_stay(vj->stack, id) != TCP_STAY_NONE;
}

bool deed_leaves(const struct vj *vj, struct vj_conn c)
{
	return vj->leaving && leaves(vj, (struct tcp_id){ c.v });
}

static void leaving_update(struct vj *vj)
{
	vj->leaving = false;
	for (unsigned i = 0; i < vj->link_cnt; i++)
		vj->leaving |= vj->links[i]->leaving && !vj->links[i]->dead;
}

void leaving_forget(struct vj *vj)
{
	for (unsigned i = 0; i < vj->link_cnt; i++)
		vj->links[i]->leaving = false;
	vj->leaving = false;
}

/* ---- a turn ------------------------------------------------------------------------------------------------------ */

static void push_deeds(struct vj *vj)
{
	unsigned cnt = 0;

	for (struct deed *d = vj->deeds->all; d && cnt < TURN; d = d->next)
		if (d->conn.v && !d->stuck && leaves(vj, d->conn))
			cnt += deed_push(vj, d);
}

/* The program has closed them: the kernel has them to the end. */
static void give_closed(struct vj *vj)
{
	struct tcp_id id = { 0 };
	unsigned cnt = 0;

	while (cnt < TURN && tcp_next(vj->stack, &id)) {
		int fd;

		if (tcp_stay(vj->stack, id) != TCP_STAY_ALONE || !leaves(vj, id))
			continue;
		if (!to_kernel(vj, id, false, &fd))
			own_fd_close(fd);
		cnt++;
	}
}

/* Does somebody take the kernel's sockets? A program of its own has no use for them. */
static bool gives(const struct vj *vj)
{
	return vj->deeds && vj->deeds->hooks.leaving;
}

/* How many connections stay there for now; and those that can't become the kernel's. */
static unsigned stays(const struct vj_link *link, uint32_t *ret_stuck)
{
	const struct vj *vj = link->vj;
	struct tcp_id id = { 0 };
	unsigned cnt = 0;

	*ret_stuck = 0;
	while (tcp_next(vj->stack, &id)) {
		const struct deed *d;

		if (move_link_of(vj, id) != link || tcp_stay(vj->stack, id) == TCP_STAY_NONE)
			continue;
		d = deed_of(vj, id);
		if (!gives(vj) || (d && d->stuck))
			++*ret_stuck;
		else
			cnt++;
	}
	return cnt;
}

static void leave(struct vj_link *link, uint32_t stuck)
{
	struct vj *vj = link->vj;

	if (vj->ctl)
		(void)control_done(vj, ctl_client_left(vj->ctl, iflink_said(link->ifl)->ifindex, stuck));
	link->leaving = false;
	leaving_update(vj);
	link_kill(link, VJ_CHANNEL_ERR_PEER_GONE, false);
}

void leaving_set(struct vj_link *link, bool leaving)
{
	struct vj *vj = link->vj;
	uint32_t stuck;

	if (link->leaving == leaving)
		return;
	link->leaving = leaving;
	leaving_update(vj);
	if (!leaving)
		return;
	lib_log(vj, LOG_INFO, "interface %s: is about to be detached: what stands there becomes the kernel's", iflink_said(link->ifl)->name);
	route_forget_link(vj, link);
	vj->leaving_ns = 0;
	vj->move_ns = 0;
	if (gives(vj))
		return;
	(void)stays(link, &stuck);
	leave(link, stuck);
}


void leaving_go_on(struct vj *vj)
{
	uint64_t now_ns = lib_clock_ns();
	uint32_t stuck;

	if (now_ns < vj->leaving_ns)
		return;
	if (gives(vj)) {
		vj->deeds->hooks.leaving(TURN);
		push_deeds(vj);
		give_closed(vj);
		deeds_serve(vj, vj->deeds, true);
	}
	for (unsigned i = 0; i < vj->link_cnt; i++)
		if (vj->links[i]->leaving && !stays(vj->links[i], &stuck))
			leave(vj->links[i], stuck);
	vj->leaving_ns = lib_clock_ns() + TURN_NS;
}
