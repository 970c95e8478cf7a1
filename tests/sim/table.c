// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/table.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void table_add(struct table *table, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(table->text + table->len, TABLE_BYTES - table->len, format, args);
	va_end(args);
	VJ_ASSERT(n >= 0 && (size_t)n < TABLE_BYTES - table->len);
	table->len += (size_t)n;
}

/* Return: one line of @text with its end, and what follows in @ret_rest. */
static size_t line_len(const char *text)
{
	const char *end = strchr(text, '\n');

	return end != NULL ? (size_t)(end - text) + 1 : strlen(text);
}

static bool has_line(const char *text, const char *line, size_t len)
{
	for (; *text != 0; text += line_len(text))
		if (line_len(text) == len && memcmp(text, line, len) == 0)
			return true;
	return false;
}

/* Print the lines of @text that @other has not. Return: there were some. */
static bool print_missing(char sign, const char *text, const char *other)
{
	bool some = false;

	for (; *text != 0; text += line_len(text))
		if (!has_line(other, text, line_len(text))) {
			printf("%c%.*s", sign, (int)line_len(text), text);
			some = true;
		}
	return some;
}

int table_end(const struct table *table, int argc, char **argv)
{
	static char was[TABLE_BYTES];
	bool differs;
	FILE *f;

	if (argc < 2) {
		fputs(table->text, stdout);
		return 0;
	}
	f = fopen(argv[1], argc > 2 ? "w" : "r");
	if (f == NULL) {
		perror(argv[1]);
		return 1;
	}
	if (argc > 2)
		fputs(table->text, f);
	else
		was[fread(was, 1, sizeof(was) - 1, f)] = 0;
	if (fclose(f) != 0 || argc > 2)
		return 0;
	differs = !TABLE_PARTLY && print_missing('-', was, table->text);
	differs = print_missing('+', table->text, was) || differs;
	if (differs)
		printf("not as in %s; if it is meant to be so: %s %s --write\n", argv[1], argv[0],
		       argv[1]);
	return differs ? 1 : 0;
}
