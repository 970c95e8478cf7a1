// SPDX-License-Identifier: BSD-2-Clause
/*
 * board.c - which first connections are not worth a context
 *
 * vjd's board is looked at while there is no context, and by a program that was told where its vjd is (`vj run` does). Others attach,
 * and ask.
 */
#include "sock/board.h"
#include "sock/env.h"
#include "sock/kernel.h"
#include "sock/layer.h"

#include "base/time.h"
#include "lib/board.h"
#include "lib/report.h"

/* So few connections and frames win less than a context costs. */
enum { BRIEF_MS = 50, BRIEF_FRAMES = 96, BRIEF_CONNS = 8 };

VJ_EARLY enum report_why board_says(const struct sockaddr *addr, socklen_t len, bool udp)
{
	if (likely(sock.vj != NULL) || sock.strict)
		return REPORT_WHY_NONE;
	switch (board_look(&sock.board, env_value(ENV_SOCKET), addr, len, udp)) {
	case BOARD_NOBODY:
		return REPORT_WHY_NO_OWNER;
	case BOARD_OTHERS:
		return REPORT_WHY_REFUSED;
	case BOARD_BRIEF:
		if (sock.briefs == BRIEF_CONNS)
			return REPORT_WHY_NONE;
		if (!sock.briefs++)
			ctx_say("the first connections are the kernel's: the last processes of this program ended at once");
		return REPORT_WHY_SHORT;
	case BOARD_ASK:
		break;
	}
	return REPORT_WHY_NONE;
}

void board_ended(void)
{
	struct vj_stats st = { .sz = sizeof(st) };

	if (sock.strict || sys_clock_ns() - sock.opened_ns >= BRIEF_MS * NS_PER_MS || vj_stats(sock.vj, &st))
		return;
	if (st.tcp_opened && st.tcp_opened <= BRIEF_CONNS && !st.tcp_accepted && st.rx_frames + st.tx_frames < BRIEF_FRAMES)
		board_tell_brief(sock.vj);
}
