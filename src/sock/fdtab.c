// SPDX-License-Identifier: BSD-2-Clause
/*
 * fdtab.c - from descriptor number to what is behind it; and the memory of it
 *
 * Pages of 64 K numbers, so that one with ten million finds each in a few loads. Readers take no lock. Writers hold the layer's lock. Pages,
 * sockets and watches are never given back.
 *
 * Most processes that have a socket have one and end soon, so the first numbers, their notes and some sockets are among the library's
 * variables, on the page that loading it has written to: no mapping of their own, no page that is touched for them alone. When a greater
 * number is used they move to the first page, and back when none of those is left that a context had: children of fork() would have copies of
 * it. Who looks meanwhile, without the lock, sees what was there a moment before: a new page has
 * everything before it is shown, and is shown before the number of those that it has. One that was left stays where it was, and is empty.
 */
#include "base/bits.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/why.h"

#include <string.h>
#include <sys/mman.h>

enum { LOW_CNT = 64, LOW_SOCKS = 4 };
_Static_assert(LOW_CNT == 1 << FD_GROUP_BITS, "they are a group");

struct fd_page {
	uint64_t used[(1 << (FD_PAGE_BITS - FD_GROUP_BITS)) / 64]; /* of groups of numbers: has any ever had something? Lock */
	_Atomic(struct file *) slot[1 << FD_PAGE_BITS];
	_Atomic uint8_t note[1 << FD_PAGE_BITS];
};

struct first_pages {
	_Atomic(struct fd_page *) all[FD_PAGE_CNT];
	struct fd_page first;
};

static struct {
	_Atomic(struct file *) slot[LOW_CNT];
	_Atomic uint8_t note[LOW_CNT];
	struct sock socks[LOW_SOCKS];
} low VJ_LATER;

enum { SLAB_BYTES = 64 * 1024 };

/*
 * Each kind keeps its memory, linked by its first word when free: what a late event points to is
 * always a struct sock, in use or FRESH. What was never used is not touched: a program with one socket pays for one page.
 */
struct slab {
	void *free;
	uint8_t *fresh, *end;
};
static struct slab socks VJ_LATER, sets, watches;

struct fd_table fd_table VJ_NEAR; /* every process reads it */
static _Atomic(struct fd_page *) *pages; /* FD_PAGE_CNT; NULL: the low ones are enough */
static uint32_t page_end; /* behind those that there are. Lock */
static struct first_pages *spare; /* they were in use; empty. Lock */

VJ_EARLY void *pages_get(size_t bytes)
{
	/* libc's mmap() would be looked up first */
	long p = SYS_CALL6(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p >= -4095 ? NULL : (void *)p;
}

static unsigned slot_of(unsigned nr)
{
	return nr & ((1u << FD_PAGE_BITS) - 1);
}

static struct fd_page *page_of(unsigned nr)
{
	return pages && nr >> FD_PAGE_BITS < FD_PAGE_CNT ? atomic_load_explicit(&pages[nr >> FD_PAGE_BITS], memory_order_acquire) : NULL;
}

/* Is it one of the low ones, and are they where they were at first? */
static bool is_low(unsigned nr)
{
	return !pages && nr < atomic_load_explicit(&fd_table.cnt, memory_order_relaxed);
}

struct file *fd_peek_far(unsigned nr)
{
	struct fd_page *page = page_of(nr);

	return page ? atomic_load_explicit(&page->slot[slot_of(nr)], memory_order_relaxed) : NULL;
}

_Atomic uint8_t *fd_note_far(unsigned nr)
{
	struct fd_page *page = page_of(nr);

	return page ? &page->note[slot_of(nr)] : NULL;
}

VJ_EARLY static void low_use(void)
{
	atomic_store_explicit(&fd_table.slots, low.slot, memory_order_release);
	atomic_store_explicit(&fd_table.notes, low.note, memory_order_release);
	atomic_store_explicit(&fd_table.cnt, LOW_CNT, memory_order_release);
}

static void low_copy(_Atomic(struct file *) *from, _Atomic uint8_t *from_note, _Atomic(struct file *) *to, _Atomic uint8_t *to_note)
{
	for (unsigned nr = 0; nr < LOW_CNT; nr++) {
		atomic_store_explicit(&to[nr], atomic_load_explicit(&from[nr], memory_order_relaxed), memory_order_relaxed);
		atomic_store_explicit(&to_note[nr], atomic_load_explicit(&from_note[nr], memory_order_relaxed), memory_order_relaxed);
	}
}

/* The first page, with what the low ones have. Return: false: no memory */
static bool low_leave(void)
{
	struct first_pages *made = spare ? spare : pages_get(sizeof(*made));
	struct fd_page *first;

	if (!made)
		return false;
	spare = NULL;
	first = &made->first;
	low_copy(low.slot, low.note, first->slot, first->note);
	first->used[0] = 1;
	atomic_store_explicit(&made->all[0], first, memory_order_relaxed);
	pages = made->all;
	page_end = 1;
	atomic_store_explicit(&fd_table.slots, first->slot, memory_order_release);
	atomic_store_explicit(&fd_table.notes, first->note, memory_order_release);
	atomic_store_explicit(&fd_table.cnt, FD_PAGE_CNT << FD_PAGE_BITS, memory_order_release);
	return true;
}

static bool has_notes(const struct fd_page *page, unsigned from, unsigned end)
{
	for (unsigned nr = from; nr < end; nr++)
		if (atomic_load_explicit(&page->note[nr], memory_order_relaxed))
			return true;
	return false;
}

/* Is there anything that the low ones have no place for? */
static bool has_far(const struct fd_page *first)
{
	if (page_end > 1 || fd_next(LOW_CNT) >= 0)
		return true;
	for (int fd = fd_next_used(LOW_CNT); fd >= 0; fd = fd_next_used(fd + LOW_CNT))
		if (has_notes(first, (unsigned)fd, (unsigned)fd + LOW_CNT))
			return true;
	return false;
}

/*
 * Other threads may be about to read in the page, this one only if a handler of its, which forks, has interrupted that: then it finds that there is
 * nothing, and asks the kernel, where everything is without a context.
 */
void fd_table_shrink(void)
{
	struct first_pages *left = (struct first_pages *)(void *)pages;

	if (!left || has_far(&left->first) || !helper_is_only())
		return;
	low_copy(left->first.slot, left->first.note, low.slot, low.note);
	atomic_store_explicit(&fd_table.cnt, LOW_CNT, memory_order_release); /* before: a handler may look */
	low_use();
	pages = NULL;
	page_end = 0;
	spare = madvise(left, sizeof(*left), MADV_DONTNEED) ? NULL : left;
}

/* Something is about to be there, which is none of the low ones. Return: NULL: no memory */
static struct fd_page *page_use(unsigned nr)
{
	struct fd_page *page;
	unsigned group = slot_of(nr) >> FD_GROUP_BITS;

	if (nr >> FD_PAGE_BITS >= FD_PAGE_CNT || (!pages && !low_leave()))
		return NULL;
	page = page_of(nr);
	if (!page) {
		page = pages_get(sizeof(*page));
		if (!page)
			return NULL;
		atomic_store_explicit(&pages[nr >> FD_PAGE_BITS], page, memory_order_release);
		page_end = max_u32(page_end, (nr >> FD_PAGE_BITS) + 1);
	}
	page->used[group / 64] |= UINT64_C(1) << group % 64;
	return page;
}

VJ_EARLY static bool low_wanted(unsigned nr)
{
	if (pages || nr >= LOW_CNT)
		return false;
	if (!layer_began()) /* else it is no page that a child would have to copy */
		low_use();
	return true;
}

VJ_EARLY int fd_set_file(int fd, struct file *f)
{
	_Atomic(struct file *) *slot;
	struct fd_page *page;

	if (!f && !fd_peek(fd))
		return 0;
	if (low_wanted((unsigned)fd)) {
		slot = &low.slot[fd];
	} else {
		page = page_use((unsigned)fd);
		if (!page)
			return -ENOMEM;
		slot = &page->slot[slot_of((unsigned)fd)];
	}
	atomic_store_explicit(slot, f, memory_order_relaxed);
	if (f)
		why_forget(fd);
	return 0;
}

VJ_EARLY int fd_next_used(int fd)
{
	unsigned from = fd < 0 ? 0 : (unsigned)fd;

	if (!pages)
		return is_low(from) ? (int)from : -1;
	for (unsigned nr = from; nr >> FD_PAGE_BITS < page_end; nr = ((nr >> FD_PAGE_BITS) + 1) << FD_PAGE_BITS) {
		const struct fd_page *page = page_of(nr);
		unsigned group = slot_of(nr) >> FD_GROUP_BITS;
		uint32_t used = page ? bitmap_find_set(page->used, 1u << (FD_PAGE_BITS - FD_GROUP_BITS), group) : BITMAP_NONE;

		if (used != BITMAP_NONE)
			return used == group ? (int)nr : (int)((nr >> FD_PAGE_BITS << FD_PAGE_BITS) + (used << FD_GROUP_BITS));
	}
	return -1;
}

VJ_EARLY int fd_next(int fd)
{
	for (fd = fd_next_used(fd); fd >= 0; fd = fd_next_used(fd)) {
		do {
			if (fd_peek(fd))
				return fd;
		} while (++fd & ((1 << FD_GROUP_BITS) - 1));
	}
	return -1;
}

VJ_EARLY _Atomic uint8_t *fd_note_make(int fd)
{
	struct fd_page *page;

	if (low_wanted((unsigned)fd))
		return &low.note[fd];
	page = page_use((unsigned)fd);
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

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static void slab_put(struct slab *slab, void *p)
{
	*(void **)p = slab->free;
	slab->free = p;
}

/* @clear: so many of the @bytes are cleared, the rest stays as it was left; at first it is zero */
VJ_EARLY static void *slab_get(struct slab *slab, size_t bytes, size_t clear)
{
	void *p = slab->free;

	if (p) {
		slab->free = *(void **)p;
		memset(p, 0, clear);
		return p;
	}
	if ((size_t)(slab->end - slab->fresh) < bytes) {
		p = pages_get(SLAB_BYTES);
		if (!p)
			return NULL;
		slab->fresh = p;
		slab->end = slab->fresh + SLAB_BYTES;
	}
	p = slab->fresh;
	slab->fresh += bytes;
	return p;
}

VJ_EARLY struct sock *sock_alloc(void)
{
	struct sock *s;
	int none = -1;

	if (!socks.end) { /* not by the loader, which would write to that page in every process */
		socks.fresh = (uint8_t *)low.socks;
		socks.end = (uint8_t *)(low.socks + LOW_SOCKS);
	}
	s = slab_get(&socks, sizeof(*s), sizeof(*s));

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
	struct epoll_set *set = slab_get(&sets, sizeof(*set), offsetof(struct epoll_set, kernel_asleep));

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
	return slab_get(&watches, sizeof(struct watch), sizeof(struct watch));
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
