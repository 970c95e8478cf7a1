// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj: `vj run` itself, and for everything else the way to vj-tools (main.c)
 *
 * Every program that a user puts `vj run` before waits for this one. So it is small and linked statically: to map and relocate libraries that
 * it has no use for would take three times as long as all that it does (docs/performance.md, "vj run").
 */
#include "cli/install.h"
#include "cli/start.h"

#include <string.h>
#include <unistd.h>

/* What it says about itself stands in cmds.c. */
static const struct cmd run = { .name = "run", .opts = run_opts, .args_are_a_program = true, .run = cmd_run };

/* Returns if it fails. */
static int become_tools(char **argv)
{
	char path[PATH_MAX] = "vj-tools";

	if (install_find(INSTALL_TOOLS, path) == 0)
		execv(path, argv);
	complain("cannot run %s, which belongs to vj and is installed with it: %m", path);
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	int rc;

	keep_standard_fds();
	if (argc < 2 || strcmp(argv[1], run.name) != 0)
		return become_tools(argv);
	rc = run_command(&run, argc - 2, argv + 2);
	return rc < 0 ? become_tools((char *[]){ argv[0], "help", argv[1], NULL }) : rc;
}
