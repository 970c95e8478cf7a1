// SPDX-License-Identifier: BSD-2-Clause
/*
 * Numbers of Linux's TCP options: linux/tcp.h cannot be included beside stack/stack.h, which has a struct tcp_info of its own
 */
#ifndef VJ_TESTS_PACKETDRILL_LINUX_TCP_H
#define VJ_TESTS_PACKETDRILL_LINUX_TCP_H

enum linux_tcp_option {
	TCP_NODELAY = 1,
	TCP_MAXSEG = 2,
	TCP_CORK = 3,
	TCP_KEEPIDLE = 4,
	TCP_KEEPINTVL = 5,
	TCP_KEEPCNT = 6,
	TCP_SYNCNT = 7,
	TCP_LINGER2 = 8,
	TCP_DEFER_ACCEPT = 9,
	TCP_WINDOW_CLAMP = 10,
	TCP_INFO = 11,
	TCP_QUICKACK = 12,
	TCP_CONGESTION = 13,
	TCP_THIN_LINEAR_TIMEOUTS = 16,
	TCP_THIN_DUPACK = 17,
	TCP_USER_TIMEOUT = 18,
	TCP_FASTOPEN = 23,
	TCP_TIMESTAMP = 24,
	TCP_NOTSENT_LOWAT = 25,
	TCP_CC_INFO = 26,
	TCP_SAVE_SYN = 27,
	TCP_FASTOPEN_CONNECT = 30,
	TCP_FASTOPEN_KEY = 33,
	TCP_FASTOPEN_NO_COOKIE = 34,
	TCP_INQ = 36, /* also the type of its control message */
	TCP_TX_DELAY = 37,
};

#endif
