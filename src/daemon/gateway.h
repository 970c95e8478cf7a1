/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gateway.h - an interface at whose egress what goes to an application of another host is sent to that application's own address
 *
 * For routers, and hosts that run no application: it offers no channels, claims no addresses and answers nobody; it asks. An interface may
 * be attached (interfaces.h) and a gateway at a time. What its program does: policy/gateway.h; what vjd tells it, and hears
 * from it: if_ask.h. Not there, it is missed by nobody: every packet then goes to the canonical address.
 */
#ifndef DAEMON_GATEWAY_H
#define DAEMON_GATEWAY_H

#include "daemon/host_watch.h"
#include "daemon/lan_end.h"
#include "policy/reason.h"

struct gateway;
struct vjd;

/**
 * gateway_new() - Begin at interface @at
 * @rtnl: of its namespace; outlives the gateway
 * Return: 0; -ENOMEM; errors of packet(7), gateway_prog_attach()
 */
int gateway_new(struct vjd *d, struct rtnl *rtnl, const struct host_watch *host, const struct host_interface *at,
		struct gateway **ret_gateway);
void gateway_free(struct gateway *g);

/** gateway_fd() - Readable when gateway_run() has something to read */
int gateway_fd(const struct gateway *g);

void gateway_run(struct gateway *g, uint64_t now_ns);
uint64_t gateway_deadline_ns(const struct gateway *g);

/** gateway_follow() - Names, addresses or filters of the host may be others; @now is what the interface is now */
void gateway_follow(struct gateway *g, const struct host_watch *host, const struct host_interface *now);

/** gateway_describe() - As messages show it */
void gateway_describe(const struct gateway *g, struct ctl_interface *ret);

/** gateway_ask() - What is asked of others there */
struct if_ask *gateway_ask(struct gateway *g);

uint32_t gateway_ifindex(const struct gateway *g);
const char *gateway_name(const struct gateway *g);

enum { GATEWAY_COUNTERS = POLICY_REASON_CNT + LAN_END_COUNTERS + IF_ASK_COUNTERS };

/**
 * gateway_counter() - What became of packets, what was heard, and what was made of it
 * @pos: below GATEWAY_COUNTERS; @ret_where, @ret_name: constant words, as `vj status` shows them
 */
uint64_t gateway_counter(const struct gateway *g, uint32_t pos, const char **ret_where, const char **ret_name);

#endif
