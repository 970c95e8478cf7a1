/* SPDX-License-Identifier: BSD-2-Clause */
/* fdtab.h - from number to file: fdtab.c */
#ifndef SOCK_FDTAB_H
#define SOCK_FDTAB_H

#include "sock/file.h"

#include <stdatomic.h>

struct fd_table {
	_Atomic unsigned cnt;			/* numbers from here on have nothing. 0 as long as none has */
	_Atomic(_Atomic(struct file *) *) slots; /* of the first ones; only if there are */
	_Atomic(_Atomic uint8_t *) notes;	/* likewise: fd_note_of() */
};
extern struct fd_table fd_table;

/* It has ever known a socket. Before that no other variable of it is looked at: they are on a page that most processes don't touch. */
static inline bool layer_began(void)
{
	return atomic_load_explicit(&fd_table.cnt, memory_order_relaxed);
}
enum { FD_PAGE_BITS = 16, FD_PAGE_CNT = 1 << 8, FD_GROUP_BITS = 6 }; /* 16 M descriptors */

/* Of numbers beyond the first page */
struct file *fd_peek_far(unsigned nr);
_Atomic uint8_t *fd_note_far(unsigned nr);

/*
 * No lock: tells whether there is anything to ask about. What it returns may be used under the lock
 * only.
 */
static inline struct file *fd_peek(int fd)
{
	unsigned nr = (unsigned)fd;

	if (likely(nr >= atomic_load_explicit(&fd_table.cnt, memory_order_acquire)))
		return NULL;
	if (unlikely(nr >> FD_PAGE_BITS))
		return fd_peek_far(nr);
	return atomic_load_explicit(&atomic_load_explicit(&fd_table.slots, memory_order_acquire)[nr], memory_order_relaxed);
}

/* Lock held. @f NULL clears. Takes no reference. Return: 0; -ENOMEM. */
int fd_set_file(int fd, struct file *f);

/* Zeroed memory, never to be given back: for tables that many processes have no use for (fdtab.c). Return: NULL: there is none */
void *pages_get(size_t bytes);
/* The first descriptor >= @fd with an entry, or -1. */
int fd_next(int fd);
/* The first number >= @fd that may have an entry or a note, or -1. Lock held. */
int fd_next_used(int fd);
/* The place for the note why a number was given to the kernel: enum report_why; 0: it was not, or was closed since. No lock. NULL: there is none */
static inline _Atomic uint8_t *fd_note_of(int fd)
{
	unsigned nr = (unsigned)fd;

	if (nr >= atomic_load_explicit(&fd_table.cnt, memory_order_acquire))
		return NULL;
	if (unlikely(nr >> FD_PAGE_BITS))
		return fd_note_far(nr);
	return &atomic_load_explicit(&fd_table.notes, memory_order_acquire)[nr];
}
/* ... which is made. Lock held. NULL: no memory. */
_Atomic uint8_t *fd_note_make(int fd);
/* There is no context. If all that there is are low numbers again, and no other thread, they are where they were at first. Lock held. */
void fd_table_shrink(void);
/* Any of its descriptors; -1: none. Looks through all there are. */
int fd_of_file(const struct file *f);
/* For own_fd_hook: a descriptor of the library or of this layer, which the program must not close. Lock held. */
void fd_protect(int fd, bool ours);
extern struct file internal_file;

/* No lock. To the program such a number is as if it were closed. */
static inline bool fd_is_ours(int fd)
{
	return fd_peek(fd) == &internal_file;
}

#endif
