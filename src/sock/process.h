/* SPDX-License-Identifier: BSD-2-Clause */
/* process.h - is this the process whose sockets these are? */
#ifndef SOCK_PROCESS_H
#define SOCK_PROCESS_H

#include "base/types.h"

/* Another process than the one that owns this memory's sockets (vfork, raw clone), or `caged`: keep off. No lock. */
bool is_foreign(void);
void process_forked(void); /* this is the child of fork(): the sockets are its own */
void process_vforks(void); /* this thread is about to call vfork(); no lock */

#endif
