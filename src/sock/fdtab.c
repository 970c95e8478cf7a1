// SPDX-License-Identifier: BSD-2-Clause
/*
 * fdtab.c - from descriptor number to what is behind it; and the memory of it
 *
 * Two levels, so that a program with few descriptors touches one page and one with ten million finds
 * each in two loads. Readers take no lock. Writers hold the layer's lock. Pages, sockets and
 * watches are never given back.
 *
 * Most processes that have a socket have one and end soon, so what the first ones need lies together: one page is touched in place of
 * three. Most have none, and so nothing of any size is among the library's variables: what is zero at first and does not fit the last page
 * of those that have values is one more mapping for each process that begins.
 */
#include "sock/priv.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST_SOCKS = 4 };

struct first {
	struct sock socks[FIRST_SOCKS];
	struct fd_page page;
};
_Static_assert(offsetof(struct first, page.slot[64]) <= 4096, "both on one page of memory");

enum { SLAB_BYTES = 64 * 1024 };

/*
 * Each kind keeps its memory, linked by its first word when free: what a late event points to is
 * always a struct sock, in use or FRESH. What was never used is not touched: a program with one socket pays for one page.
 */
struct slab {
	void *free;
	uint8_t *fresh, *end;
};
static struct slab socks, sets, watches;

/* Every process reads the first entry. */
_Atomic(struct fd_page *) fd_pages[FD_PAGE_CNT] VJ_NEAR;

VJ_EARLY void *pages_get(size_t bytes)
{
	/* libc's mmap() would be looked up first */
	long p = SYS_CALL6(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p >= -4095 ? NULL : (void *)p;
}

static struct fd_page *page_of(unsigned nr)
{
	return nr >> FD_PAGE_BITS < FD_PAGE_CNT ? atomic_load_explicit(&fd_pages[nr >> FD_PAGE_BITS], memory_order_relaxed) : NULL;
}

static unsigned slot_of(unsigned nr)
{
	return nr & ((1u << FD_PAGE_BITS) - 1);
}

VJ_EARLY static struct fd_page *page_new(unsigned nr)
{
	struct first *first;

	if (nr >> FD_PAGE_BITS)
		return pages_get(sizeof(struct fd_page));
	first = pages_get(sizeof(*first));
	if (!first)
		return NULL;
	socks.fresh = (uint8_t *)first->socks;
	socks.end = (uint8_t *)(first->socks + FIRST_SOCKS);
	return &first->page;
}

/* Return: NULL: no memory */
VJ_EARLY static struct fd_page *page_make(unsigned nr)
{
	struct fd_page *page = page_of(nr);

	if (!page && nr >> FD_PAGE_BITS < FD_PAGE_CNT) {
		page = page_new(nr);
		atomic_store_explicit(&fd_pages[nr >> FD_PAGE_BITS], page, memory_order_release);
	}
	return page;
}

/* Something is about to be there. Return: NULL: no memory */
VJ_EARLY static struct fd_page *page_use(unsigned nr)
{
	struct fd_page *page = page_make(nr);
	unsigned group = slot_of(nr) >> FD_GROUP_BITS;

	if (page)
		page->used[group / 64] |= UINT64_C(1) << group % 64;
	return page;
}

VJ_EARLY int fd_set_file(int fd, struct file *f)
{
	struct fd_page *page;

	if (!f && !fd_peek(fd))
		return 0;
	page = page_use((unsigned)fd);
	if (!page)
		return -ENOMEM;
	atomic_store_explicit(&page->slot[slot_of((unsigned)fd)], f, memory_order_relaxed);
	return 0;
}

int fd_next_used(int fd)
{
	for (unsigned nr = fd < 0 ? 0 : (unsigned)fd, bits; nr >> FD_PAGE_BITS < FD_PAGE_CNT; nr = ((nr >> bits) + 1) << bits) {
		const struct fd_page *page = page_of(nr);
		unsigned group = slot_of(nr) >> FD_GROUP_BITS;

		if (page && (page->used[group / 64] >> group % 64 & 1))
			return (int)nr;
		bits = page ? FD_GROUP_BITS : FD_PAGE_BITS;
	}
	return -1;
}

int fd_next(int fd)
{
	for (fd = fd_next_used(fd); fd >= 0; fd = fd_next_used(fd)) {
		do {
			if (fd_peek(fd))
				return fd;
		} while (++fd & ((1 << FD_GROUP_BITS) - 1));
	}
	return -1;
}

VJ_EARLY struct fd_note *fd_note_of(int fd, bool make)
{
	struct fd_page *page = make ? page_use((unsigned)fd) : page_of((unsigned)fd);

	return page ? &page->note[slot_of((unsigned)fd)] : NULL;
}

int fd_of_file(const struct file *f)
{
	int fd = fd_next(0);

	while (fd >= 0 && fd_peek(fd) != f)
		fd = fd_next(fd + 1);
	return fd;
}

/*
 * ---- descriptors of our own
 * -------------------------------------------------------------------------------------
 */

struct file internal_file = { .kind = FILE_INTERNAL, .refs = 1 };

/* Without memory for the entry it is one that the program can close. */
void fd_protect(int fd, bool ours)
{
	(void)fd_set_file(fd, ours ? &internal_file : NULL);
}

/*
 * ---- memory -------------------------------------------------------------------------------------
 * ----------------
 */

static void slab_put(struct slab *slab, void *p)
{
	*(void **)p = slab->free;
	slab->free = p;
}

VJ_EARLY static void *slab_get(struct slab *slab, size_t bytes)
{
	void *p = slab->free;

	if (p) {
		slab->free = *(void **)p;
		memset(p, 0, bytes);
		return p;
	}
	if ((size_t)(slab->end - slab->fresh) < bytes) {
		slab->fresh = pages_get(SLAB_BYTES);
		slab->end = slab->fresh + (slab->fresh ? SLAB_BYTES : 0);
		if (!slab->fresh)
			return NULL;
	}
	p = slab->fresh;
	slab->fresh += bytes;
	return p;
}

VJ_EARLY struct sock *sock_alloc(void)
{
	struct sock *s = page_make(0) ? slab_get(&socks, sizeof(*s)) : NULL; /* the first ones lie beside that */
	int none = -1;

	/* else gcc loads the two as one from a page of constants that a short program does not touch otherwise */
	__asm__("" : "+r"(none));
	if (s) {
		s->file.kind = FILE_SOCK;
		file_get(&s->file);
		s->lease_fd = s->option_fd = none;
	}
	return s;
}

VJ_EARLY void sock_free(struct sock *s)
{
	s->state = SOCK_FRESH;
	slab_put(&socks, s);
}

struct epoll_set *set_alloc(void)
{
	struct epoll_set *set = slab_get(&sets, sizeof(*set));

	if (set) {
		set->file.kind = FILE_EPOLL;
		set->file.refs = 1;
		set->kick.fd = -1;
		set->ready.ready_next = set->ready.ready_prev = &set->ready;
	}
	return set;
}

void set_free(struct epoll_set *set)
{
	slab_put(&sets, set);
}

struct watch *watch_alloc(void)
{
	return slab_get(&watches, sizeof(struct watch));
}

void watch_free(struct watch *w)
{
	slab_put(&watches, w);
}

void watch_link(struct watch *w, struct file *f)
{
	w->file = f;
	w->next = f->watches;
	w->pprev = &f->watches;
	if (w->next)
		w->next->pprev = &w->next;
	f->watches = w;
}

void watch_unlink(struct watch *w)
{
	*w->pprev = w->next;
	if (w->next)
		w->next->pprev = w->pprev;
}
