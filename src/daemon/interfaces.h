/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interfaces.h - interface channels: which interfaces are offered, and who has a channel there
 *
 * What of it needs the kernel is behind struct vjd's @interfaces, which is NULL in a private vjd, in tests of the
 * book-keeping and in fuzzers: then nothing is attached, and every request is refused by name.
 */
#ifndef DAEMON_INTERFACES_H
#define DAEMON_INTERFACES_H

#include "control/msg.h"
#include "daemon/vjd.h"

/** interfaces_cnt() - How many are attached */
uint32_t interfaces_cnt(const struct vjd *d);

/**
 * interfaces_attach() - Offer channels at interface @name
 * @ret_interface: as ATTACHED shows it
 * Attaching what is attached already is no error.
 * Return: CTL_REFUSAL_NONE, NO_INTERFACE, XDP_BUSY, NO_PRIVILEGE, NO_SUPPORT, RESOURCES
 */
enum ctl_refusal interfaces_attach(struct vjd *d, const char *name, struct ctl_interface *ret_interface);

/** interfaces_detach() - No longer; channels there end. Return: CTL_REFUSAL_NONE, NO_INTERFACE */
enum ctl_refusal interfaces_detach(struct vjd *d, const char *name, struct ctl_interface *ret_interface);

/**
 * interfaces_open_channel() - Serve an INTERFACE
 *
 * Sends INTERFACE_OPEN itself, since descriptors go with it.
 * Return: CTL_REFUSAL_NONE: sent; NO_INTERFACE, NO_CHANNEL (a key that is not known), NETNS, POLICY, QUOTA_MEMORY,
 * NO_PRIVILEGE, NO_SUPPORT, RESOURCES
 */
enum ctl_refusal interfaces_open_channel(struct app *app, uint32_t seq, const struct ctl_interface *req);

/** interfaces_resolve() - Serve a RESOLVE */
void interfaces_resolve(struct app *app, const struct ctl_neighbour *req);

#endif
