// SPDX-License-Identifier: BSD-2-Clause
/* vj help: the table of commands, for people and, with --json, for programs. */
#include "cli/cmd.h"

#include <jansson.h>
#include <string.h>

struct help_options {
	bool json;
};

const struct opt help_opts[] = {
	{ .name = "json",
	  .type = OPT_FLAG,
	  .offset = offsetof(struct help_options, json),
	  .help = "the table of commands and options as a JSON array" },
	{ 0 },
};
_Static_assert(sizeof(struct help_options) <= CMD_OPTS_BYTES, "has to fit");

static json_t *json_command(const struct cmd *c)
{
	json_t *opts = json_array();

	for (const struct opt *o = c->opts; o->name != NULL; o++)
		json_array_append_new(opts, json_pack("{s:s, s:s?, s:s?, s:s?, s:s}", "name",
						      o->name, "value", o->value, "default", o->def,
						      "choices", o->choices, "help", o->help));
	return json_pack("{s:s, s:s, s:s, s:o}", "name", c->name, "help", c->help, "arguments",
			 c->args, "options", opts);
}

static int help_json(void)
{
	json_t *all = json_array();
	int rc;

	for (const struct cmd *c = cmds; c->name != NULL; c++)
		json_array_append_new(all, json_command(c));
	rc = json_dumpf(all, stdout, CMD_JSON);
	putchar('\n');
	json_decref(all);
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_help(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct help_options *o = opts;
	struct nearest n = { 0 };

	if (argc > 1 || (o->json && argc > 0))
		return takes_no(cmd, argv[argc - 1]);
	if (o->json)
		return help_json();
	if (argc == 0) {
		doc_overview(stdout);
		return EXIT_OK;
	}
	cmd = cmd_find(argv[0]);
	if (cmd != NULL) {
		doc_command(stdout, cmd);
		return EXIT_OK;
	}
	for (const struct cmd *c = cmds; c->name != NULL; c++)
		nearest_try(&n, argv[0], c->name);
	if (n.word != NULL)
		complain("help: no command '%s'; did you mean '%s'?", argv[0], n.word);
	else
		complain("help: no command '%s'; see: vj --help", argv[0]);
	return EXIT_USAGE;
}
