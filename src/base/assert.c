// SPDX-License-Identifier: BSD-2-Clause
#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void vj_assert_fail(const char *cond, const char *file, int line, const char *func)
{
	fprintf(stderr, "vjchan: bug: %s:%d: %s: %s\n", file, line, func, cond);
	abort();
}

void vj_assert_op_fail(const char *cond, uint64_t a, uint64_t b, const char *file, int line,
		       const char *func)
{
	fprintf(stderr,
		"vjchan: bug: %s:%d: %s: %s: left %" PRId64 " (0x%" PRIx64 "), right %" PRId64
		" (0x%" PRIx64 ")\n",
		file, line, func, cond, (int64_t)a, a, (int64_t)b, b);
	abort();
}
