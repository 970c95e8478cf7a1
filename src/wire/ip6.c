// SPDX-License-Identifier: BSD-2-Clause
/* The walk through IPv6 extension headers: RFC 8200 section 4. */
#include "wire/ip6.h"

#include <string.h>

/* Of an option type: what to do with the packet if the option is unknown; 00 is "skip". */
#define OPT_PAD1 0
#define OPT_PADN 1
#define OPT_ACTION_SHIFT 6

struct walk {
	const uint8_t *bytes;
	size_t avail; /* bytes that may be read */
	size_t end;   /* of the packet, by its length field */
	size_t off;   /* of the header looked at */
	uint8_t next; /* its type */
	bool done;    /* the payload follows */
	struct ip_view view;
};

/* Can `bytes` be read at the offset? */
static enum wire_err need(const struct walk *walk, size_t bytes)
{
	if (walk->end - walk->off < bytes)
		return WIRE_BAD_HLEN;
	if (walk->avail < walk->off + bytes)
		return WIRE_TOO_DEEP;
	return WIRE_OK;
}

/*
 * RFC 8200 section 4.2. Of the options there are, none concerns us (router alert, jumbo payload,
 * ...), so all but padding are unknown, and their first two bits decide.
 */
static enum wire_err check_options(const uint8_t *opts, size_t len)
{
	size_t off = 0;

	while (off < len) {
		uint8_t type = opts[off];

		if (type == OPT_PAD1) {
			off++;
			continue;
		}
		if (len - off < 2 || len - off - 2 < opts[off + 1])
			return WIRE_BAD_OPTION;
		if (type != OPT_PADN && type >> OPT_ACTION_SHIFT != 0)
			return WIRE_BAD_OPTION;
		off += 2 + (size_t)opts[off + 1];
	}
	return WIRE_OK;
}

static enum wire_err step_fragment(struct walk *walk)
{
	const struct ip6_frag_hdr *frag = (const void *)(walk->bytes + walk->off);
	enum wire_err err = need(walk, IP6_FRAG_BYTES);
	uint16_t off_more;
	size_t rest;

	if (err != WIRE_OK)
		return err;
	if (walk->view.frag_hdr_off != 0)
		return WIRE_BAD_EXT;
	off_more = be16_get(frag->off_more);
	walk->view.frag_hdr_off = (uint16_t)walk->off;
	walk->view.frag_off = off_more & 0xfff8;
	walk->view.more_frags = (off_more & 1) != 0;
	walk->view.frag_id = be32_get(frag->id);
	walk->view.proto_off = (uint16_t)(walk->off + offsetof(struct ip6_frag_hdr, next));
	walk->next = frag->next;
	walk->off += IP6_FRAG_BYTES;
	rest = walk->end - walk->off;
	if (ip_is_frag(&walk->view) && (rest == 0 || walk->view.frag_off + rest > IP_PKT_MAX ||
					(walk->view.more_frags && rest % 8 != 0)))
		return WIRE_BAD_FRAG;
	walk->done = walk->view.frag_off != 0;
	return WIRE_OK;
}

/*
 * Hop-by-hop, destination and routing headers: type of the next, length in units of 8 bytes less
 * one.
 */
static enum wire_err step_sized(struct walk *walk)
{
	const uint8_t *hdr = walk->bytes + walk->off;
	enum wire_err err = need(walk, 8);
	size_t hdr_len;

	if (err != WIRE_OK)
		return err;
	hdr_len = ((size_t)hdr[1] + 1) * 8;
	err = need(walk, hdr_len);
	if (err != WIRE_OK)
		return err;
	if (walk->next == IP6_EXT_ROUTING) {
		/* We forward nothing: with segments left it is for somebody else (RFC 5095). */
		if (hdr[3] != 0)
			return WIRE_BAD_EXT;
	} else {
		err = check_options(hdr + 2, hdr_len - 2);
		if (err != WIRE_OK)
			return err;
	}
	walk->view.proto_off = (uint16_t)walk->off;
	walk->next = hdr[0];
	walk->off += hdr_len;
	return WIRE_OK;
}

static enum wire_err walk_headers(struct walk *walk)
{
	for (unsigned int cnt = 0; ip6_is_ext(walk->next) && !walk->done; cnt++) {
		enum wire_err err;

		if (cnt == IP6_EXT_MAX)
			return WIRE_BAD_EXT;
		/* Hop-by-hop options come first or not at all. */
		if (walk->next == IP6_EXT_HOP_BY_HOP && walk->off != IP6_HDR_BYTES)
			return WIRE_BAD_EXT;
		err = walk->next == IP6_EXT_FRAGMENT ? step_fragment(walk) : step_sized(walk);
		if (err != WIRE_OK)
			return err;
	}
	return WIRE_OK;
}

enum wire_err ip6_parse_ext(const void *p, size_t avail, size_t len, struct ip_view *ret_view)
{
	const struct ip6_hdr *hdr = p;
	struct walk walk = {
		.bytes = p,
		.avail = avail,
		.end = IP6_HDR_BYTES + (size_t)be16_get(hdr->payload_len),
		.off = IP6_HDR_BYTES,
		.next = hdr->next,
		.view = {
			.hdr = p,
			.version = 6,
			.ttl = hdr->hop_limit,
			.tos = (uint8_t)(be32_get(hdr->version_class_flow) >> 20),
			.dont_frag = true,
			.proto_off = offsetof(struct ip6_hdr, next),
		},
	};
	enum wire_err err;

	if (walk.end > len)
		return WIRE_BAD_LEN;
	err = walk_headers(&walk);
	if (err != WIRE_OK)
		return err;
	walk.view.proto = walk.next;
	walk.view.hdr_len = (uint16_t)walk.off;
	walk.view.payload_len = (uint16_t)(walk.end - walk.off);
	*ret_view = walk.view;
	return WIRE_OK;
}
