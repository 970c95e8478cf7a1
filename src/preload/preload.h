/* SPDX-License-Identifier: BSD-2-Clause */
/* preload.h - what the files of libvj-preload.so share */
#ifndef PRELOAD_PRELOAD_H
#define PRELOAD_PRELOAD_H

#define EXPORT __attribute__((visibility("default")))

/* libc's own of these does more than a system call. */
enum real_name { REAL_CLONE, REAL_EXECVPE, REAL_FORK, REAL__FORK, REAL_LONGJMP, REAL_LONGJMP_CHK, REAL_MQ_NOTIFY, REAL_POPEN, REAL_POSIX_SPAWN, REAL_POSIX_SPAWNP, REAL_PTHREAD_CANCEL, REAL_PTHREAD_CREATE, REAL_PTHREAD_EXIT, REAL_SYSTEM, REAL_THRD_CREATE, REAL_TIMER_CREATE, REAL_VFORK, REAL_CNT };

/* Return: NULL: libc has none. Also in a handler of a signal: see jump.c */
void *real_find(enum real_name which);

#endif
