/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/ctl_look.h"

#include "channel/sys.h"
#include "lib/board.h"
#include "lib/own_fd.h"
#include "lib/proc_state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

unsigned ctl_paths(const char *path, struct ctl_path ret_paths[static CTL_PATH_CANDIDATES_MAX])
{
	struct ctl_path_env env = { .vj_socket = path };

	if (path == NULL) {
		env.vj_socket = secure_getenv("VJ_SOCKET");
		env.xdg_runtime_dir = secure_getenv("XDG_RUNTIME_DIR");
		env.uid = (uint32_t)SYS_CALL0(SYS_geteuid);
	}
	return ctl_path_candidates(&env, ret_paths);
}

/* Does who listens there serve, and may he? He may be stopped. */
static bool is_vjd(int fd, const struct ctl_path *path)
{
	struct ucred cred = { .pid = 0 };
	socklen_t bytes = sizeof(cred);
	struct board_head head;
	int board;

	if (sys_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0 ||
	    (path->kind == CTL_PATH_PRIVATE && cred.uid != (uint32_t)SYS_CALL0(SYS_geteuid)))
		return false;
	board = board_open(path->text, &head);
	if (board < 0)
		return false;
	sys_close(board);
	return cred.pid <= 0 || proc_state(cred.pid) != 'T';
}

/* Return: 0; -ENOENT: no vjd of this user's is there; other negative errno: who knows */
static int look_at(const struct ctl_path *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = OWN_FD_MAKE(sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), r;

	if (fd < 0)
		return fd;
	memcpy(sun.sun_path, path->text, strlen(path->text) + 1);
	r = sys_connect(fd, (const struct sockaddr *)&sun, sizeof(sun));
	if (r == 0 && !is_vjd(fd, path))
		r = -EPROTO;
	own_fd_close(fd);
	return r == -ENOTDIR || (r == -EACCES && path->kind == CTL_PATH_PRIVATE) ? -ENOENT : r;
}

bool ctl_look(const char *path, char ret_path[static CTL_PATH_BYTES])
{
	struct ctl_path paths[CTL_PATH_CANDIDATES_MAX];
	unsigned cnt = ctl_paths(path, paths);
	int r = -ENOENT;

	for (unsigned i = 0; i < cnt && r == -ENOENT; i++) {
		r = look_at(&paths[i]);
		if (r == 0)
			memcpy(ret_path, paths[i].text, CTL_PATH_BYTES);
	}
	return r == 0;
}
