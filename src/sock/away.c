// SPDX-License-Identifier: BSD-2-Clause
/*
 * away.c - connections in several processes: shared, away, claimed
 *
 * A connection is held by one process at a time and moves to whoever uses it (lib/move.h). Here is when:
 *
 *	shared	its descriptors are copies of a token, which replaces the placeholder before the first copy can come into another
 *		process: by fork(), exec() or SCM_RIGHTS. Before that, sharing costs nothing.
 *	away	SOCK_AWAY: this process has copies of the token, and another process holds the connection, or a peer keeps it. Any
 *		use claims it first, except to close it, duplicate it or ask for its addresses. Use includes to wait in poll(), to add it to an epoll
 *		set, and a child's first wait on a set that it has inherited. A connection that leaves stays in the epoll sets that it was
 *		in: these watch the token, and claim it when that can be read, which it can when bytes have come that no thread of the
 *		holder waits for. To claim it sooner would have two processes that both wait take it from each other in turn.
 *	claimed	this process holds it again.
 *
 *	lent	one process waits for it in a set while others write the answers (kamailio). All know which process that is by a mark at
 *		the token, a socket option that has no meaning for it. If another one holds the connection, and doesn't wait itself, it
 *		puts what comes into the token at once; if the waiting one holds it, the others write into the token, and it needn't move.
 *
 * A holder that is asked for a connection gives it up before it sleeps next, or within 10 ms (helper.c). A thread
 * that waits for a connection which leaves claims it back after a while, so that one process can read while another writes.
 */
#include "sock/accept.h"
#include "sock/adopt.h"
#include "sock/away.h"
#include "sock/cage.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/exit.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork_server.h"
#include "sock/in_kernel.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/process.h"
#include "sock/signals.h"
#include "sock/stream.h"
#include "sock/wait.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLAIM_MS = 10000, CLAIM_BACK_MS = 5, LEAVE_MS = 2000 };

/* The mark at a token, its SO_PRIORITY. WAITS: an epoll set waits at the token; HOLDS: the process whose set that is holds the connection */
enum { MARK_NONE, MARK_WAITS, MARK_HOLDS };
enum { LENT_BYTES = 16 * 1024, LENT_BYTES_MAX = 64 * 1024 }; /* limits for writes into the token: per call, in all. A process that sends more should claim it */

/* What goes along with a connection; in a deed_note. */
struct note {
	bool shut_rd, shut_wr, failed, linger, connect_async;
	uint16_t err;
	uint32_t linger_s, rcvlowat;
	uint32_t rcvtimeo_ms, sndtimeo_ms;
	uint8_t options[7]; /* options_leaving() */
};
enum { NOTE_BYTES = offsetof(struct note, options) + sizeof(((struct note *)0)->options) };
_Static_assert(NOTE_BYTES <= sizeof(((struct deed_note *)0)->bytes), "fits");

/* ---- leaving --------------------------------------------------------------------------------------------------- */

/* Rounded up, since 0 means no time-out */
static uint32_t timeout_ms(uint64_t ns)
{
	return (uint32_t)min_u64((ns + NS_PER_MS - 1) / NS_PER_MS, UINT32_MAX);
}

static void note_make(const struct sock *s, struct deed_note *ret_note)
{
	uint64_t options = options_leaving(s);
	struct note n = {
		.shut_rd = s->shut_rd,
		.shut_wr = s->shut_wr,
		.failed = s->failed,
		.linger = s->linger,
		.connect_async = s->connect_async,
		.err = s->err,
		.linger_s = s->linger_s,
		.rcvlowat = s->rcvlowat,
		.rcvtimeo_ms = timeout_ms(s->rcvtimeo_ns),
		.sndtimeo_ms = timeout_ms(s->sndtimeo_ns),
	};

	*ret_note = (struct deed_note){ .resets = s->linger && !s->linger_s };
	for (size_t i = 0; i < sizeof(n.options); i++)
		n.options[i] = (uint8_t)(options >> 8 * i);
	memcpy(ret_note->bytes, &n, NOTE_BYTES);
}

/* From another process of this user, so any value may come. */
static void note_take(struct sock *s, const struct deed_note *note)
{
	struct note n;

	memcpy(&n, note->bytes, NOTE_BYTES);
	s->shut_rd = n.shut_rd;
	s->shut_wr = n.shut_wr;
	s->failed = n.failed;
	s->linger = n.linger;
	s->connect_async = n.connect_async;
	s->err = n.err < 4096 ? n.err : ECONNRESET;
	s->linger_s = min_u32(n.linger_s, 32767);
	s->rcvlowat = n.rcvlowat;
	s->rcvtimeo_ns = n.rcvtimeo_ms * NS_PER_MS;
	s->sndtimeo_ns = n.sndtimeo_ms * NS_PER_MS;
}

static uint64_t note_options(const struct deed_note *note)
{
	const uint8_t *bytes = note->bytes + offsetof(struct note, options);
	uint64_t options = 0;

	for (size_t i = 0; i < sizeof(((struct note *)0)->options); i++)
		options |= (uint64_t)bytes[i] << 8 * i;
	return options;
}

static void mark_set(struct sock *s, int mark)
{
	int fd = fd_of_file(&s->file);

	s->lends = fd >= 0 && !sys_setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, sizeof(mark)) && mark != MARK_NONE;
}

static int mark_of(int fd)
{
	socklen_t len = sizeof(int);
	int mark = MARK_NONE;

	return sys_getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, &len) ? MARK_NONE : mark;
}

/* By an epoll set that this process waits at, which the copy in a child of fork() isn't until the child waits */
static bool is_watched(const struct sock *s)
{
	const struct watch *w = s->file.watches;

	while (w && !(w->set && w->set->kick.fd >= 0 && (w->events & (EPOLLIN | EPOLLRDNORM))))
		w = w->next;
	return w;
}

void away_lends(struct sock *s, bool lends)
{
	if (!s->token || (!lends && is_watched(s)))
		return;
	mark_set(s, !lends ? MARK_NONE : sock_is_conn(s) ? MARK_HOLDS : MARK_WAITS);
}

bool away_is_lent(int fd)
{
	return mark_of(fd) == MARK_HOLDS;
}

long away_lent_send(int fd, struct sock *s, const struct iovec *iov, int cnt)
{
	const struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)cnt };
	size_t want = 0;
	long n;

	for (int i = 0; i < cnt && want <= LENT_BYTES; i++)
		want += iov[i].iov_len;
	if (want > LENT_BYTES || s->lent_bytes + want > LENT_BYTES_MAX)
		return -EAGAIN;
	n = sys_sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	s->lent_bytes += n > 0 ? (uint32_t)n : 0;
	return n;
}

static void on_leaves(uint64_t cookie, struct deed_note *ret_note)
{
	struct sock *s = (struct sock *)(uintptr_t)cookie;

	note_make(s, ret_note);
	s->state = SOCK_AWAY;
	sock.lazy++;
	for (struct watch *w = s->file.watches; w; w = w->next)
		if (!w->set)
			kick_send(w->sleeper->kick);
	watches_away(&s->file);
	if (s->lends || is_watched(s))
		mark_set(s, is_watched(s) ? MARK_WAITS : MARK_NONE);
}

static void on_stays(uint64_t cookie)
{
	struct sock *s = (struct sock *)(uintptr_t)cookie;

	if (s->state != SOCK_AWAY)
		return;
	s->state = SOCK_CONNECTED;
	sock.lazy--;
	watches_move(&s->file, WATCH_CHANNEL);
	file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

static void on_pumped(uint64_t cookie)
{
	((struct sock *)(uintptr_t)cookie)->pumped = true;
}

static void on_in_kernel(uint64_t cookie, const struct deed_note *note, int fd, enum report_why why)
{
	struct sock *s = (struct sock *)(uintptr_t)cookie;
	struct sock closed = { .file = { .kind = FILE_SOCK } };

	if (!s)
		note_take(&closed, note);
	in_kernel_options(fd, s ? s : &closed);
	if (s) {
		options_turn(fd, options_leaving(s));
		in_kernel(s, fd, why);
	}
}

static bool is_waited(uint64_t cookie)
{
	return ((struct sock *)(uintptr_t)cookie)->file.watches != NULL;
}

static bool is_sock6(uint64_t cookie)
{
	return ((struct sock *)(uintptr_t)cookie)->family == AF_INET6;
}

/* ---- sharing --------------------------------------------------------------------------------------------------- */

/* The token takes the place of the placeholder at each of the connection's numbers. */
static void token_place(int token, int fd, const struct sock *s)
{
	int only = s->file.refs == 1 ? fd : -1;

	for (int nr = only >= 0 ? only : fd_next(0); nr >= 0; nr = nr == only ? -1 : fd_next(nr + 1)) {
		int flags = fd_peek(nr) == &s->file ? sys_fcntl(nr, F_GETFD, 0) : -1;

		if (flags >= 0)
			ker_dup3(token, nr, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	}
}

/* Put a token at the descriptors of @s. Return: 0; -errno: copies in other processes will be dead. */
VJ_EARLY static int share(int fd, struct sock *s)
{
	int token, err;

	if (s->token || !sock_is_conn(s) || !sock.vj)
		return 0;
	err = deed_make(sock.vj, s->conn, (uint64_t)(uintptr_t)s, s->family == AF_INET6, s->nonblock, &token);
	if (err) {
		ctx_say("a connection stays in its process: %s", strerror(-err));
		return err;
	}
	options_keep(fd, s);
	if (unlikely(s->append))
		sys_fcntl(token, F_SETFL, sys_fcntl(token, F_GETFL, 0) | O_APPEND);
	token_place(token, fd, s);
	sys_close(token);
	s->token = true;
	s->far = deed_is_far(sock.vj, s->conn);
	return 0;
}

/* Return: as share() */
VJ_EARLY static int share_file(int fd)
{
	struct sock *s = file_sock(fd_peek(fd));

	if (!s)
		return 0;
	listener_copied(s);
	return share(fd, s);
}

VJ_EARLY void share_fd(int fd)
{
	(void)share_file(fd);
}

/*
 * libc's streams use descriptors 0 to 2 by calls that can't be interposed. They are given a token, so that what is written there reaches the peer by way of the
 * deed (lib/deed.c).
 */
void away_stdio(int fd)
{
	struct sock *s = file_sock(fd_peek(fd));

	if (!s || share(fd, s) || !s->token)
		return;
	s->stdio = sock.stdio = true;
	if (sock_is_conn(s) && sock.vj)
		deed_read_soon(sock.vj, s->conn);
}

void sock_before_unseen(int fd)
{
	struct file *f = likely(!fd_peek(fd)) || unlikely(caged) || is_foreign() ? NULL : file_enter(fd);

	if (!f)
		return;
	away_stdio(fd);
	lock_leave();
}

enum { SUBMITTED_MAX = 0x10000 }; /* look at no more: fs.aio-max-nr allows no more, whatever @cnt is */

void sock_before_io_submit(long cnt, void *list)
{
	struct iocb **all = list;

	for (long i = 0; i < cnt && i < SUBMITTED_MAX && !is_wild(all); i++)
		if (!is_wild(all[i]))
			sock_before_unseen((int)all[i]->aio_fildes);
}

long sock_io_submit(unsigned long context, long cnt, void *list)
{
	sock_before_io_submit(cnt, list);
	return ret_errno(SYS_CALL3(SYS_io_submit, context, cnt, list));
}

void away_readable(const struct sock *s)
{
	deed_readable(sock.vj, s->conn);
}

uint32_t away_pumped_bytes(const struct sock *s)
{
	int bytes = 0, fd = fd_of_file(&s->file);

	return fd < 0 || ker_ioctl(fd, FIONREAD, (long)&bytes) || bytes < 0 ? 0 : (uint32_t)bytes;
}

long away_pumped_recv(struct sock *s, const struct iovec *iov, int cnt, bool peek)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)cnt };
	int fd = fd_of_file(&s->file);
	long n = fd < 0 ? 0 : sys_recvmsg(fd, &msg, MSG_DONTWAIT | (peek ? MSG_PEEK : 0));

	s->pumped = n > 0 || n == -EFAULT; /* after EFAULT the bytes are still there */
	return n;
}

void away_reads(const struct sock *s)
{
	if (sock.vj && sock_is_conn(s))
		deed_read(sock.vj, s->conn);
}

void away_others_first(void)
{
	if (sock.vj)
		deed_look(sock.vj);
}

VJ_EARLY void share_all(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1))
		share_fd(fd);
}

/* Share up to @most connections that are about to leave. Not one that isn't connected yet: a thread waits for that, and it will be here a moment later. */
static void on_leaving(unsigned most)
{
	for (int fd = fd_next(0); fd >= 0 && most; fd = fd_next(fd + 1)) {
		struct sock *s = file_sock(fd_peek(fd));

		if (s && s->state == SOCK_CONNECTED && !s->token && deed_leaves(sock.vj, s->conn) && !share(fd, s))
			most--;
	}
}

void away_init(void)
{
	static const struct deed_hooks hooks = {
		.leaves = on_leaves, .stays = on_stays, .in_kernel = on_in_kernel, .leaving = on_leaving, .pumped = on_pumped,
		.waited = is_waited, .sock6 = is_sock6,
	};

	deed_hooks_set(sock.vj, &hooks);
}

/* @fd is sent to another process. A connection over an interface becomes the kernel's by that; so the next ones had better be the kernel's from the start. */
static void send_fd(int fd)
{
	struct sock *s = file_sock(fd_peek(fd));
	bool far = false;

	(void)share_file(fd);
	if (s && s->state == SOCK_UDP && !is_foreign())
		dgram_sent(s);
	else if (s && s->state == SOCK_FRESH)
		s->copied = true;
	if (s && s->token && s->far && sock_is_conn(s)) {
		far = true;
		deed_send(sock.vj, s->conn);
	}
	if (far || is_kernel_conn(fd))
		listeners_retreat();
}

void share_sent(const struct msghdr *msg)
{
	if (layer_began() && !is_foreign())
		message_fds(msg, send_fd);
}

void away_forked(struct sock *s)
{
	s->state = s->token ? SOCK_AWAY : SOCK_DEAD;
	s->inherited = true;
	s->lends = false;
	sock.lazy += s->token;
}

bool away_is_token(int fd)
{
	return deed_names(fd, &(struct deed_names){ 0 });
}

void away_adopt(int fd)
{
	struct deed_names names;
	struct sock *s;
	int flags;

	s = layer_init() && deed_names(fd, &names) ? sock_alloc() : NULL;
	if (!s)
		return;
	flags = sys_fcntl(fd, F_GETFL, 0);
	s->family = names.sock6 ? AF_INET6 : AF_INET;
	s->nonblock = flags >= 0 && (flags & O_NONBLOCK);
	if (fd_set_file(fd, &s->file)) {
		sock_free(s);
		return;
	}
	s->token = true;
	s->far = names.far;
	s->state = SOCK_AWAY;
	sock.lazy++;
	if (fd <= STDERR_FILENO)
		s->stdio = sock.stdio = true;
}

/* ---- claiming -------------------------------------------------------------------------------------------------- */

/* Wait for the answer to a claim. Return: 0: this process holds it; -ECONNRESET: it won't come. Gives up the lock meanwhile. */
static int claim_wait(struct sock *s, int answer)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = answer,
			      .spin.begun = true, /* the answer comes by a kernel socket: spinning finds nothing */
			      .timeout_ns = CLAIM_MS * NS_PER_MS };
	struct deed_note note;
	int r, socket = -1;

	for (;;) {
		ctx_process();
		if (s->state != SOCK_AWAY || !sock.vj) { /* another thread has claimed it, or it isn't needed any more */
			r = 0;
			break;
		}
		r = deed_take(sock.vj, answer, (uint64_t)(uintptr_t)s, &note, &s->conn, &socket);
		if (!r && socket >= 0) {
			in_kernel(s, socket, REPORT_WHY_USED_ELSEWHERE);
			own_fd_close(socket);
			break;
		}
		if (!r) {
			s->state = SOCK_CONNECTED;
			sock.lazy--;
			watches_move(&s->file, WATCH_CHANNEL);
			note_take(s, &note);
			options_brought(s, note_options(&note));
			fork_server_claimed();
			break;
		}
		if (r == -EAGAIN)
			r = block_wait(&b);
		if (r && r != -EINTR) {
			r = -ECONNRESET;
			break;
		}
	}
	block_end(&b);
	return r;
}

/* Send a claim. The token may be full of what others have written; then this waits, without the lock, so that @fd may become another descriptor. */
static int claim_send(int fd, const struct sock *s, int *ret_answer)
{
	int err = deed_claim(fd, ret_answer);

	for (int ms = 0; err == -EAGAIN && ms < CLAIM_MS; ms++) {
		lock_leave();
		sys_poll_ms(NULL, 0, 1);
		lock_take();
		err = fd_peek(fd) == &s->file && s->state == SOCK_AWAY ? deed_claim(fd, ret_answer) : -ECONNRESET;
	}
	return err;
}

/*
 * If the holder, which may have ended, has made the connection the kernel's and left the socket in the token: take that. @any: look also at connections that are
 * not over an interface, which become the kernel's only before they are accepted
 */
static bool claim_socket(int fd, struct sock *s, bool any)
{
	/* @fd may have become another descriptor while the caller waited */
	int socket = (s->far || any) && s->state == SOCK_AWAY && fd_peek(fd) == &s->file ? deed_socket(fd) : -1;

	if (socket < 0)
		return false;
	in_kernel(s, socket, REPORT_WHY_USED_ELSEWHERE);
	own_fd_close(socket);
	return true;
}

static int claim(int fd, struct sock *s)
{
	int answer, flags, err = fd < 0 ? -ECONNRESET : claim_send(fd, s, &answer);

	if (err)
		return claim_socket(fd, s, true) ? 0 : err;
	err = claim_wait(s, answer);
	own_fd_close(answer);
	if (s->state == SOCK_KERNEL || (err && claim_socket(fd, s, true)))
		return 0;
	fd = fd_of_file(&s->file);
	if (!err && sock_is_conn(s)) {
		s->lent_bytes = 0;
		if (fd >= 0 && mark_of(fd) == MARK_WAITS)
			deed_watched(sock.vj, s->conn);
		s->pumped = away_pumped_bytes(s) > 0;
		if (s->pumped)
			file_fire(&s->file, EPOLLIN | EPOLLRDNORM);
		if (s->stdio)
			deed_read_soon(sock.vj, s->conn);
		else
			deed_readable(sock.vj, s->conn); /* no event comes for bytes that came with the parcel */
	}
	flags = fd < 0 ? fd : sys_fcntl(fd, F_GETFL, 0);
	s->nonblock = flags >= 0 && (flags & O_NONBLOCK); /* all copies share these flags */
	s->append = flags >= 0 && (flags & O_APPEND);
	return err;
}

/* Does @err say that this process can have no channel? Not that vjd is gone or late. */
static bool is_cage(int err)
{
	return err == -ENOENT || err == -EACCES || err == -EPERM || err == -EMFILE || err == -ENFILE;
}

/* The connection stays with its holder; here its descriptors are plain tokens, which the program uses without the library's help. */
static void leave(struct sock *s, enum report_why why)
{
	atomic_store_explicit(&sock.left, true, memory_order_relaxed);
	file_get(&s->file);
	for (int nr = fd_next(0); nr >= 0; nr = fd_next(nr + 1))
		if (fd_peek(nr) == &s->file)
			sock_give_to_kernel(nr, s, why);
	file_put(&s->file);
}

static void leave_caged(struct sock *s, int err)
{
	ctx_say("a connection is used by way of the process that has it: %s", strerror(-err));
	if (is_cage(err))
		fork_server_caged();
	leave(s, REPORT_WHY_CAGED);
}

void away_leave(int fd, struct sock *s, enum report_why why)
{
	if (share(fd, s) || !s->token)
		return;
	if (sock_is_conn(s) && sock.vj)
		deed_read_soon(sock.vj, s->conn);
	leave(s, why);
}

VJ_EARLY bool away_is_left(int fd)
{
	return atomic_load_explicit(&sock.left, memory_order_relaxed) && away_is_token(fd);
}

bool away_claim(int fd, struct sock *s)
{
	int err;

	if (is_foreign() || sock.exiting)
		return false;
	file_get(&s->file);
	err = claim_socket(fd, s, false) ? 0 : ctx_get();
	if (err)
		leave_caged(s, err);
	else if (s->state == SOCK_AWAY)
		err = claim(fd, s);
	if (err && s->state == SOCK_AWAY && s->file.refs > 1) {
		ctx_say("a connection that another process had is reset: %s", strerror(-err));
		s->state = SOCK_DEAD;
		sock.lazy--;
		file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	}
	if (s->file.refs > 1) {
		s->file.refs--;
		return s->state != SOCK_KERNEL;
	}
	file_put(&s->file); /* closed meanwhile */
	return false;
}

bool away_claim_back(struct sock *s)
{
	int fd;

	file_get(&s->file);
	lock_leave();
	sys_poll_ms(NULL, 0, CLAIM_BACK_MS);
	lock_take();
	file_put(&s->file);
	fd = fd_of_file(&s->file);
	return fd >= 0 && (s->state != SOCK_AWAY || away_claim(fd, s));
}

bool away_is_over(struct sock *s, long *ret)
{
	if (s->state == SOCK_AWAY && !away_claim_back(s) && s->state != SOCK_KERNEL) {
		*ret = -EBADF;
		return true;
	}
	*ret = GOES_ON;
	return s->state == SOCK_KERNEL;
}

/* ---- endings --------------------------------------------------------------------------------------------------- */

void away_destroy(struct sock *s)
{
	struct deed_note note;

	if (s->state == SOCK_AWAY) {
		sock.lazy--;
		if (sock.vj)
			deed_abandon(sock.vj, (uint64_t)(uintptr_t)s);
		return;
	}
	note_make(s, &note);
	deed_close(sock.vj, s->conn, &note);
	sock.orphaned = true;
}

void away_closed(void)
{
	sock.orphaned = false;
	if (sock.vj)
		deed_look(sock.vj);
}

/*
 * Standard descriptors before exec(): the next program may not have the library, and libc's streams pass by it. Neither could use a token of a connection
 * over an interface, so that is claimed, which makes it the kernel's.
 */
static void claim_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		struct sock *s = file_sock(fd_peek(fd));

		if (s && s->state == SOCK_AWAY && s->far && !(sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC))
			(void)away_claim(fd, s);
	}
}

/* A quick check for children of vfork(), which call exec() for one directory of PATH after the other, and mostly pass on nothing that this layer knows. */
static bool hands_on_nothing(void)
{
	return !sock.vj && !fd_peek(STDIN_FILENO) && !fd_peek(STDOUT_FILENO) && !fd_peek(STDERR_FILENO);
}

VJ_EARLY static void hand_on(void)
{
	lock_take();
	fork_server_exec();
	dgrams_claim_stdio();
	dgrams_yield_exec();
	if (sock.vj) {
		listeners_exec();
		share_all();
		deed_leave_all(sock.vj, sock.strict, LEAVE_MS);
	}
	claim_stdio();
	lock_leave();
}

VJ_EARLY void sock_before_exec(char *const envp[])
{
	if (caged)
		return;
	family_starts(true, envp);
	if (layer_began() && !hands_on_nothing() && !sock_inside && !is_foreign())
		hand_on();
	signals_on();
}

/* A process is about to be started by vfork() or posix_spawn(). */
static void before_spawn(void)
{
	if (!layer_began() || sock_inside || is_foreign())
		return;
	lock_take();
	dgrams_share_spawned();
	if (sock.vj)
		share_all();
	signals_on();
	lock_leave();
}

void sock_before_spawn_of(char *const envp[])
{
	before_spawn();
	family_starts(false, envp);
}

void sock_before_vfork(void)
{
	before_spawn();
	process_vforks();
}

VJ_EARLY void sock_exec_failed(void)
{
	if (!caged)
		family_start_failed();
}

/*
 * A program that isn't there could not be had last time: so this process looks through PATH, as python's subprocess does for each program that it starts. Then
 * it is asked first whether there is one, which costs less than to try, and nothing is handed on to what isn't there. Only a hint, as the child of vfork()
 * writes here for its parent.
 */
static _Atomic bool searches VJ_LATER;

static bool is_absent(const char *path)
{
	struct stat st;

	return !caged && sys_stat(path, &st) == -ENOENT;
}

VJ_EARLY int sock_execveat(int dir_fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	bool by_path = dir_fd == AT_FDCWD && !flags;
	char *const *given;
	long r;

	if (by_path && unlikely(atomic_load_explicit(&searches, memory_order_relaxed))) {
		if (is_absent(path))
			return (int)ret_errno(-ENOENT);
		atomic_store_explicit(&searches, false, memory_order_relaxed);
	}
	given = SOCK_EXEC_ENV(envp);
	sock_before_exec(given);
	r = by_path ? SYS_CALL3(SYS_execve, path, argv, given) : SYS_CALL5(SYS_execveat, dir_fd, path, argv, given, flags);
	if (by_path && r == -ENOENT)
		atomic_store_explicit(&searches, true, memory_order_relaxed);
	sock_exec_failed();
	return (int)ret_errno(r);
}
