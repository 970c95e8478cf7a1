// SPDX-License-Identifier: BSD-2-Clause
/*
 * The decoder of port-aware ARP, over frames of anybody's making. What must hold:
 *
 *  - nothing is read outside the input (AddressSanitizer watches);
 *  - who is refused leaves the result alone; who is taken has what its type must have;
 *  - what was taken, built again and parsed again, is the same, and is built to the same bytes.
 *
 * Neighbour discovery is refused if its checksum is wrong, which mutations don't get right: it is mended first. Half of
 * the inputs are parsed by somebody who has a key.
 */
#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/ip.h"
#include "wire/parp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ICMP6_AT = ETH_HDR_BYTES + 40 };

static const struct parp_key key = { 7, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } };

static void mend_checksum(uint8_t *frame, size_t len)
{
	size_t payload;
	struct be16 sum;

	if (len < ICMP6_AT + 8 || load_be16(frame + 12) != ETH_TYPE_IP6)
		return;
	payload = load_be16(frame + ETH_HDR_BYTES + 4);
	if (payload < 8 || payload > len - ICMP6_AT)
		return;
	memset(frame + ICMP6_AT + 2, 0, 2);
	sum = csum_finish(csum_add(csum_pseudo_v6(frame + ETH_HDR_BYTES + 8, frame + ETH_HDR_BYTES + 24, IP_PROTO_ICMP6,
						  (uint32_t)payload),
				   csum_bytes(frame + ICMP6_AT, payload)));
	memcpy(frame + ICMP6_AT + 2, &sum, sizeof(sum));
}

static void check_taken(const struct parp_msg *msg)
{
	VJ_ASSERT(msg->type >= PARP_QUERY && msg->type < PARP_TYPE_END);
	VJ_ASSERT_OP(msg->mac_cnt, <=, PARP_MACS_MAX);
	VJ_ASSERT((msg->mac_cnt > 0) == parp_is_about_macs(msg->type));
	VJ_ASSERT(!mac_addr_is_multicast(&msg->eth_src));
	for (unsigned i = 0; i < msg->mac_cnt; i++)
		VJ_ASSERT(parp_mac_is_application(&msg->macs[i]));
	if (msg->type == PARP_REPLY)
		VJ_ASSERT(parp_mac_is_application(&msg->sender_mac) && msg->sender.port_lo <= msg->sender.port_hi);
}

/* What is behind the first round trip is said in one way only. */
static void check_again(const struct parp_config *cfg, const struct parp_msg *msg)
{
	uint8_t once[PARP_FRAME_MAX], twice[PARP_FRAME_MAX];
	size_t len = parp_build(once, cfg, msg);
	struct parp_msg back;

	/* the other one's frame had more room: jumbo frames, no AUTH of ours */
	if (len == 0)
		return;
	VJ_ASSERT(parp_parse(once, len, cfg, &back) == PARP_ERR_OK);
	VJ_ASSERT(back.type == msg->type && back.has == msg->has && back.mac_cnt == msg->mac_cnt);
	VJ_ASSERT(back.nonce == msg->nonce && back.lifetime_ms == msg->lifetime_ms);
	VJ_ASSERT(back.authentic == (cfg->key_cnt > 0));
	VJ_ASSERT_OP(parp_build(twice, cfg, &back), ==, len);
	VJ_ASSERT(memcmp(once, twice, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct parp_config cfg = PARP_CONFIG_DEFAULT;
	struct parp_msg msg = { .type = 0xee };
	enum parp_err err;
	uint8_t *frame;

	if (len < 1)
		return 0;
	cfg.keys = &key;
	cfg.key_cnt = data[0] & 1;
	frame = malloc(len);
	if (frame == NULL)
		return 0;
	memcpy(frame, data + 1, len - 1);
	/* so that the sanitizer sees the first byte behind the frame */
	frame = realloc(frame, len > 1 ? len - 1 : 1);
	mend_checksum(frame, len - 1);
	err = parp_parse(frame, len - 1, &cfg, &msg);
	free(frame);
	VJ_ASSERT_OP((int)err, <, PARP_ERR_CNT);
	VJ_ASSERT((err == PARP_ERR_OK) == (msg.type != 0xee));
	if (err == PARP_ERR_OK) {
		check_taken(&msg);
		check_again(&cfg, &msg);
	}
	return 0;
}
