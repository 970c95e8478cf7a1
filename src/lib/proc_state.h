/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a process runs, as /proc shows it */
#ifndef LIB_PROC_STATE_H
#define LIB_PROC_STATE_H

#include <stdint.h>

/**
 * proc_state() - 'R', 'S', 'T' ... of a process's first thread: proc(5)
 * @pid: 0: this process
 * Makes system calls, does not block. Return: 0: /proc isn't there, or it isn't.
 */
char proc_state(int32_t pid);

#endif
