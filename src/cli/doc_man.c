// SPDX-License-Identifier: BSD-2-Clause
/* The table of commands as vj(1), in the man macros. */
#include "cli/cmd.h"
#include "policy/reason.h"
#include "vj_version.h"

#include <string.h>

/*
 * Escapes what roff would take for its own: backslash, minus, and a dot or quote that begins a
 * line.
 */
static void put_text(FILE *out, const char *text)
{
	bool line_start = true;

	for (; *text != '\0'; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		line_start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\n' && text[1] == '\n')
			fputs("\n.PP", out);
		else
			fputc(*text, out);
	}
}

static void put_para(FILE *out, const char *text)
{
	fputs(".PP\n", out);
	put_text(out, text);
	fputc('\n', out);
}

static void put_item(FILE *out, const char *dashes, const char *name, const char *value,
		     const char *help)
{
	fputs(".TP\n\\fB", out);
	put_text(out, dashes);
	put_text(out, name);
	fputs("\\fR", out);
	if (value != NULL) {
		fputs(" \\fI", out);
		put_text(out, value);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	put_text(out, help);
}

static void put_command(FILE *out, const struct cmd *cmd)
{
	fprintf(out, ".SS vj %s [\\fIOPTION\\fR...] ", cmd->name);
	put_text(out, cmd->args);
	fputc('\n', out);
	put_para(out, cmd->about);
	if (cmd->topics != NULL)
		for (const struct topic *t = cmd->topics; t->name != NULL; t++) {
			put_item(out, "", t->name, NULL, t->help);
			fputc('\n', out);
		}
	for (const struct opt *o = cmd->opts; o->name != NULL; o++) {
		put_item(out, "--", o->name, o->value, o->help);
		if (o->def != NULL) {
			fputs(" (default: ", out);
			put_text(out, o->def);
			fputc(')', out);
		}
		fputc('\n', out);
	}
	if (cmd->example != NULL) {
		fputs(".PP\nExamples:\n.PP\n.nf\n.RS\n", out);
		put_text(out, cmd->example);
		fputs("\n.RE\n.fi\n", out);
	}
}

static void put_exits(FILE *out)
{
	fputs(".SH EXIT STATUS\n", out);
	for (const struct cmd *c = cmds; c->name != NULL; c++) {
		fprintf(out, ".TP\n\\fBvj %s\\fR\n", c->name);
		for (const struct exit_line *e = c->exits; e->help != NULL; e++) {
			fputs(e == c->exits ? "" : ".br\n", out);
			fprintf(out, e->status < 0 ? "other: " : "%d: ", e->status);
			put_text(out, e->help);
			fputc('\n', out);
		}
	}
}

/* From the table that the counters themselves are made of */
static void put_counters(FILE *out)
{
	static const struct topic counters[] = {
#define X(name, word, fate, text) { word, text },
		POLICY_REASONS(X)
#undef X
	};

	fputs(".SH COUNTERS\n", out);
	put_para(out, "What \"vj status\" counts frames by: at an interface (dispatch), at an application's channel there (deliver, "
		      "gate), and where other hosts' applications are sent to (gateway).");
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		put_item(out, "", counters[i].name, NULL, counters[i].help);
		fputc('\n', out);
	}
}

void doc_man(FILE *out)
{
	fprintf(out,
		".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
		".\\\" Made from the table of commands by `vj --man`.\n"
		".TH VJ 1 \"\" \"vjchan %s\" \"vjchan\"\n"
		".SH NAME\nvj \\- network channels for programs\n.SH SYNOPSIS\n",
		VJ_VERSION_STRING);
	for (const struct cmd *c = cmds; c->name != NULL; c++) {
		fprintf(out, ".B vj %s\n[\\fIOPTION\\fR...] ", c->name);
		put_text(out, c->args);
		fputs("\n.br\n", out);
	}
	fputs(".B vj\n\\-\\-help | \\-\\-version\n.SH DESCRIPTION\n", out);
	put_para(out, "vj runs programs on network channels, shows who holds which, and measures "
		      "them against the "
		      "kernel's sockets. What a channel is: vj(7).");
	fputs(".SH COMMANDS\n", out);
	for (const struct cmd *c = cmds; c->name != NULL; c++)
		put_command(out, c);
	put_exits(out);
	put_counters(out);
	fputs(".SH ENVIRONMENT\n", out);
	for (const struct topic *e = env_vars; e->name != NULL; e++) {
		put_item(out, "", e->name, NULL, e->help);
		fputc('\n', out);
	}
	fputs(".SH SEE ALSO\n.BR vj (7),\n.BR vj.h (3)\n", out);
}
