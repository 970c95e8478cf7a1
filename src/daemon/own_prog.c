// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/own_prog.h"

#include "daemon/if_pin.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MAPS_MAX = 32, MARKS = 3 };

struct make {
	enum bpf_prog_type type;
	const char *name;
	const char *maps[MARKS]; /* among others */
};

static const struct make makes[] = {
	[OWN_PROG_DISPATCH] = { BPF_PROG_TYPE_XDP, "vj_dispatch", { "dispatch_cfg", "ports", "devs" } },
	[OWN_PROG_DISPATCH_TC] = { BPF_PROG_TYPE_SCHED_CLS, "vj_dispatch_tc", { "dispatch_cfg", "ports", "devs" } },
	[OWN_PROG_GATE] = { BPF_PROG_TYPE_XDP, "vj_gate", { "gate_cfg", "gate_counters", "out" } },
	[OWN_PROG_DELIVER] = { BPF_PROG_TYPE_XDP, "vj_deliver", { "deliver_state", "credit", "xsks" } },
	[OWN_PROG_GATEWAY] = { BPF_PROG_TYPE_SCHED_CLS, "vj_gateway", { "learned", "asked", "misses" } },
};

/* ---- a program's maps */

struct maps {
	uint32_t cnt, at;
	uint32_t ids[MAPS_MAX];
};

struct map {
	int fd;
	struct bpf_map_info info;
};

static int read_info(int prog_fd, struct bpf_prog_info *ret_info, struct maps *ret_maps)
{
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)ret_maps->ids };
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &bytes) != 0)
		return -errno;
	ret_maps->cnt = min_u32(info.nr_map_ids, MAPS_MAX);
	ret_maps->at = 0;
	*ret_info = info;
	return 0;
}

/* The next one that there still is, whose descriptor is the caller's. Return: 0; -ENOENT: that was all; other negative errno: it can't be told */
static int maps_next(struct maps *maps, struct map *ret)
{
	int r = -ENOENT;

	while (r == -ENOENT && maps->at < maps->cnt) {
		uint32_t bytes = sizeof(ret->info);

		memset(&ret->info, 0, sizeof(ret->info));
		ret->fd = bpf_map_get_fd_by_id(maps->ids[maps->at++]);
		r = ret->fd >= 0 ? 0 : -errno;
		if (r == 0 && bpf_obj_get_info_by_fd(ret->fd, &ret->info, &bytes) != 0) {
			r = -errno;
			close(ret->fd);
		}
	}
	return r;
}

int own_prog_map(int prog_fd, const char *name, uint32_t value_bytes)
{
	struct bpf_prog_info info;
	struct maps maps;
	struct map map;
	int r = read_info(prog_fd, &info, &maps);

	while (r == 0 && (r = maps_next(&maps, &map)) == 0) {
		if (strcmp(map.info.name, name) == 0 && (value_bytes == 0 || map.info.value_size == value_bytes))
			return map.fd;
		close(map.fd);
	}
	return r;
}

int own_prog_pin_maps(int prog_fd, const char *dir)
{
	char path[IF_PIN_PATH_BYTES];
	struct bpf_prog_info info;
	struct maps maps;
	struct map map;
	int r = read_info(prog_fd, &info, &maps);

	while (r == 0 && (r = maps_next(&maps, &map)) == 0) {
		if_pin_path(dir, map.info.name, path);
		if (strchr(map.info.name, '.') == NULL && bpf_obj_pin(map.fd, path) != 0 && errno != EEXIST)
			r = -errno;
		close(map.fd);
	}
	return r == -ENOENT ? 0 : r;
}

/* ---- whose is it? */

/* Return: 0: it is; -ENOENT: it isn't; other negative errno: it can't be told */
static int is_of(int prog_fd, const struct make *make)
{
	struct bpf_prog_info info;
	struct maps maps;
	int r = read_info(prog_fd, &info, &maps);

	if (r == 0 && (info.type != make->type || strcmp(info.name, make->name) != 0))
		r = -ENOENT;
	for (unsigned i = 0; i < MARKS && r == 0; i++) {
		int fd = own_prog_map(prog_fd, make->maps[i], 0);

		r = fd < 0 ? fd : 0;
		if (fd >= 0)
			close(fd);
	}
	return r;
}

int own_prog_open(enum own_prog which, uint32_t id)
{
	int fd = id != 0 ? bpf_prog_get_fd_by_id(id) : -ENOENT, r;

	if (fd < 0)
		return id != 0 ? -errno : fd;
	r = is_of(fd, &makes[which]);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

bool own_prog_is(enum own_prog which, uint32_t id, bool unsure)
{
	int fd = own_prog_open(which, id);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || (fd != -ENOENT && unsure);
}
