/* SPDX-License-Identifier: BSD-2-Clause */
/* What both programs behind the command begin with: vj (front.c) and vj-tools (main.c). */
#ifndef VJ_CLI_START_H
#define VJ_CLI_START_H

#include "cli/cmd.h"

/* Before anything else is opened */
void keep_standard_fds(void);

/* @argv[0..@argc): what follows the command's name. Return: the exit status; -1: --help was asked for */
int run_command(const struct cmd *cmd, int argc, char **argv);

#endif
