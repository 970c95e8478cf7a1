// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/tcp_line.h"

#include "stack/tcp.h"
#include "wire/eth.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BEGIN_US SEC
#define FRAME_MAX 65600
/* stack_run() calls at one time before we say that the stack is spinning */
#define SPIN_MAX 1000

/* A number as a line says it */
struct num {
	enum { NUM_UNSAID, NUM_ANY, NUM_VALUE } said;
	uint32_t v; /* NUM_ANY: subtracted from what `*` stands for, in RECV */
};

/* A segment as a line says it, or as it was sent; sequence numbers are relative. */
struct seg {
	uint8_t flags;
	struct num seq, len, ack, win, urg;
	bool opts_said;	 /* <...> is there */
	bool opts_more;	 /* ... in it */
	uint8_t present; /* TCP_HAS_* */
	struct num mss, wscale, ts_val, ts_ecr, uto;
	bool cookie_any; /* FO * */
	uint8_t cookie_len;
	uint8_t cookie[TCP_FASTOPEN_MAX];
	struct tcp_sack sack[TCP_SACK_MAX];
	uint8_t sack_cnt;
};

/* ---- failure ----------------------------------------------------------------------------------
 */

__attribute__((noreturn, format(printf, 4, 5))) static void line_fail(struct line *t,
								      const char *file, int line,
								      const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: at %.3f ms: ", file, line, (double)(t->now_us - BEGIN_US) / 1000);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nso far (%s):\n%s", t->cfg.v6 ? "IPv6" : "IPv4", t->log);
	_fail(file, line);
	abort();
}

static void line_log(struct line *t, const char *what, const char *text)
{
	char entry[LINE_SEG_TEXT + 64];
	int len = snprintf(entry, sizeof(entry), "  %10.3f ms  %s  %s\n",
			   (double)(t->now_us - BEGIN_US) / 1000, what, text);

	if (t->log_len + (uint32_t)len >= LINE_LOG_MAX) {
		/* Forget the older half, at the end of an entry. */
		const char *keep = strchr(t->log + LINE_LOG_MAX / 2, '\n') + 1;

		t->log_len -= (uint32_t)(keep - t->log);
		memmove(t->log, keep, t->log_len);
	}
	memcpy(t->log + t->log_len, entry, (size_t)len + 1);
	t->log_len += (uint32_t)len;
}

/* ---- reading a line ---------------------------------------------------------------------------
 */

static const char flag_letters[] = "FSRP.UEW"; /* by bit */

struct reader {
	struct line *t;
	const char *file;
	int line;
	const char *whole, *p;
};

__attribute__((noreturn)) static void read_fail(struct reader *r, const char *want)
{
	line_fail(r->t, r->file, r->line, "cannot read \"%s\": %s expected at \"%s\"", r->whole,
		  want, r->p);
}

static void skip_blanks(struct reader *r)
{
	while (*r->p == ' ')
		r->p++;
}

/* Is @word next? Then it is behind us. */
static bool read_word(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	skip_blanks(r);
	if (strncmp(r->p, word, len) != 0 ||
	    (isalpha((unsigned char)word[len - 1]) && isalpha((unsigned char)r->p[len])))
		return false;
	r->p += len;
	return true;
}

static uint32_t read_u32(struct reader *r)
{
	char *end;
	unsigned long v;

	skip_blanks(r);
	if (!isdigit((unsigned char)*r->p))
		read_fail(r, "number");
	v = strtoul(r->p, &end, 0);
	r->p = end;
	return (uint32_t)v;
}

static struct num read_num(struct reader *r)
{
	struct num num = { .said = NUM_VALUE };

	if (read_word(r, "*")) {
		num.said = NUM_ANY;
		if (*r->p == '-') {
			r->p++;
			num.v = read_u32(r);
		}
		return num;
	}
	if (read_word(r, "-"))
		num.v = 0 - read_u32(r);
	else
		num.v = read_u32(r);
	return num;
}

static void expect_word(struct reader *r, const char *word)
{
	if (!read_word(r, word))
		read_fail(r, word);
}

static void read_sack(struct reader *r, struct seg *seg)
{
	seg->present |= TCP_HAS_SACK;
	do {
		if (seg->sack_cnt == TCP_SACK_MAX)
			read_fail(r, "at most 4 blocks");
		seg->sack[seg->sack_cnt].left = read_u32(r);
		expect_word(r, ":");
		seg->sack[seg->sack_cnt++].right = read_u32(r);
		skip_blanks(r);
	} while (isdigit((unsigned char)*r->p));
}

static void read_cookie(struct reader *r, struct seg *seg)
{
	seg->present |= TCP_HAS_FASTOPEN;
	seg->cookie_any = read_word(r, "*");
	skip_blanks(r);
	for (; isxdigit((unsigned char)r->p[0]) && isxdigit((unsigned char)r->p[1]); r->p += 2) {
		char byte[3] = { r->p[0], r->p[1], '\0' };

		if (seg->cookie_len == TCP_FASTOPEN_MAX)
			read_fail(r, "at most 16 bytes");
		seg->cookie[seg->cookie_len++] = (uint8_t)strtoul(byte, NULL, 16);
	}
}

static void read_option(struct reader *r, struct seg *seg)
{
	if (read_word(r, "FOEXP")) {
		seg->present |= TCP_FASTOPEN_IS_EXP;
		read_cookie(r, seg);
	} else if (read_word(r, "FO")) {
		read_cookie(r, seg);
	} else if (read_word(r, "uto")) {
		seg->present |= TCP_HAS_UTO;
		seg->uto = read_num(r);
	} else if (read_word(r, "mss")) {
		seg->present |= TCP_HAS_MSS;
		seg->mss = read_num(r);
	} else if (read_word(r, "wscale")) {
		seg->present |= TCP_HAS_WSCALE;
		seg->wscale = read_num(r);
	} else if (read_word(r, "sackOK")) {
		seg->present |= TCP_HAS_SACK_PERMITTED;
	} else if (read_word(r, "sack")) {
		read_sack(r, seg);
	} else if (read_word(r, "TS")) {
		seg->present |= TCP_HAS_TS;
		expect_word(r, "val");
		seg->ts_val = read_num(r);
		expect_word(r, "ecr");
		seg->ts_ecr = read_num(r);
	} else if (read_word(r, "...")) {
		seg->opts_more = true;
	} else if (!read_word(r, "nop")) {
		read_fail(r, "option");
	}
}

static void read_options(struct reader *r, struct seg *seg)
{
	seg->opts_said = true;
	if (read_word(r, ">"))
		return;
	do {
		read_option(r, seg);
	} while (read_word(r, ","));
	expect_word(r, ">");
}

static struct seg read_seg(struct line *t, const char *file, int line, const char *text)
{
	struct reader r = { .t = t, .file = file, .line = line, .whole = text, .p = text };
	struct seg seg = { 0 };
	const char *letter;

	skip_blanks(&r);
	for (; *r.p != ' ' && *r.p != '\0'; r.p++) {
		letter = strchr(flag_letters, *r.p);
		if (letter == NULL)
			read_fail(&r, "flag");
		seg.flags |= (uint8_t)(1 << (letter - flag_letters));
	}
	seg.seq = read_num(&r);
	expect_word(&r, ":");
	struct num end = read_num(&r);

	expect_word(&r, "(");
	seg.len = read_num(&r);
	expect_word(&r, ")");
	if (seg.seq.said == NUM_VALUE && end.said == NUM_VALUE && end.v - seg.seq.v != seg.len.v)
		read_fail(&r, "END - SEQ = LEN");
	if (read_word(&r, "ack"))
		seg.ack = read_num(&r);
	if (read_word(&r, "win"))
		seg.win = read_num(&r);
	if (read_word(&r, "urg"))
		seg.urg = read_num(&r);
	if (read_word(&r, "<"))
		read_options(&r, &seg);
	skip_blanks(&r);
	if (*r.p != '\0')
		read_fail(&r, "end");
	return seg;
}

/* ---- writing one ------------------------------------------------------------------------------
 */

static void put_text(char *buf, size_t *len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void put_text(char *buf, size_t *len, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	*len += (size_t)vsnprintf(buf + *len, LINE_SEG_TEXT - *len, fmt, args);
	va_end(args);
	if (*len >= LINE_SEG_TEXT)
		*len = LINE_SEG_TEXT - 1;
}

static void put_options(char *buf, size_t *len, const struct seg *seg)
{
	const char *sep = " <";

	if ((seg->present & TCP_HAS_MSS) != 0) {
		put_text(buf, len, "%smss %u", sep, seg->mss.v);
		sep = ",";
	}
	if ((seg->present & TCP_HAS_SACK_PERMITTED) != 0) {
		put_text(buf, len, "%ssackOK", sep);
		sep = ",";
	}
	if ((seg->present & TCP_HAS_WSCALE) != 0) {
		put_text(buf, len, "%swscale %u", sep, seg->wscale.v);
		sep = ",";
	}
	if ((seg->present & TCP_HAS_TS) != 0) {
		put_text(buf, len, "%sTS val %u ecr %u", sep, seg->ts_val.v, seg->ts_ecr.v);
		sep = ",";
	}
	if ((seg->present & TCP_HAS_SACK) != 0) {
		put_text(buf, len, "%ssack", sep);
		for (unsigned int i = 0; i < seg->sack_cnt; i++)
			put_text(buf, len, " %u:%u", seg->sack[i].left, seg->sack[i].right);
		sep = ",";
	}
	if ((seg->present & TCP_HAS_UTO) != 0) {
		put_text(buf, len, "%suto %u", sep, seg->uto.v);
		sep = ",";
	}
	if ((seg->present & TCP_HAS_FASTOPEN) != 0) {
		put_text(buf, len, "%s%s ", sep,
			 (seg->present & TCP_FASTOPEN_IS_EXP) != 0 ? "FOEXP" : "FO");
		for (unsigned int i = 0; i < seg->cookie_len; i++)
			put_text(buf, len, "%02x", seg->cookie[i]);
		sep = ",";
	}
	if (sep[0] == ',')
		put_text(buf, len, ">");
}

static const char *seg_text(const struct seg *seg, char buf[LINE_SEG_TEXT])
{
	size_t len = 0;

	for (unsigned int i = 0; i < 8; i++)
		if ((seg->flags >> i & 1) != 0)
			buf[len++] = flag_letters[i];
	put_text(buf, &len, " %d:%d(%u)", (int)seg->seq.v, (int)(seg->seq.v + seg->len.v),
		 seg->len.v);
	if ((seg->flags & TCP_ACK) != 0)
		put_text(buf, &len, " ack %d", (int)seg->ack.v);
	put_text(buf, &len, " win %u", seg->win.v);
	if ((seg->flags & TCP_URG) != 0)
		put_text(buf, &len, " urg %u", seg->urg.v);
	put_options(buf, &len, seg);
	return buf;
}

/* ---- the wire ---------------------------------------------------------------------------------
 */

/* Ethernet and IP before @l4_len bytes of TCP; returns where TCP goes. */
static uint8_t *put_headers(const struct line *t, uint8_t *p, uint32_t l4_len)
{
	struct eth_fields eth = { .type = t->cfg.v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };

	memcpy(eth.dst.bytes, t->drv->mac, 6);
	memcpy(eth.src.bytes, t->drv->peer_mac, 6);
	p += eth_build(p, &eth);
	if (t->cfg.v6) {
		struct ip6_fields ip = {
			.src = t->peer.addr,
			.dst = t->local.addr,
			.payload_len = (uint16_t)l4_len,
			.proto = IP_PROTO_TCP,
			.hop_limit = 64,
			.tclass = t->peer_tos,
		};

		return p + ip6_build(p, &ip);
	}
	struct ip4_fields ip = {
		.src = ip_addr_v4(&t->peer.addr),
		.dst = ip_addr_v4(&t->local.addr),
		.payload_len = (uint16_t)l4_len,
		.dont_frag = true,
		.ttl = 64,
		.proto = IP_PROTO_TCP,
		.tos = t->peer_tos,
	};

	ip4_build(p, &ip);
	ip4_csum_fill(p);
	return p + IP4_HDR_BYTES;
}

static struct tcp_opts seg_opts(const struct line *t, const struct seg *seg)
{
	struct tcp_opts opts = {
		.present = seg->present,
		.mss = (uint16_t)seg->mss.v,
		.uto = (uint16_t)seg->uto.v,
		.wscale = (uint8_t)seg->wscale.v,
		.ts_val = seg->ts_val.v,
		.ts_ecr = seg->ts_ecr.said == NUM_ANY ? t->ts_val - seg->ts_ecr.v : seg->ts_ecr.v,
		.sack_cnt = seg->sack_cnt,
	};

	opts.fastopen_len = seg->cookie_any ? t->cookie_len : seg->cookie_len;
	memcpy(opts.fastopen, seg->cookie_any ? t->fo_cookie : seg->cookie, opts.fastopen_len);
	for (unsigned int i = 0; i < seg->sack_cnt; i++)
		opts.sack[i] = (struct tcp_sack){ seg->sack[i].left + t->isn,
						  seg->sack[i].right + t->isn };
	return opts;
}

static void line_inject(struct line *t, const struct seg *seg)
{
	static uint8_t frame[FRAME_MAX];
	struct tcp_opts opts = seg_opts(t, seg);
	struct tcp_fields fields = {
		.seq = seg->seq.v + t->peer_isn,
		.ack = (seg->flags & TCP_ACK) != 0 ? seg->ack.v + t->isn : t->withdrawn,
		.src_port = t->peer.port,
		.dst_port = t->local.port,
		.window = (uint16_t)(seg->win.said == NUM_VALUE ? seg->win.v : t->peer_win),
		.urgent = (uint16_t)seg->urg.v,
		.flags = seg->flags,
	};
	uint32_t hdr_len = TCP_HDR_BYTES + (uint32_t)tcp_opts_len(&opts),
		 len = hdr_len + seg->len.v;
	uint8_t *tcp = put_headers(t, frame, len);
	struct csum sum;

	tcp_build(tcp, &fields, &opts);
	/* Bytes are counted from 1; a SYN stands before them. */
	for (uint32_t i = 0; i < seg->len.v; i++)
		tcp[hdr_len + i] = line_byte(seg->seq.v + i + ((seg->flags & TCP_SYN) != 0));
	sum = csum_pseudo_addr(&t->peer.addr, &t->local.addr, IP_PROTO_TCP, len);
	tcp_csum_fill(tcp, hdr_len, csum_add(sum, csum_bytes(tcp + hdr_len, seg->len.v)));
	fake_link_rx(t->s, t->link, t->drv, frame, (uint32_t)(tcp - frame) + len);
}

static struct num value(uint32_t v)
{
	return (struct num){ .said = NUM_VALUE, .v = v };
}

/* What it says, in the terms of a line */
static struct seg seg_of(struct line *t, const struct tcp_view *tcp, const struct tcp_opts *opts)
{
	struct seg seg = {
		.flags = tcp->flags,
		.len = value(tcp->payload_len),
		.ack = value((tcp->flags & TCP_ACK) != 0 ? tcp->ack - t->peer_isn : 0),
		.win = value(tcp->window),
		.urg = value(tcp->urgent),
		.opts_said = true,
		.present = opts->present,
		.mss = value(opts->mss),
		.uto = value(opts->uto),
		.wscale = value(opts->wscale),
		.ts_val = value(opts->ts_val),
		.ts_ecr = value(opts->ts_ecr),
	};

	if ((tcp->flags & TCP_SYN) != 0)
		t->isn = tcp->seq;
	if ((opts->present & TCP_HAS_TS) != 0)
		t->ts_val = opts->ts_val;
	if ((opts->present & TCP_HAS_FASTOPEN) != 0) {
		seg.cookie_len = opts->fastopen_len;
		memcpy(seg.cookie, opts->fastopen, opts->fastopen_len);
		t->cookie_len = opts->fastopen_len;
		memcpy(t->fo_cookie, opts->fastopen, opts->fastopen_len);
	}
	seg.seq = value(tcp->seq - t->isn);
	if ((opts->present & TCP_HAS_SACK) != 0) {
		seg.sack_cnt = opts->sack_cnt;
		for (unsigned int i = 0; i < opts->sack_cnt; i++)
			seg.sack[i] = (struct tcp_sack){ opts->sack[i].left - t->peer_isn,
							 opts->sack[i].right - t->peer_isn };
	}
	return seg;
}

static const char *check_payload(const struct seg *seg, const uint8_t *payload)
{
	for (uint32_t i = 0; i < seg->len.v; i++)
		if (payload[i] != line_byte(seg->seq.v + i + ((seg->flags & TCP_SYN) != 0)))
			return "payload is not that of its place in the stream";
	return NULL;
}

/* Everything but what the line says. Return: NULL, or what is wrong. */
static const char *check_headers(const struct line *t, const struct eth_view *eth,
				 const struct ip_view *ip)
{
	struct ip_addr src, dst;

	if (memcmp(eth->hdr->dst.bytes, t->drv->peer_mac, 6) != 0 ||
	    memcmp(eth->hdr->src.bytes, t->drv->mac, 6) != 0)
		return "MAC addresses";
	src = ip_src(ip);
	dst = ip_dst(ip);
	if (!ip_addr_eq(&src, &t->local.addr) || !ip_addr_eq(&dst, &t->peer.addr))
		return "IP addresses";
	if ((t->cfg.link_flags & LINK_NO_CSUM) != 0)
		return NULL;
	if (ip->version == 4 && !ip4_csum_ok(ip))
		return "IP checksum";
	if (!ip_csum_ok(ip, ip_payload(ip), ip->payload_len, ip_payload(ip), 0))
		return "TCP checksum";
	return NULL;
}

/* The oldest segment sent. Return: NULL, or what is wrong with it. */
static const char *decode(struct line *t, const struct link_frame *frame, struct seg *ret_seg)
{
	struct eth_view eth;
	struct ip_view ip;
	struct tcp_view tcp;
	struct tcp_opts opts;
	const char *wrong;

	if (eth_parse(frame->data, frame->len, &eth) != WIRE_OK)
		return "not Ethernet";
	if (ip_parse(frame->data + eth.hdr_len, frame->len - eth.hdr_len, &ip) != WIRE_OK)
		return "not IP";
	if (ip.proto != IP_PROTO_TCP ||
	    tcp_parse(ip_payload(&ip), ip.payload_len, &tcp) != WIRE_OK ||
	    tcp_opts_parse(&tcp, &opts) != WIRE_OK)
		return "not TCP";
	wrong = check_headers(t, &eth, &ip);
	if (wrong != NULL)
		return wrong;
	if (tcp.src_port != t->local.port || tcp.dst_port != t->peer.port)
		return "ports";
	t->tos = ip.tos;
	t->ttl = ip.ttl;
	t->dont_frag = ip.dont_frag;
	t->ip_id = ip.frag_id;
	*ret_seg = seg_of(t, &tcp, &opts);
	return check_payload(ret_seg, ip_payload(&ip) + tcp.hdr_len);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static bool num_fits(struct num want, struct num got)
{
	return want.said != NUM_VALUE || want.v == got.v;
}

static bool opts_fit(const struct seg *want, const struct seg *got)
{
	if (!want->opts_said)
		return true;
	if ((want->present & ~got->present) != 0 ||
	    (!want->opts_more && want->present != got->present))
		return false;
	if ((want->present & TCP_HAS_SACK) != 0 &&
	    (want->sack_cnt != got->sack_cnt ||
	     memcmp(want->sack, got->sack, want->sack_cnt * sizeof(want->sack[0])) != 0))
		return false;
	if ((want->present & TCP_HAS_FASTOPEN) != 0 &&
	    (want->cookie_any ? got->cookie_len == 0
			      : want->cookie_len != got->cookie_len ||
					memcmp(want->cookie, got->cookie, got->cookie_len) != 0))
		return false;
	return num_fits(want->mss, got->mss) && num_fits(want->uto, got->uto) && num_fits(want->wscale, got->wscale) &&
	       num_fits(want->ts_val, got->ts_val) && num_fits(want->ts_ecr, got->ts_ecr);
}

static bool seg_fits(const struct seg *want, const struct seg *got, bool no_loss)
{
	/* W on a link that loses nothing: whoever says FIN has closed */
	uint8_t ignore = no_loss && (want->flags & TCP_FIN) != 0 ? TCP_PSH | TCP_CWR : TCP_PSH;

	ignore &= (uint8_t)~want->flags;
	return want->flags == (got->flags & ~ignore) && num_fits(want->seq, got->seq) &&
	       num_fits(want->len, got->len) && num_fits(want->ack, got->ack) &&
	       num_fits(want->win, got->win) && num_fits(want->urg, got->urg) &&
	       opts_fit(want, got);
}

/* ---- time -------------------------------------------------------------------------------------
 */

void line_run(struct line *t)
{
	stack_now(t->s, t->now_us);
	tcp_sanity_all(t->s);
	stack_run(t->s);
	tcp_sanity_all(t->s);
}

/* Take what was sent first. Return: false: nothing. */
static bool take(struct line *t, const char *file, int line, struct seg *ret_seg)
{
	char text[LINE_SEG_TEXT];
	struct link_frame frame;
	const char *wrong;

	if (!fake_link_next(t->drv, &frame))
		return false;
	wrong = decode(t, &frame, ret_seg);
	free(frame.data);
	if (wrong != NULL)
		line_fail(t, file, line, "wrong in the segment sent: %s", wrong);
	line_log(t, "SEND", seg_text(ret_seg, text));
	return true;
}

static void want_quiet(struct line *t, const char *file, int line)
{
	struct seg seg;
	char text[LINE_SEG_TEXT];

	if (take(t, file, line, &seg))
		line_fail(t, file, line, "expected nothing, got\n    \"%s\"", seg_text(&seg, text));
}

/* Until @until_us, or until something is sent. */
static void pass(struct line *t, const char *file, int line, uint64_t until_us)
{
	unsigned int spins = 0;

	line_run(t);
	while (t->drv->sent_cnt == 0 && t->now_us < until_us) {
		uint64_t deadline_us = stack_deadline(t->s);

		if (deadline_us > t->now_us)
			spins = 0;
		else if (++spins > SPIN_MAX)
			line_fail(t, file, line, "stack_deadline() stays in the past");
		if (deadline_us > t->now_us)
			t->now_us = deadline_us < until_us ? deadline_us : until_us;
		line_run(t);
	}
}

/* ---- lines ------------------------------------------------------------------------------------
 */

void line_recv(struct line *t, const char *file, int line, uint64_t delay_us, const char *text)
{
	struct seg seg = read_seg(t, file, line, text);

	line_nothing(t, file, line, delay_us);
	line_log(t, "RECV", text);
	line_inject(t, &seg);
	line_run(t);
}

void line_recv_raw(struct line *t, const char *text)
{
	struct seg seg = read_seg(t, __FILE__, __LINE__, text);

	line_inject(t, &seg);
}

void line_send(struct line *t, const char *file, int line, uint64_t min_us, uint64_t max_us,
	       const char *text)
{
	struct seg want = read_seg(t, file, line, text), got;
	uint64_t from_us = t->now_us;
	char got_text[LINE_SEG_TEXT];

	pass(t, file, line, from_us + max_us);
	if (!take(t, file, line, &got))
		line_fail(t, file, line, "expected\n    \"%s\"\n  got nothing", text);
	if (!seg_fits(&want, &got, (t->cfg.link_flags & LINK_NO_LOSS) != 0))
		line_fail(t, file, line, "expected\n    \"%s\"\n  got\n    \"%s\"", text,
			  seg_text(&got, got_text));
	if (t->now_us < from_us + min_us)
		line_fail(t, file, line, "expected after %.3f ms, got after %.3f ms",
			  (double)min_us / 1000, (double)(t->now_us - from_us) / 1000);
}

void line_nothing(struct line *t, const char *file, int line, uint64_t us)
{
	uint64_t until_us = t->now_us + us;

	line_run(t);
	want_quiet(t, file, line);
	pass(t, file, line, until_us);
	want_quiet(t, file, line);
}

void line_nothing_until(struct line *t, const char *file, int line, uint64_t us)
{
	if (BEGIN_US + us < t->now_us)
		line_fail(t, file, line, "%.3f ms is past already", (double)us / 1000);
	line_nothing(t, file, line, BEGIN_US + us - t->now_us);
}

void line_at(struct line *t, const char *file, int line, uint64_t us)
{
	uint64_t want_us = BEGIN_US + us;

	if (t->now_us + 5 * MS < want_us || t->now_us > want_us + 5 * MS)
		line_fail(t, file, line, "expected to be at %.3f ms", (double)us / 1000);
}

void line_ignore(struct line *t)
{
	struct seg seg;

	line_run(t);
	while (take(t, __FILE__, __LINE__, &seg))
		;
}

void line_event(struct line *t, const char *file, int line, uint32_t bits)
{
	struct stack_event ev = { 0 };

	line_run(t);
	if (stack_events(t->s, &ev, 1) == 0 && bits != 0)
		line_fail(t, file, line, "expected event bits 0x%x, got none", bits);
	if (ev.events != bits)
		line_fail(t, file, line, "expected event bits 0x%x, got 0x%x", bits, ev.events);
	if (bits != 0 && (ev.obj != STACK_OBJ_TCP || ev.id != t->id.v || ev.cookie != t->cookie))
		line_fail(t, file, line, "the event is of another object: kind %d, id %u",
			  (int)ev.obj, ev.id);
}

/* ---- the program ------------------------------------------------------------------------------
 */

#define WANT(ret, want)                                                                           \
	do {                                                                                      \
		int want_got_ = (ret);                                                            \
		if (want_got_ != (want))                                                          \
			line_fail(t, __FILE__, __LINE__, "%s: %d instead of %d", #ret, want_got_, \
				  (want));                                                        \
	} while (0)

void line_listen(struct line *t)
{
	WANT(tcp_listen(t->s, &t->local, false, 16, t->cookie + 1, &t->listener), 0);
}

void line_accept(struct line *t)
{
	struct endpoint local, remote;

	WANT(tcp_accept(t->s, t->listener, t->cookie, &t->id), 0);
	tcp_endpoints(t->s, t->id, &local, &remote);
	WANT(endpoint_eq(&local, &t->local) && endpoint_eq(&remote, &t->peer), true);
}

void line_connect(struct line *t)
{
	WANT(tcp_connect(t->s, t->link, &t->local, &t->peer, t->cookie, &t->id), 0);
}

void line_write(struct line *t, uint32_t len)
{
	uint8_t *buf = malloc(len + 1);
	size_t taken = 0;

	for (uint32_t i = 0; i < len; i++)
		buf[i] = line_byte(1 + t->written + i);
	WANT(tcp_send(t->s, t->id, buf, len, 0, &taken), 0);
	free(buf);
	WANT((int)taken, (int)len);
	t->written += len;
}

void line_read(struct line *t, uint32_t len)
{
	uint8_t *buf = malloc(len + 1);

	for (uint32_t done = 0; done < len;) {
		size_t n = 0;

		WANT(tcp_recv(t->s, t->id, buf, len - done, false, &n), 0);
		if (n == 0)
			line_fail(t, __FILE__, __LINE__, "end of file after %u of %u bytes", done,
				  len);
		for (uint32_t i = 0; i < n; i++)
			if (buf[i] != line_byte(1 + t->read + i))
				line_fail(t, __FILE__, __LINE__, "byte %u of the stream is wrong",
					  1 + t->read + i);
		t->read += (uint32_t)n;
		done += (uint32_t)n;
	}
	free(buf);
}

void line_read_eof(struct line *t)
{
	size_t n = 1;
	uint8_t byte;

	WANT(tcp_recv(t->s, t->id, &byte, 1, false, &n), 0);
	WANT((int)n, 0);
}

void line_read_error(struct line *t, int err)
{
	size_t n;
	uint8_t byte;

	WANT(tcp_recv(t->s, t->id, &byte, 1, false, &n), -err);
}

enum tcp_state line_state(const struct line *t)
{
	struct tcp_info info;

	tcp_info(t->s, t->id, &info);
	return info.state;
}

static void drain_events(struct line *t)
{
	struct stack_event ev;

	while (stack_events(t->s, &ev, 1) != 0)
		;
}

void line_established_passive(struct line *t, const char *opts)
{
	char text[LINE_SEG_TEXT];

	line_listen(t);
	snprintf(text, sizeof(text), "S 0:0(0) <%s>", opts);
	RECV(0, text);
	SEND("S. 0:0(0) ack 1");
	RECV(10 * MS,
	     strstr(opts, "TS") != NULL ? ". 1:1(0) ack 1 <TS val 11 ecr *>" : ". 1:1(0) ack 1");
	NOTHING();
	line_accept(t);
	WANT(tcp_option_set(t->s, t->id, TCP_OPT_QUICKACK, 0), 0);
	drain_events(t);
}

void line_established_active(struct line *t, const char *opts)
{
	char text[LINE_SEG_TEXT];

	line_connect(t);
	SEND("S 0:0(0)");
	snprintf(text, sizeof(text), "S. 0:0(0) ack 1 <%s>", opts);
	RECV(10 * MS, text);
	SEND(". 1:1(0) ack 1");
	WANT(tcp_option_set(t->s, t->id, TCP_OPT_QUICKACK, 0), 0);
	drain_events(t);
}

/* ---- beginning and end ------------------------------------------------------------------------
 */

static void line_begin(struct line *t, const struct line_config *cfg)
{
	struct stack_config stack_cfg = fake_stack_config(&t->mem);
	struct link_config link_cfg;
	uint32_t mtu;

	t->cfg = *cfg;
	if (t->cfg.mss == 0)
		t->cfg.mss = 1460;
	if (t->cfg.rx_hold_max == 0)
		t->cfg.rx_hold_max = 16;
	if (t->cfg.mem_bytes_max != 0)
		stack_cfg.mem_bytes_max = t->cfg.mem_bytes_max;
	if (t->cfg.conns_max != 0)
		stack_cfg.conns_max = t->cfg.conns_max;
	stack_cfg.sndbuf_bytes = t->cfg.sndbuf_bytes;
	stack_cfg.rcvbuf_bytes = t->cfg.rcvbuf_bytes;
	stack_cfg.rmem = t->cfg.rmem;
	stack_cfg.wmem = t->cfg.wmem;
	t->now_us = BEGIN_US;
	WANT(stack_create(&stack_cfg, t->now_us, &t->s), 0);
	mtu = t->cfg.mss + (t->cfg.v6 ? 60 : 40);
	fake_link_init(t->drv, mtu);
	link_cfg = fake_link_config(t->drv, mtu, t->cfg.link_flags);
	link_cfg.rx_hold_max = t->cfg.rx_hold_max;
	link_cfg.rx_frames = t->cfg.rx_frames;
	WANT(stack_link_add(t->s, &link_cfg, &t->link), 0);
	WANT(endpoint_parse(t->cfg.v6 ? "[2001:db8::1]:80" : "10.0.0.1:80", &t->local), 0);
	WANT(endpoint_parse(t->cfg.v6 ? "[2001:db8::2]:4000" : "10.0.0.2:4000", &t->peer), 0);
	t->peer_isn = 1000;
	t->peer_win = 65535;
	t->cookie = 42;
}

/* Return: 0; -1: something is left over. */
static int line_end(struct line *t)
{
	struct seg seg;
	char text[LINE_SEG_TEXT];
	bool left = false;

	while (t->drv->sent_cnt != 0 && take(t, __FILE__, __LINE__, &seg)) {
		fprintf(stderr, "sent and not expected: \"%s\"\n", seg_text(&seg, text));
		left = true;
	}
	stack_destroy(t->s);
	t->s = NULL;
	if (t->drv->rx_out != 0 || t->drv->tx_open != 0 || t->mem.bytes != 0) {
		fprintf(stderr,
			"%u received frames, %u frames to send, %zu bytes were not given back\n",
			t->drv->rx_out, t->drv->tx_open, t->mem.bytes);
		left = true;
	}
	return left ? -1 : 0;
}

void line_restart(struct line *t, const struct line_config *cfg)
{
	struct fake_link *drv = t->drv;

	WANT(line_end(t), 0);
	memset(t, 0, sizeof(*t));
	t->drv = drv;
	line_begin(t, cfg);
}

static int line_setup(void **state, bool v6)
{
	struct line *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->drv = calloc(1, sizeof(*t->drv))) == NULL)
		return -1;
	line_begin(t, &(struct line_config){ .v6 = v6 });
	*state = t;
	return 0;
}

int line_setup_v4(void **state)
{
	return line_setup(state, false);
}

int line_setup_v6(void **state)
{
	return line_setup(state, true);
}

int line_teardown(void **state)
{
	struct line *t = *state;
	int ret = line_end(t);

	free(t->drv);
	free(t);
	return ret;
}
