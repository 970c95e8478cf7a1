/* SPDX-License-Identifier: BSD-2-Clause */
/* life.h - fork(), exec() and the end of a process: life.c, process.c */
#ifndef SOCK_LIFE_H
#define SOCK_LIFE_H

#include "base/types.h"

/* Another process than the one that owns this memory's sockets (vfork, raw clone), or `caged`: keep off. No lock. */
bool is_foreign(void);
void process_forked(void); /* this is the child of fork(): the sockets are its own */
void process_vforks(void); /* this thread is about to call vfork(); no lock */

/* Every connection is cut off from libvj. */
void layer_bury(void);
void life_init(void);
void signals_on(void); /* what a process that ends has ignored isn't any more, before another program or a child would have it so */
void signal_is_set(int sig); /* ... but by the program, which means it */

#endif
