// SPDX-License-Identifier: BSD-2-Clause
/*
 * Segments that follow each other, as Linux sends them: as one packet, which the card takes apart (TSO)
 *
 * Linux cuts what it sends into such packets, of tcp_min_tso_segs segments where the rate is low as it is in scripts, and sets
 * PSH in each that is more than one segment. Here packets leave one by one, since packetdrill puts them together itself, unless
 * told --strict_segments; but the last one of such a run gets PSH. With tso=1 the run leaves as one packet. What is sent
 * again is left alone: Linux does that packet by packet, cut as they had been, mostly one by one.
 *
 * A run is what was sent in one go: at the same time, full segments but for the last, and headers that are the same but for
 * sequence number, PSH and FIN. Of packets that are joined, length and IP checksum are those of the whole; TCP's checksum is
 * left to the card, as Linux does.
 */
#include "tests/packetdrill/pd.h"
#include "wire/checksum.h"

#include <stdlib.h>
#include <string.h>

#define ETH 14u

struct seg {
	uint8_t *ip, *tcp;
	uint32_t ip_len, hdr_len; /* hdr_len: IP and TCP */
	bool v4;
};

/* Return: false: not a TCP segment with payload. */
static bool seg_of(struct pd_packet *pkt, struct seg *ret)
{
	uint32_t l4;

	ret->ip = pkt->data + ETH;
	ret->v4 = ret->ip[0] >> 4 == 4;
	l4 = ret->v4 ? (ret->ip[0] & 15u) * 4u : 40u;
	if (ret->ip[ret->v4 ? 9 : 6] != 6)
		return false;
	ret->tcp = ret->ip + l4;
	ret->ip_len = pkt->len - ETH;
	ret->hdr_len = l4 + (ret->tcp[12] >> 4) * 4u;
	return ret->ip_len > ret->hdr_len;
}

static bool seg_follows(const struct seg *a, const struct seg *b)
{
	uint32_t tcp_len = a->hdr_len - (uint32_t)(a->tcp - a->ip);

	return a->v4 == b->v4 && a->hdr_len == b->hdr_len &&
	       memcmp(a->ip + (a->v4 ? 12 : 8), b->ip + (a->v4 ? 12 : 8), a->v4 ? 8 : 32) == 0 &&
	       memcmp(a->tcp, b->tcp, 4) == 0 && load_be32(b->tcp + 4) == load_be32(a->tcp + 4) + a->ip_len - a->hdr_len &&
	       memcmp(a->tcp + 8, b->tcp + 8, 5) == 0 && (a->tcp[13] & 9) == 0 && (b->tcp[13] & ~9) == a->tcp[13] &&
	       memcmp(a->tcp + 14, b->tcp + 14, 2) == 0 && memcmp(a->tcp + 20, b->tcp + 20, tcp_len - 20) == 0;
}

static void seg_length(struct seg *s, uint32_t ip_len)
{
	struct be16 sum;

	if (!s->v4) {
		store_be16(s->ip + 4, (uint16_t)(ip_len - 40));
		return;
	}
	store_be16(s->ip + 2, (uint16_t)ip_len);
	sum = (struct be16){ 0 };
	memcpy(s->ip + 10, &sum, 2);
	sum = csum_finish(csum_bytes(s->ip, (size_t)(s->tcp - s->ip)));
	memcpy(s->ip + 10, &sum, 2);
}

/* Does @next go on where @pkt ends, in the same run? */
static bool run_goes_on(struct pd_packet *pkt, struct pd_packet *next, uint32_t full)
{
	struct seg a, b;

	return next != NULL && next->burst == pkt->burst && seg_of(pkt, &a) && seg_of(next, &b) && seg_follows(&a, &b) &&
	       a.ip_len - a.hdr_len == full && b.ip_len - b.hdr_len <= full;
}

static void seg_push(struct pd_packet *pkt)
{
	struct csum sum = CSUM_ZERO;
	struct be16 old, now, field;
	struct seg s;

	(void)seg_of(pkt, &s);
	memcpy(&old, s.tcp + 12, 2);
	s.tcp[13] |= 8;
	memcpy(&now, s.tcp + 12, 2);
	memcpy(&field, s.tcp + 16, 2);
	/* RFC 1624 */
	sum = csum_add_be16(csum_sub_be16(csum_of_field(field), old), now);
	field = csum_finish(sum);
	memcpy(s.tcp + 16, &field, 2);
}

static void run_join(struct pd_world *w, struct pd_packet *first, uint32_t cnt)
{
	struct seg a, b;

	(void)seg_of(first, &a);
	while (--cnt != 0) {
		struct pd_packet *pkt = first->next;
		uint32_t more;

		(void)seg_of(pkt, &b);
		more = b.ip_len - b.hdr_len;
		memcpy(a.ip + a.ip_len, b.ip + b.hdr_len, more);
		a.ip_len += more;
		a.tcp[13] = b.tcp[13];
		first->next = pkt->next;
		if (w->sent_tail == &pkt->next)
			w->sent_tail = &first->next;
		free(pkt);
	}
	first->len = a.ip_len + ETH;
	seg_length(&a, a.ip_len);
}

/* Has the connection sent it before? */
static bool seg_again(struct pd_world *w, const struct seg *s)
{
	uint32_t ports = load_be32(s->tcp), seq = load_be32(s->tcp + 4), end = seq + s->ip_len - s->hdr_len;
	bool again = ports == w->ports && (int32_t)(seq - w->end) < 0;

	if (ports != w->ports || (int32_t)(end - w->end) > 0)
		w->end = end;
	w->ports = ports;
	return again;
}

void pd_tso_run(struct pd_world *w)
{
	struct pd_packet *first = w->sent_head, *last = first;
	uint32_t cnt = 1, full;
	struct seg s;

	if (!seg_of(first, &s) || seg_again(w, &s))
		return;
	if (w->run_left != 0) {
		w->run_left--;
		return;
	}
	full = s.ip_len - s.hdr_len;
	while (cnt < w->set.tso_segs && (cnt + 1) * full + s.hdr_len <= PD_TSO_BYTES && run_goes_on(last, last->next, full)) {
		last = last->next;
		cnt++;
	}
	if (cnt == 1)
		return;
	seg_push(last);
	if (w->set.tso)
		run_join(w, first, cnt);
	else
		w->run_left = cnt - 1;
}
