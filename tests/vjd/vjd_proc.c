/* SPDX-License-Identifier: BSD-2-Clause */
#include "vjd_proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 32, READY_MS = 60000 };

const char *vjd_program;
bool vjd_sanitized;

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

void fds_close(const int *fds, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void vjd_test_init(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s VJD\n", argv[0]);
		exit(2);
	}
	vjd_program = argv[1];
	vjd_sanitized = strstr(vjd_program, "san") != NULL;
	signal(SIGPIPE, SIG_IGN);
}

/* ---- the process */

static void run(const struct vjd_proc *v, bool service, const char *options, int ready_fd)
{
	char *args[ARGS_MAX], words[512], ready[16];
	unsigned n = 0;

	snprintf(ready, sizeof(ready), "%d", ready_fd);
	snprintf(words, sizeof(words), "%s", options);
	args[n++] = (char *)vjd_program;
	if (!service) {
		args[n++] = (char *)"--private";
		args[n++] = (char *)"--foreground";
	}
	args[n++] = (char *)"--socket";
	args[n++] = (char *)v->path;
	args[n++] = (char *)"--ready-fd";
	args[n++] = ready;
	for (char *w = strtok(words, " "); w != NULL && n < ARGS_MAX - 1; w = strtok(NULL, " "))
		args[n++] = w;
	args[n] = NULL;
	/* a test that dies must not leave it behind, nor the pipe that its caller reads open */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)!freopen("/dev/null", "w", stdout);
	if (getenv("VJD_TEST_LOG") == NULL)
		(void)!freopen("/dev/null", "w", stderr);
	execv(vjd_program, args);
	_exit(127);
}

static void launch(struct vjd_proc *v, bool service, const char *options)
{
	struct pollfd pfd;
	int fds[2];
	char byte;

	assert_int_equal(pipe2(fds, 0), 0);
	v->pid = fork();
	assert_true(v->pid >= 0);
	if (v->pid == 0) {
		close(fds[0]);
		run(v, service, options, fds[1]);
	}
	close(fds[1]);
	pfd = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	assert_int_equal(poll(&pfd, 1, READY_MS), 1);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
}

void vjd_start_as(struct vjd_proc *v, bool service, const char *options)
{
	snprintf(v->dir, sizeof(v->dir), "/tmp/vjd-test-XXXXXX");
	assert_non_null(mkdtemp(v->dir));
	if (service)
		assert_int_equal(chmod(v->dir, 0755), 0);
	snprintf(v->path, sizeof(v->path), "%s/s", v->dir);
	launch(v, service, options);
}

void vjd_restart(struct vjd_proc *v, const char *options)
{
	assert_int_equal(kill(v->pid, SIGKILL), 0);
	assert_int_equal(waitpid(v->pid, NULL, 0), v->pid);
	launch(v, false, options);
}

void vjd_start(struct vjd_proc *v, const char *options)
{
	vjd_start_as(v, false, options);
}

void vjd_clean(struct vjd_proc *v)
{
	char name[128];

	unlink(v->path);
	snprintf(name, sizeof(name), "%s.lock", v->path);
	unlink(name);
	rmdir(v->dir);
}

static void reap(const struct vjd_proc *v, unsigned max_ms)
{
	uint64_t end_ms = now_ms() + max_ms;
	int status;
	pid_t r;

	while ((r = waitpid(v->pid, &status, WNOHANG)) == 0 && now_ms() < end_ms)
		sleep_ms(2);
	if (r == 0) {
		kill(v->pid, SIGKILL);
		waitpid(v->pid, &status, 0);
		fail_msg("vjd didn't end");
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("vjd ended with status %x", (unsigned)status);
}

unsigned vjd_wait_exit(struct vjd_proc *v, unsigned max_ms)
{
	uint64_t start_ms = now_ms();

	reap(v, max_ms);
	assert_int_not_equal(access(v->path, F_OK), 0);
	assert_int_equal(rmdir(v->dir), 0); /* no lock is left either */
	return (unsigned)(now_ms() - start_ms);
}

void vjd_stop(struct vjd_proc *v)
{
	assert_int_equal(kill(v->pid, SIGTERM), 0);
	vjd_wait_exit(v, EVENTUALLY_MS);
}

static unsigned count_fds(const struct vjd_proc *v)
{
	char name[64];
	unsigned cnt = 0;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", v->pid);
	d = opendir(name);
	assert_non_null(d);
	while (readdir(d) != NULL)
		cnt++;
	closedir(d);
	return cnt - 2;
}

unsigned vjd_fd_cnt(const struct vjd_proc *v)
{
	unsigned cnt = count_fds(v), last;

	/* what it has just been sent is closed by a thread */
	do {
		last = cnt;
		sleep_ms(50);
		cnt = count_fds(v);
	} while (cnt != last);
	return cnt;
}

void vjd_expect_fds(const struct vjd_proc *v, unsigned cnt)
{
	uint64_t end_ms = now_ms() + EVENTUALLY_MS;
	unsigned has;

	while ((has = vjd_fd_cnt(v)) != cnt && now_ms() < end_ms)
		;
	assert_int_equal(has, cnt);
}

void vjd_expect_apps(const struct vjd_proc *v, unsigned cnt)
{
	uint64_t end_ms = now_ms() + EVENTUALLY_MS;
	unsigned has;

	while ((has = daemon_status(v).apps) != cnt && now_ms() < end_ms)
		sleep_ms(10);
	assert_int_equal(has, cnt);
}

unsigned vjd_rss_kib(const struct vjd_proc *v)
{
	char name[64], line[128];
	unsigned kib = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/status", v->pid);
	f = fopen(name, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %u", &kib) == 1)
			break;
	fclose(f);
	assert_true(kib > 0);
	return kib;
}

unsigned vjd_cpu_ms(const struct vjd_proc *v)
{
	unsigned long user = 0, system = 0;
	char name[64];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", v->pid);
	f = fopen(name, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	fclose(f);
	return (unsigned)((user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

/* ---- polite clients */

struct ctl_client *client_open_flags(const struct vjd_proc *v, const char *name, uint32_t flags)
{
	char why[CTL_CLIENT_WHY_BYTES];
	struct ctl_client *c = NULL;
	int r = ctl_client_open_why(v->path, name, flags, &c, why);

	if (r < 0)
		fail_msg("client: %d: %s", r, why);
	/* the machine may be busy */
	ctl_client_timeout_set(c, 20000);
	return c;
}

struct ctl_client *client_open(const struct vjd_proc *v, const char *name)
{
	return client_open_flags(v, name, 0);
}

struct ctl_endpoint endpoint_of(const char *text, enum ctl_proto proto)
{
	struct endpoint ep;

	assert_int_equal(endpoint_parse(text, &ep), 0);
	return ctl_endpoint_make(&ep, proto);
}

union name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

int bound_socket(const char *text, enum ctl_proto proto, bool listening)
{
	struct endpoint ep;
	union name n = { 0 };
	int fd;

	assert_int_equal(endpoint_parse(text, &ep), 0);
	if (ip_addr_is_v4(&ep.addr)) {
		n.in.sin_family = AF_INET;
		n.in.sin_port = htons(ep.port);
		n.in.sin_addr.s_addr = ip_addr_v4(&ep.addr).raw;
	} else {
		n.in6.sin6_family = AF_INET6;
		n.in6.sin6_port = htons(ep.port);
		memcpy(&n.in6.sin6_addr, ep.addr.bytes, 16);
	}
	fd = socket(n.sa.sa_family, proto == CTL_PROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &n.sa, sizeof(n)), 0);
	if (listening)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

struct ctl_endpoint name_of(int fd, enum ctl_proto proto)
{
	union name n = { 0 };
	socklen_t bytes = sizeof(n);
	struct endpoint ep;

	assert_int_equal(getsockname(fd, &n.sa, &bytes), 0);
	if (n.sa.sa_family == AF_INET)
		ep = (struct endpoint){ ip_addr_from_v4((struct be32){ n.in.sin_addr.s_addr }),
					ntohs(n.in.sin_port) };
	else
		ep = (struct endpoint){ ip_addr_from_v6(&n.in6.sin6_addr), ntohs(n.in6.sin6_port) };
	return ctl_endpoint_make(&ep, proto);
}

uint32_t offer_raw(struct ctl_client *c, uint16_t port)
{
	struct ctl_endpoint ep = { .port = port, .proto = CTL_PROTO_RAW };
	uint32_t id = 0;

	assert_int_equal(ctl_client_lease(c, &ep, 0, STDERR_FILENO, &id), 0);
	return id;
}

int connect_raw(struct ctl_client *c, uint16_t port, uint32_t *ret_id)
{
	struct ctl_endpoint ep = { .port = port, .proto = CTL_PROTO_RAW };
	struct ctl_channel ch = { 0 };
	int fds[CTL_FDS_MAX];
	int r = ctl_client_connect(c, &ep, &ch, fds);

	fds_close(fds, CTL_FDS_MAX);
	*ret_id = ch.id;
	return r;
}

struct ctl_msg event_wait(struct ctl_client *c, enum ctl_type type)
{
	struct pollfd pfd = { .fd = ctl_client_fd(c), .events = POLLIN };
	uint64_t end_ms = now_ms() + EVENTUALLY_MS;
	struct ctl_msg msg;
	int r, fds[CTL_FDS_MAX];

	while ((r = ctl_client_event(c, &msg, fds)) == 0 && now_ms() < end_ms)
		poll(&pfd, 1, 100);
	assert_int_equal(r, 1);
	fds_close(fds, CTL_FDS_MAX);
	assert_string_equal(ctl_type_name(msg.type), ctl_type_name(type));
	return msg;
}

void event_none(struct ctl_client *c, int ms)
{
	struct pollfd pfd = { .fd = ctl_client_fd(c), .events = POLLIN };
	struct ctl_msg msg;
	int fds[CTL_FDS_MAX];

	assert_int_equal(ctl_client_event(c, &msg, fds), 0);
	poll(&pfd, 1, ms);
	assert_int_equal(ctl_client_event(c, &msg, fds), 0);
}

void expect_refusal(struct ctl_client *c, struct ctl_msg *msg, int fd, enum ctl_refusal why)
{
	struct ctl_msg reply = { 0 };
	int fds[CTL_FDS_MAX];
	int r = ctl_client_call(c, msg, fd, &reply, fds);

	fds_close(fds, CTL_FDS_MAX);
	assert_int_equal(reply.type, CTL_REFUSED);
	assert_string_equal(ctl_refusal_name((enum ctl_refusal)reply.refused.refusal),
			    ctl_refusal_name(why));
	assert_int_equal(r, -ctl_refusal_errno(why));
	assert_int_equal(reply.refused.request, msg->type);
}

static void keep_last(void *arg, const struct ctl_msg *msg)
{
	*(struct ctl_msg *)arg = *msg;
}

struct ctl_daemon daemon_status(const struct vjd_proc *v)
{
	struct ctl_client *c = client_open_flags(v, "status", CTL_HELLO_OBSERVER);
	struct ctl_msg last = { 0 };

	assert_int_equal(ctl_client_status(c, keep_last, &last), 0);
	assert_int_equal(last.type, CTL_STATUS_END);
	ctl_client_close(c);
	return last.daemon;
}

/* ---- others */

int raw_connect(const struct vjd_proc *v)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", v->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

void raw_hello(int fd)
{
	struct ctl_msg msg = { .type = CTL_HELLO,
			       .seq = 1,
			       .hello = { .version = CTL_VERSION, .name = "raw" } };

	assert_int_equal(raw_send(fd, &msg, sizeof(msg), NULL, 0), sizeof(msg));
	assert_int_equal(raw_recv(fd, &msg, 20000), 1);
	assert_int_equal(msg.type, CTL_WELCOME);
}

ssize_t raw_send(int fd, const void *bytes, size_t len, const int *fds, unsigned fd_cnt)
{
	_Alignas(struct cmsghdr) static uint8_t control[CMSG_SPACE(256 * sizeof(int))];
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd_cnt > 0) {
		memset(control, 0, sizeof(control));
		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int));
		c = CMSG_FIRSTHDR(&hdr);
		*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				       .cmsg_type = SCM_RIGHTS,
				       .cmsg_len = CMSG_LEN(fd_cnt * sizeof(int)) };
		memcpy(CMSG_DATA(c), fds, fd_cnt * sizeof(int));
	}
	return sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int raw_recv(int fd, struct ctl_msg *ret_msg, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int fds[CTL_PACKET_FDS_ROOM];
	struct ctl_packet p;
	unsigned fd_cnt;
	ssize_t n;

	if (poll(&pfd, 1, ms) != 1)
		return -1;
	ctl_packet_recv(&p);
	n = recvmsg(fd, &p.hdr, MSG_CMSG_CLOEXEC);
	/* it hung up with something of ours unread: what it said before comes after this */
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(fd, &p.hdr, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return 0;
	assert_int_equal(ctl_packet_check(&p, (size_t)n, CTL_FROM_DAEMON, ret_msg, fds, &fd_cnt),
			 CTL_REFUSAL_NONE);
	fds_close(fds, fd_cnt);
	return 1;
}

void raw_expect_refused(int fd, enum ctl_refusal why, bool closed)
{
	struct ctl_msg msg;

	assert_int_equal(raw_recv(fd, &msg, 20000), 1);
	assert_int_equal(msg.type, CTL_REFUSED);
	assert_string_equal(ctl_refusal_name((enum ctl_refusal)msg.refused.refusal),
			    ctl_refusal_name(why));
	if (closed)
		assert_int_equal(raw_recv(fd, &msg, 20000), 0);
}

void raw_expect_end(int fd, int ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)ms;
	struct ctl_msg msg;
	int r;

	while ((r = raw_recv(fd, &msg, ms)) == 1 && now_ms() < end_ms)
		;
	assert_int_equal(r, 0);
}
