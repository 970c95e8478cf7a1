// SPDX-License-Identifier: BSD-2-Clause
/*
 * TCP header and options: RFC 9293 section 3.1; RFC 7323 (window scale, timestamps), RFC 2018
 * (SACK), RFC 7413 (fast open), RFC 5482 (user timeout). See eth.h for the rules.
 *
 * Nearly every segment of an established connection has no option, or 12 bytes of them: NOP, NOP,
 * timestamps. tcp_opts_parse() recognises both with one comparison; the general walk is out of
 * line.
 */
#ifndef VJ_WIRE_TCP_H
#define VJ_WIRE_TCP_H

#include "base/types.h"
#include "wire/checksum.h"
#include "wire/err.h"

#define TCP_HDR_BYTES 20
#define TCP_HDR_MAX 60
#define TCP_OPTS_MAX (TCP_HDR_MAX - TCP_HDR_BYTES)

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80

#define TCP_OPT_EOL 0
#define TCP_OPT_NOP 1
#define TCP_OPT_MSS 2
#define TCP_OPT_WSCALE 3
#define TCP_OPT_SACK_PERMITTED 4
#define TCP_OPT_SACK 5
#define TCP_OPT_TS 8
#define TCP_OPT_UTO 28
#define TCP_OPT_FASTOPEN 34
#define TCP_OPT_EXP 254 /* RFC 6994; two bytes say whose experiment it is */
#define TCP_EXP_FASTOPEN 0xf989u

/* RFC 7323 section 2.3: a larger shift counts as this one. */
#define TCP_WSCALE_MAX 14
#define TCP_SACK_MAX 4
/* Bytes that @cnt SACK blocks take, padding before them included */
#define TCP_SACK_LEN_ONE 8u
#define TCP_SACK_LEN(cnt) (4u + TCP_SACK_LEN_ONE * (cnt))
#define TCP_FASTOPEN_MIN 4
#define TCP_FASTOPEN_MAX 16

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------------------------------+-------------------------------+
 * |           src_port            |           dst_port            |
 * +-------------------------------+-------------------------------+
 * |                              seq                              |
 * +---------------------------------------------------------------+
 * |                              ack                              |
 * +-------+-------+---------------+-------------------------------+
 * | words |   0   |C E U A P R S F|            window             |
 * +-------+-------+---------------+-------------------------------+
 * |             csum              |             urgent            |
 * +-------------------------------+-------------------------------+
 */
struct tcp_hdr {
	struct be16 src_port;
	struct be16 dst_port;
	struct be32 seq;
	struct be32 ack;
	uint8_t words_reserved;
	uint8_t flags;
	struct be16 window;
	struct be16 csum;
	struct be16 urgent;
} VJ_PACKED;

_Static_assert(sizeof(struct tcp_hdr) == TCP_HDR_BYTES, "RFC 9293");
_Static_assert(offsetof(struct tcp_hdr, words_reserved) == 12, "RFC 9293");
_Static_assert(offsetof(struct tcp_hdr, csum) == 16, "RFC 9293");

struct tcp_view {
	const struct tcp_hdr *hdr;
	uint32_t seq;
	uint32_t ack;
	uint16_t src_port;
	uint16_t dst_port;
	uint16_t window; /* not scaled */
	uint16_t urgent;
	uint16_t payload_len;
	uint8_t hdr_len;
	uint8_t flags;
};

/* [left, right) */
struct tcp_sack {
	uint32_t left;
	uint32_t right;
};

/* Bits of tcp_opts.present */
#define TCP_HAS_MSS 0x01
#define TCP_HAS_WSCALE 0x02
#define TCP_HAS_SACK_PERMITTED 0x04
#define TCP_HAS_TS 0x08
#define TCP_HAS_FASTOPEN 0x10
#define TCP_HAS_SACK 0x20
#define TCP_HAS_UTO 0x40
#define TCP_FASTOPEN_IS_EXP 0x80 /* with TCP_HAS_FASTOPEN: as the experiment that it was before RFC 7413 */

/*
 * Both what a segment said and what one is to say. A field means something if its bit is in
 * `present`.
 */
struct tcp_opts {
	uint8_t present;
	uint8_t wscale;	      /* parsed: at most TCP_WSCALE_MAX */
	uint8_t sack_cnt;     /* 1 to TCP_SACK_MAX if TCP_HAS_SACK */
	uint8_t fastopen_len; /* 0: a cookie is asked for; else 4 to 16, even */
	uint16_t mss;
	uint16_t uto; /* user timeout: as it is in the option */
	uint32_t ts_val;
	uint32_t ts_ecr;
	struct tcp_sack sack[TCP_SACK_MAX];
	uint8_t fastopen[TCP_FASTOPEN_MAX];
};

struct tcp_fields {
	uint32_t seq;
	uint32_t ack;
	uint16_t src_port;
	uint16_t dst_port;
	uint16_t window;
	uint16_t urgent;
	uint8_t flags;
};

/*
 * `len` is the IP payload. WIRE_SHORT; WIRE_BAD_HLEN if the data offset is under 5 words or past
 * `len`; WIRE_TOO_DEEP. Options are not looked at: tcp_opts_parse().
 */
static inline enum wire_err tcp_parse_part(const void *p, size_t avail, size_t len,
					   struct tcp_view *ret_view)
{
	const uint8_t *bytes = p;
	uint32_t ports, words_flags_window;
	size_t hdr_len;

	if (unlikely(avail < TCP_HDR_BYTES))
		return avail < len ? WIRE_TOO_DEEP : WIRE_SHORT;
	words_flags_window = load_be32(bytes + offsetof(struct tcp_hdr, words_reserved));
	hdr_len = (size_t)(words_flags_window >> 28) * 4;
	if (unlikely(hdr_len < TCP_HDR_BYTES || hdr_len > len))
		return WIRE_BAD_HLEN;
	if (unlikely(hdr_len > avail))
		return WIRE_TOO_DEEP;
	ports = load_be32(bytes);
	*ret_view = (struct tcp_view){
		.hdr = p,
		.seq = load_be32(bytes + offsetof(struct tcp_hdr, seq)),
		.ack = load_be32(bytes + offsetof(struct tcp_hdr, ack)),
		.src_port = (uint16_t)(ports >> 16),
		.dst_port = (uint16_t)ports,
		.window = (uint16_t)words_flags_window,
		.urgent = load_be16(bytes + offsetof(struct tcp_hdr, urgent)),
		.payload_len = (uint16_t)(len - hdr_len),
		.hdr_len = (uint8_t)hdr_len,
		.flags = (uint8_t)(words_flags_window >> 16),
	};
	return WIRE_OK;
}

static inline enum wire_err tcp_parse(const void *p, size_t len, struct tcp_view *ret_view)
{
	return tcp_parse_part(p, len, len, ret_view);
}

/* What the segment takes of the sequence space: SYN and FIN count one each. */
static inline uint32_t tcp_seg_len(const struct tcp_view *tcp)
{
	return tcp->payload_len + (uint32_t)((tcp->flags & TCP_SYN) != 0) +
	       (uint32_t)((tcp->flags & TCP_FIN) != 0);
}

/* Any options, any order, of the whole header at `hdr`. Reached through tcp_opts_parse(). */
enum wire_err tcp_opts_walk(const uint8_t *hdr, size_t hdr_len, struct tcp_opts *ret_opts);

/* NOP, NOP, timestamps (RFC 7323 appendix A), and nothing else. */
#define TCP_TS_BYTES 12
#define TCP_TS_PREFIX UINT32_C(0x0101080a)

static inline bool tcp_is_plain_ts(const struct tcp_view *tcp)
{
	return tcp->hdr_len == TCP_HDR_BYTES + TCP_TS_BYTES &&
	       be32_eq((struct be32){ load_u32(tcp->hdr + 1) }, be32(TCP_TS_PREFIX));
}

/* Only if tcp_is_plain_ts(). */
static inline uint32_t tcp_plain_ts_val(const struct tcp_view *tcp)
{
	return load_be32((const uint8_t *)tcp->hdr + TCP_HDR_BYTES + 4);
}

static inline uint32_t tcp_plain_ts_ecr(const struct tcp_view *tcp)
{
	return load_be32((const uint8_t *)tcp->hdr + TCP_HDR_BYTES + 8);
}

/*
 * Options of a segment. WIRE_BAD_OPTION for a length of 0 or 1 or one past the header: nothing
 * behind it can be trusted (RFC 9293 MUST-7). A known option whose length is not its own is stepped
 * over as unknown. MSS, window scale, SACK permitted and fast open count only with SYN (RFC 9293
 * section 3.1, RFC 7323 section 1.3). Of options that come twice the last counts.
 */
static inline enum wire_err tcp_opts_parse(const struct tcp_view *tcp, struct tcp_opts *ret_opts)
{
	if (likely(tcp_is_plain_ts(tcp))) {
		ret_opts->present = TCP_HAS_TS;
		ret_opts->ts_val = tcp_plain_ts_val(tcp);
		ret_opts->ts_ecr = tcp_plain_ts_ecr(tcp);
		return WIRE_OK;
	}
	if (tcp->hdr_len == TCP_HDR_BYTES) {
		ret_opts->present = 0;
		return WIRE_OK;
	}
	return tcp_opts_walk((const uint8_t *)tcp->hdr, tcp->hdr_len, ret_opts);
}

/*
 * Bytes that tcp_opts_build() will write for `opts`: a multiple of 4, at most TCP_OPTS_MAX. SACK
 * blocks that do not fit any more are left out, the last first; so is user timeout beside a long
 * fast-open cookie. Everything else always fits together.
 */
size_t tcp_opts_len(const struct tcp_opts *opts);

/*
 * Writes options in the customary order, each aligned (MSS; SACK permitted with timestamps, or NOP
 * NOP timestamps; NOP wscale; fast open; user timeout; NOP NOP SACK). Returns tcp_opts_len(opts).
 */
size_t tcp_opts_build(uint8_t *p, const struct tcp_opts *opts);

/*
 * `opts_len`: options that the caller writes, or has written, behind the header; a multiple of 4.
 */
static inline size_t tcp_build_hdr(void *p, const struct tcp_fields *fields, size_t opts_len)
{
	uint32_t words = (uint32_t)(TCP_HDR_BYTES + opts_len) / 4;
	uint8_t *out = p;

	store_be32(out, (uint32_t)fields->src_port << 16 | fields->dst_port);
	store_be32(out + 4, fields->seq);
	store_be32(out + 8, fields->ack);
	store_be32(out + 12, words << 28 | (uint32_t)fields->flags << 16 | fields->window);
	store_be32(out + 16, fields->urgent);
	return TCP_HDR_BYTES + opts_len;
}

/* Header of TCP_HDR_BYTES + TCP_TS_BYTES: what the data path sends. */
static inline size_t tcp_build_ts(void *p, const struct tcp_fields *fields, uint32_t ts_val,
				  uint32_t ts_ecr)
{
	uint8_t *opts = (uint8_t *)p + TCP_HDR_BYTES;

	store_be32(opts, TCP_TS_PREFIX);
	store_be32(opts + 4, ts_val);
	store_be32(opts + 8, ts_ecr);
	return tcp_build_hdr(p, fields, TCP_TS_BYTES);
}

/* `opts` may be NULL. Returns TCP_HDR_BYTES to TCP_HDR_MAX. */
static inline size_t tcp_build(void *p, const struct tcp_fields *fields,
			       const struct tcp_opts *opts)
{
	size_t opts_len = 0;

	if (opts != NULL)
		opts_len = tcp_opts_build((uint8_t *)p + TCP_HDR_BYTES, opts);
	return tcp_build_hdr(p, fields, opts_len);
}

/*
 * `p` is a header of `hdr_len` with its checksum field 0; `rest` sums up pseudo-header and payload.
 */
static inline void tcp_csum_fill(void *p, size_t hdr_len, struct csum rest)
{
	struct tcp_hdr *hdr = p;

	hdr->csum = csum_finish(csum_add(rest, csum_words(p, hdr_len)));
}

#endif
