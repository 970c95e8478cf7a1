// SPDX-License-Identifier: BSD-2-Clause
/*
 * What must hold inside of a stack between two calls into it, beyond tcp_sanity_all()
 *
 *	MEMORY	the bytes it says it has are those it was given
 *	BUFFERS	each buffer in use hangs in one queue, queues have the bytes they say, and the
 *		frames kept are those the link has not got back
 *	STUCK	who has something unsent or unacknowledged on a link that can lose has a timer,
 *		it is due within the longest timeout, and the wheel fires no later
 *
 * A violation prints the name of the rule and ends the process. Assumes that nothing but TCP keeps
 * buffers.
 */
#ifndef VJ_TESTS_SIM_WALK_H
#define VJ_TESTS_SIM_WALK_H

#include "stack/stack.h"

/* @given_bytes: memory that mem_get() gave and has not got back; @frames_out: received frames that
 * the stack has and has not freed */
void walk_stack(struct stack *s, uint64_t given_bytes, uint32_t frames_out);

#endif
