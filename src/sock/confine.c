// SPDX-License-Identifier: BSD-2-Clause
/*
 * confine.c - programs that put the process which serves a connection in a cage
 *
 * A child that has lost its root directory, its user and most system calls (seccomp) before it first touches the connection that
 * it inherited cannot claim it: it may neither reach vjd nor open a socket. Nobody can tell in advance, but such programs are
 * built in one way: they fork for each connection, without epoll, and call chroot(), setresuid() and prctl(), as OpenSSH's
 * server does. What those listen to stays with the kernel.
 */
#include "sock/priv.h"

#include <elf.h>
#include <link.h>
#include <string.h>

enum { CONFINES_CHROOT = 1, CONFINES_USER = 2, CONFINES_PRCTL = 4, CONFINES_FORK = 8, CONFINES_ALL = 15 };

static unsigned mark_of(const char *symbol)
{
	static const struct {
		const char *name;
		unsigned mark;
	} marks[] = {
		{ "chroot", CONFINES_CHROOT }, { "setresuid", CONFINES_USER }, { "prctl", CONFINES_PRCTL },
		{ "fork", CONFINES_FORK },     { "epoll_create", 16 },	       { "epoll_create1", 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (!strcmp(symbol, marks[i].name))
			return marks[i].mark;
	return 0;
}

/* ld.so has added the base, or not, as the machine has it. */
static const void *dyn_ptr(const struct dl_phdr_info *info, const ElfW(Dyn) *dyn)
{
	return (const void *)(dyn->d_un.d_ptr < info->dlpi_addr ? dyn->d_un.d_ptr + info->dlpi_addr : dyn->d_un.d_ptr);
}

/* Symbols that a program imports come first in its table; the GNU hash table says how many there are. */
static unsigned marks_of(const struct dl_phdr_info *info, const ElfW(Dyn) *dyn)
{
	const ElfW(Sym) *symbols = NULL;
	const uint32_t *hash = NULL;
	const char *strings = NULL;
	unsigned marks = 0;

	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			symbols = dyn_ptr(info, dyn);
		else if (dyn->d_tag == DT_STRTAB)
			strings = dyn_ptr(info, dyn);
		else if (dyn->d_tag == DT_GNU_HASH)
			hash = dyn_ptr(info, dyn);
	}
	for (uint32_t i = 1; symbols && strings && hash && i < hash[1]; i++)
		if (symbols[i].st_shndx == SHN_UNDEF)
			marks |= mark_of(strings + symbols[i].st_name);
	return marks;
}

/* Of the program itself, which comes first */
static int look(struct dl_phdr_info *info, size_t bytes, void *ret_confines)
{
	(void)bytes;
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			*(bool *)ret_confines =
				marks_of(info, (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr)) ==
				CONFINES_ALL;
	return 1;
}

bool program_confines(void)
{
	static int known; /* 0: not yet; 1: no; 2: yes */
	bool confines = false;

	if (!known) {
		dl_iterate_phdr(look, &confines);
		known = confines ? 2 : 1;
	}
	return known == 2;
}
