/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_leave.h - before an interface is detached its applications give their connections there to the kernel
 *
 * They are told (CTL_INTERFACE_LEAVING), their ports become the kernel's at once, and what stands stays with them until they have had it made the kernel's
 * (TO_KERNEL). Whoever is through says so (INTERFACE_LEFT), and its channel ends. Nobody is waited for longer than LEAVE_QUIET_NS after the last
 * connection that was given, nor all of them together longer than LEAVE_NS: then channels end with what is on them, as those of applications that died.
 */
#ifndef DAEMON_IF_LEAVE_H
#define DAEMON_IF_LEAVE_H

#include "base/types.h"

struct app;
struct ctl_msg;
struct iface;
struct interfaces;

struct if_leave {
	bool on;
	uint64_t until_ns, last_ns; /* unless something is given by then; in any case */
	struct app *asker; /* waits for DETACHED; NULL: nobody (any more) */
	uint32_t seq;
	uint32_t given, ended; /* connections, so far */
};

/** leave_begin() - Ask them; @asker hears when it is done. leaves_run() ends it, which may be at once */
void leave_begin(struct interfaces *s, struct iface *i, struct app *asker, uint32_t seq);

/** leave_end() - Wait no longer: the interface is detached, and @i gone */
void leave_end(struct interfaces *s, struct iface *i);

/** leave_asker() - @i is about to go. Return: who waits for that, and @ret_reply for him, see leave_answer(); NULL: nobody */
struct app *leave_asker(struct iface *i, struct ctl_msg *ret_reply);

/** leave_answer() - It is gone: say so. @asker: of leave_asker(), in the same round; NULL allowed */
void leave_answer(struct app *asker, const struct ctl_msg *reply);

/** leave_app_gone() - It waits no more */
void leave_app_gone(struct interfaces *s, const struct app *app);

/** leaves_run() - End those that are over. leaves_deadline_ns(): when the next one is; TIME_NEVER */
void leaves_run(struct interfaces *s);
uint64_t leaves_deadline_ns(const struct interfaces *s);

#endif
