// SPDX-License-Identifier: BSD-2-Clause
/* TCP options: the general walk, and the builder. */
#include "wire/tcp.h"

#include <string.h>

#define LEN_MSS 4
#define LEN_WSCALE 3
#define LEN_SACK_PERMITTED 2
#define LEN_TS 10
#define LEN_UTO 4
#define LEN_SACK_BLOCK 8

_Static_assert((TCP_OPTS_MAX - 2) / LEN_SACK_BLOCK <= TCP_SACK_MAX,
	       "more blocks than there is room");

/* Options that mean something only in a SYN. */
#define SYN_ONLY                                                                                \
	(TCP_HAS_MSS | TCP_HAS_WSCALE | TCP_HAS_SACK_PERMITTED | TCP_HAS_FASTOPEN |            \
	 TCP_FASTOPEN_IS_EXP)

static void take_sack(const uint8_t *body, size_t body_len, struct tcp_opts *opts)
{
	size_t cnt = body_len / LEN_SACK_BLOCK;

	if (cnt == 0 || body_len % LEN_SACK_BLOCK != 0)
		return;
	for (size_t i = 0; i < cnt; i++) {
		opts->sack[i].left = load_be32(body + i * LEN_SACK_BLOCK);
		opts->sack[i].right = load_be32(body + i * LEN_SACK_BLOCK + 4);
	}
	opts->sack_cnt = (uint8_t)cnt;
	opts->present |= TCP_HAS_SACK;
}

/* @kind: TCP_HAS_FASTOPEN, with TCP_FASTOPEN_IS_EXP or without */
static void take_fastopen(const uint8_t *body, size_t body_len, uint8_t kind, struct tcp_opts *opts)
{
	if (body_len != 0 &&
	    (body_len < TCP_FASTOPEN_MIN || body_len > TCP_FASTOPEN_MAX || body_len % 2 != 0))
		return;
	memcpy(opts->fastopen, body, body_len);
	opts->fastopen_len = (uint8_t)body_len;
	opts->present = (uint8_t)((opts->present & ~TCP_FASTOPEN_IS_EXP) | kind);
}

/* One option of which kind and length are known to lie inside the header. */
static void take_option(const uint8_t *opt, size_t len, struct tcp_opts *opts)
{
	const uint8_t *body = opt + 2;

	switch (opt[0]) {
	case TCP_OPT_MSS:
		if (len == LEN_MSS) {
			opts->mss = load_be16(body);
			opts->present |= TCP_HAS_MSS;
		}
		break;
	case TCP_OPT_WSCALE:
		if (len == LEN_WSCALE) {
			opts->wscale = body[0] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : body[0];
			opts->present |= TCP_HAS_WSCALE;
		}
		break;
	case TCP_OPT_SACK_PERMITTED:
		if (len == LEN_SACK_PERMITTED)
			opts->present |= TCP_HAS_SACK_PERMITTED;
		break;
	case TCP_OPT_SACK:
		take_sack(body, len - 2, opts);
		break;
	case TCP_OPT_TS:
		if (len == LEN_TS) {
			opts->ts_val = load_be32(body);
			opts->ts_ecr = load_be32(body + 4);
			opts->present |= TCP_HAS_TS;
		}
		break;
	case TCP_OPT_UTO:
		if (len == LEN_UTO) {
			opts->uto = load_be16(body);
			opts->present |= TCP_HAS_UTO;
		}
		break;
	case TCP_OPT_FASTOPEN:
		take_fastopen(body, len - 2, TCP_HAS_FASTOPEN, opts);
		break;
	case TCP_OPT_EXP:
		if (len >= 4 && load_be16(body) == TCP_EXP_FASTOPEN)
			take_fastopen(body + 2, len - 4, TCP_HAS_FASTOPEN | TCP_FASTOPEN_IS_EXP, opts);
		break;
	default:
		break;
	}
}

enum wire_err tcp_opts_walk(const uint8_t *hdr, size_t hdr_len, struct tcp_opts *ret_opts)
{
	bool syn = (hdr[offsetof(struct tcp_hdr, flags)] & TCP_SYN) != 0;
	struct tcp_opts opts = { .present = 0 };
	size_t off = TCP_HDR_BYTES;

	while (off < hdr_len && hdr[off] != TCP_OPT_EOL) {
		size_t len;

		if (hdr[off] == TCP_OPT_NOP) {
			off++;
			continue;
		}
		if (hdr_len - off < 2)
			return WIRE_BAD_OPTION;
		len = hdr[off + 1];
		if (len < 2 || len > hdr_len - off)
			return WIRE_BAD_OPTION;
		take_option(hdr + off, len, &opts);
		off += len;
	}
	if (!syn)
		opts.present &= (uint8_t)~SYN_ONLY;
	*ret_opts = opts;
	return WIRE_OK;
}

/* Is there room for it? @used by all before it */
static bool uto_fits(const struct tcp_opts *opts, size_t used)
{
	return (opts->present & TCP_HAS_UTO) != 0 && used + LEN_UTO <= TCP_OPTS_MAX;
}

/* What is before the cookie */
static size_t fastopen_head(const struct tcp_opts *opts)
{
	return (opts->present & TCP_FASTOPEN_IS_EXP) != 0 ? 4 : 2;
}

/* Bytes before SACK blocks, and before the padding of a lone "SACK permitted". */
static size_t fixed_len(const struct tcp_opts *opts)
{
	size_t len = 0;

	if ((opts->present & TCP_HAS_MSS) != 0)
		len += LEN_MSS;
	/* "SACK permitted" stands where the two NOPs before timestamps would, or is padded to 4. */
	if ((opts->present & TCP_HAS_TS) != 0)
		len += TCP_TS_BYTES;
	else if ((opts->present & TCP_HAS_SACK_PERMITTED) != 0)
		len += 4;
	if ((opts->present & TCP_HAS_WSCALE) != 0)
		len += 4;
	if ((opts->present & TCP_HAS_FASTOPEN) != 0)
		len += (fastopen_head(opts) + opts->fastopen_len + 3) & ~(size_t)3;
	if (uto_fits(opts, len))
		len += LEN_UTO;
	return len;
}

static size_t sack_fit(const struct tcp_opts *opts, size_t used)
{
	size_t room = TCP_OPTS_MAX - used;

	if ((opts->present & TCP_HAS_SACK) == 0 || room < 4 + LEN_SACK_BLOCK)
		return 0;
	return min_size(opts->sack_cnt, (room - 4) / LEN_SACK_BLOCK);
}

size_t tcp_opts_len(const struct tcp_opts *opts)
{
	size_t len = fixed_len(opts);
	size_t sack_cnt = sack_fit(opts, len);

	return sack_cnt == 0 ? len : len + 4 + sack_cnt * LEN_SACK_BLOCK;
}

/* Every option starts, and keeps the next, on a boundary of four bytes. */
static uint8_t *put_quad(uint8_t *out, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	out[0] = a;
	out[1] = b;
	out[2] = c;
	out[3] = d;
	return out + 4;
}

static uint8_t *put_ts(uint8_t *out, const struct tcp_opts *opts)
{
	bool sack_permitted = (opts->present & TCP_HAS_SACK_PERMITTED) != 0;

	if ((opts->present & TCP_HAS_TS) == 0) {
		if (sack_permitted)
			out = put_quad(out, TCP_OPT_NOP, TCP_OPT_NOP, TCP_OPT_SACK_PERMITTED,
				       LEN_SACK_PERMITTED);
		return out;
	}
	if (sack_permitted)
		out = put_quad(out, TCP_OPT_SACK_PERMITTED, LEN_SACK_PERMITTED, TCP_OPT_TS, LEN_TS);
	else
		out = put_quad(out, TCP_OPT_NOP, TCP_OPT_NOP, TCP_OPT_TS, LEN_TS);
	store_be32(out, opts->ts_val);
	store_be32(out + 4, opts->ts_ecr);
	return out + 8;
}

/* Padded behind, as Linux does it: some compare byte by byte. */
static uint8_t *put_fastopen(uint8_t *out, const struct tcp_opts *opts)
{
	bool exp = (opts->present & TCP_FASTOPEN_IS_EXP) != 0;
	size_t len = fastopen_head(opts) + opts->fastopen_len;

	*out++ = exp ? TCP_OPT_EXP : TCP_OPT_FASTOPEN;
	*out++ = (uint8_t)len;
	if (exp) {
		*out++ = (uint8_t)(TCP_EXP_FASTOPEN >> 8);
		*out++ = (uint8_t)TCP_EXP_FASTOPEN;
	}
	memcpy(out, opts->fastopen, opts->fastopen_len);
	out += opts->fastopen_len;
	for (; len % 4 != 0; len++)
		*out++ = TCP_OPT_NOP;
	return out;
}

size_t tcp_opts_build(uint8_t *p, const struct tcp_opts *opts)
{
	size_t sack_cnt = sack_fit(opts, fixed_len(opts));
	uint8_t *out = p;

	if ((opts->present & TCP_HAS_MSS) != 0)
		out = put_quad(out, TCP_OPT_MSS, LEN_MSS, (uint8_t)(opts->mss >> 8),
			       (uint8_t)opts->mss);
	out = put_ts(out, opts);
	if ((opts->present & TCP_HAS_WSCALE) != 0)
		out = put_quad(out, TCP_OPT_NOP, TCP_OPT_WSCALE, LEN_WSCALE, opts->wscale);
	if ((opts->present & TCP_HAS_FASTOPEN) != 0)
		out = put_fastopen(out, opts);
	if (uto_fits(opts, (size_t)(out - p)))
		out = put_quad(out, TCP_OPT_UTO, LEN_UTO, (uint8_t)(opts->uto >> 8),
			       (uint8_t)opts->uto);
	if (sack_cnt > 0)
		out = put_quad(out, TCP_OPT_NOP, TCP_OPT_NOP, TCP_OPT_SACK,
			       (uint8_t)(2 + sack_cnt * LEN_SACK_BLOCK));
	for (size_t i = 0; i < sack_cnt; i++, out += LEN_SACK_BLOCK) {
		store_be32(out, opts->sack[i].left);
		store_be32(out + 4, opts->sack[i].right);
	}
	return (size_t)(out - p);
}
