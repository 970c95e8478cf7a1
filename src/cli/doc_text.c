// SPDX-License-Identifier: BSD-2-Clause
/* The table of commands as text for a terminal. */
#include "cli/cmd.h"

#include <string.h>

enum { TEXT_COLUMNS = 96, HELP_INDENT = 24 };

/*
 * Prints @text from column @at on, in lines that start at @indent; an empty line parts paragraphs.
 */
static void put_wrapped(FILE *out, const char *text, size_t indent, size_t at)
{
	while (*text != '\0') {
		size_t len = strcspn(text, " \n");

		if (at > indent && at + 1 + len > TEXT_COLUMNS) {
			fprintf(out, "\n");
			at = 0;
		}
		if (at < indent) {
			fprintf(out, "%*s", (int)(indent - at), "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', out);
			at++;
		}
		fwrite(text, 1, len, out);
		at += len;
		text += len;
		if (text[0] == '\n') {
			fprintf(out, text[1] == '\n' ? "\n\n" : "\n");
			at = 0;
		}
		text += strspn(text, " \n");
	}
	fputc('\n', out);
}

static void put_item(FILE *out, const char *name, const char *help)
{
	size_t at = (size_t)fprintf(out, "  %s", name);

	if (at >= HELP_INDENT) {
		fputc('\n', out);
		at = 0;
	} else {
		at += (size_t)fprintf(out, "%*s", (int)(HELP_INDENT - at), "");
	}
	put_wrapped(out, help, HELP_INDENT, at);
}

static void put_opt(FILE *out, const struct opt *o)
{
	char name[64], help[512];

	snprintf(name, sizeof(name), "--%s%s%s", o->name, o->value ? " " : "",
		 o->value ? o->value : "");
	if (o->def != NULL)
		snprintf(help, sizeof(help), "%s (default: %s)", o->help, o->def);
	else
		snprintf(help, sizeof(help), "%s", o->help);
	put_item(out, name, help);
}

static void put_indented(FILE *out, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n");

		fprintf(out, "  %.*s\n", (int)len, lines);
		lines += len + (lines[len] == '\n');
	}
}

void doc_overview(FILE *out)
{
	fprintf(out, "vj - network channels for programs\n\n"
		     "usage: vj COMMAND [OPTION...] [ARGUMENT...]\n"
		     "       vj --help | --version\n\ncommands:\n");
	for (const struct cmd *c = cmds; c->name != NULL; c++)
		put_item(out, c->name, c->help);
	fprintf(out,
		"\nvj help COMMAND explains one. First of all, try:\n\n  vj run -- redis-server\n");
}

void doc_command(FILE *out, const struct cmd *cmd)
{
	fprintf(out, "vj %s - %s\n\nusage: vj %s [OPTION...]%s%s\n\n", cmd->name, cmd->help,
		cmd->name, cmd->args[0] != '\0' ? " " : "", cmd->args);
	put_wrapped(out, cmd->about, 0, 0);
	if (cmd->topics != NULL) {
		fputc('\n', out);
		for (const struct topic *t = cmd->topics; t->name != NULL; t++)
			put_item(out, t->name, t->help);
	}
	fprintf(out, "\noptions:\n");
	for (const struct opt *o = cmd->opts; o->name != NULL; o++)
		put_opt(out, o);
	put_item(out, "--help", "this text");
	fprintf(out, "\nexit status:\n");
	for (const struct exit_line *e = cmd->exits; e->help != NULL; e++) {
		char name[16];

		snprintf(name, sizeof(name), e->status < 0 ? "other" : "%d", e->status);
		put_item(out, name, e->help);
	}
	if (cmd->example != NULL) {
		fprintf(out, "\nexamples:\n");
		put_indented(out, cmd->example);
	}
}
