// SPDX-License-Identifier: BSD-2-Clause
/*
 * control.c - talking with vjd, and living without it
 *
 * vjd is needed to make channels and to hear of deaths. When it goes, traffic goes on; every RETRY_NS it is looked for
 * again, and when it is back our channels and leases are stated anew: channels first, so that nobody who finds a port of
 * ours is given a second one. Until then what needs it fails with -ENOTCONN.
 */
#include "channel/bell.h"
#include "lib/own_fd.h"
#include "lib/priv.h"
#include "lib/report.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

#define HEAR_NS UINT64_C(1000000)     /* a busy program looks at the control socket this often, without being rung */
#define RETRY_NS UINT64_C(1000000000) /* and for a lost vjd this often */

static void control_lost(struct vj *vj, int err)
{
	lib_log(vj, LOG_WARNING, "vjd is gone (%s): channels go on, new ones must wait", strerror(-err));
	bell_set_del(vj->bell_fd, ctl_client_fd(vj->ctl));
	ctl_client_close(vj->ctl);
	vj->ctl = NULL;
	route_forget_all(vj);
	for (unsigned i = 0; i < vj->link_cnt; i++)
		vj->links[i]->channel_id = 0;
	vj->ctl_next_ns = lib_clock_ns() + RETRY_NS;
}

int control_open(struct vj *vj)
{
	int err;

	err = ctl_client_open(vj->socket_path[0] ? vj->socket_path : NULL, vj->name, 0, &vj->ctl);
	if (err)
		return err;
	err = bell_set_add(vj->bell_fd, ctl_client_fd(vj->ctl), 0);
	if (err) {
		ctl_client_close(vj->ctl);
		vj->ctl = NULL;
		return err;
	}
	vj->ctl_run = ctl_client_welcome(vj->ctl)->run;
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
		break;
	case CTL_REPORT_WANTED:
		report_answer(vj, fds[0], msg->report.kind);
		own_fd_close(fds[0]);
		break;
	default:
		break; /* checked by ctl_check(); nothing else comes without being asked for */
	}
}

static void control_retry(struct vj *vj)
{
	uint64_t run = vj->ctl_run;

	vj->ctl_next_ns = vj->now_ns + RETRY_NS;
	if (control_open(vj))
		return;
	lib_log(vj, LOG_NOTICE, "vjd is back");
	link_restate_all(vj, vj->ctl_run == run);
	lease_restate(vj);
	ports_restate(vj);
}

bool control_poll(struct vj *vj)
{
	bool any = false;
	struct ctl_msg msg;
	int fds[CTL_FDS_MAX], n;

	if (!vj->ctl) {
		if (vj->now_ns >= vj->ctl_next_ns)
			control_retry(vj);
		return false;
	}
	vj->ctl_next_ns = vj->now_ns + HEAR_NS;
	while ((n = ctl_client_event(vj->ctl, &msg, fds)) > 0) {
		control_event(vj, &msg, fds);
		any = true;
		if (!vj->ctl) /* lost while answering */
			return any;
	}
	if (n < 0)
		control_lost(vj, n);
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
