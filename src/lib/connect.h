/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connect.h - connections that have their options from the first segment on, for the layer above
 *
 * What vj_conn_option_set() sets after vj_connect() the SYN does not show, and what is set after vj_accept() the SYN-ACK does not: how large
 * segments may be, by which factor windows are scaled, what stands in IP's header.
 *
 * Thread rule: as vj.h, one thread at a time.
 */
#ifndef LIB_CONNECT_H
#define LIB_CONNECT_H

#include <vj/vj.h>

struct connect_option {
	enum vj_option opt;
	uint64_t value;
};

enum { CONNECT_OPTIONS_MAX = 32 };

enum connect_how {
	/*
	 * Don't wait for an answer where the listener has promised a place: VJ_EV_CONNECTED is due at once, and conn_is_refused() may follow,
	 * after vj_conn_close(), too, with a cookie of 0: deed_unheard() then. Else VJ_EV_UNANSWERED may come, over direct channels, too
	 */
	CONNECT_EARLY = 1,
	CONNECT_OR_KERNEL = 2, /* -EHOSTDOWN if who should answer is known to be stopped: the kernel's queue takes it at once */
};

/**
 * connect_with() - vj_connect() with @cnt options, 0..CONNECT_OPTIONS_MAX
 * @how: enum connect_how, or 0
 * One that vj_conn_option_set() would refuse is left out. Return: as vj_connect().
 */
int connect_with(struct vj *vj, const struct sockaddr *remote, socklen_t remote_len, const struct sockaddr *local, socklen_t local_len,
		 const struct connect_option *opts, unsigned cnt, unsigned how, uint64_t cookie, struct vj_conn *ret_c);

/** conn_is_refused() - After VJ_EV_ERROR: connected early, and never answered. Nobody has read what it said; it has that still */
bool conn_is_refused(const struct vj *vj, struct vj_conn c);

/**
 * conn_withdraw() - After VJ_EV_UNANSWERED, over a direct channel: if who should answer is stopped, and nobody else is there who would, he is not to
 * see @c, which the caller drops then. Makes system calls, may ask vjd
 * Return: false: he isn't, or it is connected by now
 */
bool conn_withdraw(struct vj *vj, struct vj_conn c);

/**
 * connect_again_with() - vj_connect_again(), likewise: the options of @c do not go along by themselves
 * Of one that conn_is_refused() says all again, and is connected on return as @c was.
 */
int connect_again_with(struct vj *vj, struct vj_conn c, const struct connect_option *opts, unsigned cnt, uint64_t cookie,
		       struct vj_conn *ret_c);

/**
 * listener_mark() - What connections that come from now on have in IP's header, from their SYN-ACK on
 * @family: AF_INET: IP_TOS and IP_TTL; AF_INET6: IPV6_TCLASS and IPV6_UNICAST_HOPS; 0..255 each, without ECN's bits, which are TCP's
 */
void listener_mark(struct vj *vj, struct vj_listener l, int family, uint8_t tos, uint8_t ttl);

/** conn_shut_read() - After vj_shutdown(): what still comes is answered by RST, and ends @c with ECONNRESET */
void conn_shut_read(struct vj *vj, struct vj_conn c);

#endif
