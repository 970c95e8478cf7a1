// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sockets open and end, as Linux's do
 *
 * A socket has no connection block before connect(); until then options are kept in the file. A connection attempt that
 * fails leaves the socket as new.
 */
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

/* ---- addresses ------------------------------------------------------------------------------- */

int pd_addr_in(const struct pd_file *f, const struct sockaddr *addr, socklen_t len, struct endpoint *ret_ep)
{
	if (len < sizeof(addr->sa_family))
		return -EINVAL;
	if (addr->sa_family == AF_INET && !f->v6) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;

		if (len < sizeof(*in))
			return -EINVAL;
		ret_ep->addr = ip_addr_from_v4((struct be32){ in->sin_addr.s_addr });
		ret_ep->port = ntohs(in->sin_port);
		return 0;
	}
	if (addr->sa_family == AF_INET6 && f->v6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;

		if (len < sizeof(*in6))
			return -EINVAL;
		ret_ep->addr = ip_addr_from_v6(&in6->sin6_addr);
		ret_ep->port = ntohs(in6->sin6_port);
		return f->v6only && ip_addr_is_v4(&ret_ep->addr) ? -ENETUNREACH : 0;
	}
	return -EAFNOSUPPORT;
}

void pd_addr_out(const struct pd_file *f, const struct endpoint *ep, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(ep->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(ep->port) };

	if (addr == NULL || len == NULL)
		return;
	if (f->v6) {
		memcpy(&in6.sin6_addr, &ep->addr, sizeof(in6.sin6_addr));
		memcpy(addr, &in6, min_size(*len, sizeof(in6)));
		*len = sizeof(in6);
	} else {
		in.sin_addr.s_addr = ip_addr_v4(&ep->addr).raw;
		memcpy(addr, &in, min_size(*len, sizeof(in)));
		*len = sizeof(in);
	}
}

struct ip_addr pd_source(const struct pd_world *w, const struct pd_file *f, const struct ip_addr *remote)
{
	if (f->bound && !ip_addr_is_any(&f->local.addr))
		return f->local.addr;
	return ip_addr_is_v4(remote) ? w->local4 : w->local6;
}

static void sock_port_pick(struct pd_world *w, struct pd_file *f)
{
	if (w->port_next == 0)
		w->port_next = 32768;
	f->local.port = w->port_next++;
}

static void sock_autobind(struct pd_world *w, struct pd_file *f)
{
	if (f->bound)
		return;
	f->local.addr = f->v6 ? ip_addr_any_v6() : ip_addr_any_v4();
	sock_port_pick(w, f);
	f->bound = true;
}

/* ---- socket, bind, listen -------------------------------------------------------------------- */

int pd_socket(struct pd_world *w, int domain, int type, int protocol)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct pd_file *f;
	int err;

	if (domain != AF_INET && domain != AF_INET6)
		return -EAFNOSUPPORT;
	if (kind == SOCK_STREAM ? protocol != 0 && protocol != IPPROTO_TCP
				: kind != SOCK_DGRAM || (protocol != 0 && protocol != IPPROTO_UDP))
		return -EPROTONOSUPPORT;
	err = pd_world_stack(w);
	if (err != 0)
		return err;
	f = pd_file_new(w, kind == SOCK_STREAM ? PD_TCP : PD_UDP);
	if (f == NULL)
		return -EMFILE;
	f->v6 = domain == AF_INET6;
	f->nonblock = (type & SOCK_NONBLOCK) != 0;
	return f->fd;
}

/* May both be bound? */
static bool sock_conflict(const struct pd_file *a, const struct pd_file *b)
{
	if (a == b || a->kind != b->kind || !b->bound || a->local.port != b->local.port)
		return false;
	if (!ip_addr_is_any(&a->local.addr) && !ip_addr_is_any(&b->local.addr) &&
	    !ip_addr_eq(&a->local.addr, &b->local.addr))
		return false;
	return !(a->reuse && b->reuse && b->state != PD_LISTEN);
}

int pd_bind(struct pd_world *w, struct pd_file *f, const struct sockaddr *addr, socklen_t len)
{
	struct endpoint ep;
	int err = pd_addr_in(f, addr, len, &ep);

	if (err != 0)
		return err;
	if (f->bound || f->state != PD_NEW)
		return -EINVAL;
	f->local = ep;
	if (ep.port == 0)
		sock_port_pick(w, f);
	for (int fd = 0; fd < PD_FDS_MAX; fd++)
		if (w->files[fd] != NULL && sock_conflict(f, w->files[fd]))
			return -EADDRINUSE;
	f->bound = true;
	if (!ip_addr_is_any(&ep.addr) && ip_addr_is_v4(&ep.addr))
		w->local4 = ep.addr;
	else if (!ip_addr_is_any(&ep.addr))
		w->local6 = ep.addr;
	return f->kind == PD_UDP ? pd_udp_ready(w, f) : 0;
}

int pd_listen(struct pd_world *w, struct pd_file *f, int backlog)
{
	uint32_t cnt = backlog < 0 ? w->set.somaxconn : min_u32((uint32_t)backlog, w->set.somaxconn);
	int err;

	if (f->kind != PD_TCP)
		return -EOPNOTSUPP;
	/* Linux takes one more than it was told. */
	cnt++;
	if (f->state == PD_LISTEN) {
		tcp_listener_backlog(w->stack, f->listener, cnt);
		return 0;
	}
	if (f->state != PD_NEW)
		return -EINVAL;
	sock_autobind(w, f);
	err = pd_world_stack(w);
	if (err == 0)
		err = tcp_listen(w->stack, &f->local, f->v6only, cnt, (uint64_t)(uintptr_t)f, &f->listener);
	if (err != 0)
		return err;
	f->state = PD_LISTEN;
	if ((w->set.fastopen & (PD_FASTOPEN_SERVER | PD_FASTOPEN_ALL)) == (PD_FASTOPEN_SERVER | PD_FASTOPEN_ALL) &&
	    (f->opt_set >> TCP_OPT_FASTOPEN_MAX & 1) == 0) {
		f->opt_set |= 1u << TCP_OPT_FASTOPEN_MAX;
		f->opt_value[TCP_OPT_FASTOPEN_MAX] = (uint64_t)cnt;
	}
	return pd_options_apply(w, f);
}

/* ---- accept ---------------------------------------------------------------------------------- */

struct sock_wait {
	struct pd_world *w;
	struct pd_file *f;
};

static bool accept_ready(void *arg)
{
	struct sock_wait *me = arg;

	return me->f->state != PD_LISTEN || tcp_listener_ready(me->w->stack, me->f->listener) != 0;
}

static uint64_t sock_deadline(const struct pd_world *w, const struct pd_file *f, uint64_t timeo_us)
{
	if (f->nonblock)
		return w->now_us;
	return timeo_us != 0 ? w->now_us + timeo_us : PD_NEVER;
}

static void accept_file(struct pd_world *w, const struct pd_file *listener, struct pd_file *f)
{
	f->v6 = listener->v6;
	f->state = PD_CONNECTED;
	f->bound = true;
	pd_options_inherit(listener, f);
	tcp_endpoints(w->stack, f->tcp, &f->local, &f->remote);
}

int pd_accept(struct pd_world *w, struct pd_file *f, struct sockaddr *addr, socklen_t *len)
{
	struct sock_wait me = { w, f };
	struct pd_file *new_file;
	int err;

	if (f->kind != PD_TCP)
		return -EOPNOTSUPP;
	if (f->state != PD_LISTEN)
		return -EINVAL;
	err = pd_wait(w, accept_ready, &me, sock_deadline(w, f, f->rcvtimeo_us));
	if (err != 0)
		return err;
	if (f->state != PD_LISTEN)
		return -EINVAL;
	new_file = pd_file_new(w, PD_TCP);
	if (new_file == NULL)
		return -EMFILE;
	err = tcp_accept(w->stack, f->listener, (uint64_t)(uintptr_t)new_file, &new_file->tcp);
	if (err != 0) {
		int fd = new_file->fd;

		new_file->tcp.v = 0;
		pd_file_free(w, new_file);
		close(fd);
		return err;
	}
	accept_file(w, f, new_file);
	pd_addr_out(f, &new_file->remote, addr, len);
	return new_file->fd;
}

/* ---- connect --------------------------------------------------------------------------------- */

static unsigned int start_options(const struct pd_file *f, struct tcp_option_value *opts)
{
	unsigned int cnt = 0;

	for (int opt = 0; opt < PD_OPTS; opt++)
		if ((f->opt_set & ~PD_OPTS_LISTENER) >> opt & 1)
			opts[cnt++] = (struct tcp_option_value){ opt, f->opt_value[opt] };
	return cnt;
}

int pd_tcp_start(struct pd_world *w, struct pd_file *f, const struct endpoint *remote, const void *buf, size_t len,
		 size_t *ret_len)
{
	uint64_t cookie = (uint64_t)(uintptr_t)f;
	struct tcp_option_value opts[PD_OPTS];
	unsigned int cnt = start_options(f, opts);
	struct endpoint local;
	int err = pd_world_stack(w);

	if (err != 0)
		return err;
	sock_autobind(w, f);
	local = (struct endpoint){ pd_source(w, f, &remote->addr), f->local.port };
	if (ret_len != NULL)
		err = tcp_connect_data(w->stack, w->link, &local, remote, opts, cnt, buf, len, cookie, ret_len, &f->tcp);
	else
		err = tcp_connect_with(w->stack, w->link, &local, remote, opts, cnt, cookie, &f->tcp);
	if (err != 0) {
		f->tcp.v = 0;
		return err == -EADDRINUSE ? -EADDRNOTAVAIL : err;
	}
	f->local = local;
	f->remote = *remote;
	f->state = PD_CONNECTING;
	f->rd_shut = f->wr_shut = false;
	return 0;
}

static bool connect_over(void *arg)
{
	struct sock_wait *me = arg;

	return me->f->tcp.v == 0 || tcp_ready(me->w->stack, me->f->tcp) != 0;
}

/* The attempt is over: how did it end? */
static int connect_outcome(struct pd_world *w, struct pd_file *f)
{
	int err;

	if ((tcp_ready(w->stack, f->tcp) & STACK_EV_CONNECTED) != 0) {
		f->state = PD_CONNECTED;
		return 0;
	}
	err = pd_sock_error(w, f);
	tcp_close(w->stack, f->tcp);
	f->tcp.v = 0;
	f->state = PD_NEW;
	return err != 0 ? -err : -ECONNABORTED;
}

static int disconnect(struct pd_world *w, struct pd_file *f)
{
	if (f->udp.v != 0)
		udp_connect(w->stack, f->udp, NULL);
	if (f->state == PD_LISTEN)
		tcp_unlisten(w->stack, f->listener);
	if (f->tcp.v != 0)
		tcp_abort(w->stack, f->tcp);
	f->tcp.v = 0;
	f->remote = (struct endpoint){ .port = 0 };
	f->state = PD_NEW;
	f->rd_shut = f->wr_shut = false;
	return 0;
}

int pd_connect_wait(struct pd_world *w, struct pd_file *f)
{
	struct sock_wait me = { w, f };
	int err = pd_wait(w, connect_over, &me, sock_deadline(w, f, f->sndtimeo_us));

	if (err != 0)
		return err == -EAGAIN ? -EINPROGRESS : err;
	return f->tcp.v != 0 ? connect_outcome(w, f) : -ECONNABORTED;
}

/* With TCP_FASTOPEN_CONNECT, and a cookie of the peer's: the first send does it. Else the SYN asks for a cookie. */
static int connect_start(struct pd_world *w, struct pd_file *f, const struct endpoint *remote)
{
	struct endpoint local = { pd_source(w, f, &remote->addr), f->local.port };
	size_t taken = 0;

	if (!f->fastopen_connect)
		return pd_tcp_start(w, f, remote, NULL, 0, NULL);
	if (!tcp_fastopen_known(w->stack, w->link, &local, remote))
		return pd_tcp_start(w, f, remote, NULL, 0, &taken);
	f->remote = *remote;
	f->fastopen_deferred = true;
	return 0;
}

static int connect_tcp(struct pd_world *w, struct pd_file *f, const struct endpoint *remote)
{
	struct sock_wait me = { w, f };
	bool began = false;
	int err;

	if (f->state == PD_CONNECTED || f->state == PD_LISTEN)
		return -EISCONN;
	if (f->state == PD_NEW) {
		if (f->err != 0)
			return -pd_sock_error(w, f);
		err = f->fastopen_deferred ? -EISCONN : connect_start(w, f, remote);
		if (err != 0 || f->fastopen_deferred)
			return err;
		began = true;
		pd_settle(w);
	}
	if (f->nonblock && !connect_over(&me))
		return began ? -EINPROGRESS : -EALREADY;
	return pd_connect_wait(w, f);
}

int pd_udp_ready(struct pd_world *w, struct pd_file *f)
{
	if (f->udp.v != 0)
		return 0;
	sock_autobind(w, f);
	return udp_open(w->stack, &f->local, f->v6only, (uint64_t)(uintptr_t)f, &f->udp);
}

int pd_connect(struct pd_world *w, struct pd_file *f, const struct sockaddr *addr, socklen_t len)
{
	struct endpoint remote;
	int err;

	if (len >= sizeof(addr->sa_family) && addr->sa_family == AF_UNSPEC)
		return disconnect(w, f);
	err = pd_addr_in(f, addr, len, &remote);
	if (err != 0)
		return err;
	if (f->kind == PD_TCP)
		return connect_tcp(w, f, &remote);
	err = pd_udp_ready(w, f);
	if (err != 0)
		return err;
	udp_connect(w->stack, f->udp, &remote);
	f->remote = remote;
	f->state = PD_CONNECTED;
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Not only that connect() was not asked again since: is the handshake under way? */
static bool sock_connects(const struct pd_world *w, const struct pd_file *f)
{
	struct tcp_info info;

	if (f->state != PD_CONNECTING)
		return false;
	tcp_info(w->stack, f->tcp, &info);
	return info.state == TCP_SYN_SENT || info.state == TCP_SYN_RECEIVED;
}

int pd_shutdown(struct pd_world *w, struct pd_file *f, int how)
{
	int err = 0;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (f->kind == PD_UDP) {
		if (f->state != PD_CONNECTED)
			return -ENOTCONN;
	} else if (f->state == PD_LISTEN || sock_connects(w, f)) {
		if (f->state != PD_LISTEN || how != SHUT_WR)
			disconnect(w, f);
		return 0;
	} else if (f->tcp.v == 0) {
		return -ENOTCONN;
	} else if (how != SHUT_RD) {
		err = tcp_shutdown(w->stack, f->tcp);
	} else {
		struct tcp_info info;

		tcp_info(w->stack, f->tcp, &info);
		err = info.state == TCP_CLOSED ? -ENOTCONN : 0;
	}
	f->rd_shut |= how != SHUT_WR;
	f->wr_shut |= how != SHUT_RD;
	f->in_cnt++;
	return err;
}

/* Is nothing left to be acknowledged? */
static bool linger_over(void *arg)
{
	struct sock_wait *me = arg;
	struct tcp_info info;

	tcp_info(me->w->stack, me->f->tcp, &info);
	return info.state == TCP_CLOSED || info.state == TCP_FIN_WAIT_2 || info.state == TCP_TIME_WAIT;
}

void pd_sock_linger(struct pd_world *w, struct pd_file *f)
{
	struct sock_wait me = { w, f };
	struct tcp_info info;

	if (f->kind != PD_TCP || f->tcp.v == 0 || f->linger_s <= 0)
		return;
	tcp_info(w->stack, f->tcp, &info);
	if (info.unread_bytes != 0 || tcp_shutdown(w->stack, f->tcp) != 0)
		return;
	pd_settle(w);
	(void)pd_wait(w, linger_over, &me, w->now_us + (uint64_t)f->linger_s * 1000000);
}

void pd_sock_close(struct pd_world *w, struct pd_file *f)
{
	if (f->state == PD_LISTEN)
		tcp_unlisten(w->stack, f->listener);
	if (f->udp.v != 0)
		udp_close(w->stack, f->udp);
	if (f->tcp.v != 0 && f->linger_s == 0)
		tcp_abort(w->stack, f->tcp);
	else if (f->tcp.v != 0)
		tcp_close(w->stack, f->tcp);
	f->tcp.v = 0;
	f->udp.v = 0;
	f->state = PD_NEW;
	f->bound = false;
}

int pd_sock_error(struct pd_world *w, struct pd_file *f)
{
	int err = f->err;

	f->err = 0;
	if (err == 0 && f->tcp.v != 0)
		err = tcp_error(w->stack, f->tcp, true);
	if (err == 0 && f->udp.v != 0)
		err = udp_error(w->stack, f->udp);
	return err;
}
