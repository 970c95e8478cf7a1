/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_ask.h - whose is a port of another host on the LAN of one interface: src/lan's resolver, and who waits for what it learns
 */
#ifndef DAEMON_IF_ASK_H
#define DAEMON_IF_ASK_H

#include "control/msg.h"
#include "daemon/host_watch.h"
#include "lan/host.h"

struct app;
struct if_ask;
struct resolver_stats;

/** if_ask_new() - @watch: whose neighbour table vouches for answers. What is pointed to outlives it. NULL: no memory */
struct if_ask *if_ask_new(struct host_watch *watch, uint32_t ifindex, const char *name, struct lan_host *host);
void if_ask_free(struct if_ask *ask);

/**
 * if_ask_begin() - Answer @app's ASK with @seq about @ep, which is a neighbour, when it is known. ASKED is sent from if_ask_run()
 * Return: false: too many wait
 */
bool if_ask_begin(struct if_ask *ask, struct app *app, uint32_t seq, const struct ctl_endpoint *ep, uint64_t now_us);

/** if_ask_app_gone() - It doesn't wait any more */
void if_ask_app_gone(struct if_ask *ask, const struct app *app);

/** if_ask_rx() - A message about endpoints */
void if_ask_rx(struct if_ask *ask, const struct parp_msg *msg, uint64_t now_us);

/** if_ask_neighbour() - The kernel has learned, or forgotten, @addr */
void if_ask_neighbour(struct if_ask *ask, const struct ip_addr *addr);

void if_ask_run(struct if_ask *ask, uint64_t now_us);
uint64_t if_ask_deadline_us(const struct if_ask *ask);

/** if_ask_stats() - What happened to questions, and why answers were not believed */
const struct resolver_stats *if_ask_stats(const struct if_ask *ask);

/** if_ask_entry() - What is known in place @pos. Return: false: there is nothing. @ret_end: nor in any behind */
bool if_ask_entry(const struct if_ask *ask, uint32_t pos, uint64_t now_us, struct ctl_mac *ret, bool *ret_end);

#endif
