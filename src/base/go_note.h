/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * go_note.h - programs that Go's own linker has made, known by a note (elf(5)) that it leaves in each
 *
 * Go's runtime makes its system calls itself, also where it is linked with the C library, as it is to look up names with it or to call functions of C.
 */
#ifndef BASE_GO_NOTE_H
#define BASE_GO_NOTE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { GO_NOTE_BUILD_ID = 4 };

/* Is it in a PT_NOTE segment, or the beginning of one? */
static inline bool go_note_is_in(const char *notes, size_t bytes)
{
	Elf64_Nhdr note;
	size_t all;

	for (size_t at = 0; bytes - at >= sizeof(note) + 4; at += all) {
		memcpy(&note, notes + at, sizeof(note));
		if (note.n_namesz == 4 && note.n_type == GO_NOTE_BUILD_ID && !memcmp(notes + at + sizeof(note), "Go\0", 4))
			return true;
		all = sizeof(note) + (((size_t)note.n_namesz + 3) & ~(size_t)3) + (((size_t)note.n_descsz + 3) & ~(size_t)3);
		if (all > bytes - at)
			break;
	}
	return false;
}

#endif
