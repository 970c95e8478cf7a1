// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table of commands as a completion for bash. What a command takes is written out as three
 * words per command; the shell function that looks at them is the same for all.
 */
#include "cli/cmd.h"

#include <string.h>

static void put_names(FILE *out, const struct cmd *cmd, bool with_value)
{
	for (const struct opt *o = cmd->opts; o->name != NULL; o++)
		if (!with_value || o->type != OPT_FLAG)
			fprintf(out, "--%s ", o->name);
	if (!with_value)
		fputs("--help", out);
}

static void put_values(FILE *out, const struct cmd *cmd)
{
	for (const struct opt *o = cmd->opts; o->name != NULL; o++) {
		if (o->type == OPT_CHOICE || o->type == OPT_CHOICES) {
			fprintf(out, "\t%s--%s) COMPREPLY=($(compgen -W '", cmd->name, o->name);
			for (const char *p = o->choices; *p != '\0'; p++)
				fputc(*p == '|' ? ' ' : *p, out);
			fputs("' -- \"$cur\")); return ;;\n", out);
		} else if (o->type == OPT_FILE) {
			fprintf(out,
				"\t%s--%s) compopt -o filenames; COMPREPLY=($(compgen -f -- "
				"\"$cur\")); return ;;\n",
				cmd->name, o->name);
		} else if (o->type != OPT_FLAG) {
			fprintf(out, "\t%s--%s) return ;;\n", cmd->name, o->name);
		}
	}
}

static void put_command(FILE *out, const struct cmd *cmd)
{
	static const char *const args[] = { [CMD_ARGS_PLAIN] = "words",
					    [CMD_ARGS_PROGRAM] = "program",
					    [CMD_ARGS_INTERFACES] = "interfaces",
					    [CMD_ARGS_PROCESSES] = "processes" };

	fprintf(out, "\t%s)\n\t\topts='", cmd->name);
	put_names(out, cmd, false);
	fputs("'\n\t\tvalued='", out);
	put_names(out, cmd, true);
	fputs("'\n\t\twords='", out);
	if (cmd->run == cmd_help)
		for (const struct cmd *c = cmds; c->name != NULL; c++)
			fprintf(out, "%s ", c->name);
	else if (cmd->topics != NULL)
		for (const struct topic *t = cmd->topics; t->name != NULL; t++)
			fprintf(out, "%s ", t->name);
	fprintf(out, "'\n\t\targs=%s ;;\n", args[cmd->kind_of_args]);
}

void doc_bash(FILE *out)
{
	fputs("# SPDX-License-Identifier: BSD-2-Clause\n"
	      "# bash completion for vj, made from its table of commands by `vj --completion "
	      "bash`\n\n"
	      "_vj()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
	      "cmd=${COMP_WORDS[1]}\n"
	      "\tlocal opts valued words args i\n\tCOMPREPLY=()\n"
	      "\tif ((COMP_CWORD == 1)); then\n\t\tCOMPREPLY=($(compgen -W '",
	      out);
	for (const struct cmd *c = cmds; c->name != NULL; c++)
		fprintf(out, "%s ", c->name);
	fputs("--help --version' -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase $cmd in\n", out);
	for (const struct cmd *c = cmds; c->name != NULL; c++)
		put_command(out, c);
	fputs("\t*) return ;;\n\tesac\n"
	      "\t# behind the start of a program, complete as for that program\n"
	      "\tif [[ $args == program ]]; then\n"
	      "\t\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "\t\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then ((i++)); break; fi\n"
	      "\t\t\t[[ ${COMP_WORDS[i]} == -* ]] || break\n"
	      "\t\t\t[[ \" $valued \" == *\" ${COMP_WORDS[i]} \"* ]] && ((i++))\n"
	      "\t\tdone\n"
	      "\t\tif ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then "
	      "_command_offset $i; return; fi\n"
	      "\t\tif ((i == COMP_CWORD)) && [[ $cur != -* ]]; then COMPREPLY=($(compgen -c -- "
	      "\"$cur\")); return; fi\n"
	      "\tfi\n"
	      "\tcase $cmd$prev in\n",
	      out);
	for (const struct cmd *c = cmds; c->name != NULL; c++)
		put_values(out, c);
	fputs("\tesac\n"
	      "\tif [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
	      "\t# not by compgen, which would expand what stands in a name\n"
	      "\telif [[ $args == interfaces ]]; then\n"
	      "\t\tfor i in /sys/class/net/\"$cur\"*; do [[ -e $i/ifindex ]] && COMPREPLY+=(\"${i##*/}\"); done\n"
	      "\telif [[ $args == processes && $cur != *[!0-9]* ]]; then\n"
	      "\t\tfor i in $(grep -ls /libvj-preload.so /proc/\"$cur\"*/maps); do i=${i#/proc/}; "
	      "[[ ${i%/maps} == *[!0-9]* ]] || COMPREPLY+=(\"${i%/maps}\"); done\n"
	      "\telse COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); fi\n"
	      "}\ncomplete -F _vj vj\n",
	      out);
}
