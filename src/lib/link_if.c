// SPDX-License-Identifier: BSD-2-Clause
/* link_if.c - links at an interface: the stack's side, what vjd says of the interface, birth and death */
#include "channel/bell.h"
#include "lib/iflink.h"
#include "lib/link.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum {
	NEWS_MAX = 32,
	ETH_HEADER_BYTES = 14,
};

/* Not a channel's id, which is 32 bits wide, and not 0: vjd, or a deed. */
#define BELL_TAG UINT64_MAX

/* Each frame has a next hop of its own. */
static void tx_put_addressed(void *drv, const struct link_frame *frame)
{
	struct vj_link *link = drv;

	if (likely(iflink_address(link->ifl, frame->data, frame->len)))
		link_tx_put(drv, frame);
	else
		link_tx_unget(drv, frame);
}

static const struct link_ops link_interface_ops = {
	.tx_get = link_tx_get, .tx_put = tx_put_addressed, .tx_unget = link_tx_unget, .rx_free = link_rx_free
};

/* ---- before frames are taken: what the stack has to hear */

/* Of routes that carry less than the interface. */
static unsigned if_before_rx(struct vj_link *link)
{
	const struct iflink_too_big *t;
	unsigned cnt = 0;

	iflink_poll(link->ifl);
	/* what is sent meanwhile may be too big again, of another flow: no more than once round */
	while (cnt < NEWS_MAX && (t = iflink_too_big(link->ifl)) != NULL) {
		struct iflink_too_big one = *t;

		stack_too_big(link->vj->stack, link->stack_id, one.packet, one.len, one.mtu);
		cnt++;
	}
	return cnt;
}

static void tell_unreachable(void *arg, const uint8_t *packet, uint32_t len)
{
	const struct vj_link *link = arg;

	stack_unreachable(link->vj->stack, link->stack_id, packet, len);
}

void link_resolved(struct vj_link *link, const struct ctl_neighbour *said)
{
	iflink_resolved(link->ifl, said, &(struct iflink_unreachable){ tell_unreachable, link });
	link_publish_all(link->vj);
}

static uint32_t interface_mtu(const struct vj_link *link, uint32_t mtu)
{
	return min_u32(mtu, vj_channel_room(link->ch) - ETH_HEADER_BYTES);
}

void link_interface_changed(struct vj_link *link, const struct ctl_interface *now)
{
	const struct ctl_interface *said = iflink_said(link->ifl);

	if (stack_link_mtu_set(link->vj->stack, link->stack_id, interface_mtu(link, now->mtu)) < 0)
		lib_log(link->vj, LOG_WARNING, "interface %s: the MTU %u can't be used", said->name, now->mtu);
	stack_link_mac_set(link->vj->stack, link->stack_id, now->mac);
	iflink_mac_changed(link->ifl, now->mac);
}

static const struct link_kind link_interface_kind;

/* ---- birth */

static int join_stack(struct vj_link *link)
{
	const struct ctl_interface *said = iflink_said(link->ifl);
	struct link_config cfg = {
		.ops = &link_interface_ops,
		.drv = link,
		.mtu = interface_mtu(link, said->mtu),
		.rx_hold_max = said->frame_cnt / 4, /* half of those to receive in */
		.rx_frames = said->frame_cnt / 2,
		.flags = LINK_ANY_MAC, /* dispatch knows the interface's and the application's own */
	};

	memcpy(cfg.mac, said->mac, 6);
	return stack_link_add(link->vj->stack, &cfg, &link->stack_id);
}

static int attach(struct vj_link *link, const struct ctl_interface *said, const int fds[CTL_FDS_MAX])
{
	struct vj *vj = link->vj;
	int err = iflink_open(vj, said, fds, &link->ifl);

	if (err)
		return err;
	link->ch = iflink_channel(link->ifl);
	link->freed_max = min_u32(max_u32(said->frame_cnt / 32, 1), LINK_BATCH);
	err = links_grow(vj);
	if (!err)
		err = bell_set_add(vj->bell_fd, iflink_fd(link->ifl), BELL_TAG);
	return err ? err : join_stack(link);
}

static void close_and_free(struct vj_link *link)
{
	if (link->ifl)
		bell_set_del(link->vj->bell_fd, iflink_fd(link->ifl));
	iflink_close(link->ifl);
	free(link);
}

int link_open_interface(struct vj *vj, const struct ctl_interface *said, const int fds[CTL_FDS_MAX])
{
	struct vj_link *link = calloc(1, sizeof(*link));
	int err;

	if (!link) {
		for (unsigned i = 0; i < CTL_FDS_MAX; i++)
			own_fd_close(fds[i]);
		return -ENOMEM;
	}
	link->vj = vj;
	link->kind = &link_interface_kind;
	link->has_news = true;
	err = attach(link, said, fds);
	if (err) {
		lib_log(vj, LOG_ERR, "interface %s: %s", said->name, strerror(-err));
		close_and_free(link);
		return err;
	}
	lib_log(vj, LOG_NOTICE, "interface %s: channel of %u frames, %s", said->name, said->frame_cnt,
		said->flags & CTL_INTERFACE_ZERO_COPY ? "zero-copy" : "copied by the kernel");
	vj->links[vj->link_cnt++] = link;
	vj->link_new = true;
	if (vj->ifl_cnt++ == 0) {
		vj->ports.block_cnt = 0; /* vjd has taken them back: on an interface they must be ours alone */
		lib_host_settings(vj);
	}
	return 0;
}

struct vj_link *link_by_ifindex(const struct vj *vj, uint32_t ifindex)
{
	for (unsigned i = 0; i < vj->link_cnt; i++)
		if (vj->links[i]->ifl && !vj->links[i]->dead && iflink_said(vj->links[i]->ifl)->ifindex == ifindex)
			return vj->links[i];
	return NULL;
}

/* ---- the kind */

/* A new vjd knows it by its key, and has a table of its own. */
static void if_restate(struct vj_link *link, bool same_run)
{
	const struct ctl_interface *said = iflink_said(link->ifl);
	struct vj *vj = link->vj;
	struct ctl_interface now;
	int fds[CTL_FDS_MAX];
	int err;

	if (same_run) { /* it has taken the channel down with us */
		link_kill(link, VJ_CHANNEL_ERR_PEER_GONE, false);
		return;
	}
	if (ctl_client_is_owed(vj->ctl))
		return;
	err = control_done(vj, ctl_client_interface(vj->ctl, said->ifindex, said->key, &now, fds));
	if (err == -ENOTCONN || err == -ETIMEDOUT) /* vjd is to be told again */
		return;
	link->unstated = false;
	if (!err)
		err = iflink_take_table(link->ifl, fds[CTL_FD_HOST]);
	if (!err)
		link_interface_changed(link, &now);
	if (err) {
		lib_log(vj, LOG_WARNING, "interface %s: the channel is gone: %s", said->name, strerror(-err));
		link_kill(link, VJ_CHANNEL_ERR_PEER_GONE, false);
	}
}

static bool if_may_sleep(struct vj_link *link)
{
	return iflink_flush(link->ifl);
}

static enum iflink_way if_leads_to(const struct vj_link *link, const struct ip_addr *dst, struct ip_addr *ret_source)
{
	return iflink_leads_to(link->ifl, dst, ret_source);
}

static uint64_t if_routes_seq(const struct vj_link *link)
{
	return iflink_table_seq(link->ifl);
}

static void if_forget(struct vj_link *link)
{
	iflink_forget(link->ifl);
	free(link);
}

static void if_free(struct vj_link *link)
{
	link->vj->ifl_cnt--;
	close_and_free(link);
}

static const struct link_kind link_interface_kind = {
	.before_rx = if_before_rx,
	.may_sleep = if_may_sleep,
	.leads_to = if_leads_to,
	.routes_seq = if_routes_seq,
	.restate = if_restate,
	.forget = if_forget,
	.free = if_free,
};
