// SPDX-License-Identifier: BSD-2-Clause
/*
 * TCP line tests: one segment a line, with virtual times. The test plays the peer of one
 * connection.
 *
 *	static void test_accept(void **state)
 *	{
 *		struct line *t = *state;
 *
 *		line_listen(t);
 *		RECV(0, "S 0:0(0) win 65535 <mss 1460,sackOK,wscale 7,TS val 1 ecr 0>");
 *		SEND("S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 7,TS val * ecr 1>");
 *		RECV(10 * MS, ". 1:1(0) ack 1 <TS val 11 ecr *>");
 *		NOTHING();
 *		line_accept(t);
 *		line_write(t, 100);
 *		SEND("P. 1:101(100) ack 1");
 *		SEND_AFTER(200 * MS, "P. 1:101(100) ack 1");
 *		NOTHING_FOR(100 * MS);
 *	}
 *	...
 *	const struct CMUnitTest tests[] = { LINE_TEST(test_accept), ... };
 *
 * Each test runs over IPv4 and over IPv6. A segment is
 *
 *	FLAGS SEQ:END(LEN) [ack N] [win N] [urg N] [<OPTIONS>]
 *
 *	FLAGS    of S F R P . U E W, where . is ACK; e.g. S, S., P., F., R
 *	SEQ ...  relative to the initial sequence number of whose bytes they count, as in
 *	         packetdrill: SYN is 0, the first byte of data 1; so are ack and SACK blocks. The
 *	         stack's is learned from its SYN, the peer's is t->peer_isn.
 *	win      the field as it is in the header, not scaled
 *	OPTIONS  mss N, wscale N, sackOK, sack A:B C:D ..., TS val N ecr N, uto N (the field), FO [HEX
 *	         or *], with commas between. FO alone asks for a cookie; `FO *` is any cookie, or in RECV the last that
 *	         the stack sent. FOEXP: the same as an experiment (RFC 6994)
 *
 * In RECV, the peer sends exactly this; win is t->peer_win when not said. `ecr *` is the last TS
 * val that the stack sent, `ecr *-N` that minus N. Payload is line_byte() of its place in the
 * stream.
 *
 * In SEND, what is not said is not compared: ack, win, urg, options. P is compared if it is said, and so is W beside F.
 * `*` as a number fits all. Options said must be those there, no more, no less; with ... among them, more
 * may be there. Checksums, addresses, ports and payload are always compared.
 *
 * Time stands still but for the macros that take one; they count from the line before. When time
 * passes, stack_run() is called at each deadline, as a host program would. What the stack sends
 * waits for its SEND line: it is a failure if a segment waits when time has to pass, or at the end
 * of the test.
 */
#ifndef VJ_TESTS_SIM_TCP_LINE_H
#define VJ_TESTS_SIM_TCP_LINE_H

#include "base/addr.h"
#include "stack/stack.h"
#include "tests/sim/fake_link.h"

#define US ((uint64_t)1)
#define MS ((uint64_t)1000)
#define SEC ((uint64_t)1000000)

#define LINE_LOG_MAX 4096
#define LINE_SEG_TEXT 192

struct line_config {
	bool v6;
	uint32_t mss;	     /* of the link; default 1460 */
	uint32_t link_flags; /* enum link_flags */
	uint32_t sndbuf_bytes, rcvbuf_bytes;
	struct stack_buf_limits rmem, wmem;
	uint64_t mem_bytes_max;
	uint32_t rx_hold_max; /* default 16 */
	uint32_t rx_frames;   /* default 0: they bound no window */
	uint32_t conns_max;   /* default 1000 */
};

struct line {
	/* The test may change these between lines. */
	uint32_t peer_isn; /* default 1000 */
	uint32_t withdrawn; /* what its SYN says of that; default 0 */
	uint32_t peer_win; /* default 65535 */
	struct endpoint local, peer;
	uint8_t peer_tos; /* of RECV; ECN bits included */
	uint64_t cookie;  /* for line_connect(), line_accept(); default 42 */

	/* ... and read these. */
	struct line_config cfg;
	struct stack *s;
	struct link_id link;
	struct fake_link *drv; /* drv->tx_max: back-pressure */
	struct listener_id listener;
	struct tcp_id id; /* by line_connect() or line_accept() */
	uint64_t now_us;  /* begins at 1 s */
	uint32_t isn;	  /* the stack's, from its last SYN */
	uint8_t tos;	  /* of the last segment sent */
	uint8_t ttl;
	bool dont_frag;
	uint32_t ip_id;
	uint32_t ts_val;  /* last that the stack sent */
	uint8_t cookie_len; /* Fast Open's, likewise */
	uint8_t fo_cookie[16];
	uint32_t written; /* bytes that line_write() has passed to the stack */
	uint32_t read;	  /* bytes that line_read() has got */

	struct fake_mem mem;
	char log[LINE_LOG_MAX]; /* the last segments, for a failure's message */
	uint32_t log_len;
};

/* ---- lines; `struct line *t` is in scope ------------------------------------------------------
 */

/* Let @delay_us pass, then the peer sends. */
#define RECV(delay_us, text) line_recv(t, __FILE__, __LINE__, delay_us, text)
/* The stack has sent this by now. */
#define SEND(text) line_send(t, __FILE__, __LINE__, 0, 0, text)
/* The stack sends this in @delay_us (or up to two timer ticks later), and nothing before. */
#define SEND_AFTER(delay_us, text) \
	line_send(t, __FILE__, __LINE__, delay_us, (delay_us) + 2 * MS + 48, text)
/* The stack sends this at some time between, and nothing before. */
#define SEND_BETWEEN(min_us, max_us, text) line_send(t, __FILE__, __LINE__, min_us, max_us, text)
/* Nothing waits to be expected. */
#define NOTHING() line_nothing(t, __FILE__, __LINE__, 0)
/* Time passes, and nothing is sent. */
#define NOTHING_FOR(us) line_nothing(t, __FILE__, __LINE__, us)
/* The same until a time since the begin of the test. */
#define NOTHING_UNTIL(us) line_nothing_until(t, __FILE__, __LINE__, us)
/* Is the time since the begin of the test what the test thinks it is, give or take a few ticks? */
#define AT(us) line_at(t, __FILE__, __LINE__, us)
/* Forget what was sent and not expected. */
#define IGNORE() line_ignore(t)
/* The next event of the stack is one of the connection, with just these bits (enum stack_ev). 0:
 * there is none. */
#define EVENT(bits) line_event(t, __FILE__, __LINE__, bits)

void line_recv(struct line *t, const char *file, int line, uint64_t delay_us, const char *text);
void line_send(struct line *t, const char *file, int line, uint64_t min_us, uint64_t max_us,
	       const char *text);
void line_nothing(struct line *t, const char *file, int line, uint64_t us);
void line_nothing_until(struct line *t, const char *file, int line, uint64_t us);
void line_at(struct line *t, const char *file, int line, uint64_t us);
void line_ignore(struct line *t);
void line_event(struct line *t, const char *file, int line, uint32_t bits);

/* ---- what the program does; each fails the test if the stack refuses ---------------------------
 */

/* A listener on t->local, backlog 16. */
void line_listen(struct line *t);
/* Take the connection that waits: t->id. */
void line_accept(struct line *t);
/* From t->local to t->peer: t->id; the SYN is expected by a SEND line. */
void line_connect(struct line *t);
/* Write the next @len bytes of the stream; the stack must take them all. */
void line_write(struct line *t, uint32_t len);
/* Read exactly @len bytes, which must be the next of the peer's stream. */
void line_read(struct line *t, uint32_t len);
/* End of file is next. */
void line_read_eof(struct line *t);
/* tcp_recv() says -@err (EAGAIN, ECONNRESET ...). */
void line_read_error(struct line *t, int err);
enum tcp_state line_state(const struct line *t);

/* Handshakes, for tests that begin after them: options as @opts, e.g. "mss 1460,sackOK,wscale 7";
 * takes 10 ms. The program is taken for one that answers (TCP_OPT_QUICKACK 0): acknowledgements wait for it. */
void line_established_passive(struct line *t, const char *opts);
void line_established_active(struct line *t, const char *opts);

/* The byte at place @off (1: first) of either stream */
static inline uint8_t line_byte(uint32_t off)
{
	return (uint8_t)(off * 167 ^ off >> 7);
}

/* The peer sends this, and that is all: no log, no checks, for floods. */
void line_recv_raw(struct line *t, const char *text);
/* Run the stack at this time; the lines do it by themselves. */
void line_run(struct line *t);

/* ---- beginning and end -------------------------------------------------------------------------
 */

/* Begin again with another configuration; first thing in a test. t->cfg has what it is now. */
void line_restart(struct line *t, const struct line_config *cfg);

int line_setup_v4(void **state);
int line_setup_v6(void **state);
/* All closed: every frame was freed once, all memory has come back. */
int line_teardown(void **state);

#define LINE_TEST(fn)                                                 \
	{ #fn " (IPv4)", fn, line_setup_v4, line_teardown, NULL },    \
	{                                                             \
#fn " (IPv6)", fn, line_setup_v6, line_teardown, NULL \
	}

#endif
