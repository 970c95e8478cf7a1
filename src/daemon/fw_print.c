// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/fw_reader.h"

#include "daemon/fw_dump.h"
#include "daemon/fw_show.h"
#include "firewall/fw_pack.h"
#include "firewall/fw_raw.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* As in <nftables/libnftables.h>; loaded by name, so that a vjd without a firewall to read needs no such library. */
enum { OUTPUT_HANDLE = 1 << 3, OUTPUT_JSON = 1 << 4, OUTPUT_NUMERIC_ALL = 0xf << 7 };

enum { LIMIT_S = 60 }; /* 10,000 rules take 0.85 s of a processor, and 65,000 are promised */

static const char *const words[FW_PRINT_CNT] = {
	[FW_PRINT_READER] = "reader", [FW_PRINT_TEXT] = "text", [FW_PRINT_HANDLES] = "handles", [FW_PRINT_JSON] = "json",
	[FW_PRINT_SETTLE] = "settle",
};

/* In the child, of a process with threads: system calls only. Both ends get numbers above those that they are to have, so that neither takes the other's. */
static void become(char *const argv[], int in, int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int from = fcntl(in >= 0 ? in : null, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), to = fcntl(out, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (dup2(from, STDIN_FILENO) >= 0 && dup2(to, STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0)
		execve("/proc/self/exe", argv, environ);
	_exit(EXIT_FAILURE);
}

/* Not posix_spawn(), which waits until the program is loaded: on a busy host up to 50 ms. */
int fw_print_start(enum fw_print_what what, int in, int out, pid_t *ret_pid)
{
	char option[] = FW_PRINT_OPTION, word[16], name[] = "vjd";
	char *const argv[] = { name, option, word, NULL };
	pid_t pid;

	snprintf(word, sizeof(word), "%s", words[what]);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(argv, in, out);
	*ret_pid = pid;
	return 0;
}

/* ---- in that process */

struct nft_ctx;

struct nft {
	void *lib;
	struct nft_ctx *ctx;
	void (*set_flags)(struct nft_ctx *ctx, unsigned flags);
	int (*buffer_output)(struct nft_ctx *ctx);
	const char *(*get_output)(struct nft_ctx *ctx);
	int (*run)(struct nft_ctx *ctx, const char *buf);
};

static void *symbol(const struct nft *nft, const char *name)
{
	void *s = dlsym(nft->lib, name);

	if (s == NULL)
		exit(EXIT_FAILURE);
	return s;
}

static bool load(struct nft *nft)
{
	struct nft_ctx *(*new)(uint32_t flags);

	nft->lib = dlopen("libnftables.so.1", RTLD_NOW);
	if (nft->lib == NULL)
		return false;
	*(void **)&new = symbol(nft, "nft_ctx_new");
	*(void **)&nft->set_flags = symbol(nft, "nft_ctx_output_set_flags");
	*(void **)&nft->buffer_output = symbol(nft, "nft_ctx_buffer_output");
	*(void **)&nft->get_output = symbol(nft, "nft_ctx_get_output_buffer");
	*(void **)&nft->run = symbol(nft, "nft_run_cmd_from_buffer");
	nft->ctx = new (0);
	return nft->ctx != NULL && nft->buffer_output(nft->ctx) == 0;
}

/* Return: valid until the next call; NULL: it failed */
static const char *list(struct nft *nft, unsigned flags)
{
	nft->set_flags(nft->ctx, flags);
	return nft->run(nft->ctx, "list ruleset") == 0 ? nft->get_output(nft->ctx) : NULL;
}

static bool put(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

/* Of standard input, a memfd. */
static void *read_all(size_t each, size_t *ret_cnt)
{
	off_t bytes = lseek(STDIN_FILENO, 0, SEEK_END);
	void *all = malloc(bytes > 0 ? (size_t)bytes : 1);

	if (bytes < 0 || all == NULL || pread(STDIN_FILENO, all, (size_t)bytes, 0) != bytes)
		exit(EXIT_FAILURE);
	*ret_cnt = (size_t)bytes / each;
	return all;
}

/* Listing is most of the work, and the text is wanted last: another process lists it meanwhile. */
struct text_maker {
	pid_t pid;
	int fd;
};

static struct text_maker text_begin(void)
{
	struct text_maker m = { .fd = memfd_create("vj-text", MFD_CLOEXEC) };
	struct nft nft = { .lib = NULL };
	const char *text;

	m.pid = m.fd >= 0 ? fork() : -1;
	if (m.pid != 0)
		return m;
	alarm(LIMIT_S);
	text = dup2(m.fd, STDOUT_FILENO) >= 0 && load(&nft) ? list(&nft, OUTPUT_HANDLE) : NULL;
	_exit(text != NULL && put(text, strlen(text) + 1) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Return: NULL: it failed */
static const char *text_end(const struct text_maker *m, size_t *ret_bytes)
{
	off_t bytes;
	int status;
	char *text;

	if (m->pid <= 0 || waitpid(m->pid, &status, 0) != m->pid || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
		return NULL;
	bytes = lseek(m->fd, 0, SEEK_END);
	text = bytes > 0 && bytes < UINT32_MAX ? mmap(NULL, (size_t)bytes, PROT_READ, MAP_PRIVATE, m->fd, 0) : MAP_FAILED;
	*ret_bytes = (size_t)bytes;
	return text != MAP_FAILED ? text : NULL;
}

/* Rules that can't be compiled are a result, too. Return: 0; -ENOMEM; of fw_dump() */
static int compile(const char *json, struct fw_result *res)
{
	struct fw_raw raw = { .cnt = 0 };
	uint8_t *bytes;
	size_t len;
	int r = fw_dump(&bytes, &len);

	if (r < 0)
		return r;
	snprintf(res->why, sizeof(res->why), "the kernel's own account of the rules is not understood");
	r = fw_raw_read(bytes, len, &raw);
	if (r == 0)
		r = fw_compile(json, strlen(json), &raw, &res->prog, res->why);
	if (r == 0)
		res->why[0] = '\0';
	fw_raw_free(&raw);
	free(bytes);
	return r == -ENOMEM ? r : 0;
}

static bool print_for_reader(void)
{
	struct text_maker maker = text_begin();
	struct fw_result res = { .why = "" };
	struct nft nft = { .lib = NULL };
	size_t len, key_cnt, text_bytes;
	struct fw_port_key *keys;
	const char *json;
	uint8_t *bytes;

	json = load(&nft) ? list(&nft, OUTPUT_JSON | OUTPUT_HANDLE | OUTPUT_NUMERIC_ALL) : NULL;
	if (json == NULL || compile(json, &res) < 0)
		return false;
	res.text = text_end(&maker, &text_bytes);
	if (res.text == NULL || res.text[text_bytes - 1] != '\0')
		return false;
	res.text_bytes = (uint32_t)text_bytes;
	keys = read_all(sizeof(*keys), &key_cnt);
	if (res.why[0] == '\0' && fw_result_make(&res, keys, (uint32_t)key_cnt) < 0)
		return false;
	bytes = fw_pack(&res, &len);
	return bytes != NULL && put((const char *)bytes, len); /* all of it goes with the process */
}

static bool show(struct nft *nft, enum fw_print_what what)
{
	size_t cnt;
	struct fw_tally *t = read_all(sizeof(*t), &cnt);
	const char *text = list(nft, what == FW_PRINT_JSON ? OUTPUT_JSON | OUTPUT_HANDLE : OUTPUT_HANDLE);
	bool ok = text != NULL && (what == FW_PRINT_JSON ? fw_show_json(STDOUT_FILENO, text, t, cnt)
							 : fw_show_text(STDOUT_FILENO, text, t, cnt, what == FW_PRINT_HANDLES));

	free(t);
	return ok;
}

int fw_print(const char *word)
{
	enum fw_print_what what = FW_PRINT_READER;
	struct nft nft = { .lib = NULL };

	alarm(LIMIT_S);
	while (what < FW_PRINT_CNT && strcmp(words[what], word) != 0)
		what++;
	if (what == FW_PRINT_SETTLE) {
		fw_wait_for_runs();
		return EXIT_SUCCESS;
	}
	if (what == FW_PRINT_READER)
		return print_for_reader() ? EXIT_SUCCESS : EXIT_FAILURE;
	if (what == FW_PRINT_CNT || !load(&nft))
		return EXIT_FAILURE;
	return show(&nft, what) ? EXIT_SUCCESS : EXIT_FAILURE;
}
