// SPDX-License-Identifier: BSD-2-Clause
/* Apart from program.c: vj itself (front.c) has no way to say it. */
#include "cli/program.h"

#include <stdio.h>
#include <string.h>

/* What follows the file's name */
static const char *said_of_file(enum program_reason reason)
{
	switch (reason) {
	case PROGRAM_IS_DIRECTORY:
		return "is a directory";
	case PROGRAM_NOT_EXECUTABLE:
		return "is not executable";
	case PROGRAM_SET_ID:
		return "is set-user-id or set-group-id: the system loads no library of ours into it";
	case PROGRAM_HAS_CAPABILITIES:
		return "has file capabilities: the system loads no library of ours into it";
	case PROGRAM_32_BIT:
		return "is a 32-bit program, libvj-preload.so is 64-bit";
	case PROGRAM_OTHER_MACHINE:
		return "is a program for another kind of machine";
	case PROGRAM_DAMAGED:
		return "is a damaged program";
	case PROGRAM_STATIC:
		return "is statically linked: it makes its system calls itself, where no library can take them over";
	case PROGRAM_GO:
		return "is a Go program: it makes its system calls itself, where no library can take them over";
	default:
		return "cannot be run";
	}
}

const char *program_why(const struct program *p)
{
	static char why[2 * PATH_MAX + 256];

	switch (p->reason) {
	case PROGRAM_NO_SUCH:
		snprintf(why, sizeof(why), "no such program: '%s'", p->about);
		break;
	case PROGRAM_NOT_IN_PATH:
		snprintf(why, sizeof(why), "no such program: '%s' is in no directory of $PATH", p->about);
		break;
	case PROGRAM_NAME_TOO_LONG:
		snprintf(why, sizeof(why), "no such program: the name is too long");
		break;
	case PROGRAM_CANNOT_RUN:
		snprintf(why, sizeof(why), "cannot run '%s': %s", p->about, strerror(p->err));
		break;
	case PROGRAM_OTHER_LIBC:
		snprintf(why, sizeof(why), "'%s' is linked with another C library (%s): libvj-preload.so needs glibc", p->about, p->interpreter);
		break;
	case PROGRAM_TOO_DEEP:
		snprintf(why, sizeof(why), "'%s': too many interpreters of interpreters", p->about);
		break;
	case PROGRAM_NO_INTERPRETER:
		snprintf(why, sizeof(why), "'%s' is a script whose interpreter '%s' cannot be run", p->about, p->interpreter);
		break;
	default:
		snprintf(why, sizeof(why), "'%s' %s", p->about, said_of_file(p->reason));
	}
	return why;
}
