/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a process runs, as /proc shows it */
#ifndef LIB_PROC_STATE_H
#define LIB_PROC_STATE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * proc_state() - 'R', 'S', 'T' ... of a process's first thread: proc(5)
 * @pid: 0: this process
 * Makes system calls, does not block. Return: 0: /proc isn't there, or it isn't.
 */
char proc_state(int32_t pid);

/**
 * proc_is_stopped() - Is it stopped, by a signal or by who traces it?
 * @ret_runs: If so, how often its first thread has been given a processor and left it: the same as before, and it has not run in between
 * Makes system calls, does not block. Return: false also if that can't be told
 */
bool proc_is_stopped(int32_t pid, uint64_t *ret_runs);

#endif
