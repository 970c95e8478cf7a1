// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj run: start an unmodified program with libvj-preload.so in front of its sockets, by becoming
 * it.
 */
#include "cli/cmd.h"
#include "cli/daemon.h"
#include "cli/env.h"
#include "cli/install.h"
#include "cli/program.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run_options {
	bool verbose, strict;
	const char *pcap, *socket;
	int64_t spin_us;
};

#define OPT(member) offsetof(struct run_options, member)
const struct opt run_opts[] = {
	{ .name = "verbose",
	  .type = OPT_FLAG,
	  .offset = OPT(verbose),
	  .help = "say on standard error when a socket that could be on a channel uses the kernel, "
		  "and why" },
	{ .name = "strict",
	  .type = OPT_FLAG,
	  .offset = OPT(strict),
	  .help = "fail where vjd or a limit keeps a socket from a channel, instead of using the kernel; "
		  "what no program under vj run owns is the kernel's as ever" },
	{ .name = "pcap",
	  .value = "FILE",
	  .type = OPT_FILE,
	  .offset = OPT(pcap),
	  .help = "record every frame in FILE, for tcpdump -r or Wireshark; %p becomes the process "
		  "id" },
	{ .name = "socket",
	  .value = "PATH",
	  .type = OPT_FILE,
	  .offset = OPT(socket),
	  .help = "socket of the vjd to use; one is started there if none runs" },
	{ .name = "spin",
	  .value = "USEC",
	  .type = OPT_INT,
	  .offset = OPT(spin_us),
	  .min = -1,
	  .max = 1000000,
	  .help = "look for frames this long before sleeping; -1: never; 0: as long as the library "
		  "finds best" },
	{ 0 },
};
_Static_assert(sizeof(struct run_options) <= CMD_OPTS_BYTES, "has to fit");

static void env_set(enum env_var v, const char *value)
{
	if (setenv(env_name(v), value, 1) < 0)
		complain("cannot set %s: %m", env_name(v));
}

/*
 * vjd and the program may change their directory; a file named on the command line must not move
 * with them.
 */
static const char *absolute(const char *path, char buf[static PATH_MAX])
{
	char dir[PATH_MAX];

	if (path != NULL && path[0] != '/' && getcwd(dir, sizeof(dir)) != NULL &&
	    snprintf(buf, PATH_MAX, "%s/%s", dir, path) < PATH_MAX)
		return buf;
	return path;
}

/* Said here, where somebody reads it, rather than by each program that then has no channel. */
static int check_pcap(const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	if (access(path, F_OK) == 0)
		return access(path, W_OK) < 0 ? -errno : 0;
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		return -EINVAL; /* absolute() failed */
	slash[slash == dir] = '\0';
	return access(dir, W_OK | X_OK) < 0 ? -errno : 0;
}

static int set_pcap(const char *file)
{
	char buf[PATH_MAX];
	const char *path = absolute(file, buf);
	int rc = check_pcap(path);

	if (rc < 0)
		complain("run: cannot record in '%s': %s", file, strerror(-rc));
	else
		env_set(ENV_PCAP, path);
	return rc;
}

static int set_preload(void)
{
	const char *before = getenv("LD_PRELOAD");
	char path[PATH_MAX], all[2 * PATH_MAX];

	if (install_find(INSTALL_PRELOAD, path) < 0) {
		complain("run: libvj-preload.so is not there: %s", path);
		return -ENOENT;
	}
	if (strpbrk(path, " :") != NULL) {
		complain("run: the path of libvj-preload.so has a space or colon in it, which "
			 "LD_PRELOAD cannot say: %s",
			 path);
		return -EINVAL;
	}
	if (snprintf(all, sizeof(all), "%s%s%s", path,
		     before != NULL && before[0] != '\0' ? ":" : "",
		     before != NULL ? before : "") >= (int)sizeof(all)) {
		complain("run: LD_PRELOAD is too long");
		return -ENAMETOOLONG;
	}
	return setenv("LD_PRELOAD", all, 1) < 0 ? -errno : 0;
}

/*
 * gcc's AddressSanitizer ends a program that it finds itself not in front of. What we put there calls nothing of its, so
 * it need not be; other options stay.
 */
static int set_asan(void)
{
	static const char name[] = "ASAN_OPTIONS", option[] = "verify_asan_link_order=0";
	const char *before = getenv(name);
	char *all;
	int rc;

	if (before != NULL && strstr(before, "verify_asan_link_order") != NULL)
		return 0;
	rc = asprintf(&all, "%s%s%s", before != NULL ? before : "", before != NULL && *before != '\0' ? ":" : "", option);
	if (rc < 0)
		return -ENOMEM;
	rc = setenv(name, all, 1) < 0 ? -errno : 0;
	free(all);
	return rc;
}

/* Return: false: no channels for whom we become, and that has been said */
static bool has_descriptors(void)
{
	uint64_t limit = own_fd_limit();

	if (limit >= OWN_FD_LIMIT_MIN)
		return true;
	complain("run: the hard limit of descriptors is %llu, and channels want %d (ulimit -Hn)", (unsigned long long)limit,
		 OWN_FD_LIMIT_MIN);
	return false;
}

static int prepare(const struct run_options *o)
{
	char path[108], number[24], buf[PATH_MAX];
	int rc;

	rc = o->pcap != NULL ? set_pcap(o->pcap) : 0;
	if (rc == 0)
		rc = daemon_ensure(absolute(o->socket, buf), path);
	if (rc == 0)
		rc = set_preload(); /* behind vjd, which must not have it */
	if (rc == 0)
		rc = set_asan();
	if (rc < 0)
		return rc;
	env_set(ENV_SOCKET, path);
	if (o->verbose)
		env_set(ENV_VERBOSE, "1");
	if (o->strict)
		env_set(ENV_STRICT, "1");
	if (o->spin_us != 0) {
		snprintf(number, sizeof(number), "%lld", (long long)o->spin_us);
		env_set(ENV_SPIN_US, number);
	}
	return 0;
}

static int verdict_status(enum program_verdict v)
{
	return v == PROGRAM_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

int cmd_run(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct run_options *o = opts;
	static struct program program;
	enum program_verdict v;

	(void)cmd;
	if (argc < 1 || argv[0][0] == '\0') {
		complain("run: which program? For example: vj run -- redis-server");
		return EXIT_USAGE;
	}
	v = program_check(argv[0], &program);
	if (v != PROGRAM_OK) {
		complain("run: %s", program.why);
		if (v == PROGRAM_NOT_OURS)
			complain("run: not started; to have it on the kernel's sockets, start it "
				 "without vj run");
		return verdict_status(v);
	}
	own_fd_anywhere = true;
	if (has_descriptors()) {
		if (prepare(o) < 0)
			return EXIT_FAILED;
	} else if (o->strict) {
		return EXIT_FAILED;
	} else {
		complain("run: '%s' runs on the kernel's sockets", argv[0]);
	}
	execv(program.path, argv);
	complain("run: cannot run '%s': %m", program.path);
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
