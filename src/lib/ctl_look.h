/* SPDX-License-Identifier: BSD-2-Clause */
/* ctl_look.h - where vjd is, by as little as that takes: `vj run` is not to cost a program more than it must */
#ifndef LIB_CTL_LOOK_H
#define LIB_CTL_LOOK_H

#include "control/path.h"

#include <stdbool.h>
#include <stddef.h>

/**
 * ctl_paths() - ctl_path_candidates() of this process's environment
 * @path: somebody named it; NULL: the usual places
 * Return: their number; 0: @path is too long
 */
unsigned ctl_paths(const char *path, struct ctl_path ret_paths[static CTL_PATH_CANDIDATES_MAX]);

/**
 * ctl_look() - Is there a vjd, for certain, and where?
 * One that listens where it may, has a board of this version (control/board.h) and isn't stopped, without waiting for a word of its. It stays for who looks at
 * least as long as it does after its start. Some system calls; needs nothing of libc but a few functions of strings.
 * @path: somebody named it; NULL: the usual places
 * Return: false: it has to be asked, or there is none: ctl_client_look() says which
 */
bool ctl_look(const char *path, char ret_path[static CTL_PATH_BYTES]);

#endif
