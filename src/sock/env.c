// SPDX-License-Identifier: BSD-2-Clause
/*
 * env.c - environment variables, as they were when the program began
 *
 * Servers rebuild their environment (nginx) or write over it to change what ps shows (sendmail's way), and only later make
 * sockets; so what stood there is copied before main().
 */
#include "sock/priv.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[ENV_CNT] = {
	[ENV_SOCKET] = "VJ_SOCKET", [ENV_STRICT] = "VJ_STRICT", [ENV_VERBOSE] = "VJ_VERBOSE",
	[ENV_SPIN_US] = "VJ_SPIN_US", [ENV_PCAP] = "VJ_PCAP", [ENV_MTU_PROBING] = "VJ_MTU_PROBING",
	[ENV_IO_URING] = "VJ_IO_URING",
};
static char *values[ENV_CNT];
static bool copied;

/* First of all, or when another library's constructor makes a socket before. */
__attribute__((constructor)) static void copy(void)
{
	if (copied)
		return;
	copied = true;
	for (unsigned i = 0; i < ENV_CNT; i++) {
		const char *value = secure_getenv(names[i]);

		if (value && *value)
			values[i] = strdup(value);
	}
}

const char *env_value(enum env_name name)
{
	copy();
	return values[name];
}

bool env_is_on(enum env_name name)
{
	const char *value = env_value(name);

	return value && strcmp(value, "0") != 0;
}
