/* SPDX-License-Identifier: BSD-2-Clause */
/* exec_env.h - the environment of a program that is about to be started; exec_env.c explains it */
#ifndef SOCK_EXEC_ENV_H
#define SOCK_EXEC_ENV_H

#include "base/types.h"

/* Does @envp name our library? In any context */
bool exec_env_has_library(char *const envp[]);

#endif
