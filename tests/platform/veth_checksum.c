// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the kernel sends over veth carries a checksum that nobody has filled in, unless the sender's offload is switched
 * off. A stack that verifies would drop all of it; so who sets the devices up switches it off.
 */
#include "platform.h"

enum { PORT = 9000 };

/* Of a UDP datagram without options: right if all 16-bit words and the pseudo-header sum up to 0xffff. */
static bool checksum_right(const uint8_t *ip, unsigned len)
{
	uint32_t sum = 17 + (len - 20);

	for (unsigned i = 12; i < len; i += 2)
		sum += (uint32_t)(ip[i] << 8 | (i + 1 < len ? ip[i + 1] : 0));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static bool received_right(struct xsk *x, int udp, uint32_t at)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(0x0a000002) };
	struct xdp_desc desc;

	EXPECT(sendto(udp, "text", 4, 0, (struct sockaddr *)&to, sizeof(to)) == 4);
	settle();
	EXPECT(word_get(x->rx, x->at.rx.producer) == at + 1);
	desc = ((struct xdp_desc *)(void *)(x->rx + x->at.rx.desc))[at];
	EXPECT(desc.len == 14 + 20 + 8 + 4);
	return checksum_right(x->mem + desc.addr + 14, desc.len - 14);
}

int main(void)
{
	int map, link, udp;
	struct xsk x;

	devices();
	run("ip addr add 10.0.0.1/24 dev a0 && ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev a0");
	map = map_new(BPF_MAP_TYPE_XSKMAP);
	link = attach("a1", prog_redirect(map, XDP_PASS));
	x = xsk_new(64);
	EXPECT(xsk_bind(&x, "a1", XDP_COPY) == 0);
	xsk_map(&x);
	xsk_fill(&x, 64);
	EXPECT(map_set(map, (uint32_t)x.fd) == 0);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	EXPECT(!received_right(&x, udp, 0));
	SKIP_UNLESS(system("ethtool -K a0 tx off >/dev/null 2>&1") == 0, "ethtool");
	EXPECT(received_right(&x, udp, 1));
	close(link);
	return 0;
}
