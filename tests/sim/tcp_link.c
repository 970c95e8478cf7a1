// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the host says of a link while connections are there: a route that carries less, a neighbour that does not answer,
 * another MTU, another MAC address
 */
#include "tests/sim/line_help.h"
#include "wire/eth.h"
#include "wire/ip4.h"

#include <errno.h>
#include <string.h>

/* The beginning of a packet that the stack has sent, as the host remembers it */
struct packet {
	uint8_t bytes[128];
	uint32_t len;
};

static uint32_t hdrs(const struct line *t)
{
	return t->cfg.v6 ? 60 : 40;
}

/* The oldest that no SEND has taken yet */
static struct packet packet_sent(const struct line *t)
{
	const struct link_frame *frame = &t->drv->sent[t->drv->sent_first];
	struct packet ret;

	assert_true(t->drv->sent_cnt > 0);
	ret.len = frame->len - ETH_HDR_BYTES < sizeof(ret.bytes) ? frame->len - ETH_HDR_BYTES : sizeof(ret.bytes);
	memcpy(ret.bytes, frame->data + ETH_HDR_BYTES, ret.len);
	return ret;
}

static struct packet write_packet(struct line *t, uint32_t len)
{
	line_write(t, len);
	line_run(t);
	return packet_sent(t);
}

/* ---- a route ----------------------------------------------------------------------------------------------------- */

/* As RFC 1191 6.4: sent again at once, smaller, and not as if it were congestion; nobody is told. */
static void route_too_narrow(void **state)
{
	struct line *t = *state;
	struct packet p;

	line_established_passive(t, "mss 1460");
	p = write_packet(t, 2920);
	SEND(". 1:1461(1460) ack 1");
	SEND("P. 1461:2921(1460) ack 1");
	stack_too_big(t->s, t->link, p.bytes, p.len, 1300 + hdrs(t));
	SEND(". 1:1301(1300) ack 1");
	SEND(". 1301:2601(1300) ack 1");
	SEND("P. 2601:2921(320) ack 1");
	assert_int_equal(info(t).ssthresh_bytes, UINT32_MAX);
	assert_int_equal(info(t).path_mtu, 1300 + hdrs(t));
	EVENT(0);
	RECV(10 * MS, ". 1:1(0) ack 2921");
	stack_too_big(t->s, t->link, p.bytes, p.len, 1290 + hdrs(t)); /* late: it has arrived */
	assert_int_equal(info(t).path_mtu, 1300 + hdrs(t));
}

/* Less than what each path has to carry counts as that; what makes no sense, for nothing. */
static void route_least(void **state)
{
	struct line *t = *state;
	struct packet p;
	uint32_t len;

	line_established_passive(t, "mss 1460");
	p = write_packet(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
	stack_too_big(t->s, t->link, p.bytes, 20, 600);
	stack_too_big(t->s, (struct link_id){ 77 }, p.bytes, p.len, 600);
	if (!t->cfg.v6) {
		struct packet later = p;

		store_be16(later.bytes + offsetof(struct ip4_hdr, frag), 100); /* a fragment without ports */
		stack_too_big(t->s, t->link, later.bytes, later.len, 600);
	}
	NOTHING();
	assert_int_equal(info(t).path_mtu, 1460 + hdrs(t));
	stack_too_big(t->s, t->link, p.bytes, p.len, 100);
	len = t->cfg.v6 ? 1280 - 60 : 552 - 40;
	assert_int_equal(info(t).mss, len);
	IGNORE();
}

/* ---- a neighbour ------------------------------------------------------------------------------------------------- */

/* RFC 1122 4.2.3.9: in the handshake that is the end */
static void neighbour_silent_connecting(void **state)
{
	struct line *t = *state;
	struct packet p;

	line_connect(t);
	line_run(t);
	p = packet_sent(t);
	SEND("S 0:0(0)");
	stack_unreachable(t->s, t->link, p.bytes, 20);
	assert_int_equal(line_state(t), TCP_SYN_SENT);
	stack_unreachable(t->s, t->link, p.bytes, p.len);
	line_read_error(t, EHOSTUNREACH);
}

/* ... later it tries on, and says so if that fails. */
static void neighbour_silent(void **state)
{
	struct line *t = *state;
	struct packet p;

	line_established_passive(t, "mss 1460");
	option(t, TCP_OPT_USER_TIMEOUT_MS, 1000);
	p = write_packet(t, 100);
	SEND("P. 1:101(100) ack 1");
	stack_unreachable(t->s, t->link, p.bytes, p.len);
	assert_int_equal(line_state(t), TCP_ESTABLISHED);
	EVENT(0);
	SEND_BETWEEN(200 * MS, 300 * MS, "P. 1:101(100) ack 1");
	t->now_us += 10 * SEC;
	IGNORE();
	line_read_error(t, EHOSTUNREACH);
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

static void mtu_refused(void **state)
{
	struct line *t = *state;

	assert_int_equal(stack_link_mtu_set(t->s, t->link, 1279), -EINVAL);
	assert_int_equal(stack_link_mtu_set(t->s, t->link, 65536), -EINVAL);
	assert_int_equal(stack_link_mtu_set(t->s, (struct link_id){ 77 }, 1500), -EINVAL);
	line_established_passive(t, "mss 1460");
	line_write(t, 1460);
	SEND("P. 1:1461(1460) ack 1");
}

/* Another connection, which hears what the link carries now */
static void connect_says(struct line *t, const char *syn)
{
	struct tcp_id first = t->id;
	uint32_t isn = t->isn;

	t->local.port++;
	line_connect(t);
	SEND(syn);
	tcp_abort(t->s, t->id);
	IGNORE();
	t->local.port--;
	t->id = first;
	t->isn = isn;
}

/* Less: at once, and that stays so for who is there. */
static void mtu_less(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 1460");
	assert_int_equal(stack_link_mtu_set(t->s, t->link, 1300 + hdrs(t)), 0);
	line_write(t, 1460);
	SEND(". 1:1301(1300) ack 1");
	SEND("P. 1301:1461(160) ack 1");
	RECV(10 * MS, ". 1:1(0) ack 1461");
	connect_says(t, "S 0:0(0) <mss 1300,sackOK,TS val * ecr 0,wscale *>");
	assert_int_equal(stack_link_mtu_set(t->s, t->link, 1460 + hdrs(t)), 0);
	connect_says(t, "S 0:0(0) <mss 1460,sackOK,TS val * ecr 0,wscale *>");
	line_write(t, 1460);
	SEND(". 1461:2761(1300) ack 1");
	SEND("P. 2761:2921(160) ack 1");
}

/* What was learned of a route says nothing once the link itself carries less. */
static void mtu_below_route(void **state)
{
	struct line *t = *state;
	struct packet p;

	line_established_passive(t, "mss 1460");
	p = write_packet(t, 1460);
	IGNORE();
	stack_too_big(t->s, t->link, p.bytes, p.len, 1400 + hdrs(t));
	IGNORE();
	tcp_abort(t->s, t->id);
	IGNORE();
	assert_int_equal(stack_link_mtu_set(t->s, t->link, 1300 + hdrs(t)), 0);
	t->written = 0;
	t->local.port++;
	line_established_active(t, "mss 1460");
	assert_int_equal(info(t).path_mtu, 1300 + hdrs(t));
	line_write(t, 2600);
	SEND(". 1:1301(1300) ack 1");
	SEND("P. 1301:2601(1300) ack 1");
}

/* More: for who comes; who is there sends no more than what it began with. */
static void mtu_more(void **state)
{
	struct line *t = *state;

	line_established_passive(t, "mss 9000");
	t->drv->tx_bytes = ETH_HDR_BYTES + 2000 + hdrs(t);
	assert_int_equal(stack_link_mtu_set(t->s, t->link, 2000 + hdrs(t)), 0);
	connect_says(t, "S 0:0(0) <mss 2000,sackOK,TS val * ecr 0,wscale *>");
	line_write(t, 2920);
	SEND(". 1:1461(1460) ack 1");
	SEND("P. 1461:2921(1460) ack 1");
}

/* Of the next frames in both directions */
static void mac_changes_on(struct line *t, uint32_t link_flags)
{
	static const uint8_t mac[6] = { 0x02, 0, 0, 0, 7, 9 };
	uint8_t old[6];

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .link_flags = link_flags });
	line_established_passive(t, "mss 1460");
	memcpy(old, t->drv->mac, 6);
	stack_link_mac_set(t->s, t->link, mac);
	stack_link_mac_set(t->s, (struct link_id){ 77 }, old); /* none */
	RECV(0, "P. 1:11(10) ack 1");
	assert_int_equal(stats(t).drops[STACK_DROP_ETH_DST], 1);
	NOTHING();
	memcpy(t->drv->mac, mac, 6); /* the peer has heard of it; SEND looks for it, too */
	RECV(0, "P. 1:11(10) ack 1");
	line_read(t, 10);
	line_write(t, 100);
	SEND("P. 1:101(100) ack 11");
	RECV(0, ". 11:11(0) ack 101");
	tcp_close(t->s, t->id);
	SEND("F. 101:101(0) ack 11");
}

static void mac_changes(void **state)
{
	mac_changes_on(*state, 0);
}

/* ... those included whose beginning is composed once for all */
static void mac_changes_plain(void **state)
{
	mac_changes_on(*state, LINK_NO_LOSS | LINK_NO_CSUM);
}

/* LINK_ANY_MAC: who is meant was decided before. */
static void mac_of_no_interest(void **state)
{
	struct line *t = *state;

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6, .link_flags = LINK_ANY_MAC });
	line_established_passive(t, "mss 1460");
	t->drv->mac[5] ^= 0x55;
	RECV(0, "P. 1:11(10) ack 1");
	t->drv->mac[5] ^= 0x55;
	line_read(t, 10);
	SEND_BETWEEN(0, 200 * MS, ". 1:1(0) ack 11");
	assert_int_equal(stats(t).drops[STACK_DROP_ETH_DST], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(route_too_narrow), LINE_TEST(route_least), LINE_TEST(neighbour_silent_connecting),
		LINE_TEST(neighbour_silent), LINE_TEST(mtu_refused), LINE_TEST(mtu_less),
		LINE_TEST(mtu_below_route),  LINE_TEST(mtu_more),    LINE_TEST(mac_changes),
		LINE_TEST(mac_changes_plain), LINE_TEST(mac_of_no_interest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
