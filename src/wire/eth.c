// SPDX-License-Identifier: BSD-2-Clause
#include "wire/eth.h"

static bool is_vlan_type(uint16_t type)
{
	return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

enum wire_err eth_parse_vlan(const void *p, size_t len, struct eth_view *ret_view)
{
	const uint8_t *bytes = p;
	struct eth_view view = { .hdr = p, .hdr_len = ETH_HDR_BYTES };

	view.type = be16_get(view.hdr->type);
	while (is_vlan_type(view.type)) {
		const struct eth_vlan *tag = (const void *)(bytes + view.hdr_len);

		if (view.vlan_cnt == ETH_VLAN_MAX)
			return WIRE_BAD_TYPE;
		if (len - view.hdr_len < ETH_VLAN_BYTES)
			return WIRE_SHORT;
		view.vlan_tci[view.vlan_cnt++] = be16_get(tag->tci);
		view.type = be16_get(tag->type);
		view.hdr_len = (uint8_t)(view.hdr_len + ETH_VLAN_BYTES);
	}
	if (view.type < ETH_TYPE_MIN)
		return WIRE_BAD_TYPE;
	*ret_view = view;
	return WIRE_OK;
}

/* The type that stands in front of tag `idx`, or of the payload behind the last. */
static uint16_t type_before(const struct eth_fields *fields, unsigned int idx)
{
	if (idx >= fields->vlan_cnt)
		return fields->type;
	return idx + 1 < fields->vlan_cnt ? ETH_TYPE_QINQ : ETH_TYPE_VLAN;
}

size_t eth_build(void *p, const struct eth_fields *fields)
{
	struct eth_hdr *hdr = p;
	struct eth_vlan *tag = (void *)(hdr + 1);

	hdr->dst = fields->dst;
	hdr->src = fields->src;
	hdr->type = be16(type_before(fields, 0));
	for (unsigned int i = 0; i < fields->vlan_cnt; i++, tag++) {
		tag->tci = be16(fields->vlan_tci[i]);
		tag->type = be16(type_before(fields, i + 1));
	}
	return ETH_HDR_BYTES + fields->vlan_cnt * (size_t)ETH_VLAN_BYTES;
}
