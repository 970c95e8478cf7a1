/* SPDX-License-Identifier: BSD-2-Clause */
/* moves.h - what the files of the test moves share */
#ifndef TESTS_NET_MOVES_H
#define TESTS_NET_MOVES_H

#include "own_vjd.h"

#include "lib/deed_priv.h"

/* As moves.c explains them. NULL: it has ended */
extern struct vj *a, *b, *c, *d;

struct vj *app_open(const char *name);
/* All of them, in turn */
void pump(void);
/* On with @deed, which is to leave, until it has left its peer's link, and no further */
void look_until_left(struct deed *deed);

/* moves_offered.c */
void offered_in_vain(void **state);
void offered_by_nobody(void **state);
void offered_by_the_stopped(void **state);
void arrives_too_late(void **state);
void arrives_unseen(void **state);
void another_clock(void **state);
void offered_by_the_dead(void **state);

#endif
