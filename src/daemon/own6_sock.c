// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/own6_sock.h"

#include "daemon/lan_sock.h"
#include "wire/nd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WHOLE = 0xffff,
	NEXT_AT = ETH_HDR_BYTES + 6,
	TYPE_AT = ETH_HDR_BYTES + IP6_HDR_BYTES,
	TARGET_AT = TYPE_AT + 8,
	BUFFER_BYTES = 128 << 10,
	/* 2 for the header, 3 for the type, 3 for each word of the target, and the two ends */
	OPS_MAX = 2 + 3 + 3 * 4 + 2,
};

/* Where a comparison fails: at the last of @cnt. */
static struct sock_filter equal_or_end(uint32_t value, unsigned int at, unsigned int cnt)
{
	return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, (uint8_t)(cnt - at - 2));
}

static unsigned int filter_of(const struct ip_prefix *p, struct sock_filter ops[static OPS_MAX])
{
	unsigned int words = (p->len + 31u) / 32, cnt = 2 + 3 + 3 * words + 2, n = 0;

	ops[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NEXT_AT);
	ops[n] = equal_or_end(IP_PROTO_ICMP6, n, cnt);
	n++;
	/* 135 and 136 are what they are together with, but for the last bit of the one plus 1 */
	ops[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TYPE_AT);
	ops[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, ND_SOLICIT);
	ops[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, ND_ADVERT - ND_SOLICIT, (uint8_t)(cnt - n - 2), 0);
	n++;
	for (unsigned int w = 0; w < words; w++) {
		unsigned int bits = min_u32(p->len - 32 * w, 32);
		uint32_t mask = bits == 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);

		ops[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, TARGET_AT + 4 * w);
		ops[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask);
		ops[n] = equal_or_end(be32_get(p->addr.words[w]), n, cnt);
		n++;
	}
	ops[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, WHOLE);
	ops[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	return n;
}

/* Without a protocol until the filter is there: nothing gets in before. */
static int open_packet(uint32_t ifindex, const struct ip_prefix *prefix, int *ret_fd)
{
	struct sock_filter ops[OPS_MAX];
	const struct sock_fprog prog = { .len = (unsigned short)filter_of(prefix, ops), .filter = ops };
	const struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_TYPE_IP6), .sll_ifindex = (int)ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), bytes = BUFFER_BYTES, r = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) != 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
		r = -errno;
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

static void watch(const struct own6_sock *s, int op, uint32_t events)
{
	struct epoll_event e = { .events = events };

	epoll_ctl(s->epoll_fd, op, s->fd, &e);
}

int own6_sock_open(uint32_t ifindex, const struct ip_prefix *prefix, struct own6_sock *ret_sock)
{
	struct own6_sock s = { .ifindex = ifindex, .fd = -1 };
	int r;

	lan_limit_init(&s.limit, OWN6_SOCK_PER_SECOND, OWN6_SOCK_BURST);
	s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll_fd < 0)
		return -errno;
	r = open_packet(ifindex, prefix, &s.fd);
	if (r < 0) {
		close(s.epoll_fd);
		return r;
	}
	watch(&s, EPOLL_CTL_ADD, EPOLLIN);
	*ret_sock = s;
	return 0;
}

void own6_sock_close(struct own6_sock *s)
{
	close(s->fd);
	close(s->epoll_fd);
}

size_t own6_sock_read(struct own6_sock *s, uint8_t frame[static OWN6_SOCK_FRAME_MAX], uint64_t now_us)
{
	bool pause = lan_limit_at(&s->limit) > now_us;

	if (pause != s->paused)
		watch(s, EPOLL_CTL_MOD, pause ? 0 : EPOLLIN);
	s->paused = pause;
	return lan_sock_recv(s->fd, s->ifindex, &s->limit, frame, OWN6_SOCK_FRAME_MAX, now_us);
}

uint64_t own6_sock_deadline_us(const struct own6_sock *s)
{
	return s->paused ? lan_limit_at(&s->limit) : TIME_NEVER;
}

void own6_sock_send(const struct own6_sock *s, const uint8_t *frame, size_t len)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)s->ifindex, .sll_halen = 6 };

	(void)!sendto(s->fd, frame, len, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
}

int own6_sock_join(uint32_t ifindex, const struct ip_addr *addr)
{
	struct ip_addr group = nd_group(addr);
	struct ipv6_mreq req = { .ipv6mr_interface = ifindex };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(&req.ipv6mr_multiaddr, group.bytes, sizeof(group.bytes));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &req, sizeof(req)) != 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}
