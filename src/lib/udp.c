// SPDX-License-Identifier: BSD-2-Clause
/* udp.c - datagrams for the program: thin over the stack, plus leases and routes */
#include "base/assert.h"
#include "lib/dgram.h"
#include "lib/move.h"
#include "lib/priv.h"

#include <errno.h>
#include <string.h>

static unsigned stack_flags(unsigned flags)
{
	return (flags & VJ_LISTEN_V6ONLY ? STACK_LISTEN_V6ONLY : 0u) | (flags & VJ_LISTEN_REUSEPORT ? STACK_LISTEN_SHARED : 0u) |
	       (flags & DGRAM_OVER ? STACK_LISTEN_OVER : 0u);
}

int vj_udp_open(struct vj *vj, const struct sockaddr *addr, socklen_t addr_len, unsigned flags, int kernel_fd,
		uint64_t cookie, struct vj_udp *ret_u)
{
	struct endpoint local;
	struct lease *lease;
	struct udp_id id;
	int err;

	err = addr_from_sockaddr(addr, addr_len, &local);
	if (err)
		return err;
	err = lease_take(vj, CTL_PROTO_UDP, &local, flags & ~(unsigned)DGRAM_OVER, kernel_fd, &lease);
	if (err)
		return err;
	err = udp_open(vj->stack, &lease->local, stack_flags(flags), cookie, &id);
	if (err) {
		lease_drop(vj, lease);
		return err;
	}
	lease->obj_id = id.v;
	ret_u->v = id.v;
	return 0;
}

void vj_udp_addr(const struct vj *vj, struct vj_udp u, struct sockaddr_storage *ret_addr)
{
	const struct lease *lease = lease_by_obj(vj, CTL_PROTO_UDP, u.v);
	struct endpoint none = { 0 };

	addr_to_sockaddr(lease ? &lease->local : &none, ret_addr);
}

void vj_udp_close(struct vj *vj, struct vj_udp u)
{
	struct lease *lease = lease_by_obj(vj, CTL_PROTO_UDP, u.v);

	udp_close(vj->stack, (struct udp_id){ u.v });
	if (lease) {
		route_forget(vj, CTL_PROTO_UDP, &lease->local); /* to ourselves; others hear of it from vjd */
		lease_drop(vj, lease);
	}
}

uint32_t dgram_yield(struct vj *vj, struct vj_udp u, bool *ret_late)
{
	struct lease *lease = lease_by_obj(vj, CTL_PROTO_UDP, u.v);
	struct endpoint local;

	if (!lease)
		return 0;
	local = lease->local;
	if (vj->ifl_cnt && !ip_addr_is_loopback(&local.addr))
		*ret_late = true;
	lease_drop(vj, lease);
	route_forget_all(vj); /* our own, to ourselves */
	return move_yield(vj, &local);
}

bool dgram_yielded(const struct vj *vj, uint32_t nr)
{
	return move_yielded(vj, nr);
}

int vj_udp_connect(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len)
{
	const struct lease *lease = lease_by_obj(vj, CTL_PROTO_UDP, u.v);
	struct endpoint to;
	int err = remote ? addr_of_peer(remote, remote_len, lease ? &lease->local.addr : NULL, &to) : 0;

	return err ? err : udp_connect(vj->stack, (struct udp_id){ u.v }, remote ? &to : NULL);
}

int vj_udp_reach(struct vj *vj, const struct sockaddr *remote, socklen_t remote_len)
{
	struct vj_link *link;
	struct endpoint to;
	int err = addr_of_peer(remote, remote_len, NULL, &to);

	if (err)
		return err;
	route_forget(vj, CTL_PROTO_UDP, &to); /* the question is about now */
	return route_find(vj, CTL_PROTO_UDP, &to, 0, &link);
}

int vj_udp_mtu_discover(struct vj *vj, struct vj_udp u, int family, int mode)
{
	if (mode < UDP_MTU_DONT || mode > UDP_MTU_OMIT || (family != AF_INET && family != AF_INET6))
		return -EINVAL;
	udp_mtu_mode_set(vj->stack, (struct udp_id){ u.v }, family == AF_INET, (enum udp_mtu_mode)mode);
	return 0;
}

void dgram_mark(struct vj *vj, struct vj_udp u, int family, uint8_t tos, uint8_t ttl)
{
	udp_mark_set(vj->stack, (struct udp_id){ u.v }, family == AF_INET, tos, ttl);
}

void dgram_rcvbuf(struct vj *vj, struct vj_udp u, uint32_t bytes)
{
	udp_rcvbuf_set(vj->stack, (struct udp_id){ u.v }, bytes);
}

uint32_t vj_udp_ready(const struct vj *vj, struct vj_udp u)
{
	return udp_ready(vj->stack, (struct udp_id){ u.v });
}

int vj_udp_error(struct vj *vj, struct vj_udp u)
{
	return udp_error(vj->stack, (struct udp_id){ u.v });
}

enum { UDP_PIECES = 64, HEAD_V4 = 28, HEAD_V6 = 48 };

/* Where datagrams of a socket to @remote go, and from which address */
static int udp_route(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len,
		     struct endpoint *ret_to, struct ip_addr *ret_from, struct link_id *ret_link)
{
	const struct lease *lease = lease_by_obj(vj, CTL_PROTO_UDP, u.v);
	struct vj_link *link;
	int err;

	if (!lease)
		return -EINVAL;
	err = addr_of_peer(remote, remote_len, &lease->local.addr, ret_to);
	if (err)
		return err;
	if (!ret_to->port)
		return -EINVAL;
	if (!ip_addr_is_any(&lease->local.addr) && ip_addr_is_v4(&lease->local.addr) != ip_addr_is_v4(&ret_to->addr))
		return -EAFNOSUPPORT;
	/* what one socket sends to an endpoint goes to one of its owners, as in the kernel */
	err = route_find(vj, CTL_PROTO_UDP, ret_to, lease->local.port, &link);
	if (err)
		return err;
	*ret_from = ip_addr_is_any(&lease->local.addr) ? addr_source_for(vj, link, &ret_to->addr) : lease->local.addr;
	*ret_link = link->stack_id;
	return 0;
}

int vj_udp_send_batch(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len,
		      const struct vj_udp_msg *msgs, unsigned n)
{
	struct link_id link;
	struct ip_addr from;
	struct endpoint to;
	struct udp_piece pieces[UDP_PIECES];
	unsigned sent = 0;
	int err;

	err = udp_route(vj, u, remote, remote_len, &to, &from, &link);
	while (!err && sent < n) {
		unsigned cnt = min_u32(n - sent, UDP_PIECES), now;

		for (unsigned i = 0; i < cnt; i++)
			pieces[i] = (struct udp_piece){ msgs[sent + i].data, msgs[sent + i].len };
		err = udp_send_burst(vj->stack, (struct udp_id){ u.v }, link, &from, &to, pieces, cnt, &now);
		sent += now;
	}
	if (err == -ECONNREFUSED) /* whoever is there now, vjd knows */
		route_forget(vj, CTL_PROTO_UDP, &to);
	link_publish_all(vj);
	return sent ? (int)sent : err;
}

int vj_udp_send(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len, const void *buf,
		size_t len)
{
	struct vj_udp_msg msg = { .data = (void *)(uintptr_t)buf, .len = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX };
	int n = vj_udp_send_batch(vj, u, remote, remote_len, &msg, 1);

	return n < 0 ? n : 0;
}

int vj_udp_recv_batch(struct vj *vj, struct vj_udp u, struct vj_udp_msg *msgs, unsigned n)
{
	struct endpoint from;
	struct link_id link;
	struct ip_addr to;
	unsigned cnt;
	int err = 0;

	for (cnt = 0; cnt < n; cnt++) {
		struct vj_udp_msg *msg = &msgs[cnt];
		size_t got;

		err = udp_recv(vj->stack, (struct udp_id){ u.v }, msg->data, msg->len, false, &got, &from, &to, &link);
		if (err)
			break;
		msg->bytes = (uint32_t)got;
		if (msg->from)
			addr_to_sockaddr(&from, msg->from);
	}
	return cnt ? (int)cnt : err;
}

ssize_t vj_udp_next_bytes(const struct vj *vj, struct vj_udp u)
{
	size_t len;
	int err = udp_next_bytes(vj->stack, (struct udp_id){ u.v }, &len);

	return err ? err : (ssize_t)len;
}

ssize_t vj_udp_recv(struct vj *vj, struct vj_udp u, void *buf, size_t len, bool peek, struct sockaddr_storage *ret_from,
		    struct sockaddr_storage *ret_to)
{
	struct endpoint from;
	struct link_id link;
	struct ip_addr to;
	size_t got;
	int err;

	err = udp_recv(vj->stack, (struct udp_id){ u.v }, buf, len, peek, &got, &from, &to, &link);
	if (err)
		return err;
	if (ret_from)
		addr_to_sockaddr(&from, ret_from);
	if (ret_to) {
		const struct lease *lease = lease_by_obj(vj, CTL_PROTO_UDP, u.v);

		addr_to_sockaddr(&(struct endpoint){ .addr = to, .port = lease ? lease->local.port : 0 }, ret_to);
	}
	return (ssize_t)got;
}

ssize_t dgram_send_segments(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len, const void *buf,
			    size_t bytes, size_t segment)
{
	struct udp_piece pieces[DGRAM_SEGMENTS_MAX];
	struct link_id link;
	struct ip_addr from;
	struct endpoint to;
	unsigned cnt = 0, sent = 0;
	int err = udp_route(vj, u, remote, remote_len, &to, &from, &link);

	VJ_ASSERT_OP(bytes, <=, segment * DGRAM_SEGMENTS_MAX);
	if (!err && segment + (ip_addr_is_v4(&to.addr) ? HEAD_V4 : HEAD_V6) > udp_path_mtu(vj->stack, (struct udp_id){ u.v }, link, &to.addr))
		err = -EMSGSIZE;
	for (size_t off = 0; off < bytes; off += segment)
		pieces[cnt++] = (struct udp_piece){ (const uint8_t *)buf + off, min_size(segment, bytes - off) };
	if (!err)
		err = udp_send_burst(vj->stack, (struct udp_id){ u.v }, link, &from, &to, pieces, cnt, &sent);
	if (err == -ECONNREFUSED)
		route_forget(vj, CTL_PROTO_UDP, &to);
	link_publish_all(vj);
	return sent ? (ssize_t)min_size(sent * segment, bytes) : err;
}

size_t dgram_recv_more(struct vj *vj, struct vj_udp u, void *buf, size_t room, size_t segment, const struct sockaddr_storage *from,
		       const struct sockaddr_storage *to)
{
	struct endpoint first, first_to, next;
	struct link_id link;
	struct ip_addr next_to;
	size_t done = 0, got;
	struct udp_id id = { u.v };

	if (!segment || addr_from_sockaddr((const struct sockaddr *)from, sizeof(*from), &first) ||
	    addr_from_sockaddr((const struct sockaddr *)to, sizeof(*to), &first_to))
		return 0;
	while (!udp_next_bytes(vj->stack, id, &got) && got && got <= segment && got <= room - done) {
		if (udp_recv(vj->stack, id, buf, 0, true, &got, &next, &next_to, &link) || !endpoint_eq(&first, &next) ||
		    !ip_addr_eq(&first_to.addr, &next_to))
			break;
		if (udp_recv(vj->stack, id, (uint8_t *)buf + done, room - done, false, &got, &next, &next_to, &link))
			break;
		done += got;
		if (got < segment)
			break;
	}
	return done;
}
