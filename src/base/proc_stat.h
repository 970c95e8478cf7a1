/* SPDX-License-Identifier: BSD-2-Clause */
/* proc_stat.h - what /proc/PID/stat says: proc(5) */
#ifndef BASE_PROC_STAT_H
#define BASE_PROC_STAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PROC_PATH_BYTES = 32 };

/** proc_path() - "/proc/@pid/@file"; as text without a libc that formats: src/cli/front.c */
static inline const char *proc_path(uint32_t pid, const char *file, char buf[static PROC_PATH_BYTES])
{
	size_t bytes = strlen(file) + 1;
	char *at = buf + PROC_PATH_BYTES - bytes;

	memcpy(at, file, bytes);
	*--at = '/';
	do
		*--at = (char)('0' + pid % 10);
	while ((pid /= 10) != 0);
	at -= 6;
	memcpy(at, "/proc/", 6);
	return at;
}

/** proc_stat_state() - 'R', 'S', 'T' ... by the @len bytes of that file. Return: 0: they don't say */
static inline char proc_stat_state(const char *stat, size_t len)
{
	const char *state = memrchr(stat, ')', len); /* the end of the name, which may be anything */

	return state != NULL && state + 2 < stat + len ? state[2] : '\0';
}

#endif
