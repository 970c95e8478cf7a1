// SPDX-License-Identifier: BSD-2-Clause
#include "lib/iflink.h"

#include "control/host_table.h"
#include "driver/afxdp.h"
#include "lib/own_fd.h"
#include "lib/priv.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>

/* Less than this no packet is made for a route: as in the stack, where ICMP says so. */
#define ROUTE_MTU_MIN_V4 552u
#define ROUTE_MTU_MIN_V6 1280u
#define WAIT_NS UINT64_C(6000000000)	/* a frame, for its neighbour: vjd says by then that it does not answer */
#define REASK_NS UINT64_C(1000000000)	/* have the same neighbour looked for, or at, not more often */

/*
 * How fast frames have to come to poll for them, and how long; a little slower, and it ends. It ends, and is not tried again for a while, where many come
 * and each poll that brings any brings many: what the sender's processor does for a batch costs it less than it costs both to pass each
 * frame from one's cache to the other's.
 */
#define PACE_NS UINT64_C(1000000)
#define PACE_BATCHES_NS UINT64_C(250000000)
#define POLL_REST_NS UINT64_C(12000)
enum {
	PACE_FRAMES = 20, /* of a millisecond */
	PACE_SLEEPS = 1,
	PACE_MANY = 256,
	PACE_BATCHES = 3, /* turns */
	PACE_FULL = 8,
	PACE_FALL = 2,
	POLL_MANY = 3,
	POLL_BATCH = 16,
};

enum {
	HOP_CNT = 256,
	WAITING_MAX = 64, /* frames; beyond it the oldest goes */
	FAILED_AT_ONCE = 16,
	TOO_BIG_MAX = 8, /* each of another connection; who isn't told sends again, and is told then */
};

struct hop {
	struct ip_addr dst;
	uint64_t seq; /* of the table from which @mac is; 0: none */
	struct mac_addr mac;
	uint32_t mtu; /* of the route and the interface, whichever is less */
};

/* Neighbours asked for lately. */
struct asked {
	struct ip_addr addr;
	uint64_t ns;
	bool waits; /* a frame waits for the answer */
};

struct waiting {
	struct ip_addr hop;
	uint64_t since_ns;
	uint32_t len; /* 0: free */
	uint8_t *data;
};

/* Does the program look all the time, and is there much to see? */
struct pace {
	uint64_t since_ns;
	uint64_t frames, sleeps; /* until then */
	uint64_t next_ns; /* don't poll before */
	uint64_t again_ns; /* nor begin to before */
	uint64_t brought, bringing; /* since then: by polling, by so many polls */
	unsigned batches; /* so many turns in a row had them */
	unsigned score; /* up by 1 with each busy turn, down by PACE_FALL in each other millisecond: begins at PACE_FULL, ends at 0 */
	bool on;
};

struct iflink {
	struct vj *vj;
	struct afxdp *xdp;
	struct ctl_interface said;
	int xsk_fd, poll_fd; /* the latter -1: can't be polled */
	struct pace pace;
	const struct host_table *table;
	struct hop hops[HOP_CNT];
	struct asked asked[HOP_CNT];
	struct waiting waiting[WAITING_MAX]; /* ring, by age */
	unsigned waiting_first, waiting_cnt;
	struct iflink_too_big too_big[TOO_BIG_MAX];
	unsigned too_big_cnt;
};

/* ---- asking */

static unsigned slot_of(const struct ip_addr *addr)
{
	uint64_t hash = (load_u64(addr->bytes) ^ load_u64(addr->bytes + 8)) * UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned)(hash >> 56) % HOP_CNT;
}

static void ask(struct iflink *ifl, const struct ip_addr *hop, bool waits)
{
	struct asked *a = &ifl->asked[slot_of(hop)];
	uint64_t now_ns = lib_clock_ns();

	/* that the kernel was to look at a stale one says nothing of one that it has forgotten meanwhile */
	if (!ifl->vj->ctl || (ip_addr_eq(&a->addr, hop) && now_ns - a->ns < REASK_NS && (a->waits || !waits)))
		return;
	*a = (struct asked){ *hop, now_ns, waits };
	/* on the way of a packet: that vjd is gone is found out elsewhere */
	(void)ctl_client_resolve(ifl->vj->ctl, ifl->said.ifindex, hop);
}

enum hop_state { HOP_KNOWN, HOP_UNKNOWN, HOP_NONE };

/* Return: HOP_UNKNOWN: *ret_hop is to be found first; HOP_NONE: no way leads to @dst by this interface */
static enum hop_state find_hop(struct iflink *ifl, const struct ip_addr *dst, struct hop *ret, struct ip_addr *ret_hop)
{
	enum host_neighbour_state state;
	struct host_route route;

	if (host_table_route(ifl->table, dst, ifl->said.ifindex, &route) < 0)
		return HOP_NONE;
	/* an address of this host that another application's channel has: the gate knows, the MAC doesn't matter */
	if (route.kind == HOST_ROUTE_LOCAL) {
		memcpy(ret->mac.bytes, ifl->said.mac, sizeof(ret->mac.bytes));
		ret->mtu = UINT32_MAX;
		return HOP_KNOWN;
	}
	if (route.kind != HOST_ROUTE_UNICAST || route.ifindex != ifl->said.ifindex)
		return HOP_NONE;
	*ret_hop = route.hop;
	ret->mtu = route.mtu;
	state = host_table_neighbour(ifl->table, route.ifindex, &route.hop, ret->mac.bytes);
	if (state == HOST_NEIGHBOUR_REACHABLE)
		return HOP_KNOWN;
	/* a stale one is good enough until the kernel has looked */
	ask(ifl, &route.hop, state != HOST_NEIGHBOUR_STALE);
	return state == HOST_NEIGHBOUR_STALE ? HOP_KNOWN : HOP_UNKNOWN;
}

/* ---- waiting */

static struct waiting *waiting_at(struct iflink *ifl, unsigned i)
{
	return &ifl->waiting[(ifl->waiting_first + i) % WAITING_MAX];
}

static void drop_first(struct iflink *ifl)
{
	struct waiting *w = waiting_at(ifl, 0);

	free(w->data);
	*w = (struct waiting){ 0 };
	ifl->waiting_first = (ifl->waiting_first + 1) % WAITING_MAX;
	ifl->waiting_cnt--;
}

static void wait_for(struct iflink *ifl, const struct ip_addr *hop, const uint8_t *frame, uint32_t len)
{
	struct waiting *w;

	if (ifl->waiting_cnt == WAITING_MAX)
		drop_first(ifl);
	w = waiting_at(ifl, ifl->waiting_cnt);
	*w = (struct waiting){ .hop = *hop, .since_ns = lib_clock_ns(), .data = malloc(len) };
	if (!w->data)
		return;
	w->len = len;
	memcpy(w->data, frame, len);
	ifl->waiting_cnt++;
}

static void send_waiting(struct iflink *ifl, struct waiting *w)
{
	struct vj_channel *ch = afxdp_channel(ifl->xdp);
	struct vj_buf buf;

	if (w->len == 0 || !vj_channel_tx_get(ch, &buf, 1))
		return;
	memcpy(buf.data, w->data, w->len);
	buf.len = w->len;
	w->len = 0;
	if (!iflink_address(ifl, buf.data, buf.len)) {
		vj_channel_tx_unget(ch, &buf, 1);
		return;
	}
	vj_channel_tx_put(ch, &buf, 1);
}

/* Those that are done, from the front on. */
static void collect(struct iflink *ifl)
{
	while (ifl->waiting_cnt > 0 && waiting_at(ifl, 0)->len == 0)
		drop_first(ifl);
}

/* Taken out of the ring first: the stack may send on being told. */
static unsigned fail_some(struct iflink *ifl, const struct ip_addr *hop, const struct iflink_unreachable *tell)
{
	struct waiting failed[FAILED_AT_ONCE];
	unsigned cnt = 0;

	for (unsigned i = 0; i < ifl->waiting_cnt && cnt < FAILED_AT_ONCE; i++) {
		struct waiting *w = waiting_at(ifl, i);

		if (w->len == 0 || !ip_addr_eq(&w->hop, hop))
			continue;
		failed[cnt++] = *w;
		*w = (struct waiting){ 0 };
	}
	collect(ifl);
	for (unsigned i = 0; i < cnt; i++) {
		tell->fn(tell->arg, failed[i].data + ETH_HDR_BYTES, failed[i].len - ETH_HDR_BYTES);
		free(failed[i].data);
	}
	return cnt;
}

static void fail_waiting(struct iflink *ifl, const struct ip_addr *hop, const struct iflink_unreachable *tell)
{
	unsigned rounds = WAITING_MAX / FAILED_AT_ONCE;

	while (rounds-- > 0 && fail_some(ifl, hop, tell) == FAILED_AT_ONCE)
		;
}

void iflink_resolved(struct iflink *ifl, const struct ctl_neighbour *said, const struct iflink_unreachable *tell)
{
	struct ip_addr addr = ip_addr_from_v6(said->addr);
	struct asked *a = &ifl->asked[slot_of(&addr)];

	if (said->ifindex != ifl->said.ifindex)
		return;
	if (ip_addr_eq(&a->addr, &addr))
		a->waits = false; /* answered: should it be wanted again, it is asked for again at once */
	if (said->failed) {
		fail_waiting(ifl, &addr, tell);
		return;
	}
	for (unsigned i = 0, cnt = ifl->waiting_cnt; i < cnt; i++)
		if (ip_addr_eq(&waiting_at(ifl, i)->hop, &addr))
			send_waiting(ifl, waiting_at(ifl, i));
	vj_channel_tx_publish(afxdp_channel(ifl->xdp));
	collect(ifl);
}

bool iflink_flush(struct iflink *ifl)
{
	/* not vj->now_ns: a frame may have come here since that was read */
	uint64_t now_ns = ifl->waiting_cnt > 0 ? lib_clock_ns() : 0;

	while (ifl->waiting_cnt > 0 && now_ns - waiting_at(ifl, 0)->since_ns >= WAIT_NS)
		drop_first(ifl);
	return afxdp_flush(ifl->xdp) && ifl->too_big_cnt == 0;
}

/* ---- each frame */

/* The stack's own frames: Ethernet without tags, and a whole IP header. */
static bool destination(const uint8_t *frame, uint32_t len, struct ip_addr *ret_dst)
{
	const uint8_t *ip = frame + ETH_HDR_BYTES;
	struct be32 v4;

	if (len < ETH_HDR_BYTES + 20)
		return false;
	if (ip[0] >> 4 == 4) {
		memcpy(&v4, ip + 16, sizeof(v4));
		*ret_dst = ip_addr_from_v4(v4);
		return true;
	}
	if (len < ETH_HDR_BYTES + 40)
		return false;
	*ret_dst = ip_addr_from_v6(ip + 24);
	return true;
}

static bool same_flow(const struct iflink_too_big *t, const uint8_t *ip, uint32_t ports_off)
{
	uint32_t addrs_off = ip[0] >> 4 == 4 ? 12 : 8;

	return t->packet[0] == ip[0] && !memcmp(t->packet + addrs_off, ip + addrs_off, ports_off + 4 - addrs_off);
}

/* Return: is it to be sent all the same? */
static VJ_COLD bool goes_too_big(struct iflink *ifl, const uint8_t *frame, uint32_t len, uint32_t mtu)
{
	const uint8_t *ip = frame + ETH_HDR_BYTES;
	bool v4 = ip[0] >> 4 == 4;
	bool tcp = (v4 ? ip[9] : ip[6]) == IP_PROTO_TCP;
	uint32_t min = v4 ? ROUTE_MTU_MIN_V4 : ROUTE_MTU_MIN_V6;
	struct iflink_too_big *t = &ifl->too_big[ifl->too_big_cnt];

	if (len - ETH_HDR_BYTES <= min)
		return true;
	for (unsigned i = 0; i < ifl->too_big_cnt; i++)
		if (same_flow(&ifl->too_big[i], ip, v4 ? 20 : 40))
			return !tcp;
	if (ifl->too_big_cnt == TOO_BIG_MAX)
		return !tcp;
	ifl->too_big_cnt++;
	t->mtu = mtu;
	t->len = min_u32(len - ETH_HDR_BYTES, sizeof(t->packet));
	memcpy(t->packet, ip, t->len);
	return !tcp;
}

const struct iflink_too_big *iflink_too_big(struct iflink *ifl)
{
	return ifl->too_big_cnt > 0 ? &ifl->too_big[--ifl->too_big_cnt] : NULL;
}

bool iflink_address(struct iflink *ifl, uint8_t *frame, uint32_t len)
{
	uint64_t seq = host_table_seq(ifl->table);
	struct ip_addr dst, hop;
	struct hop *h;

	if (!destination(frame, len, &dst))
		return false;
	h = &ifl->hops[slot_of(&dst)];
	if (unlikely(h->seq != seq || !ip_addr_eq(&h->dst, &dst))) {
		enum hop_state state = find_hop(ifl, &dst, h, &hop);

		h->seq = 0;
		if (state == HOP_UNKNOWN)
			wait_for(ifl, &hop, frame, len);
		if (state != HOP_KNOWN)
			return false;
		h->dst = dst;
		h->seq = seq;
	}
	memcpy(frame, h->mac.bytes, sizeof(h->mac.bytes));
	return likely(len - ETH_HDR_BYTES <= h->mtu) || goes_too_big(ifl, frame, len, h->mtu);
}

/* ---- routes */

enum iflink_way iflink_leads_to(const struct iflink *ifl, const struct ip_addr *dst, struct ip_addr *ret_source)
{
	struct host_route route;

	if (host_table_route(ifl->table, dst, ifl->said.ifindex, &route) < 0 || route.kind != HOST_ROUTE_UNICAST ||
	    route.ifindex != ifl->said.ifindex || ip_addr_is_any(&route.source))
		return IFLINK_NO_WAY;
	if (ret_source)
		*ret_source = route.source;
	return route.inexact ? IFLINK_PERHAPS : IFLINK_WAY;
}

bool iflink_is_local(const struct iflink *ifl, const struct ip_addr *dst)
{
	struct host_route route;

	return host_table_route(ifl->table, dst, 0, &route) == 0 && route.kind == HOST_ROUTE_LOCAL;
}

uint64_t iflink_table_seq(const struct iflink *ifl)
{
	return host_table_seq(ifl->table);
}

/* ---- polling */

static void tell_polling(struct iflink *ifl, bool on)
{
	if (!ifl->vj->ctl || ctl_client_polling(ifl->vj->ctl, ifl->said.ifindex, on) < 0)
		return; /* in the next turn, then */
	ifl->pace.on = on;
}

static void look_at_pace(struct iflink *ifl)
{
	struct pace *pace = &ifl->pace;
	uint64_t passed_ns = ifl->vj->now_ns - pace->since_ns;
	struct vj_channel_stats stats;
	uint64_t frames;
	bool busy, batches;

	vj_channel_stats(afxdp_channel(ifl->xdp), &stats);
	frames = (stats.rx_frames - pace->frames) * PACE_NS;
	/* where fewer come, the program does much with each, and what a poll brings is what came meanwhile */
	batches = frames >= PACE_MANY * passed_ns && pace->bringing != 0 && pace->brought >= POLL_BATCH * pace->bringing;
	pace->batches = batches ? pace->batches + 1 : 0;
	if (pace->batches >= PACE_BATCHES)
		pace->again_ns = ifl->vj->now_ns + PACE_BATCHES_NS;
	busy = frames >= PACE_FRAMES * passed_ns && ifl->vj->now_ns >= pace->again_ns &&
	       (ifl->vj->sleeps - pace->sleeps) * PACE_NS <= PACE_SLEEPS * passed_ns;
	pace->since_ns = ifl->vj->now_ns;
	pace->brought = pace->bringing = 0;
	pace->frames = stats.rx_frames;
	pace->sleeps = ifl->vj->sleeps;
	if (busy)
		pace->score = min_u32(pace->score + 1, PACE_FULL);
	else /* it may have slept for long */
		pace->score -= (unsigned)min_u64(pace->score, PACE_FALL * passed_ns / PACE_NS);
	if (pace->score == (pace->on ? 0 : PACE_FULL))
		tell_polling(ifl, !pace->on);
}

void iflink_poll(struct iflink *ifl)
{
	struct pace *pace = &ifl->pace;
	uint32_t brought;

	if (ifl->poll_fd < 0)
		return;
	if (ifl->vj->now_ns - pace->since_ns >= PACE_NS)
		look_at_pace(ifl);
	if (!pace->on || ifl->vj->now_ns < pace->next_ns)
		return;
	brought = afxdp_poll(ifl->xdp);
	pace->brought += brought;
	pace->bringing += brought != 0;
	/* what brings more than a few leaves the device to the sender for a while: that is cheaper for both */
	if (brought >= POLL_MANY)
		pace->next_ns = ifl->vj->now_ns + POLL_REST_NS;
}

/* ---- opening */

int iflink_take_table(struct iflink *ifl, int fd)
{
	const struct host_table *old = ifl->table;
	void *mem = mmap(NULL, sizeof(struct host_table), PROT_READ, MAP_SHARED, fd, 0);
	int err = mem == MAP_FAILED ? -errno : 0;

	own_fd_close(fd);
	if (err)
		return err;
	madvise(mem, sizeof(struct host_table), MADV_DONTFORK);
	err = host_table_check(mem, sizeof(struct host_table));
	if (err) {
		munmap(mem, sizeof(struct host_table));
		return err;
	}
	ifl->table = mem;
	memset(ifl->hops, 0, sizeof(ifl->hops)); /* its generations are others */
	if (old)
		munmap((void *)(uintptr_t)old, sizeof(*old));
	if (ifl->pace.on)
		tell_polling(ifl, true);
	return 0;
}

static int open_xdp(struct iflink *ifl, const int fds[static CTL_FDS_MAX])
{
	const struct ctl_interface *said = &ifl->said;
	const struct afxdp_params params = {
		.xsk_fd = fds[CTL_FD_XSK],
		.umem_fd = fds[CTL_FD_UMEM],
		.credit_fd = fds[CTL_FD_CREDIT],
		.poll_fd = ifl->poll_fd,
		.frame_bytes = said->frame_bytes,
		.frame_cnt = said->frame_cnt,
		.rx_cnt = said->rx_cnt,
		.tx_cnt = said->tx_cnt,
		.fill_cnt = said->fill_cnt,
		.completion_cnt = said->comp_cnt,
	};

	return afxdp_open(&params, &ifl->xdp);
}

int iflink_open(struct vj *vj, const struct ctl_interface *said, const int fds[static CTL_FDS_MAX],
		struct iflink **ret_iflink)
{
	struct iflink *ifl = calloc(1, sizeof(*ifl));
	int err = -ENOMEM;

	if (ifl) {
		ifl->vj = vj;
		ifl->said = *said;
		ifl->poll_fd = said->flags & CTL_INTERFACE_POLLING ? fds[CTL_FD_POLL] : -1;
		err = open_xdp(ifl, fds);
	}
	own_fd_close(fds[CTL_FD_UMEM]);
	own_fd_close(fds[CTL_FD_CREDIT]);
	if (err) {
		own_fd_close(fds[CTL_FD_HOST]);
		own_fd_close(fds[CTL_FD_XSK]);
		own_fd_close(fds[CTL_FD_POLL]);
		free(ifl);
		return err;
	}
	ifl->xsk_fd = fds[CTL_FD_XSK];
	if (ifl->poll_fd < 0)
		own_fd_close(fds[CTL_FD_POLL]);
	err = iflink_take_table(ifl, fds[CTL_FD_HOST]);
	if (err) {
		iflink_close(ifl);
		return err;
	}
	*ret_iflink = ifl;
	return 0;
}

void iflink_close(struct iflink *ifl)
{
	if (!ifl)
		return;
	while (ifl->waiting_cnt > 0)
		drop_first(ifl);
	afxdp_close(ifl->xdp);
	own_fd_close(ifl->xsk_fd);
	own_fd_close(ifl->poll_fd);
	if (ifl->table)
		munmap((void *)(uintptr_t)ifl->table, sizeof(*ifl->table));
	free(ifl);
}

void iflink_forget(struct iflink *ifl)
{
	if (!ifl)
		return;
	own_fd_close(ifl->xsk_fd);
	own_fd_close(ifl->poll_fd);
	free(ifl); /* what it points to is the parent's, and wasn't copied */
}

struct vj_channel *iflink_channel(const struct iflink *ifl)
{
	return afxdp_channel(ifl->xdp);
}

void iflink_mac_changed(struct iflink *ifl, const uint8_t mac[static 6])
{
	memcpy(ifl->said.mac, mac, sizeof(ifl->said.mac));
	memset(ifl->hops, 0, sizeof(ifl->hops)); /* those to this host lead to it */
	for (unsigned i = 0; i < ifl->waiting_cnt; i++)
		if (waiting_at(ifl, i)->len != 0)
			memcpy(waiting_at(ifl, i)->data + 6, mac, 6);
}

const struct ctl_interface *iflink_said(const struct iflink *ifl)
{
	return &ifl->said;
}

int iflink_fd(const struct iflink *ifl)
{
	return ifl->xsk_fd;
}
