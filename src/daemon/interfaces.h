/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interfaces.h - interface channels: which interfaces are offered, and who has a channel there
 *
 * What of it needs the kernel is behind struct vjd's @interfaces, which is NULL in a private vjd, in tests of the
 * book-keeping and in fuzzers: then nothing is attached, and every request is refused by name.
 *
 * Nothing here is on a packet's path but the spill (spill.h). Interfaces and channels serve on while no vjd runs: what is to be found
 * again is pinned, or stands in files below the directory of interfaces_new(). A channel that its application hasn't stated
 * ADOPT_NS after the start of a vjd is taken down, and so are ports in the maps that nobody has leased by then.
 */
#ifndef DAEMON_INTERFACES_H
#define DAEMON_INTERFACES_H

#include "control/msg.h"
#include "daemon/lease.h"
#include "daemon/vjd.h"

struct fw_tally;
struct repair_job;

/**
 * interfaces_new() - Find again what an earlier vjd has left in @dir; the directory is made when it is needed
 * @ret_fd: readable when interfaces_run() has something to do
 * Return: 0; -ENOMEM and others: vjd can't offer any
 */
int interfaces_new(struct vjd *d, const char *dir, int *ret_fd);

/** interfaces_free() - Let them serve on; or, if no application has a channel, leave nothing behind */
void interfaces_free(struct vjd *d);

/** interfaces_run() - Do what is due */
void interfaces_run(struct vjd *d);

/** interfaces_deadline_ns() - When interfaces_run() is wanted next, whatever the descriptor says; TIME_NEVER */
uint64_t interfaces_deadline_ns(const struct vjd *d);

/** interfaces_cnt() - How many are attached */
uint32_t interfaces_cnt(const struct vjd *d);

/**
 * interfaces_attach() - Offer channels at interface @name
 * @at_tc:         leave XDP's place there to others (if_hook.h)
 * @prefix:        of addresses for applications (if_own6.h); NULL: none, or as it is
 * @ret_interface: as ATTACHED shows it
 * Attaching what is attached already is no error; with @at_tc it moves there.
 * May block for up to 2 s (if_claim.h).
 * Return: CTL_REFUSAL_NONE, NO_INTERFACE, NO_ETHERNET, XDP_BUSY, NO_PRIVILEGE, NO_SUPPORT, RESOURCES, OTHER_VJD, PINS,
 * PREFIX: it is none for this, or there is another one
 */
enum ctl_refusal interfaces_attach(struct vjd *d, const char *name, bool at_tc, const struct ip_prefix *prefix,
				   struct ctl_interface *ret_interface);

/**
 * interfaces_detach() - No longer: connections there become the kernel's, as far as applications have that done soon, and channels end (if_leave.h)
 * @app: isn't read until it is answered: DETACHED of @seq is sent, now or later
 * Return: CTL_REFUSAL_NONE, NO_INTERFACE; of what an earlier vjd has left: as interfaces_attach()
 */
enum ctl_refusal interfaces_detach(struct app *app, uint32_t seq, const char *name);

/** interfaces_in_kernel() - A connection there has become the kernel's */
void interfaces_in_kernel(struct vjd *d, uint32_t ifindex);

/** interfaces_left() - Serve an INTERFACE_LEFT */
void interfaces_left(struct app *app, const struct ctl_interface *req);

/**
 * gateways_attach() - Send to applications' own addresses at interface @name (gateway.h), whether it offers channels or not
 * What is one already is no error. May block for up to 2 s (if_claim.h).
 * Return: CTL_REFUSAL_NONE, NO_INTERFACE, NO_ETHERNET, XDP_BUSY, NO_PRIVILEGE, NO_SUPPORT, RESOURCES, OTHER_VJD, PINS
 */
enum ctl_refusal gateways_attach(struct vjd *d, const char *name, struct ctl_interface *ret_interface);

/** gateways_detach() - No longer. Return: CTL_REFUSAL_NONE, NO_INTERFACE */
enum ctl_refusal gateways_detach(struct vjd *d, const char *name, struct ctl_interface *ret_interface);

/**
 * interfaces_open_channel() - Serve an INTERFACE
 *
 * Sends INTERFACE_OPEN itself, since descriptors go with it.
 * Return: CTL_REFUSAL_NONE: sent; NO_INTERFACE, NO_CHANNEL (a key that is not known), NETNS, POLICY, QUOTA_MEMORY,
 * NO_PRIVILEGE, NO_SUPPORT, RESOURCES
 */
enum ctl_refusal interfaces_open_channel(struct app *app, uint32_t seq, const struct ctl_interface *req);

/** interfaces_polling() - Serve a POLLING */
void interfaces_polling(struct app *app, const struct ctl_interface *req);

/**
 * interfaces_to_kernel() - May @app have this connection made one of the kernel's?
 * @ret_job: what repair_make() wants; its descriptor is the caller's
 * Return: CTL_REFUSAL_NONE; NO_INTERFACE, NO_CHANNEL, NETNS, NO_FLOW (dispatch gives it to somebody else), RESOURCES
 */
enum ctl_refusal interfaces_to_kernel(const struct app *app, const struct ctl_repair *req, struct repair_job *ret_job);

/** interfaces_ask() - Serve an ASK: ASKED is sent, now or later. Return: CTL_REFUSAL_NONE, MALFORMED, NO_INTERFACE, RESOURCES */
enum ctl_refusal interfaces_ask(struct app *app, uint32_t seq, const struct ctl_endpoint *ep);

/** interfaces_macs() - One part of the reply to MACS. @pos: 0 at first; where to go on. Return: false: that was all */
bool interfaces_macs(const struct app *viewer, uint64_t *pos, struct ctl_msg *ret_msg);

/** interfaces_resolve() - Serve a RESOLVE */
void interfaces_resolve(struct app *app, const struct ctl_neighbour *req);

/** interfaces_tell() - @app is welcome: INTERFACE_NEWS of each interface that it may use */
void interfaces_tell(struct app *app);

/** interfaces_app_gone() - Take its channels down; its leases and ports are still in the books */
void interfaces_app_gone(struct app *app);

/** interfaces_policy_changed() - Ports that may be dispatched are others. Channels that are there stay */
void interfaces_policy_changed(struct vjd *d);

/** interfaces_firewall_changed() - Other rules: into the maps, and ports that they can judge to their channels */
void interfaces_firewall_changed(struct vjd *d);

/** interfaces_firewall_count() - Add what the program's counters have at all interfaces */
void interfaces_firewall_count(const struct vjd *d, struct fw_tally *tallies);

/**
 * interfaces_against() - What keeps a lease off channels at interfaces? One after the other
 * @pos:      0 at first; where to go on
 * @ret_name: of the interface
 * Return: as firewall_against(); 0: nothing more
 */
uint32_t interfaces_against(const struct vjd *d, const struct lease_key *key, uint32_t *pos, const char **ret_name);

/** interfaces_lease_changed() - A lease of this key has come or gone; the table is as it is now */
void interfaces_lease_changed(struct vjd *d, const struct lease_key *key);

/**
 * interfaces_take_ports() - A block of ephemeral ports, for an application that may have channels
 * As port_map_take(); to one with a channel only what the kernel doesn't use, and will leave alone from now on.
 */
uint16_t interfaces_take_ports(struct app *app, const struct ctl_ports *req, uint16_t *ret_first);

/**
 * interfaces_status() - One part of a STATUS reply
 * @pos: 0 at first; where to go on
 * Return: false: that was all
 */
bool interfaces_status(const struct app *viewer, uint32_t *pos, struct ctl_msg *ret_msg);

#endif
