// SPDX-License-Identifier: BSD-2-Clause
#include "cli/run_env.h"

#include "base/types.h"

#include <string.h>

/* Is @path one of the words of @list, which spaces and colons divide? */
static bool has_word(const char *list, const char *path)
{
	size_t len = strlen(path);

	for (const char *at = list; (at = strstr(at, path)) != NULL; at += len)
		if ((at == list || strchr(" :", at[-1]) != NULL) && strchr(" :", at[len]) != NULL)
			return true;
	return false;
}

/* @a:@b; one of them where the other is empty */
static const char *join(const char *a, const char *b, char *buf, size_t room)
{
	size_t a_bytes = strlen(a), b_bytes = strlen(b), colon = a_bytes > 0 && b_bytes > 0;

	if (a_bytes + colon + b_bytes >= room)
		return NULL;
	memcpy(buf, a, a_bytes);
	buf[a_bytes] = ':';
	memcpy(buf + a_bytes + colon, b, b_bytes + 1);
	return buf;
}

const char *run_env_preload(const char *before, const char *library, char *buf, size_t room)
{
	if (before != NULL && has_word(before, library)) /* vj run of vj run */
		return before;
	return join(library, before != NULL ? before : "", buf, room);
}

const char *run_env_asan(const char *before, char *buf, size_t room)
{
	if (before != NULL && strstr(before, "verify_asan_link_order") != NULL)
		return before;
	return join(before != NULL ? before : "", "verify_asan_link_order=0", buf, room);
}
