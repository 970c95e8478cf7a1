// SPDX-License-Identifier: BSD-2-Clause
#include "cli/proc_socks.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { TCP_STATE_LISTEN = 0x0A };

static int by_ino(const void *a, const void *b)
{
	const struct proc_sock *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

static int by_fd(const void *a, const void *b)
{
	const struct proc_sock *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

bool proc_socks_is_copy(const struct proc_socks *socks, const struct proc_sock *s)
{
	for (const struct proc_sock *low = socks->socks; low < s; low++)
		if (low->ino == s->ino)
			return true;
	return false;
}

static int proc_errno(void)
{
	return errno == ENOENT ? -ESRCH : errno == EPERM ? -EACCES : -errno;
}

/* Return: 0 or -ENOMEM. */
static int add(struct proc_socks *to, size_t *room, int fd, uint64_t ino)
{
	if (to->cnt == *room) {
		size_t more = *room == 0 ? 64 : 2 * *room;
		struct proc_sock *socks = realloc(to->socks, more * sizeof(*socks));

		if (socks == NULL)
			return -ENOMEM;
		to->socks = socks;
		*room = more;
	}
	to->socks[to->cnt++] = (struct proc_sock){ .fd = fd, .ino = ino };
	return 0;
}

static int read_fds(int32_t pid, struct proc_socks *to)
{
	char path[64], target[64];
	unsigned long long ino;
	struct dirent *e;
	size_t room = 0;
	ssize_t n;
	DIR *dir;
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (dir == NULL)
		return proc_errno();
	while (rc == 0 && (e = readdir(dir)) != NULL) {
		n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (sscanf(target, "socket:[%llu]", &ino) == 1)
			rc = add(to, &room, atoi(e->d_name), ino);
	}
	closedir(dir);
	return rc;
}

/* "0100007F:1F90", words in host byte order: 1 for IPv4, 4 for IPv6. Return: false: not of this form */
static bool parse_endpoint(const char *text, struct endpoint *ret)
{
	size_t digits = strcspn(text, ":");
	uint8_t bytes[16] = { [10] = 0xff, [11] = 0xff };
	unsigned port;

	if ((digits != 8 && digits != 32) || sscanf(text + digits, ":%4x", &port) != 1)
		return false;
	for (size_t i = 0; i < digits; i += 8) {
		uint32_t word;

		if (sscanf(text + i, "%8x", &word) != 1)
			return false;
		memcpy(&bytes[digits == 8 ? 12 : i / 2], &word, sizeof(word));
	}
	*ret = (struct endpoint){ .addr = ip_addr_from_v6(bytes), .port = (uint16_t)port };
	return true;
}

/* All descriptors of this socket, in @socks by inode */
static void fill(struct proc_socks *socks, uint64_t ino, const struct proc_sock *from)
{
	struct proc_sock key = { .ino = ino }, *end = socks->socks + socks->cnt;
	struct proc_sock *s = socks->cnt == 0 ? NULL : bsearch(&key, socks->socks, socks->cnt, sizeof(key), by_ino);

	while (s != NULL && s > socks->socks && s[-1].ino == ino)
		s--;
	for (; s != NULL && s < end && s->ino == ino; s++) {
		s->proto = from->proto;
		s->other = from->other;
		s->listens = from->listens;
		s->local = from->local;
		s->remote = from->remote;
	}
}

/* One of the tables of sockets that no channel is for: the inode is the last of @column words. @socks by inode */
static void read_others(int32_t pid, const char *name, unsigned column, struct proc_socks *socks)
{
	const struct proc_sock other = { .other = true };
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, name);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		const char *at = line + strspn(line, " ");

		for (unsigned i = 1; i < column; i++) {
			at += strcspn(at, " \n");
			at += strspn(at, " ");
		}
		fill(socks, strtoull(at, NULL, 10), &other); /* of the heading: 0, which no socket has */
	}
	if (f != NULL)
		fclose(f);
}

/* One of the tables; @socks by inode */
static void read_table(int32_t pid, const char *name, uint8_t proto, struct proc_socks *socks)
{
	char path[64], line[512], local[48], remote[48];
	unsigned long long ino;
	unsigned state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, name);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		struct proc_sock key = { 0 };

		if (sscanf(line, " %*d: %47s %47s %x %*s %*s %*s %*s %*s %llu", local, remote, &state, &ino) != 4)
			continue;
		if (!parse_endpoint(local, &key.local) || !parse_endpoint(remote, &key.remote))
			continue;
		key.proto = proto;
		key.listens = proto == IPPROTO_TCP && state == TCP_STATE_LISTEN;
		fill(socks, ino, &key);
	}
	if (f != NULL)
		fclose(f);
}

bool proc_sock_is_mptcp(int32_t pid, int fd)
{
	char path[64], name[16];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	n = getxattr(path, "system.sockprotoname", name, sizeof(name));
	return n >= 5 && memcmp(name, "MPTCP", 5) == 0;
}

int proc_socks_read(int32_t pid, struct proc_socks *ret)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} tables[] = { { "tcp", IPPROTO_TCP }, { "tcp6", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "udp6", IPPROTO_UDP } };
	struct proc_socks socks = { 0 };
	int rc = read_fds(pid, &socks);

	if (rc < 0) {
		free(socks.socks);
		return rc;
	}
	if (socks.cnt != 0)
		qsort(socks.socks, socks.cnt, sizeof(*socks.socks), by_ino);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		read_table(pid, tables[i].name, tables[i].proto, &socks);
	read_others(pid, "unix", 7, &socks);
	read_others(pid, "netlink", 10, &socks);
	read_others(pid, "packet", 9, &socks);
	if (socks.cnt != 0)
		qsort(socks.socks, socks.cnt, sizeof(*socks.socks), by_fd);
	*ret = socks;
	return 0;
}

/* What its status has behind @name, with the line's end; NULL: nothing. In @line */
static const char *status_text(int32_t pid, const char *name, char line[static 256])
{
	size_t len = strlen(name);
	bool found = false;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f != NULL && !found && fgets(line, 256, f) != NULL)
		found = strncmp(line, name, len) == 0;
	if (f != NULL)
		fclose(f);
	return found ? line + len : NULL;
}

bool proc_has_thread(int32_t pid, const char *name)
{
	char path[320], line[64];
	bool found = false;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir != NULL && !found && (e = readdir(dir)) != NULL) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, e->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fgets(line, sizeof(line), f) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			found = strcmp(line, name) == 0;
		}
		fclose(f);
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

bool proc_variable(int32_t pid, const char *name, char *ret_value, size_t room)
{
	size_t name_len = strlen(name), line_room = 0;
	char path[64], *line = NULL;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	f = fopen(path, "re");
	while (f != NULL && !found && getdelim(&line, &line_room, '\0', f) > 0)
		found = strncmp(line, name, name_len) == 0 && line[name_len] == '=' && strlen(line + name_len + 1) < room;
	if (found)
		memcpy(ret_value, line + name_len + 1, strlen(line + name_len + 1) + 1);
	free(line);
	if (f != NULL)
		fclose(f);
	return found;
}

bool proc_has_ended(int32_t pid)
{
	char line[256];
	const char *state = status_text(pid, "State:\t", line);

	return state != NULL && (*state == 'Z' || *state == 'X');
}

int32_t proc_living_thread(int32_t pid)
{
	int32_t tid, living = pid;
	struct dirent *e;
	char path[64];
	DIR *dir;

	if (!proc_has_ended(pid))
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir != NULL && living == pid && (e = readdir(dir)) != NULL) {
		tid = atoi(e->d_name);
		if (tid > 0 && !proc_has_ended(tid))
			living = tid;
	}
	if (dir != NULL)
		closedir(dir);
	return living;
}

int64_t proc_user(int32_t pid)
{
	char line[256], *end;
	const char *real = status_text(pid, "Uid:", line);
	int64_t effective;

	if (real == NULL)
		return -1;
	strtoll(real, &end, 10);
	real = end;
	effective = strtoll(real, &end, 10);
	return end != real ? effective : -1;
}

int proc_has_mapped(int32_t pid, const char *name)
{
	char path[64], line[PATH_MAX + 128];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return proc_errno();
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, name) != NULL;
	fclose(f);
	return found;
}

uint64_t proc_fd_limit(int32_t pid)
{
	struct rlimit limit;

	return prlimit(pid, RLIMIT_NOFILE, NULL, &limit) == 0 ? limit.rlim_max : UINT64_MAX;
}
