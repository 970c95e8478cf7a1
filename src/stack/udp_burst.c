// SPDX-License-Identifier: BSD-2-Clause
/*
 * Many datagrams to one destination: trains
 *
 * On a link of LINK_TRAINS as many as fit go into one packet, one behind the other, each with its UDP header:
 *
 *	| Ethernet | IP | UDP | payload | UDP | payload | ...
 *
 * IP's length is that of all of it, each UDP header has the length of its own datagram. What a packet costs, a frame, a descriptor and
 * headers at either side, a look-up and an event at the receiver's, is then paid once for all of them; what is left of each is to copy it. Nothing
 * waits for a train to become longer: it is made of what one call brings. A receiver takes it apart in udp.c. What is not
 * plain goes through udp_send(), one by one.
 */
#include "base/assert.h"
#include "stack/ip_out.h"
#include "stack/udp.h"
#include "wire/udp.h"

#include <errno.h>
#include <string.h>

/* Of a packet; longer trains would save nothing, and what is larger than this is large enough to go alone. */
#define TRAIN_BYTES ((uint32_t)STACK_TX_ROOM)

struct train {
	struct ip_path path;
	struct udp_fields fields; /* the ports */
	const struct udp_piece *pieces; /* that have not left yet */
};

/* Those of @pieces that fit into @room, from the first on. Return: how many; *@ret_len: bytes, headers included. */
static unsigned train_fit(const struct udp_piece *pieces, unsigned n, uint32_t room, uint32_t *ret_len)
{
	unsigned cnt = 0;

	for (*ret_len = 0; cnt < n; cnt++) {
		if (pieces[cnt].len > room || *ret_len + UDP_HDR_BYTES + pieces[cnt].len > room)
			break;
		*ret_len += UDP_HDR_BYTES + (uint32_t)pieces[cnt].len;
	}
	return cnt;
}

/* Into @packet, headers first. Return: bytes. */
static uint32_t train_write(struct stack *s, const struct link *link, const struct train *t, unsigned n, uint32_t l4_len,
			    uint8_t packet[static TRAIN_BYTES])
{
	struct udp_fields fields = t->fields;
	uint8_t *p = packet + ip_tx_head(s, link, &t->path, l4_len, packet);

	for (const struct udp_piece *piece = t->pieces; n > 0; n--, piece++) {
		fields.payload_len = (uint16_t)piece->len;
		p += udp_build(p, &fields);
		buf_copy(p, piece->data, piece->len);
		p += piece->len;
	}
	return (uint32_t)(p - packet);
}

/*
 * One packet of them. It is put together here and then copied as a block: the lines of its frame are with the receiver, and what bounds a
 * sender is how many of its stores wait for such a line, however narrow each is.
 * Return: how many left; 0: the first does not fit into a packet; -EAGAIN, -ENETDOWN: as udp_send().
 */
static int train_send(struct stack *s, uint32_t id, uint32_t link_id, const struct train *t, unsigned n)
{
	uint8_t *packet = s->tx_room;
	struct ip_tx tx;
	uint32_t len;
	int ret = ip_tx_get(s, link_id, ip_addr_is_v4(&t->path.dst), &tx);

	if (ret == -EAGAIN)
		udp_wait_for_frame(s, id, link_id);
	if (ret != 0)
		return ret;
	n = train_fit(t->pieces, n, min_u32(tx.l4_room, TRAIN_BYTES - IP_TX_HEAD_MAX), &len);
	if (unlikely(n == 0)) {
		ip_tx_unget(s, &tx);
		return 0;
	}
	tx.frame.len = train_write(s, tx.link, t, n, len, packet);
	buf_copy(tx.frame.data, packet, tx.frame.len);
	tx.link->ops->tx_put(tx.link->drv, &tx.frame);
	udp_sock_at(s, id)->sent_link = link_id;
	s->stats.tx_frames++;
	s->stats.udp_tx += n;
	return (int)n;
}

/* The socket has no error to tell, and nothing about the way has to be asked: no train crosses a router. */
static bool may_be_train(const struct stack *s, const struct udp_sock *sock, uint32_t link_id, const struct ip_addr *local,
			 const struct endpoint *remote)
{
	const struct link *link = link_find(&s->links, link_id);

	return link != NULL && (link->flags & LINK_TRAINS) != 0 && sock->err == 0 &&
	       ip_addr_is_v4(local) == ip_addr_is_v4(&remote->addr);
}

int udp_send_burst(struct stack *s, struct udp_id u, struct link_id link, const struct ip_addr *local,
		   const struct endpoint *remote, const struct udp_piece *pieces, unsigned n, unsigned *ret_sent)
{
	const struct udp_sock *sock = udp_sock_at(s, u.v);
	const bool trains = n > 1 && may_be_train(s, sock, link.v, local, remote);
	const bool v4 = ip_addr_is_v4(&remote->addr);
	struct train t = {
		.path = { .src = *local, .dst = remote->addr, .proto = IP_PROTO_UDP, .ttl = sock->ttl[v4], .tos = sock->tos[v4] },
		.fields = { .src_port = sock->local.port, .dst_port = remote->port },
	};
	unsigned sent = 0;
	int ret = 0;

	while (sent < n && ret >= 0) {
		t.pieces = pieces + sent;
		ret = trains ? train_send(s, u.v, link.v, &t, n - sent) : 0;
		if (ret == 0) {
			ret = udp_send(s, u, link, local, remote, t.pieces->data, t.pieces->len);
			ret = ret == 0 ? 1 : ret;
		}
		sent += ret > 0 ? (unsigned)ret : 0;
	}
	*ret_sent = sent;
	return ret < 0 ? ret : 0;
}
