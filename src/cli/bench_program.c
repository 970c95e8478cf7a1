// SPDX-License-Identifier: BSD-2-Clause
#include "cli/bench_program.h"

#include "base/time.h"
#include "cli/cmd.h"
#include "cli/install.h"
#include "lib/ctl_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	START_S = 10,
	TOOL_S = 120,
	ARGS_MAX = 40,
	WATCH_MS = 5000, /* a program under vj run has its channel by then */
	MOMENT_MS = 200,
};

static uint16_t free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		addr.sin_port = 0;
	if (fd >= 0)
		close(fd);
	return ntohs(addr.sin_port);
}

const char *program_host(const struct program_run *run)
{
	return run->net > 0 ? run->host : "127.0.0.1";
}

static VJ_NORETURN void become(const struct program_run *run, const char *const *args)
{
	const char *argv[ARGS_MAX + 8];
	char vj[PATH_MAX];
	unsigned n = 0;

	if (run->on_channel && install_find(INSTALL_VJ, vj) == 0) {
		argv[n++] = vj;
		argv[n++] = "run";
		argv[n++] = "--socket";
		argv[n++] = run->ctx->socket;
		argv[n++] = "--";
	}
	while (*args != NULL && n < ARGS_MAX + 7)
		argv[n++] = *args++;
	argv[n] = NULL;
	/* the kernel's side must not be under a vj run that somebody put around this one */
	if (!run->on_channel)
		unsetenv("LD_PRELOAD");
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	fprintf(stderr, "cannot run %s: %m\n", argv[0]);
	_exit(EXIT_NOT_FOUND);
}

/* Starts a program with standard input, output and error as given. @net: in that network namespace; 0: in ours */
static pid_t start(const struct program_run *run, const char *const *args, int cpu, int net, int in, int out,
		   int err)
{
	pid_t pid = bench_fork();

	if (pid != 0)
		return pid;
	if (net > 0 && setns(net, CLONE_NEWNET) < 0)
		_exit(EXIT_FAILED);
	if (run->pinned)
		bench_pin(cpu);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	become(run, args);
}

/* All that a program wrote to a memfd, with a zero behind; the caller's to free. */
static char *slurp(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = malloc((size_t)(size > 0 ? size : 0) + 1);
	ssize_t n;

	if (text == NULL)
		return NULL;
	n = pread(fd, text, (size_t)size, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

void program_complain(const char *program, const char *said)
{
	const char *last = said;

	/* the last line that is not empty says it best */
	for (const char *p = said; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n')
		if (*p != '\n')
			last = p;
	complain("bench: %s failed%s%.*s", program, *last != '\0' ? ": " : "",
		 (int)strcspn(last, "\n"), last);
}

static void count_channels(void *arg, const struct ctl_msg *msg)
{
	*(unsigned *)arg += msg->type == CTL_STATUS_CHANNEL;
}

static bool has_channel(const char *socket)
{
	struct ctl_client *client;
	unsigned channels = 0;

	if (ctl_client_open(socket, "vj bench", CTL_HELLO_OBSERVER, &client) < 0)
		return false;
	ctl_client_status(client, count_channels, &channels);
	ctl_client_close(client);
	return channels > 0;
}

static bool is_running(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

/*
 * Looks until the program has a channel, or has ended. Only one that was done in a moment may be
 * missed.
 */
static bool seen_on_channel(const struct program_run *run, pid_t pid)
{
	uint64_t start_ns = bench_now_ns();

	while (is_running(pid) && bench_interrupted() == 0) {
		if (has_channel(run->ctx->socket))
			return true;
		if (bench_now_ns() - start_ns > WATCH_MS * NS_PER_MS)
			return false;
		usleep(2000);
	}
	return bench_now_ns() - start_ns < MOMENT_MS * NS_PER_MS;
}

/* @out, @err: memfds for what it prints */
static int run_tool(const struct program_run *run, const char *const *args, bool watch,
		    const int fds[static 3])
{
	struct program_run there = *run;
	bool seen = true;
	char *said;
	int status;
	pid_t pid;

	there.on_channel = run->on_channel && run->net == 0;
	pid = start(&there, args, run->ctx->cpu_client, run->net, fds[0], fds[1], fds[2]);
	if (pid > 0 && watch && there.on_channel)
		seen = seen_on_channel(run, pid);
	if (pid < 0)
		return -EAGAIN;
	status = bench_wait(pid, TOOL_S);
	if (bench_interrupted() != 0)
		return -EINTR;
	if (status == 0 && seen)
		return 0;
	if (status == 0) {
		complain("bench: %s ran, but on the kernel's sockets: vjd knows of no channel",
			 args[0]);
		return -ENOTCONN;
	}
	if (status == -1) {
		complain("bench: %s: no end after %d s", args[0], TOOL_S);
		return -ETIMEDOUT;
	}
	said = slurp(fds[2]);
	program_complain(args[0], said != NULL ? said : "");
	free(said);
	return -ECHILD;
}

int program_tool(const struct program_run *run, const char *const *args, int in, bool watch,
	       char **ret_said)
{
	int fds[3] = { in, memfd_create("vj-bench-out", MFD_CLOEXEC),
		       memfd_create("vj-bench-err", MFD_CLOEXEC) };
	char *said = NULL;
	int rc = fds[1] < 0 || fds[2] < 0 ? -errno : run_tool(run, args, watch, fds);

	if (rc == 0) {
		said = slurp(fds[1]);
		rc = said != NULL ? 0 : -ENOMEM;
	}
	for (unsigned i = 1; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (rc == 0)
		*ret_said = said;
	return rc;
}

struct lease_search {
	uint16_t port;
	bool found;
};

static void find_lease(void *arg, const struct ctl_msg *msg)
{
	struct lease_search *s = arg;

	s->found |= msg->type == CTL_STATUS_LEASE && msg->lease.local.port == s->port;
}

static bool has_lease(const char *socket, uint16_t port)
{
	struct lease_search s = { .port = port };
	struct ctl_client *client;

	if (ctl_client_open(socket, "vj bench", CTL_HELLO_OBSERVER, &client) < 0)
		return false;
	ctl_client_status(client, find_lease, &s);
	ctl_client_close(client);
	return s.found;
}

/* Listens there a socket of the kernel's? Asked without a connection, which some servers would count. */
static bool kernel_listens(uint16_t port)
{
	char line[256];
	unsigned local, state;
	bool found = false;

	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(i == 0 ? "/proc/net/tcp" : "/proc/net/tcp6", "re");

		while (f != NULL && fgets(line, sizeof(line), f) != NULL)
			found |= sscanf(line, " %*d: %*[0-9A-F]:%x %*s %x", &local, &state) == 2 &&
				 local == port && state == 0x0A;
		if (f != NULL)
			fclose(f);
	}
	return found;
}

bool program_listens(const struct program_run *run)
{
	uint16_t port = (uint16_t)atoi(run->port);

	return kernel_listens(port) && (!run->on_channel || has_lease(run->ctx->socket, port));
}

static int wait_willing(struct program_run *run, bool (*is_willing)(const struct program_run *run))
{
	uint64_t late_ns = bench_now_ns() + START_S * NS_PER_SEC;

	while (bench_now_ns() < late_ns && bench_interrupted() == 0) {
		if (is_willing(run))
			return 0;
		if (waitpid(run->server, NULL, WNOHANG) != 0)
			break;
		usleep(5000);
	}
	return bench_interrupted() ? -EINTR : -ECHILD;
}

void program_port(struct program_run *run)
{
	snprintf(run->port, sizeof(run->port), "%u", free_port());
	snprintf(run->port_behind, sizeof(run->port_behind), "%u", free_port());
}

int program_server_start(struct program_run *run, const char *const *args, bool (*is_willing)(const struct program_run *run))
{
	char *said;
	int rc;

	run->log = memfd_create("vj-bench-server", MFD_CLOEXEC);
	if (run->log < 0)
		return -errno;
	run->server = start(run, args, run->ctx->cpu_server, 0, STDIN_FILENO, run->log, run->log);
	rc = run->server < 0 ? -EAGAIN : wait_willing(run, is_willing);
	if (rc == -ECHILD && (said = slurp(run->log)) != NULL) {
		program_complain(args[0], said);
		free(said);
	}
	return rc;
}

void program_server_stop(struct program_run *run)
{
	if (run->server > 0) {
		kill(run->server, SIGTERM);
		bench_wait(run->server, 3);
	}
	if (run->log >= 0)
		close(run->log);
}
