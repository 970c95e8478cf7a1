// SPDX-License-Identifier: BSD-2-Clause
/*
 * io_uring.c - liburing's functions by which a program hands descriptors to a ring: the library hears of it first, then liburing does what it always did
 *
 * They return negative errno values. In a program without liburing nobody calls them.
 */
#include "preload/preload.h"
#include "sock/sock.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

#define RING(before, name, params, args)                                               \
	EXPORT int name params;                                                        \
	int name params                                                                \
	{                                                                              \
		static void *_Atomic real_; /* there is no other answer later */       \
		void *found_ = atomic_load_explicit(&real_, memory_order_relaxed);     \
		int(*call_) params;                                                    \
                                                                                       \
		if (!found_) {                                                         \
			found_ = dlsym(RTLD_NEXT, #name);                              \
			atomic_store_explicit(&real_, found_, memory_order_relaxed);   \
		}                                                                      \
		*(void **)&call_ = found_;                                             \
		before;                                                                \
		return found_ ? call_ args : -ENOSYS;                                  \
	}

struct io_uring;
struct io_uring_cqe;
struct __kernel_timespec;
struct tag; /* __u64 */

/* clang-format off */
RING(sock_before_ring_submit(r), io_uring_submit, (struct io_uring *r), (r))
RING(sock_before_ring_submit(r), io_uring_submit_and_get_events, (struct io_uring *r), (r))
RING(sock_before_ring_submit(r), io_uring_submit_and_wait, (struct io_uring *r, unsigned n), (r, n))
RING(sock_before_ring_submit(r), io_uring_submit_and_wait_timeout, (struct io_uring *r, struct io_uring_cqe **c, unsigned n, struct __kernel_timespec *t, sigset_t *m), (r, c, n, t, m))
RING(sock_before_ring_submit(r), io_uring_wait_cqes, (struct io_uring *r, struct io_uring_cqe **c, unsigned n, struct __kernel_timespec *t, sigset_t *m), (r, c, n, t, m))
RING(sock_before_ring_submit(r), io_uring_wait_cqe_timeout, (struct io_uring *r, struct io_uring_cqe **c, struct __kernel_timespec *t), (r, c, t))
RING(sock_before_ring_files(f, n), io_uring_register_files, (struct io_uring *r, const int *f, unsigned n), (r, f, n))
RING(sock_before_ring_files(f, n), io_uring_register_files_tags, (struct io_uring *r, const int *f, const struct tag *t, unsigned n), (r, f, t, n))
RING(sock_before_ring_files(f, n), io_uring_register_files_update, (struct io_uring *r, unsigned o, const int *f, unsigned n), (r, o, f, n))
RING(sock_before_ring_files(f, n), io_uring_register_files_update_tag, (struct io_uring *r, unsigned o, const int *f, const struct tag *t, unsigned n), (r, o, f, t, n))
