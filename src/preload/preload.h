/* SPDX-License-Identifier: BSD-2-Clause */
/* preload.h - what the files of libvj-preload.so share */
#ifndef PRELOAD_PRELOAD_H
#define PRELOAD_PRELOAD_H

#define EXPORT __attribute__((visibility("default")))

/*
 * preload_find_jumps() - Look libc's longjmp() up, for handlers of signals that may call it
 * To be called before a handler is installed. Any thread.
 */
void preload_find_jumps(void);

#endif
