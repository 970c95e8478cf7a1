// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_reset.h"

#include "wire/checksum.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BATCH = 4096,
	PEERS_MAX = 16384, /* some 50 ms of vjd's time */
	HOPS = 64,
};

struct prodder {
	int fds[2]; /* raw sockets: IPv4, IPv6 */
	unsigned left;
};

static struct csum write_tcp(uint8_t *p, const struct policy_flow *flow)
{
	const struct tcp_fields fields = {
		.src_port = be16_get(flow->local_port),
		.dst_port = be16_get(flow->remote_port),
		.flags = TCP_ACK,
	};

	tcp_build_hdr(p, &fields, 0);
	return csum_pseudo_addr(&flow->local, &flow->remote, IP_PROTO_TCP, TCP_HDR_BYTES);
}

static void prod4(int fd, const struct policy_flow *flow)
{
	const struct ip4_fields ip = {
		.src = ip_addr_v4(&flow->local),
		.dst = ip_addr_v4(&flow->remote),
		.payload_len = TCP_HDR_BYTES,
		.dont_frag = true,
		.ttl = HOPS,
		.proto = IP_PROTO_TCP,
	};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = ip.dst.raw };
	uint8_t pkt[IP4_HDR_BYTES + TCP_HDR_BYTES];

	ip4_build(pkt, &ip);
	ip4_csum_fill(pkt);
	tcp_csum_fill(pkt + IP4_HDR_BYTES, TCP_HDR_BYTES, write_tcp(pkt + IP4_HDR_BYTES, flow));
	sendto(fd, pkt, sizeof(pkt), MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
}

static void prod6(int fd, const struct policy_flow *flow)
{
	const struct ip6_fields ip = {
		.src = flow->local,
		.dst = flow->remote,
		.payload_len = TCP_HDR_BYTES,
		.proto = IP_PROTO_TCP,
		.hop_limit = HOPS,
	};
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	uint8_t pkt[IP6_HDR_BYTES + TCP_HDR_BYTES];

	memcpy(&to.sin6_addr, flow->remote.bytes, sizeof(to.sin6_addr));
	ip6_build(pkt, &ip);
	tcp_csum_fill(pkt + IP6_HDR_BYTES, TCP_HDR_BYTES, write_tcp(pkt + IP6_HDR_BYTES, flow));
	sendto(fd, pkt, sizeof(pkt), MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
}

static void prod(struct prodder *p, const struct policy_flow *flow)
{
	if (flow->proto != IP_PROTO_TCP || p->left == 0)
		return;
	p->left--;
	if (ip_addr_is_v4(&flow->local))
		prod4(p->fds[0], flow);
	else
		prod6(p->fds[1], flow);
}

struct flow_batch {
	struct policy_flow flows[BATCH];
	uint32_t apps[BATCH];
};

struct which {
	uint32_t nr; /* 0: all that are in no @devs_fd */
	int devs_fd;
};

static bool is_meant(const struct which *which, uint32_t nr)
{
	uint32_t ifindex;

	return which->nr != 0 ? nr == which->nr : bpf_map_lookup_elem(which->devs_fd, &nr, &ifindex) != 0;
}

static void walk(int flows_fd, const struct which *which, struct flow_batch *b, struct prodder *p)
{
	uint32_t at, cnt;
	bool more = true;

	for (void *from = NULL; more && p->left > 0; from = &at) {
		cnt = BATCH;
		/* an error is the end; what came before it counts */
		more = bpf_map_lookup_batch(flows_fd, from, &at, b->flows, b->apps, &cnt, NULL) == 0;
		for (uint32_t i = 0; i < cnt && cnt <= BATCH; i++)
			if (is_meant(which, b->apps[i]))
				prod(p, &b->flows[i]);
	}
}

/* Another version's map may have other entries. */
static bool is_map_of_flows(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 && info.key_size == sizeof(struct policy_flow) &&
	       info.value_size == sizeof(uint32_t);
}

static void reset(int flows_fd, const struct which *which)
{
	struct prodder p = { .left = PEERS_MAX };
	struct flow_batch *b = malloc(sizeof(*b));

	p.fds[0] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	p.fds[1] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (b != NULL)
		walk(flows_fd, which, b, &p);
	for (unsigned i = 0; i < ARRAY_SIZE(p.fds); i++)
		if (p.fds[i] >= 0)
			close(p.fds[i]);
	free(b);
}

void if_reset_peers(const struct if_dispatch *d, uint32_t nr)
{
	reset(d->map_fds[IF_MAP_FLOWS], &(struct which){ .nr = nr });
}

void if_reset_dead(const struct if_dispatch *d, int flows_fd)
{
	if (is_map_of_flows(flows_fd))
		reset(flows_fd, &(struct which){ .devs_fd = d->map_fds[IF_MAP_DEVS] });
}
