// SPDX-License-Identifier: BSD-2-Clause
/* wait.h - for who waits in ways of his own: for vjd, or on vj_fd() together with other descriptors, and looks before in a loop */
#ifndef VJ_LIB_WAIT_H
#define VJ_LIB_WAIT_H

#include <vj/vj.h>

/** vj_open_within() - vj_open() that waits for vjd for @timeout_ms at most */
int vj_open_within(const struct vj_options *opts, int timeout_ms, struct vj **ret_vj);

/**
 * vj_leave() - vj_close() by a process that is about to end
 * Who shares channels with it hears of it from vjd, as of any end. What the kernel takes back with the process is left to it: memory to be unmapped, under the
 * eyes of other threads, and descriptors, one by one, take longer. Nothing may be called with @vj after that, which stays in memory. NULL is fine.
 */
void vj_leave(struct vj *vj);

/**
 * vj_may_spin() - Can anything come soon that a look before sleeping would find?
 * @alone: One processor is all there is for this process
 *
 * Without a link nothing can. Who has only one processor takes it from the peer that he waits for by looking all the time, if that peer may
 * run there. What comes from an interface is brought by the kernel, on whichever processor it comes.
 */
bool vj_may_spin(const struct vj *vj, bool alone);

/**
 * vj_arm_sleeper() - vj_arm() for a thread that sleeps already, until a time of its own
 * What is due by then is the caller's to see to: vj_oversleeps(). Return: false: there is work already
 */
bool vj_arm_sleeper(struct vj *vj);

/** vj_put_off() - Acknowledgements that the program's next words may carry get their time, as vj_process() gives it to them */
void vj_put_off(struct vj *vj);

/** vj_link_is_new() - Is there a link since the last vj_arm()? Its peer does not ring. */
bool vj_link_is_new(const struct vj *vj);

/** vj_oversleeps() - Is a timer due before @wake_ns (CLOCK_MONOTONIC; UINT64_MAX: never), by a millisecond at least? */
bool vj_oversleeps(const struct vj *vj, uint64_t wake_ns);

/** vj_has_links() - Is there a channel, of whatever kind? */
bool vj_has_links(const struct vj *vj);

/**
 * vj_is_calm() - Is nothing under way, so that what comes next comes by vj_control_fd() or deed_fd()?
 * There is no link, no timer, and nothing that vjd has said and was not read, or another process has asked for and was not served.
 */
bool vj_is_calm(const struct vj *vj);

/**
 * vj_calm_begin(), vj_calm_end() - Somebody sleeps on vj_control_fd(), as vj_is_calm(), and does no more
 * Meanwhile vj_process() has no need to look there.
 */
void vj_calm_begin(struct vj *vj);
void vj_calm_end(struct vj *vj);

/**
 * vj_stays_calm() - Between the two: have calls of the program put anything under way?
 * What vj_is_calm() asks for more needs a link, a token or a question to vjd. It is called in a thread's every call, after sleeps: so it reads few lines.
 */
bool vj_stays_calm(const struct vj *vj);

/** vj_control_fd() - The socket to vjd; -1: it is away. Readable when it has said something, or is gone. The bell says it, too. */
int vj_control_fd(const struct vj *vj);

/**
 * vj_disarm_unrung() - vj_disarm() after a sleep in which vj_fd() was watched and did not become readable
 * Makes no system call of its own: a program that is busy with descriptors of the kernel's sleeps often, and is never rung for. What rings from here
 * on is found by the next sleep.
 */
void vj_disarm_unrung(struct vj *vj);

#endif
