// SPDX-License-Identifier: BSD-2-Clause
/*
 * control.c - talking with vjd, and living without it
 *
 * vjd is needed to make channels and to hear of deaths. When it goes, traffic goes on; every second it is looked for
 * again, less often the longer it doesn't answer, and when it is back our channels and leases are stated anew: channels first, so that nobody who finds a port of
 * ours is given a second one. Until then what needs it fails with -ENOTCONN. What it is too late to answer then is stated again.
 */
#include "channel/bell.h"
#include "lib/iflink.h"
#include "lib/leaving.h"
#include "lib/move.h"
#include "lib/own_fd.h"
#include "lib/report.h"
#include "lib/stopped.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#define HEAR_NS UINT64_C(1000000)     /* a busy program looks at the control socket this often, without being rung */
enum { RETRY_S = 1 };		      /* and for a lost vjd, or for what it owes us, so soon */

static void control_lost(struct vj *vj, int err)
{
	lib_log(vj, LOG_WARNING, "vjd is gone (%s): channels go on, new ones must wait", strerror(-err));
	bell_set_del(vj->bell_fd, ctl_client_fd(vj->ctl));
	ctl_client_close(vj->ctl);
	vj->ctl = NULL;
	route_forget_all(vj);
	leaving_forget(vj);
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		vj->links[i]->channel_id = 0;
		vj->links[i]->unstated = true;
	}
	lease_lost(vj);
	ports_lost(vj);
	vj->ctl_pause = (struct pause){ 0 };
	pause_longer(&vj->ctl_pause, lib_clock_ns(), RETRY_S);
	vj->ctl_next_ns = vj->ctl_pause.until_ns;
}

int control_dial(struct vj *vj, int timeout_ms, const struct ctl_meanwhile *meanwhile)
{
	return ctl_client_open_within(vj->socket_path[0] ? vj->socket_path : NULL, vj->name, 0, timeout_ms, meanwhile, &vj->ctl, NULL);
}

int control_begin(struct vj *vj)
{
	int err = bell_set_add(vj->bell_fd, ctl_client_fd(vj->ctl), 0);

	if (err)
		return err;
	vj->ctl_run = ctl_client_welcome(vj->ctl)->run;
	vj->ctl_app = ctl_client_welcome(vj->ctl)->app_id;
	memset(vj->offered.ifindex, 0, sizeof(vj->offered.ifindex)); /* it says what it has to offer */
	vj->ctl_next_ns = 0; /* something may have come before the welcome */
	return 0;
}

static void control_channel(struct vj *vj, const struct ctl_msg *msg, const int fds[CTL_FDS_MAX])
{
	struct vj_link *link;

	if (link_open(vj, &msg->channel, fds, &link))
		return; /* said, and vjd told */
	if (link->raw)
		raw_accepted(vj, link, msg->channel.port);
}

/* ---- interfaces */

/* Return: false: vjd has not answered in time */
static bool control_take_interface(struct vj *vj, uint32_t ifindex)
{
	static const uint8_t no_key[16];
	struct ctl_interface said;
	int err, fds[CTL_FDS_MAX];

	err = control_done(vj, ctl_client_interface(vj->ctl, ifindex, no_key, &said, fds));
	if (err)
		lib_log(vj, LOG_WARNING, "interface %u: vjd gives no channel: %s", ifindex, strerror(-err));
	else
		link_open_interface(vj, &said, fds);
	return err != -ETIMEDOUT;
}

/* What is refused is forgotten until it is offered again; what was not answered is not, and asked for again when vjd has caught up. */
static void control_take_offers(struct vj *vj)
{
	if (vj->offered.again && ctl_client_is_owed(vj->ctl))
		return;
	vj->offered.again = false;
	for (unsigned i = 0; i < OFFERED_MAX && vj->ctl; i++) {
		uint32_t ifindex = vj->offered.ifindex[i];

		vj->offered.ifindex[i] = 0;
		if (ifindex && !link_by_ifindex(vj, ifindex) && !control_take_interface(vj, ifindex)) {
			vj->offered.ifindex[i] = ifindex;
			vj->offered.again = true;
			return;
		}
	}
}

int control_want_interfaces(struct vj *vj)
{
	vj->offered.wanted = true;
	if (vj->ctl)
		control_poll(vj, false); /* what is offered may be said, and not heard yet */
	if (vj->ctl)
		control_take_offers(vj);
	return !vj->ctl ? -ENOTCONN : vj->offered.again ? -ETIMEDOUT : 0;
}

/* The slot that has @ifindex; 0: a free one. NULL: there is none. */
static uint32_t *offered_slot(struct vj *vj, uint32_t ifindex)
{
	for (unsigned i = 0; i < OFFERED_MAX; i++)
		if (vj->offered.ifindex[i] == ifindex)
			return &vj->offered.ifindex[i];
	return NULL;
}

static void control_offer(struct vj *vj, const struct ctl_interface *said)
{
	struct vj_link *link = link_by_ifindex(vj, said->ifindex);
	bool gone = said->flags & (CTL_INTERFACE_GONE | CTL_INTERFACE_LEAVING);
	uint32_t *slot = offered_slot(vj, said->ifindex);

	if (said->flags & CTL_INTERFACE_GONE && link) {
		link_kill(link, VJ_CHANNEL_ERR_PEER_GONE, false);
	} else if (link) {
		leaving_set(link, said->flags & CTL_INTERFACE_LEAVING);
		link_interface_changed(link, said);
		return;
	}
	if (!slot)
		slot = offered_slot(vj, 0);
	if (slot)
		*slot = gone ? 0 : said->ifindex;
	if (vj->offered.wanted)
		control_take_offers(vj);
}

bool vj_has_interface(struct vj *vj)
{
	if (vj->ctl && !vj->ctl_next_ns)
		control_poll(vj, false);
	for (unsigned i = 0; i < OFFERED_MAX; i++)
		if (vj->offered.ifindex[i])
			return true;
	return vj->ifl_cnt > 0;
}

static void control_resolved(const struct vj *vj, const struct ctl_neighbour *said)
{
	struct vj_link *link = link_by_ifindex(vj, said->ifindex);

	if (link)
		link_resolved(link, said);
}

static void control_event(struct vj *vj, const struct ctl_msg *msg, const int fds[CTL_FDS_MAX])
{
	switch ((enum ctl_type)msg->type) {
	case CTL_CHANNEL:
		control_channel(vj, msg, fds);
		break;
	case CTL_PEER_GONE:
		for (unsigned i = 0; i < vj->link_cnt; i++)
			if (vj->links[i]->channel_id == msg->close.channel_id)
				link_peer_gone(vj->links[i]);
		break;
	case CTL_LEASE_GONE:
		route_forget_all(vj);
		stopped_watch(vj);
		break;
	case CTL_REPORT_WANTED:
		report_answer(vj, fds[0], msg->report.kind);
		own_fd_close(fds[0]);
		break;
	case CTL_INTERFACE_NEWS:
		control_offer(vj, &msg->interface);
		break;
	case CTL_RESOLVED:
		control_resolved(vj, &msg->neighbour);
		break;
	case CTL_HANDED:
		deed_keep(vj, fds[0]);
		break;
	case CTL_HELD:
		link_held(vj, &msg->channel);
		break;
	default:
		break; /* checked by ctl_check(); nothing else comes without being asked for */
	}
}

/* Most of it at once, when vjd is back. It may be lost again at any of these. */
static void control_restate(struct vj *vj, bool same_run)
{
	bool all = link_restate_all(vj, same_run);

	all = lease_restate(vj) && all;
	all = ports_restate(vj) && all;
	if (!vj->ctl)
		return;
	if (all && !ctl_client_is_unsaid(vj->ctl))
		vj->ctl_pause = (struct pause){ 0 };
	else
		pause_longer(&vj->ctl_pause, lib_clock_ns(), RETRY_S);
}

void control_again(struct vj *vj)
{
	if (vj->ctl && !vj->ctl_pause.s)
		pause_longer(&vj->ctl_pause, lib_clock_ns(), RETRY_S);
}

static void control_retry(struct vj *vj)
{
	int patience_ms = vj->ctl_pause.s > RETRY_S ? pause_patience_ms(&vj->ctl_pause, CTL_CLIENT_TIMEOUT_MS) : CTL_CLIENT_TIMEOUT_MS;
	uint64_t run = vj->ctl_run;
	int err = control_dial(vj, patience_ms, NULL);

	if (!err) {
		err = control_begin(vj);
		if (err) {
			ctl_client_close(vj->ctl);
			vj->ctl = NULL;
		}
	}
	if (err) {
		if (err != -ETIMEDOUT) /* looking for one that isn't there takes no time */
			vj->ctl_pause = (struct pause){ 0 };
		pause_longer(&vj->ctl_pause, lib_clock_ns(), err == -ETIMEDOUT ? 2 * RETRY_S : RETRY_S);
		vj->ctl_next_ns = vj->ctl_pause.until_ns;
		return;
	}
	lib_log(vj, LOG_NOTICE, "vjd is back");
	vj->ctl_pause = (struct pause){ 0 };
	control_restate(vj, vj->ctl_run == run);
}

bool control_poll(struct vj *vj, bool spared)
{
	bool any = false;
	struct ctl_msg msg;
	int fds[CTL_FDS_MAX], n = 0;

	if (!vj->ctl) {
		if (vj->now_ns >= vj->ctl_next_ns)
			control_retry(vj);
		return false;
	}
	vj->ctl_next_ns = vj->now_ns + HEAR_NS;
	link_settle_next(vj);
	spared = spared && ctl_client_is_idle(vj->ctl);
	while (!spared && (n = ctl_client_event(vj->ctl, &msg, fds)) > 0) {
		control_event(vj, &msg, fds);
		any = true;
		if (!vj->ctl) /* lost while answering */
			return any;
	}
	if (n < 0)
		control_lost(vj, n);
	else if (unlikely(vj->offered.again))
		control_take_offers(vj);
	if (unlikely(vj->ctl_pause.s) && vj->ctl && vj->now_ns >= vj->ctl_pause.until_ns)
		control_restate(vj, false);
	return any;
}

int control_done(struct vj *vj, int err)
{
	vj->ctl_next_ns = 0; /* events may have come with the reply, and the bell doesn't ring again for those */
	if (err == -ENOTCONN || err == -EPROTO) {
		control_lost(vj, err);
		return -ENOTCONN;
	}
	return err;
}
