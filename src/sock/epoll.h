/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll.h - who waits for a file, in a set, in poll() or in a call: epoll.c, epoll_ctl.c, poll.c; the memory is fdtab.c's */
#ifndef SOCK_EPOLL_H
#define SOCK_EPOLL_H

#include "sock/file.h"
#include "sock/wait.h"

#include <sys/epoll.h>

struct watch {
	struct file *file;
	struct watch *next, **pprev; /* in file->watches */
	struct epoll_set *set;	     /* NULL: of the sleeper */
	struct sleeper *sleeper;
	/* below: of an epoll set only */
	struct watch *ready_next, *ready_prev; /* in set->ready, if on_ready */
	struct watch *set_next, **set_pprev;   /* in set->watches */
	uint64_t data;
	uint32_t events; /* as the program gave them; only EP_PRIVATE bits: spent one-shot */
	int fd;
	uint32_t round; /* in which it was last reported ... */
	int place;	/* ... and where, if by the kernel's side */
	bool on_ready;
	bool in_kernel; /* also registered with the kernel's set */
	bool called;	/* for a connection that another process has: it had better be here */
};

struct epoll_set {
	struct file file;
	int epfd;	    /* any descriptor of it */
	struct watch ready; /* list head: entries that may have something to report */
	uint32_t ready_cnt;
	struct watch *watches;
	struct kick kick; /* registered with the kernel's set as soon as there is a watch, and a context */
	bool adopted;	  /* threads may sleep in the kernel's set that are not counted below */
	bool inherited;	  /* the parent has the kernel's set, too, or whoever became this program */
	uint32_t forks;	  /* sock.forks when it was made: if there were more, children have it */
	bool called;	  /* one of the watches is */
	bool fresh_watches; /* among the watches may be listening sockets that are not leased yet */
	uint64_t again_ns; /* when to look at those again that could not be; 0: there are none */
	uint32_t asleep;  /* threads in its epoll_wait() in the kernel */
	_Atomic uint32_t kernel_cnt; /* registrations with the kernel's set, about; not kick and bell */
	_Atomic bool ours;     /* has had a watch; until then its epoll_wait() is the kernel's */
	uint64_t looked_ticks; /* when the kernel's set was last asked */
	uint32_t round;	       /* counts calls that collect */
	_Atomic uint32_t calm; /* sock.calm as it was when nothing of ours was to be told or done here, and there has been nothing since; 0 */
	_Atomic uint32_t kernel_asleep; /* threads that wait as long as it is not `ours`, or is calm. The last: who closes the set leaves them there */
};

#define EP_PRIVATE ((uint32_t)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE))
struct epoll_set *set_alloc(void);
void set_free(struct epoll_set *set);
struct watch *watch_alloc(void);
void watch_free(struct watch *w);

void watch_link(struct watch *w, struct file *f);
void watch_unlink(struct watch *w);

static inline struct epoll_set *set_of(struct file *f)
{
	return container_of(f, struct epoll_set, file);
}

void set_fire(struct watch *w, uint32_t mask);
uint32_t set_level(struct epoll_set *set);
void set_destroy(struct epoll_set *set);
/* There may be sockets in it, or in sets that are in it, that want something to be done when they are waited for. Wakes those who wait. */
void set_refresh(struct epoll_set *set);
/* It is waited for: that is done. Gives up the lock. Return: 0; -ENETDOWN: strict, and there is no channel; -EMFILE */
int set_wanted(struct epoll_set *set);
/* There is a context, of which who sleeps in a set is to hear. Return: 0; -EMFILE, -ENOMEM */
int sets_attach(void);
/* The bell is about to be closed. */
void sets_unbell(void);
/* One of several descriptors of the set goes. */
void set_fd_closed(struct epoll_set *set, int fd);
void watch_destroy(struct watch *w);
/*
 * A socket with watches changes sides: FRESH -> LISTEN, FRESH -> channel, or to the kernel alone.
 */
enum watch_side { WATCH_BOTH, WATCH_CHANNEL, WATCH_KERNEL };
void watches_move(struct file *f, enum watch_side side);
/* A connection is AWAY; that it is WATCH_CHANNEL again undoes it. */
void watches_away(struct file *f);

/*
 * Somebody waits for @fd, and for @events: a listening socket is leased, a connection that is away is claimed, for which
 * the lock is given up, and so are those in a set. Return: 0; -ENETDOWN: strict, and there is no channel; -EMFILE.
 */
int file_wanted(int fd, struct file *f, uint32_t events);
/* ... and who goes on waiting for it calls that again then; TIME_NEVER */
uint64_t file_again_ns(struct file *f, uint32_t events);

#endif
