// SPDX-License-Identifier: BSD-2-Clause
#include "wire/ip.h"

#include "wire/ip4.h"
#include "wire/ip6.h"

#include <string.h>

bool ip_csum_ok(const struct ip_view *ip, const void *hdr, size_t hdr_len, const void *rest,
		size_t rest_len)
{
	struct csum sum = ip_csum_pseudo(ip, (uint32_t)(hdr_len + rest_len));

	sum = csum_add(sum, csum_bytes(hdr, hdr_len));
	if (rest_len > 0)
		sum = csum_add_at(sum, csum_bytes(rest, rest_len), hdr_len);
	return csum_is_ok(sum);
}

enum wire_err ip_parse_part(const void *p, size_t avail, size_t len, struct ip_view *ret_view)
{
	const uint8_t *bytes = p;

	if (avail == 0)
		return len == 0 ? WIRE_SHORT : WIRE_TOO_DEEP;
	switch (bytes[0] >> 4) {
	case 4:
		return ip4_parse_part(p, avail, len, ret_view);
	case 6:
		return ip6_parse_part(p, avail, len, ret_view);
	default:
		return WIRE_BAD_VERSION;
	}
}

/*
 * A quote is a packet whose end was cut off: parsed as the front part of a packet as long as it
 * says to be. What an IPv6 quote's length field hides (0 with a jumbogram) is no packet of ours.
 */
enum wire_err ip_parse_quoted(const void *p, size_t len, struct ip_view *ret_view)
{
	const uint8_t *bytes = p;
	size_t full = len;
	struct ip_view view;
	enum wire_err err;

	if (len >= IP4_HDR_BYTES && bytes[0] >> 4 == 4)
		full = load_be16(bytes + offsetof(struct ip4_hdr, total_len));
	else if (len >= IP6_HDR_BYTES && bytes[0] >> 4 == 6)
		full = IP6_HDR_BYTES +
		       (size_t)load_be16(bytes + offsetof(struct ip6_hdr, payload_len));
	err = ip_parse_part(p, len, max_size(full, len), &view);
	if (err != WIRE_OK)
		return err == WIRE_TOO_DEEP ? WIRE_SHORT : err;
	view.payload_len = (uint16_t)min_size(view.payload_len, len - view.hdr_len);
	*ret_view = view;
	return WIRE_OK;
}
