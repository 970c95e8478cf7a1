// SPDX-License-Identifier: BSD-2-Clause
/*
 * area_map.h - areas as sealed memory that can be passed to another process
 *
 * The maker (vjd) creates the memory, gives it its final size, fills it, and seals it: F_SEAL_SHRINK, so that no
 * holder can cut it and make the others die of SIGBUS; F_SEAL_GROW, so that nobody grows it at the
 * maker's expense; F_SEAL_SEAL, so that nobody adds seals (F_SEAL_WRITE would). Who receives a descriptor checks
 * all that before mapping, whoever sent it.
 *
 * The maker writes header and rings only: to zero 2 MiB, and to map it, takes a millisecond, and a daemon of one thread has
 * better to do. Of huge pages, whoever maps the area has all of it made present, on its own time and its own memory account, and
 * is refused if there are none, instead of killed at first touch; small ones come when they are touched, as memory of the program's own does. Pages are zero because a memfd is new for
 * each channel: none is ever used twice.
 *
 * Mappings are not inherited over fork(): two processes would act as one end.
 */
#ifndef VJ_CHANNEL_AREA_MAP_H
#define VJ_CHANNEL_AREA_MAP_H

#include <vj/channel.h>

enum area_pages {
	AREA_PAGES_SMALL, /* 4 KiB */
	AREA_PAGES_TRANSPARENT, /* 2 MiB where the kernel finds them (allowed for memfds, and asked for) */
	AREA_PAGES_HUGETLB, /* 2 MiB from the host's reserve */
};

/* A mapped area. */
struct area_mapping {
	void *mem;
	size_t bytes; /* mapped; at least vj_area_bytes() */
	enum area_pages pages;
};

/* Constant text; never NULL. */
const char *area_pages_text(enum area_pages pages);

/*
 * Make an area: memory of the best page kind up to `best` that the host offers, initialised (vj_area_init()), sealed.
 * @name:     Shown in /proc/PID/maps after "memfd:"
 * @ret_fd:   To be passed to both ends; the caller closes it
 * @ret_map:  The maker's own mapping, all of it present, or NULL if none is wanted; area_unmap() it
 * Return: 0; -EINVAL: bad parameters; -ENOMEM: no memory (now, not by SIGBUS later); -EMFILE, -ENFILE.
 */
int area_create(const char *name, const struct vj_area_params *p, enum area_pages best, int *ret_fd,
		struct area_mapping *ret_map);

/*
 * Map an area that was received. Small pages come as they are touched: a short connection uses a few frames of a thousand, and the
 * beginning of each ring. The descriptor stays the caller's and may be closed afterwards.
 * Return: 0; -EINVAL: bad parameters; -EPERM: the seals are missing, it could be cut under us; -EMSGSIZE: not
 * the size that these parameters make; -ENOMEM: no memory, no address space; -EBADF and so on: not a memfd.
 */
int area_map(int fd, const struct vj_area_params *p, struct area_mapping *ret_map);

/*
 * Make @n frames from @first on of the pool that @end receives in present, as far as there is memory; those that there are.
 * @mem: As mapped by area_map() with @p
 */
void area_present(void *mem, const struct vj_area_params *p, unsigned end, uint32_t first, uint32_t n);

/* area_map() for memory that isn't an area, all of it present: @bytes long, or that rounded up to whole huge pages. */
int area_map_bytes(int fd, size_t bytes, struct area_mapping *ret_map);

void area_unmap(struct area_mapping *map);

#endif
