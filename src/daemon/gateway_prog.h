/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gateway_prog.h - the program of a gateway (src/bpf/gateway.bpf.c): loaded, attached, counted
 *
 * It serves on when vjd dies, with what it knows until that is over (policy/learned.h); the next vjd puts its own in its place, which
 * knows nothing yet. So no map is pinned, only what is attached (tc_hook.h).
 */
#ifndef DAEMON_GATEWAY_PROG_H
#define DAEMON_GATEWAY_PROG_H

#include "daemon/if_pin.h"
#include "daemon/learned.h"
#include "policy/reason.h"

struct gateway_prog {
	uint32_t ifindex;
	struct learned_fds maps;
	int counters_fd, prog_fd;
	char pin_dir[IF_PIN_DIR_BYTES];
};

/**
 * gateway_prog_attach() - Load it, and attach it at @ifindex
 * @entry_max: ports that it can know at a time; 1 to POLICY_LEARNED_MAX
 * Return: 0; -EBUSY: the place is somebody else's; -EPERM; -EOPNOTSUPP; other errno of bpf(2) and netlink
 */
int gateway_prog_attach(uint32_t ifindex, uint32_t entry_max, struct gateway_prog *ret_prog);

/** gateway_prog_holds() - Is it still attached, not replaced by somebody, and behind others' filters? */
bool gateway_prog_holds(const struct gateway_prog *p);

/** gateway_prog_again() - Attach it once more, where it belongs. Return: as gateway_prog_attach() */
int gateway_prog_again(const struct gateway_prog *p);

/** gateway_prog_remove() - Detach, and leave nothing */
void gateway_prog_remove(struct gateway_prog *p);

#endif
