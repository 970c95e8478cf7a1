// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench apps: unmodified programs under load, on the kernel's loopback and under `vj run`, one after the other.
 *
 * A run: start the server on a free port, in a directory of ours; let its load generator work for the time of a run;
 * take its own figure. Under vj run vjd is asked meanwhile whether there is a channel, so what is reported as a channel
 * was one. A program that is not installed is told and left out.
 */
#include "base/assert.h"
#include "cli/bench_program.h"
#include "cli/cmd.h"
#include "cli/program.h"

#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { APP_ARGS = 24, REQUESTS_PER_S = 100000 };

/*
 * In arguments and files: %p the port, %q another one, %d the directory of the run, %s its seconds (whole), %n a number of
 * requests for about that time, %u the user, %% a %.
 */
struct app {
	const char *name, *title, *unit, *packages;
	const char *server[APP_ARGS], *client[APP_ARGS];
	const char *needs[2]; /* programs that these start */
	const char *file, *content; /* written into the directory; NULL: none */
	const char *marks[2];	    /* the figure stands behind these in what the client says */
	bool client_outside; /* the client is the kernel's: what does a server lose that nobody talks to on channels? */
	bool anyway; /* its processes may be better off on the kernel's sockets, and be left there: control/board.h, sock/fork_server.c */
	bool not_root; /* the server refuses to run as root */
};

/* clang-format off */
#define NGINX_CONF(port)                                                                                                \
	"user %u;\nworker_processes 2;\ndaemon off;\npid %d/nginx.pid;\nerror_log stderr error;\n"                      \
	"events { worker_connections 1024; }\n"                                                                         \
	"http {\n\taccess_log off;\n\tkeepalive_requests 100000000;\n\tsendfile on;\n"                                  \
	"\tclient_body_temp_path %d/b; proxy_temp_path %d/p; fastcgi_temp_path %d/f;\n"                                 \
	"\tuwsgi_temp_path %d/u; scgi_temp_path %d/s;\n"                                                                \
	"\tserver { listen 127.0.0.1:" port "; root %d; }\n}\n"
/* clang-format on */

static const char nginx_conf[] = NGINX_CONF("%p"), nginx_behind_conf[] = NGINX_CONF("%q");

/* haproxy, and nginx behind it. Both end when the shell is told to. */
static const char proxied_server[] =
	"cat >%d/haproxy.cfg <<.\n"
	"global\n\tnbthread 1\n"
	"defaults\n\tmode http\n\ttimeout client 10s\n\ttimeout connect 10s\n\ttimeout server 10s\n"
	"listen proxy\n\tbind 127.0.0.1:%p\n\tserver nginx 127.0.0.1:%q\n"
	".\n"
	"nginx -e stderr -p %d -c %d/nginx.conf & behind=$!\n"
	"haproxy -f %d/haproxy.cfg & front=$!\n"
	"trap 'kill $front $behind' TERM\n"
	"wait $front; wait $behind";

/* Its first argument: server or client */
static const char asyncio_echo[] =
	"import asyncio, sys, time\n"
	"PORT, CONNECTIONS = int(sys.argv[2]), 50\n"
	"done = 0\n"
	"async def serve(reader, writer):\n"
	"    while data := await reader.read(4096):\n"
	"        writer.write(data)\n"
	"async def server():\n"
	"    async with await asyncio.start_server(serve, '127.0.0.1', PORT) as listener:\n"
	"        await listener.serve_forever()\n"
	"async def talk(end):\n"
	"    global done\n"
	"    reader, writer = await asyncio.open_connection('127.0.0.1', PORT)\n"
	"    while time.monotonic() < end:\n"
	"        writer.write(b'x' * 64)\n"
	"        await reader.readexactly(64)\n"
	"        done += 1\n"
	"async def client(seconds):\n"
	"    begin = time.monotonic()\n"
	"    await asyncio.gather(*(talk(begin + seconds) for _ in range(CONNECTIONS)))\n"
	"    print('rate', done / (time.monotonic() - begin))\n"
	"asyncio.run(server() if sys.argv[1] == 'server' else client(float(sys.argv[3])))\n";

/* A process for each of many runs, one after the other. Arguments: seconds, the program's. */
static const char repeat[] =
	"import subprocess, sys, time\n"
	"runs, begin = 0, time.monotonic()\n"
	"while time.monotonic() - begin < float(sys.argv[1]):\n"
	"    subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)\n"
	"    runs += 1\n"
	"print('rate', runs / (time.monotonic() - begin))\n";

/* A process for each connection */
static const char forking_server[] =
	"import http.server, socketserver\n"
	"class Server(socketserver.ForkingMixIn, http.server.HTTPServer):\n"
	"    pass\n"
	"class Handler(http.server.BaseHTTPRequestHandler):\n"
	"    def do_GET(self):\n"
	"        self.send_response(200)\n"
	"        self.send_header('Content-Length', '6')\n"
	"        self.end_headers()\n"
	"        self.wfile.write(b'small\\n')\n"
	"    def log_message(self, *args):\n"
	"        pass\n"
	"Server(('127.0.0.1', %p), Handler).serve_forever()\n";

/* Debian keeps the server's programs to itself. The database is made by the first run, and filled by the first client. */
static const char postgres_server[] =
	"bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)\n"
	"[ -d %d/data ] || $bin/initdb -D %d/data -U bench -A trust -N --no-locale -E UTF8 >%d/initdb.log || exit\n"
	"exec $bin/postgres -D %d/data -p %p -k '' -c listen_addresses=127.0.0.1 -c fsync=off";
static const char postgres_client[] =
	"[ -e %d/filled ] || { pgbench -i -q -h 127.0.0.1 -p %p -U bench postgres 2>%d/fill.log && : >%d/filled; } || exit\n"
	"exec pgbench -h 127.0.0.1 -p %p -U bench -n -S -T %s \"$@\" postgres";

/* A key and its certificate for an hour, and what is fetched: 100 MB. */
static const char tls_server[] =
	"cd %d && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 1 "
	"-keyout key -out cert 2>key.log && head -c 100000000 /dev/zero >big && "
	"exec openssl s_server -quiet -accept 127.0.0.1:%p -cert cert -key key -WWW";

/* clang-format off */
#define REDIS(name_, title_, ...)                                                                                       \
	{ .name = "apps-redis" name_, .title = "redis-server and redis-benchmark, GET, 50 connections, no pipelining" title_, \
	  .unit = "requests per second", .packages = "redis-server redis-tools",                                        \
	  .server = { "redis-server", "--port", "%p", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "%d" }, \
	  .client = { "redis-benchmark", "-h", "127.0.0.1", "-p", "%p", "-c", "50", "-n", "%n", "-t", "get", "--csv" }, \
	  .marks = { "\"GET\",\"" }, __VA_ARGS__ }

#define AB(name_, title_, ...)                                                                                          \
	{ .name = "apps-ab" name_,                                                                                      \
	  .title = "nginx with two workers and ab, a small file, a connection for each request, 20 at once" title_,     \
	  .unit = "requests per second", .packages = "nginx-light apache2-utils",                                       \
	  .server = { "nginx", "-e", "stderr", "-p", "%d", "-c", "%d/nginx.conf" },                                     \
	  .client = { "ab", "-q", "-t", "%s", "-n", "1000000", "-c", "20", "http://127.0.0.1:%p/nginx.conf" },          \
	  .file = "nginx.conf", .content = nginx_conf, .marks = { "Requests per second:" }, __VA_ARGS__ }

/* Behind the title: options of the client; NULL: none */
#define IPERF3(name_, title_, ...)                                                                                      \
	{ .name = "apps-iperf3" name_, .title = "iperf3, " title_, .unit = "bits per second", .packages = "iperf3",     \
	  .server = { "iperf3", "-s", "-p", "%p", "-B", "127.0.0.1" },                                                  \
	  .client = { "iperf3", "-c", "127.0.0.1", "-p", "%p", "-t", "%s", "-f", "m", "--json", __VA_ARGS__ },          \
	  .marks = { "\"sum_received\":", "\"bits_per_second\":" } }

#define FETCH(program, ...)                                                                                             \
	{ .name = "apps-" program, .title = "nginx and " program ", a process for each small file",                    \
	  .unit = "runs per second", .packages = "nginx-light " program " python3",                                     \
	  .server = { "nginx", "-e", "stderr", "-p", "%d", "-c", "%d/nginx.conf" },                                     \
	  .client = { "python3", "-c", repeat, "%s", program, __VA_ARGS__, "http://127.0.0.1:%p/nginx.conf" },          \
	  .needs = { program }, .file = "nginx.conf", .content = nginx_conf, .marks = { "rate" }, .anyway = true }

/* Behind the title: options of pgbench; NULL: none */
#define POSTGRES(name_, title_, anyway_, ...)                                                                           \
	{ .name = "apps-postgres" name_, .title = "PostgreSQL and pgbench, one row read a transaction, " title_,        \
	  .unit = "transactions per second", .packages = "postgresql postgresql-contrib",                               \
	  .server = { "sh", "-c", postgres_server },                                                                    \
	  .client = { "sh", "-c", postgres_client, "sh", __VA_ARGS__ },                                                 \
	  .needs = { "pgbench" }, .marks = { "tps =" }, .anyway = anyway_, .not_root = true }

static const struct app apps[] = {
	REDIS("", "", .anyway = false),
	REDIS("-outside", ", the client not under vj run", .client_outside = true),
	{ .name = "apps-nginx",
	  .title = "nginx with two workers and wrk, a small file, 100 kept-alive connections",
	  .unit = "requests per second", .packages = "nginx-light wrk",
	  .server = { "nginx", "-e", "stderr", "-p", "%d", "-c", "%d/nginx.conf" },
	  .client = { "wrk", "-t", "1", "-c", "100", "-d", "%s", "http://127.0.0.1:%p/nginx.conf" },
	  .file = "nginx.conf", .content = nginx_conf,
	  .marks = { "Requests/sec:" } },
	AB("", "", .anyway = false),
	AB("-outside", ", the client not under vj run", .client_outside = true),
	{ .name = "apps-haproxy",
	  .title = "haproxy in front of nginx, and wrk, a small file, 50 kept-alive connections",
	  .unit = "requests per second", .packages = "haproxy nginx-light wrk",
	  .server = { "sh", "-c", proxied_server },
	  .client = { "wrk", "-t", "1", "-c", "50", "-d", "%s", "http://127.0.0.1:%p/nginx.conf" },
	  .needs = { "haproxy", "nginx" }, .file = "nginx.conf", .content = nginx_behind_conf,
	  .marks = { "Requests/sec:" } },
	{ .name = "apps-memcached",
	  .title = "memcached with four threads and memcaslap, 50 connections",
	  .unit = "requests per second", .packages = "memcached libmemcached-tools",
	  .server = { "memcached", "-t", "4", "-p", "%p", "-l", "127.0.0.1", "-u", "%u" },
	  .client = { "memcaslap", "-s", "127.0.0.1:%p", "-T", "1", "-c", "50", "-X", "64", "-t", "%ss" },
	  .marks = { "TPS:" } },
	IPERF3("", "TCP, one stream", NULL),
	IPERF3("-reverse", "TCP, one stream, the server sends", "-R"),
	IPERF3("-8", "TCP, eight streams", "-P", "8"),
	IPERF3("-udp", "UDP, as fast as it goes: what arrives", "-u", "-b", "0", "--get-server-output"),
	IPERF3("-udp-reverse", "UDP, as fast as it goes, the server sends: what arrives", "-u", "-b", "0", "-R"),
	FETCH("curl", "-s"),
	FETCH("wget", "-q", "-O", "/dev/null"),
	{ .name = "apps-tls",
	  .title = "openssl s_server and curl, 100 MB over TLS a run",
	  .unit = "runs per second", .packages = "openssl curl python3",
	  .server = { "sh", "-c", tls_server },
	  .client = { "python3", "-c", repeat, "%s", "curl", "-k", "-s", "https://127.0.0.1:%p/big" },
	  .needs = { "openssl", "curl" },
	  .marks = { "rate" }, .anyway = true },
	{ .name = "apps-socat",
	  .title = "socat to socat that forks for each, 100 MB a run",
	  .unit = "runs per second", .packages = "socat python3",
	  .server = { "sh", "-c", "head -c 100000000 /dev/zero >%d/big && exec socat -b 65536 -u TCP-LISTEN:%p,bind=127.0.0.1,reuseaddr,fork /dev/null" },
	  .client = { "python3", "-c", repeat, "%s", "socat", "-b", "65536", "-u", "FILE:%d/big", "TCP:127.0.0.1:%p" },
	  .needs = { "socat" },
	  .marks = { "rate" }, .anyway = true },
	{ .name = "apps-nc",
	  .title = "nc to nc, 100 MB a run",
	  .unit = "runs per second", .packages = "netcat-openbsd python3",
	  .server = { "sh", "-c", "head -c 100000000 /dev/zero >%d/big && exec nc -k -l 127.0.0.1 %p >/dev/null" },
	  .client = { "python3", "-c", repeat, "%s", "sh", "-c", "exec nc -N 127.0.0.1 %p <%d/big" },
	  .needs = { "nc" },
	  .marks = { "rate" }, .anyway = true },
	{ .name = "apps-node",
	  .title = "node's HTTP server and wrk, 100 kept-alive connections",
	  .unit = "requests per second", .packages = "nodejs wrk",
	  .server = { "node", "-e", "require('http').createServer((q, r) => r.end('hello')).listen(%p, '127.0.0.1')" },
	  .client = { "wrk", "-t", "1", "-c", "100", "-d", "%s", "http://127.0.0.1:%p/" },
	  .marks = { "Requests/sec:" } },
	{ .name = "apps-http.server",
	  .title = "python3 http.server and ab, a thread and a connection for each request, 4 at once",
	  .unit = "requests per second", .packages = "python3 apache2-utils",
	  .server = { "python3", "-m", "http.server", "-b", "127.0.0.1", "-d", "%d", "%p" },
	  .client = { "ab", "-q", "-t", "%s", "-n", "1000000", "-c", "4", "http://127.0.0.1:%p/small" },
	  .file = "small", .content = "small\n",
	  .marks = { "Requests per second:" } },
	{ .name = "apps-forks",
	  .title = "python3 ForkingMixIn and ab, a process and a connection for each request, 2 at once",
	  .unit = "requests per second", .packages = "python3 apache2-utils",
	  .server = { "python3", "-c", forking_server },
	  .client = { "ab", "-q", "-t", "%s", "-n", "1000000", "-c", "2", "http://127.0.0.1:%p/" },
	  .marks = { "Requests per second:" }, .anyway = true },
	POSTGRES("", "8 connections, a process each", false, "-c", "8"),
	POSTGRES("-brief", "a connection and a process for each, one after the other", true, "-C", "-c", "1"),
	{ .name = "apps-asyncio",
	  .title = "python3 asyncio echo, 64 bytes, 50 connections",
	  .unit = "requests per second", .packages = "python3",
	  .server = { "python3", "%d/echo.py", "server", "%p" },
	  .client = { "python3", "%d/echo.py", "client", "%p", "%s" },
	  .file = "echo.py", .content = asyncio_echo,
	  .marks = { "rate" } },
};
/* clang-format on */

static const char *user_name(void)
{
	const struct passwd *pw = getpwuid(geteuid());

	return pw != NULL ? pw->pw_name : "nobody";
}

/* @from with its % filled in; the caller's to free. NULL: no memory. */
static char *expand(const struct program_run *run, double seconds, const char *from)
{
	unsigned whole = (unsigned)ceil(seconds);
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (f == NULL)
		return NULL;
	for (; *from != '\0'; from++) {
		if (*from != '%') {
			fputc(*from, f);
			continue;
		}
		switch (*++from) {
		case 'p':
			fputs(run->port, f);
			break;
		case 'q':
			fputs(run->port_behind, f);
			break;
		case 'd':
			fputs(run->ctx->dir, f);
			break;
		case 's':
			fprintf(f, "%u", whole);
			break;
		case 'n':
			fprintf(f, "%u", whole * REQUESTS_PER_S);
			break;
		case 'u':
			fputs(user_name(), f);
			break;
		case '%':
			fputc('%', f);
			break;
		}
	}
	return fclose(f) == 0 ? text : NULL;
}

/* Return: all of them, or none. */
static bool expand_all(const struct program_run *run, double seconds, const char *const *from, char **ret_args)
{
	for (unsigned i = 0; from[i] != NULL; i++) {
		ret_args[i] = expand(run, seconds, from[i]);
		if (ret_args[i] == NULL)
			return false;
	}
	return true;
}

static void args_free(char **args)
{
	for (unsigned i = 0; i < APP_ARGS; i++)
		free(args[i]);
}

static int write_file(const struct program_run *run, const struct app *app)
{
	char path[PATH_MAX], *text;
	FILE *f;

	if (app->file == NULL)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", run->ctx->dir, app->file);
	text = expand(run, 0, app->content);
	f = fopen(path, "we");
	if (text == NULL || f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
		complain("bench: cannot write %s: %m", path);
		free(text);
		return -EIO;
	}
	free(text);
	return 0;
}

/* The number behind the marks; 0: none */
static double figure(const struct app *app, const char *said)
{
	for (unsigned i = 0; i < ARRAY_SIZE(app->marks) && app->marks[i] != NULL; i++) {
		said = strstr(said, app->marks[i]);
		if (said == NULL)
			return 0;
		said += strlen(app->marks[i]);
	}
	return strtod(said, NULL);
}

static int load(const struct program_run *run, const struct app *app, double seconds, struct bench_sample *ret_sample)
{
	char *args[APP_ARGS] = { NULL }, *said = NULL;
	struct program_run client = *run;
	double rate;
	int rc = -ENOMEM;

	client.on_channel &= !app->client_outside;
	if (expand_all(run, seconds, app->client, args))
		rc = program_tool(&client, (const char *const *)args, STDIN_FILENO, !app->anyway, &said);
	args_free(args);
	if (rc < 0)
		return rc;
	rate = figure(app, said);
	if (rate <= 0) {
		program_complain(app->client[0], said);
		rc = -EPROTO;
	}
	ret_sample->seconds = 1000; /* a few runs a second are no whole number of them */
	ret_sample->ops = (uint64_t)(1000 * rate);
	free(said);
	return rc;
}

static int measure(struct bench_ctx *ctx, const struct bench_way *way, double seconds, struct bench_sample *ret_sample)
{
	struct program_run run = { .ctx = ctx, .on_channel = way->with_vjd, .pinned = way->nr != 0, .log = -1 };
	const struct app *app = way->what;
	char *args[APP_ARGS] = { NULL };
	int rc = bench_dir(ctx);

	program_port(&run);
	if (rc == 0)
		rc = write_file(&run, app);
	if (rc == 0 && way->with_vjd)
		rc = bench_vjd_start(ctx);
	if (rc == 0)
		rc = expand_all(&run, seconds, app->server, args) ?
			     program_server_start(&run, (const char *const *)args, program_listens) : -ENOMEM;
	args_free(args);
	if (rc == 0)
		rc = load(&run, app, seconds, ret_sample);
	program_server_stop(&run);
	if (way->with_vjd)
		bench_vjd_stop(ctx);
	return rc;
}

static bool is_there(const struct app *app)
{
	const char *const names[] = { app->server[0], app->client[0], app->needs[0], app->needs[1] };
	static struct program p;

	if (app->not_root && geteuid() == 0) {
		complain("bench: %s left out: its server refuses to run as root", app->name);
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i] == NULL || program_check(names[i], &p) == PROGRAM_OK)
			continue;
		complain("bench: %s left out: %s (Debian: apt install %s)", app->name, program_why(&p), app->packages);
		return false;
	}
	return true;
}

static bool is_wanted(const char *name, const struct app *app)
{
	return name == NULL || strcmp(app->name + strlen("apps-"), name) == 0;
}

bool bench_app_ok(const char *name)
{
	char list[512];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(apps); i++) {
		if (is_wanted(name, &apps[i]))
			return true;
		len += (size_t)snprintf(list + len, sizeof(list) - len, ", %s", apps[i].name + strlen("apps-"));
	}
	VJ_ASSERT_OP(len, <, sizeof(list));
	complain("bench: apps: there is no '%s'; there are: %s", name, list + 2);
	return false;
}

/* A program that fails, and has said so, does not keep the others from being measured. */
int bench_apps(struct bench_ctx *ctx)
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(apps) && failed != -EINTR; i++) {
		struct bench_case c = {
			.name = apps[i].name,
			.title = apps[i].title,
			.unit = apps[i].unit,
			.value = bench_rate,
			.vj = { { .how = "under vj run, not pinned", .measure = measure, .with_vjd = true, .nr = 0, .what = &apps[i] },
				{ .how = "under vj run, pinned", .measure = measure, .with_vjd = true, .nr = 1, .what = &apps[i] } },
			.vj_cnt = 2,
			.kernel = { { .how = "loopback, pinned", .measure = measure, .nr = 1, .what = &apps[i] },
				    { .how = "loopback, not pinned", .measure = measure, .nr = 0, .what = &apps[i] } },
			.kernel_cnt = 2,
		};
		int rc;

		if (!is_wanted(ctx->o->app, &apps[i]))
			continue;
		rc = is_there(&apps[i]) ? bench_compare(ctx, &c) : 0;
		if (rc < 0)
			failed = rc;
	}
	return failed;
}
