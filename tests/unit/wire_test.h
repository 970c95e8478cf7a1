// SPDX-License-Identifier: BSD-2-Clause
/* What the tests of base and wire share. */
#ifndef VJ_TESTS_UNIT_WIRE_TEST_H
#define VJ_TESTS_UNIT_WIRE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A heap block of exactly `len` bytes, so that the sanitizer sees the first byte read past them. */
static inline void *exact_copy(const void *p, size_t len)
{
	void *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, p, len);
	else
		*(char *)copy = 0;
	return copy;
}

#endif
