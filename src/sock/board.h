/* SPDX-License-Identifier: BSD-2-Clause */
/* board.h - what vjd's board says: board.c */
#ifndef SOCK_BOARD_H
#define SOCK_BOARD_H

#include "lib/report.h"

#include <sys/socket.h>

/*
 * Is a connection, or a datagram, to @addr the kernel's, as far as can be said without a context? Lock held.
 * Return: why; REPORT_WHY_NONE: ask vjd
 */
enum report_why board_says(const struct sockaddr *addr, socklen_t len, bool udp);
/* The program ends: if it was brief, the next one of its kind is to know. Lock held, context there. */
void board_ended(void);

#endif
