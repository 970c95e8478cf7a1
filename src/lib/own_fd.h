/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_fd.h - the library's descriptors among the program's
 *
 * The program should not see holes in its numbers, renumber ours by dup2(), nor run out of descriptors because of ours. The
 * limit bounds the numbers, not how many there are, and only when one is made. So ours get numbers beyond the program's (soft)
 * limit, which is raised for that moment as far as the hard one lets it be; where that is no help, the highest below. Very
 * high ones cost kernel memory, so a program with a very high limit has them at the end of what select() can hold.
 *
 * The first of them is dear in a process with threads: the kernel makes its table of descriptors larger, and waits until no CPU can be reading the old
 * one (expand_fdtable()), 8 to 12 ms; without threads it is 9 us. So there is one for a moment before a process has its first thread.
 *
 * All are close-on-exec. Who has a say in the program's close() hears of each, and can keep the program from closing what it never
 * opened, as daemons do that close everything at their start.
 */
#ifndef LIB_OWN_FD_H
#define LIB_OWN_FD_H

#include "base/types.h"

/* Programs that may have fewer descriptors than this get no channels: ours would be missing among theirs. */
enum { OWN_FD_LIMIT_MIN = 128 };

/* NULL, or told of each number taken (@ours) and given back. Set before anything else is called. */
extern void (*own_fd_hook)(int fd, bool ours);

/*
 * This process has no program's numbers to keep clear of, but will become one (`vj run`): ours stay where the kernel makes them. The table of a
 * process is never made smaller, not by exec() either, and whom it grew for one of our numbers has a large one to look through (sock/adopt.c).
 */
extern bool own_fd_anywhere;

/**
 * own_fd() - Make a descriptor the library's
 * @fd: moved; a negative one comes back as it is
 * Return: its new number
 */
int own_fd(int fd);

/** own_fd_give() - Close one. @fd: one that own_fd() has returned */
void own_fd_give(int fd);

/** own_fd_close() - Likewise; a negative one is no error, and costs a program that has none of ours not even the page of this library's code */
static inline void own_fd_close(int fd)
{
	if (fd >= 0)
		own_fd_give(fd);
}

/** own_fd_first() - Have one, and give it back, unless there was one before: the next is cheap, even among threads. No matter if there can't be one. */
void own_fd_first(void);

/** own_fd_limit() - How many descriptors this process could have: the hard limit */
uint64_t own_fd_limit(void);

struct own_fd_room {
	uint64_t soft, hard;
};

/**
 * own_fd_begin() - Let the kernel make us descriptors (recvmsg()) though the program may have used up its own, or pass them on (sendmsg()) though
 * as many of this user's are under way
 */
void own_fd_begin(struct own_fd_room *ret_room);
/** own_fd_in() - own_fd() between the two, which asks for the limit once for all of it */
int own_fd_in(const struct own_fd_room *room, int fd);
/** own_fd_end() - The limit as it was */
void own_fd_end(const struct own_fd_room *room);

/**
 * own_fd_write() - Fill one of ours, a memfd, at @off
 * The program's limit of files' sizes (RLIMIT_FSIZE) is meant for its own, but counts for these, too. Its soft one doesn't here; beyond the hard one the kernel
 * says so by a signal, which would end the program.
 * Return: 0; -EFBIG, and no signal; other negative errno
 */
int own_fd_write(int fd, const void *buf, size_t bytes, uint64_t off);

/* own_fd() of what @make makes: it fails with -EMFILE only if the hard limit says so. */
#define OWN_FD_MAKE(make)                        \
	({                                       \
		struct own_fd_room room_;        \
		int fd_;                         \
		own_fd_begin(&room_);            \
		fd_ = own_fd_in(&room_, (make)); \
		own_fd_end(&room_);              \
		fd_;                             \
	})

#endif
