// SPDX-License-Identifier: BSD-2-Clause
/*
 * The processes of a run. Rules: a child gets SIGKILL when its parent dies; an interrupt sets a
 * flag that every wait looks at, and clean-up happens on the ordinary way out, not in the handler.
 */
#include "cli/bench.h"

#include "base/time.h"
#include "cli/cmd.h"
#include "cli/daemon.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

enum { CHILDREN_MAX = 16 };
static pid_t children[CHILDREN_MAX]; /* 0: free */

uint64_t bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void on_signal(int sig)
{
	interrupted = sig;
}

int bench_interrupted(void)
{
	return interrupted;
}

static void pick_cpus(struct bench_ctx *ctx)
{
	cpu_set_t set;

	ctx->cpu_server = ctx->cpu_client = -1;
	ctx->cpus = 0;
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET((size_t)cpu, &set))
			continue;
		if (ctx->cpus == 0)
			ctx->cpu_server = ctx->cpu_client = cpu;
		else if (ctx->cpus == 1)
			ctx->cpu_client = cpu;
		ctx->cpus++;
	}
}

/* Each of the kernel's connections is a descriptor. */
static void raise_fd_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return;
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
}

int bench_setup(struct bench_ctx *ctx)
{
	struct sigaction sa = { .sa_handler = on_signal }; /* no SA_RESTART: waits must end */

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	pick_cpus(ctx);
	ctx->busy = ctx->cpus > 1 && strcmp(ctx->o->wait, "busy") == 0;
	ctx->started_ns = bench_now_ns();
	return 0;
}

int bench_dir(struct bench_ctx *ctx)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (ctx->dir[0] != '\0')
		return 0;
	if (base == NULL || strlen(base) > 32 || access(base, W_OK) < 0)
		base = "/tmp";
	snprintf(ctx->dir, sizeof(ctx->dir), "%s/vj-bench-XXXXXX", base);
	if (mkdtemp(ctx->dir) == NULL) {
		int err = errno;

		complain("bench: cannot make a directory in %s: %s", base, strerror(err));
		ctx->dir[0] = '\0';
		return -err;
	}
	return 0;
}

int bench_vjd_start(struct bench_ctx *ctx)
{
	int rc = bench_dir(ctx);

	if (rc < 0)
		return rc;
	snprintf(ctx->socket, sizeof(ctx->socket), "%s/vjd.sock", ctx->dir);
	rc = daemon_start(ctx->socket, DAEMON_CHILD, &ctx->vjd);
	if (rc < 0)
		ctx->socket[0] = '\0';
	return rc;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void bench_vjd_stop(struct bench_ctx *ctx)
{
	if (ctx->vjd > 0) {
		kill(ctx->vjd, SIGTERM);
		reap(ctx->vjd);
		ctx->vjd = 0;
	}
	if (ctx->socket[0] != '\0')
		unlink(ctx->socket);
	ctx->socket[0] = '\0';
}

static void forget_child(pid_t pid)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (children[i] == pid)
			children[i] = 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

/* vjd's lock, and what a server may have left. */
static void remove_dir(const char *path)
{
	if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		complain("bench: cannot remove %s: %m", path);
}

void bench_cleanup(struct bench_ctx *ctx)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++) {
		if (children[i] <= 0)
			continue;
		kill(children[i], SIGKILL);
		reap(children[i]);
		children[i] = 0;
	}
	bench_vjd_stop(ctx);
	if (ctx->dir[0] != '\0')
		remove_dir(ctx->dir);
	ctx->dir[0] = '\0';
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

pid_t bench_fork(void)
{
	pid_t parent = getpid(), pid;
	unsigned slot = 0;

	while (slot < CHILDREN_MAX - 1 && children[slot] != 0)
		slot++;
	fflush(NULL);
	pid = fork();
	if (pid > 0)
		children[slot] = pid;
	if (pid != 0)
		return pid;
	memset(children, 0, sizeof(children));
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	return 0;
}

int bench_wait(pid_t pid, double timeout_s)
{
	uint64_t end_ns = bench_now_ns() + (uint64_t)(timeout_s * 1e9);
	int status;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid) {
			forget_child(pid);
			return status;
		}
		if (interrupted || bench_now_ns() >= end_ns)
			break;
		usleep(1000);
	}
	kill(pid, SIGKILL);
	reap(pid);
	forget_child(pid);
	return -1;
}

int bench_fail(struct bench_peer *peer, const char *what, int err)
{
	if (peer->shm->error[0] == '\0')
		snprintf(peer->shm->error, sizeof(peer->shm->error), "%s: %s", what,
			 strerror(err < 0 ? -err : err));
	return EXIT_FAILED;
}

static pid_t start_peer(struct bench_peer *peer, int (*fn)(struct bench_peer *), int cpu)
{
	pid_t pid = bench_fork();

	if (pid != 0)
		return pid;
	bench_pin(cpu);
	_exit(fn(peer));
}

static int run_pair(struct bench_peer *peer, const struct bench_way *way)
{
	/* The client has its own limit; this one is for what hangs. */
	double limit_s = 3 * peer->seconds + 20;
	struct bench_shm *shm = peer->shm;
	pid_t server, client;
	int status;

	server = start_peer(peer, way->server, peer->ctx->cpu_server);
	if (server < 0)
		return -errno;
	client = start_peer(peer, way->client, peer->ctx->cpu_client);
	if (client < 0)
		return -errno;
	status = bench_wait(client, limit_s);
	atomic_store(&shm->stop, 1);
	/*
	 * A server that is still there has connections that the client did not close, so it may
	 * have to be ended.
	 */
	bench_wait(server, status == 0 ? 2 : 0);
	if (interrupted)
		return -EINTR;
	if (status == 0)
		return 0;
	if (shm->error[0] != '\0')
		complain("bench: %s", shm->error);
	else if (status == -1)
		complain("bench: no end after %.0f s", limit_s);
	else
		complain("bench: the client ended with %s %d",
			 WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return -ECHILD;
}

int bench_around(struct bench_peer *peer, const struct bench_way *way, int (*run)(struct bench_peer *peer, const struct bench_way *way),
		struct bench_sample *ret_sample)
{
	int rc = 0;

	peer->shm = mmap(NULL, sizeof(*peer->shm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (peer->shm == MAP_FAILED)
		return -errno;
	if (way->with_vjd)
		rc = bench_vjd_start(peer->ctx);
	if (rc == 0)
		rc = run(peer, way);
	if (way->with_vjd)
		bench_vjd_stop(peer->ctx);
	if (rc == 0)
		*ret_sample = peer->shm->sample;
	munmap(peer->shm, sizeof(*peer->shm));
	return rc;
}

int bench_pair(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
	       struct bench_sample *ret_sample)
{
	struct bench_peer peer = { .ctx = ctx, .way = way->nr, .seconds = seconds };
	int rc = bench_dir(ctx); /* Unix sockets have their names there */

	return rc < 0 ? rc : bench_around(&peer, way, run_pair, ret_sample);
}
