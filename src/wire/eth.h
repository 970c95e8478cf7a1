// SPDX-License-Identifier: BSD-2-Clause
/*
 * Ethernet II with up to two VLAN tags: IEEE 802.3, 802.1Q, 802.1ad.
 *
 * Rules that all headers in this directory keep:
 *
 * X_parse(p, ..., ret) checks everything there is to check, once. On WIRE_OK the view is filled and
 * nothing read from it can fail; on an error `ret` is untouched. The bytes at `p` may have any
 * alignment, and must not change while a view of them is in use: a caller whose packet lies in
 * shared memory copies the headers out first.
 *
 * For that caller there is X_parse_part(p, avail, len, ...): `avail` bytes may be read at `p`, of a
 * packet that has `len` >= `avail`. Where a header reaches past `avail`, the answer is
 * WIRE_TOO_DEEP. Ethernet and ARP, which come first and are short, have no such form.
 *
 * X_build(p, fields) writes the header to `p` and returns its length, which the caller made sure is
 * there (X_HDR_MAX at most). Checksum fields are left 0; filling them is a step of its own, since
 * direct channels do without.
 */
#ifndef VJ_WIRE_ETH_H
#define VJ_WIRE_ETH_H

#include "base/addr.h"
#include "base/types.h"
#include "wire/err.h"

#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_ARP 0x0806
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_IP6 0x86dd
#define ETH_TYPE_QINQ 0x88a8
#define ETH_TYPE_LINK 0x88b5 /* local experimental (IEEE 802): what the two ends of a direct channel say to each other */

/* A type field below this is an 802.3 length: LLC, spanning tree and the like. */
#define ETH_TYPE_MIN 0x0600

#define ETH_HDR_BYTES 14
#define ETH_VLAN_BYTES 4
#define ETH_VLAN_MAX 2
#define ETH_HDR_MAX (ETH_HDR_BYTES + ETH_VLAN_MAX * ETH_VLAN_BYTES)

struct eth_hdr {
	struct mac_addr dst;
	struct mac_addr src;
	struct be16 type;
} VJ_PACKED;

struct eth_vlan {
	struct be16 tci; /* priority 3 bits, drop eligible 1 bit, VLAN id 12 bits */
	struct be16 type;
} VJ_PACKED;

_Static_assert(sizeof(struct eth_hdr) == ETH_HDR_BYTES, "IEEE 802.3");
_Static_assert(offsetof(struct eth_hdr, type) == 12, "IEEE 802.3");
_Static_assert(sizeof(struct eth_vlan) == ETH_VLAN_BYTES, "IEEE 802.1Q");

struct eth_view {
	const struct eth_hdr *hdr;
	uint16_t type; /* of what follows the last tag */
	uint8_t hdr_len;
	uint8_t vlan_cnt;
	uint16_t vlan_tci[ETH_VLAN_MAX]; /* outermost first; valid up to vlan_cnt */
};

struct eth_fields {
	struct mac_addr dst;
	struct mac_addr src;
	uint16_t type;
	uint8_t vlan_cnt; /* 0 to ETH_VLAN_MAX; two means 802.1ad outside, 802.1Q inside */
	uint16_t vlan_tci[ETH_VLAN_MAX];
};

/* With one tag or two. Reached through eth_parse(). */
enum wire_err eth_parse_vlan(const void *p, size_t len, struct eth_view *ret_view);

/* WIRE_SHORT; WIRE_BAD_TYPE for 802.3 length frames and for a third tag. */
static inline enum wire_err eth_parse(const void *p, size_t len, struct eth_view *ret_view)
{
	const struct eth_hdr *hdr = p;
	uint16_t type;

	if (unlikely(len < ETH_HDR_BYTES))
		return WIRE_SHORT;
	type = be16_get(hdr->type);
	if (unlikely(type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ))
		return eth_parse_vlan(p, len, ret_view);
	if (unlikely(type < ETH_TYPE_MIN))
		return WIRE_BAD_TYPE;
	ret_view->hdr = hdr;
	ret_view->type = type;
	ret_view->hdr_len = ETH_HDR_BYTES;
	ret_view->vlan_cnt = 0;
	return WIRE_OK;
}

size_t eth_build(void *p, const struct eth_fields *fields);

#endif
