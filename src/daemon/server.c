/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/server.h"

#include "base/assert.h"
#include "base/proc_stat.h"
#include "base/time.h"
#include "daemon/app.h"
#include "daemon/board.h"
#include "daemon/fd_worker.h"
#include "daemon/firewall.h"
#include "daemon/interfaces.h"
#include "daemon/local_addr.h"
#include "daemon/proof.h"
#include "daemon/request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define DEAF_NS (20 * NS_PER_MS)

enum {
	EVENTS_PER_ROUND = 64,
	READS_PER_ROUND = 16, /* of one client, then the others have their turn */
	ACCEPTS_PER_ROUND = 64,
	FDS_PER_CONN = 2,
	FDS_RESERVED = 64, /* for all that isn't a connection: a channel being made, and so on */
	/* Bounds what waits in one client's socket, descriptors included: about 80 messages. */
	SEND_BUFFER_BYTES = 64 * 1024,
};

/* What an epoll event belongs to. */
struct watch {
	enum watch_kind {
		WATCH_LISTENER,
		WATCH_SIGNAL,
		WATCH_WORKER,
		WATCH_INTERFACES,
		WATCH_CONN,
		WATCH_PROCESS
	} kind;
	struct conn *conn; /* the last two */
};

struct conn {
	TAILQ_ENTRY(conn) changed_entry;
	struct server *s;
	struct app app;
	int fd;
	int pidfd; /* -1: the kernel didn't give one; the socket's end must do */
	struct watch watch_fd, watch_pidfd;
	uint32_t events; /* what epoll is asked for */
	bool changed;	 /* in server.changed */
};

TAILQ_HEAD(conn_list, conn);

struct server {
	struct server_config cfg;
	struct vjd vjd;
	struct fd_worker *worker;
	int epoll_fd, listen_fd, signal_fd;
	struct policy_conf *policy;
	int spare_fd; /* given up to accept and hang up when there are no descriptors left */
	struct watch watch_firewall;
	struct watch watch_listener, watch_signal, watch_worker, watch_interfaces;
	struct conn_list changed; /* to be looked at before the next wait */
	struct conn_list freed;	  /* closed; events of this round may still name them */
	uint32_t conn_cnt, conn_max;
	uint64_t deaf_until_ns; /* nobody is let in before: accept() fails, and the listener stays readable. 0: hears */
	uint64_t idle_since_ns; /* no application since */
	bool has_app, had_app;	/* in the last round; a new one since somebody came last */
	uint32_t apps_seen;
	bool stop;
	bool mute; /* nobody is told anything any more */
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static struct conn *conn_of(struct app *app)
{
	return container_of(app, struct conn, app);
}

static void conn_changed(struct conn *c)
{
	if (c->changed)
		return;
	c->changed = true;
	TAILQ_INSERT_TAIL(&c->s->changed, c, changed_entry);
}

/* ---- what the state asks of us (struct vjd_ops) */

static int op_send(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	struct ctl_packet p;

	if (conn_of(app)->s->mute)
		return -ENOTCONN;
	ctl_packet_send(&p, msg, fds, fd_cnt);
	if (sendmsg(conn_of(app)->fd, &p.hdr, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	/*
	 * too many descriptors under way to a user who doesn't fetch them is the same as a full
	 * socket
	 */
	return errno == EWOULDBLOCK || errno == ETOOMANYREFS || errno == ENOBUFS ? -EAGAIN : -errno;
}

static void op_changed(struct app *app)
{
	conn_changed(conn_of(app));
}

static void op_submit(struct vjd *d, struct fd_job *job)
{
	fd_worker_submit(container_of(d, struct server, vjd)->worker, job);
}

static void op_random(void *buf, size_t bytes)
{
	/*
	 * up to 256 bytes at once this neither fails nor falls short once the kernel has its seed
	 */
	while (getrandom(buf, bytes, 0) != (ssize_t)bytes)
		;
}

/* A zombie has ended too: kill() would still find it. */
static bool op_process_ended(int32_t pid)
{
	struct pollfd pfd = { .events = POLLIN };
	bool ended;

	if (pid <= 0) /* of a pid namespace that can't be seen from here */
		return false;
	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pfd.fd < 0)
		return errno == ESRCH;
	ended = poll(&pfd, 1, 0) == 1;
	close(pfd.fd);
	return ended;
}

/* As proc(5) has it, of its first thread */
static bool op_process_stopped(int32_t pid)
{
	char path[32], stat[256];
	ssize_t len;
	char state;
	int fd;

	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, stat, sizeof(stat));
	close(fd);
	state = len > 0 ? proc_stat_state(stat, (size_t)len) : '\0';
	return state == 'T' || state == 't';
}

static const struct vjd_ops ops = {
	.send = op_send,
	.changed = op_changed,
	.submit = op_submit,
	.process_ended = op_process_ended,
	.process_stopped = op_process_stopped,
	.addr_is_local = local_addr,
	.random = op_random,
};

/* ---- connections */

static int watch_add(const struct server *s, int fd, uint32_t events, struct watch *w)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

static void conn_close_fds(struct conn *c)
{
	close(c->fd);
	if (c->pidfd >= 0)
		close(c->pidfd);
}

/* Only marks it free: this round's events may still point to it. */
static void conn_end(struct conn *c)
{
	struct server *s = c->s;

	if (c->app.state == APP_GONE)
		return;
	app_gone(&c->app);
	conn_close_fds(c);
	if (c->changed)
		TAILQ_REMOVE(&s->changed, c, changed_entry);
	TAILQ_INSERT_TAIL(&s->freed, c, changed_entry);
	s->conn_cnt--;
}

static int peer_pidfd(int fd, int32_t pid)
{
	int pidfd = -1;
	socklen_t bytes = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &bytes) == 0)
		return pidfd;
	/* the number may be another process's by now; then the end of the socket is what tells */
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int peer_cred(int fd, struct app_cred *ret_cred)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) != 0)
		return -errno;
	/* of an accepted socket: the namespace of who connected */
	*ret_cred = (struct app_cred){ .uid = cred.uid, .pid = cred.pid, .netns = proof_netns(fd) };
	return 0;
}

static int conn_watch(struct conn *c)
{
	int r;

	c->events = EPOLLIN | EPOLLRDHUP;
	r = watch_add(c->s, c->fd, c->events, &c->watch_fd);
	if (r == 0 && c->pidfd >= 0)
		r = watch_add(c->s, c->pidfd, EPOLLIN, &c->watch_pidfd);
	return r;
}

/* Takes @fd. */
static int conn_new(struct server *s, int fd)
{
	static const int send_buffer_bytes = SEND_BUFFER_BYTES;
	struct conn *c = calloc(1, sizeof(*c));
	struct app_cred cred;
	int r = -ENOMEM;

	if (c == NULL)
		goto err_close;
	c->s = s;
	c->fd = fd;
	c->watch_fd = (struct watch){ WATCH_CONN, c };
	c->watch_pidfd = (struct watch){ WATCH_PROCESS, c };
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof(send_buffer_bytes));
	r = peer_cred(fd, &cred);
	if (r == 0)
		r = app_init(&s->vjd, &c->app, &cred);
	if (r < 0)
		goto err_free;
	s->conn_cnt++;
	c->pidfd = peer_pidfd(fd, cred.pid);
	r = conn_watch(c);
	if (r < 0)
		conn_end(c);
	return r;

err_free:
	free(c);
err_close:
	close(fd);
	return r;
}

/* Return: false: nothing to read now, or c is no more */
static bool receive_one(struct conn *c)
{
	int fds[CTL_PACKET_FDS_ROOM];
	enum ctl_refusal verdict;
	struct ctl_packet p;
	struct ctl_msg msg;
	unsigned fd_cnt;
	ssize_t n;

	ctl_packet_recv(&p);
	n = recvmsg(c->fd, &p.hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* an empty packet looks like the end, and is treated so: nobody sends one by mistake */
	if (n < 0 || (n == 0 && p.hdr.msg_controllen == 0)) {
		conn_end(c);
		return false;
	}
	verdict = ctl_packet_check(&p, (size_t)n, CTL_FROM_CLIENT, &msg, fds, &fd_cnt);
	request_handle(&c->app, verdict, &msg, fds, fd_cnt);
	return true;
}

static void conn_read(struct conn *c)
{
	for (unsigned i = 0; i < READS_PER_ROUND && app_wants_read(&c->app); i++)
		if (!receive_one(c))
			return;
	conn_changed(c);
}

static void conn_event(struct conn *c, uint32_t events)
{
	if (c->app.state == APP_GONE)
		return;
	if ((events & EPOLLOUT) != 0)
		app_flush(&c->app);
	if (app_wants_read(&c->app)) {
		conn_read(c);
		return;
	}
	/* not to be read now, but there will be nothing more: it would be reported for ever */
	if ((events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0)
		conn_end(c);
	else
		conn_changed(c);
}

/* Ask epoll for what is wanted now; end what is to be ended. */
static void conn_settle(struct conn *c)
{
	struct epoll_event e = { .data.ptr = &c->watch_fd };

	if (c->app.state == APP_LEAVING) {
		app_flush(&c->app);
		conn_end(c);
		return;
	}
	e.events = EPOLLRDHUP | (app_wants_read(&c->app) ? EPOLLIN : 0u) |
		   (app_wants_write(&c->app) ? EPOLLOUT : 0u);
	if (e.events == c->events)
		return;
	c->events = e.events;
	if (epoll_ctl(c->s->epoll_fd, EPOLL_CTL_MOD, c->fd, &e) != 0)
		conn_end(c);
}

static void settle_all(struct server *s)
{
	struct conn *c;

	/* ending one tells others, who change in turn */
	while ((c = TAILQ_FIRST(&s->changed)) != NULL) {
		TAILQ_REMOVE(&s->changed, c, changed_entry);
		c->changed = false;
		conn_settle(c);
	}
	while ((c = TAILQ_FIRST(&s->freed)) != NULL) {
		TAILQ_REMOVE(&s->freed, c, changed_entry);
		free(c);
	}
}

/* ---- listening */

static int set_up_socket(int fd, const struct sockaddr_un *sun, uint32_t mode)
{
	struct stat st;

	/* left behind by one who was killed; the lock says that nobody lives there */
	if (lstat(sun->sun_path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		unlink(sun->sun_path);
	}
	/* until listen() nobody gets in, so the mode is right before it matters */
	if (bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) != 0 || chmod(sun->sun_path, mode) != 0)
		return -errno;
	return 0;
}

static int take_name(struct server *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(s->cfg.path);
	int fd, r;

	if (len >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, s->cfg.path, len);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = set_up_socket(fd, &sun, s->cfg.socket_mode);
	if (r == 0)
		r = watch_add(s, fd, EPOLLIN, &s->watch_listener);
	if (r < 0) {
		close(fd);
		return r;
	}
	s->listen_fd = fd;
	return 0;
}

/* No descriptor left: let one in and out, or the listener would be readable for ever. Return: false: not even that */
static bool turn_away(struct server *s)
{
	int fd;

	close(s->spare_fd);
	fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	s->spare_fd = eventfd(0, EFD_CLOEXEC);
	return fd >= 0;
}

static void listen_again(struct server *s)
{
	s->deaf_until_ns = 0;
	if (s->spare_fd < 0)
		s->spare_fd = eventfd(0, EFD_CLOEXEC);
	watch_add(s, s->listen_fd, EPOLLIN, &s->watch_listener);
}

/* accept() fails for want of what the whole host lacks: without a pause the loop would do nothing else. */
static void go_deaf(struct server *s)
{
	s->deaf_until_ns = time_add_sat(s->vjd.now_ns, DEAF_NS);
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->listen_fd, NULL);
}

/* Return: connections that came */
static unsigned accept_all(struct server *s)
{
	unsigned cnt = 0;

	while (cnt < ACCEPTS_PER_ROUND) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE ? !turn_away(s)
							       : errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				go_deaf(s);
			break;
		}
		cnt++;
		if (s->conn_cnt >= s->conn_max)
			close(fd);
		else
			conn_new(s, fd);
	}
	/* whoever comes gets the time to become an application, or to start one: as long as the first one had */
	if (cnt > 0) {
		s->idle_since_ns = s->vjd.now_ns;
		s->had_app &= s->cfg.first_exit_ns == TIME_NEVER; /* it has none: to leave as if the others had gone just now */
	}
	return cnt;
}

/* ---- leaving */

static uint64_t exit_deadline_ns(const struct server *s)
{
	if (s->vjd.app_cnt > 0)
		return TIME_NEVER;
	return time_add_sat(s->idle_since_ns,
			    s->had_app ? s->cfg.idle_exit_ns : s->cfg.first_exit_ns);
}

/*
 * Time to go, unless somebody is at the door. First the name is taken away, so that nobody new
 * finds the way; who had found it already is let in, and the name is put back.
 */
static int try_to_leave(struct server *s)
{
	int r;

	unlink(s->cfg.path);
	notice_board_take_down(s->vjd.board);
	s->stop = true;
	if (accept_all(s) == 0)
		return 0;
	close(s->listen_fd);
	s->stop = false;
	r = take_name(s);
	if (r == 0)
		r = server_open(s);
	if (r == 0)
		notice_board_put_up(s->vjd.board);
	return r;
}

static int look_after_time(struct server *s)
{
	bool has_app = s->vjd.app_cnt > 0;

	if (s->deaf_until_ns != 0 && s->vjd.now_ns >= s->deaf_until_ns)
		listen_again(s);
	app_expire_strangers(&s->vjd);
	half_look(&s->vjd);
	firewall_run(&s->vjd);
	interfaces_run(&s->vjd);
	notice_board_interfaces(s->vjd.board, interfaces_cnt(&s->vjd));
	if (has_app || s->has_app)
		s->idle_since_ns = s->vjd.now_ns;
	s->has_app = has_app;
	s->had_app |= s->vjd.apps_ever != s->apps_seen;
	s->apps_seen = s->vjd.apps_ever;
	return s->vjd.now_ns >= exit_deadline_ns(s) ? try_to_leave(s) : 0;
}

static int wait_ms(const struct server *s)
{
	uint64_t deadline_ns = min_u64(exit_deadline_ns(s), app_stranger_deadline_ns(&s->vjd));
	uint64_t ms;

	deadline_ns = min_u64(deadline_ns, half_deadline_ns(&s->vjd));
	deadline_ns = min_u64(deadline_ns, interfaces_deadline_ns(&s->vjd));
	deadline_ns = min_u64(deadline_ns, firewall_deadline_ns(&s->vjd));
	if (s->deaf_until_ns != 0)
		deadline_ns = min_u64(deadline_ns, s->deaf_until_ns);
	if (deadline_ns == TIME_NEVER)
		return -1;
	ms = time_ns_to_ms_ceil(time_sub_sat(deadline_ns, s->vjd.now_ns));
	return (int)min_u64(ms, 1000 * 1000);
}

/* ---- the loop */

/* A policy that isn't right, or is gone, leaves the old one in force. */
static int read_policy(struct server *s, char why[static POLICY_WHY_BYTES])
{
	struct policy_conf *fresh = malloc(sizeof(*fresh));
	int r = fresh != NULL ? policy_conf_load(s->cfg.policy, fresh, why) : -ENOMEM;

	if (r < 0) {
		free(fresh);
		return r == -ENOENT && s->cfg.policy_optional && s->policy == NULL ? 0 : r;
	}
	free(s->policy);
	s->vjd.policy = s->policy = fresh;
	interfaces_policy_changed(&s->vjd);
	return 0;
}

static void take_signal(struct server *s)
{
	struct signalfd_siginfo info;
	char why[POLICY_WHY_BYTES] = "no memory";

	if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP) {
		s->stop = true;
		return;
	}
	if (s->cfg.policy == NULL)
		return;
	if (read_policy(s, why) < 0)
		log_error(s->cfg.vjd.log, "the policy stays as it was: %s", why);
	else if (s->policy != NULL)
		log_info(s->cfg.vjd.log, "policy: %u rules of %s", s->policy->cnt, s->cfg.policy);
}

static void dispatch(struct server *s, const struct watch *w, uint32_t events)
{
	struct fd_job *job;

	switch (w->kind) {
	case WATCH_LISTENER:
		accept_all(s);
		break;
	case WATCH_SIGNAL:
		take_signal(s);
		break;
	case WATCH_WORKER:
		while ((job = fd_worker_reap(s->worker)) != NULL)
			request_job_done(&s->vjd, job);
		break;
	case WATCH_INTERFACES: /* looked after in each round */
		break;
	case WATCH_CONN:
		conn_event(w->conn, events);
		break;
	case WATCH_PROCESS:
		conn_end(w->conn);
		break;
	}
}

int server_run(struct server *s)
{
	struct epoll_event events[EVENTS_PER_ROUND];

	notice_board_interfaces(s->vjd.board, interfaces_cnt(&s->vjd));
	notice_board_put_up(s->vjd.board);
	while (!s->stop) {
		int n = epoll_wait(s->epoll_fd, events, EVENTS_PER_ROUND, wait_ms(s));
		int r;

		if (n < 0 && errno != EINTR)
			return -errno;
		s->vjd.now_ns = clock_ns();
		for (int i = 0; i < n; i++)
			dispatch(s, events[i].data.ptr, events[i].events);
		settle_all(s);
		r = look_after_time(s);
		settle_all(s);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static uint32_t conn_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur <= FDS_RESERVED + FDS_PER_CONN)
		return 1;
	return (uint32_t)min_u64((rl.rlim_cur - FDS_RESERVED) / FDS_PER_CONN, UINT32_MAX);
}

static int open_fds(struct server *s)
{
	int r = 0;

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->spare_fd = eventfd(0, EFD_CLOEXEC);
	if (s->epoll_fd < 0 || s->spare_fd < 0)
		return -errno;
	s->signal_fd = open_signals();
	if (s->signal_fd < 0)
		return s->signal_fd;
	r = fd_worker_new(&s->worker);
	if (r == 0)
		r = watch_add(s, s->signal_fd, EPOLLIN, &s->watch_signal);
	if (r == 0)
		r = watch_add(s, fd_worker_fd(s->worker), EPOLLIN, &s->watch_worker);
	return r == 0 ? take_name(s) : r;
}

/*
 * Rules are root's to see (with CAP_NET_ADMIN, which interfaces need as well): a vjd without it has channels between programs of one user only, who
 * can share memory anyway.
 */
static int open_firewall(struct server *s)
{
	int fd, r = firewall_new(&s->vjd, &fd);

	if (r == -EPERM || r == -EPROTONOSUPPORT)
		return 0;
	return r == 0 ? watch_add(s, fd, EPOLLIN, &s->watch_firewall) : r;
}

/* A private vjd has no business with interfaces, and anybody else than root no chance. */
static int open_interfaces(struct server *s)
{
	char dir[128];
	int fd, r;

	if (s->cfg.vjd.private_mode || s->cfg.vjd.uid != 0)
		return 0;
	snprintf(dir, sizeof(dir), "%s.d", s->cfg.path);
	r = interfaces_new(&s->vjd, dir, &fd);
	return r == 0 ? watch_add(s, fd, EPOLLIN, &s->watch_interfaces) : r;
}

int server_new(const struct server_config *cfg, struct server **ret_server, char ret_why[static POLICY_WHY_BYTES])
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->cfg = *cfg;
	s->epoll_fd = s->listen_fd = s->signal_fd = s->spare_fd = -1;
	s->watch_listener.kind = WATCH_LISTENER;
	s->watch_signal.kind = WATCH_SIGNAL;
	s->watch_worker.kind = WATCH_WORKER;
	s->watch_interfaces.kind = WATCH_INTERFACES;
	s->watch_firewall.kind = WATCH_INTERFACES;
	TAILQ_INIT(&s->changed);
	TAILQ_INIT(&s->freed);
	s->conn_max = conn_limit();
	r = vjd_init(&s->vjd, &cfg->vjd, &ops, clock_ns());
	s->idle_since_ns = s->vjd.now_ns;
	if (r == 0) {
		s->vjd.board = notice_board_new(cfg->path);
		r = open_fds(s);
	}
	if (r < 0) {
		server_free(s);
		return r;
	}
	s->vjd.cfg.netns = proof_netns(s->listen_fd);
	if (cfg->policy != NULL && read_policy(s, ret_why) < 0)
		r = -EBADMSG;
	if (r == 0)
		r = open_firewall(s);
	if (r == 0)
		r = open_interfaces(s);
	if (r < 0) {
		server_free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

enum ctl_refusal server_attach(struct server *s, const char *name, bool gateway, const struct ip_prefix *prefix)
{
	struct ctl_interface said;

	return gateway ? gateways_attach(&s->vjd, name, &said) : interfaces_attach(&s->vjd, name, false, prefix, &said);
}

int server_open(struct server *s)
{
	return listen(s->listen_fd, SOMAXCONN) == 0 ? 0 : -errno;
}

static void end_all(struct app_list *apps)
{
	struct app *app;

	while ((app = TAILQ_FIRST(apps)) != NULL)
		conn_end(conn_of(app));
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void server_free(struct server *s)
{
	if (s == NULL)
		return;
	if (s->listen_fd >= 0)
		unlink(s->cfg.path);
	/* first, so that channels serve on */
	interfaces_free(&s->vjd);
	firewall_free(&s->vjd);
	/* no application is gone because we are: each would be told so of those before it, and reset what it has with them */
	s->mute = true;
	end_all(&s->vjd.apps);
	end_all(&s->vjd.strangers);
	settle_all(s);
	vjd_fini(&s->vjd);
	notice_board_free(s->vjd.board);
	close_if_open(s->listen_fd);
	close_if_open(s->signal_fd);
	close_if_open(s->spare_fd);
	close_if_open(s->epoll_fd);
	fd_worker_free(s->worker);
	free(s->policy);
	free(s);
}
