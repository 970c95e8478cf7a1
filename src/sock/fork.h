/* SPDX-License-Identifier: BSD-2-Clause */
/* fork.h - fork() */
#ifndef SOCK_FORK_H
#define SOCK_FORK_H

void fork_init(void);
/* Every connection is cut off from libvj. */
void layer_bury(void);

#endif
