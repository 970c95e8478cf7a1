/* SPDX-License-Identifier: BSD-2-Clause */
/* env.h - what the environment asks for: env.c */
#ifndef SOCK_ENV_H
#define SOCK_ENV_H

#include "base/types.h"

enum env_name { ENV_SOCKET, ENV_STRICT, ENV_VERBOSE, ENV_SPIN_US, ENV_PCAP, ENV_MTU_PROBING, ENV_IO_URING, ENV_CNT };

/* As it was when the program began; NULL: not set, or empty. */
const char *env_value(enum env_name name);
/* Set, and not "0". */
bool env_is_on(enum env_name name);

#endif
