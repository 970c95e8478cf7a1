/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Return: -err, or -EPERM if @err is 0: the file system lets us, prudence doesn't */
__attribute__((format(printf, 3, 4))) static int fail(char *why, int err, const char *fmt, ...)
{
	char what[PLACE_WHY_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	if (err != 0)
		snprintf(why, PLACE_WHY_BYTES, "%.160s: %s", what, strerror(err));
	else
		snprintf(why, PLACE_WHY_BYTES, "%s", what);
	return err != 0 ? -err : -EPERM;
}

/* "/a/b/c" to "/a/b" */
static void parent_of(const char *path, char ret[static CTL_PATH_BYTES])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	if (slash == NULL) {
		memcpy(ret, ".", 2);
		return;
	}
	if (len == 0)
		len = 1;
	memcpy(ret, path, len);
	ret[len] = '\0';
}

/* Nobody but us or root can rename what is ours in there. */
static int check_parent(const char *dir, char *why)
{
	struct stat st;

	if (stat(dir, &st) != 0)
		return fail(why, errno, "%s", dir);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return fail(why, 0, "%s: belongs to another user", dir);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st.st_mode & S_ISVTX) == 0)
		return fail(why, 0, "%s: others may write there, and it isn't sticky", dir);
	return 0;
}

static int check_dir(int fd, const char *dir, char *why)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(why, errno, "%s", dir);
	if (st.st_uid != geteuid())
		return fail(why, 0, "%s: belongs to another user", dir);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fail(why, 0, "%s: others may enter, mode should be 0700", dir);
	return 0;
}

static int open_dir(const struct ctl_path *path, char *why)
{
	bool private = path->kind == CTL_PATH_PRIVATE;
	char dir[CTL_PATH_BYTES], above[CTL_PATH_BYTES];
	int fd, r = 0;

	parent_of(path->text, dir);
	parent_of(dir, above);
	if (private)
		r = check_parent(above, why);
	if (r < 0)
		return r;
	if (private && mkdir(dir, 0700) != 0 && errno != EEXIST)
		return fail(why, errno, "cannot make %s", dir);
	/* what the service's unit makes, where there is none: a directory that all may enter, below one of root's */
	if (path->kind == CTL_PATH_SERVICE && geteuid() == 0 && mkdir(dir, 0755) == 0 && chmod(dir, 0755) != 0)
		return fail(why, errno, "cannot make %s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (private ? O_NOFOLLOW : 0));
	if (fd < 0 && private && (errno == ELOOP || errno == ENOTDIR))
		return fail(why, 0, "%s: not a directory", dir);
	if (fd < 0)
		return fail(why, errno, "%s", dir);
	if (private)
		r = check_dir(fd, dir, why);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int place_open(const struct ctl_path *path, struct place *ret_place,
	       char ret_why[static PLACE_WHY_BYTES])
{
	const char *slash = strrchr(path->text, '/');
	char name[CTL_PATH_BYTES + 8];
	struct stat st;
	int dir_fd, fd;

	dir_fd = open_dir(path, ret_why);
	if (dir_fd < 0)
		return dir_fd;
	/* Before a lock is left beside it: what is there and no socket is none of our business. */
	if (fstatat(dir_fd, slash == NULL ? path->text : slash + 1, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !S_ISSOCK(st.st_mode)) {
		close(dir_fd);
		return fail(ret_why, EEXIST, "%s: something else is there, not a socket", path->text);
	}
	snprintf(name, sizeof(name), "%s.lock", slash == NULL ? path->text : slash + 1);
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	close(dir_fd);
	if (fd < 0)
		return fail(ret_why, errno, "%s.lock", path->text);
	*ret_place = (struct place){ .path = *path, .lock_fd = fd };
	return 0;
}

static void lock_name(const struct place *place, char ret[static CTL_PATH_BYTES + 8])
{
	snprintf(ret, CTL_PATH_BYTES + 8, "%s.lock", place->path.text);
}

/* Who had the lock takes the file away before it lets go: is the one that we have locked still the one that others will find? */
static bool is_current(const struct place *place)
{
	char name[CTL_PATH_BYTES + 8];
	struct stat have, there;

	lock_name(place, name);
	return fstat(place->lock_fd, &have) == 0 && lstat(name, &there) == 0 && have.st_dev == there.st_dev &&
	       have.st_ino == there.st_ino;
}

int place_lock(struct place *place)
{
	char name[CTL_PATH_BYTES + 8];
	int fd;

	if (flock(place->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return -errno;
	if (is_current(place)) {
		place->locked = true;
		return 0;
	}
	lock_name(place, name);
	fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	close(place->lock_fd);
	place->lock_fd = fd;
	return -EAGAIN;
}

bool place_is_served(const struct place *place)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred cred = { .pid = 0 };
	socklen_t bytes = sizeof(cred);
	bool served;

	if (fd < 0)
		return false;
	memcpy(sun.sun_path, place->path.text, strlen(place->path.text) + 1);
	served = connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0;
	/* a child that it had just begun when it was killed has its socket until it becomes another program */
	if (served && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) == 0 && cred.pid > 0)
		served = kill(cred.pid, 0) == 0 || errno != ESRCH;
	close(fd);
	return served;
}

void place_close(struct place *place)
{
	char name[CTL_PATH_BYTES + 8];

	lock_name(place, name);
	if (place->locked)
		unlink(name);
	close(place->lock_fd);
	place->lock_fd = -1;
}
