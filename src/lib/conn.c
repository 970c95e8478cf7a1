// SPDX-License-Identifier: BSD-2-Clause
/* conn.c - TCP for the program: thin over the stack, plus what needs vjd (routes, leases) and publishing */
#include "base/assert.h"
#include "lib/connect.h"
#include "lib/deed_priv.h"
#include "lib/iflink.h"
#include "lib/move.h"
#include "lib/priv.h"
#include "lib/stopped.h"
#include "stack/tcp_move.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)VJ_EV_READABLE == (int)STACK_EV_READABLE && (int)VJ_EV_WRITABLE == (int)STACK_EV_WRITABLE &&
		       (int)VJ_EV_CONNECTED == (int)STACK_EV_CONNECTED && (int)VJ_EV_ACCEPT == (int)STACK_EV_ACCEPT &&
		       (int)VJ_EV_EOF == (int)STACK_EV_EOF && (int)VJ_EV_ERROR == (int)STACK_EV_ERROR &&
		       (int)VJ_EV_SENT_ALL == (int)STACK_EV_SENT_ALL && (int)VJ_EV_UNANSWERED == (int)STACK_EV_UNANSWERED,
	       "events pass through unchanged");
_Static_assert((int)VJ_OPT_NODELAY == (int)TCP_OPT_NODELAY && (int)VJ_OPT_NOTSENT_LOWAT == (int)TCP_OPT_NOTSENT_LOWAT,
	       "options pass through unchanged");
_Static_assert((int)VJ_SEND_MORE == (int)TCP_SEND_MORE, "flags pass through unchanged");

static struct tcp_id tcp_of(struct vj_conn c)
{
	return (struct tcp_id){ c.v };
}

int vj_listen(struct vj *vj, const struct sockaddr *addr, socklen_t addr_len, uint32_t backlog, unsigned flags,
	      int kernel_fd, uint64_t cookie, struct vj_listener *ret_l)
{
	struct listener_id id;
	struct endpoint local;
	struct lease *lease;
	int err;

	if (backlog < 1 || backlog > 65535)
		return -EINVAL;
	err = addr_from_sockaddr(addr, addr_len, &local);
	if (err)
		return err;
	err = lease_take(vj, CTL_PROTO_TCP, &local, flags, kernel_fd, &lease);
	if (err)
		return err;
	err = tcp_listen(vj->stack, &lease->local, (flags & VJ_LISTEN_V6ONLY ? STACK_LISTEN_V6ONLY : 0u) |
			 (flags & VJ_LISTEN_REUSEPORT ? STACK_LISTEN_SHARED : 0u), backlog, cookie, &id);
	if (err) {
		lease_drop(vj, lease);
		return err;
	}
	lease->obj_id = id.v;
	ret_l->v = id.v;
	return 0;
}

void vj_listener_addr(const struct vj *vj, struct vj_listener l, struct sockaddr_storage *ret_addr)
{
	const struct lease *lease = lease_by_obj(vj, CTL_PROTO_TCP, l.v);
	struct endpoint none = { 0 };

	addr_to_sockaddr(lease ? &lease->local : &none, ret_addr);
}

void vj_listener_backlog(struct vj *vj, struct vj_listener l, uint32_t backlog)
{
	tcp_listener_backlog(vj->stack, (struct listener_id){ l.v }, backlog);
	link_publish_all(vj); /* who waited for a place is answered */
}

uint32_t vj_listener_ready(const struct vj *vj, struct vj_listener l)
{
	return tcp_listener_ready(vj->stack, (struct listener_id){ l.v });
}

void vj_unlisten(struct vj *vj, struct vj_listener l)
{
	struct lease *lease = lease_by_obj(vj, CTL_PROTO_TCP, l.v);

	tcp_unlisten(vj->stack, (struct listener_id){ l.v });
	link_publish_all(vj);
	if (lease)
		lease_drop(vj, lease);
}

int vj_accept(struct vj *vj, struct vj_listener l, uint64_t cookie, struct vj_conn *ret_c)
{
	struct tcp_id id;
	int err = tcp_accept(vj->stack, (struct listener_id){ l.v }, cookie, &id);

	if (err)
		return err;
	ret_c->v = id.v;
	link_publish_all(vj); /* who waited for a place is answered */
	return 0;
}

static bool has_leased(const struct vj *vj, const struct endpoint *local)
{
	for (unsigned i = 0; i < vj->lease_room; i++) {
		const struct lease *l = &vj->leases[i];

		if (l->obj_id && l->id && l->proto == CTL_PROTO_TCP && !(l->flags & CTL_LEASE_LOCAL) && l->local.port == local->port &&
		    (ip_addr_is_any(&l->local.addr) || ip_addr_eq(&l->local.addr, &local->addr)))
			return true;
	}
	return false;
}

/*
 * What comes from elsewhere vjd's gate stops, and what is sent there the kernel gets: over an interface a connection begins at an address of this
 * host, and a port that is ours. One that the program has bound is the kernel's, unless it is leased, too.
 */
static bool may_begin_at(const struct vj *vj, const struct vj_link *link, const struct endpoint *local)
{
	const struct ip_addr *addr = &local->addr;

	if (!link->ifl)
		return true;
	if (!ip_addr_is_any(addr) && (ip_addr_is_loopback(addr) || ip_addr_is_link_local(addr) || !iflink_is_local(link->ifl, addr)))
		return false;
	return !local->port || has_leased(vj, local);
}

/* Options as the stack takes them, those that it would */
struct begin_options {
	struct tcp_option_value opt[CONNECT_OPTIONS_MAX];
	unsigned cnt;
};

static void begin_options_of(const struct connect_option *opts, unsigned cnt, struct begin_options *ret)
{
	VJ_ASSERT_OP(cnt, <=, CONNECT_OPTIONS_MAX);
	ret->cnt = 0;
	for (unsigned i = 0; i < cnt; i++)
		if (!tcp_option_check((enum tcp_option)opts[i].opt, opts[i].value))
			ret->opt[ret->cnt++] = (struct tcp_option_value){ (int)opts[i].opt, opts[i].value };
}

/*
 * Several processes may share @remote, each behind a link of its own. In the kernel there is one connection between two endpoints, and so it has to be
 * here: of two one could not move to where the other one is.
 */
static bool is_used(const struct vj *vj, const struct vj_link *link, const struct endpoint *local, const struct endpoint *remote)
{
	struct tcp_id id;

	for (unsigned i = 0; i < vj->link_cnt; i++) {
		const struct vj_link *other = vj->links[i];

		if (unlikely(other->begins) && other != link && !tcp_find(vj->stack, other->stack_id, local, remote, &id))
			return true;
	}
	return move_is_used(vj, local, remote);
}

/* Return: as tcp_connect_with() */
static int connect_on(struct vj *vj, struct vj_link *link, const struct endpoint *local, const struct endpoint *remote,
		      const struct begin_options *opts, bool early, uint64_t cookie, struct tcp_id *ret_id)
{
	if (!link->ifl && is_used(vj, link, local, remote))
		return -EADDRINUSE;
	link->begins = !link->ifl;
	if (early)
		return tcp_connect_early(vj->stack, link->stack_id, local, remote, opts->opt, opts->cnt, false, cookie, ret_id);
	return tcp_connect_with(vj->stack, link->stack_id, local, remote, opts->opt, opts->cnt, cookie, ret_id);
}

/* A local endpoint for @remote: the port the program bound, or the next free ephemeral one. */
static int connect_from(struct vj *vj, struct vj_link *link, struct endpoint *local, const struct endpoint *remote,
			const struct begin_options *opts, bool early, uint64_t cookie, struct tcp_id *ret_id)
{
	if (local->port)
		return connect_on(vj, link, local, remote, opts, early, cookie, ret_id);
	for (unsigned tries = 0;; tries++) {
		int err = ports_next(vj, CTL_PROTO_TCP, tries, &local->port);

		if (err)
			return err;
		if (ports_are_kernels(vj, local->port) || local->port == remote->port) /* which the kernel's listener there may have */
			continue;
		err = connect_on(vj, link, local, remote, opts, early, cookie, ret_id);
		if (err != -EADDRINUSE)
			return err;
	}
}

int connect_with(struct vj *vj, const struct sockaddr *remote, socklen_t remote_len, const struct sockaddr *local, socklen_t local_len,
		 const struct connect_option *opts, unsigned cnt, unsigned how, uint64_t cookie, struct vj_conn *ret_c)
{
	struct endpoint from = { 0 }, to;
	struct begin_options begin;
	struct vj_link *link;
	struct tcp_id id;
	int err;

	err = local ? addr_from_sockaddr(local, local_len, &from) : 0;
	if (err)
		return err;
	err = addr_of_peer(remote, remote_len, local ? &from.addr : NULL, &to);
	if (err)
		return err;
	if (!to.port)
		return -EINVAL;
	if (!ip_addr_is_any(&from.addr) && ip_addr_is_v4(&from.addr) != ip_addr_is_v4(&to.addr))
		return -EAFNOSUPPORT;
	err = route_find(vj, CTL_PROTO_TCP, &to, vj->flow++, &link);
	if (err)
		return err;
	if (local && unlikely(!may_begin_at(vj, link, &from)))
		return -EPERM;
	if (unlikely(link->stop) && (how & CONNECT_OR_KERNEL) && stopped_alone(vj, link, &to))
		return -EHOSTDOWN;
	if (ip_addr_is_any(&from.addr))
		from.addr = addr_source_for(vj, link, &to.addr);
	stack_now(vj->stack, lib_clock_ns() / 1000);
	begin_options_of(opts, cnt, &begin);
	err = connect_from(vj, link, &from, &to, &begin, how & CONNECT_EARLY, cookie, &id);
	if (err)
		return err;
	link_publish_all(vj);
	ret_c->v = id.v;
	return 0;
}

int vj_connect(struct vj *vj, const struct sockaddr *remote, socklen_t remote_len, const struct sockaddr *local,
	       socklen_t local_len, uint64_t cookie, struct vj_conn *ret_c)
{
	return connect_with(vj, remote, remote_len, local, local_len, NULL, 0, 0, cookie, ret_c);
}

int connect_again_with(struct vj *vj, struct vj_conn c, const struct connect_option *opts, unsigned cnt, uint64_t cookie,
		       struct vj_conn *ret_c)
{
	struct endpoint local, remote;
	struct begin_options begin;
	struct vj_link *link;
	struct tcp_id id;
	int err;

	tcp_endpoints(vj->stack, tcp_of(c), &local, &remote);
	route_forget(vj, CTL_PROTO_TCP, &remote);
	err = route_find(vj, CTL_PROTO_TCP, &remote, vj->flow++, &link);
	if (err)
		return err;
	begin_options_of(opts, cnt, &begin);
	link->begins = !link->ifl;
	if (tcp_is_refused(vj->stack, tcp_of(c))) {
		err = tcp_connect_early(vj->stack, link->stack_id, &local, &remote, begin.opt, begin.cnt, true, cookie, &id);
		if (!err)
			tcp_call_again(vj->stack, tcp_of(c), id);
	} else {
		err = tcp_connect_with(vj->stack, link->stack_id, &local, &remote, begin.opt, begin.cnt, cookie, &id);
	}
	if (err)
		return err;
	deed_conn_again(vj, tcp_of(c), id);
	vj_conn_abort(vj, c);
	ret_c->v = id.v;
	return 0;
}

int vj_connect_again(struct vj *vj, struct vj_conn c, uint64_t cookie, struct vj_conn *ret_c)
{
	return connect_again_with(vj, c, NULL, 0, cookie, ret_c);
}

void vj_conn_addrs(const struct vj *vj, struct vj_conn c, struct sockaddr_storage *ret_local,
		   struct sockaddr_storage *ret_remote)
{
	struct endpoint local, remote;

	tcp_endpoints(vj->stack, tcp_of(c), &local, &remote);
	if (ret_local)
		addr_to_sockaddr(&local, ret_local);
	if (ret_remote)
		addr_to_sockaddr(&remote, ret_remote);
}

void vj_conn_cookie(struct vj *vj, struct vj_conn c, uint64_t cookie)
{
	tcp_set_cookie(vj->stack, tcp_of(c), cookie);
}

void vj_conn_soon(const struct vj *vj, struct vj_conn c)
{
	tcp_soon(vj->stack, tcp_of(c));
}

ssize_t vj_send(struct vj *vj, struct vj_conn c, const void *buf, size_t len, unsigned flags)
{
	size_t taken = 0;
	int err;

	err = tcp_send(vj->stack, tcp_of(c), buf, len, flags, &taken);
	link_publish_all(vj);
	return err ? err : (ssize_t)taken;
}

int vj_send_buffer(struct vj *vj, struct vj_conn c, uint8_t **ret_data, size_t *ret_room)
{
	return tcp_send_frame(vj->stack, tcp_of(c), ret_data, ret_room);
}

int vj_send_commit(struct vj *vj, struct vj_conn c, size_t len, unsigned flags)
{
	int err = tcp_send_frame_done(vj->stack, tcp_of(c), len);

	if (flags & VJ_SEND_MORE)
		vj->stack_touched = true;
	else
		link_publish_all(vj);
	return err;
}

ssize_t vj_recv(struct vj *vj, struct vj_conn c, void *buf, size_t len, bool peek)
{
	size_t got = 0;
	int err;

	err = tcp_recv(vj->stack, tcp_of(c), buf, len, peek, &got);
	link_publish_all(vj); /* a window update may have gone out */
	return err ? err : (ssize_t)got;
}

ssize_t vj_recv_borrow(struct vj *vj, struct vj_conn c, const uint8_t **ret_data)
{
	size_t len = 0;
	int err = tcp_recv_borrow(vj->stack, tcp_of(c), ret_data, &len);

	return err ? err : (ssize_t)len;
}

void vj_recv_return(struct vj *vj, struct vj_conn c, size_t len)
{
	tcp_recv_return(vj->stack, tcp_of(c), len);
	link_publish_all(vj);
}

int vj_shutdown(struct vj *vj, struct vj_conn c)
{
	int err = tcp_shutdown(vj->stack, tcp_of(c));

	link_publish_all(vj);
	return err;
}

void conn_shut_read(struct vj *vj, struct vj_conn c)
{
	tcp_shut_read(vj->stack, tcp_of(c));
}

void vj_conn_close(struct vj *vj, struct vj_conn c)
{
	tcp_close(vj->stack, tcp_of(c));
	link_publish_all(vj);
}

void vj_conn_abort(struct vj *vj, struct vj_conn c)
{
	tcp_abort(vj->stack, tcp_of(c));
	link_publish_all(vj);
}

uint32_t vj_ready(const struct vj *vj, struct vj_conn c)
{
	return tcp_ready(vj->stack, tcp_of(c));
}

bool conn_is_refused(const struct vj *vj, struct vj_conn c)
{
	return tcp_is_refused(vj->stack, tcp_of(c));
}

int vj_error(struct vj *vj, struct vj_conn c, bool clear)
{
	return tcp_error(vj->stack, tcp_of(c), clear);
}

int vj_listener_option_set(struct vj *vj, struct vj_listener l, enum vj_option opt, uint64_t value)
{
	return tcp_listener_option_set(vj->stack, (struct listener_id){ l.v }, (enum tcp_option)opt, value);
}

void listener_mark(struct vj *vj, struct vj_listener l, int family, uint8_t tos, uint8_t ttl)
{
	tcp_listener_mark(vj->stack, (struct listener_id){ l.v }, family == AF_INET, tos, ttl);
}

int vj_conn_option_set(struct vj *vj, struct vj_conn c, enum vj_option opt, uint64_t value)
{
	int err = tcp_option_set(vj->stack, tcp_of(c), (enum tcp_option)opt, value);

	link_publish_all(vj); /* uncorking sends */
	return err;
}

int vj_conn_option_get(const struct vj *vj, struct vj_conn c, enum vj_option opt, uint64_t *ret_value)
{
	return tcp_option_get(vj->stack, tcp_of(c), (enum tcp_option)opt, ret_value);
}

const char *vj_congestion_name(unsigned idx)
{
	return tcp_cc_name(idx);
}

/* enum tcp_state (RFC 9293 order) to the numbers of TCP_INFO's tcpi_state. */
static uint32_t state_as_kernel(enum tcp_state state)
{
	static const uint8_t number[] = {
		[TCP_ESTABLISHED] = 1, [TCP_SYN_SENT] = 2, [TCP_SYN_RECEIVED] = 3, [TCP_FIN_WAIT_1] = 4,
		[TCP_FIN_WAIT_2] = 5,  [TCP_TIME_WAIT] = 6, [TCP_CLOSED] = 7,	   [TCP_CLOSE_WAIT] = 8,
		[TCP_LAST_ACK] = 9,    [TCP_LISTEN] = 10,  [TCP_CLOSING] = 11,
	};

	return number[state];
}

static const char state_names[][16] = {
	[1] = "established", [2] = "syn-sent",	[3] = "syn-received", [4] = "fin-wait-1", [5] = "fin-wait-2", [6] = "time-wait",
	[7] = "closed",	     [8] = "close-wait", [9] = "last-ack",    [10] = "listen",	  [11] = "closing",
};

const char *vj_state_name(uint32_t state)
{
	return state < ARRAY_SIZE(state_names) && *state_names[state] ? state_names[state] : "?";
}

static void info_fill(const struct tcp_info *in, struct vj_conn_info *out)
{
	*out = (struct vj_conn_info){
		.state = state_as_kernel(in->state),
		.ca_state = in->ca_state,
		.srtt_us = in->srtt_us,
		.rttvar_us = in->rttvar_us,
		.rto_us = in->rto_us,
		.min_rtt_us = in->min_rtt_us,
		.backoff = in->backoff,
		.cwnd_bytes = in->cwnd_bytes,
		.ssthresh_bytes = in->ssthresh_bytes,
		.mss = in->mss,
		.path_mtu = in->path_mtu,
		.snd_wnd = in->snd_wnd,
		.rcv_wnd = in->rcv_wnd,
		.in_flight_bytes = in->in_flight_bytes,
		.unsent_bytes = in->unsent_bytes,
		.unread_bytes = in->unread_bytes,
		.sacked_segs = in->sacked_segs,
		.lost_segs = in->lost_segs,
		.resent_segs = in->resent_segs,
		.retransmits = in->retransmits,
		.out_of_order = in->out_of_order,
		.rcv_rtt_us = in->rcv_rtt_us,
		.rcv_mss = in->rcv_mss,
		.rcv_space_bytes = in->rcv_space_bytes,
		.rcv_ssthresh_bytes = in->rcv_ssthresh_bytes,
		.ato_ms = in->ato_ms,
		.last_data_sent_ms = in->last_data_sent_ms,
		.last_data_rcvd_ms = in->last_data_rcvd_ms,
		.last_ack_sent_ms = in->last_ack_sent_ms,
		.last_ack_rcvd_ms = in->last_ack_rcvd_ms,
		.bytes_acked = in->bytes_acked,
		.bytes_rcvd = in->bytes_rcvd,
		.bytes_sent = in->bytes_sent,
		.bytes_retrans = in->bytes_retrans,
		.segs_in = in->segs_in,
		.segs_out = in->segs_out,
		.data_segs_in = in->data_segs_in,
		.data_segs_out = in->data_segs_out,
		.pacing_Bps = in->pacing_Bps,
		.probes = in->probes,
		.snd_wscale = in->snd_wscale,
		.rcv_wscale = in->rcv_wscale,
		.timestamps = in->timestamps,
		.sack = in->sack,
		.ecn = in->ecn,
		.delivery_app_limited = in->delivery_app_limited,
		.expiries = in->expiries,
		.delivered = in->delivered,
		.delivered_ce = in->delivered_ce,
		.dsack_dups = in->dsack_dups,
		.reord_seen = in->reord_seen,
		.reordering = in->reordering,
		.delivery_rate_Bps = in->delivery_rate_Bps,
		.busy_us = in->busy_us,
		.rwnd_limited_us = in->rwnd_limited_us,
		.sndbuf_limited_us = in->sndbuf_limited_us,
	};
	_Static_assert((int)STACK_DROP_CNT <= (int)VJ_DROPS_MAX, "all reasons have their place");
	memcpy(out->drops, in->drops, sizeof(in->drops));
	strncpy(out->congestion, in->congestion, sizeof(out->congestion) - 1);
}

int vj_conn_info(const struct vj *vj, struct vj_conn c, struct vj_conn_info *ret_info)
{
	struct vj_conn_info full;
	struct tcp_info info;
	size_t sz = ret_info->sz;

	if (sz < offsetof(struct vj_conn_info, ca_state) || sz > sizeof(full))
		return -EINVAL;
	tcp_info(vj->stack, tcp_of(c), &info);
	info_fill(&info, &full);
	full.sz = sz;
	memcpy(ret_info, &full, sz);
	return 0;
}

bool vj_conn_next(const struct vj *vj, struct vj_conn *c)
{
	struct tcp_id id = tcp_of(*c);
	bool found = tcp_next(vj->stack, &id);

	c->v = id.v;
	return found;
}
