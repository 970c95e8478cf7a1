/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tc_hook.h - a program as a filter of tc at an interface, behind whatever filters others have there
 *
 * It outlives vjd. Ours is told from others' by its pin (if_pin.h). The qdisc that filters hang on is made where there is none, and goes
 * with the last filter if we have made it.
 */
#ifndef DAEMON_TC_HOOK_H
#define DAEMON_TC_HOOK_H

#include "base/types.h"

struct tc_hook {
	uint32_t ifindex;
	bool egress; /* else ingress */
	const char *dir, *name; /* of the pin */
};

/**
 * tc_hook_attach() - In place of what an earlier vjd left, in one step
 * Return: 0; -EBUSY: the place is somebody else's; negative errno of bpf(2) and netlink
 */
int tc_hook_attach(const struct tc_hook *h, int prog_fd);

/** tc_hook_holds() - Is it there, and ours? */
bool tc_hook_holds(const struct tc_hook *h);

/** tc_hook_detach() - If it is still ours; its pin stays */
void tc_hook_detach(const struct tc_hook *h);

#endif
