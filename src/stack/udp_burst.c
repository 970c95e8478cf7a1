// SPDX-License-Identifier: BSD-2-Clause
/*
 * Many datagrams to one destination, over a link without checksums
 *
 * Their headers differ in two lengths at most. They are composed once and copied as a block, and frames are taken and put many at
 * a time: what bounds a sender is how many of its stores wait for lines that the receiver has, and the processor
 * keeps a few dozen of them, however narrow each is. Whatever is not plain goes through udp_send(), one by one.
 */
#include "base/assert.h"
#include "stack/ip_out.h"
#include "stack/udp.h"
#include "wire/udp.h"

#include <errno.h>
#include <string.h>

#define BURST_MAX 32
/* Headers, rounded up to what is copied in a few wide moves; payload then overwrites what is behind them. */
#define HEAD_BYTES 64

_Static_assert(IP_TX_HEAD_MAX + UDP_HDR_BYTES <= HEAD_BYTES, "of either family");

struct burst {
	struct udp_sock *sock;
	struct link *link;
	struct ip_path path;
	struct udp_fields fields; /* with the length that @head is for */
	uint32_t hdrs;		  /* bytes of @head in use; 0: there is none yet */
	uint8_t head[HEAD_BYTES];
};

/* Is it one for which nobody has to be asked? */
static bool burst_is_plain(const struct stack *s, const struct burst *b, bool v4)
{
	return b->link != NULL && !b->link->going && b->link->ops->tx_get_many != NULL &&
	       (b->link->flags & LINK_NO_CSUM) != 0 && s->pmtu == NULL && b->sock->mtu_mode[v4] == UDP_MTU_WANT &&
	       b->sock->err == 0 && v4 == ip_addr_is_v4(&b->path.dst);
}

static void burst_head(struct stack *s, struct burst *b, uint16_t len)
{
	b->fields.payload_len = len;
	b->hdrs = ip_tx_head(s, b->link, &b->path, UDP_HDR_BYTES + (uint32_t)len, b->head);
	b->hdrs += (uint32_t)udp_build(b->head + b->hdrs, &b->fields);
}

/* Up to the first that does not fit its frame. Return: how many. */
static unsigned burst_fill(struct stack *s, struct burst *b, struct link_frame *frames,
			   const struct udp_piece *pieces, unsigned n)
{
	uint32_t most = ip_l4_max(b->link, ip_addr_is_v4(&b->path.dst)) - UDP_HDR_BYTES;

	for (unsigned i = 0; i < n; i++) {
		size_t len = pieces[i].len;

		if (unlikely(len > most || frames[i].room < HEAD_BYTES || len > frames[i].room - HEAD_BYTES))
			return i;
		if (unlikely(b->hdrs == 0 || len != b->fields.payload_len))
			burst_head(s, b, (uint16_t)len);
		memcpy(frames[i].data, b->head, HEAD_BYTES);
		memcpy(frames[i].data + b->hdrs, pieces[i].data, len);
		frames[i].len = b->hdrs + (uint32_t)len;
	}
	return n;
}

/* Return: how many left; 0: no frame, or one that is not plain comes first. */
static unsigned burst_send(struct stack *s, struct burst *b, const struct udp_piece *pieces, unsigned n,
			   bool *ret_blocked)
{
	struct link_frame frames[BURST_MAX];
	unsigned got = b->link->ops->tx_get_many(b->link->drv, frames, min_u32(n, BURST_MAX));
	unsigned done = burst_fill(s, b, frames, pieces, got);

	*ret_blocked = got == 0;
	if (done != 0)
		b->link->ops->tx_put_many(b->link->drv, frames, done);
	while (got > done) /* backwards, so that they come again in the order they had */
		b->link->ops->tx_unget(b->link->drv, &frames[--got]);
	s->stats.tx_frames += done;
	s->stats.udp_tx += done;
	return done;
}

int udp_send_burst(struct stack *s, struct udp_id u, struct link_id link, const struct ip_addr *local,
		   const struct endpoint *remote, const struct udp_piece *pieces, unsigned n, unsigned *ret_sent)
{
	struct burst b = {
		.sock = udp_sock_at(s, u.v),
		.link = link_find(&s->links, link.v),
		.path = { .src = *local, .dst = remote->addr, .proto = IP_PROTO_UDP, .ttl = IP_TTL_DEFAULT },
	};
	bool plain = n > 1 && burst_is_plain(s, &b, ip_addr_is_v4(local)), blocked = false;
	unsigned sent = 0;
	int err = 0;

	b.fields = (struct udp_fields){ .src_port = b.sock->local.port, .dst_port = remote->port };
	while (sent < n && err == 0) {
		unsigned now = plain ? burst_send(s, &b, pieces + sent, n - sent, &blocked) : 0;

		if (now != 0)
			b.sock->sent_link = link.v;
		sent += now;
		if (now != 0)
			continue;
		if (blocked) {
			b.link->blocked = true;
			udp_wait_for_frame(s, u.v, link.v);
			err = -EAGAIN;
			break;
		}
		err = udp_send(s, u, link, local, remote, pieces[sent].data, pieces[sent].len);
		sent += err == 0;
	}
	*ret_sent = sent;
	return err;
}
