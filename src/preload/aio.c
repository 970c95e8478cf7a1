// SPDX-License-Identifier: BSD-2-Clause
/*
 * aio.c - reading and writing behind the program's back: libc's threads (aio(7)) and the kernel's (io_submit(2), by libaio) do it past this library
 *
 * It hears of the descriptor first, and lets them at the connection by way of its token.
 */
#undef _FILE_OFFSET_BITS /* else one name is another here */
#include "preload/preload.h"
#include "sock/sock.h"

#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

struct sigevent;

static void before(struct aiocb *const list[], int cnt)
{
	for (int i = 0; i < cnt; i++)
		if (list[i])
			sock_before_unseen(list[i]->aio_fildes);
}

static int one(const char *name, struct aiocb *cb)
{
	int (*real)(struct aiocb *);

	before(&cb, 1);
	*(void **)&real = dlsym(RTLD_NEXT, name);
	return real ? real(cb) : -1;
}

static int some(const char *name, int mode, struct aiocb *const list[], int cnt, struct sigevent *event)
{
	int (*real)(int, struct aiocb *const[], int, struct sigevent *);

	before(list, cnt);
	*(void **)&real = dlsym(RTLD_NEXT, name);
	return real ? real(mode, list, cnt, event) : -1;
}

_Static_assert(sizeof(struct aiocb) == sizeof(struct aiocb64), "the same where long has 64 bits");

/* clang-format off */
EXPORT int aio_read(struct aiocb *cb) { return one("aio_read", cb); }
EXPORT int aio_read64(struct aiocb64 *cb) { return one("aio_read64", (struct aiocb *)cb); }
EXPORT int aio_write(struct aiocb *cb) { return one("aio_write", cb); }
EXPORT int aio_write64(struct aiocb64 *cb) { return one("aio_write64", (struct aiocb *)cb); }
EXPORT int lio_listio(int mode, struct aiocb *const list[restrict], int cnt, struct sigevent *restrict event) { return some("lio_listio", mode, list, cnt, event); }
EXPORT int lio_listio64(int mode, struct aiocb64 *const list[restrict], int cnt, struct sigevent *restrict event) { return some("lio_listio64", mode, (struct aiocb *const *)list, cnt, event); }
/* clang-format on */

/*
 * libaio's, which returns negative errno values. Libraries may have a function of that name of their own, that is none of ours: the caller's, if there is no
 * other in front.
 */
static void *callers_io_submit(const void *caller)
{
	void *real, *library;
	Dl_info info;

	if (!dladdr(caller, &info))
		return NULL;
	library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD); /* with what it has loaded for itself alone */
	real = library ? dlsym(library, "io_submit") : NULL;
	if (library)
		dlclose(library); /* its caller has it, too */
	return real;
}

static bool is_libaio(void *fn)
{
	Dl_info info;
	const char *name = dladdr(fn, &info) ? strrchr(info.dli_fname, '/') : NULL;

	return name && !strncmp(name, "/libaio.", 8);
}

struct next {
	void *fn;
	bool is_libaio;
};

/* The one behind us in the program's order, which stays: a database calls it for each write. fn NULL: there is none */
static struct next next_io_submit(void)
{
	static void *_Atomic libaio, *_Atomic other;
	struct next next = { atomic_load_explicit(&libaio, memory_order_relaxed), true };

	if (!next.fn)
		next = (struct next){ atomic_load_explicit(&other, memory_order_relaxed), false };
	if (next.fn)
		return next;
	next.fn = dlsym(RTLD_NEXT, "io_submit");
	next.is_libaio = next.fn && is_libaio(next.fn);
	if (next.is_libaio)
		atomic_store_explicit(&libaio, next.fn, memory_order_relaxed);
	else
		atomic_store_explicit(&other, next.fn, memory_order_relaxed);
	return next;
}

/* Six words, as whoever's it is may take more than libaio's. */
EXPORT long io_submit(long a, long b, long c, long d, long e, long f);
long io_submit(long a, long b, long c, long d, long e, long f)
{
	long (*real)(long, long, long, long, long, long);

	struct next next = next_io_submit();

	if (!next.fn) {
		next.fn = callers_io_submit(__builtin_return_address(0));
		next.is_libaio = next.fn && is_libaio(next.fn);
	}
	if (!next.fn)
		return -ENOSYS;
	*(void **)&real = next.fn;
	if (next.is_libaio)
		sock_before_io_submit(b, (void *)c); /* NOLINT(performance-no-int-to-ptr) */
	return real(a, b, c, d, e, f);
}
