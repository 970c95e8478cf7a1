// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench redis: unmodified redis-server and redis-benchmark, on the kernel's loopback and under `vj run`.
 *
 * A run: start a server on a free port, in a directory of ours and with nothing saved; load keys with known values through
 * redis-cli; let redis-benchmark set and get random keys; read back every key that is there. Under vj run that is done
 * twice, through redis-cli on a channel and through the kernel's loopback, which reaches the same server, and both must
 * have the same values. The clients run with --strict: if they had to use the kernel the run fails, and nothing is
 * reported as a channel that was none.
 */
#include "cli/bench.h"
#include "cli/cmd.h"
#include "cli/env.h"
#include "cli/install.h"
#include "cli/program.h"
#include "cli/resp.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_S = 10, ARGS_MAX = 40, TOOL_S = 120 };

enum { KEY_BYTES = 64, VALUE_BYTES = 64 };

struct redis_run {
	struct bench_ctx *ctx;
	bool on_channel, pinned;
	char port[8];
	pid_t server;
	int log; /* memfd: what the server prints */
};

/* Counted over all runs of a benchmark, for the last line. */
static struct {
	uint64_t written, read_channel, read_kernel, wrong;
} tally;

/* ---- programs ---- */

static uint16_t free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		addr.sin_port = 0;
	if (fd >= 0)
		close(fd);
	return ntohs(addr.sin_port);
}

static VJ_NORETURN void become(const struct redis_run *run, const char *const *args, bool strict)
{
	const char *argv[ARGS_MAX + 8];
	char vj[PATH_MAX];
	unsigned n = 0;

	if (run->on_channel && install_find(INSTALL_VJ, vj) == 0) {
		argv[n++] = vj;
		argv[n++] = "run";
		if (strict)
			argv[n++] = "--strict";
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

/* Starts a program with standard input, output and error as given. */
static pid_t start(const struct redis_run *run, const char *const *args, bool is_server, int in, int out)
{
	pid_t pid = bench_fork();

	if (pid != 0)
		return pid;
	if (run->pinned)
		bench_pin(is_server ? run->ctx->cpu_server : run->ctx->cpu_client);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	become(run, args, !is_server);
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

static void complain_of(const char *program, const char *said)
{
	const char *last = said;

	/* the last line that is not empty says it best */
	for (const char *p = said; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n')
		if (*p != '\n')
			last = p;
	complain("bench: %s failed%s%.*s", program, *last != '\0' ? ": " : "", (int)strcspn(last, "\n"), last);
}

/* Runs a client program to its end; *ret_said is what it printed, the caller's to free. */
static int tool(const struct redis_run *run, const char *const *args, int in, char **ret_said)
{
	int out = memfd_create("vj-bench-out", MFD_CLOEXEC), status;
	char *said;
	pid_t pid;

	if (out < 0)
		return -errno;
	pid = start(run, args, false, in, out);
	status = pid < 0 ? -1 : bench_wait(pid, TOOL_S);
	said = slurp(out);
	close(out);
	if (said == NULL)
		return -ENOMEM;
	if (status == 0) {
		*ret_said = said;
		return 0;
	}
	if (bench_interrupted() == 0)
		complain_of(args[0], said);
	free(said);
	return -ECHILD;
}

/* ---- server ---- */

static int wait_willing(struct redis_run *run)
{
	uint64_t late_ns = bench_now_ns() + START_S * UINT64_C(1000000000);
	uint16_t port = (uint16_t)atoi(run->port);

	while (bench_now_ns() < late_ns && bench_interrupted() == 0) {
		struct resp *r = NULL;
		int rc = resp_open(port, &r);

		if (rc == 0)
			rc = resp_ping(r);
		resp_close(r);
		if (rc == 0)
			return 0;
		if (waitpid(run->server, NULL, WNOHANG) != 0)
			break;
		usleep(5000);
	}
	return bench_interrupted() ? -EINTR : -ECHILD;
}

static int server_start(struct redis_run *run)
{
	const char *args[] = { "redis-server", "--port", run->port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
			       "--daemonize", "no", "--dir", run->ctx->dir, NULL };
	char *said;
	int rc;

	snprintf(run->port, sizeof(run->port), "%u", free_port());
	run->log = memfd_create("vj-bench-redis", MFD_CLOEXEC);
	if (run->log < 0)
		return -errno;
	run->server = start(run, args, true, STDIN_FILENO, run->log);
	rc = run->server < 0 ? -EAGAIN : wait_willing(run);
	if (rc == -ECHILD && (said = slurp(run->log)) != NULL) {
		complain_of("redis-server", said);
		free(said);
	}
	return rc;
}

static void server_stop(struct redis_run *run)
{
	if (run->server > 0) {
		kill(run->server, SIGTERM);
		bench_wait(run->server, 3);
	}
	if (run->log >= 0)
		close(run->log);
}

/* ---- keys ---- */

static void known_value(const char *key, char buf[static VALUE_BYTES])
{
	unsigned long long h = 14695981039346656037ull;

	for (const char *p = key; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ull;
	snprintf(buf, VALUE_BYTES, "value-%016llx", h);
}

static bool is_known(const char *key)
{
	return strncmp(key, "vj:", 3) == 0;
}

/* Puts the keys in with known values: commands into redis-cli, as a person would. */
static int load(const struct redis_run *run)
{
	const char *args[] = { "redis-cli", "-h", "127.0.0.1", "-p", run->port, "--pipe", NULL };
	int in = memfd_create("vj-bench-in", MFD_CLOEXEC), rc;
	FILE *f = in >= 0 ? fdopen(dup(in), "w") : NULL;
	char key[KEY_BYTES], value[VALUE_BYTES], *said;

	if (f == NULL)
		return -errno;
	for (int64_t i = 0; i < run->ctx->o->keys; i++) {
		snprintf(key, sizeof(key), "vj:%06lld", (long long)i);
		known_value(key, value);
		fprintf(f, "SET %s %s\r\n", key, value);
	}
	fclose(f);
	lseek(in, 0, SEEK_SET);
	rc = tool(run, args, in, &said);
	if (rc == 0 && strstr(said, "errors: 0") == NULL) {
		complain_of("redis-cli --pipe", said);
		rc = -EPROTO;
	}
	if (rc == 0)
		free(said);
	close(in);
	return rc;
}

struct entry {
	char key[KEY_BYTES], value[VALUE_BYTES];
};

struct entries {
	struct entry *list;
	size_t cnt, room;
	size_t at; /* whose value comes next */
};

static void add_key(void *arg, const char *text, size_t len)
{
	struct entries *e = arg;

	if (text == NULL || len >= KEY_BYTES)
		return;
	if (e->cnt == e->room) {
		size_t room = e->room == 0 ? 1024 : 2 * e->room;
		struct entry *list = realloc(e->list, room * sizeof(*list));

		if (list == NULL)
			return; /* noticed: the known keys are counted */
		e->list = list;
		e->room = room;
	}
	memcpy(e->list[e->cnt++].key, text, len + 1);
}

static void add_value(void *arg, const char *text, size_t len)
{
	struct entries *e = arg;
	struct entry *entry = &e->list[e->at++];

	snprintf(entry->value, sizeof(entry->value), "%.*s", (int)len, text != NULL ? text : "(nil)");
}

/* What must be there is there: each known key with its value; what redis-benchmark wrote is what it writes. */
static int check_kernel(const struct redis_run *run, struct entries *e)
{
	int64_t known = 0;
	char want[VALUE_BYTES];

	for (size_t i = 0; i < e->cnt; i++) {
		const struct entry *entry = &e->list[i];

		snprintf(want, sizeof(want), "VXK"); /* what redis-benchmark writes */
		if (is_known(entry->key)) {
			known_value(entry->key, want);
			known++;
		}
		if (strcmp(entry->value, want) != 0) {
			tally.wrong++;
			complain("bench: redis: key %s has the value '%s', not '%s'", entry->key, entry->value, want);
			return -EBADMSG;
		}
	}
	tally.read_kernel += e->cnt;
	if (known == run->ctx->o->keys)
		return 0;
	complain("bench: redis: %lld keys loaded, %lld there", (long long)run->ctx->o->keys, (long long)known);
	return -EBADMSG;
}

static int read_over_kernel(const struct redis_run *run, struct entries *e)
{
	struct resp *r;
	int rc = resp_open((uint16_t)atoi(run->port), &r);

	if (rc < 0)
		return rc;
	rc = resp_each(r, "KEYS *", add_key, e);
	for (e->at = 0; rc == 0 && e->at < e->cnt;) {
		char line[KEY_BYTES + 8];

		snprintf(line, sizeof(line), "GET %s", e->list[e->at].key);
		rc = resp_each(r, line, add_value, e);
	}
	resp_close(r);
	if (rc < 0)
		complain("bench: redis: reading back over the kernel: %s", strerror(-rc));
	return rc < 0 ? rc : check_kernel(run, e);
}

/* One line of redis-cli's output for each key asked for. */
static int check_channel(const struct entries *e, char *said)
{
	char *line = said;

	for (size_t i = 0; i < e->cnt; i++) {
		size_t len = strcspn(line, "\n");

		if (strlen(e->list[i].value) != len || memcmp(line, e->list[i].value, len) != 0) {
			tally.wrong++;
			complain("bench: redis: key %s reads '%.*s' over the channel, '%s' over the kernel", e->list[i].key,
				 (int)len, line, e->list[i].value);
			return -EBADMSG;
		}
		line += len + (line[len] == '\n');
	}
	tally.read_channel += e->cnt;
	return 0;
}

static int read_over_channel(const struct redis_run *run, const struct entries *e)
{
	const char *args[] = { "redis-cli", "-h", "127.0.0.1", "-p", run->port, NULL };
	int in = memfd_create("vj-bench-in", MFD_CLOEXEC), rc;
	FILE *f = in >= 0 ? fdopen(dup(in), "w") : NULL;
	char *said;

	if (f == NULL)
		return -errno;
	for (size_t i = 0; i < e->cnt; i++)
		fprintf(f, "GET %s\n", e->list[i].key);
	fclose(f);
	lseek(in, 0, SEEK_SET);
	rc = tool(run, args, in, &said);
	if (rc == 0) {
		rc = check_channel(e, said);
		free(said);
	}
	close(in);
	return rc;
}

static int read_back(const struct redis_run *run)
{
	struct entries e = { 0 };
	int rc = read_over_kernel(run, &e);

	tally.written += e.cnt;
	if (rc == 0)
		rc = read_over_channel(run, &e);
	free(e.list);
	return rc;
}

/* ---- the benchmark ---- */

/* `"SET","74074.07","0.353",...`: the second field */
static double csv_rate(const char *said, const char *name)
{
	char start[16];
	const char *p;

	snprintf(start, sizeof(start), "\"%s\",\"", name);
	p = strstr(said, start);
	return p != NULL ? strtod(p + strlen(start), NULL) : 0;
}

static int hammer(const struct redis_run *run, double share, struct bench_sample *ret_sample)
{
	const struct bench_options *o = run->ctx->o;
	char clients[24], requests[24], keys[24];
	const char *args[] = { "redis-benchmark", "-h", "127.0.0.1", "-p", run->port, "-c", clients, "-n", requests, "-r", keys,
			       "-t", "set,get", "--csv", NULL };
	long long n = (long long)((double)o->requests * share) + 1;
	double set, get;
	char *said;
	int rc;

	snprintf(clients, sizeof(clients), "%lld", (long long)o->clients);
	snprintf(requests, sizeof(requests), "%lld", n);
	snprintf(keys, sizeof(keys), "%lld", (long long)o->keys);
	rc = tool(run, args, STDIN_FILENO, &said);
	if (rc < 0)
		return rc;
	set = csv_rate(said, "SET");
	get = csv_rate(said, "GET");
	if (set <= 0 || get <= 0) {
		complain_of("redis-benchmark", said);
		rc = -EPROTO;
	} else {
		ret_sample->parts[0] = set;
		ret_sample->parts[1] = get;
		ret_sample->ops = 2 * (uint64_t)n;
		ret_sample->seconds = (double)n / set + (double)n / get;
	}
	free(said);
	return rc;
}

static int measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds, struct bench_sample *ret_sample)
{
	struct redis_run run = { .ctx = ctx, .on_channel = way->with_vjd, .pinned = way->nr != 0, .log = -1 };
	int rc = bench_dir(ctx);

	if (rc == 0 && way->with_vjd)
		rc = bench_vjd_start(ctx);
	if (rc == 0)
		rc = server_start(&run);
	if (rc == 0 && run.on_channel)
		rc = load(&run);
	if (rc == 0)
		rc = hammer(&run, seconds / ctx->o->seconds, ret_sample);
	if (rc == 0 && run.on_channel)
		rc = read_back(&run);
	server_stop(&run);
	if (way->with_vjd)
		bench_vjd_stop(ctx);
	return rc;
}

static int check_programs(void)
{
	static const char *const names[] = { "redis-server", "redis-benchmark", "redis-cli" };
	static struct program p;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (program_check(names[i], &p) == PROGRAM_OK)
			continue;
		complain("bench: redis: %s (Debian: apt install redis-server redis-tools)", p.why);
		return -ENOENT;
	}
	return 0;
}

static void finish(char note[static BENCH_NOTE_BYTES], json_t *obj)
{
	snprintf(note, BENCH_NOTE_BYTES, "keys    %llu written; read back: %llu over the channel, %llu over the kernel, %llu wrong",
		 (unsigned long long)tally.written, (unsigned long long)tally.read_channel,
		 (unsigned long long)tally.read_kernel, (unsigned long long)tally.wrong);
	json_object_set_new(obj, "keys",
			    json_pack("{s:I, s:I, s:I, s:I}", "written", (json_int_t)tally.written, "read_channel",
				      (json_int_t)tally.read_channel, "read_kernel", (json_int_t)tally.read_kernel, "wrong",
				      (json_int_t)tally.wrong));
}

int bench_redis(struct bench_ctx *ctx)
{
	char title[128];
	struct bench_case c = {
		.name = "redis",
		.title = title,
		.unit = "requests per second",
		.value = bench_rate,
		.parts = { "set", "get" },
		.finish = finish,
		.vj = { .how = "both under vj run, pinned", .measure = measure, .with_vjd = true, .nr = 1 },
		.kernel = { { .how = "loopback TCP, pinned", .measure = measure, .nr = 1 },
			    { .how = "loopback TCP, not pinned", .measure = measure, .nr = 0 } },
		.kernel_cnt = 2,
	};

	if (check_programs() < 0)
		return -ENOENT;
	memset(&tally, 0, sizeof(tally));
	snprintf(title, sizeof(title), "unmodified redis-server and redis-benchmark, %lld clients, no pipelining",
		 (long long)ctx->o->clients);
	return bench_compare(ctx, &c);
}
