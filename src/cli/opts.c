// SPDX-License-Identifier: BSD-2-Clause
/*
 * The one parser of options, over the tables of cmds.c.
 *
 * Long options only: `--name`, `--name VALUE`, `--name=VALUE`; `-h` for --help. Options and other
 * words may be mixed, except where the other words are a program (`vj run`): there, the first of
 * them ends the options. `--` always does.
 */
#include "cli/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void complain(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("vj: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* Levenshtein distance, of words as short as options are. */
static unsigned edit_distance(const char *a, const char *b)
{
	enum { WORD_MAX = 32 };
	size_t b_len = strlen(b);
	unsigned row[WORD_MAX + 1];

	if (strlen(a) > WORD_MAX || b_len > WORD_MAX)
		return UINT32_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = min_u32(best, row[j] + 1);
			row[j] = min_u32(best, row[j - 1] + 1);
		}
	}
	return row[b_len];
}

void nearest_try(struct nearest *n, const char *typed, const char *candidate)
{
	unsigned distance = edit_distance(typed, candidate);
	size_t len = strlen(typed);

	if (len >= 2 && strncmp(typed, candidate, len) == 0)
		distance = 0; /* cut short */
	if (distance > (len <= 4 ? 1u : 2u) + (len > 8))
		return;
	if (n->word == NULL || distance < n->distance)
		*n = (struct nearest){ .word = candidate, .distance = distance };
}

static int unknown_option(const struct cmd *cmd, const char *typed)
{
	struct nearest n = { 0 };

	nearest_try(&n, typed, "help");
	for (const struct opt *o = cmd->opts; o->name != NULL; o++)
		nearest_try(&n, typed, o->name);
	if (n.word != NULL)
		complain("%s: unknown option --%s; did you mean --%s?", cmd->name, typed, n.word);
	else
		complain("%s: unknown option --%s; see: vj help %s", cmd->name, typed, cmd->name);
	return EXIT_USAGE;
}

static bool is_choice(const char *choices, const char *value, size_t len)
{
	for (const char *p = choices; len > 0 && p != NULL; p = strchr(p, '|')) {
		p += *p == '|';
		if (strncmp(p, value, len) == 0 && (p[len] == '|' || p[len] == '\0'))
			return true;
	}
	return false;
}

/* The first word of @value that is none of the choices; NULL: all are. */
static const char *not_choice(const struct opt *o, const char *value)
{
	size_t len;

	if (o->type == OPT_CHOICE)
		return is_choice(o->choices, value, strlen(value)) ? NULL : value;
	for (;; value += len + 1) {
		len = strcspn(value, ",");
		if (!is_choice(o->choices, value, len))
			return value;
		if (value[len] == '\0')
			return NULL;
	}
}

static int store_number(const struct cmd *cmd, const struct opt *o, const char *value, void *member)
{
	char *end;
	double x;

	errno = 0;
	if (o->type == OPT_INT)
		x = (double)strtoll(value, &end, 10);
	else
		x = strtod(value, &end);
	if (end == value || *end != '\0' || errno != 0 || !(x >= o->min && x <= o->max)) {
		complain("%s: --%s takes a number from %.10g to %.10g, not '%s'", cmd->name,
			 o->name, o->min, o->max, value);
		return EXIT_USAGE;
	}
	if (o->type == OPT_INT)
		*(int64_t *)member = (int64_t)x;
	else
		*(double *)member = x;
	return EXIT_OK;
}

static int store(const struct cmd *cmd, const struct opt *o, const char *value, void *opts)
{
	void *member = (char *)opts + o->offset;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)member = true;
		return EXIT_OK;
	case OPT_INT:
	case OPT_REAL:
		return store_number(cmd, o, value, member);
	case OPT_CHOICE:
	case OPT_CHOICES:
		if (not_choice(o, value) != NULL) {
			complain("%s: --%s takes %s of %s, not '%s'", cmd->name, o->name,
				 o->type == OPT_CHOICE ? "one" : "some", o->choices, not_choice(o, value));
			return EXIT_USAGE;
		}
		break;
	case OPT_STRING:
	case OPT_FILE:
		if (value[0] == '\0') {
			complain("%s: --%s takes a %s, not an empty word", cmd->name, o->name,
				 o->value);
			return EXIT_USAGE;
		}
		break;
	}
	*(const char **)member = value;
	return EXIT_OK;
}

/* @word: after the dashes. @next: the word behind it, or NULL. *ret_taken: was @next the value? */
static int parse_one(const struct cmd *cmd, char *word, const char *next, void *opts,
		     bool *ret_taken)
{
	char *value = strchr(word, '=');
	const struct opt *o;

	if (value != NULL)
		*value++ = '\0';
	if (strcmp(word, "help") == 0)
		return -1;
	for (o = cmd->opts; o->name != NULL && strcmp(o->name, word) != 0; o++)
		;
	if (o->name == NULL)
		return unknown_option(cmd, word);
	if (o->type == OPT_FLAG && value != NULL) {
		complain("%s: --%s takes no value", cmd->name, o->name);
		return EXIT_USAGE;
	}
	if (o->type != OPT_FLAG && value == NULL && (next == NULL || strcmp(next, "--") == 0)) {
		complain("%s: --%s needs a value: --%s %s", cmd->name, o->name, o->name, o->value);
		return EXIT_USAGE;
	}
	*ret_taken = o->type != OPT_FLAG && value == NULL;
	return store(cmd, o, *ret_taken ? next : value, opts);
}

int takes_no(const struct cmd *cmd, const char *word)
{
	complain("%s: takes no '%s'; see: vj help %s", cmd->name, word, cmd->name);
	return EXIT_USAGE;
}

int opts_parse(const struct cmd *cmd, int *argc, char **argv, void *ret_opts)
{
	int kept = 0, i, rc;

	memset(ret_opts, 0, CMD_OPTS_BYTES);
	for (const struct opt *o = cmd->opts; o->name != NULL; o++)
		if (o->def != NULL && store(cmd, o, o->def, ret_opts) != EXIT_OK)
			return EXIT_USAGE;

	for (i = 0; i < *argc; i++) {
		bool taken = false;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "-h") == 0)
			return -1;
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			if (cmd->kind_of_args == CMD_ARGS_PROGRAM)
				break;
			argv[kept++] = argv[i];
			continue;
		}
		if (argv[i][1] != '-') {
			complain("%s: unknown option %s; see: vj help %s", cmd->name, argv[i],
				 cmd->name);
			return EXIT_USAGE;
		}
		rc = parse_one(cmd, argv[i] + 2, i + 1 < *argc ? argv[i + 1] : NULL, ret_opts,
			       &taken);
		if (rc != EXIT_OK)
			return rc;
		i += taken;
	}
	while (i < *argc)
		argv[kept++] = argv[i++];
	argv[kept] = NULL; /* there is room: at worst this is where it was */
	*argc = kept;
	return EXIT_OK;
}
