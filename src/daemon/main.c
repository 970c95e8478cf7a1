/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - vjd, from the command line to the loop
 */
#include "base/log.h"
#include "base/time.h"
#include "control/path.h"
#include "daemon/detach.h"
#include "daemon/fw_reader.h"
#include "daemon/options.h"
#include "daemon/parp_keys.h"
#include "daemon/place.h"
#include "daemon/server.h"

#include "vj_version.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POLICY_PATH "/etc/vjchan/policy.conf"

enum {
	EXIT_USAGE = 2,
	PRIVATE_IDLE_EXIT_S = 2,
	PRIVATE_FIRST_EXIT_S = 10,
	MEMORY_MAX_MIB = 16384,
	START_TIMEOUT_MS = 5000, /* for the winner of a start race to be ready */
	START_POLL_MS = 10,
	FDS_MIN = 128, /* itself, and some dozen clients */
};

static void log_line(void *arg, enum log_level level, const char *line, size_t len)
{
	FILE *to = arg;
	struct timespec ts;
	struct tm tm;
	char when[32];

	(void)len;
	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%F %T", &tm);
	fprintf(to, "%s.%03ld vjd[%d] %s: %s\n", when, ts.tv_nsec / 1000000, getpid(),
		log_level_name(level), line);
	fflush(to);
}

static int usage_error(const char *why)
{
	fprintf(stderr, "vjd: %s\nTry 'vjd --help'.\n", why);
	return EXIT_USAGE;
}

static void limits_raise(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	/* memory for channels is files, too; the hard one is only for the privileged to raise */
	rl = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	if (setrlimit(RLIMIT_FSIZE, &rl) != 0 && getrlimit(RLIMIT_FSIZE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_FSIZE, &rl);
	}
}

/*
 * Signals of the loop are blocked before any thread is there; what a client's death may raise is
 * ignored.
 */
static void set_up_process(void)
{
	sigset_t set;
	int fd;

	/* started without the standard three: what is opened next must not get their numbers */
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* what is too large for whoever started us is refused */
	umask(077);
	limits_raise();
}

static uint64_t fd_limit(void)
{
	struct rlimit rl;

	return getrlimit(RLIMIT_NOFILE, &rl) == 0 ? rl.rlim_cur : 0;
}

static uint64_t memory_max(const struct options *opts)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
	uint64_t half = 0;

	if (opts->memory_max_mib != OPTION_UNSET)
		return opts->memory_max_mib << 20;
	if (pages > 0 && page_bytes > 0)
		half = (uint64_t)pages * (uint64_t)page_bytes / 2;
	return min_u64(half, (uint64_t)MEMORY_MAX_MIB << 20);
}

static uint64_t seconds_or(const struct options *opts, uint64_t given_s, uint64_t private_s)
{
	if (given_s != OPTION_UNSET)
		return given_s * NS_PER_SEC;
	return opts->is_private ? private_s * NS_PER_SEC : TIME_NEVER;
}

static struct vj_area_params area_params(const struct options *opts)
{
	return (struct vj_area_params){ (uint32_t)opts->frame_bytes, (uint32_t)opts->frame_cnt, (uint32_t)opts->frame_cnt };
}

static const char *policy_path(const struct options *opts)
{
	if (opts->policy != NULL)
		return opts->policy;
	return opts->is_private ? NULL : POLICY_PATH;
}

static struct parp_keys lan_keys; /* of --parp-keys */

static struct vjd_lan_config lan_config(const struct options *opts)
{
	return (struct vjd_lan_config){
		.off = opts->parp == OPTION_OFF,
		.e2 = opts->parp == OPTION_E2,
		.rfc = opts->mac_timing == OPTION_RFC,
		.pool = (uint32_t)opts->mac_pool,
		.keys = lan_keys.cnt > 0 ? &lan_keys : NULL,
	};
}

static struct vjd_gateway_config gateway_config(const struct options *opts)
{
	return (struct vjd_gateway_config){
		.entry_max = (uint32_t)opts->gateway_entries,
		.rate = opts->gateway_rate != OPTION_UNSET ? (uint32_t)opts->gateway_rate : 0,
	};
}

static struct server_config make_config(const struct options *opts, const char *path,
					const struct log_sink *log)
{
	return (struct server_config){
		.vjd = {
			.limits = {
				.apps_max = (uint32_t)opts->apps_max,
				.leases_max = (uint32_t)opts->leases_max,
				.channels_max = (uint32_t)opts->channels_max,
				.rate_max = (uint32_t)opts->rate_max,
				.memory_max = memory_max(opts),
			},
			.area = area_params(opts),
			.lan = lan_config(opts),
			.gateway = gateway_config(opts),
			.private_mode = opts->is_private != 0,
			.path = path,
			.uid = geteuid(),
			.log = log,
		},
		.path = path,
		.socket_mode = opts->is_private ? 0600 : 0666,
		.idle_exit_ns = seconds_or(opts, opts->idle_exit_s, PRIVATE_IDLE_EXIT_S),
		.policy = policy_path(opts),
		.policy_optional = opts->policy == NULL,
		.first_exit_ns = seconds_or(opts, opts->first_exit_s, PRIVATE_FIRST_EXIT_S),
	};
}

/* ---- where */

/* A detached vjd leaves its working directory. */
static int absolute(const char *path, struct ctl_path *ret_path)
{
	char cwd[PATH_MAX] = "";
	int n;

	if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
		return -errno;
	n = snprintf(ret_path->text, sizeof(ret_path->text), "%s%s%s", cwd,
		     path[0] != '/' ? "/" : "", path);
	ret_path->kind = CTL_PATH_GIVEN;
	return n < (int)sizeof(ret_path->text) ? 0 : -ENAMETOOLONG;
}

static bool suits(const struct options *opts, const struct ctl_path *path)
{
	return path->kind == CTL_PATH_GIVEN ||
	       (path->kind == CTL_PATH_PRIVATE) == (opts->is_private != 0);
}

/* The first path of the search order that suits the mode and can be used. */
static int find_place(const struct options *opts, struct place *ret_place, char *why)
{
	const struct ctl_path_env env = {
		.vj_socket = opts->socket != NULL ? opts->socket
			     : opts->is_private	  ? getenv("VJ_SOCKET")
						  : NULL,
		.xdg_runtime_dir = getenv("XDG_RUNTIME_DIR"),
		.uid = geteuid(),
	};
	struct ctl_path paths[CTL_PATH_CANDIDATES_MAX], path;
	unsigned cnt = ctl_path_candidates(&env, paths);
	int r = -ENAMETOOLONG;

	snprintf(why, PLACE_WHY_BYTES, "the path of the socket is too long");
	for (unsigned i = 0; i < cnt; i++) {
		if (!suits(opts, &paths[i]))
			continue;
		r = absolute(paths[i].text, &path);
		if (r < 0)
			break;
		path.kind = paths[i].kind;
		r = place_open(&path, ret_place, why);
		if (r == 0)
			break;
	}
	return r;
}

/*
 * Return: 0: this is the one vjd here; 1: another one serves here; negative errno. Between the two
 * is one that starts, or is just leaving: wait until it does either.
 */
static int win_place(struct place *place)
{
	for (int ms = 0; ms < START_TIMEOUT_MS; ms += START_POLL_MS) {
		int r = place_lock(place);

		if (r != -EAGAIN)
			return r;
		if (place_is_served(place))
			return 1;
		usleep(START_POLL_MS * 1000);
	}
	return -ETIMEDOUT;
}

/* ---- run */

static int attach_all(struct server *server, const char *names, bool gateway)
{
	char name[96];

	for (const char *at = names; at != NULL && *at != '\0';) {
		size_t len = strcspn(at, ",");
		struct ip_prefix prefix;
		enum ctl_refusal why;
		char *is;

		snprintf(name, sizeof(name), "%.*s", (int)min_u32((uint32_t)len, sizeof(name) - 1), at);
		is = gateway ? NULL : strchr(name, '=');
		if (len == 0 || is == name) {
			fprintf(stderr, "vjd: --%s %s: an interface has no name there\n", gateway ? "gateway" : "attach", names);
			return -EINVAL;
		}
		if (is != NULL && ip_prefix_parse(is + 1, &prefix) < 0) {
			fprintf(stderr, "vjd: cannot attach %s: a prefix is as 2001:db8:1::/64, with no bit set behind it\n", name);
			return -EINVAL;
		}
		if (is != NULL && ctl_prefix_fault(&prefix) != NULL) {
			fprintf(stderr, "vjd: cannot attach %s: %s\n", name, ctl_prefix_fault(&prefix));
			return -EINVAL;
		}
		if (is != NULL)
			*is = '\0';
		why = server_attach(server, name, gateway, is != NULL ? &prefix : NULL);
		if (why != CTL_REFUSAL_NONE) {
			fprintf(stderr, "vjd: cannot attach %s: %s\n", name, ctl_refusal_text(why));
			return -ENODEV;
		}
		at += len + (at[len] == ',');
	}
	return 0;
}

static int serve(const struct options *opts, const struct place *place, struct detach *detach,
		 struct log_sink *log)
{
	struct server_config cfg = make_config(opts, place->path.text, log);
	struct server *server = NULL;
	char why[POLICY_WHY_BYTES] = "";
	int r = server_new(&cfg, &server, why);

	if (r == -EBADMSG) {
		fprintf(stderr, "vjd: %s\n", why);
		return EXIT_FAILURE;
	}
	if (r < 0) {
		fprintf(stderr, "vjd: cannot listen at %s: %s\n", cfg.path,
			r == -EEXIST ? "something else is there" : strerror(-r));
		return EXIT_FAILURE;
	}
	if (attach_all(server, opts->attach, false) < 0 || attach_all(server, opts->gateway, true) < 0) {
		server_free(server);
		return EXIT_FAILURE;
	}
	r = server_open(server);
	if (r < 0) {
		fprintf(stderr, "vjd: cannot listen at %s: %s\n", cfg.path, strerror(-r));
		server_free(server);
		return EXIT_FAILURE;
	}
	if (detach->parent_fd >= 0 && opts->log == NULL)
		log->fn = NULL;
	log_info(log, "vjd %s serves %s", VJ_VERSION_STRING, cfg.path);
	detach_ready(detach);
	r = server_run(server);
	if (r < 0)
		log_error(log, "leaves: %s", strerror(-r));
	else
		log_info(log, "leaves");
	server_free(server);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct options *opts, struct detach *detach, struct log_sink *log)
{
	char why[PLACE_WHY_BYTES];
	struct place place;
	int r = find_place(opts, &place, why);

	if (r < 0) {
		fprintf(stderr, "vjd: %s%s\n", why,
			opts->socket != NULL ? ""
			: opts->is_private   ? " (VJ_SOCKET or XDG_RUNTIME_DIR name a place of your own)"
					     : " (--private needs no privilege)");
		return EXIT_FAILURE;
	}
	r = win_place(&place);
	if (r == 1 && opts->is_private) {
		/* one was wanted, one is there */
		fprintf(stderr, "vjd: %s: another vjd serves there, and is enough\n", place.path.text);
		detach_ready(detach);
		return EXIT_SUCCESS;
	}
	if (r != 0) {
		fprintf(stderr, "vjd: %s: %s\n", place.path.text,
			r == 1		  ? "another vjd serves there"
			: r == -ETIMEDOUT ? "another vjd holds the lock, but doesn't serve"
					  : strerror(-r));
		return EXIT_FAILURE;
	}
	if (detach->parent_fd >= 0 && chdir("/") != 0)
		return EXIT_FAILURE;
	r = serve(opts, &place, detach, log);
	place_close(&place);
	return r;
}

static FILE *open_log(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	return fd < 0 ? NULL : fdopen(fd, "a");
}

int main(int argc, char **argv)
{
	struct options opts;
	struct log_sink log = { .fn = log_line, .arg = stderr, .level = LOG_LEVEL_INFO };
	struct vj_area_params area;
	struct detach detach;
	char why[128], keys_why[PARP_KEYS_WHY_BYTES];
	int r;

	if (argc == 3 && strcmp(argv[1], FW_PRINT_OPTION) == 0)
		return fw_print(argv[2]);
	r = options_parse(argc, argv, &opts, why);

	if (r < 0)
		return usage_error(why);
	if (opts.help) {
		options_help(stdout);
		return EXIT_SUCCESS;
	}
	if (opts.version) {
		puts("vjd " VJ_VERSION_STRING);
		return EXIT_SUCCESS;
	}
	area = area_params(&opts);
	if (vj_area_params_check(&area) != 0)
		return usage_error("--frame-bytes and --frames want powers of two");
	if (opts.parp_keys != NULL && parp_keys_load(opts.parp_keys, &lan_keys, keys_why) < 0) {
		fprintf(stderr, "vjd: %s\n", keys_why);
		return EXIT_FAILURE;
	}
	set_up_process();
	if (fd_limit() < FDS_MIN) {
		fprintf(stderr, "vjd: the hard limit of descriptors is %llu, %d are the least (ulimit -Hn)\n",
			(unsigned long long)fd_limit(), FDS_MIN);
		return EXIT_FAILURE;
	}
	r = detach_start(!opts.is_private || opts.foreground,
			 opts.ready_fd == OPTION_UNSET ? -1 : (int)opts.ready_fd, &detach);
	if (r < 0) {
		fprintf(stderr, "vjd: cannot go to the background: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	if (opts.verbose)
		log.level = LOG_LEVEL_DEBUG;
	if (opts.log != NULL && (log.arg = open_log(opts.log)) == NULL) {
		fprintf(stderr, "vjd: cannot write %s: %s\n", opts.log, strerror(errno));
		return EXIT_FAILURE;
	}
	return run(&opts, &detach, &log);
}
