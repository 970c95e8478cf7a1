/* SPDX-License-Identifier: BSD-2-Clause */
/* go.h - programs of Go: go.c */
#ifndef SOCK_GO_H
#define SOCK_GO_H

#include "base/types.h"

/* Is this process's program made by Go? */
bool program_is_go(void);

#endif
