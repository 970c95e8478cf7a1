// SPDX-License-Identifier: BSD-2-Clause
/* differ_data.c - the calls of `differ_calls` that carry data */
#include "differ.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BYTES_MAX = 8192, UDP_BYTES_MAX = 1500, MSGS = 3, UDP_SEND_FLAGS = 6 };

static const uint16_t lengths[] = { 1, 2, 3, 5, 7, 10, 20, 50, 100, 0, 300, 1000, 1500, 4000, BYTES_MAX };

struct flag {
	int flag;
	const char *name;
};
static const struct flag send_flags[] = { { 0, "" }, { 0, "" }, { 0, "" }, { MSG_DONTWAIT, "DONTWAIT" }, { MSG_NOSIGNAL, "NOSIGNAL" },
	{ MSG_CONFIRM, "CONFIRM" }, { MSG_PEEK | MSG_WAITALL | MSG_TRUNC, "PEEK|WAITALL|TRUNC" }, { MSG_MORE, "MORE" }, { MSG_EOR, "EOR" },
	{ MSG_DONTROUTE, "DONTROUTE" }, { MSG_ERRQUEUE, "ERRQUEUE" }, { MSG_CMSG_CLOEXEC, "CLOEXEC" }, { MSG_SYN | MSG_RST | MSG_FIN, "SYN|RST|FIN" },
	{ 0x800000, "unknown" }, { MSG_ZEROCOPY, "ZEROCOPY" }, { MSG_FASTOPEN, "FASTOPEN" } };
static const struct flag recv_flags[] = { { 0, "" }, { 0, "" }, { 0, "" }, { MSG_DONTWAIT, "DONTWAIT" }, { MSG_PEEK, "PEEK" }, { MSG_PEEK, "PEEK" },
	{ MSG_TRUNC, "TRUNC" }, { MSG_PEEK | MSG_TRUNC, "PEEK|TRUNC" }, { MSG_WAITALL, "WAITALL" }, { MSG_WAITALL | MSG_PEEK, "WAITALL|PEEK" },
	{ MSG_WAITALL | MSG_DONTWAIT, "WAITALL|DONTWAIT" }, { MSG_OOB, "OOB" }, { MSG_ERRQUEUE, "ERRQUEUE" }, { MSG_NOSIGNAL, "NOSIGNAL" },
	{ MSG_CMSG_CLOEXEC, "CLOEXEC" }, { MSG_MORE | MSG_EOR | MSG_CONFIRM, "MORE|EOR|CONFIRM" }, { MSG_PEEK | MSG_OOB, "PEEK|OOB" }, { MSG_CTRUNC, "CTRUNC" },
	{ MSG_DONTROUTE | MSG_FASTOPEN, "DONTROUTE|FASTOPEN" }, { 0x800000, "unknown" } };

static uint8_t bytes[BYTES_MAX];

/*
 * Datagrams come by channels and through the kernel. Those of one sender stay in order, also when he changes over; those of several need
 * not. So nobody sends as long as there are some of somebody else's that are not read.
 */
static bool is_drawn(const struct slot *s)
{
	int sender = me * SLOTS + (int)(s - slots);

	if (s->kind != KIND_UDP)
		return true;
	if ((board->udp_unread[0] || board->udp_unread[1]) && board->udp_sender != sender) {
		put(": not drawn, somebody else's are unread");
		return false;
	}
	board->udp_sender = sender;
	return true;
}

/* For the same reason: not with a flag by which a datagram goes through the kernel. */
static const struct flag *send_flag(const struct slot *s, uint32_t word)
{
	return &send_flags[word % (s->kind == KIND_UDP ? UDP_SEND_FLAGS : COUNT(send_flags))];
}

/* Nor larger than channels carry */
static size_t send_length(const struct slot *s, uint32_t word)
{
	size_t len = PICK(word, lengths);

	return s->kind == KIND_UDP && len > UDP_BYTES_MAX ? UDP_BYTES_MAX : len;
}

/* What is sent differs from whatever was before. */
static void bytes_make(size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((board->bytes + i) * 37 + (board->bytes + i) / 256);
	board->bytes += (uint32_t)len;
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

/* As @s must say it: IPv4 as IPv6 */
static socklen_t address(const struct slot *s, const struct place *p, bool any, struct sockaddr_storage *ret)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	*ret = p->addr;
	in6.sin6_port = in.sin_port = ((const struct sockaddr_in *)&p->addr)->sin_port;
	if (p->addr.ss_family == AF_INET) {
		in.sin_addr = ((const struct sockaddr_in *)&p->addr)->sin_addr;
		if (in.sin_addr.s_addr == INADDR_ANY && !any)
			in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		memcpy(ret, &in, sizeof(in));
		if (s->family == AF_INET)
			return sizeof(in);
		in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
		memcpy(&in6.sin6_addr.s6_addr[12], &in.sin_addr, 4);
		memcpy(ret, &in6, sizeof(in6));
		return sizeof(in6);
	}
	in6.sin6_addr = ((const struct sockaddr_in6 *)&p->addr)->sin6_addr;
	if (s->family == AF_INET && !IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr)) { /* both stacks, or a name of IPv4 */
		in.sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
		memcpy(ret, &in, sizeof(in));
		return sizeof(in);
	}
	if (IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr) && !any)
		in6.sin6_addr = in6addr_loopback;
	memcpy(ret, &in6, sizeof(in6));
	return sizeof(in6);
}

socklen_t target(uint32_t word, const struct slot *s, struct sockaddr_storage *ret_addr)
{
	struct place nobody = { .addr.ss_family = (sa_family_t)s->family };
	const struct place *p = NULL;
	socklen_t len;

	((struct sockaddr_in *)&nobody.addr)->sin_port = htons(port_of(7));
	for (unsigned i = 0; i < 2 * SLOTS && !p; i++) { /* the other side's are likelier */
		const struct place *at = &board->places[(word >> 8) % 5 ? 1 - me : me][(word / 16 + i) % SLOTS];

		p = at->kind == s->kind && (i >= SLOTS || s->kind == KIND_UDP || ((struct sockaddr_in *)&at->addr)->sin_port) ? at : NULL;
	}
	if (!p)
		p = &nobody;
	len = address(s, p, false, ret_addr);
	switch (word % 24) {
	case 0:
		return address(s, &nobody, false, ret_addr);
	case 1:
		return address(s, p, true, ret_addr);
	case 2:
		ret_addr->ss_family = AF_UNSPEC;
		break;
	case 3:
		return len - 5; /* IPv6 has addresses of 24 bytes, too */
	case 4:
		ret_addr->ss_family = AF_UNIX;
		break;
	case 5:
		((struct sockaddr_in *)ret_addr)->sin_port = 0;
		break;
	}
	return len;
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

/* Cut into pieces: empty ones, one without room, one without memory */
static size_t pieces(uint32_t word, bool stream, void *buf, size_t len, struct iovec iov[5])
{
	size_t first = len / 3, cnt = 0;

	if (word % 3)
		iov[cnt++] = (struct iovec){ buf, first };
	else
		first = 0;
	if (word / 3 % 2)
		iov[cnt++] = (struct iovec){ buf, 0 };
	iov[cnt++] = (struct iovec){ (uint8_t *)buf + first, len - first };
	if (word / 6 % 5 == 0)
		iov[cnt++] = (struct iovec){ NULL, 0 };
	if (word / 30 % 40 == 0 && !stream) /* of a stream what comes before it may be had, and may not: as it lies in packets */
		iov[cnt++] = (struct iovec){ NULL, 4 };
	put(" in %zu", cnt);
	return cnt;
}

/* Times have no value. */
/* Where it was sent to, of which the port is chance */
static bool is_address(const struct cmsghdr *c)
{
	return (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) || (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR);
}

static void put_control(struct msghdr *msg)
{
	put(" control %zu", (size_t)msg->msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		put(" (%d %d %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
		if (is_address(c)) {
			struct sockaddr_storage sa = { 0 };
			socklen_t len = (socklen_t)(c->cmsg_len - CMSG_LEN(0));

			memcpy(&sa, CMSG_DATA(c), len < sizeof(sa) ? len : sizeof(sa));
			put_addr(KIND_UDP, &sa, len);
		} else if (c->cmsg_level != SOL_SOCKET)
			for (size_t i = 0; i < c->cmsg_len - CMSG_LEN(0); i++)
				put("%s%02x", i ? "" : " ", CMSG_DATA(c)[i]);
		put(")");
	}
}

static void put_received(enum kind kind, struct msghdr *msg, long r, size_t room)
{
	put_result(r);
	if (r < 0)
		return;
	put_bytes(bytes, r < (long)room ? r : (long)room);
	put(" flags %x", msg->msg_flags & ~MSG_CMSG_CLOEXEC);
	if (msg->msg_name)
		put_addr(kind, msg->msg_name, msg->msg_namelen);
	put_control(msg);
}

static long send_in_pieces(const struct step *st, int fd, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	struct iovec iov[5];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = pieces(st->w[4], false, bytes, len, iov), .msg_name = (void *)(uintptr_t)to, .msg_namelen = to_len };

	if (to || flags)
		return sendmsg(fd, &msg, flags);
	return st->w[5] % 2 ? writev(fd, iov, (int)msg.msg_iovlen) : pwritev2(fd, iov, (int)msg.msg_iovlen, -1, 0);
}

void run_send(const struct step *st, int slot)
{
	struct slot *s = &slots[slot];
	const struct flag *f = send_flag(s, st->w[2]);
	size_t len = send_length(s, st->w[1]);
	struct sockaddr_storage to;
	bool has_to = s->kind == KIND_UDP ? st->w[3] % 4 : st->w[3] % 8 == 0;
	socklen_t to_len = has_to ? target(st->w[6], s, &to) : 0;
	const void *from = st->w[7] % 24 || !len ? bytes : NULL;
	long r;

	put(" %zu %s", len, f->name);
	if (!is_drawn(s))
		return;
	bytes_make(len);
	if (has_to)
		put_addr(s->kind, &to, to_len);
	if (st->w[8] % 2) {
		r = send_in_pieces(st, s->fd, len, f->flag, has_to ? (struct sockaddr *)&to : NULL, to_len);
	} else {
		put(from ? "" : " from nowhere");
		r = has_to ? sendto(s->fd, from, len, f->flag, (struct sockaddr *)&to, to_len) : f->flag || st->w[8] / 2 % 2 ? send(s->fd, from, len, f->flag) : write(s->fd, from, len);
	}
	put_result(r);
	s->sent |= r >= 0 && s->kind == KIND_UDP && !s->peer_family;
	if (r >= 0 && s->kind == KIND_UDP && !s->named)
		publish((unsigned)slot, true);
}

static long recv_in_pieces(const struct step *st, enum kind kind, int fd, size_t len, int flags)
{
	static const uint16_t control_lens[] = { 256, 256, 256, 0, 8, 20, 40 };
	struct sockaddr_storage from = { 0 };
	_Alignas(struct cmsghdr) char control[256];
	struct iovec iov[5];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = pieces(st->w[4], kind == KIND_TCP, bytes, len, iov), .msg_control = control,
		.msg_controllen = PICK(st->w[5], control_lens), .msg_name = st->w[6] % 2 ? &from : NULL, .msg_namelen = st->w[6] % 8 == 1 ? 7 : sizeof(from) };
	long r;

	if (!flags && st->w[6] % 4 == 0) {
		r = AGAIN(st->w[7] % 2 ? readv(fd, iov, (int)msg.msg_iovlen) : preadv2(fd, iov, (int)msg.msg_iovlen, -1, 0));
		put_result(r);
		put_bytes(bytes, r);
		return r;
	}
	r = AGAIN(recvmsg(fd, &msg, flags));
	put_received(kind, &msg, r, len);
	return r;
}

void run_recv(const struct step *st, int slot)
{
	const struct flag *f = &PICK(st->w[2], recv_flags);
	struct slot *s = &slots[slot];
	size_t len = PICK(st->w[1], lengths);
	struct sockaddr_storage from = { 0 };
	socklen_t from_len = st->w[6] % 4 ? sizeof(from) : 5;
	void *to = st->w[7] % 24 || !len ? bytes : NULL;
	long r;

	memset(bytes, 0, sizeof(bytes)); /* what is not written looks the same */
	put(" %zu %s", len, f->name);
	if (st->w[8] % 2) {
		recv_in_pieces(st, s->kind, s->fd, len, f->flag);
		return;
	}
	put(to ? "" : " to nowhere");
	if (st->w[8] / 2 % 2) {
		r = AGAIN(recvfrom(s->fd, to, len, f->flag, (struct sockaddr *)&from, &from_len));
		put_result(r);
		if (r >= 0)
			put_addr(s->kind, &from, from_len);
	} else {
		r = AGAIN(f->flag || st->w[8] / 4 % 2 ? recv(s->fd, to, len, f->flag) : read(s->fd, to, len));
		put_result(r);
	}
	put_bytes(bytes, r < (long)len ? r : (long)len);
}

static void msgs_make(struct mmsghdr msgs[MSGS], struct iovec iov[MSGS], uint32_t word)
{
	for (unsigned i = 0; i < MSGS; i++) {
		iov[i] = (struct iovec){ bytes + 100 * i, PICK(word >> 8 * i, ((const uint8_t[]){ 1, 10, 100, 0 })) };
		msgs[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
}

void run_recvmmsg(const struct step *st, int slot)
{
	static const struct flag flags[] = { { 0, "" }, { MSG_DONTWAIT, "DONTWAIT" }, { MSG_WAITFORONE, "WAITFORONE" }, { MSG_PEEK, "PEEK" } };
	const struct flag *f = &PICK(st->w[2], flags);
	struct slot *s = &slots[slot];
	unsigned cnt = PICK(st->w[1], ((const unsigned[]){ 1, 2, 3, 0 }));
	struct sockaddr_storage from[MSGS] = { 0 };
	struct timespec none = { 0 };
	struct mmsghdr msgs[MSGS];
	struct iovec iov[MSGS];
	int r;

	memset(bytes, 0, sizeof(bytes));
	msgs_make(msgs, iov, st->w[3]);
	for (unsigned i = 0; i < MSGS; i++)
		msgs[i].msg_hdr.msg_name = &from[i], msgs[i].msg_hdr.msg_namelen = sizeof(from[i]);
	put(" %u %s", cnt, f->name);
	r = AGAIN(recvmmsg(s->fd, msgs, cnt, f->flag, st->w[4] % 4 ? NULL : &none));
	put_result(r);
	for (int i = 0; i < r; i++) {
		put(" / %u", msgs[i].msg_len);
		put_bytes(bytes + 100 * i, (long)msgs[i].msg_len);
		put(" flags %x", msgs[i].msg_hdr.msg_flags);
		put_addr(s->kind, &from[i], msgs[i].msg_hdr.msg_namelen);
	}
}

void run_sendmmsg(const struct step *st, int slot)
{
	struct slot *s = &slots[slot];
	const struct flag *f = send_flag(s, st->w[2]);
	unsigned cnt = PICK(st->w[1], ((const unsigned[]){ 1, 2, 3, 0 }));
	struct pollfd end = { .fd = s->fd, .events = POLLRDHUP };
	struct sockaddr_storage to[MSGS];
	struct mmsghdr msgs[MSGS];
	struct iovec iov[MSGS];
	int r;

	if (!is_drawn(s))
		return;
	if (cnt > 1 && (s->kind == KIND_UDP ? s->peer_family != 0 : poll(&end, 1, 0) != 0))
		cnt = 1; /* the first is answered by an error, perhaps: on one processor's loopback while the call still runs */
	bytes_make(100 * MSGS);
	msgs_make(msgs, iov, st->w[3]);
	put(" %u %s", cnt, f->name);
	for (unsigned i = 0; i < MSGS && s->kind == KIND_UDP && st->w[4] % 4; i++) {
		msgs[i].msg_hdr.msg_name = &to[i];
		msgs[i].msg_hdr.msg_namelen = target(st->w[5 + i], s, &to[i]);
		put_addr(s->kind, &to[i], msgs[i].msg_hdr.msg_namelen);
	}
	r = sendmmsg(s->fd, msgs, cnt, f->flag);
	put_result(r);
	for (int i = 0; i < r; i++)
		put(" / %u", msgs[i].msg_len);
	s->sent |= r > 0 && s->kind == KIND_UDP && !s->peer_family;
	if (r > 0 && s->kind == KIND_UDP && !s->named)
		publish((unsigned)slot, true);
}

/* A file with bytes in it */
static int file_with(size_t len)
{
	char path[] = "/tmp/differ-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	bytes_make(len);
	return fd >= 0 && write(fd, bytes, len) == (ssize_t)len ? fd : -1;
}

void run_sendfile(const struct step *st, int slot)
{
	size_t len = PICK(st->w[1], lengths), want = st->w[2] % 4 ? len : len + 10;
	off_t off = (off_t)(len / 4);
	int fd = file_with(len);
	bool at = st->w[3] % 2;

	put(" %zu%s", want, at ? " from a quarter" : "");
	lseek(fd, 0, SEEK_SET);
	put_result(sendfile(slots[slot].fd, fd, at ? &off : NULL, want));
	put(" off %ld at %ld", (long)off, (long)lseek(fd, 0, SEEK_CUR));
	close(fd);
}

void run_splice(const struct step *st, int slot)
{
	size_t len = PICK(st->w[1], lengths);
	bool in = st->w[2] % 2;
	int p[2];
	long r;

	if (pipe2(p, O_NONBLOCK))
		return;
	put(" %s %zu", in ? "out of it" : "into it", len);
	if (in) {
		r = AGAIN(splice(slots[slot].fd, NULL, p[1], NULL, len, st->w[3] % 2 ? SPLICE_F_NONBLOCK : 0));
		put_result(r);
		put_bytes(bytes, read(p[0], bytes, sizeof(bytes)));
	} else {
		bytes_make(len);
		write(p[1], bytes, len);
		put_result(splice(p[0], NULL, slots[slot].fd, NULL, len + 1, st->w[3] % 2 ? SPLICE_F_NONBLOCK : 0));
	}
	close(p[0]);
	close(p[1]);
}
