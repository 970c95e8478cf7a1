// SPDX-License-Identifier: BSD-2-Clause
/* raw.c - bare channels: a link without the stack, found by a number */
#include "lib/priv.h"

#include <errno.h>

enum { RAW_OBJ = 1 }; /* lease.obj_id of an offer: the port tells offers apart */

int vj_raw_listen(struct vj *vj, uint16_t port, uint64_t cookie)
{
	struct endpoint local = { .addr = ip_addr_any_v6(), .port = port };
	struct lease *lease;
	int err;

	if (!port)
		return -EINVAL;
	err = lease_take(vj, CTL_PROTO_RAW, &local, 0, -1, &lease);
	if (err)
		return err;
	lease->obj_id = RAW_OBJ;
	lease->cookie = cookie;
	return 0;
}

int vj_raw_connect(struct vj *vj, uint16_t port, uint64_t cookie, struct vj_channel **ret_ch)
{
	struct ctl_endpoint to = { .proto = CTL_PROTO_RAW, .port = port };
	struct ctl_channel channel;
	int err, fds[CTL_FDS_MAX];
	struct vj_link *link;

	if (!port)
		return -EINVAL;
	if (!vj->ctl)
		return -ENOTCONN;
	err = control_done(vj, ctl_client_connect(vj->ctl, &to, &channel, fds));
	if (err)
		return err;
	if (fds[CTL_FD_AREA] < 0) /* vjd makes a new bare channel for each request */
		return -EPROTO;
	err = link_open(vj, &channel, fds, &link);
	if (err)
		return err;
	link->raw_cookie = cookie;
	*ret_ch = link->ch;
	return 0;
}

/* vjd announced a bare channel for an offer of ours. */
void raw_accepted(struct vj *vj, struct vj_link *link, uint16_t port)
{
	for (unsigned i = 0; i < vj->lease_room; i++) {
		const struct lease *l = &vj->leases[i];

		if (l->obj_id && l->proto == CTL_PROTO_RAW && l->local.port == port) {
			link->raw_cookie = l->cookie;
			link->raw_new = true;
			return;
		}
	}
	link_kill(link, VJ_CHANNEL_ERR_CLOSED, true); /* offer withdrawn meanwhile */
}

static uint32_t raw_link_events(const struct vj_link *link)
{
	uint32_t events = 0;

	if (!link->raw || link->dead)
		return 0;
	if (link->raw_new)
		events |= VJ_EV_ACCEPT;
	if (vj_channel_rx_ready(link->ch))
		events |= VJ_EV_READABLE;
	if (link->raw_starved && vj_channel_tx_ready(link->ch))
		events |= VJ_EV_WRITABLE;
	if (vj_channel_error(link->ch) != VJ_CHANNEL_ERR_NONE && !link->raw_error_told)
		events |= VJ_EV_ERROR;
	return events;
}

bool raw_pending(const struct vj *vj)
{
	for (unsigned i = 0; vj->raw_cnt && i < vj->link_cnt; i++)
		if (raw_link_events(vj->links[i]))
			return true;
	return false;
}

unsigned raw_events(struct vj *vj, struct vj_event *ev, unsigned n)
{
	unsigned cnt = 0;

	for (unsigned i = 0; vj->raw_cnt && i < vj->link_cnt && cnt < n; i++) {
		struct vj_link *link = vj->links[i];
		uint32_t events = raw_link_events(link);

		if (!events)
			continue;
		link->raw_new = false;
		link->raw_starved &= !(events & VJ_EV_WRITABLE);
		link->raw_error_told |= (events & VJ_EV_ERROR) != 0;
		ev[cnt++] = (struct vj_event){
			.obj = VJ_OBJ_RAW, .events = events, .cookie = link->raw_cookie, .raw = link->ch
		};
	}
	return cnt;
}

void vj_raw_close(struct vj *vj, struct vj_channel *ch)
{
	struct vj_link *link = link_by_channel(vj, ch);

	if (!link || !link->raw)
		return;
	link_kill(link, VJ_CHANNEL_ERR_CLOSED, true);
	link_reap(vj);
}
