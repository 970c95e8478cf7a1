/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_claim.h - one vjd for the interfaces of a network namespace
 *
 * Pins are found by interface and namespace: a second vjd would take those of the first for an earlier one's, put its own
 * programs over them, and take them away when it leaves. So whoever attaches has claimed the namespace before, by a lock below
 * /run, where only root can make or open it (an abstract socket, which each namespace has of its own, any user could take first).
 * The kernel drops it when its holder dies. A vjd without interfaces or gateways has no claim.
 *
 * Two that share a network namespace but not /run (containers on the host's network) don't see each other's.
 */
#ifndef DAEMON_IF_CLAIM_H
#define DAEMON_IF_CLAIM_H

#include "control/msg.h"

struct interfaces;

/**
 * if_claim() - Before anything at interface @name is touched; no error if it is claimed already
 * May block for up to 2 s, and vjd's clients with it: one that has it may be leaving, and root alone attaches. Logs who has it.
 * Return: CTL_REFUSAL_NONE; OTHER_VJD; NO_SUPPORT: it can't be locked
 */
enum ctl_refusal if_claim(struct interfaces *s, const char *name);

/** if_claim_done() - What was begun after if_claim() is there, or could not be: from here on the claim is as long as something needs it */
void if_claim_done(struct interfaces *s);

/** if_claim_settle() - Something was detached: give the claim back if nothing needs it any more. No effect before if_claim_done() */
void if_claim_settle(struct interfaces *s);

/** if_claim_drop() - vjd leaves, and touches nothing any more */
void if_claim_drop(struct interfaces *s);

#endif
