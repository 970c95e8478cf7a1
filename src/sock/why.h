/* SPDX-License-Identifier: BSD-2-Clause */
/* why.h - why a socket is the kernel's: why.c */
#ifndef SOCK_WHY_H
#define SOCK_WHY_H

#include "sock/fdtab.h"

#include "lib/report.h"

#include <stdatomic.h>

void why_init(void);
/* @fd is a socket of the kernel's, and has left or leaves the table. Lock held. */
void why_note(int fd, enum report_why why);
/* @fd is closed, or another file's. No lock. */
void why_forget_noted(int fd);
static inline void why_forget(int fd)
{
	const _Atomic uint8_t *note = fd_note_of(fd);

	if (note && unlikely(atomic_load_explicit(note, memory_order_relaxed)))
		why_forget_noted(fd);
}
/* What libvj, or vjd, returned. */
enum report_why why_of_error(long err);
const char *why_text(enum report_why why); /* a sentence about it, for people */
/* A page of this name, for `vj why`, while nobody answers it. Return: to munmap(1 byte); NULL: no memory. */
void *why_mark(const char *name);
/* May it be another way soon, without anybody's doing at this socket? */
bool why_passes(enum report_why why);

#endif
