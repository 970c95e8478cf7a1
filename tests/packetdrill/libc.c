// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls that packetdrill makes behind the table's back
 *
 * Code in a script (%{ assert tcpi_snd_cwnd == 10 }%) works on what getsockopt(TCP_INFO) said, and packetdrill makes that call
 * with libc, not through the table. So the program's reference to libc's getsockopt is turned to the function here, which
 * answers for sockets of the stack and passes on everything else. Only the program itself is touched, no library; it is
 * its global offset table that is written to, as the dynamic linker would have.
 */
#include "tests/packetdrill/pd.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>

/* The world of the function that has libc's place: it has no userdata. */
static struct pd_world *libc_world;

static int libc_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	struct pd_world *w = libc_world;
	int ret;

	if (w == NULL)
		return getsockopt(fd, level, name, value, len);
	pthread_mutex_lock(&w->lock);
	if (pd_file_find(w, fd) == NULL) {
		pthread_mutex_unlock(&w->lock);
		return getsockopt(fd, level, name, value, len);
	}
	pd_seen(w);
	ret = pd_getsockopt(w, pd_file_find(w, fd), level, name, value, len);
	pthread_mutex_unlock(&w->lock);
	if (ret == 0)
		return 0;
	errno = -ret;
	return -1;
}

struct table {
	const ElfW(Rela) *rela;
	size_t cnt;
};

static void table_patch(const struct dl_phdr_info *info, struct table table, const ElfW(Sym) *symtab, const char *strtab)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < table.cnt; i++) {
		const ElfW(Sym) *sym = &symtab[ELF64_R_SYM(table.rela[i].r_info)];
		void **slot = (void **)(info->dlpi_addr + table.rela[i].r_offset);
		void *start = (void *)((uintptr_t)slot & ~(page - 1));

		if (strcmp(strtab + sym->st_name, "getsockopt") != 0)
			continue;
		/* Behind RELRO the page is read-only, and stays writable now: nothing says what it was. */
		if (mprotect(start, page, PROT_READ | PROT_WRITE) == 0)
			*slot = (void *)(uintptr_t)libc_getsockopt;
	}
}

/* The first object is the program. */
static int program_patch(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct table plt = { NULL, 0 }, dyn = { NULL, 0 };
	const ElfW(Sym) *symtab = NULL;
	const char *strtab = NULL;
	const ElfW(Dyn) *d = NULL;

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			d = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	for (; d != NULL && d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB:
			symtab = (const ElfW(Sym) *)d->d_un.d_ptr;
			break;
		case DT_STRTAB:
			strtab = (const char *)d->d_un.d_ptr;
			break;
		case DT_JMPREL:
			plt.rela = (const ElfW(Rela) *)d->d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			plt.cnt = d->d_un.d_val / sizeof(*plt.rela);
			break;
		case DT_RELA:
			dyn.rela = (const ElfW(Rela) *)d->d_un.d_ptr;
			break;
		case DT_RELASZ:
			dyn.cnt = d->d_un.d_val / sizeof(*dyn.rela);
			break;
		default:
			break;
		}
	}
	if (symtab == NULL || strtab == NULL)
		return 1;
	if (plt.rela != NULL)
		table_patch(info, plt, symtab, strtab);
	if (dyn.rela != NULL)
		table_patch(info, dyn, symtab, strtab);
	return 1;
}

void pd_libc_place(struct pd_world *w)
{
	bool again = libc_world != NULL;

	libc_world = w;
	if (w != NULL && !again)
		dl_iterate_phdr(program_patch, NULL);
}
