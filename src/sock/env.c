// SPDX-License-Identifier: BSD-2-Clause
/*
 * env.c - environment variables, as they were when the program began
 *
 * Servers rebuild their environment (nginx) or write over it to change what ps shows (sendmail's way), and only later make
 * sockets; so what stood there is copied before main().
 */
#include "sock/env.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

static char names[ENV_CNT][16] VJ_LATER = {
	[ENV_SOCKET] = "VJ_SOCKET", [ENV_STRICT] = "VJ_STRICT", [ENV_VERBOSE] = "VJ_VERBOSE",
	[ENV_SPIN_US] = "VJ_SPIN_US", [ENV_PCAP] = "VJ_PCAP", [ENV_MTU_PROBING] = "VJ_MTU_PROBING",
	[ENV_IO_URING] = "VJ_IO_URING",
};

/* What begins with VJ_, one behind the other, an empty string last. NULL: not copied yet */
static char *kept VJ_NEAR;
static char store[64] VJ_NEAR; /* where it fits */

/* @to NULL: only count. Return: bytes, without the empty string */
VJ_EARLY static size_t copy_ours(char *to)
{
	size_t bytes = 0;

	for (char **e = environ; e && *e; e++) {
		const char *from = *e;

		if (from[0] != 'V' || from[1] != 'J' || from[2] != '_')
			continue;
		do {
			if (to)
				to[bytes] = *from;
			bytes++;
		} while (*from++);
	}
	return bytes;
}

/*
 * First of all, or when another library's constructor makes a socket before. Most processes have nothing to do with sockets, so
 * nothing is looked at but what has to be kept: no name is compared, no function of libc's is called, which would have to be looked up.
 */
__attribute__((constructor)) static void copy(void)
{
	size_t bytes;

	if (kept)
		return;
	bytes = copy_ours(NULL);
	kept = bytes < sizeof(store) ? store : malloc(bytes + 1);
	if (!kept) {
		kept = store;
		return;
	}
	copy_ours(kept);
	kept[bytes] = '\0';
}

/* What stands in @entry, NAME=VALUE; NULL: it is another one's */
VJ_EARLY static const char *value_in(const char *entry, const char *name)
{
	for (; *name; name++, entry++)
		if (*entry != *name)
			return NULL;
	return *entry == '=' ? entry + 1 : NULL;
}

VJ_EARLY const char *env_value(enum env_name name)
{
	const char *value = NULL;

	copy();
	for (const char *entry = kept; *entry && !value; entry++) {
		value = value_in(entry, names[name]);
		while (*entry)
			entry++;
	}
	if (!value || !*value || getauxval(AT_SECURE)) /* a program with more rights than its user takes nothing from him */
		return NULL;
	return value;
}

VJ_EARLY bool env_is_on(enum env_name name)
{
	const char *value = env_value(name);

	return value && !(value[0] == '0' && !value[1]);
}
