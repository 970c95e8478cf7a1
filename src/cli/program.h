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

enum program_reason {
	PROGRAM_NO_REASON,
	PROGRAM_NO_SUCH,
	PROGRAM_NOT_IN_PATH,
	PROGRAM_NAME_TOO_LONG,
	PROGRAM_CANNOT_RUN, /* @err */
	PROGRAM_IS_DIRECTORY,
	PROGRAM_NOT_EXECUTABLE,
	PROGRAM_SET_ID,
	PROGRAM_HAS_CAPABILITIES,
	PROGRAM_32_BIT,
	PROGRAM_OTHER_MACHINE,
	PROGRAM_DAMAGED,
	PROGRAM_STATIC,
	PROGRAM_GO,
	PROGRAM_OTHER_LIBC,	/* @interpreter */
	PROGRAM_TOO_DEEP,
	PROGRAM_NO_INTERPRETER, /* @interpreter */
};

struct program {
	enum program_reason reason; /* unless PROGRAM_OK; program_why() says it in words */
	int err;		    /* positive errno */
	char path[PATH_MAX];
	char about[PATH_MAX]; /* which file the reason is about */
	char interpreter[PATH_MAX];
};

/*
 * Finds @name as a shell does (along $PATH unless it has a slash), then looks at the file:
 * permissions, ELF class and machine, dynamic linking, set-user-id; for a script, at its
 * interpreter. Opens files; runs nothing. Needs nothing of libc but a few functions of strings: front.c.
 */
enum program_verdict program_check(const char *name, struct program *ret_program);

/* What is wrong, for people. The text is there until the next call. */
const char *program_why(const struct program *program);

#endif
