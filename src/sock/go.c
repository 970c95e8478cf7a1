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

/* The program's, as it lies in memory */
struct headers {
	const Elf64_Phdr *first, *end;
	uintptr_t base; /* added to all of its addresses */
};

/* Is it in what the loader has mapped? A header may say anything. */
VJ_EARLY static bool is_mapped(const struct headers *h, uint64_t at, uint64_t bytes)
{
	for (const Elf64_Phdr *p = h->first; p < h->end; p++)
		if (p->p_type == PT_LOAD && at >= p->p_vaddr && bytes <= p->p_filesz && at - p->p_vaddr <= p->p_filesz - bytes)
			return true;
	return false;
}

VJ_EARLY bool program_is_go(void)
{
	const Elf64_Phdr *first = (const Elf64_Phdr *)getauxval(AT_PHDR);
	struct headers h = { .first = first, .end = first + getauxval(AT_PHNUM) };

	for (const Elf64_Phdr *p = h.first; p < h.end; p++)
		if (p->p_type == PT_PHDR)
			h.base = (uintptr_t)first - p->p_vaddr;
	if (!is_mapped(&h, (uintptr_t)first - h.base, sizeof(*first))) /* without PT_PHDR, and moved */
		return false;
	for (const Elf64_Phdr *p = h.first; p < h.end; p++)
		if (p->p_type == PT_NOTE && is_mapped(&h, p->p_vaddr, p->p_filesz) && go_note_is_in((const char *)(h.base + p->p_vaddr), p->p_filesz))
			return true;
	return false;
}
