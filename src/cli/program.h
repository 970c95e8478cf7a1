// SPDX-License-Identifier: BSD-2-Clause
/* Can libvj-preload.so be put in front of this program? */
#ifndef VJ_CLI_PROGRAM_H
#define VJ_CLI_PROGRAM_H

#include "base/types.h"

#include <limits.h>

enum program_verdict {
	PROGRAM_OK,
	PROGRAM_NOT_FOUND,
	PROGRAM_NOT_RUNNABLE, /* the kernel would not run it */
	PROGRAM_NOT_OURS,     /* it runs, but on the kernel's sockets */
	PROGRAM_STARTS_OURS,  /* likewise, and the library among its environment is for programs that it starts */
};

static inline bool program_is_kernels(enum program_verdict v)
{
	return v == PROGRAM_NOT_OURS || v == PROGRAM_STARTS_OURS;
}

struct program {
	char path[PATH_MAX];
	char why[PATH_MAX + 256]; /* what is wrong, for people; "" when PROGRAM_OK */
};

/*
 * Finds @name as a shell does (along $PATH unless it has a slash), then looks at the file:
 * permissions, ELF class and machine, dynamic linking, set-user-id; for a script, at its
 * interpreter. Opens files; runs nothing.
 */
enum program_verdict program_check(const char *name, struct program *ret_program);

#endif
