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
#include <sys/auxv.h>

/* All that every process reads of this file lies together, the names too: constants are on a page that it has no other use for. */
enum { NAME_BYTES = 16, STORE_BYTES = 64 };
static char names[ENV_CNT][NAME_BYTES] = {
	[ENV_SOCKET] = "VJ_SOCKET", [ENV_STRICT] = "VJ_STRICT", [ENV_VERBOSE] = "VJ_VERBOSE",
	[ENV_SPIN_US] = "VJ_SPIN_US", [ENV_PCAP] = "VJ_PCAP", [ENV_MTU_PROBING] = "VJ_MTU_PROBING",
	[ENV_IO_URING] = "VJ_IO_URING",
};
static const char *values[ENV_CNT] VJ_NEAR;
static char store[STORE_BYTES] VJ_NEAR; /* the values, as long as they fit; the rest is allocated */
static unsigned stored VJ_NEAR;
static bool copied VJ_NEAR;

static const char *copy_of(const char *value)
{
	unsigned len = 0;
	char *to;

	while (value[len] && len < STORE_BYTES)
		len++;
	if (len >= STORE_BYTES - stored)
		return strdup(value);
	to = store + stored;
	for (unsigned i = 0; i <= len; i++)
		to[i] = value[i];
	stored += len + 1;
	return to;
}

/* Return: which of them @entry, NAME=VALUE, is; ENV_CNT: none */
static unsigned which(const char *entry, const char **ret_value)
{
	for (unsigned i = 0; i < ENV_CNT; i++) {
		unsigned at = 0;

		while (at < NAME_BYTES && names[i][at] && entry[at] == names[i][at])
			at++;
		if ((at == NAME_BYTES || !names[i][at]) && entry[at] == '=') {
			*ret_value = entry + at + 1;
			return i;
		}
	}
	return ENV_CNT;
}

/*
 * First of all, or when another library's constructor makes a socket before. Most processes have nothing to do with sockets: each
 * function of libc's that is called here is a symbol that all of them look up.
 */
__attribute__((constructor)) static void copy(void)
{
	if (copied)
		return;
	copied = true;
	for (char **e = environ; e && *e; e++) {
		const char *value;
		unsigned i = (*e)[0] == 'V' && (*e)[1] == 'J' ? which(*e, &value) : ENV_CNT;

		if (i < ENV_CNT && *value && !values[i])
			values[i] = copy_of(value);
	}
}

const char *env_value(enum env_name name)
{
	static _Atomic int trusted VJ_NEAR;

	copy();
	if (!trusted) /* a program with more rights than its user takes nothing from him */
		trusted = getauxval(AT_SECURE) ? -1 : 1;
	return trusted > 0 ? values[name] : NULL;
}

bool env_is_on(enum env_name name)
{
	const char *value = env_value(name);

	return value && strcmp(value, "0") != 0;
}
