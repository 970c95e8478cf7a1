// SPDX-License-Identifier: BSD-2-Clause
/* Values of the environment that a program under `vj run` is started with, and other libraries read. Needs nothing of libc but functions of strings: front.c */
#ifndef VJ_CLI_RUN_ENV_H
#define VJ_CLI_RUN_ENV_H

#include <stddef.h>

#define RUN_ENV_PRELOAD "LD_PRELOAD"
#define RUN_ENV_ASAN "ASAN_OPTIONS"

/* Bytes of each value beside what was @before, and @library */
#define RUN_ENV_MORE 64

#define RUN_ENV_FULL "the environment and arguments have no room for what channels need"

/*
 * LD_PRELOAD with @library in front.
 * @before: its value; NULL: none. @library: a path without spaces and colons
 * Return: the value, in @buf or @before; NULL: it takes more than @room bytes
 */
const char *run_env_preload(const char *before, const char *library, char *buf, size_t room);

/*
 * ASAN_OPTIONS. gcc's AddressSanitizer ends a program that it finds itself not in front of. What we put there calls nothing of its, so
 * it need not be; other options stay. Likewise.
 */
const char *run_env_asan(const char *before, char *buf, size_t room);

#endif
