// SPDX-License-Identifier: BSD-2-Clause
/*
 * process.c - is this the process whose sockets these are?
 *
 * It is asked for each connection, so mostly without a system call: by a word that the kernel wipes in copies of the process (MADV_WIPEONFORK), by
 * whatever call they were made; who has often been told that it is the one writes it. A process that shares our memory finds the word, too. The
 * calls that make such are seen here: a child of vfork() runs in its parent's thread while that waits, and in this thread the kernel is asked until it says
 * that it is the parent again; a child of clone() may run beside it, and from then on the kernel is asked each time.
 *
 * Not seen is one that the program makes by an instruction of its own. Such don't come back to libc: it would find its thread in two places.
 */
#include "sock/cage.h"
#include "sock/fdtab.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/signals.h"
#include "sock/single.h"

#include "lib/own_fd.h"

#include <sched.h>
#include <sys/mman.h>

enum { ASKED_OFTEN = 16 }; /* that costs as much as the page does */

static struct {
	_Atomic(_Atomic uint32_t *) word; /* on a page of its own; not 0 in the process that wrote it. NULL: there is none */
	_Atomic uint32_t asked; /* times that it was this process */
	_Atomic bool shared;	/* other processes may have its memory */
} process VJ_LATER;

/* Since the kernel was last asked, and how many handlers had run by then: one that runs before vfork() does may ask, too */
static __thread bool vforked __attribute__((tls_model("initial-exec")));
static __thread uint32_t vforked_ran __attribute__((tls_model("initial-exec")));

/* Return: NULL: no memory, or a kernel that knows no such pages */
static _Atomic uint32_t *word_make(void)
{
	const size_t bytes = 4096;
	void *page = pages_get(bytes);

	if (!page || !madvise(page, bytes, MADV_WIPEONFORK))
		return page;
	munmap(page, bytes);
	return NULL;
}

/* Of all threads one comes here, in each process once. */
static VJ_COLD void remember(void)
{
	_Atomic uint32_t *word = atomic_load(&process.word);

	if (!word)
		word = word_make();
	if (!word)
		return;
	atomic_store(word, 1);
	atomic_store(&process.word, word);
}

VJ_EARLY static bool ask(void)
{
	if (sock.pid != ker_getpid())
		return false;
	vforked = vforked && sock_signals.ran != vforked_ran;
	if (atomic_fetch_add_explicit(&process.asked, 1, memory_order_relaxed) == ASKED_OFTEN)
		remember();
	return true;
}

static bool is_known(void)
{
	const _Atomic uint32_t *word;

	/* first: a child of fork() that asks seldom doesn't touch the page */
	if (unlikely(atomic_load_explicit(&process.asked, memory_order_relaxed) <= ASKED_OFTEN))
		return false;
	word = atomic_load_explicit(&process.word, memory_order_acquire);
	return word && likely(atomic_load_explicit(word, memory_order_relaxed)) && likely(!vforked) &&
	       likely(!atomic_load_explicit(&process.shared, memory_order_relaxed));
}

VJ_EARLY bool is_foreign(void)
{
	return unlikely(caged != NULL) || (!is_known() && !ask()); /* under a filter not even that is asked */
}

VJ_EARLY void process_forked(void)
{
	sock.pid = ker_getpid();
	atomic_store_explicit(&process.asked, 0, memory_order_relaxed);
}

void process_vforks(void)
{
	vforked_ran = sock_signals.ran;
	vforked = true;
}

void sock_before_clone(unsigned long flags)
{
	if ((flags & CLONE_VM) && !(flags & CLONE_THREAD))
		atomic_store(&process.shared, true);
	namespace_before((unsigned)flags);
}

/* The table of descriptors grows now, where that is cheap: lib/own_fd.h */
void sock_before_thread(void)
{
	if (!caged && (!layer_began() || !is_foreign()))
		own_fd_first();
}
