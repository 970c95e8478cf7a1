// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_lan_id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ID_MAGIC = 0x766a6931 }; /* "vji1" */

struct id_file {
	uint32_t magic, starts;
	struct parp_host_id id;
};

static bool id_read(const char *path, struct id_file *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, ret, sizeof(*ret));
	close(fd);
	return n == (ssize_t)sizeof(*ret) && ret->magic == ID_MAGIC;
}

/* Under another name first: it is whole or not there. */
static int id_write(const char *path, const struct id_file *id)
{
	char fresh[176];
	int fd, r = 0;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, id, sizeof(*id)) != (ssize_t)sizeof(*id))
		r = -EIO;
	close(fd);
	if (r == 0 && rename(fresh, path) != 0)
		r = -errno;
	return r;
}

static void id_path(const char *dir, char path[static 160])
{
	snprintf(path, 160, "%s/lan-id", dir);
}

void if_lan_id_forget(const char *dir)
{
	char path[160];

	id_path(dir, path);
	unlink(path);
}

int if_lan_id(const char *dir, const struct parp_host_id *fresh, struct parp_host_id *ret_id, uint32_t *ret_starts)
{
	struct id_file id;
	char path[160];

	id_path(dir, path);
	if (!id_read(path, &id))
		id = (struct id_file){ .magic = ID_MAGIC, .id = *fresh };
	id.starts++;
	*ret_id = id.id;
	*ret_starts = id.starts;
	return id_write(path, &id);
}

/* What /sys shows may be of another network namespace: a name alone proves nothing. */
static bool is_in_sys(const char *name, uint32_t ifindex)
{
	char path[96], text[16];
	unsigned number = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", name);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	if (fgets(text, sizeof(text), f) != NULL)
		number = (unsigned)strtoul(text, NULL, 10);
	fclose(f);
	return number == ifindex;
}

bool if_lan_is_wireless(const char *name, uint32_t ifindex)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/net/%s/phy80211", name);
	return access(path, F_OK) == 0 && is_in_sys(name, ifindex);
}
