// SPDX-License-Identifier: BSD-2-Clause
/* beyond.h - where the other ends are, and what is new, for who waits */
#ifndef VJ_LIB_BEYOND_H
#define VJ_LIB_BEYOND_H

#include <vj/vj.h>

/**
 * vj_spin_is_for_others() - Is everybody on the other end beyond this host?
 * Who has only one processor takes it from the peer that he waits for by looking all the time, if that peer may run there. What comes
 * from an interface is brought by the kernel, on whichever processor it comes.
 */
bool vj_spin_is_for_others(const struct vj *vj);

/** vj_link_is_new() - Is there a link since the last vj_arm()? Its peer does not ring. */
bool vj_link_is_new(const struct vj *vj);

/** vj_oversleeps() - Is a timer due before @wake_ns (CLOCK_MONOTONIC; UINT64_MAX: never), by a millisecond at least? */
bool vj_oversleeps(const struct vj *vj, uint64_t wake_ns);

#endif
