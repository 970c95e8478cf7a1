// SPDX-License-Identifier: BSD-2-Clause
/*
 * RFC 9293 3.10.7.4, step by step, in each state that has a peer: one table, every state
 */
#include "tests/sim/tcp_line.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define STATE(state) (1u << (state))
#define SYNCHRONIZED                                                                        \
	(STATE(TCP_ESTABLISHED) | STATE(TCP_FIN_WAIT_1) | STATE(TCP_FIN_WAIT_2) |           \
	 STATE(TCP_CLOSE_WAIT) | STATE(TCP_CLOSING) | STATE(TCP_LAST_ACK))
#define ALL (SYNCHRONIZED | STATE(TCP_TIME_WAIT) | STATE(TCP_SYN_RECEIVED))
/* The peer has sent FIN */
#define AFTER_FIN                                                                 \
	(STATE(TCP_CLOSE_WAIT) | STATE(TCP_CLOSING) | STATE(TCP_LAST_ACK) |       \
	 STATE(TCP_TIME_WAIT))

/* Where a connection stands: the next number of each side, in terms of a line */
struct place {
	uint32_t peer_nxt;
	uint32_t snd_nxt;
};

enum answer { NOTHING_AT_ALL, AN_ACK, A_RESET };

struct rule {
	const char *what;
	unsigned int states; /* it holds in */
	const char *flags;
	int32_t seq; /* from peer_nxt */
	uint32_t len;
	int32_t ack; /* from snd_nxt */
	enum answer answer;
	bool closes;
};

static const struct rule rules[] = {
	/* first step: sequence number */
	{ "behind the window", ALL, ".", 70000, 0, 0, AN_ACK, false },
	{ "data behind the window", ALL, "P.", 70000, 10, 0, AN_ACK, false },
	{ "long before", SYNCHRONIZED | STATE(TCP_TIME_WAIT), ".", -70000, 0, 0, AN_ACK, false },
	{ "keep-alive", SYNCHRONIZED | STATE(TCP_TIME_WAIT), ".", -1, 0, 0, AN_ACK, false },
	{ "reset behind the window", ALL, "R.", 70000, 0, 0, NOTHING_AT_ALL, false },
	{ "reset long before", ALL, "R", -70000, 0, 0, NOTHING_AT_ALL, false },
	{ "the peer's FIN again", AFTER_FIN, "F.", -1, 0, 0, AN_ACK, false },
	/* second step: RST (RFC 5961 3.2; in TIME_WAIT as Linux, unless tcp_rfc1337 is set) */
	{ "reset", ALL, "R", 0, 0, 0, NOTHING_AT_ALL, true },
	{ "reset with ACK", ALL, "R.", 0, 0, 0, NOTHING_AT_ALL, true },
	{ "reset in the window of TIME_WAIT", STATE(TCP_TIME_WAIT), "R.", 1, 0, 0, NOTHING_AT_ALL, false },
	{ "reset in the window", ALL & ~STATE(TCP_TIME_WAIT), "R", 1, 0, 0, AN_ACK, false },
	/* fourth step: SYN (RFC 5961 4.2); SYN_RECEIVED goes back to LISTEN */
	{ "SYN", SYNCHRONIZED, "S", 0, 0, 0, AN_ACK, false },
	{ "SYN in the window", SYNCHRONIZED, "S", 100, 0, 0, AN_ACK, false },
	{ "SYN behind it", ALL & ~STATE(TCP_TIME_WAIT), "S", 70000, 0, 0, AN_ACK, false },
	{ "SYN-ACK", SYNCHRONIZED | STATE(TCP_TIME_WAIT), "S.", 0, 0, 0, AN_ACK, false },
	{ "SYN-ACK again", SYNCHRONIZED | STATE(TCP_TIME_WAIT), "S.", -1, 0, 0, AN_ACK, false },
	{ "SYN in SYN_RECEIVED", STATE(TCP_SYN_RECEIVED), "S", 100, 0, 0, NOTHING_AT_ALL, true },
	/* fifth step: ACK (RFC 5961 5.2) */
	{ "no ACK", ALL & ~STATE(TCP_TIME_WAIT), "P", 0, 10, 0, NOTHING_AT_ALL, false },
	{ "FIN without ACK", ALL & ~STATE(TCP_TIME_WAIT), "F", 0, 0, 0, NOTHING_AT_ALL, false },
	{ "ACK of what was not sent", SYNCHRONIZED, "P.", 0, 10, 1, AN_ACK, false },
	{ "ACK long before", SYNCHRONIZED, "P.", 0, 10, -70000, AN_ACK, false },
	{ "wrong ACK in SYN_RECEIVED", STATE(TCP_SYN_RECEIVED), "P.", 0, 10, 1, A_RESET, false },
	{ "old ACK in SYN_RECEIVED", STATE(TCP_SYN_RECEIVED), ".", 0, 0, -1, A_RESET, false },
	/* seventh step: text after FIN is none */
	{ "text after FIN", AFTER_FIN & ~STATE(TCP_TIME_WAIT), "P.", 0, 10, 0, NOTHING_AT_ALL,
	  false },
};

/* ---- into a state ---------------------------------------------------------------------------- */

/* As near as it gets: of what follows from there the rules say nothing */
static struct place enter(struct line *t, enum tcp_state state)
{
	struct place at = { .peer_nxt = 1, .snd_nxt = 1 };
	bool peer_first = state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK;

	if (state == TCP_SYN_RECEIVED) {
		line_listen(t);
		RECV(0, "S 0:0(0) <mss 1000>");
		SEND("S. 0:0(0) ack 1");
		return at;
	}
	line_established_passive(t, "mss 1000");
	if (state == TCP_ESTABLISHED)
		return at;
	if (peer_first) {
		RECV(0, "F. 1:1(0) ack 1");
		SEND(". 1:1(0) ack 2");
		at.peer_nxt = 2;
	}
	if (state == TCP_CLOSE_WAIT)
		return at;
	assert_int_equal(tcp_shutdown(t->s, t->id), 0);
	SEND(peer_first ? "F. 1:1(0) ack 2" : "F. 1:1(0) ack 1");
	at.snd_nxt = 2;
	if (state == TCP_FIN_WAIT_2 || state == TCP_TIME_WAIT)
		RECV(0, ". 1:1(0) ack 2");
	if (state == TCP_CLOSING || state == TCP_TIME_WAIT) {
		RECV(0, state == TCP_CLOSING ? "F. 1:1(0) ack 1" : "F. 1:1(0) ack 2");
		SEND(". 2:2(0) ack 2");
		at.peer_nxt = 2;
	}
	return at;
}

/* What an ACK acknowledges that says nothing new in this state: FIN_WAIT_1 must stay what it is. */
static uint32_t ack_nothing_new(enum tcp_state state, struct place at)
{
	bool fin_in_flight = state == TCP_FIN_WAIT_1 || state == TCP_CLOSING ||
			     state == TCP_LAST_ACK;

	return fin_in_flight ? at.snd_nxt - 1 : at.snd_nxt;
}

static enum tcp_state state_now(struct line *t, enum tcp_state state)
{
	struct stack_stats stats;

	stack_stats(t->s, &stats);
	if (state == TCP_SYN_RECEIVED)
		return stats.tcp_conns != 0 ? TCP_SYN_RECEIVED : TCP_CLOSED;
	return line_state(t);
}

static void expect(struct line *t, const struct rule *rule, struct place at, uint32_t ack)
{
	char text[96];

	switch (rule->answer) {
	case NOTHING_AT_ALL:
		NOTHING();
		return;
	case AN_ACK:
		snprintf(text, sizeof(text), ". %u:%u(0) ack %u", at.snd_nxt, at.snd_nxt,
			 at.peer_nxt);
		break;
	case A_RESET:
		snprintf(text, sizeof(text), "R %u:%u(0)", ack, ack);
		break;
	}
	SEND(text);
	NOTHING();
}

static void try_rule(struct line *t, const struct rule *rule, enum tcp_state state)
{
	struct place at;
	uint32_t seq, ack;
	char text[96];

	line_restart(t, &(struct line_config){ .v6 = t->cfg.v6 });
	t->peer_isn = 100000; /* far enough from 0 for what lies before it */
	at = enter(t, state);
	seq = at.peer_nxt + (uint32_t)rule->seq;
	ack = rule->ack == 0 ? ack_nothing_new(state, at) : at.snd_nxt + (uint32_t)rule->ack;
	snprintf(text, sizeof(text), "%s %u:%u(%u) ack %u", rule->flags, seq, seq + rule->len,
		 rule->len, ack);
	RECV(0, text);
	expect(t, rule, at, ack);
	if (state_now(t, state) != (rule->closes ? TCP_CLOSED : state)) {
		print_error("%s: state %d became %d\n%s", rule->what, (int)state,
			    (int)state_now(t, state), t->log);
		fail();
	}
}

static void every_step_every_state(void **state)
{
	struct line *t = *state;
	unsigned int tried = 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		for (unsigned int st = TCP_SYN_RECEIVED; st <= TCP_TIME_WAIT; st++) {
			if ((rules[i].states & STATE(st)) == 0)
				continue;
			try_rule(t, &rules[i], (enum tcp_state)st);
			tried++;
		}
	}
	assert_true(tried > 120);
}

/* ---- what closes it, from each state --------------------------------------------------------- */

/* RFC 9293 3.10.4, 3.10.5: what the program's CLOSE and ABORT send */
static void close_in_each_state(void **state)
{
	static const struct {
		enum tcp_state state;
		const char *closed;  /* by CLOSE; NULL: nothing */
		const char *aborted; /* by ABORT */
	} cases[] = {
		{ TCP_ESTABLISHED, "F. 1:1(0) ack 1", "R. 1:1(0) ack 1" },
		{ TCP_FIN_WAIT_1, NULL, "R. 2:2(0) ack 1" },
		{ TCP_FIN_WAIT_2, NULL, "R. 2:2(0) ack 1" },
		{ TCP_CLOSE_WAIT, "F. 1:1(0) ack 2", "R. 1:1(0) ack 2" },
		{ TCP_CLOSING, NULL, "R. 2:2(0) ack 2" },
		{ TCP_LAST_ACK, NULL, "R. 2:2(0) ack 2" },
		{ TCP_TIME_WAIT, NULL, NULL },
	};
	struct line *t = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned int abort_it = 0; abort_it < 2; abort_it++) {
			const char *want = abort_it ? cases[i].aborted : cases[i].closed;

			line_restart(t, &(struct line_config){ .v6 = t->cfg.v6 });
			enter(t, cases[i].state);
			if (abort_it)
				tcp_abort(t->s, t->id);
			else
				tcp_close(t->s, t->id);
			if (want != NULL)
				SEND(want);
			NOTHING();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINE_TEST(every_step_every_state),
		LINE_TEST(close_in_each_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
