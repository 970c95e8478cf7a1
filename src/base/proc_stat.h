/* SPDX-License-Identifier: BSD-2-Clause */
/* proc_stat.h - what /proc/PID/stat says: proc(5) */
#ifndef BASE_PROC_STAT_H
#define BASE_PROC_STAT_H

#include <stddef.h>
#include <string.h>

/** proc_stat_state() - 'R', 'S', 'T' ... by the @len bytes of that file. Return: 0: they don't say */
static inline char proc_stat_state(const char *stat, size_t len)
{
	const char *state = memrchr(stat, ')', len); /* the end of the name, which may be anything */

	return state != NULL && state + 2 < stat + len ? state[2] : '\0';
}

#endif
