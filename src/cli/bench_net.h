// SPDX-License-Identifier: BSD-2-Clause
/*
 * A stream socket as a benchmark sees it, over the kernel or over vj.h, so that server and client
 * exist once. Connections have indices 0..cnt-1. Everything returns a count or a negative errno.
 */
#ifndef VJ_CLI_BENCH_NET_H
#define VJ_CLI_BENCH_NET_H

#include "cli/bench.h"

enum { NET_WAIT_MS = 1000 }; /* looks for the order to stop this often */
#define NET_LISTENER UINT32_MAX /* among the connections that poll() names: there is one to take */

/* The kernel's ways, as bench_way.nr. */
enum net_way {
	NET_RECV_BLOCK, /* one connection: sleep in recv() */
	NET_RECV_SPIN,	/* recv() without blocking on each in turn */
	NET_EPOLL_SPIN, /* epoll_wait() with timeout 0, in batches */
	NET_EPOLL,	/* epoll_wait(), sleeping */
	NET_UNIX = 16,	/* added: over a Unix socket */
};

struct net;

struct net_ops {
	int (*open)(struct net *net);
	void (*close)(struct net *net);
	int (*listen)(struct net *net, uint16_t *ret_port);
	int (*accept)(struct net *net);			/* all of them */
	int (*connect)(struct net *net, uint16_t port); /* all of them */
	/* One by one, for those that come and go: take() accepts one, -EAGAIN: none; dial() begins one. */
	int (*take)(struct net *net, uint32_t conn);
	int (*dial)(struct net *net, uint32_t conn, uint16_t port);
	/*
	 * Connections that may have something to receive or room to send. Waits when the way is one
	 * that sleeps, up to wait_ms.
	 */
	int (*poll)(struct net *net, uint32_t *ret_conns, unsigned n);
	ssize_t (*recv)(struct net *net, uint32_t conn, void *buf, size_t len);
	ssize_t (*send)(struct net *net, uint32_t conn, const void *buf, size_t len);
	void (*hang_up)(struct net *net, uint32_t conn);
	/*
	 * Without a copy, as vj_send_buffer(), vj_send_commit() with more to follow, vj_recv_borrow() and vj_recv_return(). NULL: not
	 * to be had.
	 */
	int (*buffer)(struct net *net, uint32_t conn, uint8_t **ret_data, size_t *ret_room);
	int (*commit)(struct net *net, uint32_t conn, size_t len);
	ssize_t (*borrow)(struct net *net, uint32_t conn, const uint8_t **ret_data);
	void (*give_back)(struct net *net, uint32_t conn, size_t len);
};

struct net {
	const struct net_ops *ops;
	struct bench_peer *peer;
	uint32_t cnt; /* of connections */
	int wait_ms;
	bool spins; /* poll() and recv() never sleep; set by open() */
	void *priv;
	const char *failed; /* what, when a call returned an error */
};

extern const struct net_ops net_kernel, net_vj;

/* Notes for the parent what net->failed and @rc say. Returns 1, an exit status. */
int bench_net_fail(struct net *net, int rc);
/* The server's port, once it listens */
uint16_t bench_net_port(struct bench_peer *peer);

/* bench_tcp.c, with the idle benchmark's end: connections of peer->ctx->conns */
int bench_echo_server(struct bench_peer *peer, const struct net_ops *ops);
int bench_call_client(struct bench_peer *peer, const struct net_ops *ops);
/* One request on each connection; then sets clients_ready and sleeps until it is killed. */
int bench_idle_client(struct bench_peer *peer, const struct net_ops *ops);

#endif
