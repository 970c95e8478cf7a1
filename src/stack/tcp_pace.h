/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_pace.h - segments that leave one by one rather than in bursts; see tcp_pace.c
 */
#ifndef STACK_TCP_PACE_H
#define STACK_TCP_PACE_H

#include "stack/tcp.h"

void tcp_pace_init(struct stack *s);
/*
 * The algorithm or TCP_OPT_PACING changed, or the connection stands: is it paced? Return: 0; -ENOMEM:
 * it is not, but should be.
 */
int tcp_pace_update(struct stack *s, struct conn c);
/* It ends. A second time: nothing happens. */
void tcp_pace_stop(struct stack *s, struct conn c);
/* The rate of a connection that is paced, in bytes per second, 1.. */
uint64_t tcp_pace_rate(const struct stack *s, struct conn c);
/* ext is there. Must the next segment wait? Then output comes again by itself. */
bool tcp_pace_hold(struct stack *s, struct conn c);
/* Does one wait? */
bool tcp_pace_held(const struct stack *s, const struct tcb *t);
/* ext is there. @len bytes of payload have left. */
void tcp_pace_sent(struct stack *s, struct conn c, uint32_t len);

#endif
