// SPDX-License-Identifier: BSD-2-Clause
/*
 * go.c - is the program Go's?
 *
 * Its runtime's system calls are not seen here, and functions of C that are part of it (cgo) may share descriptors with it: a connection of theirs on a channel would be to
 * Go's read() a socket that isn't connected. So all of it is the kernel's, as `vj run` says. The library is there for programs that it starts.
 */
#include "sock/go.h"

#include "base/go_note.h"

#include <stdint.h>
#include <sys/auxv.h>

VJ_EARLY bool program_is_go(void)
{
	const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR), *end = ph + getauxval(AT_PHNUM); /* of the program, also where it was moved to */
	uintptr_t base = 0;

	for (const Elf64_Phdr *p = ph; p < end; p++) {
		if (p->p_type == PT_PHDR)
			base = (uintptr_t)ph - p->p_vaddr;
		if (p->p_type == PT_NOTE && go_note_is_in((const char *)(base + p->p_vaddr), p->p_memsz))
			return true;
	}
	return false;
}
