// SPDX-License-Identifier: BSD-2-Clause
#include "cli/start.h"

#include <fcntl.h>
#include <unistd.h>

/*
 * Standard descriptors that are closed are so for the program that vj run becomes, too, and writing to them fails; but what is opened meanwhile must not
 * get their numbers: output would go to vjd.
 */
void keep_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int run_command(const struct cmd *cmd, int argc, char **argv)
{
	_Alignas(max_align_t) char opts[CMD_OPTS_BYTES];
	int rc;

	rc = opts_parse(cmd, &argc, argv, opts);
	return rc == EXIT_OK ? cmd->run(cmd, opts, argc, argv) : rc;
}
