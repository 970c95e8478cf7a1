/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/options.h"

#include "base/types.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct option_row {
	const char *name;
	enum { FLAG, NUMBER, TEXT, WORD } kind;
	size_t offset;
	const char *arg;
	uint64_t value, least, most;
	const char *help;
};

static const struct option_row rows[] = {
#define X(name, member, kind, arg, value, least, most, help) \
	{ name, kind, offsetof(struct options, member), arg, value, least, most, help },
	OPTIONS(X)
#undef X
};

static uint64_t *number_at(struct options *opts, const struct option_row *row)
{
	return (uint64_t *)(void *)((char *)opts + row->offset);
}

static const char **text_at(struct options *opts, const struct option_row *row)
{
	return (const char **)(void *)((char *)opts + row->offset);
}

static const struct option_row *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

static int set_number(struct options *opts, const struct option_row *row, const char *text,
		      char *why)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || v < row->least ||
	    v > row->most) {
		snprintf(why, 128, "--%s wants a number from %llu to %llu, not '%.20s'", row->name,
			 (unsigned long long)row->least, (unsigned long long)row->most, text);
		return -EINVAL;
	}
	*number_at(opts, row) = v;
	return 0;
}

/* @row->arg: the words, with | between */
static int set_word(struct options *opts, const struct option_row *row, const char *text, char *why)
{
	const char *at = row->arg;
	uint64_t nr = 0;

	for (size_t len; *at != '\0'; at += len + (at[len] == '|'), nr++) {
		len = strcspn(at, "|");
		if (strlen(text) == len && memcmp(text, at, len) == 0) {
			*number_at(opts, row) = nr;
			return 0;
		}
	}
	snprintf(why, 128, "--%s wants %s, not '%.20s'", row->name, row->arg, text);
	return -EINVAL;
}

static int set(struct options *opts, const struct option_row *row, const char *text, char *why)
{
	if (row->kind == FLAG) {
		*number_at(opts, row) = 1;
		return 0;
	}
	if (row->kind == NUMBER)
		return set_number(opts, row, text, why);
	if (row->kind == WORD)
		return set_word(opts, row, text, why);
	*text_at(opts, row) = text;
	return 0;
}

/* "--name", "--name=value" or "--name value". Return: words used, or -EINVAL */
static int parse_one(struct options *opts, char **argv, char *why)
{
	const char *name = argv[0] + 2, *eq = strchr(argv[0], '=');
	const struct option_row *row;
	const char *value;

	if (strncmp(argv[0], "--", 2) != 0) {
		snprintf(why, 128, "unexpected '%.60s'", argv[0]);
		return -EINVAL;
	}
	row = find(name, eq != NULL ? (size_t)(eq - name) : strlen(name));
	if (row == NULL) {
		snprintf(why, 128, "unknown option '%.60s'", argv[0]);
		return -EINVAL;
	}
	if (row->kind == FLAG && eq != NULL) {
		snprintf(why, 128, "--%s takes no value", row->name);
		return -EINVAL;
	}
	value = eq != NULL ? eq + 1 : argv[1];
	if (row->kind != FLAG && (value == NULL || value[0] == '\0')) {
		snprintf(why, 128, "--%s wants %s", row->name, row->arg);
		return -EINVAL;
	}
	if (set(opts, row, value, why) < 0)
		return -EINVAL;
	return row->kind != FLAG && eq == NULL ? 2 : 1;
}

int options_parse(int argc, char **argv, struct options *ret_opts, char ret_why[static 128])
{
	struct options opts = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].kind != TEXT)
			*number_at(&opts, &rows[i]) = rows[i].value;
	for (int i = 1; i < argc;) {
		int used = parse_one(&opts, argv + i, ret_why);

		if (used < 0)
			return used;
		i += used;
	}
	*ret_opts = opts;
	return 0;
}

void options_help(FILE *to)
{
	fputs("usage: vjd [OPTION]...\n"
	      "The control daemon of vjchan: keeps ports, makes channels between programs.\n\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char left[40];

		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name,
			 rows[i].arg != NULL ? " " : "", rows[i].arg != NULL ? rows[i].arg : "");
		fprintf(to, "  %-22s %s\n", left, rows[i].help);
	}
}
