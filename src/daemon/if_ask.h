/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_ask.h - whose is a port of another host on the LAN of one interface: src/lan's resolver, and who is told what it learns
 *
 * Those are programs of this host that ask (ASK), and BPF programs that send to the LAN (policy/learned.h). Who vouches for an
 * answer is asked of the kernel itself: a router may have more neighbours than the host table.
 */
#ifndef DAEMON_IF_ASK_H
#define DAEMON_IF_ASK_H

#include "control/msg.h"
#include "daemon/learned.h"
#include "lan/host.h"

struct app;
struct if_ask;
struct rtnl;

/* What is pointed to outlives the if_ask. */
struct if_ask_config {
	struct rtnl *rtnl; /* of the interface's namespace */
	uint32_t ifindex;
	const char *name; /* of the interface */
	struct lan_host *host;
	uint32_t entry_max;
	const struct learned_fds *maps; /* NULL: no program asks */
};

/** if_ask_new() - Return: 0; -ENOMEM; errno of learned_open() */
int if_ask_new(const struct if_ask_config *cfg, struct if_ask **ret_ask);
void if_ask_free(struct if_ask *ask);

/** if_ask_fd() - Readable when if_ask_run() has something to read; -1: there are no maps */
int if_ask_fd(const struct if_ask *ask);

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

enum { IF_ASK_COUNTERS = 15 };

/** if_ask_counter() - What happened to questions, and why answers were not believed. @pos: below IF_ASK_COUNTERS */
uint64_t if_ask_counter(const struct if_ask *ask, uint32_t pos, const char **ret_name);

/** if_ask_entry() - What is known in place @pos. Return: false: there is nothing. @ret_end: nor in any behind */
bool if_ask_entry(const struct if_ask *ask, uint32_t pos, uint64_t now_us, struct ctl_mac *ret, bool *ret_end);

#endif
