/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/raw_tcp.h"

#include "wire/checksum.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOPS = 64 };

void raw_tcp_open(struct raw_tcp *raw)
{
	raw->fds[0] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	raw->fds[1] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
}

void raw_tcp_close(const struct raw_tcp *raw)
{
	for (unsigned i = 0; i < ARRAY_SIZE(raw->fds); i++)
		if (raw->fds[i] >= 0)
			close(raw->fds[i]);
}

static void write_tcp(uint8_t *p, const struct ip_addr *src, const struct ip_addr *dst, const struct tcp_fields *fields)
{
	tcp_build_hdr(p, fields, 0);
	tcp_csum_fill(p, TCP_HDR_BYTES, csum_pseudo_addr(src, dst, IP_PROTO_TCP, TCP_HDR_BYTES));
}

static void send4(int fd, const struct ip_addr *src, const struct ip_addr *dst, const struct tcp_fields *fields)
{
	const struct ip4_fields ip = {
		.src = ip_addr_v4(src),
		.dst = ip_addr_v4(dst),
		.payload_len = TCP_HDR_BYTES,
		.dont_frag = true,
		.ttl = HOPS,
		.proto = IP_PROTO_TCP,
	};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = ip.dst.raw };
	uint8_t pkt[IP4_HDR_BYTES + TCP_HDR_BYTES];

	ip4_build(pkt, &ip);
	ip4_csum_fill(pkt);
	write_tcp(pkt + IP4_HDR_BYTES, src, dst, fields);
	sendto(fd, pkt, sizeof(pkt), MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
}

static void send6(int fd, const struct ip_addr *src, const struct ip_addr *dst, uint32_t ifindex, const struct tcp_fields *fields)
{
	const struct ip6_fields ip = {
		.src = *src,
		.dst = *dst,
		.payload_len = TCP_HDR_BYTES,
		.proto = IP_PROTO_TCP,
		.hop_limit = HOPS,
	};
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	uint8_t pkt[IP6_HDR_BYTES + TCP_HDR_BYTES];

	memcpy(&to.sin6_addr, dst->bytes, sizeof(to.sin6_addr));
	if (ip_addr_is_link_local(dst))
		to.sin6_scope_id = ifindex;
	ip6_build(pkt, &ip);
	write_tcp(pkt + IP6_HDR_BYTES, src, dst, fields);
	sendto(fd, pkt, sizeof(pkt), MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
}

void raw_tcp_send(const struct raw_tcp *raw, const struct ip_addr *src, const struct ip_addr *dst, uint32_t ifindex,
		  const struct tcp_fields *fields)
{
	if (ip_addr_is_v4(dst))
		send4(raw->fds[0], src, dst, fields);
	else
		send6(raw->fds[1], src, dst, ifindex, fields);
}
