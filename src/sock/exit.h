/* SPDX-License-Identifier: BSD-2-Clause */
/* exit.h - the signals of a process that ends */
#ifndef SOCK_EXIT_H
#define SOCK_EXIT_H

/* What a process that ends has ignored isn't any more, before another program or a child would have it so. */
void signals_on(void);
/* ... but this one: the program means it. Any thread, no lock. */
void signal_is_set(int sig);

#endif
