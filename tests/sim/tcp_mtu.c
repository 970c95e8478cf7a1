// SPDX-License-Identifier: BSD-2-Clause
/*
 * Path MTU: by ICMP (RFC 1191, RFC 8201, against forgers RFC 5927), and without (RFC 4821)
 *
 * ICMP errors come in frames, as routers send them. The link carries segments of 1460 bytes.
 */
#include "tests/sim/line_help.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ip4.h"
#include "wire/ip6.h"

#include <errno.h>

#define MINUTE (60 * SEC)

static uint32_t hdrs(const struct line *t)
{
	return t->cfg.v6 ? 60 : 40;
}

static uint64_t drops(struct line *t)
{
	return stats(t).drops[STACK_DROP_ICMP_MTU];
}

/* IP header of a packet with @len bytes behind it. Return: its length. */
static uint32_t put_ip(const struct line *t, uint8_t *p, const struct ip_addr *src,
		       const struct ip_addr *dst, uint8_t proto, uint32_t len)
{
	struct ip6_fields ip6 = {
		.src = *src, .dst = *dst, .payload_len = (uint16_t)len, .proto = proto, .hop_limit = 64,
	};
	struct ip4_fields ip4 = {
		.payload_len = (uint16_t)len, .proto = proto, .ttl = 64, .dont_frag = true,
	};

	if (t->cfg.v6)
		return (uint32_t)ip6_build(p, &ip6);
	ip4.src = ip_addr_v4(src);
	ip4.dst = ip_addr_v4(dst);
	ip4_build(p, &ip4);
	ip4_csum_fill(p);
	return IP4_HDR_BYTES;
}

/* A router quotes the segment from byte @seq of @t's stream on, which made a packet of @pkt_len bytes. */
static void router_says(struct line *t, uint32_t mtu, uint32_t seq, uint32_t pkt_len)
{
	uint8_t frame[200], *icmp, *quote;
	struct eth_fields eth = { .type = t->cfg.v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4 };
	uint32_t ip_len = t->cfg.v6 ? IP6_HDR_BYTES : IP4_HDR_BYTES;
	uint32_t len = ICMP_HDR_BYTES + ip_len + ICMP_QUOTE_MIN;
	uint8_t proto = t->cfg.v6 ? IP_PROTO_ICMP6 : IP_PROTO_ICMP;
	struct ip_addr router;

	assert_int_equal(ip_addr_parse(t->cfg.v6 ? "2001:db8::99" : "10.0.0.99", &router), 0);
	memcpy(eth.dst.bytes, t->drv->mac, 6);
	memcpy(eth.src.bytes, t->drv->peer_mac, 6);
	icmp = frame + eth_build(frame, &eth);
	icmp += put_ip(t, icmp, &router, &t->local.addr, proto, len);
	quote = icmp + icmp_build(icmp, t->cfg.v6 ? ICMP6_PKT_TOO_BIG : ICMP4_UNREACH,
				  t->cfg.v6 ? 0 : ICMP4_UNREACH_FRAG_NEEDED, mtu);
	quote += put_ip(t, quote, &t->local.addr, &t->peer.addr, IP_PROTO_TCP, pkt_len - ip_len);
	store_be16(quote, t->local.port);
	store_be16(quote + 2, t->peer.port);
	store_be32(quote + 4, t->isn + seq);
	icmp_csum_fill(icmp, len,
		       t->cfg.v6 ? csum_pseudo_addr(&router, &t->local.addr, proto, len) : CSUM_ZERO);
	fake_link_rx(t->s, t->link, t->drv, frame, (uint32_t)(icmp - frame) + len);
}

/* The same about a full segment of the link */
static void too_big(struct line *t, uint32_t mtu, uint32_t seq)
{
	router_says(t, mtu, seq, 1460 + hdrs(t));
}

/* Segments of @len bytes from byte @from on, @cnt of them */
static void send_of(struct line *t, int line, uint32_t from, uint32_t len, uint32_t cnt)
{
	char text[64];

	for (; cnt > 0; cnt--, from += len) {
		snprintf(text, sizeof(text), ". %u:%u(%u) ack 1", from, from + len, len);
		line_send(t, __FILE__, line, 0, 0, text);
	}
}
#define SEND_OF(from, len, cnt) send_of(t, __LINE__, from, len, cnt)

/* The connection ends, and the next one to the same host may begin. */
static void another(struct line *t)
{
	tcp_abort(t->s, t->id);
	IGNORE();
	t->local.port++;
	t->written = 0;
	t->read = 0;
}

/* ---- by ICMP --------------------------------------------------------------------------------- */

/* RFC 1191 6.4, 6.5; RFC 8201 5.4: sent again at once, smaller, and not as if it were congestion */
static void smaller(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	assert_int_equal(info(t).path_mtu, 1460 + hdrs(t));
	line_write(t, 2920);
	SEND_OF(1, 1460, 1);
	SEND("P. 1461:2921(1460) ack 1");
	assert_true(t->dont_frag);
	too_big(t, 1300 + hdrs(t), 1);
	SEND_OF(1, 1300, 2);
	SEND("P. 2601:2921(320) ack 1");
	assert_int_equal(info(t).cwnd_bytes, 14600);
	assert_int_equal(info(t).ssthresh_bytes, UINT32_MAX);
	assert_int_equal(info(t).path_mtu, 1300 + hdrs(t));
	/* the router had to drop the second, too */
	too_big(t, 1300 + hdrs(t), 1461);
	NOTHING();
	RECV(10 * MS, ". 1:1(0) ack 2921");
	line_write(t, 1300);
	SEND("P. 2921:4221(1300) ack 1");
	RECV(0, ". 1:1(0) ack 4221");
	NOTHING_FOR(10 * SEC);
}

/* With timestamps in each segment there is less room. */
static void smaller_with_options(void **state)
{
	struct line *t = *state;

	line_established_passive(t, WITH_SACK_TS ",mss 1460");
	line_write(t, 1448);
	SEND("P. 1:1449(1448) ack 1");
	too_big(t, 1300 + hdrs(t), 1);
	SEND_OF(1, 1288, 1);
	SEND("P. 1289:1449(160) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1449 <TS val 20 ecr *>");
}

/* RFC 6691: options take of what the path carries, too: where they do not fit, data go first. */
static void smaller_with_sack(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460,sackOK");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_NODELAY, 1), 0);
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	too_big(t, 1300 + hdrs(t), 1);
	SEND_OF(1, 1300, 1);
	SEND("P. 1301:1461(160) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1461");
	RECV(0, "P. 101:201(100) ack 1461");
	SEND(". 1461:1461(0) ack 1 <sack 101:201>");
	line_write(t, 1300);
	SEND("P. 1461:2761(1300) ack 1 <>");
	line_write(t, 1289);
	SEND("P. 2761:4050(1289) ack 1 <>");
	line_write(t, 1288);
	SEND("P. 4050:5338(1288) ack 1 <sack 101:201>");
	RECV(0, "P. 1:101(100) ack 5338");
	SEND(". 5338:5338(0) ack 201");
}

/* RFC 5927 4.1: only about what is in flight. RFC 1191 3, RFC 8201 4: never larger */
static void forged(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	too_big(t, 1300 + hdrs(t), 0);
	too_big(t, 1300 + hdrs(t), 1461);
	too_big(t, 1300 + hdrs(t), 1u << 31);
	assert_int_equal(drops(t), 0);
	too_big(t, 1460 + hdrs(t), 1);
	too_big(t, 9000, 1);
	assert_int_equal(drops(t), 2);
	NOTHING();
	assert_int_equal(info(t).mss, 1460);
	too_big(t, 1300 + hdrs(t), 1);
	SEND_OF(1, 1300, 1);
	SEND("P. 1301:1461(160) ack 1");
	too_big(t, 1400 + hdrs(t), 1);
	assert_int_equal(info(t).mss, 1300);
	RECV(0, ". 1:1(0) ack 1461");
}

/* A path that carries less than anybody should have to send. IPv4: routers may fragment then, and
 * each packet has a number (RFC 6864 4). RFC 8201 4: IPv6 has no such paths. */
static void least(void **state)
{
	struct line *t = *state;
	uint32_t id;

	line_established_passive(t, "mss 1460");
	line_write(t, 1024);
	SEND("P. 1:1025(1024) ack 1");
	assert_int_equal(t->ip_id, 0);
	router_says(t, 68, 1, 1024 + hdrs(t));
	if (t->cfg.v6) {
		assert_int_equal(drops(t), 1);
		assert_int_equal(info(t).mss, 1460);
		RECV(0, ". 1:1(0) ack 1025");
		return;
	}
	SEND_OF(1, 512, 1);
	assert_false(t->dont_frag);
	id = t->ip_id;
	SEND("P. 513:1025(512) ack 1");
	assert_false(t->dont_frag);
	assert_int_not_equal(t->ip_id, id);
	assert_int_equal(info(t).path_mtu, 552);
	RECV(0, ". 1:1(0) ack 1025");
}

/* RFC 1191 5, 7.1: a router that does not say how large; IPv6 has none. */
static void plateaus(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	too_big(t, 0, 1);
	if (t->cfg.v6) {
		assert_int_equal(drops(t), 1);
		RECV(0, ". 1:1(0) ack 1461");
		return;
	}
	SEND_OF(1, 1452, 1);
	SEND("P. 1453:1461(8) ack 1");
	/* it quotes what we sent, or counts the header twice */
	router_says(t, 0, 1, 1492 + 20);
	SEND_OF(1, 966, 1);
	SEND_OF(967, 486, 1);
	router_says(t, 0, 1, 1006);
	SEND_OF(1, 512, 1);
	IGNORE();
	assert_int_equal(info(t).path_mtu, 552);
	RECV(0, ". 1:1(0) ack 1461");
}

/* ... or what it quotes is small: that is what did not pass. */
static void plateau_of_quote(void **state)
{
	struct line *t = *state;

	if (t->cfg.v6)
		return;
	line_established_passive(t, "mss 1460");
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	router_says(t, 0, 1, 1006);
	SEND_OF(1, 512, 2);
	SEND("P. 1025:1461(436) ack 1");
	RECV(0, ". 1:1(0) ack 1461");
}

/* ---- the cache ------------------------------------------------------------------------------- */

/* RFC 1191 3, RFC 8201 5.2: what begins later begins with it; but what we accept is another matter. */
static void remembered(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	too_big(t, 1300 + hdrs(t), 1);
	IGNORE();
	another(t);
	line_connect(t);
	SEND("S 0:0(0) <mss 1460,...>");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1460>");
	SEND(". 1:1(0) ack 1");
	assert_int_equal(info(t).mss, 1300);
	assert_int_equal(info(t).path_mtu, 1300 + hdrs(t));
	line_write(t, 2000);
	SEND_OF(1, 1300, 1);
	SEND("P. 1301:2001(700) ack 1");
	RECV(0, ". 1:1(0) ack 2001");
	/* another host is another path */
	another(t);
	t->peer.addr.bytes[15]++;
	line_established_active(t, "mss 1460");
	assert_int_equal(info(t).mss, 1460);
}

/* RFC 1191 6.3, RFC 8201 4: after ten minutes without a word the full size is tried again. */
static void ages(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	too_big(t, 1300 + hdrs(t), 1);
	IGNORE();
	RECV(0, ". 1:1(0) ack 1461");
	NOTHING_FOR(5 * MINUTE);
	/* It has said so again. */
	line_write(t, 1300);
	SEND("P. 1461:2761(1300) ack 1");
	too_big(t, 1300 + hdrs(t), 1461);
	RECV(0, ". 1:1(0) ack 2761");
	NOTHING_FOR(10 * MINUTE - 1 * SEC);
	line_write(t, 1460);
	SEND_OF(2761, 1300, 1);
	SEND("P. 4061:4221(160) ack 1");
	RECV(0, ". 1:1(0) ack 4221");
	NOTHING_FOR(2 * SEC);
	line_write(t, 1460);
	SEND("P. 4221:5681(1460) ack 1");
	assert_int_equal(info(t).path_mtu, 1460 + hdrs(t));
	too_big(t, 1280 + hdrs(t), 4221);
	SEND_OF(4221, 1280, 1);
	SEND("P. 5501:5681(180) ack 1");
	RECV(0, ". 1:1(0) ack 5681");
}

/* Whatever strangers make it learn, its memory is bounded, and the last is known. */
static void bounded(void **state)
{
	struct line *t = *state;
	uint64_t bytes = 0;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6 });
	for (unsigned int i = 256; i < 5256; i++) {
		t->peer.addr.bytes[14] = (uint8_t)(i >> 8);
		t->peer.addr.bytes[15] = (uint8_t)i;
		t->peer.port = (uint16_t)i;
		line_established_active(t, "mss 1460");
		line_write(t, 1460);
		SEND("P. 1:1461(1460) ack 1");
		too_big(t, 1300 + hdrs(t), 1);
		IGNORE();
		another(t);
		if (i == 266)
			bytes = stats(t).mem_bytes;
	}
	assert_int_equal(stats(t).mem_bytes, bytes);
	t->peer.port++;
	line_established_active(t, "mss 1460");
	assert_int_equal(info(t).mss, 1300);
}

/* TCP_MAXSEG of Linux: what SYN says, and no more than that is sent; afterwards it has no effect. */
static void maxseg(void **state)
{
	static const struct tcp_option_value opt = { TCP_OPT_MAXSEG, 500 };
	struct line *t = *state;
	uint64_t value;

	assert_int_equal(
		tcp_connect_with(t->s, t->link, &t->local, &t->peer, &opt, 1, t->cookie, &t->id), 0);
	SEND("S 0:0(0) <mss 500,...>");
	RECV(10 * MS, "S. 0:0(0) ack 1 <mss 1460>");
	SEND(". 1:1(0) ack 1");
	line_write(t, 600);
	SEND_OF(1, 500, 1);
	SEND("P. 501:601(100) ack 1");
	RECV(0, ". 1:1(0) ack 601");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_MAXSEG, 100), 0);
	assert_int_equal(tcp_option_get(t->s, t->id, TCP_OPT_MAXSEG, &value), 0);
	assert_int_equal(value, 500);
	line_write(t, 500);
	SEND("P. 601:1101(500) ack 1");
	RECV(0, ". 1:1(0) ack 1101");
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_MAXSEG, 87), -EINVAL);
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_MAXSEG, 32768), -EINVAL);
	assert_int_equal(tcp_option_set(t->s, t->id, TCP_OPT_MAXSEG, 0), 0);
}

/* ---- silence --------------------------------------------------------------------------------- */

/* RFC 4821 7.7: full segments are not heard of, and routers say nothing. */
static void black_hole(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460,wscale 7");
	line_write(t, 14600);
	SEND_OF(1, 1460, 9);
	SEND("P. 13141:14601(1460) ack 1");
	SEND_BETWEEN(200 * MS, 215 * MS, ". 1:1461(1460) ack 1");
	SEND_BETWEEN(400 * MS, 430 * MS, ". 1:1461(1460) ack 1");
	SEND_BETWEEN(800 * MS, 860 * MS, ". 1:1461(1460) ack 1");
	assert_int_equal(stats(t).tcp_mtu_black_holes, 0);
	if (t->cfg.v6) {
		/* RFC 8200 5: 1280 bytes pass. */
		SEND_BETWEEN(1600 * MS, 1720 * MS, ". 1:1221(1220) ack 1");
		assert_int_equal(info(t).mss, 1220);
		/* ... and no less is tried */
		SEND_BETWEEN(3200 * MS, 3440 * MS, ". 1:1221(1220) ack 1");
		RECV(10 * MS, ". 1:1(0) ack 1221");
		SEND_OF(1221, 1220, 2);
	} else {
		SEND_BETWEEN(1600 * MS, 1720 * MS, ". 1:1025(1024) ack 1");
		assert_int_equal(info(t).mss, 1024);
		/* half of it, but no less than anybody has to carry */
		SEND_BETWEEN(3200 * MS, 3440 * MS, ". 1:513(512) ack 1");
		assert_true(t->dont_frag);
		/* nothing else is left to try */
		SEND_BETWEEN(6400 * MS, 6880 * MS, ". 1:513(512) ack 1");
		assert_false(t->dont_frag);
		RECV(10 * MS, ". 1:1(0) ack 513");
		SEND_OF(513, 512, 2);
	}
	assert_int_equal(stats(t).tcp_mtu_black_holes, t->cfg.v6 ? 1 : 2);
	RECV(10 * MS, ". 1:1(0) ack 14601");
	IGNORE();
}

/* What dies although it is small was not too large. */
static void no_black_hole(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	line_write(t, 600);
	SEND("P. 1:601(600) ack 1");
	for (unsigned int i = 0; i < 6; i++)
		SEND_BETWEEN(200 * MS, 14000 * MS, "P. 1:601(600) ack 1");
	assert_int_equal(info(t).mss, 1460);
	assert_int_equal(stats(t).tcp_mtu_black_holes, 0);
	RECV(0, ". 1:1(0) ack 601");
}

/* tcp_mtu_probing = 0 of Linux */
static void probing_off(void **state)
{
	struct line *t = *state;

	tcp_settings_set(t->s, &(struct tcp_settings){ .mtu_probing = STACK_MTU_PROBE_OFF });
	line_established_passive(t, "mss 1460");
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	for (unsigned int i = 0; i < 6; i++)
		SEND_BETWEEN(200 * MS, 14000 * MS, "P. 1:1461(1460) ack 1");
	RECV(0, ". 1:1(0) ack 1461");
}

/* ---- search ---------------------------------------------------------------------------------- */

/* A connection that searches from its beginning on (tcp_mtu_probing = 2), with a window that has
 * grown to 20 segments: its first @*ret_next bytes are acknowledged. @small: its segments' size */
static void searching(struct line *t, const char *opts, uint32_t *ret_small, uint32_t *ret_next)
{
	uint32_t small = t->cfg.v6 ? 1220 : 1024, next = 1;
	char text[64];

	tcp_settings_set(t->s, &(struct tcp_settings){ .mtu_probing = STACK_MTU_PROBE_ALWAYS });
	line_established_passive(t, opts);
	assert_int_equal(info(t).mss, small);
	for (unsigned int i = 0; i < 10; i++) {
		line_write(t, small);
		SEND_OF(next, small, 1);
		next += small;
	}
	snprintf(text, sizeof(text), ". 1:1(0) ack %u", next);
	RECV(10 * MS, text);
	*ret_small = small;
	*ret_next = next;
}

/* Enough for a probe and what must be behind it: the probe has left, and the rest */
static uint32_t probe_leaves(struct line *t, int line, uint32_t small, uint32_t next, uint32_t probe)
{
	line_write(t, probe + 4 * small);
	send_of(t, line, next, probe, 1);
	send_of(t, line, next + probe, small, 4);
	return next + probe + 4 * small;
}
#define PROBE(small, next, probe) probe_leaves(t, __LINE__, small, next, probe)

/* RFC 4821 7.4, 7.6.1: it arrives, and is what segments are from then on */
static void probe_arrives(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, cwnd;

	searching(t, "mss 1460,sackOK,wscale 7", &small, &next);
	probe = (small + 1460) / 2;
	cwnd = info(t).cwnd_bytes;
	next = PROBE(small, next, probe);
	assert_int_equal(stats(t).tcp_mtu_probes, 1);
	ACK(10 * MS, next - 4 * small - 1); /* not yet all of it */
	assert_int_equal(info(t).mss, small);
	ACK(0, next - 4 * small);
	assert_int_equal(info(t).mss, probe);
	assert_int_equal(stats(t).tcp_mtu_raised, 1);
	ACK(0, next);
	assert_true(info(t).cwnd_bytes >= cwnd);
	/* The next is in the middle again, until there is no middle worth it. */
	while (probe + 8 <= 1460) {
		uint32_t full = probe;

		probe = (full + 1460) / 2;
		next = PROBE(full, next, probe);
		ACK(10 * MS, next);
		assert_int_equal(info(t).mss, probe);
	}
	line_write(t, 10 * probe);
	SEND_OF(next, probe, 10);
	ACK(10 * MS, next + 10 * probe);
	assert_int_equal(stats(t).tcp_mtu_failed, 0);
}

/* RFC 4821 7.6.1: it alone is lost: the size is too large, and the window stays */
static void probe_lost(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, first, cwnd;
	char block[64];

	searching(t, "mss 1460,sackOK,wscale 7", &small, &next);
	probe = (small + 1460) / 2;
	cwnd = info(t).cwnd_bytes;
	first = next;
	next = PROBE(small, next, probe);
	snprintf(block, sizeof(block), "%u:%u", first + probe, next);
	SACK(10 * MS, first, block);
	SEND_OF(first, small, 1);
	SEND_OF(first + small, probe - small, 1);
	assert_int_equal(info(t).cwnd_bytes, cwnd);
	assert_int_equal(info(t).ssthresh_bytes, UINT32_MAX);
	assert_int_equal(stats(t).tcp_mtu_failed, 1);
	assert_int_equal(stats(t).tcp_recoveries, 0);
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, small);
	/* Between what arrives and what does not */
	probe = (small + probe - 1) / 2;
	next = PROBE(small, next, probe);
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, probe);
}

/* ... without SACK: three duplicates */
static void probe_lost_no_sack(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, first, cwnd;

	searching(t, "mss 1460,wscale 7", &small, &next);
	probe = (small + 1460) / 2;
	first = next;
	cwnd = info(t).cwnd_bytes;
	next = PROBE(small, next, probe);
	for (unsigned int i = 0; i < 3; i++)
		ACK(i == 0 ? 10 * MS : 0, first);
	SEND_OF(first, small, 1);
	SEND_OF(first + small, probe - small, 1);
	assert_int_equal(info(t).cwnd_bytes, cwnd);
	assert_int_equal(stats(t).tcp_mtu_failed, 1);
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, small);
}

/* RFC 4821 7.6.4: a timeout, and nothing behind it was heard of either: congestion, and no larger */
static void probe_timeout(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, first;
	char text[64];

	searching(t, "mss 1460,wscale 7", &small, &next);
	probe = (small + 1460) / 2;
	first = next;
	next = PROBE(small, next, probe);
	snprintf(text, sizeof(text), ". %u:%u(%u) ack 1", first, first + small, small);
	SEND_BETWEEN(200 * MS, 230 * MS, text);
	assert_int_equal(stats(t).tcp_mtu_failed, 1);
	assert_int_equal(info(t).cwnd_bytes, small);
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, small);
}

/* RFC 4821 7.6.2: something before it is lost: that says nothing about its size */
static void probe_inconclusive(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, first;
	char block[64];

	searching(t, "mss 1460,sackOK,wscale 7", &small, &next);
	line_write(t, small);
	SEND_OF(next, small, 1);
	first = next;
	next += small;
	probe = (small + 1460) / 2;
	next = PROBE(small, next, probe);
	snprintf(block, sizeof(block), "%u:%u", first + small, next);
	SACK(10 * MS, first, block);
	SEND_OF(first, small, 1);
	assert_int_equal(stats(t).tcp_recoveries, 1);
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, small);
	assert_int_equal(stats(t).tcp_mtu_failed + stats(t).tcp_mtu_raised, 0);
}

/* A router answers the probe. */
static void probe_and_icmp(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, first, cwnd;

	searching(t, "mss 1460,sackOK,wscale 7", &small, &next);
	probe = (small + 1460) / 2;
	first = next;
	cwnd = info(t).cwnd_bytes;
	next = PROBE(small, next, probe);
	router_says(t, small + 30 + hdrs(t), first, probe + hdrs(t));
	SEND_OF(first, small, 1);
	SEND_OF(first + small, probe - small, 1);
	assert_int_equal(info(t).mss, small);
	assert_int_equal(info(t).cwnd_bytes, cwnd);
	assert_int_equal(info(t).path_mtu, small + 30 + hdrs(t));
	ACK(10 * MS, next);
	/* that is where it ends from now on */
	next = PROBE(small, next, small + 15);
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, small + 15);
}

/* RFC 4821 7.5: not if its loss could not be told from others: too little data behind it */
static void probe_not_now(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe;

	searching(t, "mss 1460,sackOK,wscale 7", &small, &next);
	probe = (small + 1460) / 2;
	line_write(t, probe + 4 * small - 1);
	SEND_OF(next, small, 5);
	IGNORE();
	assert_int_equal(stats(t).tcp_mtu_probes, 0);
	ACK(10 * MS, next + probe + 4 * small - 1);
}

/* The end of a search is told to others; after ten minutes it goes on, upwards (RFC 4821 7.3, 5.3) */
static void search_again(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, high = 1460, low;
	char block[64];

	searching(t, "mss 1460,sackOK,wscale 7", &small, &next);
	/* The path carries as much as is sent, and no more. */
	for (low = small; high >= low + 8; high = probe - 1) {
		uint32_t first = next;

		probe = (low + high) / 2;
		next = PROBE(small, next, probe);
		snprintf(block, sizeof(block), "%u:%u", first + probe, next);
		SACK(10 * MS, first, block);
		SEND_OF(first, small, 1);
		SEND_OF(first + small, probe - small, 1);
		ACK(10 * MS, next);
	}
	line_write(t, 10 * small);
	SEND_OF(next, small, 10);
	next += 10 * small;
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, small);
	NOTHING_FOR(10 * MINUTE);
	/* a window that was not used is small */
	line_write(t, 10 * small);
	SEND_OF(next, small, 10);
	next += 10 * small;
	ACK(10 * MS, next);
	probe = (small + 1460) / 2;
	next = PROBE(small, next, probe);
	ACK(10 * MS, next);
	assert_int_equal(info(t).mss, probe);
}

/* ... told to others, which begin with what was found */
static void search_shared(void **state)
{
	struct line *t = *state;
	uint32_t small, next, probe, high = 1460;
	char block[64];

	searching(t, "mss 1460,sackOK,wscale 7", &small, &next);
	for (; high >= small + 8; high = probe - 1) {
		uint32_t first = next;

		probe = (small + high) / 2;
		next = PROBE(small, next, probe);
		snprintf(block, sizeof(block), "%u:%u", first + probe, next);
		SACK(10 * MS, first, block);
		IGNORE();
		ACK(10 * MS, next);
	}
	tcp_settings_set(t->s, &(struct tcp_settings){ .mtu_probing = STACK_MTU_PROBE_OFF });
	another(t);
	line_established_active(t, "mss 1460");
	assert_int_equal(info(t).mss, small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(smaller),
		LINE_TEST(smaller_with_options),
		LINE_TEST(smaller_with_sack),
		LINE_TEST(forged),
		LINE_TEST(least),
		LINE_TEST(plateaus),
		LINE_TEST(plateau_of_quote),
		LINE_TEST(remembered),
		LINE_TEST(ages),
		LINE_TEST(bounded),
		LINE_TEST(maxseg),
		LINE_TEST(black_hole),
		LINE_TEST(no_black_hole),
		LINE_TEST(probing_off),
		LINE_TEST(probe_arrives),
		LINE_TEST(probe_lost),
		LINE_TEST(probe_lost_no_sack),
		LINE_TEST(probe_timeout),
		LINE_TEST(probe_inconclusive),
		LINE_TEST(probe_and_icmp),
		LINE_TEST(probe_not_now),
		LINE_TEST(search_again),
		LINE_TEST(search_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
