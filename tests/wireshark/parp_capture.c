// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writes a capture with every message of port-aware ARP in every encoding that it has, an ordinary ARP request and one
 * message that is broken: parp.pcap beside this file, which the dissector is tried on. usage: parp_capture FILE
 */
#include "wire/arp.h"
#include "wire/ip.h"
#include "wire/parp.h"

#include <stdio.h>

static const struct parp_key key = { 7, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } };
static const struct mac_addr asker = { { 0x52, 0x54, 0, 0, 0, 0x0a } };
static const struct mac_addr owner = { { 0x52, 0x54, 0, 0, 0, 0x0b } };
static const struct mac_addr all = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

struct capture {
	FILE *file;
	uint32_t cnt;
};

/* The format of libpcap, in this machine's order as it allows; one frame a second. */
static void put(struct capture *c, const void *frame, size_t len)
{
	const uint32_t record[] = { c->cnt++, 0, (uint32_t)len, (uint32_t)len };

	fwrite(record, sizeof(record), 1, c->file);
	fwrite(frame, 1, len, c->file);
}

static struct ip_addr ip_of(uint8_t encoding)
{
	static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

	return encoding == PARP_ND ? ip_addr_from_v6(v6) : ip_addr_from_v4(be32(0x0a000001));
}

static struct parp_msg about_endpoint(uint8_t encoding, uint8_t type)
{
	static const uint8_t from[16] = { 0xfe, 0x80, [15] = 0x0b }, to[16] = { 0xff, 0x02, [15] = 1 };
	bool asked = type == PARP_QUERY || parp_is_answer(type);
	struct parp_msg msg = {
		.eth_dst = parp_is_answer(type) ? asker : all,
		.eth_src = type == PARP_QUERY ? asker : owner,
		.encoding = encoding,
		.type = type,
		.has = PARP_HAS_HOST | (asked ? PARP_HAS_NONCE : 0),
		.nonce = UINT64_C(0x0123456789abcdef),
		.lifetime_ms = 60000,
		.host.bytes = { 0xa0, 0xa1, 0xa2 },
		.ip6_src = ip_addr_from_v6(from),
		.ip6_dst = ip_addr_from_v6(to),
	};

	msg.sender_mac = msg.eth_src;
	if (asked)
		msg.target = (struct parp_endpoint){ ip_of(encoding), 6379, 6379, IP_PROTO_TCP, 0 };
	if (type == PARP_QUERY)
		return msg;
	if (type != PARP_RELEASE)
		msg.has |= PARP_HAS_LIFETIME;
	msg.sender = (struct parp_endpoint){ ip_of(encoding), 6368, 6399, IP_PROTO_TCP, 0x00030007 };
	if (type != PARP_NEG)
		msg.sender_mac = (struct mac_addr){ { 0xc2, 0x11, 0x22, 0x33, 0x44, 0x55 } };
	if (asked)
		msg.target_mac = asker;
	return msg;
}

static struct parp_msg about_macs(uint8_t encoding, uint8_t type)
{
	struct parp_msg msg = {
		.eth_dst = all,
		.eth_src = owner,
		.encoding = encoding,
		.type = type,
		.sender_mac = owner,
		.sender.gen = 0x00030000,
		.has = PARP_HAS_HOST | (type == PARP_MAC_PROBE ? PARP_HAS_NONCE : 0),
		.nonce = 1,
		.host.bytes = { 0xa0, 0xa1, 0xa2 },
		.mac_cnt = type == PARP_MAC_CLAIM ? 3 : 1,
		.macs = { { { 0xc2, 1, 1, 1, 1, 1 } }, { { 0x22, 2, 2, 2, 2, 2 } }, { { 0xe2, 3, 3, 3, 3, 3 } } },
	};

	return msg;
}

static void put_all(struct capture *c, const struct parp_config *cfg, uint8_t encoding)
{
	uint8_t frame[PARP_FRAME_MAX];

	for (uint8_t type = PARP_QUERY; type < PARP_TYPE_END; type++) {
		bool macs = parp_is_about_macs(type);
		struct parp_msg msg = macs ? about_macs(encoding, type) : about_endpoint(encoding, type);

		if (encoding != PARP_ND || !macs)
			put(c, frame, parp_build(frame, cfg, &msg));
	}
}

static void put_others(struct capture *c, const struct parp_config *cfg)
{
	const struct eth_fields eth = { .dst = all, .src = asker, .type = ETH_TYPE_ARP };
	const struct arp_fields arp = { ARP_OP_REQUEST, asker, { { 0 } }, be32(0x0a000002), be32(0x0a000001) };
	struct parp_msg msg = about_endpoint(PARP_E1, PARP_QUERY);
	uint8_t frame[PARP_FRAME_MAX];
	size_t len = eth_build(frame, &eth);

	len += arp_build(frame + len, &arp);
	put(c, frame, len);
	len = parp_build(frame, cfg, &msg);
	frame[ETH_HDR_BYTES + PARP_FIXED_BYTES + 1] = 200; /* the first TLV reaches past the message */
	put(c, frame, len);
}

int main(int argc, char **argv)
{
	/* magic; version 2.4, as two numbers of 16 bits; zone, accuracy; longest frame; Ethernet */
	const uint16_t version[2] = { 2, 4 };
	uint32_t head[] = { 0xa1b2c3d4, load_u32(version), 0, 0, 65535, 1 };
	struct parp_config plain = PARP_CONFIG_DEFAULT, keyed = PARP_CONFIG_DEFAULT;
	struct capture c = { .cnt = 0 };

	if (argc != 2 || (c.file = fopen(argv[1], "w")) == NULL) {
		fprintf(stderr, "usage: parp_capture FILE\n");
		return 2;
	}
	fwrite(head, sizeof(head), 1, c.file);
	keyed.keys = &key;
	keyed.key_cnt = 1;
	put_all(&c, &plain, PARP_E1);
	put_all(&c, &keyed, PARP_E2);
	put_all(&c, &plain, PARP_ND);
	put_others(&c, &plain);
	return fclose(c.file) == 0 ? 0 : 1;
}
