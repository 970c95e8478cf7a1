// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj run: start an unmodified program with libvj-preload.so in front of its sockets, by becoming it. Here with all that may be said and chosen; as a rule
 * nothing is, and front.c does it.
 */
#include "cli/cmd.h"
#include "cli/daemon.h"
#include "cli/env.h"
#include "cli/install.h"
#include "cli/program.h"
#include "cli/run_env.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run_options {
	bool verbose, strict, quiet;
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
	{ .name = "quiet",
	  .type = OPT_FLAG,
	  .offset = OPT(quiet),
	  .help = "don't say that the program as a whole is on the kernel's sockets, and why" },
	{ .name = "strict",
	  .type = OPT_FLAG,
	  .offset = OPT(strict),
	  .help = "don't start the program if there is no vjd for it, and fail where vjd or a limit keeps a socket from a channel, "
		  "instead of using the kernel; what no program under vj run owns is the kernel's as ever" },
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

/* A buffer for a value of run_env.h. NULL: no memory */
static char *value_room(const char *before, size_t *ret_room)
{
	*ret_room = (before != NULL ? strlen(before) : 0) + PATH_MAX + RUN_ENV_MORE;
	return malloc(*ret_room);
}

/* Return: 0; negative errno, and @why says it */
static int set_preload(char why[static CTL_CLIENT_WHY_BYTES])
{
	const char *before = getenv(RUN_ENV_PRELOAD);
	char path[PATH_MAX], *buf;
	size_t room;
	int rc;

	if (install_find(INSTALL_PRELOAD, path) < 0) {
		snprintf(why, CTL_CLIENT_WHY_BYTES, "libvj-preload.so can't be read beside vj, nor as %.180s", path);
		return -ENOENT;
	}
	if (strpbrk(path, " :") != NULL) {
		snprintf(why, CTL_CLIENT_WHY_BYTES, "the path of libvj-preload.so has a space or colon in it, which LD_PRELOAD cannot say: %.140s", path);
		return -EINVAL;
	}
	buf = value_room(before, &room);
	rc = buf == NULL ? -ENOMEM : setenv(RUN_ENV_PRELOAD, run_env_preload(before, path, buf, room), 1) < 0 ? -errno : 0;
	free(buf);
	if (rc < 0)
		snprintf(why, CTL_CLIENT_WHY_BYTES, "no memory");
	return rc;
}

static int set_asan(void)
{
	const char *before = getenv(RUN_ENV_ASAN);
	size_t room;
	char *buf = value_room(before, &room);
	int rc = buf == NULL ? -ENOMEM : setenv(RUN_ENV_ASAN, run_env_asan(before, buf, room), 1) < 0 ? -errno : 0;

	free(buf);
	return rc;
}

/* ---- channels for the program, or not --------------------------------------------------------------- */

/*
 * Without a vjd the program is on the kernel's sockets all the same, with the library in it, which has channels as soon as there is one: what is
 * wrong with vjd is no reason not to start it.
 * Return: 0; negative errno: none for now, and @why says it
 */
static int set_vjd(const char *socket, char why[static CTL_CLIENT_WHY_BYTES])
{
	char path[CTL_PATH_BYTES], buf[PATH_MAX];
	const char *named = absolute(socket, buf);
	struct ctl_client_failure failure;
	int rc = daemon_ensure(named, path, &failure);

	if (rc == 0)
		env_set(ENV_SOCKET, path);
	else if (rc == -ETIMEDOUT && failure.path[0] != '\0')
		env_set(ENV_SOCKET, failure.path);
	else if (named != NULL)
		env_set(ENV_SOCKET, named);
	if (rc < 0)
		snprintf(why, CTL_CLIENT_WHY_BYTES, "%.180s%s", failure.why,
			 rc == -EPROTO	  ? "; restart it, or use another: --socket PATH" :
			 rc == -EACCES	  ? "; use another: --socket PATH" :
					    "");
	return rc;
}

/* Return: 0; negative errno: none, and @why says it */
static int check_limit(char why[static CTL_CLIENT_WHY_BYTES])
{
	uint64_t limit = own_fd_limit();

	if (limit >= OWN_FD_LIMIT_MIN)
		return 0;
	snprintf(why, CTL_CLIENT_WHY_BYTES, "the hard limit of descriptors is %llu, and channels want %d (ulimit -Hn)", (unsigned long long)limit,
		 OWN_FD_LIMIT_MIN);
	return -EMFILE;
}

static void set_options(const struct run_options *o)
{
	char number[24];

	if (o->verbose)
		env_set(ENV_VERBOSE, "1");
	if (o->strict)
		env_set(ENV_STRICT, "1");
	if (o->spin_us != 0) {
		snprintf(number, sizeof(number), "%lld", (long long)o->spin_us);
		env_set(ENV_SPIN_US, number);
	}
}

/* The environment of a program that is to have channels. Return: 0; negative errno: it will have none, or none for now, and @why says it */
static int prepare(const struct run_options *o, char why[static CTL_CLIENT_WHY_BYTES])
{
	char lib_why[CTL_CLIENT_WHY_BYTES];
	int rc = check_limit(why), lib_rc;

	if (rc < 0)
		return rc;
	rc = set_vjd(o->socket, why);
	lib_rc = set_preload(lib_why); /* behind vjd, which must not have it */
	if (lib_rc < 0) {
		memcpy(why, lib_why, CTL_CLIENT_WHY_BYTES);
		return lib_rc;
	}
	set_options(o);
	lib_rc = set_asan();
	return rc < 0 ? rc : lib_rc;
}

/* ---- the program ------------------------------------------------------------------------------------ */

static int verdict_status(enum program_verdict v)
{
	return v == PROGRAM_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

/* The array, not the strings: setenv() writes to the first. NULL: no memory */
static char **environment_copy(void)
{
	size_t cnt = 0;
	char **copy;

	while (environ[cnt] != NULL)
		cnt++;
	copy = calloc(cnt + 1, sizeof(*copy));
	if (copy != NULL)
		memcpy(copy, environ, cnt * sizeof(*copy));
	return copy;
}

/* execvp(3), whose rule for what the kernel doesn't know as a program it has: a script of the shell's. Returns if it fails. */
static void execute(const char *path, char **argv, char **env)
{
	size_t cnt = 0;
	char **args;

	execve(path, argv, env);
	if (errno != ENOEXEC)
		return;
	while (argv[cnt] != NULL)
		cnt++;
	args = calloc(cnt + 2, sizeof(*args));
	if (args == NULL)
		return;
	args[0] = (char *)(uintptr_t)"/bin/sh";
	args[1] = (char *)(uintptr_t)path;
	memcpy(args + 2, argv + 1, cnt * sizeof(*args)); /* with the NULL */
	execve(args[0], args, env);
	free(args);
}

static void say_kernel(const struct run_options *o, const char *name, const char *why)
{
	if (!o->quiet || o->strict)
		complain("run: '%s' %s: %s", name, o->strict ? "is not started (--strict)" : "is on the kernel's sockets", why);
}

static int become(const struct program *program, char **argv, char **env_before, const struct run_options *o)
{
	execute(program->path, argv, environ);
	if (errno == E2BIG && env_before != NULL && !o->strict) {
		say_kernel(o, argv[0], RUN_ENV_FULL);
		execute(program->path, argv, env_before);
	}
	complain("run: cannot run '%s': %m", program->path);
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

int cmd_run(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct run_options *o = opts;
	char why[CTL_CLIENT_WHY_BYTES], **env_before;
	static struct program program;
	enum program_verdict v;

	(void)cmd;
	if (argc < 1 || argv[0][0] == '\0') {
		complain("run: which program? For example: vj run -- redis-server");
		return EXIT_USAGE;
	}
	v = program_check(argv[0], &program);
	if (v != PROGRAM_OK && (!program_is_kernels(v) || o->strict)) {
		complain("run: %s", program_why(&program));
		return verdict_status(v);
	}
	if (v != PROGRAM_OK)
		say_kernel(o, argv[0], program_why(&program));
	own_fd_anywhere = true;
	if (o->pcap != NULL && set_pcap(o->pcap) < 0)
		return EXIT_FAILED;
	env_before = environment_copy();
	if (v != PROGRAM_NOT_OURS && prepare(o, why) < 0) {
		say_kernel(o, argv[0], why);
		if (o->strict)
			return EXIT_FAILED;
	}
	return become(&program, argv, env_before, o);
}
