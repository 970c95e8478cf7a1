// SPDX-License-Identifier: BSD-2-Clause
/* link.c - the glue between a channel and the stack; birth and death of both, of what leads to a peer */
#include "channel/area.h"
#include "channel/area_map.h"
#include "channel/attach.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "driver/pcap.h"
#include "lib/link.h"
#include "lib/move.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum {
	RX_BATCH = 32,
	UNSEEN_MAX = 16,     /* frames queued before the peer is shown them */
	RX_BUDGET = 256,     /* frames from one link before the others get their turn */
	LINK_DRAIN_MAX = 65536, /* no ring holds more */
	ETH_HEADER_BYTES = 14,
};

/* ---- link_ops: the stack's side -------------------------------------------------------------------------------- */

/* One thing, as the channel calls it and as the stack does; so a batch is handed on as it lies. */
union link_buf {
	struct vj_buf buf;
	struct link_frame frame;
};

_Static_assert(sizeof(struct vj_buf) == sizeof(struct link_frame) &&
		       offsetof(struct vj_buf, data) == offsetof(struct link_frame, data) &&
		       offsetof(struct vj_buf, len) == offsetof(struct link_frame, len) &&
		       offsetof(struct vj_buf, room) == offsetof(struct link_frame, room) &&
		       offsetof(struct vj_buf, addr) == offsetof(struct link_frame, token),
	       "member for member");

/*
 * As it lies, and not copied: a copy would be made in wide loads, and one that takes together what two narrow stores have just written waits
 * until those have left the processor, behind all stores to lines that the peer has. That was half of a sender's time.
 */
static const struct vj_buf *buf_of(const struct link_frame *f)
{
	return &((const union link_buf *)(const void *)f)->buf;
}

static struct link_frame frame_of(const struct vj_buf *b)
{
	return (struct link_frame){ .data = b->data, .len = b->len, .room = b->room, .token = b->addr };
}

static inline void link_capture(struct vj *vj, const struct vj_buf *bufs, unsigned n)
{
	struct timespec ts;

	if (likely(!vj->capture))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	for (unsigned i = 0; i < n; i++)
		capture_frame(vj->capture, (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec, bufs[i].data,
			      bufs[i].len);
}

/* The peer sees what is queued before the program's call is over, and is woken, whether anybody waits for it or not. */
static void link_publish_now(struct vj_link *link)
{
	if (link->unseen)
		link->unseen = 1; /* still on the list */
	link->unawaited = 0;
	copy_way_publish(&link->copy_way);
	vj_channel_tx_publish(link->ch);
}

/*
 * @n more frames are queued. The peer sees them when the program's call is over, but of a long one it takes the first while the
 * last are written: UNSEEN_MAX at a time.
 */
static inline void link_dirty(struct vj_link *link, unsigned n)
{
	if (!link->unseen) {
		link->dirty_next = link->vj->dirty;
		link->vj->dirty = link;
	}
	link->unseen += n;
	if (unlikely(link->unseen > UNSEEN_MAX))
		link_publish_now(link);
}

/* Frames that nobody waits for may be all that there are, and a peer that sleeps gives none of them back. */
static VJ_COLD void link_starve(struct vj_link *link)
{
	link->starved = true;
	link_publish_now(link);
}

bool link_tx_get(void *drv, struct link_frame *ret_frame)
{
	struct vj_link *link = drv;

	if (!link->spare_cnt) {
		link->spare_next = 0;
		link->spare_cnt = channel_tx_get_sparing(link->ch, link->spare, LINK_BATCH);
		if (!link->spare_cnt) {
			link_starve(link);
			return false;
		}
	}
	*ret_frame = frame_of(&link->spare[link->spare_next++]);
	link->spare_cnt--;
	return true;
}

void link_tx_put(void *drv, const struct link_frame *frame)
{
	struct vj_link *link = drv;
	const struct vj_buf *buf = buf_of(frame);

	link_capture(link->vj, buf, 1);
	vj_channel_tx_put(link->ch, buf, 1);
	link_dirty(link, 1);
}

static void op_tx_unawaited(void *drv)
{
	struct vj_link *link = drv;

	link->unawaited++;
}

/* ---- promises: stack/tcp_call.c */

static _Atomic uint32_t *taken_back_by(const struct vj_link *link, bool us)
{
	struct area_header *header = link->area;

	return &header->taken_back[us ? link->said.end : !link->said.end];
}

static void op_take_back(void *drv)
{
	struct vj_link *link = drv;

	if (link->area)
		atomic_fetch_add(taken_back_by(link, true), 1);
}

bool link_peer_has_ended(struct vj_link *link)
{
	struct pollfd p = { .events = POLLIN };

	if (link->peer_fd == PEER_UNASKED)
		link->peer_fd = OWN_FD_MAKE((int)SYS_CALL2(SYS_pidfd_open, link->said.peer_pid, 0));
	p.fd = link->peer_fd;
	return p.fd < 0 || sys_poll_ms(&p, 1, 0) != 0;
}

static uint32_t op_taken_back(void *drv, bool by_us)
{
	struct vj_link *link = drv;

	if (!link->area || (!by_us && link_peer_has_ended(link)))
		return LINK_PEER_ENDED;
	return atomic_load(taken_back_by(link, by_us));
}

/* ---- calls that are withdrawn: stack/tcp_withdraw.c */

static _Atomic uint32_t *withdrawn_by(const struct vj_link *link, bool us)
{
	struct area_header *header = link->area;

	return &header->withdrawn[us ? link->said.end : !link->said.end];
}

void link_withdraw(struct vj_link *link)
{
	atomic_fetch_add(withdrawn_by(link, true), 1);
}

static uint32_t op_withdrawn(void *drv, bool by_us)
{
	return atomic_load(withdrawn_by(drv, by_us));
}

/* Whoever isn't waited for is not woken, neither now nor when the program's call is over. */
static uint32_t op_show(void *drv)
{
	struct vj_link *link = drv;
	bool awaited = link->unseen != link->unawaited;
	uint32_t withdrawn;

	if (link->unseen) {
		copy_way_publish(&link->copy_way);
		vj_channel_tx_show(link->ch);
	}
	withdrawn = op_withdrawn(link, false); /* before the doorbell: at the end of a system call a process is stopped, or whom it has woken runs */
	if (awaited)
		link_publish_now(link);
	if (link->unseen)
		link->unseen = link->unawaited = 1; /* still on the list */
	return withdrawn;
}

void link_show(struct vj_link *link)
{
	(void)op_show(link);
}

static void op_tx_copy(void *drv, uint8_t *dst, const void *src, size_t len)
{
	struct vj_link *link = drv;

	copy_way_copy(&link->copy_way, dst, src, len, !link->unseen);
}

void link_tx_unget(void *drv, const struct link_frame *frame)
{
	struct vj_link *link = drv;

	vj_channel_tx_unget(link->ch, buf_of(frame), 1);
}

void link_give_back(struct vj_link *link)
{
	if (!link->freed_cnt)
		return;
	vj_channel_rx_free(link->ch, link->freed, link->freed_cnt);
	link->freed_cnt = 0;
	link->freed_max += link->freed_max < link->freed_most;
}

void link_rx_free(void *drv, const struct link_frame *frame)
{
	struct vj_link *link = drv;

	link->freed[link->freed_cnt++] = *buf_of(frame);
	if (link->freed_cnt >= link->freed_max)
		link_give_back(link);
}

static void op_rx_link(void *drv, const struct link_frame *frame)
{
	move_input(drv, frame->data, frame->len);
}

static const struct link_ops link_channel_ops = { .tx_get = link_tx_get,
						  .tx_put = link_tx_put,
						  .tx_unawaited = op_tx_unawaited,
						  .take_back = op_take_back,
						  .taken_back = op_taken_back,
						  .withdrawn = op_withdrawn,
						  .show = op_show,
						  .tx_copy = op_tx_copy,
						  .tx_unget = link_tx_unget,
						  .rx_free = link_rx_free,
						  .rx_link = op_rx_link };

bool link_send(struct vj_link *link, const void *bytes, uint32_t len)
{
	struct link_frame frame;

	if (link->dead)
		return true; /* into a closed channel nothing goes */
	if (!link_tx_get(link, &frame))
		return false;
	memcpy(frame.data, bytes, len);
	frame.len = len;
	link_tx_put(link, &frame);
	return true;
}

/* ---- frames ---------------------------------------------------------------------------------------------------- */

/* A violation is found inside the channel; here it becomes the end of the link. */
static void link_check(struct vj_link *link)
{
	enum vj_channel_error why = vj_channel_error(link->ch);

	if (likely(why == VJ_CHANNEL_ERR_NONE) || link->raw || link->dead)
		return;
	lib_log(link->vj, LOG_WARNING, "channel %u to process %d closed: %s", link->channel_id, link->said.peer_pid,
		vj_channel_error_text(why));
	link->vj->channels_violated++;
	link_kill(link, why, true);
}

bool link_rx(struct vj_link *link)
{
	struct vj *vj = link->vj;
	union link_buf bufs[RX_BATCH];
	unsigned n, total = 0;

	if (link->raw)
		return false;
	if (unlikely(link->has_news))
		total = link->kind->before_rx(link);
	do {
		n = vj_channel_rx(link->ch, &bufs[0].buf, RX_BATCH);
		if (!n)
			break;
		link_capture(vj, &bufs[0].buf, n);
		stack_rx(vj->stack, link->stack_id, &bufs[0].frame, n);
		total += n;
		if (n > 1) /* by one at a time nobody is flooded */
			vj->crowded |= stack_is_crowded(vj->stack);
	} while (n == RX_BATCH && total < RX_BUDGET && !vj->crowded);
	if (unlikely(link->starved) && vj_channel_tx_ready(link->ch)) {
		link->starved = false;
		stack_link_writable(vj->stack, link->stack_id);
		total++;
	}
	link_check(link);
	return total != 0;
}

void link_rx_all(struct vj_link *link)
{
	for (uint32_t i = 0; i < link->said.params.ring_cnt && !link->dead && channel_rx_look(link->ch); i++)
		link_rx(link);
}

void link_publish_dirty(struct vj *vj)
{
	struct vj_link *link = vj->dirty;

	vj->dirty = NULL;
	for (; link; link = link->dirty_next) {
		bool awaited = link->unseen != link->unawaited;

		link->unseen = link->unawaited = 0;
		copy_way_publish(&link->copy_way);
		if (likely(awaited))
			vj_channel_tx_publish(link->ch);
		else
			vj_channel_tx_show(link->ch);
	}
}

enum { GROW_FRAMES = 256 };

/* More frames go round if the peer has used half of those that do since the last look, a millisecond ago if this is the only link */
static void link_grow(struct vj_link *link, uint64_t rx_bytes)
{
	const struct vj_area_params *p = &link->said.params;
	uint64_t bytes = rx_bytes - link->rx_looked;

	link->rx_looked = rx_bytes;
	if (link->rx_given >= p->frame_cnt || bytes < (uint64_t)link->rx_given * p->frame_bytes / 2)
		return;
	area_present(link->area, p, link->said.end, link->rx_given, GROW_FRAMES);
	link->rx_given += vj_channel_rx_more(link->ch, GROW_FRAMES);
}

void link_settle_next(struct vj *vj)
{
	struct vj_channel_stats stats;
	struct vj_link *link;

	if (!vj->link_cnt)
		return;
	link = vj->links[vj->settle_turn++ % vj->link_cnt];
	if (link->dead || !link->area || link->raw)
		return;
	vj_channel_stats(link->ch, &stats);
	link_grow(link, stats.rx_bytes);
}

/* ---- birth ----------------------------------------------------------------------------------------------------- */

static int link_join_stack(struct vj_link *link, const struct ctl_channel *msg)
{
	uint32_t room = vj_channel_room(link->ch) - ETH_HEADER_BYTES;
	struct link_config cfg = {
		.ops = &link_channel_ops,
		.drv = link,
		.mtu = room < 65535 ? room : 65535,
		.flags = LINK_NO_CSUM | LINK_NO_LOSS | LINK_TRAINS,
		.rx_hold_max = area_start_frames(&msg->params) / 2,
	};

	memcpy(cfg.mac, ctl_client_welcome(link->vj->ctl)->mac, 6);
	memcpy(link->mac, cfg.mac, 6);
	memcpy(cfg.peer_mac, msg->peer_mac, 6);
	return stack_link_add(link->vj->stack, &cfg, &link->stack_id);
}

static int link_attach(struct vj_link *link, const struct ctl_channel *msg)
{
	struct vj_channel_options opts = VJ_CHANNEL_OPTIONS_INIT;
	struct area_mapping map;
	int err;

	err = area_map(link->fds[CTL_FD_AREA], &msg->params, &map);
	if (err)
		return err;
	own_fd_close(link->fds[CTL_FD_AREA]); /* the mapping holds the memory */
	link->fds[CTL_FD_AREA] = -1;
	link->area = map.mem;
	link->area_bytes = map.bytes;
	link->rx_given = area_start_frames(&msg->params);
	opts.area = map.mem;
	opts.area_bytes = map.bytes;
	opts.params = msg->params;
	opts.end = msg->end;
	opts.wake_fd = link->fds[CTL_FD_WAKE_PEER];
	err = vj_channel_attach(&opts, &link->ch);
	if (err)
		return err;
	return bell_set_add(link->vj->bell_fd, link->fds[CTL_FD_WAKE_ME], link->channel_id);
}

static void link_close_fds(const struct vj_link *link)
{
	for (unsigned i = 0; i < CTL_CHANNEL_FDS; i++)
		own_fd_close(link->fds[i]);
	own_fd_close(link->peer_fd);
}

static void peer_free(struct vj_link *link)
{
	/* The peer has the same eventfd: closing ours doesn't take it out of the bell. */
	bell_set_del(link->vj->bell_fd, link->fds[CTL_FD_WAKE_ME]);
	vj_channel_detach(link->ch);
	if (link->area)
		area_unmap(&(struct area_mapping){ .mem = link->area, .bytes = link->area_bytes });
	link_close_fds(link);
	free(link);
}

int links_grow(struct vj *vj)
{
	unsigned room = vj->link_room ? 2 * vj->link_room : 8;
	struct vj_link **more;

	if (vj->link_cnt < vj->link_room)
		return 0;
	more = realloc(vj->links, room * sizeof(struct vj_link *));
	if (!more)
		return -ENOMEM;
	vj->links = more;
	vj->link_room = room;
	return 0;
}

static const struct link_kind link_peer_kind;

static void link_tell_vjd(struct vj *vj, uint32_t channel_id, enum vj_channel_error why)
{
	if (vj->ctl && channel_id)
		control_done(vj, ctl_client_channel_close(vj->ctl, channel_id, why));
}

int link_open(struct vj *vj, const struct ctl_channel *msg, const int fds[CTL_FDS_MAX], struct vj_link **ret_link)
{
	struct vj_link *link = calloc(1, sizeof(*link));
	int err;

	if (!link) {
		for (unsigned i = 0; i < CTL_FDS_MAX; i++)
			own_fd_close(fds[i]);
		return -ENOMEM;
	}
	link->vj = vj;
	link->copy_way = (struct copy_way)COPY_WAY_INIT;
	link->kind = &link_peer_kind;
	link->peer_fd = PEER_UNASKED;
	link->said = *msg;
	link->channel_id = msg->id;
	link->raw = msg->proto == CTL_PROTO_RAW;
	memcpy(link->fds, fds, sizeof(link->fds));
	/*
	 * A sixteenth of the pool can wait: with all that the stack may hold, the peer still has nearly half. But not at first, when each frame that is back
	 * late is another page, which nobody has touched, for the peer's next one.
	 */
	link->freed_max = 1;
	link->freed_most = min_u32(max_u32(area_start_frames(&msg->params) / 16, 1), LINK_BATCH);
	err = links_grow(vj);
	if (!err)
		err = link_attach(link, msg);
	if (!err && !link->raw)
		err = link_join_stack(link, msg);
	if (err) {
		lib_log(vj, LOG_ERR, "channel %u to process %d: %s", msg->id, msg->peer_pid, strerror(-err));
		link_tell_vjd(vj, msg->id, VJ_CHANNEL_ERR_CLOSED);
		peer_free(link);
		return err;
	}
	vj->links[vj->link_cnt++] = link;
	vj->link_new = true;
	vj->raw_cnt += link->raw;
	*ret_link = link;
	return 0;
}

/* ---- death ----------------------------------------------------------------------------------------------------- */

void link_kill(struct vj_link *link, enum vj_channel_error why, bool tell_vjd)
{
	if (link->dead)
		return;
	/* What the peer sent before the end still counts. Bounded: one that closed may go on sending. */
	for (unsigned i = 0; i < LINK_DRAIN_MAX && !link->raw; i++) {
		struct link_frame frame;
		struct vj_buf buf;

		if (!vj_channel_rx(link->ch, &buf, 1))
			break;
		frame = frame_of(&buf);
		stack_rx(link->vj->stack, link->stack_id, &frame, 1);
	}
	vj_channel_close(link->ch, why);
	link->tell_vjd = tell_vjd;
	link->dead = true;
	link->vj->links_dead = true;
}

/* A bare channel stays until its program has seen the end and calls vj_raw_close(). */
void link_peer_gone(struct vj_link *link)
{
	if (link->raw)
		vj_channel_close(link->ch, VJ_CHANNEL_ERR_PEER_GONE);
	else
		link_kill(link, VJ_CHANNEL_ERR_PEER_GONE, false);
}

static void link_bury(struct vj_link *link)
{
	struct vj *vj = link->vj;
	struct vj_channel_stats st;

	vj_channel_stats(link->ch, &st);
	vj->wakes_closed += st.wakes_sent;
	vj->rx_bytes_closed += st.rx_bytes;
	vj->tx_bytes_closed += st.tx_bytes;
	if (link->tell_vjd)
		link_tell_vjd(vj, link->channel_id, vj_channel_error(link->ch));
	route_forget_link(vj, link);
	move_link_gone(vj, link);
	if (!link->raw)
		stack_link_del(vj->stack, link->stack_id, ECONNRESET);
	link_publish_all(vj); /* takes the link off the list; into a closed channel nothing goes */
	vj->raw_cnt -= link->raw;
	link->kind->free(link);
}

void link_reap(struct vj *vj)
{
	unsigned kept = 0;

	if (!vj->links_dead)
		return;
	vj->links_dead = false;
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		if (vj->links[i]->dead)
			link_bury(vj->links[i]);
		else
			vj->links[kept++] = vj->links[i];
	}
	vj->link_cnt = kept;
}

static void peer_restate(struct vj_link *link, bool same_run)
{
	struct vj *vj = link->vj;
	struct ctl_channel now;
	int err;

	if (!same_run && ctl_client_is_behind(vj->ctl))
		return;
	link->unstated = false;
	if (same_run) {
		link_peer_gone(link);
		return;
	}
	err = control_done(vj, ctl_client_hold(vj->ctl, &link->said, &now));
	if (!err)
		link->channel_id = now.id;
	else if (err == -ENOENT)
		link_peer_gone(link);
	else if (err == -ENOTCONN || err == -ETIMEDOUT) /* or link_held() */
		link->unstated = true;
	else
		lib_log(vj, LOG_WARNING, "channel to process %d: vjd does not take it again: %s", link->said.peer_pid,
			strerror(-err));
}

bool link_restate_all(struct vj *vj, bool same_run)
{
	bool all = true;

	for (unsigned i = 0; i < vj->link_cnt && vj->ctl; i++) {
		struct vj_link *link = vj->links[i];

		if (link->dead || !link->unstated || vj_channel_error(link->ch) != VJ_CHANNEL_ERR_NONE)
			continue;
		link->kind->restate(link, same_run);
		all &= !link->unstated;
	}
	return all;
}

void link_held(const struct vj *vj, const struct ctl_channel *now)
{
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		struct vj_link *link = vj->links[i];

		if (!link->dead && !link->channel_id && !memcmp(link->said.key, now->key, sizeof(now->key))) {
			link->channel_id = now->id;
			link->unstated = false;
		}
	}
}

static void peer_forget(struct vj_link *link)
{
	/* The area isn't mapped in a forked child (MADV_DONTFORK): free the private half, touch no ring. */
	vj_channel_detach(link->ch);
	link_close_fds(link);
	free(link);
}

void link_forget(struct vj_link *link)
{
	link->kind->forget(link);
}

/* Where addresses are is for vjd to say. */
static enum iflink_way peer_leads_to(const struct vj_link *link, const struct ip_addr *dst, struct ip_addr *ret_source)
{
	(void)link;
	(void)dst;
	(void)ret_source;
	return IFLINK_NO_WAY;
}

static uint64_t peer_routes_seq(const struct vj_link *link)
{
	(void)link;
	return 0;
}

static bool peer_may_sleep(struct vj_link *link)
{
	(void)link;
	return true;
}

static const struct link_kind link_peer_kind = {
	.may_sleep = peer_may_sleep,
	.leads_to = peer_leads_to,
	.routes_seq = peer_routes_seq,
	.restate = peer_restate,
	.forget = peer_forget,
	.free = peer_free,
};

/* ---- look-up --------------------------------------------------------------------------------------------------- */

/* With a channel to ourselves both ends have one number; end 0 is the one that was made last. */
struct vj_link *link_by_channel_id(const struct vj *vj, uint32_t channel_id)
{
	for (unsigned i = vj->link_cnt; i-- > 0;)
		if (vj->links[i]->channel_id == channel_id && !vj->links[i]->dead)
			return vj->links[i];
	return NULL;
}

struct vj_link *link_by_channel(const struct vj *vj, const struct vj_channel *ch)
{
	for (unsigned i = 0; i < vj->link_cnt; i++)
		if (vj->links[i]->ch == ch)
			return vj->links[i];
	return NULL;
}
