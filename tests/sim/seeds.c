// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/seeds.h"

#include "base/assert.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 64
#define SEED_SECONDS_MAX 120 /* of real time: it does not end */

#ifdef __SANITIZE_ADDRESS__
#define SLOWDOWN 20
#else
#define SLOWDOWN 1
#endif

struct worker {
	pid_t pid;
	uint64_t seed; /* at it now */
	uint64_t done, frames;
	double cpu_s;
};

typedef uint64_t (*seed_fn)(uint64_t seed, bool trace);

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void work(struct worker *me, uint64_t first, uint64_t last, uint64_t step, seed_fn one)
{
	for (me->seed = first; me->seed <= last; me->seed += step) {
		alarm(SEED_SECONDS_MAX);
		me->frames += one(me->seed, false);
		me->done++;
	}
	me->cpu_s = cpu_seconds();
	_exit(0);
}

static int run_here(const char *first, const char *cnt, bool trace, seed_fn one)
{
	uint64_t seed = strtoull(first, NULL, 10);
	uint64_t end = seed + (cnt != NULL ? strtoull(cnt, NULL, 10) : 1);

	setvbuf(stdout, NULL, _IOLBF, 0); /* an abort loses nothing */
	for (; seed < end; seed++)
		printf("seed %" PRIu64 ": %" PRIu64 " frames\n", seed, one(seed, trace));
	return 0;
}

/* Return: it ended well. */
static bool worker_end(const char *program, const struct worker *worker, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
		return true; /* by us, below */
	fprintf(stderr, "seed %" PRIu64 " fails%s; to replay it:\n\t%s -v %" PRIu64 "\n",
		worker->seed,
		WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ", since it does not end" : "",
		program, worker->seed);
	return false;
}

int seeds_main(int argc, char **argv, uint64_t cnt, seed_fn one)
{
	unsigned int workers_cnt = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), left;
	struct worker *workers, sum = { 0 };
	bool good = true;

	if (argc > 2 && strcmp(argv[1], "-v") == 0)
		return run_here(argv[2], NULL, true, one);
	if (argc > 1)
		return run_here(argv[1], argc > 2 ? argv[2] : NULL, false, one);
	cnt /= SLOWDOWN;
	workers_cnt = workers_cnt > WORKERS_MAX ? WORKERS_MAX : workers_cnt;
	workers = mmap(NULL, WORKERS_MAX * sizeof(*workers), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VJ_ASSERT(workers != MAP_FAILED);
	fflush(stdout);
	for (unsigned int i = 0; i < workers_cnt; i++) {
		workers[i].pid = fork();
		VJ_ASSERT(workers[i].pid >= 0);
		if (workers[i].pid == 0)
			work(&workers[i], 1 + i, cnt, workers_cnt, one);
	}
	for (left = workers_cnt; left > 0; left--) {
		int status;
		pid_t pid = wait(&status);

		for (unsigned int i = 0; i < workers_cnt; i++) {
			if (workers[i].pid == pid && !worker_end(argv[0], &workers[i], status))
				good = false;
			else if (workers[i].pid > 0 && workers[i].pid != pid && !good)
				kill(workers[i].pid, SIGTERM);
			workers[i].pid = workers[i].pid == pid ? 0 : workers[i].pid;
		}
	}
	for (unsigned int i = 0; i < workers_cnt; i++) {
		sum.done += workers[i].done;
		sum.frames += workers[i].frames;
		sum.cpu_s += workers[i].cpu_s;
	}
	printf("%" PRIu64 " seeds, %" PRIu64 " frames, %.1f s of CPU\n", sum.done, sum.frames,
	       sum.cpu_s);
	return good && sum.done == cnt ? 0 : 1;
}
