// SPDX-License-Identifier: BSD-2-Clause
#include "cli/bench_hosts.h"

#include "cli/cmd.h"
#include "cli/install.h"
#include "lib/ctl_client.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VJD_START_MS = 10000 };

/* ---- namespaces ---------------------------------------------------------------------------------------------------- */

static int ns_fd(const char *kind)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int VJ_PRINTF(1, 2) run(const char *fmt, ...)
{
	char cmd[512];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, args);
	va_end(args);
	status = system(cmd);
	if (status == 0)
		return 0;
	complain("bench: interface: this failed: %s", cmd);
	return -EIO;
}

/*
 * What is on the wire is what leaves, so no offloads. The client's GRO gives its end the NAPI without which it takes no
 * redirected frames; it has to be up for that.
 */
static int set_up_wire(const struct bench_hosts *h)
{
	int rc;

	rc = run("ip link add eth0 numtxqueues 1 numrxqueues 1 type veth peer name eth0 netns /proc/%d/fd/%d "
		 "numtxqueues 1 numrxqueues 1",
		 (int)getpid(), h->client_net);
	if (rc == 0)
		rc = run("ip link set lo up && ip link set eth0 up && ip addr add " BENCH_SERVER_ADDR "/24 dev eth0 && "
			 "ip addr add " BENCH_SERVER_ADDR6 "/64 dev eth0 nodad");
	if (rc == 0)
		rc = run("ethtool -K eth0 tx off tso off gso off gro on >/dev/null");
	if (rc == 0)
		rc = run("nsenter --net=/proc/%d/fd/%d sh -c 'ip link set lo up && ip link set eth0 up && "
			 "ip addr add 10.77.0.1/24 dev eth0 && ip addr add fd77::1/64 dev eth0 nodad && "
			 "ethtool -K eth0 tx off tso off gso off gro on >/dev/null'",
			 (int)getpid(), h->client_net);
	return rc;
}

static int unshare_all(struct bench_hosts *h)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	h->client_net = ns_fd("net");
	if (h->client_net < 0)
		return h->client_net;
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	/* The server's devices; and vjd pins there. */
	return mount("sysfs", "/sys", "sysfs", 0, NULL) < 0 || mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0 ? -errno : 0;
}

int bench_hosts_up(struct bench_hosts *h)
{
	int rc;

	*h = (struct bench_hosts){ .home_net = ns_fd("net"), .home_mnt = ns_fd("mnt"), .client_net = -1 };
	rc = h->home_net < 0 || h->home_mnt < 0 ? -ENOSYS : unshare_all(h);
	if (rc < 0)
		complain("bench: interface: no network namespaces: %s%s", strerror(-rc),
			 geteuid() != 0 ? " (needs root)" : "");
	if (rc == 0)
		rc = set_up_wire(h);
	if (rc < 0)
		bench_hosts_down(h);
	return rc;
}

void bench_hosts_down(struct bench_hosts *h)
{
	int *const fds[] = { &h->home_mnt, &h->home_net, &h->client_net };

	if (h->home_net >= 0)
		setns(h->home_net, CLONE_NEWNET);
	if (h->home_mnt >= 0)
		setns(h->home_mnt, CLONE_NEWNS);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int bench_hosts_enter_client(const struct bench_hosts *h)
{
	return setns(h->client_net, CLONE_NEWNET) < 0 ? -errno : 0;
}

/* ---- vjd ----------------------------------------------------------------------------------------------------------- */

static VJ_NORETURN void become_vjd(const struct bench_ctx *ctx)
{
	char vjd[PATH_MAX], log[PATH_MAX];
	int fd;

	/* what it says is shown only if it doesn't start */
	snprintf(log, sizeof(log), "%s/vjd.log", ctx->dir);
	fd = open(log, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	if (install_find(INSTALL_VJD, vjd) == 0)
		execl(vjd, vjd, "--socket", ctx->socket, "--attach", "eth0", (char *)NULL);
	_exit(EXIT_NOT_FOUND);
}

static void complain_log(const struct bench_ctx *ctx)
{
	char path[PATH_MAX], line[256] = "no reason given";
	FILE *f;

	snprintf(path, sizeof(path), "%s/vjd.log", ctx->dir);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		;
	if (f != NULL)
		fclose(f);
	complain("bench: interface: vjd does not start: %.*s", (int)strcspn(line, "\n"), line);
}

int bench_hosts_vjd(struct bench_ctx *ctx)
{
	struct ctl_client *client;
	int rc = bench_dir(ctx);

	if (rc < 0)
		return rc;
	snprintf(ctx->socket, sizeof(ctx->socket), "%s/vjd.sock", ctx->dir);
	ctx->vjd = bench_fork();
	if (ctx->vjd == 0)
		become_vjd(ctx);
	for (unsigned ms = 0; ctx->vjd > 0 && ms < VJD_START_MS && bench_interrupted() == 0; ms += 10) {
		if (ctl_client_open(ctx->socket, "vj bench", CTL_HELLO_OBSERVER, &client) == 0) {
			ctl_client_close(client);
			return 0;
		}
		if (waitpid(ctx->vjd, NULL, WNOHANG) != 0) {
			ctx->vjd = 0;
			break;
		}
		usleep(10000);
	}
	complain_log(ctx);
	bench_vjd_stop(ctx);
	return bench_interrupted() ? -EINTR : -ECHILD;
}

/* ---- the server's kernel ------------------------------------------------------------------------------------------- */

uint64_t bench_hosts_kernel_packets(void)
{
	unsigned long long tcp = 0, udp = 0;
	char line[512];
	FILE *f = fopen("/proc/net/snmp", "re");

	/* InSegs is the tenth of Tcp's numbers, InDatagrams the first of Udp's; the lines with names don't match. */
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %*d %*d %*d %llu", &tcp);
		sscanf(line, "Udp: %llu", &udp);
	}
	if (f != NULL)
		fclose(f);
	return tcp + udp;
}
