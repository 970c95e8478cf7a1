// SPDX-License-Identifier: BSD-2-Clause
/* kernel.c - what of kernel.h most calls don't come to */
#include "sock/kernel.h"
#include "sock/sock.h"
#include "sock/undo.h"

_Atomic bool ker_no_pwait2 VJ_NEAR;
_Atomic bool ker_helper_only VJ_NEAR;

VJ_DIRECT VJ_NOINLINE long ker_point(long nr, long a, long b, long c, long d, long e, long f)
{
	if (unlikely(sock_undo != NULL))
		return undo_call(nr, a, b, c, d, e, f);
	return KER_BLOCKING(SYS_CALL6(nr, a, b, c, d, e, f));
}

/* Where it is: to ask libc is another page of code, another one of jumps there, and a line of addresses. */
static __thread int *errno_at __attribute__((tls_model("initial-exec")));

VJ_DIRECT VJ_NOINLINE long errno_set(long r)
{
	if (unlikely(!errno_at))
		errno_at = &errno;
	*errno_at = (int)-r;
	return -1;
}

void sock_has_threads(void)
{
	if (atomic_load_explicit(&ker_helper_only, memory_order_relaxed))
		atomic_store_explicit(&ker_helper_only, false, memory_order_relaxed);
}
