// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_pin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BPF_FS "/sys/fs/bpf"

/* ---- directories */

/* @sticky: others may make what they like there, so long as it isn't ours. Return: 0; -EUCLEAN: others could replace what is in it; others of open(2) */
static int check_dir(const char *dir, bool sticky)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR ? -EUCLEAN : -errno;
	if (fstat(fd, &st) != 0)
		r = -errno;
	else if (st.st_uid != geteuid() ||
		 ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !(sticky && (st.st_mode & S_ISVTX) != 0)))
		r = -EUCLEAN;
	close(fd);
	return r;
}

/* A BPF file system is everybody's to write in, unless who mounted it has said otherwise: what is there already may be anybody's. */
static int bpf_fs_ready(void)
{
	struct statfs fs;
	int r;

	if (statfs(BPF_FS, &fs) != 0)
		return -errno;
	if (fs.f_type != BPF_FS_MAGIC && mount("bpf", BPF_FS, "bpf", 0, "mode=0700") != 0)
		return -errno;
	r = check_dir(BPF_FS, true);
	if (r == 0 && mkdir(IF_PIN_DIR, 0700) != 0 && errno != EEXIST)
		r = -errno;
	return r == 0 ? check_dir(IF_PIN_DIR, false) : r;
}

/* Dots are not allowed there, and two namespaces may have an interface of one name and number. */
static void name_dir(const char *what, uint32_t ifindex, char ret_dir[static IF_PIN_DIR_BYTES])
{
	struct stat st = { 0 };

	stat("/proc/thread-self/ns/net", &st);
	snprintf(ret_dir, IF_PIN_DIR_BYTES, IF_PIN_DIR "/%s%u-net%lu", what, ifindex, (unsigned long)st.st_ino);
}

int if_pin_dir_make(const char *what, uint32_t ifindex, char ret_dir[static IF_PIN_DIR_BYTES])
{
	int r = bpf_fs_ready();

	if (r < 0)
		return r;
	name_dir(what, ifindex, ret_dir);
	return mkdir(ret_dir, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

bool if_pin_dir_is_there(const char *what, uint32_t ifindex, char ret_dir[static IF_PIN_DIR_BYTES])
{
	name_dir(what, ifindex, ret_dir);
	return access(ret_dir, F_OK) == 0;
}

void if_pin_dir_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

void if_pin_path(const char *dir, const char *name, char path[static IF_PIN_PATH_BYTES])
{
	snprintf(path, IF_PIN_PATH_BYTES, "%s/%s", dir, name);
}
