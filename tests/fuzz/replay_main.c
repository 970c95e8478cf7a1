/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay_main.c - runs a fuzz target without a fuzzer
 *
 * `make fuzz` searches for new inputs with clang's libFuzzer. `make check` must be the same every time, so it links the
 * same target with this: the empty input, every file of the seed corpus, then a bounded number of mutations of them,
 * all drawn from one seed. Each input stands in a heap block of exactly its size, so that AddressSanitizer sees the
 * first byte read past the end. An input that kills the process is left behind as a file, which replays alone.
 *
 *	fuzz_x [-n MUTATIONS] [-s SEED] [CORPUS_DIR | FILE]...
 */
#include "base/prng.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_BYTES_MAX = 1 << 16, SEEDS_MAX = 4096, MUTATION_STEPS_MAX = 8, CHUNK_BYTES_MAX = 64 };

struct input {
	uint8_t *data;
	size_t len;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
/* the sanitizers' run-time; absent in a build without them */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static struct input seeds[SEEDS_MAX];
static size_t seed_cnt;

/* what runs now, for the report of a crash */
static struct input current;
static char crash_path[256];

/* Async-signal-safe; also called by the sanitizers as they die. */
static void save_current(void)
{
	static const char msg[] = "\nreplay: the input that did it is in ";
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	if (write(fd, current.data, current.len) == (ssize_t)current.len &&
	    write(STDERR_FILENO, msg, sizeof(msg) - 1) > 0 &&
	    write(STDERR_FILENO, crash_path, strlen(crash_path)) > 0)
		(void)!write(STDERR_FILENO, "\n", 1);
	close(fd);
}

static void on_abort(int sig)
{
	save_current();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void die(const char *what, const char *name)
{
	fprintf(stderr, "replay: %s %s: %s\n", what, name, strerror(errno));
	exit(2);
}

static void run_one(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		die("no memory for", "an input");
	if (len > 0)
		memcpy(copy, data, len);
	current = (struct input){ copy, len };
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void add_seed(const char *path)
{
	struct input *in = &seeds[seed_cnt];
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		die("cannot open", path);
	if (seed_cnt == SEEDS_MAX) {
		errno = E2BIG;
		die("too many seeds at", path);
	}
	in->data = malloc(INPUT_BYTES_MAX);
	if (in->data == NULL)
		die("no memory for", path);
	in->len = fread(in->data, 1, INPUT_BYTES_MAX, f);
	fclose(f);
	seed_cnt++;
}

static int is_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Sorted, so that a run does not depend on the order of a directory. */
static void add_path(const char *path)
{
	struct dirent **entries;
	struct stat st;
	int n;

	if (stat(path, &st) != 0)
		die("cannot find", path);
	if (!S_ISDIR(st.st_mode)) {
		add_seed(path);
		return;
	}
	n = scandir(path, &entries, is_visible, alphasort);
	if (n < 0)
		die("cannot list", path);
	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		add_seed(name);
		free(entries[i]);
	}
	free(entries);
}

/* Overwrites 1, 2, 4 or 8 bytes with a value at which decoders go wrong. */
static void mutate_number(struct prng *prng, struct input *in)
{
	static const uint64_t values[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
					   0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX };
	uint64_t v = values[prng_below(prng, sizeof(values) / sizeof(values[0]))];
	size_t width = (size_t)1 << prng_below(prng, 4);

	if (in->len < width)
		return;
	if (prng_chance(prng, 1, 2))
		v = __builtin_bswap64(v) >> (64 - 8 * width);
	memcpy(in->data + prng_below(prng, in->len - width + 1), &v, width);
}

static void mutate_insert(struct prng *prng, struct input *in)
{
	size_t n = prng_range(prng, 1, CHUNK_BYTES_MAX);
	size_t at = prng_below(prng, in->len + 1);

	if (in->len + n > INPUT_BYTES_MAX)
		return;
	memmove(in->data + at + n, in->data + at, in->len - at);
	prng_bytes(prng, in->data + at, n);
	in->len += n;
}

static void mutate_delete(struct prng *prng, struct input *in)
{
	size_t at, n;

	if (in->len == 0)
		return;
	at = prng_below(prng, in->len);
	n = prng_range(prng, 1, in->len - at);
	if (prng_chance(prng, 3, 4) && n > CHUNK_BYTES_MAX)
		n = CHUNK_BYTES_MAX;
	memmove(in->data + at, in->data + at + n, in->len - at - n);
	in->len -= n;
}

/* The head of this input, the tail of another. */
static void mutate_splice(struct prng *prng, struct input *in)
{
	const struct input *other = &seeds[prng_below(prng, seed_cnt)];
	size_t keep = prng_below(prng, in->len + 1);
	size_t from = prng_below(prng, other->len + 1);
	size_t n = other->len - from;

	if (keep + n > INPUT_BYTES_MAX)
		n = INPUT_BYTES_MAX - keep;
	memcpy(in->data + keep, other->data + from, n);
	in->len = keep + n;
}

static void mutate(struct prng *prng, struct input *in)
{
	uint64_t steps = prng_range(prng, 1, MUTATION_STEPS_MAX);

	while (steps-- > 0) {
		switch (prng_below(prng, 6)) {
		case 0:
			if (in->len > 0)
				in->data[prng_below(prng, in->len)] ^=
					(uint8_t)(1U << prng_below(prng, 8));
			break;
		case 1:
			if (in->len > 0)
				in->data[prng_below(prng, in->len)] = (uint8_t)prng_u32(prng);
			break;
		case 2:
			mutate_number(prng, in);
			break;
		case 3:
			mutate_insert(prng, in);
			break;
		case 4:
			mutate_delete(prng, in);
			break;
		default:
			mutate_splice(prng, in);
			break;
		}
	}
}

static uint64_t number_arg(const char *s)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno == 0 && (*s == '\0' || *end != '\0'))
		errno = EINVAL;
	if (errno != 0)
		die("not a number:", s);
	return v;
}

static void replay(uint64_t mutations, uint64_t seed)
{
	static uint8_t scratch[INPUT_BYTES_MAX];
	struct prng prng;

	run_one(NULL, 0);
	for (size_t i = 0; i < seed_cnt; i++)
		run_one(seeds[i].data, seeds[i].len);
	if (seed_cnt == 0)
		seeds[seed_cnt++] = (struct input){ scratch, 0 };

	prng_seed(&prng, seed);
	for (uint64_t i = 0; i < mutations; i++) {
		static uint8_t buf[INPUT_BYTES_MAX];
		const struct input *from = &seeds[prng_below(&prng, seed_cnt)];
		struct input in = { buf, from->len };

		memcpy(buf, from->data, from->len);
		mutate(&prng, &in);
		run_one(in.data, in.len);
	}
}

int main(int argc, char **argv)
{
	uint64_t mutations = 0, seed = 1;
	int opt;

	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		switch (opt) {
		case 'n':
			mutations = number_arg(optarg);
			break;
		case 's':
			seed = number_arg(optarg);
			break;
		default:
			fprintf(stderr, "usage: %s [-n MUTATIONS] [-s SEED] [CORPUS_DIR | FILE]...\n",
				argv[0]);
			return 2;
		}
	}
	snprintf(crash_path, sizeof(crash_path), "crash-%s", program_invocation_short_name);
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(save_current);
	for (; optind < argc; optind++)
		add_path(argv[optind]);
	replay(mutations, seed);
	printf("%zu seeds, %llu mutations\n", seed_cnt, (unsigned long long)mutations);
	return 0;
}
