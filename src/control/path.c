/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/path.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SERVICE_PATH "/run/vjchan/vjd.sock"
#define PRIVATE_TAIL "/vjchan/vjd.sock"

enum { UID_DIGITS = 11 };

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static const char *uid_text(uint32_t uid, char buf[static UID_DIGITS])
{
	char *p = buf + UID_DIGITS - 1;

	*p = '\0';
	do
		*--p = (char)('0' + uid % 10);
	while ((uid /= 10) != 0);
	return p;
}

/* Put three pieces together; leave no trace if they don't fit. */
static unsigned add(struct ctl_path *paths, unsigned cnt, enum ctl_path_kind kind, const char *a,
		    const char *b, const char *c)
{
	size_t a_bytes = strlen(a), b_bytes = strlen(b), c_bytes = strlen(c);
	char *to = paths[cnt].text;

	if (a_bytes >= CTL_PATH_BYTES || a_bytes + b_bytes + c_bytes >= CTL_PATH_BYTES)
		return cnt;
	memcpy(to, a, a_bytes);
	memcpy(to + a_bytes, b, b_bytes);
	memcpy(to + a_bytes + b_bytes, c, c_bytes + 1);
	paths[cnt].kind = kind;
	return cnt + 1;
}

unsigned ctl_path_candidates(const struct ctl_path_env *env,
			     struct ctl_path ret_paths[static CTL_PATH_CANDIDATES_MAX])
{
	char buf[UID_DIGITS];
	const char *uid = uid_text(env->uid, buf);
	unsigned cnt = 0;

	if (is_set(env->vj_socket))
		return add(ret_paths, 0, CTL_PATH_GIVEN, env->vj_socket, "", "");

	cnt = add(ret_paths, cnt, CTL_PATH_SERVICE, SERVICE_PATH, "", "");
	if (is_set(env->xdg_runtime_dir) && env->xdg_runtime_dir[0] == '/')
		cnt = add(ret_paths, cnt, CTL_PATH_PRIVATE, env->xdg_runtime_dir, PRIVATE_TAIL, "");
	else
		cnt = add(ret_paths, cnt, CTL_PATH_PRIVATE, "/run/user/", uid, PRIVATE_TAIL);
	return add(ret_paths, cnt, CTL_PATH_PRIVATE, "/tmp/vjchan-", uid, "/vjd.sock");
}
