// SPDX-License-Identifier: BSD-2-Clause
/*
 * ctx.c - the lock, the context of libvj behind it, and the way of events from libvj to those who
 * wait
 */
#include "sock/async.h"
#include "sock/away.h"
#include "sock/calm.h"
#include "sock/ctx.h"
#include "sock/dest.h"
#include "sock/dgram.h"
#include "sock/env.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork.h"
#include "sock/fork_server.h"
#include "sock/go.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/signals.h"
#include "sock/stream.h"
#include "sock/unanswered.h"
#include "sock/wait.h"
#include "sock/why.h"

#include "base/assert.h"
#include "base/time.h"
#include "lib/connect.h"
#include "lib/deed.h"
#include "lib/own_fd.h"
#include "lib/pause.h"
#include "lib/wait.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SPIN_US_DEFAULT = 50,
	VJD_MS = 2000, /* a daemon that does not answer costs so much the first time that it is asked */
	ABSENT_S = 1, SILENT_S = 2,
	DRAIN_MS = 2000,
	SPIN_US_MAX = 1000000,
	EVENT_BATCH = 16,
	LOCK_TRIES = 16, /* a fifth of a microsecond each */
	SPIN_AFTER = 8,	 /* sleeps: once in vain is a twentieth of the run time of a brief program, whose peers have to wake first */
};

struct sock_layer sock VJ_LATER = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.helper = { .kick.fd = -1, .timer_fd = -1 },
	.placeholder = { -1, -1 },
	.spin_skip = SPIN_AFTER,
};

__thread bool sock_inside;

/* ---- lock ------------------------------------------------------------------------------------------------------ */

/*
 * Another thread has it, as a rule for less than a microsecond. To sleep until then takes several: two system calls, two switches, and perhaps a
 * processor that is to be woken.
 */
static VJ_COLD void lock_wait(void)
{
	for (unsigned tries = sock.alone ? 0 : LOCK_TRIES; tries; tries--) {
		cpu_relax();
		if (!pthread_mutex_trylock(&sock.lock))
			return;
	}
	pthread_mutex_lock(&sock.lock);
}

/* Who is alone has it at once, and not by trylock(), of which libc has a table that is another page of its, for a child of fork() to map. */
static inline void lock_get(void)
{
	if (__libc_single_threaded)
		pthread_mutex_lock(&sock.lock);
	else if (unlikely(pthread_mutex_trylock(&sock.lock)))
		lock_wait();
}

VJ_EARLY void lock_take(void)
{
	sock_inside = true; /* before: a handler that runs behind that must not want the lock */
	atomic_signal_fence(memory_order_seq_cst);
	lock_get();
}

/* Tried again and again: ThreadSanitizer does not know pthread_mutex_clocklock(), by the monotonic clock. */
bool lock_soon(void)
{
	if (sock_inside)
		return false;
	for (unsigned tries = 0; pthread_mutex_trylock(&sock.lock); tries++) {
		if (tries == LOCK_SOON_MS)
			return false;
		sys_poll_ms(NULL, 0, 1);
	}
	sock_inside = true;
	return true;
}

VJ_EARLY static void unlock(void)
{
	if (unlikely(sock.kicks_due))
		kicks_unlock();
	else
		pthread_mutex_unlock(&sock.lock);
}

VJ_EARLY void lock_drop(void)
{
	unlock();
	atomic_signal_fence(memory_order_seq_cst);
	sock_inside = false;
	atomic_signal_fence(memory_order_seq_cst);
	if (unlikely(atomic_load_explicit(&sock_deferred, memory_order_relaxed)))
		signal_release();
}

VJ_EARLY void sleeping_update(void)
{
	sock.sleeping = sock.sleepers || sock.helper.state > HELPER_WATCH || (sock.helper.state == HELPER_WATCH && sock.helper.seldom) || sock.ended;
}

/* The reference is this list's, until the lock is given up: the call under way may have no other to what has ended while it looked. */
void ended_later(struct sock *s)
{
	s->next_copied = sock.ended;
	sock.ended = s;
	sleeping_update();
}

VJ_COLD void ended_put(void)
{
	while (sock.ended) {
		struct sock *s = sock.ended;

		sock.ended = s->next_copied;
		file_put(&s->file);
	}
	sleeping_update();
}

/* The program has been here while a thread slept, and may have set timers and made links. */
static VJ_COLD void sleepers_look_after(void)
{
	if (unlikely(sock.ended != NULL))
		ended_put();
	if (sock.helper.state == HELPER_CALM && sock.vj)
		helper_due(DUE_CALL);
	if (sock.helper.state == HELPER_CALM) /* it hears what is to be heard: nobody has to lead */
		return;
	if (sock.leader && sock.vj)
		leader_look();
	if (sock.sleepers && !sock.leader && !sock.called && !(sock.vj && bell_give())) { /* else who is about to wake sees to it when he leaves, or leads */
		sock.sleepers->to_lead = true;
		kick_send(sock.sleepers->kick);
	}
	if (sock.helper.state == HELPER_DUE || sock.helper.state == HELPER_WATCH)
		helper_settle();
}

VJ_EARLY void lock_leave(void)
{
	if (unlikely(sock.sleeping))
		sleepers_look_after();
	lock_drop();
}

/* The lock alone: handlers of this thread wait. */
void lock_lend(void)
{
	if (unlikely(sock.sleeping))
		sleepers_look_after();
	unlock();
}

void lock_regain(void)
{
	lock_get();
}

VJ_EARLY struct file *file_enter(int fd)
{
	struct file *f;

	if (unlikely(sock_inside)) /* a signal handler inside one of our own calls */
		return NULL;
	lock_take();
	f = fd_peek(fd);
	if (unlikely(!f))
		lock_leave();
	return f;
}

VJ_EARLY struct sock *name_enter(int fd)
{
	struct file *f = file_enter(fd);

	if (unlikely(!f))
		return NULL;
	if (likely(f->kind == FILE_SOCK) && likely(sock_is_channel(sock_of(f))))
		return sock_of(f);
	lock_leave();
	return NULL;
}

struct sock *conn_enter(int fd)
{
	struct sock *s = name_enter(fd);

	if (unlikely(s && s->state == SOCK_AWAY) && !away_claim(fd, s)) {
		lock_leave();
		return NULL;
	}
	return s;
}

static inline struct sock *enter(int fd, bool lent)
{
	struct file *f = file_enter(fd);

	if (unlikely(!f))
		return NULL;
	if (likely(f->kind == FILE_SOCK)) {
		struct sock *s = sock_of(f);

		if (likely(sock_is_conn(s)))
			return s;
		if (s->state >= SOCK_DEAD && (s->state != SOCK_AWAY || (lent && away_is_lent(fd)) || away_claim(fd, s)))
			return s;
		if (s->state == SOCK_FRESH && s->err) /* shutdown() gave it up, which is told once */
			return s;
	}
	lock_leave();
	return NULL;
}

struct sock *io_enter(int fd)
{
	return enter(fd, false);
}

struct sock *send_enter(int fd, bool lent)
{
	return enter(fd, lent);
}

/* ---- context --------------------------------------------------------------------------------------------------- */

/* $VJ_SPIN_US; what is no number of that range is said, and as if it were not there */
VJ_EARLY static long spin_us_wanted(void)
{
	const char *value = env_value(ENV_SPIN_US);
	char *end;
	long us;

	if (!value)
		return SPIN_US_DEFAULT;
	us = strtol(value, &end, 10);
	if (end != value && !*end && us <= SPIN_US_MAX)
		return us;
	ctx_say("VJ_SPIN_US=%s is no number of microseconds up to %d: taken as %d", value, SPIN_US_MAX, SPIN_US_DEFAULT);
	return SPIN_US_DEFAULT;
}

/* How many processors there are is read from a file; not where it is known already that there are several. */
static bool spinning_helps(void)
{
	return !sock.alone || sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

static bool is_alone(void)
{
	cpu_set_t cpus;

	return SYS_CALL3(SYS_sched_getaffinity, 0, sizeof(cpus), memset(&cpus, 0, sizeof(cpus))) < 0 || CPU_COUNT(&cpus) == 1;
}

VJ_EARLY bool layer_init(void)
{
	if (sock.pid)
		return !sock.barred;
	sock.pid = ker_getpid();
	sock.alone = true; /* until it is known */
	sock.barred = program_is_go();
	sock.strict = env_is_on(ENV_STRICT);
	sock.verbose = sock.strict || env_is_on(ENV_VERBOSE);
	sock.spin_ns = (uint64_t)max_s64(spin_us_wanted(), 0) * NS_PER_US;
	own_fd_hook = fd_protect;
	why_init();
	fork_init();
	return !sock.barred;
}

/* Else it is a file that may not become so long (RLIMIT_FSIZE), and who tries is ended by a signal. */
static bool has_room(int fd, uint64_t bytes)
{
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY };
	struct stat st;

	SYS_CALL4(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &lim);
	return lim.rlim_cur == RLIM_INFINITY || sys_fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size + bytes <= lim.rlim_cur;
}

static void say_line(const char *text)
{
	char line[320];
	int len = snprintf(line, sizeof(line), "vjchan: %s[%d]: %s\n",
			   program_invocation_short_name, sock.pid, text);

	if (len > 0 && has_room(2, sizeof(line)))
		sys_write(2, line, min_size((size_t)len, sizeof(line) - 1));
}

void ctx_say(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!sock.verbose)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_line(text);
}

static void log_of_lib(void *arg, int level, const char *line)
{
	(void)arg;
	(void)level;
	ctx_say("%s", line);
}

/* $VJ_PCAP with the process id for each %p, to be freed; NULL: nothing is recorded. */
static char *pcap_path(void)
{
	const char *p = env_value(ENV_PCAP);
	char *buf = p ? malloc(PATH_MAX) : NULL;
	size_t len = 0;

	if (!buf)
		return NULL;
	for (; *p && len + 16 < PATH_MAX; p++) {
		if (p[0] == '%' && p[1] == 'p') {
			len += (size_t)snprintf(buf + len, PATH_MAX - len, "%d", sock.pid);
			p++;
		} else {
			buf[len++] = *p;
		}
	}
	buf[len] = '\0';
	return buf;
}

/* $VJ_MTU_PROBING, by the numbers of net.ipv4.tcp_mtu_probing; anything else is said, and is the host's. */
static uint8_t mtu_probing(void)
{
	static const char *const modes[] = {
		[VJ_MTU_PROBING_OFF] = "0", [VJ_MTU_PROBING_BLACK_HOLE] = "1", [VJ_MTU_PROBING_ALWAYS] = "2"
	};
	const char *value = env_value(ENV_MTU_PROBING);

	for (uint8_t i = VJ_MTU_PROBING_OFF; value && i < ARRAY_SIZE(modes); i++)
		if (!strcmp(value, modes[i]))
			return i;
	if (value)
		ctx_say("VJ_MTU_PROBING=%s is none of 0, 1 and 2: the host's setting counts", value);
	return VJ_MTU_PROBING_HOST;
}

/* Ours would be missing among the program's: it would fail where the kernel's sockets work. */
static int limit_check(void)
{
	uint64_t limit = own_fd_limit();

	if (limit >= OWN_FD_LIMIT_MIN)
		return 0;
	ctx_say("no channels: the hard limit of descriptors is %llu, %d are the least", (unsigned long long)limit,
		OWN_FD_LIMIT_MIN);
	return -EMFILE;
}

static int context_open(void)
{
	struct vj_options opts = VJ_OPTIONS_INIT;
	char *pcap = pcap_path();
	int err;

	opts.spin_us = -1; /* spinning is done here, where the lock can be given up */
	opts.log = log_of_lib;
	opts.socket_path = env_value(ENV_SOCKET);
	opts.pcap_path = pcap;
	opts.mtu_probing = mtu_probing();
	sock.alone = is_alone();
	if (sock.spin_ns && !spinning_helps())
		sock.spin_ns = 0;
	sock.opened_ns = sys_clock_ns();
	err = vj_open_within(&opts, sock.refused == -ETIMEDOUT ? pause_patience_ms(&sock.detached, VJD_MS) : VJD_MS, &sock.vj);
	free(pcap);
	if (err) {
		ctx_say("no channels: vjd: %s", strerror(-err));
		fd_table_shrink(); /* what was open meanwhile had numbers of ours */
		return err;
	}
	board_let_go(&sock.board);
	away_init();
	fork_server_attached();
	dgrams_attach();
	err = sets_attach();
	if (!err)
		err = helper_start();
	if (err) {
		ctx_say("no channels: no helper thread or no descriptor: %s", strerror(-err));
		vj_close(sock.vj);
		sock.vj = NULL;
	}
	return err;
}

int ctx_get(void)
{
	int err;

	if (likely(sock.vj != NULL))
		return 0;
	/* another thread is just closing it, or did, and the helper, which takes the next context for its own, has not had the processor since */
	if (sock.exiting || sock.helper.ends || sock.helper.state != HELPER_NONE)
		return -ECONNREFUSED;
	if (sys_clock_ns() < sock.detached.until_ns)
		return sock.refused;
	err = limit_check();
	if (!err)
		err = context_open();
	if (err != sock.refused || err != -ETIMEDOUT) /* any other attempt takes no time */
		sock.detached = (struct pause){ 0 };
	sock.refused = err;
	if (err)
		pause_longer(&sock.detached, sys_clock_ns(), err == -ETIMEDOUT ? SILENT_S : ABSENT_S);
	return err;
}

void ctx_close(void)
{
	struct vj *vj = sock.vj;

	dgrams_detach();
	deed_look(vj);
	deed_leave_all(vj, sock.strict, DRAIN_MS);
	vj_drain(vj, DRAIN_MS);
	sock.vj = NULL;
	sock.leader = NULL;
	helper_end();
	vj_close(vj);
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

VJ_EARLY void file_get(struct file *f)
{
	f->refs++;
}

VJ_EARLY void file_put(struct file *f)
{
	VJ_ASSERT_OP(f->refs, >, 0);
	if (--f->refs)
		return;
	if (f->kind == FILE_SOCK)
		sock_destroy(sock_of(f));
	else if (f->kind == FILE_EPOLL)
		set_destroy(set_of(f));
}

void file_fire(struct file *f, uint32_t mask)
{
	file_stir(f);
	for (struct watch *w = f->watches, *next; w; w = next) {
		next = w->next;
		if (w->set)
			set_fire(w, mask);
		else
			kick_send(w->sleeper->kick);
	}
}

static uint32_t poll_mask_of(uint32_t events)
{
	uint32_t mask = 0;

	if (events & (VJ_EV_READABLE | VJ_EV_ACCEPT))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (events & (VJ_EV_WRITABLE | VJ_EV_CONNECTED))
		mask |= EPOLLOUT | EPOLLWRNORM;
	if (events & VJ_EV_EOF)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLHUP;
	if (events & VJ_EV_ERROR)
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP |
			EPOLLERR;
	if (events & (VJ_EV_SENT_ALL | VJ_EV_UNANSWERED))
		mask |= EPOLLMSG; /* nobody can ask for it in vain; close() with SO_LINGER waits for anything, and so does connect() */
	return mask;
}

static void event_deliver(const struct vj_event *ev)
{
	struct sock *s = (struct sock *)(uintptr_t)ev->cookie;

	if (unlikely(!s)) { /* not accepted yet, or closed */
		if (ev->obj == VJ_OBJ_CONN && (ev->events & VJ_EV_ERROR) && conn_is_refused(sock.vj, ev->conn))
			deed_unheard(sock.vj, ev->conn);
		return;
	}
	if (ev->obj == VJ_OBJ_CONN) {
		if (!sock_is_conn(s) || s->conn.v != ev->conn.v)
			return;
		if ((ev->events & VJ_EV_CONNECTED) && s->state == SOCK_CONNECTING) {
			s->state = SOCK_CONNECTED;
			if (unlikely(sock.mute_cnt))
				mute_has_answered(s);
		}
		if (unlikely(ev->events & VJ_EV_UNANSWERED) && s->state == SOCK_CONNECTING && sock_connect_unanswered(s))
			return;
		if (unlikely(ev->events & VJ_EV_ERROR) && s->state == SOCK_CONNECTING && sock_connect_refused(s))
			return;
		if (unlikely(ev->events & VJ_EV_ERROR) && conn_is_refused(sock.vj, s->conn) && sock_call_refused(s))
			return;
	} else if (ev->obj == VJ_OBJ_UDP) {
		if (ev->events & VJ_EV_ERROR)
			dests_forget();
		if (s->state != SOCK_UDP || s->dgram->udp.v != ev->udp.v)
			return;
		if (s->dgram->from_kernel)
			dgram_arrived(s);
	} else if (ev->obj != VJ_OBJ_LISTENER || s->state != SOCK_LISTEN ||
		   s->listener.v != ev->listener.v) {
		return;
	}
	if (unlikely(s->token) && ev->obj == VJ_OBJ_CONN)
		away_readable(s);
	if (s->file.watches)
		file_fire(&s->file, poll_mask_of(ev->events));
	if (unlikely(s->async))
		async_tell(s, poll_mask_of(ev->events));
}

static void look(void)
{
	struct vj_event ev[EVENT_BATCH];
	unsigned n;

	sock.looks++;
	vj_process(sock.vj);
	do {
		n = vj_events(sock.vj, ev, EVENT_BATCH);
		for (unsigned i = 0; i < n; i++)
			event_deliver(&ev[i]);
	} while (n == EVENT_BATCH);
}

void ctx_process(void)
{
	if (unlikely(!sock.vj)) /* the process exits */
		return;
	sock.calls++;
	if (unlikely(sock.helper.state > HELPER_WATCH))
		helper_due(DUE_CALL);
	look();
}

void ctx_look_between(uint32_t *looked)
{
	bool none = *looked == sock.looks;

	*looked = sock.looks;
	ctx_speaks();
	if (unlikely(none) && sock.helper.state < HELPER_ASLEEP && sock.vj)
		look();
}
