// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_pin.h"

#include <bpf/bpf.h>
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

/* ---- programs */

void if_pin_path(const char *dir, const char *name, const char *suffix, char path[static IF_PIN_PATH_BYTES])
{
	snprintf(path, IF_PIN_PATH_BYTES, "%s/%s%s", dir, name, suffix);
}

static int prog_id(int fd, uint32_t *ret_id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0)
		return -errno;
	*ret_id = info.id;
	return 0;
}

static int get_if_id(const char *path, uint32_t id)
{
	uint32_t found = 0;
	int fd = bpf_obj_get(path);

	if (fd >= 0 && prog_id(fd, &found) == 0 && found == id)
		return fd;
	if (fd >= 0)
		close(fd);
	return -ENOENT;
}

int if_pin_with_id(const char *dir, const char *name, uint32_t id)
{
	char path[IF_PIN_PATH_BYTES], fresh[IF_PIN_PATH_BYTES];
	int fd;

	if_pin_path(dir, name, "", path);
	if_pin_path(dir, name, "_new", fresh);
	fd = get_if_id(path, id);
	if (fd >= 0)
		return fd;
	fd = get_if_id(fresh, id);
	if (fd >= 0) /* done now, what a killed vjd has not come to */
		rename(fresh, path);
	return fd;
}

bool if_pin_is_ours(const char *dir, const char *name, uint32_t id)
{
	int fd = id != 0 ? if_pin_with_id(dir, name, id) : -ENOENT;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int if_pin_before(const char *dir, const char *name, int fd)
{
	char path[IF_PIN_PATH_BYTES];

	if_pin_path(dir, name, "_new", path);
	unlink(path);
	return bpf_obj_pin(fd, path) == 0 ? 0 : -errno;
}

void if_pin_undo(const char *dir, const char *name)
{
	char path[IF_PIN_PATH_BYTES];

	if_pin_path(dir, name, "_new", path);
	unlink(path);
}

int if_pin_after(const char *dir, const char *name)
{
	char fresh[IF_PIN_PATH_BYTES], path[IF_PIN_PATH_BYTES];

	if_pin_path(dir, name, "_new", fresh);
	if_pin_path(dir, name, "", path);
	return rename(fresh, path) == 0 ? 0 : -errno;
}

bool if_pin_is_there(const char *dir, const char *name)
{
	char path[IF_PIN_PATH_BYTES], fresh[IF_PIN_PATH_BYTES];

	if_pin_path(dir, name, "", path);
	if_pin_path(dir, name, "_new", fresh);
	return access(path, F_OK) == 0 || access(fresh, F_OK) == 0;
}
