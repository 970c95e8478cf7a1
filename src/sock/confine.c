// SPDX-License-Identifier: BSD-2-Clause
/*
 * confine.c - programs that put the process which serves a connection in a cage
 *
 * A child that has lost its root directory, its user and most system calls (seccomp) before it first touches the connection that
 * it inherited cannot claim it: it may neither reach vjd nor open a socket. Nobody can tell in advance, but such programs are
 * built in one way: they fork for each connection, without epoll, and call chroot(), setresuid() and prctl(), as OpenSSH's
 * server does. What those listen to stays with the kernel, unless they wait in a set of epoll all the same, which a library has made (nsd, by
 * libevent). An interpreter calls everything, on behalf of whatever it runs; it is known by dlopen() (perl), busybox by vfork().
 *
 * The connection could stay with the parent, which would read and write for such a child (lib/deed_raw.c). But then every byte goes through a
 * socket of the kernel's and a third process: slower than the kernel's TCP, for all of a session's life.
 */
#include "sock/cage.h"

#include "base/types.h"

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
		{ "dlopen", 16 },	       { "vfork", 16 },
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

struct imports {
	const ElfW(Sym) *symbols;
	const char *strings;
	const ElfW(Rela) *relocs[2]; /* of data, and of calls */
	size_t bytes[2];
};

static struct imports imports_of(const struct dl_phdr_info *info, const ElfW(Dyn) *dyn)
{
	struct imports in = { 0 };

	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			in.symbols = dyn_ptr(info, dyn);
		else if (dyn->d_tag == DT_STRTAB)
			in.strings = dyn_ptr(info, dyn);
		else if (dyn->d_tag == DT_RELA)
			in.relocs[0] = dyn_ptr(info, dyn);
		else if (dyn->d_tag == DT_JMPREL)
			in.relocs[1] = dyn_ptr(info, dyn);
		else if (dyn->d_tag == DT_RELASZ)
			in.bytes[0] = dyn->d_un.d_val;
		else if (dyn->d_tag == DT_PLTRELSZ)
			in.bytes[1] = dyn->d_un.d_val;
	}
	return in;
}

/* What a program uses of others has a relocation. How many symbols it has is said nowhere, if it exports none. */
static unsigned marks_of(const struct dl_phdr_info *info, const ElfW(Dyn) *dyn)
{
	struct imports in = imports_of(info, dyn);
	unsigned marks = 0;

	for (int t = 0; t < 2 && in.symbols && in.strings; t++) {
		for (size_t i = 0; in.relocs[t] && i < in.bytes[t] / sizeof(ElfW(Rela)); i++) {
			const ElfW(Sym) *symbol = &in.symbols[ELF64_R_SYM(in.relocs[t][i].r_info)];

			if (symbol->st_shndx == SHN_UNDEF)
				marks |= mark_of(in.strings + symbol->st_name);
		}
	}
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
