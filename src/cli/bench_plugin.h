// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rivals that are libraries of others. Each is spoken to by a small library of ours, built where the other's headers were and
 * loaded when it is asked for; vj itself needs none of them.
 */
#ifndef VJ_CLI_BENCH_PLUGIN_H
#define VJ_CLI_BENCH_PLUGIN_H

#include "cli/install.h"

/*
 * @name:   of what the library offers; @part must offer only one thing
 * @needed: the package to say when there is no such library
 * @ret_what: what is there under that name
 * Return: NULL; else why it can't be had, valid as long as the program runs.
 */
const char *plugin_find(enum install_part part, const char *name, const char *needed, const void **ret_what);

#endif
