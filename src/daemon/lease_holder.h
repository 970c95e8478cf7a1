/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lease_holder.h - giving leases to applications and taking them back
 *
 * When a lease ends while its owner lives, everyone who shares a channel with the owner hears
 * LEASE_GONE: they may have a route to that port. When the owner goes, its peers hear PEER_GONE,
 * which says it for all its leases.
 */
#ifndef DAEMON_LEASE_HOLDER_H
#define DAEMON_LEASE_HOLDER_H

#include "daemon/app.h"
#include "daemon/lease.h"

/** lease_may() - Before anything is proved: may @app have one more? */
enum ctl_refusal lease_may(const struct app *app);

/**
 * lease_grant() - Give a lease that is proved
 * @req:       LEASE
 * @proof:     all zero for RAW
 * @ret_lease: as LEASED and STATUS_LEASE show it
 * Return: CTL_REFUSAL_NONE, PORT_TAKEN, QUOTA_LEASES, RESOURCES
 */
enum ctl_refusal lease_grant(struct app *app, const struct ctl_lease *req,
			     const struct lease_proof *proof, struct ctl_lease *ret_lease);

/** lease_release() - Return: CTL_REFUSAL_NONE, NO_LEASE. @ret_lease: what was released */
enum ctl_refusal lease_release(struct app *app, uint32_t id, struct ctl_lease *ret_lease);

/** lease_drop_all() - The owner goes: nobody is told */
void lease_drop_all(struct app *app);

/** lease_describe() - As messages show it */
void lease_describe(const struct lease *lease, struct ctl_lease *ret_lease);

/** lease_other_owner() - Another application of the same user that owns @req's endpoint; NULL: none */
struct app *lease_other_owner(struct app *app, const struct ctl_connect *req);

#endif
