/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/own_fd.h"

#include "channel/sys.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

enum { SELECT_FDS = 1024, HIGH_FDS = 4096, ROOM = 64 };

void (*own_fd_hook)(int fd, bool ours);
bool own_fd_anywhere;
static bool had_one;

/* Not getrlimit(): somebody else may interpose it. */
static void limit_get(struct own_fd_room *ret_room)
{
	struct rlimit lim = { SELECT_FDS, SELECT_FDS };

	SYS_CALL4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &lim);
	*ret_room = (struct own_fd_room){ .soft = lim.rlim_cur, .hard = lim.rlim_max };
}

static void limit_set(uint64_t soft, uint64_t hard)
{
	struct rlimit lim = { .rlim_cur = soft, .rlim_max = hard };

	SYS_CALL4(SYS_prlimit64, 0, RLIMIT_NOFILE, &lim, NULL);
}

void own_fd_begin(struct own_fd_room *ret_room)
{
	limit_get(ret_room);
	if (ret_room->soft < ret_room->hard && ret_room->soft <= HIGH_FDS)
		limit_set(ret_room->hard, ret_room->hard);
}

void own_fd_end(const struct own_fd_room *room)
{
	if (room->soft < room->hard && room->soft <= HIGH_FDS)
		limit_set(room->soft, room->hard);
}

uint64_t own_fd_limit(void)
{
	struct own_fd_room room;

	limit_get(&room);
	return room.hard;
}

static int first_number(const struct own_fd_room *room)
{
	if (room->soft <= HIGH_FDS && room->hard >= max_u64(room->soft, SELECT_FDS) + ROOM)
		return (int)max_u64(room->soft, SELECT_FDS);
	if (room->soft > SELECT_FDS + ROOM)
		return SELECT_FDS;
	return room->soft > 2 * ROOM ? (int)room->soft - ROOM : ROOM;
}

int own_fd_in(const struct own_fd_room *room, int fd)
{
	int high;

	if (fd < 0 || own_fd_anywhere)
		return fd;
	high = sys_fcntl(fd, F_DUPFD_CLOEXEC, first_number(room));
	if (high < 0)
		high = fd; /* where it is, it is good as well */
	else
		sys_close(fd);
	had_one = true;
	if (own_fd_hook)
		own_fd_hook(high, true);
	return high;
}

int own_fd(int fd)
{
	struct own_fd_room room;

	if (fd < 0 || own_fd_anywhere)
		return fd;
	own_fd_begin(&room);
	fd = own_fd_in(&room, fd);
	own_fd_end(&room);
	return fd;
}

void own_fd_first(void)
{
	if (!had_one)
		own_fd_close(own_fd(sys_eventfd(0, EFD_CLOEXEC)));
}

void own_fd_give(int fd)
{
	if (own_fd_hook)
		own_fd_hook(fd, false);
	sys_close(fd);
}

/* ---- filling one */

#define XFSZ_BIT (UINT64_C(1) << (SIGXFSZ - 1))

static int write_all(int fd, const uint8_t *buf, size_t bytes, uint64_t off)
{
	long n = 0;

	for (size_t done = 0; done < bytes; done += (size_t)n) {
		n = sys_pwrite(fd, buf + done, bytes - done, off + done);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
	}
	return 0;
}

/* The signal is for the thread that writes: it waits, and is taken back, unless one waited before. */
static int write_quietly(int fd, const uint8_t *buf, size_t bytes, uint64_t off)
{
	static const struct timespec now;
	uint64_t xfsz = XFSZ_BIT, mask = 0, pending = 0;
	int err;

	SYS_CALL4(SYS_rt_sigprocmask, SIG_BLOCK, &xfsz, &mask, sizeof(mask));
	SYS_CALL2(SYS_rt_sigpending, &pending, sizeof(pending));
	err = write_all(fd, buf, bytes, off);
	if (err == -EFBIG && !(pending & XFSZ_BIT))
		SYS_CALL4(SYS_rt_sigtimedwait, &xfsz, NULL, &now, sizeof(xfsz));
	SYS_CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
	return err;
}

int own_fd_write(int fd, const void *buf, size_t bytes, uint64_t off)
{
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY }, more;
	int err;

	SYS_CALL4(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &lim);
	if (off + bytes <= lim.rlim_cur)
		return write_all(fd, buf, bytes, off);
	more = (struct rlimit){ lim.rlim_max, lim.rlim_max };
	SYS_CALL4(SYS_prlimit64, 0, RLIMIT_FSIZE, &more, NULL);
	err = write_quietly(fd, buf, bytes, off);
	SYS_CALL4(SYS_prlimit64, 0, RLIMIT_FSIZE, &lim, NULL);
	return err;
}
