// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables of results that are committed: a test makes the text anew and compares it line by line
 *
 *	TEST TABLE		compare; what differs is printed, and fails the test
 *	TEST TABLE --write	the table is what it is now; the difference is seen by a reviewer
 *
 * A run is reproducible to the last bit, so every line is compared as it is. Under sanitizers,
 * which are slow, a test may leave out lines: those it makes must be in the table.
 */
#ifndef VJ_TESTS_SIM_TABLE_H
#define VJ_TESTS_SIM_TABLE_H

#include "base/types.h"

#ifdef __SANITIZE_ADDRESS__
#define TABLE_PARTLY true
#else
#define TABLE_PARTLY false
#endif

#define TABLE_BYTES 16384

struct table {
	char text[TABLE_BYTES];
	size_t len;
};

VJ_PRINTF(2, 3) void table_add(struct table *table, const char *format, ...);

/* @argv: of main(). Return: exit status. */
int table_end(const struct table *table, int argc, char **argv);

#endif
