// SPDX-License-Identifier: BSD-2-Clause
#include "cli/env.h"

#include "cli/cmd.h"

#define X(name, help) { "VJ_" #name, help },
const struct topic env_vars[] = { ENV_VARS(X){ NULL, NULL } };
#undef X

const char *env_name(enum env_var v)
{
	return env_vars[v].name;
}
