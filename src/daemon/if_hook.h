/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_hook.h - where dispatch hangs at an interface
 *
 * In the driver (XDP). But there is one place for XDP at an interface, and who has it first keeps it. Behind somebody else's XDP program
 * dispatch is a filter of tc at ingress: the other sees every frame before, as it did, and what it passes on is looked at. Nothing of it
 * is touched, whatever holds it there (netlink, a bpf_link, libxdp's dispatcher). It costs a packet of the kernel's for each frame.
 *
 * So it is where the driver has no XDP, or refuses it, too: VLANs, macvlan. Generic XDP would be no help: what GRO has joined
 * at the device below is one frame to it, longer than any channel takes; tc redirects it as a packet, which is taken apart again.
 *
 * Whoever takes the place of XDP by force later is told from ours (own_prog.h), and dispatch moves behind it. It does not move back by
 * itself: a program that is replaced by its owner would find its place taken.
 *
 * All of it outlives vjd, and the next one knows it.
 */
#ifndef DAEMON_IF_HOOK_H
#define DAEMON_IF_HOOK_H

#include "base/types.h"

enum if_hook { IF_HOOK_XDP, IF_HOOK_TC };

struct if_hook_progs {
	int xdp_fd, tc_fd;
};

/**
 * if_hook_attach() - Attach, in place of what an earlier vjd left in one step: there is no packet that neither sees
 * @pin_dir:  exists; the pins of this interface
 * @at_tc:    leave XDP's place to others, though it is free
 * @ret_hook: where; if it failed it is as it was, and so is what was attached
 * Return: 0; -EBUSY: both places are somebody else's; -EPERM; other errno of bpf(2) and netlink
 */
int if_hook_attach(uint32_t ifindex, const char *pin_dir, const struct if_hook_progs *progs, bool at_tc, enum if_hook *ret_hook);

/** if_hook_holds() - Is it still there? */
bool if_hook_holds(uint32_t ifindex, const char *pin_dir, enum if_hook hook);

/** if_hook_left() - What this vjd or an earlier one has attached. Return: the program, the caller's to close; -ENOENT */
int if_hook_left(uint32_t ifindex);

/** if_hook_detach() - Whatever is there of ours, at either place */
void if_hook_detach(uint32_t ifindex, const char *pin_dir);

#endif
