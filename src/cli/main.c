// SPDX-License-Identifier: BSD-2-Clause
/* vj-tools: all commands of vj but `vj run`, whose way is shorter (front.c). What there is stands in cmds.c. */
#include "cli/cmd.h"
#include "control/msg.h"
#include "vj_version.h"

#include <vj/vj.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * Standard descriptors that are closed are so for the program that vj run becomes, too, and writing to them fails; but what is opened meanwhile must not
 * get their numbers: output would go to vjd.
 */
static void keep_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int usage(const char *typed)
{
	struct nearest n = { 0 };

	for (const struct cmd *c = cmds; c->name != NULL; c++)
		nearest_try(&n, typed, c->name);
	if (typed[0] == '-')
		complain("unknown option %s; see: vj --help", typed);
	else if (n.word != NULL)
		complain("unknown command '%s'; did you mean '%s'?", typed, n.word);
	else
		complain("unknown command '%s'; see: vj --help", typed);
	return EXIT_USAGE;
}

/*
 * Options of vj itself. The last two are for the build (man/, dist/). Returns -1 when @word is
 * none.
 */
static int global_option(const char *word, const char *value)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		doc_overview(stdout);
	else if (strcmp(word, "--version") == 0)
		printf("vj %s (library %s, control version %d)\n", VJ_VERSION_STRING, vj_version(),
		       CTL_VERSION);
	else if (strcmp(word, "--man") == 0)
		doc_man(stdout);
	else if (strcmp(word, "--completion") == 0 && value != NULL && strcmp(value, "bash") == 0)
		doc_bash(stdout);
	else
		return -1;
	return EXIT_OK;
}

/* @argv[0..@argc): what follows the command's name. Return: the exit status; -1: --help was asked for */
static int run_command(const struct cmd *cmd, int argc, char **argv)
{
	_Alignas(max_align_t) char opts[CMD_OPTS_BYTES];
	int rc;

	rc = opts_parse(cmd, &argc, argv, opts);
	return rc == EXIT_OK ? cmd->run(cmd, opts, argc, argv) : rc;
}

int main(int argc, char **argv)
{
	const struct cmd *cmd;
	int rc;

	keep_standard_fds();
	if (argc < 2) {
		doc_overview(stderr);
		return EXIT_USAGE;
	}
	rc = global_option(argv[1], argv[2]);
	if (rc < 0) {
		cmd = cmd_find(argv[1]);
		rc = cmd != NULL ? run_command(cmd, argc - 2, argv + 2) : usage(argv[1]);
		if (rc < 0) {
			doc_command(stdout, cmd);
			rc = EXIT_OK;
		}
	}
	if (fflush(stdout) != 0)
		complain("cannot write standard output: %m");
	else if (ferror(stdout)) /* at an earlier time, whose errno is gone */
		complain("cannot write standard output");
	else
		return rc;
	return EXIT_FAILED;
}
