// SPDX-License-Identifier: BSD-2-Clause
#include "channel/area_map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "channel/area.h"
#include "channel/sys.h"

#define AREA_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Linux 6.3; older ones answer -EINVAL. Memory for packets is never code. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* Linux 5.14: fault everything in, and say so if there is no memory instead of killing us at first touch. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

const char *area_pages_text(enum area_pages pages)
{
	switch (pages) {
	case AREA_PAGES_SMALL:
		return "4 KiB pages";
	case AREA_PAGES_TRANSPARENT:
		return "transparent huge pages";
	case AREA_PAGES_HUGETLB:
		return "2 MiB huge pages";
	}
	return "unknown";
}

static size_t area_mapped_bytes(const struct vj_area_params *p, enum area_pages pages)
{
	size_t bytes = vj_area_bytes(p);

	return pages == AREA_PAGES_HUGETLB ? bits_align_up(bytes, AREA_HUGE_PAGE_BYTES) : bytes;
}

static int area_memfd(const char *name, enum area_pages pages)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (pages == AREA_PAGES_HUGETLB)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = sys_memfd_create(name, flags | MFD_NOEXEC_SEAL);
	return fd == -EINVAL ? sys_memfd_create(name, flags) : fd;
}

/*
 * Address space that starts on a huge page, and the file mapped there: the kernel backs a file by huge pages only
 * where file offset and address agree in their low 21 bits, and does not choose so by itself for a memfd.
 */
static void *area_mmap_aligned(int fd, size_t bytes)
{
	const size_t spare = AREA_HUGE_PAGE_BYTES;
	uint8_t *space, *start, *end;
	void *mem;

	space = mmap(NULL, bytes + spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	if (space == MAP_FAILED)
		return MAP_FAILED;
	start = space + (-(uintptr_t)space & (AREA_HUGE_PAGE_BYTES - 1));
	end = start + bytes;
	mem = mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (mem == MAP_FAILED) {
		int saved_errno = errno;

		munmap(space, bytes + spare);
		errno = saved_errno;
		return MAP_FAILED;
	}
	if (start > space)
		munmap(space, (size_t)(start - space));
	if (space + bytes + spare > end)
		munmap(end, (size_t)(space + bytes + spare - end));
	return mem;
}

/*
 * Would the kernel back a memfd by huge pages if asked? It accepts the advice in any case. The setting in force is the
 * one in brackets; where it cannot be read the answer is no.
 */
static bool transparent_ask(void)
{
	int fd = sys_openat(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
			    O_RDONLY | O_CLOEXEC, 0);
	char text[128];
	long len;

	if (fd < 0)
		return false;
	len = sys_read(fd, text, sizeof(text) - 1);
	sys_close(fd);
	if (len <= 0)
		return false;
	text[len] = '\0';
	return strchr(text, '[') && !strstr(text, "[never]") && !strstr(text, "[deny]");
}

/* Asked once: with each channel it would be a tenth of what the channel costs, and who changes it starts his programs anew. */
static bool transparent_offered(void)
{
	static _Atomic int8_t known; /* 0: no; 1: it is offered; -1: it isn't */
	int8_t offered = atomic_load_explicit(&known, memory_order_relaxed);

	if (offered == 0) {
		offered = transparent_ask() ? 1 : -1;
		atomic_store_explicit(&known, offered, memory_order_relaxed);
	}
	return offered > 0;
}

static int area_mmap(int fd, size_t bytes, enum area_pages pages, struct area_mapping *ret_map)
{
	int saved_errno = errno, err;
	void *mem;

	if (pages == AREA_PAGES_TRANSPARENT && (bytes < AREA_HUGE_PAGE_BYTES || !transparent_offered()))
		pages = AREA_PAGES_SMALL;
	mem = pages == AREA_PAGES_SMALL ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : area_mmap_aligned(fd, bytes);
	err = mem == MAP_FAILED ? -errno : 0;
	if (err == 0 && pages == AREA_PAGES_TRANSPARENT && madvise(mem, bytes, MADV_HUGEPAGE) < 0)
		pages = AREA_PAGES_SMALL;
	if (err == 0 && madvise(mem, bytes, MADV_DONTFORK) < 0) {
		err = -errno;
		munmap(mem, bytes);
	}
	errno = saved_errno;
	if (err < 0)
		return err;
	*ret_map = (struct area_mapping){ .mem = mem, .bytes = bytes, .pages = pages };
	return 0;
}

/* Kernels before 5.14 fault the pages in one by one, when they are first used. */
static int area_populate(const struct area_mapping *map, size_t bytes)
{
	int saved_errno = errno;
	int err = madvise(map->mem, bytes, MADV_POPULATE_WRITE) < 0 ? -errno : 0;

	errno = saved_errno;
	if (err == -EFAULT || err == -EHWPOISON)
		return -ENOMEM;
	return err == -EINVAL ? 0 : err;
}

static int area_write_at(int fd, const void *bytes, size_t len, uint64_t off)
{
	for (size_t at = 0; at < len;) {
		long n = sys_pwrite(fd, (const uint8_t *)bytes + at, len - at, off + at);

		if (n <= 0)
			return n < 0 ? (int)n : -ENOMEM;
		at += (size_t)n;
	}
	return 0;
}

/*
 * What isn't zero, which is in three pages: a mapping of the maker's own would cost page faults, and their undoing, for nothing, and
 * so would the pages that nobody uses unless much is sent.
 */
static int area_write(int fd, const struct vj_area_params *p)
{
	_Alignas(uint64_t) uint8_t head[AREA_RING_DESC + AREA_START_FRAMES * sizeof(uint64_t)] = { 0 };
	struct area_header header;
	int err;

	area_header_init(&header, p, 0);
	err = area_write_at(fd, &header, sizeof(header), 0);
	area_free_ring_init(head, p, 0);
	for (unsigned i = 0; i < 2 && err == 0; i++)
		err = area_write_at(fd, head, area_free_ring_head(p), header.layout.free_ring[i]);
	return err;
}

static int area_fill(int fd, const struct vj_area_params *p, size_t bytes, enum area_pages pages, bool present,
		     struct area_mapping *ret_map)
{
	int err = area_mmap(fd, bytes, pages, ret_map);

	if (err < 0)
		return err;
	err = present ? area_populate(ret_map, bytes) : 0;
	if (err == 0)
		err = vj_area_init(ret_map->mem, p);
	if (err < 0)
		area_unmap(ret_map);
	return err;
}

/* One attempt with one page kind. @ret_map NULL: nobody wants it mapped. */
static int area_create_with(const char *name, const struct vj_area_params *p, enum area_pages pages,
			    int *ret_fd, struct area_mapping *ret_map)
{
	size_t bytes = area_mapped_bytes(p, pages);
	struct area_mapping map = { .mem = NULL };
	int fd, err;

	fd = area_memfd(name, pages);
	if (fd < 0)
		return fd;
	err = sys_ftruncate(fd, bytes);
	if (err < 0)
		goto fail_fd;
	if (!ret_map && pages != AREA_PAGES_HUGETLB) /* such a file has no write() */
		err = area_write(fd, p);
	else
		err = area_fill(fd, p, bytes, pages, ret_map != NULL, &map);
	if (err < 0)
		goto fail_fd;
	err = sys_fcntl(fd, F_ADD_SEALS, AREA_SEALS);
	if (err < 0)
		goto fail_map;
	if (ret_map)
		*ret_map = map;
	else
		area_unmap(&map);
	*ret_fd = fd;
	return 0;

fail_map:
	area_unmap(&map);
fail_fd:
	sys_close(fd);
	return err;
}

int area_create(const char *name, const struct vj_area_params *p, enum area_pages best, int *ret_fd,
		struct area_mapping *ret_map)
{
	int err = -ENOMEM;

	if (vj_area_params_check(p) < 0)
		return -EINVAL;
	if (best == AREA_PAGES_HUGETLB) {
		err = area_create_with(name, p, best, ret_fd, ret_map);
		best = AREA_PAGES_TRANSPARENT;
	}
	/* A host without a reserve of huge pages fails in mmap(); one without the feature in memfd_create(). */
	return err < 0 ? area_create_with(name, p, best, ret_fd, ret_map) : err;
}

/* Never trust: whoever sent the descriptor might keep one with other rights, or might have sent another file. */
static int area_fd_check(int fd, size_t bytes, size_t *ret_bytes)
{
	struct stat st;
	int seals, err;

	seals = sys_fcntl(fd, F_GET_SEALS, 0);
	if (seals < 0)
		return seals;
	if ((seals & AREA_SEALS) != AREA_SEALS ||
	    (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
		return -EPERM;
	err = sys_fstat(fd, &st);
	if (err < 0)
		return err;
	if (st.st_size < 0 || ((size_t)st.st_size != bytes &&
			       (size_t)st.st_size != bits_align_up(bytes, AREA_HUGE_PAGE_BYTES)))
		return -EMSGSIZE;
	*ret_bytes = (size_t)st.st_size;
	return 0;
}

/* @present: all is needed at once; else small pages come when they are touched, or by area_present(). */
static int area_open(int fd, size_t bytes, bool present, struct area_mapping *ret_map)
{
	enum area_pages pages = AREA_PAGES_TRANSPARENT;
	struct area_mapping map;
	size_t found = 0;
	int err;

	err = area_fd_check(fd, bytes, &found);
	if (err < 0)
		return err;
	if (found != bytes)
		pages = AREA_PAGES_HUGETLB;
	err = area_mmap(fd, found, pages, &map);
	if (err < 0)
		return err;
	/*
	 * Whichever end comes first pays for the pages; the other only fills its page table. A huge page that is not to be
	 * had later would be a SIGBUS; so would a small one, but of these there is one as long as the host has memory.
	 */
	err = present || map.pages != AREA_PAGES_SMALL ? area_populate(&map, found) : 0;
	if (err < 0) {
		area_unmap(&map);
		return err;
	}
	*ret_map = map;
	return 0;
}

int area_map_bytes(int fd, size_t bytes, struct area_mapping *ret_map)
{
	return area_open(fd, bytes, true, ret_map);
}

int area_map(int fd, const struct vj_area_params *p, struct area_mapping *ret_map)
{
	if (vj_area_params_check(p) < 0)
		return -EINVAL;
	return area_open(fd, vj_area_bytes(p), false, ret_map);
}

void area_present(void *mem, const struct vj_area_params *p, unsigned end, uint32_t first, uint32_t n)
{
	struct area_layout l;

	area_layout(p, &l);
	first = min_u32(first, p->frame_cnt);
	n = min_u32(n, p->frame_cnt - first);
	/* Pools start on a page, and frames may be of half of one. */
	(void)area_populate(&(struct area_mapping){ .mem = (uint8_t *)mem + l.pool[end] + (uint64_t)first * p->frame_bytes },
			    (size_t)n * p->frame_bytes);
}

void area_unmap(struct area_mapping *map)
{
	int saved_errno = errno;

	if (map->mem)
		munmap(map->mem, map->bytes);
	errno = saved_errno;
	*map = (struct area_mapping){ .mem = NULL };
}
