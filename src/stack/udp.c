// SPDX-License-Identifier: BSD-2-Clause
/*
 * UDP: RFC 768, RFC 1122 section 4.1, RFC 8200 section 8.1
 *
 * A socket is found by its local address and port (port.h). Each has a queue of datagrams, bounded
 * by the bytes that they take (udp_rcvbuf_set()); what does not fit is dropped and counted, as UDP allows. So many stay in frames as their link can
 * spare, whoever they are for; the others are copied, into less than three times what they count for.
 *
 * Trains: on a link of LINK_TRAINS, what follows a datagram in its packet is the next one of the same flow, with a UDP header
 * of its own, and so on to the packet's end (udp_burst.c). Such a packet is one entry of the queue, and mostly stays in the frame that it
 * came in. The far end may write there meanwhile: so of the bytes that wait none is believed but once. A header is copied out and checked when its datagram
 * becomes the oldest (dgram_more()), and what it says is kept in the entry.
 */
#include "stack/udp.h"

#include "base/assert.h"
#include "stack/ip_frag.h"
#include "stack/ip_out.h"
#include "stack/ip_pmtu.h"
#include "stack/stack_priv.h"
#include "wire/ip4.h"
#include "wire/udp.h"

#include <errno.h>
#include <string.h>

#define UDP_SOCKS_MAX (UINT32_C(1) << 20)
#define UDP_DGRAMS_MAX (UINT32_C(1) << 26)
#define UDP_RCVBUF_MAX (UINT32_C(3) << 30) /* and what one packet may take more */
#define UDP_DGRAM_COST \
	256 /* bytes of the queue's bound that a packet takes besides its payload */
/* RFC 768, and IPv4's header in its packet; IPv6 does not count its own */
#define UDP_PAYLOAD_MAX_V4 65507u
#define UDP_PAYLOAD_MAX_V6 65527u

size_t udp_global_bytes(void)
{
	return sizeof(struct udp_global);
}

static struct udp_dgram *dgram_at(const struct stack *s, uint32_t idx)
{
	return pool_at_sized(&s->udp->dgrams, idx, sizeof(struct udp_dgram));
}

int udp_init(struct stack *s)
{
	struct udp_global *udp = s->udp;
	int ret;

	ret = pool_init(&udp->socks, &s->mem, sizeof(struct udp_sock), 0, UDP_SOCKS_MAX);
	if (ret == 0)
		ret = pool_init(&udp->dgrams, &s->mem, sizeof(struct udp_dgram), 0, UDP_DGRAMS_MAX);
	ref_space_set(&udp->all_nodes, REF_UDP, &udp->socks, offsetof(struct udp_sock, all));
	ref_space_set(&s->event_nodes, REF_UDP, &udp->socks, offsetof(struct udp_sock, event));
	ref_space_set(&s->output_nodes, REF_UDP, &udp->socks, offsetof(struct udp_sock, output));
	return ret;
}

void udp_fini(struct stack *s)
{
	while (!ref_list_empty(&s->udp->all))
		udp_close(s, (struct udp_id){ ref_id(s->udp->all.head) });
	pool_fini(&s->udp->socks);
	pool_fini(&s->udp->dgrams);
}

/* ---- sockets ----------------------------------------------------------------------------------
 */

int udp_open(struct stack *s, const struct endpoint *local, unsigned flags, uint64_t cookie, struct udp_id *ret_u)
{
	uint32_t id = pool_get(&s->udp->socks);
	struct udp_sock *sock;
	struct port_id place;
	int ret;

	if (id == 0)
		return -ENOMEM;
	ret = ports_add(&s->ports, PORT_UDP, local, flags, id, &place);
	if (ret != 0) {
		pool_put(&s->udp->socks, id);
		return ret;
	}
	sock = udp_sock_at(s, id);
	*sock = (struct udp_sock){
		.local = *local,
		.place = place,
		.rcvbuf_bytes = s->cfg.rcvbuf_bytes,
		.mtu_mode = { UDP_MTU_WANT, UDP_MTU_WANT },
		.ttl = { IP_TTL_DEFAULT, IP_TTL_DEFAULT },
	};
	event_cookie_set(&sock->event, cookie);
	ref_list_add(&s->udp->all_nodes, &s->udp->all, ref_udp(id));
	ret_u->v = id;
	return 0;
}

/* ---- crowds ---------------------------------------------------------------------------------- */

static void crowd_begin(struct stack *s, uint32_t id, const struct udp_sock *sock)
{
	if (likely(sock->queued_bytes <= sock->rcvbuf_bytes / 2) || !sock->read || s->udp->crowded != 0)
		return;
	s->udp->crowded = id;
	s->udp->crowded_until_us = s->now_us + UDP_CROWD_US;
}

static void crowd_look(struct stack *s, uint32_t id, struct udp_sock *sock)
{
	sock->read = true;
	if (unlikely(s->udp->crowded == id) && sock->queued_bytes <= sock->rcvbuf_bytes / 4)
		s->udp->crowded = 0;
}

bool stack_is_crowded(struct stack *s)
{
	if (likely(s->udp->crowded == 0))
		return false;
	if (s->now_us < s->udp->crowded_until_us)
		return true;
	udp_sock_at(s, s->udp->crowded)->read = false;
	s->udp->crowded = 0;
	return false;
}

/* ---- datagrams ------------------------------------------------------------------------------- */

/* @idx is out of the queue already. */
static void dgram_free(struct stack *s, struct udp_sock *sock, uint32_t idx)
{
	struct udp_dgram *dgram = dgram_at(s, idx);

	sock->queued_bytes -= dgram->charge;
	bufq_drop(&s->bufs, &dgram->data);
	pool_put(&s->udp->dgrams, idx);
}

/* The oldest entry */
static void dgram_drop(struct stack *s, struct udp_sock *sock)
{
	uint32_t idx = sock->head;

	sock->head = dgram_at(s, idx)->next;
	if (sock->head == 0)
		sock->tail = 0;
	dgram_free(s, sock, idx);
}

/*
 * The train behind the datagram that was read becomes that of the next. Return: false: there is none, or what should be one is not of the
 * same flow, or longer than the packet: then nothing behind it counts.
 */
static bool dgram_more(struct stack *s, const struct udp_sock *sock, struct udp_dgram *dgram)
{
	uint32_t rest = dgram->data.bytes - dgram->bytes;
	uint8_t hdr[UDP_HDR_BYTES];
	struct udp_view udp;

	if (dgram->data.bytes <= dgram->bytes)
		return false;
	bufq_read_at(&s->bufs, &dgram->data, dgram->bytes, hdr, min_u32(rest, UDP_HDR_BYTES), NULL);
	if (unlikely(udp_parse(hdr, rest, &udp) != WIRE_OK || udp.src_port != dgram->from.port ||
		     udp.dst_port != sock->local.port)) {
		stack_drop(s, STACK_DROP_UDP_BAD);
		return false;
	}
	bufq_consume(&s->bufs, &dgram->data, dgram->bytes + UDP_HDR_BYTES);
	dgram->bytes = udp.payload_len;
	s->stats.udp_rx++;
	return true;
}

void udp_close(struct stack *s, struct udp_id u)
{
	struct udp_sock *sock = udp_sock_at(s, u.v);

	while (sock->head != 0)
		dgram_drop(s, sock);
	crowd_look(s, u.v, sock);
	stack_output_done(s, sock->output_link, ref_udp(u.v));
	stack_event_del(s, ref_udp(u.v));
	ref_list_del(&s->udp->all_nodes, &s->udp->all, ref_udp(u.v));
	ports_del(&s->ports, sock->place);
	pool_put(&s->udp->socks, u.v);
}

int udp_connect(struct stack *s, struct udp_id u, const struct endpoint *remote)
{
	struct udp_sock *sock = udp_sock_at(s, u.v);
	struct endpoint to = remote != NULL ? *remote : (struct endpoint){ .port = 0 };
	int ret = ports_connect(&s->ports, sock->place, &to);

	if (ret == 0)
		sock->remote = to;
	return ret;
}

void udp_rcvbuf_set(struct stack *s, struct udp_id u, uint32_t bytes)
{
	udp_sock_at(s, u.v)->rcvbuf_bytes = min_u32(bytes, UDP_RCVBUF_MAX);
}

uint32_t udp_ready(const struct stack *s, struct udp_id u)
{
	const struct udp_sock *sock = udp_sock_at(s, u.v);

	return (sock->head != 0 || sock->err != 0 ? STACK_EV_READABLE : 0u) |
	       (sock->err != 0 ? STACK_EV_ERROR : 0u);
}

/* The pending error as a negative errno, once */
static int sock_error(struct udp_sock *sock)
{
	int err = sock->err;

	sock->err = 0;
	return -err;
}

int udp_error(struct stack *s, struct udp_id u)
{
	return -sock_error(udp_sock_at(s, u.v));
}

/* ---- receiving --------------------------------------------------------------------------------
 */

/* A datagram that came in fragments: all of it, header included. NULL: it came whole. */
static struct bufq *udp_pieces(struct stack *s, const struct pkt *pkt)
{
	return unlikely(pkt->borrowed) && s->reass.pieces.bytes != 0 ? &s->reass.pieces : NULL;
}

static bool udp_pieces_csum_ok(const struct stack *s, const struct bufq *pieces, const struct pkt *pkt,
			       uint32_t len)
{
	struct csum sum = csum_pseudo_addr(&pkt->src, &pkt->dst, IP_PROTO_UDP, len);
	struct bufq_pos pos = { 0 };

	for (uint32_t off = 0; off < len;) {
		const uint8_t *data;
		uint32_t n = min_u32(bufq_peek_at(&s->bufs, pieces, off, &data, &pos), len - off);

		sum = csum_add_at(sum, csum_bytes(data, n), off);
		off += n;
	}
	return csum_is_ok(sum);
}

static bool udp_csum_ok(struct stack *s, const struct pkt *pkt, const struct udp_view *udp)
{
	uint32_t len = UDP_HDR_BYTES + udp->payload_len;
	uint32_t avail = min_u32(pkt_l4_avail(pkt), len);

	if (!udp_has_csum(udp))
		return pkt->ip.version == 4;
	if (udp_pieces(s, pkt) != NULL)
		return udp_pieces_csum_ok(s, udp_pieces(s, pkt), pkt, len);
	return ip_csum_ok(&pkt->ip, pkt_l4(pkt), avail, pkt_payload(pkt, avail), len - avail);
}

/* Payload, in the frame */
struct udp_span {
	uint32_t off; /* from its first byte */
	uint32_t len;
	uint32_t all; /* with the train behind it; none: @len */
};

/* @rest: bytes from there to the end of the packet */
static struct udp_span udp_span(const struct pkt *pkt, uint32_t off, uint32_t len, uint32_t rest)
{
	bool train = (pkt->link->flags & LINK_TRAINS) != 0 && !pkt->borrowed;

	return (struct udp_span){ .off = off, .len = len, .all = train ? rest : len };
}

/* Copied if it is one and small, else kept where it lies. Return: 0; -ENOMEM. */
static int udp_take(struct stack *s, struct udp_dgram *dgram, struct pkt *pkt, const struct udp_span *span)
{
	struct bufq *pieces = udp_pieces(s, pkt);
	uint32_t len = span->len;

	dgram->bytes = len;
	dgram->data = (struct bufq){ 0 };
	if (unlikely(pieces != NULL)) {
		bufq_consume(&s->bufs, pieces, UDP_HDR_BYTES);
		bufq_cut(&s->bufs, pieces, len);
		bufq_splice(&s->bufs, &dgram->data, pieces);
		return 0;
	}
	if (span->all > len || len > UDP_SMALL_BYTES)
		return bufq_append_pkt_alone(&s->bufs, &dgram->data, pkt, span->off, span->all);
	memcpy(dgram->small, pkt->frame.data + span->off, len);
	return 0;
}

/* What it counts for: fragments are a block of memory each, be they ever so small. */
static uint32_t udp_charge(struct stack *s, const struct pkt *pkt, uint32_t bytes)
{
	return bytes + UDP_DGRAM_COST * (unlikely(udp_pieces(s, pkt) != NULL) ? s->reass.piece_cnt : 1);
}

/* @dst: the address of ours it came to. Return: false: dropped, and counted. */
static bool udp_queue(struct stack *s, struct udp_sock *sock, struct pkt *pkt, const struct endpoint *from,
		      const struct ip_addr *dst, const struct udp_span *span)
{
	uint32_t charge = udp_charge(s, pkt, span->all), idx;
	struct udp_dgram *dgram;

	if (unlikely(sock->queued_bytes + charge > sock->rcvbuf_bytes && sock->head != 0)) {
		stack_drop(s, STACK_DROP_UDP_FULL);
		return false;
	}
	idx = pool_get_sized(&s->udp->dgrams, sizeof(*dgram));
	if (unlikely(idx == 0)) {
		stack_drop(s, STACK_DROP_NO_MEMORY);
		return false;
	}
	dgram = dgram_at(s, idx);
	dgram->next = 0;
	dgram->link = pkt->link_id;
	dgram->charge = charge;
	dgram->from = *from;
	dgram->to = *dst;
	if (unlikely(udp_take(s, dgram, pkt, span) != 0)) {
		pool_put(&s->udp->dgrams, idx);
		stack_drop(s, STACK_DROP_NO_MEMORY);
		return false;
	}
	if (sock->tail != 0)
		dgram_at(s, sock->tail)->next = idx;
	else
		sock->head = idx;
	sock->tail = idx;
	sock->queued_bytes += charge;
	return true;
}

static void udp_accept(struct stack *s, uint32_t id, struct pkt *pkt, const struct endpoint *from,
		       const struct ip_addr *dst, struct udp_span span)
{
	struct udp_sock *sock = udp_sock_at(s, id);

	if (!udp_queue(s, sock, pkt, from, dst, &span))
		return;
	crowd_begin(s, id, sock);
	s->stats.udp_rx++;
	stack_event_add(s, ref_udp(id), STACK_EV_READABLE);
}

static struct ip_addr addr_at(const uint8_t *p)
{
	return ip_addr_from_v4((struct be32){ load_u32(p) });
}

bool udp_input_plain(struct stack *s, struct pkt *pkt)
{
	const uint8_t *ip = pkt->hdr + ETH_HDR_BYTES, *udp = ip + IP4_HDR_BYTES;
	const uint32_t hdrs = IP4_HDR_BYTES + UDP_HDR_BYTES;
	struct ip_addr dst = addr_at(ip + offsetof(struct ip4_hdr, dst));
	struct endpoint from = { .addr = addr_at(ip + offsetof(struct ip4_hdr, src)), .port = load_be16(udp) };
	uint32_t id = ports_find_from(&s->ports, PORT_UDP, &dst, load_be16(udp + 2), &from);

	if (unlikely(id == 0))
		return false;
	udp_accept(s, id, pkt, &from, &dst,
		   udp_span(pkt, ETH_HDR_BYTES + hdrs, load_be16(udp + 4) - (uint32_t)UDP_HDR_BYTES,
			    load_be16(ip + offsetof(struct ip4_hdr, total_len)) - hdrs));
	return true;
}

void udp_input(struct stack *s, struct pkt *pkt)
{
	struct endpoint from;
	struct udp_view udp;
	uint32_t id;

	if (unlikely(udp_parse_part(pkt_l4(pkt), pkt_l4_avail(pkt), pkt_l4_len(pkt), &udp) !=
		     WIRE_OK) ||
	    ((pkt->link->flags & LINK_NO_CSUM) == 0 && unlikely(!udp_csum_ok(s, pkt, &udp)))) {
		stack_drop(s, STACK_DROP_UDP_BAD);
		return;
	}
	from = (struct endpoint){ .addr = pkt->src, .port = udp.src_port };
	id = ports_find_from(&s->ports, PORT_UDP, &pkt->dst, udp.dst_port, &from);
	if (unlikely(id == 0)) {
		stack_drop(s, STACK_DROP_UDP_NO_SOCKET);
		icmp_port_unreachable(s, pkt);
		return;
	}
	udp_accept(s, id, pkt, &from, &pkt->dst,
		   udp_span(pkt, (uint32_t)pkt->l4_off + UDP_HDR_BYTES, udp.payload_len, pkt_l4_len(pkt) - UDP_HDR_BYTES));
}

int udp_recv(struct stack *s, struct udp_id u, void *buf, size_t len, bool peek, size_t *ret_len,
	     struct endpoint *ret_from, struct ip_addr *ret_to, struct link_id *ret_link)
{
	struct udp_sock *sock = udp_sock_at(s, u.v);
	struct udp_dgram *dgram;
	uint32_t n;

	if (unlikely(sock->err != 0))
		return sock_error(sock);
	if (sock->head == 0)
		return -EAGAIN;
	dgram = dgram_at(s, sock->head);
	n = (uint32_t)min_size(len, dgram->bytes);
	*ret_len = dgram->bytes;
	*ret_from = dgram->from;
	*ret_to = dgram->to;
	ret_link->v = dgram->link;
	if (dgram->data.head == 0)
		memcpy(buf, dgram->small, n);
	else
		bufq_read_at(&s->bufs, &dgram->data, 0, buf, n, NULL);
	if (!peek && !dgram_more(s, sock, dgram)) {
		dgram_drop(s, sock);
		crowd_look(s, u.v, sock);
	}
	return 0;
}

int udp_next_bytes(const struct stack *s, struct udp_id u, size_t *ret_len)
{
	const struct udp_sock *sock = udp_sock_at(s, u.v);

	if (sock->head == 0)
		return -EAGAIN;
	*ret_len = dgram_at(s, sock->head)->bytes;
	return 0;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* Header and payload into the frame */
static void udp_write(const struct ip_tx *tx, const struct ip_path *path,
		      const struct udp_fields *fields, const void *buf)
{
	size_t hdr_len = udp_build(tx->l4, fields);
	struct csum sum;

	if (!ip_tx_has_csum(tx)) {
		memcpy(tx->l4 + hdr_len, buf, fields->payload_len);
		return;
	}
	sum = csum_copy(tx->l4 + hdr_len, buf, fields->payload_len);
	sum = csum_add(sum, ip_tx_pseudo(path, UDP_HDR_BYTES + fields->payload_len));
	udp_csum_fill(tx->l4, sum);
}

/* One link at a time: a program that sends to several tries again anyway. */
void udp_wait_for_frame(struct stack *s, uint32_t id, uint32_t link_id)
{
	struct udp_sock *sock = udp_sock_at(s, id);

	if (ref_list_has(&sock->output))
		return;
	sock->output_link = link_id;
	stack_output_later(s, link_id, ref_udp(id));
}

void udp_output_resume(struct stack *s, uint32_t id)
{
	stack_event_add(s, ref_udp(id), STACK_EV_WRITABLE);
}

/* What the modes mean */
struct mtu_rules {
	bool believes; /* what is known of the path counts */
	bool fragments;
	bool dont_frag;
};

/*
 * Modes are about routers and what others on the way can bear. A channel has nobody on its way: how many
 * frames a datagram takes is between the two ends.
 */
static const struct mtu_rules *mtu_rules(const struct udp_sock *sock, const struct link *link, bool v4)
{
	static const struct mtu_rules rules[] = {
		[UDP_MTU_DONT] = { .believes = true, .fragments = true },
		[UDP_MTU_WANT] = { .believes = true, .fragments = true, .dont_frag = true },
		[UDP_MTU_DO] = { .believes = true, .dont_frag = true },
		[UDP_MTU_PROBE] = { .dont_frag = true },
		[UDP_MTU_INTERFACE] = { .believes = false },
		[UDP_MTU_OMIT] = { .fragments = true },
	};

	return &rules[(link->flags & LINK_NO_LOSS) != 0 ? UDP_MTU_WANT : sock->mtu_mode[v4]];
}

void udp_mtu_mode_set(struct stack *s, struct udp_id u, bool v4, enum udp_mtu_mode mode)
{
	VJ_ASSERT_OP((unsigned int)mode, <=, UDP_MTU_OMIT);
	udp_sock_at(s, u.v)->mtu_mode[v4] = (uint8_t)mode;
}

void udp_mark_set(struct stack *s, struct udp_id u, bool v4, uint8_t tos, uint8_t ttl)
{
	struct udp_sock *sock = udp_sock_at(s, u.v);

	sock->tos[v4] = tos;
	sock->ttl[v4] = ttl;
}

/* The link must exist. */
static struct pmtu udp_pmtu(const struct stack *s, const struct udp_sock *sock, uint32_t link_id,
			    const struct ip_addr *dst)
{
	const struct link *link = link_at(&s->links, link_id);

	if (mtu_rules(sock, link, ip_addr_is_v4(dst))->believes)
		return pmtu_get(s, link_id, dst);
	return (struct pmtu){ .mtu = link->mtu };
}

uint32_t udp_path_mtu(const struct stack *s, struct udp_id u, struct link_id link_id,
		      const struct ip_addr *dst)
{
	const struct link *link = link_find(&s->links, link_id.v);

	if (link == NULL)
		return 0;
	return (link->flags & LINK_NO_LOSS) != 0 ? IP_PKT_MAX
						 : udp_pmtu(s, udp_sock_at(s, u.v), link_id.v, dst).mtu;
}

/*
 * Anything but a socket in the default mode on a stack that knows of no path: room becomes what the
 * path leaves of it, and DF what the mode says.
 */
static VJ_COLD void udp_obey(const struct stack *s, const struct udp_sock *sock, uint32_t link_id,
			     struct ip_tx *tx, struct ip_path *path)
{
	bool v4 = ip_addr_is_v4(&path->dst);
	const struct mtu_rules *rules = mtu_rules(sock, tx->link, v4);
	struct pmtu pmtu = udp_pmtu(s, sock, link_id, &path->dst);

	tx->l4_room = min_u32(tx->l4_room, pmtu.mtu - (v4 ? 20 : 40));
	/* Who insists on DF gets it, as in Linux. */
	path->frag_ok = !rules->dont_frag || (pmtu.frag_ok && rules->fragments);
}

/* More than fits into one packet */
static VJ_COLD int udp_send_large(struct stack *s, struct udp_sock *sock, uint32_t link_id,
				  const struct ip_path *path, const struct udp_fields *fields,
				  const void *buf)
{
	struct ip_large large = { .data = buf, .len = fields->payload_len };
	int ret;

	if (!mtu_rules(sock, link_at(&s->links, link_id), ip_addr_is_v4(&path->dst))->fragments)
		return -EMSGSIZE;
	udp_build(large.hdr, fields);
	ret = ip_send_large(s, link_id, path, udp_pmtu(s, sock, link_id, &path->dst).mtu, &large);
	if (ret == 0) {
		sock->sent_link = link_id;
		s->stats.udp_tx++;
	}
	return ret;
}

int udp_send(struct stack *s, struct udp_id u, struct link_id link, const struct ip_addr *local,
	     const struct endpoint *remote, const void *buf, size_t len)
{
	struct udp_sock *sock = udp_sock_at(s, u.v);
	bool v4 = ip_addr_is_v4(local);
	struct ip_path path = {
		.src = *local,
		.dst = remote->addr,
		.proto = IP_PROTO_UDP,
		.ttl = sock->ttl[v4],
		.tos = sock->tos[v4],
	};
	struct udp_fields fields = {
		.src_port = sock->local.port,
		.dst_port = remote->port,
		.payload_len = (uint16_t)len,
	};
	struct ip_tx tx;
	int ret;

	if (unlikely(sock->err != 0))
		return sock_error(sock);
	if (v4 != ip_addr_is_v4(&remote->addr))
		return -EAFNOSUPPORT;
	if (len > (v4 ? UDP_PAYLOAD_MAX_V4 : UDP_PAYLOAD_MAX_V6))
		return -EMSGSIZE;
	ret = ip_tx_get(s, link.v, v4, &tx);
	if (ret == -EAGAIN)
		udp_wait_for_frame(s, u.v, link.v);
	if (ret != 0)
		return ret;
	if (unlikely(s->pmtu != NULL || sock->mtu_mode[v4] != UDP_MTU_WANT))
		udp_obey(s, sock, link.v, &tx, &path);
	if (unlikely(len + UDP_HDR_BYTES > tx.l4_room)) {
		ip_tx_unget(s, &tx);
		return udp_send_large(s, sock, link.v, &path, &fields, buf);
	}
	sock->sent_link = link.v;
	udp_write(&tx, &path, &fields, buf);
	ip_tx_put(s, &tx, &path, UDP_HDR_BYTES + (uint32_t)len);
	s->stats.udp_tx++;
	return 0;
}

/* ---- what links and ICMP tell -----------------------------------------------------------------
 */

/* A router could not pass it on. Return: true: the program is to know. */
static bool udp_too_big(struct stack *s, const struct udp_sock *sock, const struct icmp_error *error)
{
	uint8_t mode = sock->mtu_mode[ip_addr_is_v4(&error->remote.addr)];
	const struct link *link = link_find(&s->links, error->link);
	struct pmtu pmtu;

	/* A channel has no routers. */
	if (link == NULL || (link->flags & LINK_NO_LOSS) != 0 || mode == UDP_MTU_INTERFACE ||
	    mode == UDP_MTU_OMIT)
		return false;
	return pmtu_learn(s, error, &pmtu) && mode != UDP_MTU_DONT && !error->own;
}

void udp_icmp_error(struct stack *s, const struct icmp_error *error)
{
	uint32_t id = ports_find_from(&s->ports, PORT_UDP, &error->local.addr, error->local.port, &error->remote);
	struct udp_sock *sock = id != 0 ? udp_sock_at(s, id) : NULL;

	if (sock == NULL || sock->sent_link != error->link) {
		stack_drop(s, STACK_DROP_UDP_NO_SOCKET);
		return;
	}
	if (error->err == EMSGSIZE && !udp_too_big(s, sock, error))
		return;
	if (!error->hard && error->err != EMSGSIZE)
		return;
	if (sock->remote.port == 0) {
		stack_event_add(s, ref_udp(id), STACK_EV_ERROR);
		return;
	}
	sock->err = error->err;
	stack_event_add(s, ref_udp(id), STACK_EV_ERROR | STACK_EV_READABLE);
}

/* Copy what the socket has in frames of the link; what there is no memory for is lost. */
static void sock_leave_link(struct stack *s, struct udp_sock *sock, uint32_t link_id)
{
	uint32_t *link = &sock->head;

	sock->tail = 0;
	while (*link != 0) {
		uint32_t idx = *link;
		struct udp_dgram *dgram = dgram_at(s, idx);

		if (dgram->link == link_id && bufq_own(&s->bufs, &dgram->data) != 0) {
			stack_drop(s, STACK_DROP_NO_MEMORY);
			*link = dgram->next;
			dgram_free(s, sock, idx);
		} else {
			sock->tail = idx;
			link = &dgram->next;
		}
	}
}

void udp_link_gone(struct stack *s, uint32_t link_id)
{
	struct ref ref = s->udp->all.head;

	while (ref.v != 0) {
		struct udp_sock *sock = udp_sock_at(s, ref_id(ref));

		sock_leave_link(s, sock, link_id);
		ref = sock->all.next;
	}
}
