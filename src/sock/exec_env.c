// SPDX-License-Identifier: BSD-2-Clause
/*
 * exec_env.c - the environment of a program that is about to be started: does it name our library, and is that there?
 *
 * Behind another root directory, or where the user that the process has become may not look, the loader doesn't find the library, and
 * says so on standard error, for each program. So there it isn't asked for. As a rule no function of libc's is called, which each child
 * would have to look up, at the price of a dozen page faults.
 */
#include "sock/cage.h"
#include "sock/exec_env.h"
#include "sock/kernel.h"

#include "channel/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

struct named {
	char *const *entry; /* LD_PRELOAD=..., of the environment */
	const char *path;   /* the library's, one of its words */
	size_t bytes;
};

/* Return: what is behind @prefix; NULL: @s doesn't begin with it */
VJ_EARLY static const char *behind(const char *s, const char *prefix)
{
	for (; *prefix; s++, prefix++)
		if (*s != *prefix)
			return NULL;
	return s;
}

VJ_EARLY static bool is_library(const char *word, size_t bytes)
{
	static const char file[] = "/libvj-preload.so";
	const size_t len = sizeof(file) - 1;

	return bytes >= len && behind(word + bytes - len, file);
}

VJ_EARLY static bool find_word(const char *list, struct named *n)
{
	size_t bytes;

	for (const char *word = list; *word; word += bytes + (word[bytes] != '\0')) {
		for (bytes = 0; word[bytes] && word[bytes] != ' ' && word[bytes] != ':';)
			bytes++;
		if (!is_library(word, bytes))
			continue;
		n->path = word;
		n->bytes = bytes;
		return true;
	}
	return false;
}

VJ_EARLY static bool find(char *const envp[], struct named *n)
{
	for (n->entry = envp; !is_wild(n->entry) && !is_wild(*n->entry); n->entry++) {
		const char *list = behind(*n->entry, "LD_PRELOAD=");

		if (list)
			return find_word(list, n);
	}
	return false;
}

VJ_EARLY bool exec_env_has_library(char *const envp[])
{
	struct named n;

	return find(envp, &n);
}

static bool is_missing_at(const char *path)
{
	long r = SYS_CALL3(SYS_faccessat, AT_FDCWD, path, R_OK);

	return r == -ENOENT || r == -ENOTDIR || r == -EACCES;
}

/* Others follow. */
static VJ_COLD bool is_missing_among(const struct named *n)
{
	char *path;

	if (n->bytes >= PATH_MAX)
		return false;
	path = __builtin_alloca(n->bytes + 1); /* after vfork(), on a stack that may be small */
	memcpy(path, n->path, n->bytes);
	path[n->bytes] = '\0';
	return is_missing_at(path);
}

VJ_EARLY static bool is_missing(const struct named *n)
{
	return n->path[n->bytes] ? is_missing_among(n) : is_missing_at(n->path);
}

static size_t count(char *const envp[])
{
	size_t n = 0;

	while (envp[n])
		n++;
	return n;
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

VJ_EARLY size_t sock_exec_env_room(char *const envp[])
{
	struct named n;

	if (caged || !find(envp, &n) || !is_missing(&n))
		return 0;
	return (count(envp) + 1) * sizeof(*envp) + length(*n.entry) + 1;
}

/* The entry without that word, and without what divides it from the next. Return: whether any word is left */
static bool copy_without(const struct named *n, char *to)
{
	const char *from = *n->entry, *list = behind(from, "LD_PRELOAD=");
	bool left = false;

	while (*from) {
		if (from == n->path)
			from += n->bytes + (n->path[n->bytes] != '\0');
		if (!*from)
			break;
		left = left || from >= list;
		*to++ = *from++;
	}
	*to = '\0';
	return left;
}

char *const *sock_exec_env(char *const envp[], void *room)
{
	struct named n;
	char **to = room, *entry;
	size_t cnt = count(envp);

	if (!find(envp, &n)) /* it did: another thread changes it */
		return envp;
	entry = (char *)(to + cnt + 1);
	for (size_t i = 0; i < cnt; i++) {
		if (envp + i != n.entry)
			*to++ = envp[i];
		else if (copy_without(&n, entry))
			*to++ = entry;
	}
	*to = NULL;
	return room;
}
