// SPDX-License-Identifier: BSD-2-Clause
/*
 * libvj-packetdrill.so from the inside: the stack in a world of its own, with Linux's sockets over it
 *
 * packetdrill plays a script with two threads: the first sends and expects packets, makes calls that return at once, and
 * sleeps between; the second makes the calls that block. Both call this library. Time is virtual and belongs to the
 * first thread (the one that called packetdrill_interface_init()): while it is inside usleep(), netdev_receive() or a
 * call that blocks, time jumps from one timer of the stack to the next. So a run depends on the script alone.
 *
 *	world.c		the clock, the link, who waits for what
 *	settings.c	flags, and the kernel's sysctls that stand for them
 *	file.c		descriptors; fcntl, ioctl, close, pipe, splice
 *	sock.c		sockets open and end
 *	xfer.c		data in and out
 *	errqueue.c	what MSG_ERRQUEUE gives
 *	option.c	getsockopt and setsockopt; info.c: TCP_INFO
 *	ready.c		poll and epoll
 *	libc.c		calls that packetdrill makes behind the table's back
 *	table.c		the table: locks, and turns negative errno values into errno
 *
 * Everything but table.c runs under world.lock and returns negative errno values. Limits: one world a process.
 */
#ifndef VJ_TESTS_PACKETDRILL_PD_H
#define VJ_TESTS_PACKETDRILL_PD_H

#include "base/bits.h"
#include "stack/stack.h"
#include "tests/packetdrill/abi.h"

#include <pthread.h>

#define PD_FDS_MAX 1024
#define PD_NEVER UINT64_MAX
#define PD_MTU_DEFAULT 1500
/* bits of tcp_fastopen */
#define PD_FASTOPEN_CLIENT 0x1u
#define PD_FASTOPEN_SERVER 0x2u
#define PD_FASTOPEN_ALL 0x400u
#define PD_TSO_BYTES 65535u /* the largest packet that segments are joined to */

/* ---- settings.c ------------------------------------------------------------------------------ */

/* What the flags, or else sysctls, say. See settings.c for the names. */
struct pd_settings {
	struct tcp_settings tcp;
	struct stack_buf_limits rmem, wmem;
	uint32_t mtu;
	uint32_t somaxconn;
	uint32_t notsent_lowat;
	uint32_t fastopen; /* bits as in tcp_fastopen */
	bool tso; /* segments that follow each other leave as one packet */
	uint32_t tso_segs; /* so many at most */
	bool sysctl; /* look at the kernel's */
	bool libc;   /* take libc's place where packetdrill calls it */
	char congestion_before[128]; /* the kernel's, before the script */
	uint64_t flagged; /* settings.c: those that a flag has set */
};

/* Linux's defaults, with @flags ("name=value,..."; NULL allowed) over them. Return: 0; -EINVAL, said on stderr. */
int pd_settings_init(struct pd_settings *set, const char *flags);
/* The kernel's sysctls now, for what the flags left open */
void pd_settings_refresh(struct pd_settings *set);

/* ---- world.c --------------------------------------------------------------------------------- */

/* A packet that left: Ethernet header and all */
struct pd_packet {
	struct pd_packet *next;
	uint64_t time_us;
	uint32_t len, room;
	uint32_t burst; /* tso.c: what was sent in one go has the same number */
	uint8_t data[];
};

/* A thread inside a call that blocks */
struct pd_waiter {
	struct pd_waiter *next;
	bool (*ready)(void *arg);
	void *arg;
	uint64_t deadline_us;
	bool over; /* the first thread has seen that the wait is over */
};

struct pd_file;

struct pd_world {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t first; /* whose waiting moves the clock */
	uint64_t now_us;
	uint64_t spin_until_us; /* gettimeofday() alone may move the clock this far */
	uint32_t spins;		/* calls of gettimeofday() in a row */
	uint32_t returning;	/* waiters that are over, and whose thread has not been seen since */
	struct pd_waiter *waiters;
	struct pd_packet *sent_head, **sent_tail;
	uint32_t burst;	   /* of what is sent now */
	uint32_t run_left; /* tso.c: packets of the run that have been seen to */
	uint32_t ports, end; /* tso.c: of the connection that sent last, and what it has sent */
	uint32_t nothing_cnt; /* packets asked for in vain */
	struct stack *stack;
	struct link_id link;
	struct pd_settings set;
	struct ip_addr local4, local6; /* where connections come from: last bound */
	uint16_t port_next;
	struct pd_file *files[PD_FDS_MAX];
};

/* Return: 0; negative errno. */
int pd_world_init(struct pd_world *w, const char *flags);
void pd_world_fini(struct pd_world *w);

/* The stack is there, and has the settings of now. Return: 0; negative errno. */
int pd_world_stack(struct pd_world *w);
/* Something happened to the stack: what is due leaves, files learn of their events, waiters of theirs. */
void pd_settle(struct pd_world *w);
/* Sleep until @deadline_us or until @ready. Return: 0: ready; -EAGAIN: the time is over; -EDEADLK: nothing can happen. */
int pd_wait(struct pd_world *w, bool (*ready)(void *arg), void *arg, uint64_t deadline_us);
/* The calling thread is here: whoever waits for it may go on. */
void pd_seen(struct pd_world *w);

int pd_netdev_send(struct pd_world *w, const void *buf, size_t len);
int pd_netdev_receive(struct pd_world *w, void *buf, size_t *len, long long *time_us);
void pd_usleep(struct pd_world *w, uint32_t us);
uint64_t pd_clock(struct pd_world *w);

/* ---- file.c ---------------------------------------------------------------------------------- */

enum pd_kind { PD_TCP, PD_UDP, PD_EPOLL };

enum pd_sock_state {
	PD_NEW,	       /* also after a connection attempt failed, and after disconnecting */
	PD_LISTEN,     /* listener is valid */
	PD_CONNECTING, /* tcp is valid; connect() has not reported the outcome yet */
	PD_CONNECTED,  /* tcp is valid, whatever became of it since */
};

/* Options kept until there is a connection or listener to tell, and told to what is accepted */
#define PD_OPTS (TCP_OPT_DEFER_ACCEPT_S + 1)
/* ... those of a listener alone */
#define PD_OPTS_LISTENER (1u << TCP_OPT_FASTOPEN_MAX | 1u << TCP_OPT_DEFER_ACCEPT_S)

struct pd_err; /* errqueue.c */

struct pd_file {
	enum pd_kind kind;
	int fd;
	int twin; /* the other end of the descriptor; what sendfile() wrote is read here. -1: none */
	bool nonblock;
	/* how often each happened, for edges */
	uint32_t in_cnt, out_cnt;

	/* sockets */
	enum pd_sock_state state;
	bool v6, v6only, bound, reuse;
	struct endpoint local, remote;
	struct listener_id listener;
	struct tcp_id tcp;
	struct udp_id udp;
	bool rd_shut, wr_shut;
	int err; /* positive errno, for SO_ERROR or the next call */
	uint64_t opt_value[PD_OPTS];
	uint32_t opt_set; /* bit: enum tcp_option */
	int linger_s; /* -1: off */
	uint64_t rcvtimeo_us, sndtimeo_us; /* 0: none */
	uint32_t rcvlowat;
	uint32_t sndbuf, rcvbuf; /* as getsockopt() shows them; 0: not set */
	uint32_t notsent_lowat; /* 0: none */
	uint64_t written;	/* bytes, in all */
	uint32_t zerocopy_next;
	bool zerocopy, inq;
	bool fastopen_connect;
	bool fastopen_deferred; /* connect() is done by the first send */
	uint64_t max_pacing;
	struct pd_err *errs;
	struct pd_misc *misc; /* options that are kept and do nothing */

	/* epoll */
	struct pd_watch *watches;
};

struct pd_file *pd_file_new(struct pd_world *w, enum pd_kind kind);
/* NULL: not ours */
struct pd_file *pd_file_find(struct pd_world *w, int fd);
void pd_file_free(struct pd_world *w, struct pd_file *f);
int pd_close(struct pd_world *w, int fd);
void pd_file_event(struct pd_file *f, uint32_t events);
int pd_fcntl(struct pd_world *w, int fd, int cmd, long arg);
int pd_ioctl(struct pd_world *w, int fd, unsigned long request, void *arg);
ssize_t pd_splice(struct pd_world *w, int fd_in, int fd_out, size_t len, unsigned int flags);
/* What sendfile() wrote to descriptors goes to their connections. */
void pd_twins(struct pd_world *w);

/* ---- sock.c ---------------------------------------------------------------------------------- */

int pd_socket(struct pd_world *w, int domain, int type, int protocol);
int pd_bind(struct pd_world *w, struct pd_file *f, const struct sockaddr *addr, socklen_t len);
int pd_listen(struct pd_world *w, struct pd_file *f, int backlog);
int pd_accept(struct pd_world *w, struct pd_file *f, struct sockaddr *addr, socklen_t *len);
int pd_connect(struct pd_world *w, struct pd_file *f, const struct sockaddr *addr, socklen_t len);
int pd_shutdown(struct pd_world *w, struct pd_file *f, int how);
/* SO_LINGER's part of close(): wait. */
void pd_sock_linger(struct pd_world *w, struct pd_file *f);
/* The socket's part of close() */
void pd_sock_close(struct pd_world *w, struct pd_file *f);
/* An address as the socket's family shows it */
void pd_addr_out(const struct pd_file *f, const struct endpoint *ep, struct sockaddr *addr, socklen_t *len);
int pd_addr_in(const struct pd_file *f, const struct sockaddr *addr, socklen_t len, struct endpoint *ret_ep);
/* A pending error, once. Return: 0 or positive errno. */
int pd_sock_error(struct pd_world *w, struct pd_file *f);
/* UDP: there is a port to receive on. */
int pd_udp_ready(struct pd_world *w, struct pd_file *f);
struct ip_addr pd_source(const struct pd_world *w, const struct pd_file *f, const struct ip_addr *remote);
/*
 * Begin a connection, with options; with Fast Open if @ret_len is not NULL. Return: as tcp_connect_data().
 */
int pd_tcp_start(struct pd_world *w, struct pd_file *f, const struct endpoint *remote, const void *buf, size_t len,
		 size_t *ret_len);
/* Wait until the attempt is over. Return: as connect(). */
int pd_connect_wait(struct pd_world *w, struct pd_file *f);

/* ---- xfer.c ---------------------------------------------------------------------------------- */

ssize_t pd_recvmsg(struct pd_world *w, struct pd_file *f, struct msghdr *msg, int flags);
ssize_t pd_sendmsg(struct pd_world *w, struct pd_file *f, const struct msghdr *msg, int flags);
/* MSG_FASTOPEN, or the first send after a connect() that was put off */
ssize_t pd_fastopen_send(struct pd_world *w, struct pd_file *f, const struct msghdr *msg, const void *buf, size_t len,
			 int flags);
ssize_t pd_send_bytes(struct pd_world *w, struct pd_file *f, const void *buf, size_t len, int flags);

/* ---- option.c, info.c ------------------------------------------------------------------------ */

int pd_getsockopt(struct pd_world *w, struct pd_file *f, int level, int name, void *value, socklen_t *len);
int pd_setsockopt(struct pd_world *w, struct pd_file *f, int level, int name, const void *value, socklen_t len);
/* Options of a listener or connection that just came to be */
int pd_options_apply(struct pd_world *w, struct pd_file *f);
void pd_options_inherit(const struct pd_file *from, struct pd_file *f);
/* An option that is only remembered. Return: 0; -ENOPROTOOPT. */
int pd_misc_get(const struct pd_file *f, int level, int name, int *ret_value);
void pd_misc_free(struct pd_file *f);
int pd_tcp_info(struct pd_world *w, struct pd_file *f, void *value, socklen_t *len);

/* ---- errqueue.c ------------------------------------------------------------------------------ */

/* A send with MSG_ZEROCOPY was made; it is complete when all that was written is acknowledged. */
void pd_err_zerocopy(struct pd_file *f);
bool pd_err_pending(struct pd_world *w, const struct pd_file *f);
ssize_t pd_err_recv(struct pd_world *w, struct pd_file *f, struct msghdr *msg);
void pd_err_free(struct pd_file *f);

/* ---- tso.c ----------------------------------------------------------------------------------- */

/* The first packet sent is about to be taken: make of it and those that go on from it what Linux would. */
void pd_tso_run(struct pd_world *w);

/* ---- ready.c --------------------------------------------------------------------------------- */

/* poll()'s bits, whatever was asked for */
uint32_t pd_ready(struct pd_world *w, struct pd_file *f);
int pd_poll(struct pd_world *w, struct pollfd *fds, nfds_t cnt, int timeout_ms);
int pd_epoll_ctl(struct pd_world *w, struct pd_file *ep, int op, int fd, const struct epoll_event *event);
int pd_epoll_wait(struct pd_world *w, struct pd_file *ep, struct epoll_event *events, int cnt, int timeout_ms);
void pd_watches_drop(struct pd_world *w, struct pd_file *f);

/* ---- libc.c ---------------------------------------------------------------------------------- */

/* From now on the program's calls of getsockopt() come here first. */
void pd_libc_place(struct pd_world *w);

#endif
