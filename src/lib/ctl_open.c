// SPDX-License-Identifier: BSD-2-Clause
/* ctl_open.c - find vjd, and say HELLO */
#include "lib/ctl_priv.h"

#include "channel/sys.h"
#include "lib/ctl_look.h"
#include "lib/own_fd.h"

#include "vj_version.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { BACKLOG_RETRY_MS = 5 };

static void why_set(struct ctl_client_failure *why, const char *fmt, ...) VJ_PRINTF(2, 3);
static void why_set(struct ctl_client_failure *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why->why, sizeof(why->why), fmt, args);
	va_end(args);
}

static int hello(struct ctl_client *client, const char *name, uint32_t flags, struct ctl_client_failure *why)
{
	struct ctl_msg reply = { 0 }, req = { .type = CTL_HELLO };
	int r, fds[CTL_FDS_MAX];

	req.hello.version = CTL_VERSION;
	req.hello.flags = flags;
	req.hello.pid = (int32_t)SYS_CALL0(SYS_getpid);
	ctl_name_set(req.hello.name, name);
	ctl_name_set(req.hello.release, VJ_VERSION_STRING);

	r = ctl_client_call(client, &req, -1, &reply, fds);
	for (unsigned i = 0; i < CTL_FDS_MAX; i++)
		own_fd_close(fds[i]);
	if (r == 0 && reply.type == CTL_WELCOME) {
		client->welcome = reply.welcome;
		return 0;
	}
	if (r == 0) {
		why_set(why, "%s: answered HELLO with %s", client->path, ctl_type_name(reply.type));
		return -EPROTO;
	}
	if (r == -ENOTCONN) {
		why_set(why, "%s: vjd hung up", client->path);
		return -ECONNREFUSED;
	}
	/* it may have hung up already, but its answer counts */
	if (reply.type == CTL_REFUSED && reply.refused.refusal == CTL_REFUSAL_VERSION)
		why_set(why, "%s: library %s speaks control version %d, vjd %s version %u",
			client->path, VJ_VERSION_STRING, CTL_VERSION, reply.refused.release,
			reply.refused.version);
	else if (reply.type == CTL_REFUSED)
		why_set(why, "%s: vjd refuses: %s", client->path,
			ctl_refusal_text((enum ctl_refusal)reply.refused.refusal));
	else if (r == -ETIMEDOUT && ctl_is_stopped(ctl_listener(client).pid))
		why_set(why, "%s: vjd (process %d) is stopped: kill -CONT %d", client->path, ctl_listener(client).pid, ctl_listener(client).pid);
	else if (r == -ETIMEDOUT)
		why_set(why, "%s: vjd (process %d) doesn't answer: restart it, if that lasts", client->path, ctl_listener(client).pid);
	else
		why_set(why, "%s: what listens there doesn't speak the control protocol",
			client->path);
	return r;
}

static int trust(const struct ctl_client *client, enum ctl_path_kind kind, struct ctl_client_failure *why)
{
	if (kind != CTL_PATH_PRIVATE || ctl_listener(client).uid == (uint32_t)SYS_CALL0(SYS_geteuid))
		return 0;
	why_set(why, "%s: belongs to another user", client->path);
	return -EACCES;
}

static bool is_refused(int err)
{
	return err < 0 && err != -EAGAIN && err != -EINTR;
}

static int dial(const char *path, uint64_t deadline_ns, int *ret_fd)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct own_fd_room room;
	int fd, r;

	memcpy(sun.sun_path, path, strlen(path) + 1);
	own_fd_begin(&room);
	fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	own_fd_end(&room);
	if (fd < 0)
		return fd;
	r = sys_connect(fd, (const struct sockaddr *)&sun, sizeof(sun));
	if (is_refused(r)) { /* before it has a number of ours, which may be dear: own_fd.h */
		sys_close(fd);
		return r;
	}
	fd = own_fd(fd);
	while ((r == -EAGAIN && sys_clock_ns() < deadline_ns) || r == -EINTR) {
		/* backlog full: nothing to poll for, the kernel says EAGAIN until there is room */
		if (r == -EAGAIN)
			sys_poll_ms(NULL, 0, BACKLOG_RETRY_MS);
		r = sys_connect(fd, (const struct sockaddr *)&sun, sizeof(sun));
	}
	if (r < 0) {
		own_fd_close(fd);
		return r == -EAGAIN ? -ETIMEDOUT : r;
	}
	*ret_fd = fd;
	return 0;
}

static int open_at(struct ctl_client *client, const struct ctl_path *path, const char *name,
		   uint32_t flags, struct ctl_client_failure *why)
{
	int r;

	memcpy(client->path, path->text, sizeof(client->path));
	memcpy(why->path, path->text, sizeof(why->path));
	client->dead = 0;
	r = dial(path->text, ctl_deadline(client), &client->fd);
	if (r < 0) {
		why_set(why, "%s: %s", path->text,
			r == -ENOENT || r == -ENOTDIR ? "no vjd has made this socket"
			: r == -ECONNREFUSED	      ? "nobody listens, its vjd is gone"
			: r == -EACCES		      ? "permission denied"
			: r == -EPROTOTYPE	      ? "the socket is of another kind than vjd's"
			: r == -ETIMEDOUT	      ? "vjd doesn't answer, and others wait already: is it stopped? (kill -CONT) Else restart it"
						      : "cannot connect");
		return r == -ENOTDIR ? -ENOENT : r == -EPROTOTYPE ? -EPROTO : r;
	}
	r = trust(client, path->kind, why);
	if (r == 0)
		r = hello(client, name, flags, why);
	if (r < 0) {
		own_fd_close(client->fd);
		client->fd = -1;
	}
	return r;
}

/* Worth trying the next path after this? */
static bool passes_over(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -EACCES || err == -EPROTO;
}

/* Of two failures, the one to tell: a socket that is of no use says more than none. */
static bool says_more(int err, int than)
{
	return than == 0 || (err != -ENOENT && than == -ENOENT) ||
	       ((err == -EACCES || err == -EPROTO) && than == -ECONNREFUSED);
}

static int search(struct ctl_client *client, const struct ctl_path *paths, unsigned cnt,
		  const char *name, uint32_t flags, struct ctl_client_failure *why)
{
	int best = 0;

	for (unsigned i = 0; i < cnt; i++) {
		struct ctl_client_failure here = { 0 };
		int r = open_at(client, &paths[i], name, flags, &here);

		if (r == 0)
			return 0;
		if (r == -EACCES && paths[i].kind == CTL_PATH_PRIVATE)
			r = -ENOENT; /* XDG_RUNTIME_DIR of somebody else, as su and sudo leave it: no vjd of ours is there */
		if (says_more(r, best)) {
			best = r;
			*why = here;
		}
		if (!passes_over(r))
			return r;
	}
	return best;
}

int ctl_client_open_within(const char *path, const char *name, uint32_t flags, int timeout_ms, const struct ctl_meanwhile *meanwhile,
			   struct ctl_client **ret_client, struct ctl_client_failure *ret_failure)
{
	struct ctl_path paths[CTL_PATH_CANDIDATES_MAX];
	unsigned cnt = ctl_paths(path, paths);
	struct ctl_client_failure unheard, *why = ret_failure != NULL ? ret_failure : &unheard;
	struct ctl_client *client;
	int r;

	*why = (struct ctl_client_failure){ 0 };
	if (cnt == 0) {
		why_set(why, "path of vjd's socket is too long");
		return -ENAMETOOLONG;
	}
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;
	client->fd = -1;
	client->timeout_ms = timeout_ms;
	client->meanwhile = meanwhile;
	r = search(client, paths, cnt, name, flags, why);
	/* may have met a private vjd that was just leaving, while its successor starts */
	if (r == -ECONNREFUSED)
		r = search(client, paths, cnt, name, flags, why);
	if (r < 0) {
		free(client);
		return r;
	}
	*why = (struct ctl_client_failure){ 0 };
	client->timeout_ms = CTL_CLIENT_TIMEOUT_MS;
	*ret_client = client;
	return 0;
}

int ctl_client_look(const char *path, const char *name, int timeout_ms, char ret_path[static CTL_PATH_BYTES], struct ctl_client_failure *ret_failure)
{
	struct ctl_client *client;
	int r = ctl_client_open_within(path, name, CTL_HELLO_OBSERVER, timeout_ms, NULL, &client, ret_failure);

	if (r < 0)
		return r;
	memcpy(ret_path, client->path, CTL_PATH_BYTES);
	ctl_client_close(client);
	return 0;
}

int ctl_client_open(const char *path, const char *name, uint32_t flags,
		    struct ctl_client **ret_client)
{
	return ctl_client_open_within(path, name, flags, CTL_CLIENT_TIMEOUT_MS, NULL, ret_client, NULL);
}

int ctl_client_open_why(const char *path, const char *name, uint32_t flags,
			struct ctl_client **ret_client, char ret_why[static CTL_CLIENT_WHY_BYTES])
{
	struct ctl_client_failure failure;
	int r = ctl_client_open_within(path, name, flags, CTL_CLIENT_TIMEOUT_MS, NULL, ret_client, &failure);

	memcpy(ret_why, failure.why, CTL_CLIENT_WHY_BYTES);
	return r;
}
