// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/netns.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#define OWN_NETNS "/proc/thread-self/ns/net"

static int own_netns(void)
{
	int fd = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Going on in the wrong namespace would do to the host what was meant for the other. */
static void go_back(int self)
{
	int r = setns(self, CLONE_NEWNET);

	VJ_ASSERT_OP(r, ==, 0);
	close(self);
}

int netns_do(int fd, int (*fn)(void *arg), void *arg)
{
	int self = own_netns(), r;

	if (self < 0)
		return self;
	if (setns(fd, CLONE_NEWNET) != 0) {
		r = -errno;
		close(self);
		return r;
	}
	r = fn(arg);
	go_back(self);
	return r;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* A kernel without IPv6 has nothing to be switched off. */
static int be_silent(void)
{
	int r = write_text("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");

	if (r == 0)
		r = write_text("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	return r == -ENOENT ? 0 : r;
}

static int make_here(const char *path)
{
	int r = be_silent(), fd;

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	if (mount(OWN_NETNS, path, NULL, MS_BIND, NULL) != 0) {
		r = -errno;
		unlink(path);
		return r;
	}
	return own_netns();
}

static int make(const char *path)
{
	int self = own_netns(), r;

	if (self < 0)
		return self;
	if (unshare(CLONE_NEWNET) != 0) {
		r = -errno;
		close(self);
		return r;
	}
	r = make_here(path);
	go_back(self);
	return r;
}

int netns_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return errno == ENOENT ? make(path) : -errno;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC)
		return fd;
	/* the file without the mount: the host was restarted, or somebody unmounted it */
	close(fd);
	unlink(path);
	return make(path);
}

void netns_forget(const char *path)
{
	umount2(path, MNT_DETACH);
	unlink(path);
}
