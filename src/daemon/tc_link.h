/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tc_link.h - a program at an interface as a link of tcx (Linux 6.6): one way of tc_hook.h
 *
 * Behind the links that are there. It is there as long as somebody has it open, or it is pinned: so a vjd that is killed between making
 * and pinning it leaves nothing, and one that is killed later leaves what the next one finds.
 */
#ifndef DAEMON_TC_LINK_H
#define DAEMON_TC_LINK_H

#include "daemon/tc_hook.h"

/** tc_link_can_be() - Does the kernel have such links? */
bool tc_link_can_be(const struct tc_hook *h);

/**
 * tc_link_attach() - In place of the program that an earlier vjd left, in one step
 * Return: 0; negative errno of bpf(2)
 */
int tc_link_attach(const struct tc_hook *h, int prog_fd);

/** tc_link_is_there() - Is ours attached? Nobody tells when somebody detaches it */
bool tc_link_is_there(const struct tc_hook *h);

/** tc_link_detach() - If there is one, and unpin it */
void tc_link_detach(const struct tc_hook *h);

#endif
