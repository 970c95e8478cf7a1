// SPDX-License-Identifier: BSD-2-Clause
/* A client of redis that is just enough to check what is in a server, over the kernel's TCP. */
#ifndef VJ_CLI_RESP_H
#define VJ_CLI_RESP_H

#include "base/types.h"

struct resp;

/* Connects to 127.0.0.1. Return: 0; negative errno. */
int resp_open(uint16_t port, struct resp **ret_r);
void resp_close(struct resp *r); /* NULL allowed */

/* PING. Return: 0; -EAGAIN: not yet willing (loading); negative errno. */
int resp_ping(struct resp *r);

/*
 * Calls @fn with every element of the reply to a command of one line, in order: "KEYS *", or with
 * the values of "GET a", "GET b" ... @text is NULL for a nil, valid during the call, and ended by a
 * zero. Return: 0; -EPROTO: an error reply, or none at all that we know; negative errno.
 */
int resp_each(struct resp *r, const char *line, void (*fn)(void *arg, const char *text, size_t len),
	      void *arg);

#endif
