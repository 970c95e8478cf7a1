// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/lan_sock.h"

#include "base/types.h"
#include "wire/arp.h"
#include "wire/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUFFER_BYTES = 128 << 10,
	WHOLE = 0xffff,
	OFF_L3 = ETH_HDR_BYTES,
	ICMP6_NEIGHBOUR_SOLICIT = 135,
};

/* Ours by the first bytes: the parser looks at the rest. Built in place, since the numbers of E2 are configured. */
static int set_filter(int fd, const struct sock_filter *ops, unsigned short cnt)
{
	const struct sock_fprog prog = { .len = cnt, .filter = (struct sock_filter *)(uintptr_t)ops };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) == 0 ? 0 : -errno;
}

static int filter_arp(int fd)
{
	static const struct sock_filter ops[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, OFF_L3 + 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PARP_PROTO_TYPE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, WHOLE),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return set_filter(fd, ops, ARRAY_SIZE(ops));
}

static int filter_e2(int fd, uint8_t subtype)
{
	const struct sock_filter ops[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, OFF_L3),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, subtype, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, WHOLE),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return set_filter(fd, ops, ARRAY_SIZE(ops));
}

/* Solicitations and advertisements longer than their fixed part and one option of 8 bytes. */
static int filter_nd(int fd)
{
	static const struct sock_filter ops[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, OFF_L3 + 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_PROTO_ICMP6, 0, 5),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, OFF_L3 + 4),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 32, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, OFF_L3 + 40),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP6_NEIGHBOUR_SOLICIT, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP6_NEIGHBOUR_SOLICIT + 1, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, WHOLE),
	};

	return set_filter(fd, ops, ARRAY_SIZE(ops));
}

static int filter(int fd, unsigned int kind, const struct parp_config *codec)
{
	if (kind == LAN_SOCK_ARP)
		return filter_arp(fd);
	return kind == LAN_SOCK_E2 ? filter_e2(fd, codec->e2_subtype) : filter_nd(fd);
}

/* Without a protocol until the filter is there: nothing gets in before. */
static int open_one(uint32_t ifindex, unsigned int kind, const struct parp_config *codec, int *ret_fd)
{
	const uint16_t types[LAN_SOCK_CNT] = { ETH_TYPE_ARP, codec->e2_type, ETH_TYPE_IP6 };
	const struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(types[kind]),
		.sll_ifindex = (int)ifindex,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), bytes = BUFFER_BYTES, r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	r = filter(fd, kind, codec);
	if (r == 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* Level-triggered; while reading pauses, nobody is woken for what waits. */
static void watch(struct lan_sock *s, int op, uint32_t events)
{
	for (unsigned int k = 0; k < LAN_SOCK_CNT; k++) {
		struct epoll_event e = { .events = events };

		epoll_ctl(s->epoll_fd, op, s->fds[k], &e);
	}
}

int lan_sock_open(uint32_t ifindex, const struct parp_config *codec, struct lan_sock *ret_sock)
{
	struct lan_sock s = { .ifindex = ifindex, .fds = { -1, -1, -1 } };
	int r = 0;

	lan_limit_init(&s.limit, LAN_SOCK_PER_SECOND, LAN_SOCK_BURST);
	s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll_fd < 0)
		return -errno;
	for (unsigned int k = 0; k < LAN_SOCK_CNT && r == 0; k++)
		r = open_one(ifindex, k, codec, &s.fds[k]);
	if (r < 0) {
		lan_sock_close(&s);
		return r;
	}
	watch(&s, EPOLL_CTL_ADD, EPOLLIN);
	*ret_sock = s;
	return 0;
}

void lan_sock_close(struct lan_sock *s)
{
	for (unsigned int k = 0; k < LAN_SOCK_CNT; k++) {
		if (s->fds[k] >= 0)
			close(s->fds[k]);
		s->fds[k] = -1;
	}
	if (s->epoll_fd >= 0)
		close(s->epoll_fd);
	s->epoll_fd = -1;
}

/*
 * The tag is gone. What is a VLAN device's says so by its index. With a tag that no device has, a frame to a group is another host's to the
 * kernel; one to a single address is not to be told from one to an application's, which is another host's as well.
 */
static bool has_no_tag(const struct sockaddr_ll *from, uint32_t ifindex, const uint8_t *frame)
{
	return from->sll_ifindex == (int)ifindex && !(from->sll_pkttype == PACKET_OTHERHOST && (frame[0] & 1) != 0);
}

size_t lan_sock_recv(int fd, uint32_t ifindex, struct lan_limit *limit, void *buf, size_t room, uint64_t now_us)
{
	while (lan_limit_at(limit) <= now_us) {
		struct sockaddr_ll from = { .sll_family = AF_PACKET };
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, room, MSG_DONTWAIT, (struct sockaddr *)&from, &len);

		if (n <= 0)
			return 0;
		lan_limit_take(limit, now_us);
		if (has_no_tag(&from, ifindex, buf))
			return (size_t)n;
	}
	return 0;
}

size_t lan_sock_read(struct lan_sock *s, void *buf, size_t room, uint64_t now_us)
{
	if (lan_limit_at(&s->limit) > now_us) {
		if (!s->paused)
			watch(s, EPOLL_CTL_MOD, 0);
		s->paused = true;
		return 0;
	}
	if (s->paused)
		watch(s, EPOLL_CTL_MOD, EPOLLIN);
	s->paused = false;
	for (unsigned int k = 0; k < LAN_SOCK_CNT; k++) {
		size_t n = lan_sock_recv(s->fds[k], s->ifindex, &s->limit, buf, room, now_us);

		if (n > 0)
			return n;
	}
	return 0;
}

uint64_t lan_sock_deadline_us(const struct lan_sock *s)
{
	return s->paused ? lan_limit_at(&s->limit) : TIME_NEVER;
}

void lan_sock_send(struct lan_sock *s, const void *frame, size_t len)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)s->ifindex, .sll_halen = 6 };

	if (sendto(s->fds[LAN_SOCK_ARP], frame, len, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to)) < 0)
		s->lost++;
}
