/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/repair.h"

#include "daemon/raw_tcp.h"
#include "policy/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

enum { CHUNK = 64 * 1024, OPTS_MAX = 4 };

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

union name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t make_name(const struct ctl_repair *c, const uint8_t addr[static 16], uint16_t port, union name *ret)
{
	const struct ip_addr ip = ip_addr_from_v6(addr);

	*ret = (union name){ .in6 = { .sin6_family = AF_INET6, .sin6_port = be16(port).raw } };
	if ((c->flags & CTL_REPAIR_SOCK6) == 0) {
		*ret = (union name){ .in = { .sin_family = AF_INET, .sin_port = be16(port).raw, .sin_addr.s_addr = ip_addr_v4(&ip).raw } };
		return sizeof(ret->in);
	}
	memcpy(&ret->in6.sin6_addr, addr, sizeof(ret->in6.sin6_addr));
	if (ip_addr_is_link_local(&ip))
		ret->in6.sin6_scope_id = c->ifindex;
	return sizeof(ret->in6);
}

/* ---- queues ------------------------------------------------------------------------------------------------------ */

/* Nothing that a client could make hang, or change under our hands. */
static bool is_sealed(int fd, uint64_t bytes)
{
	const int want = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & want) == want && lseek(fd, 0, SEEK_END) == (off_t)bytes;
}

/* @bytes from @off on into the socket. It has room: anything else is a failure. */
static int feed(int fd, int queues_fd, uint64_t off, uint32_t bytes)
{
	uint8_t *buf = bytes != 0 ? malloc(CHUNK) : NULL;
	int r = bytes != 0 && buf == NULL ? -ENOMEM : 0;

	while (r == 0 && bytes != 0) {
		ssize_t have = pread(queues_fd, buf, min_u32(bytes, CHUNK), (off_t)off), n = 0;

		for (ssize_t at = 0; r == 0 && at < have; at += n) {
			n = send(fd, buf + at, (size_t)(have - at), MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n <= 0)
				r = n < 0 ? -errno : -EIO;
		}
		if (have <= 0)
			r = -EIO;
		if (r == 0) {
			off += (uint64_t)have;
			bytes -= (uint32_t)have;
		}
	}
	free(buf);
	return r;
}

/*
 * What both queues want, with what the kernel needs beside the bytes, may be more than root allows programs; it is of theirs already. Nor is what
 * waits to be sent held to net.ipv4.tcp_notsent_lowat.
 */
static int make_room(int fd, const struct ctl_repair *c)
{
	int r = c->rcv_bytes != 0 ? set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)(2 * c->rcv_bytes + 4 * CHUNK)) : 0;

	if (r == 0 && c->snd_bytes != 0)
		r = set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)(2 * c->snd_bytes + 4 * CHUNK));
	return r == 0 ? set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, INT_MAX) : r;
}

/* ---- TCP_REPAIR -------------------------------------------------------------------------------------------------- */

static int set_seq(int fd, int queue, uint32_t seq)
{
	int r = set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);

	return r == 0 ? set_int(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)seq) : r;
}

static int connect_as(int fd, const struct ctl_repair *c)
{
	const struct ip_addr local_ip = ip_addr_from_v6(c->local);
	union name local, remote;
	socklen_t local_len = make_name(c, c->local, c->local_port, &local);
	socklen_t remote_len = make_name(c, c->remote, c->remote_port, &remote);

	/* the host may have it otherwise by default (net.ipv6.bindv6only) */
	if ((c->flags & CTL_REPAIR_SOCK6) != 0 && ip_addr_is_v4(&local_ip)) {
		int r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);

		if (r < 0)
			return r;
	}
	if (bind(fd, &local.sa, local_len) != 0 || connect(fd, &remote.sa, remote_len) != 0)
		return -errno;
	return 0;
}

static int set_options(int fd, const struct ctl_repair *c)
{
	struct tcp_repair_opt opts[OPTS_MAX] = {
		{ TCP_OPT_MSS, c->mss },
		{ TCP_OPT_WSCALE, c->snd_wscale | (uint32_t)c->rcv_wscale << 16 },
	};
	unsigned cnt = 2;

	if ((c->flags & CTL_REPAIR_SACK) != 0)
		opts[cnt++].opt_code = TCP_OPT_SACK_PERMITTED;
	if ((c->flags & CTL_REPAIR_TIMESTAMPS) != 0)
		opts[cnt++].opt_code = TCP_OPT_TS;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, opts, cnt * sizeof(opts[0])) != 0)
		return -errno;
	/* since Linux 6.7 an odd value asks for microseconds; one later is as good */
	return (c->flags & CTL_REPAIR_TIMESTAMPS) != 0 ? set_int(fd, IPPROTO_TCP, TCP_TIMESTAMP, (int)((c->ts + 1) & ~1u)) : 0;
}

static int set_window(int fd, const struct ctl_repair *c)
{
	const struct tcp_repair_window win = {
		.snd_wl1 = c->rcv_seq + c->rcv_bytes,
		.snd_wnd = c->snd_wnd,
		.max_window = c->snd_wnd,
		.rcv_wnd = c->rcv_wnd,
		.rcv_wup = c->rcv_acked,
	};

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &win, sizeof(win)) == 0 ? 0 : -errno;
}

/* All that is said before any frame. */
static int repair(int fd, const struct ctl_repair *c, int queues_fd)
{
	int r = set_int(fd, IPPROTO_TCP, TCP_REPAIR, 1);

	if (r == 0)
		r = make_room(fd, c);
	if (r == 0)
		r = set_seq(fd, TCP_SEND_QUEUE, c->snd_seq);
	if (r == 0)
		r = set_seq(fd, TCP_RECV_QUEUE, c->rcv_seq);
	if (r == 0)
		r = connect_as(fd, c);
	if (r == 0)
		r = set_options(fd, c);
	if (r == 0)
		r = feed(fd, queues_fd, 0, c->rcv_bytes);
	if (r == 0)
		r = set_window(fd, c);
	if (r == 0)
		r = set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	if (r == 0)
		r = feed(fd, queues_fd, c->rcv_bytes, c->sent_bytes);
	if (r == 0 && (c->flags & CTL_REPAIR_FIN_SENT) != 0 && shutdown(fd, SHUT_WR) != 0)
		r = -errno;
	return r == 0 ? set_int(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE) : r;
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

static struct policy_flow flow_of(const struct ctl_repair *c)
{
	return (struct policy_flow){
		.remote = ip_addr_from_v6(c->remote),
		.local = ip_addr_from_v6(c->local),
		.remote_port = be16(c->remote_port),
		.local_port = be16(c->local_port),
		.proto = CTL_PROTO_TCP,
	};
}

/* Has the peer sent what it won't again: that it got our FIN, or a FIN of its own? */
static void say_for_peer(const struct raw_tcp *raw, const struct ctl_repair *c)
{
	const struct ip_addr local = ip_addr_from_v6(c->local), remote = ip_addr_from_v6(c->remote);
	const struct tcp_fields fields = {
		.src_port = c->remote_port,
		.dst_port = c->local_port,
		.seq = c->rcv_seq + c->rcv_bytes,
		.ack = c->snd_seq + ((c->flags & CTL_REPAIR_FIN_ACKED) != 0 ? 1 : 0),
		.window = (uint16_t)min_u32(c->snd_wnd >> c->snd_wscale, UINT16_MAX),
		.flags = TCP_ACK | ((c->flags & CTL_REPAIR_FIN_RCVD) != 0 ? TCP_FIN : 0),
	};

	raw_tcp_send(raw, &remote, &local, c->ifindex, &fields);
}

/* As the kernel asks where TCP_REPAIR ends, but not of a socket that was shut down: the peer is to say where it stands. */
static void ask_peer(const struct raw_tcp *raw, const struct ctl_repair *c)
{
	const struct ip_addr local = ip_addr_from_v6(c->local), remote = ip_addr_from_v6(c->remote);
	const struct tcp_fields fields = {
		.src_port = c->local_port,
		.dst_port = c->remote_port,
		.seq = c->snd_seq - 1,
		.ack = c->rcv_seq + c->rcv_bytes,
		.window = (uint16_t)min_u32(c->rcv_wnd >> c->rcv_wscale, UINT16_MAX),
		.flags = TCP_ACK,
	};

	raw_tcp_send(raw, &local, &remote, c->ifindex, &fields);
}

static void say_rest(const struct ctl_repair *c)
{
	struct raw_tcp raw;

	if ((c->flags & (CTL_REPAIR_FIN_RCVD | CTL_REPAIR_FIN_SENT)) == 0)
		return;
	raw_tcp_open(&raw);
	if ((c->flags & (CTL_REPAIR_FIN_RCVD | CTL_REPAIR_FIN_ACKED)) != 0)
		say_for_peer(&raw, c);
	if ((c->flags & (CTL_REPAIR_FIN_SENT | CTL_REPAIR_FIN_ACKED)) == CTL_REPAIR_FIN_SENT)
		ask_peer(&raw, c);
	raw_tcp_close(&raw);
}

/* Dispatch gives its frames to the kernel from here on. */
static int mark(const struct repair_job *job)
{
	const struct policy_flow flow = flow_of(&job->conn);
	const uint32_t kernels = 0;

	return bpf_map_update_elem(job->flows_fd, &flow, &kernels, BPF_ANY) == 0 ? 0 : -errno;
}

/*
 * The connection is the kernel's. TCP_REPAIR's end has the kernel ask the peer where it stands, by a segment of no bytes, unless a FIN was sent;
 * the answer brings what was lost meanwhile.
 * Return: 0; -errno: not all that waits could be put in (TCP is short of memory), and whatever the program sent next would follow a hole.
 */
static int go_on(int fd, const struct ctl_repair *c, int queues_fd)
{
	int r = set_int(fd, IPPROTO_TCP, TCP_REPAIR, 0);

	if (r == 0)
		r = feed(fd, queues_fd, (uint64_t)c->rcv_bytes + c->sent_bytes, c->snd_bytes - c->sent_bytes);
	if (r < 0)
		return r;
	(void)set_int(fd, SOL_SOCKET, SO_BUF_LOCK, 0); /* the kernel tunes them again */
	(void)set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0); /* as the host has it */
	if ((c->flags & (CTL_REPAIR_FIN | CTL_REPAIR_FIN_SENT)) == CTL_REPAIR_FIN)
		shutdown(fd, SHUT_WR);
	say_rest(c);
	return 0;
}

static void reset(int fd)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
	close(fd);
}

/* The file system's user is also whose a socket is: to ss(8), and to rules of the firewall. */
static int socket_as(uint32_t uid, int family)
{
	int was = setfsuid(uid), fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), err = -errno;

	setfsuid((uid_t)was);
	return fd >= 0 ? fd : err;
}

int repair_make(const struct repair_job *job, int queues_fd, int *ret_fd)
{
	const struct ctl_repair *c = &job->conn;
	int fd, r;

	if (!is_sealed(queues_fd, (uint64_t)c->rcv_bytes + c->snd_bytes))
		return -EINVAL;
	fd = socket_as(job->uid, (c->flags & CTL_REPAIR_SOCK6) != 0 ? AF_INET6 : AF_INET);
	if (fd < 0)
		return fd;
	r = repair(fd, c, queues_fd);
	if (r == 0)
		r = mark(job);
	if (r < 0) {
		close(fd); /* still in repair: without a word to the peer */
		return r;
	}
	if (go_on(fd, c, queues_fd) < 0) {
		reset(fd);
		return -ECONNRESET;
	}
	*ret_fd = fd;
	return 0;
}
