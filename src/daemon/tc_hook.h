/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tc_hook.h - a program of tc at an interface, behind whatever others have there
 *
 * It is a filter, on a qdisc that is made where there is none, and goes with the last filter if we have made it. Or a link of tcx (Linux
 * 6.6), which costs a packet a third of that, and which the kernel runs before all filters: so only where there are none. tc_hook_holds() tells
 * when there are some, and tc_hook_attach() then moves behind them; and back. While it moves both may run, which a program that asks for a
 * link has to bear.
 *
 * It outlives vjd. A filter is told from others' by its program (own_prog.h); a link is pinned.
 */
#ifndef DAEMON_TC_HOOK_H
#define DAEMON_TC_HOOK_H

#include "daemon/own_prog.h"

struct tc_hook {
	uint32_t ifindex;
	bool egress; /* else ingress */
	bool link;   /* a link, if there may be one */
	enum own_prog prog;
	const char *dir; /* of the link's pin */
};

/**
 * tc_hook_attach() - In place of what an earlier vjd left, in one step
 * Return: 0; -EBUSY: the place is somebody else's; negative errno of bpf(2) and netlink
 */
int tc_hook_attach(const struct tc_hook *h, int prog_fd);

/** tc_hook_holds() - Is it there, ours, and in its place? */
bool tc_hook_holds(const struct tc_hook *h);

/** tc_hook_is_there() - Is it there, and ours, wherever? */
bool tc_hook_is_there(const struct tc_hook *h);

/** tc_hook_left() - The filter's program, if it is ours; the caller's to close. Return: -ENOENT: it isn't, or there is none */
int tc_hook_left(const struct tc_hook *h);

/** tc_hook_detach() - If it is still ours */
void tc_hook_detach(const struct tc_hook *h);

#endif
