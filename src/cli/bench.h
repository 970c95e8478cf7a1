// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj bench: measurements of channels beside the kernel's sockets.
 *
 *	bench.h          what the parts share
 *	cmd_bench.c      options, the table of benchmarks
 *	bench_compare.c  the turns: kernel, vj, kernel, vj; medians; each rival's best way
 *	bench_line.c     the machine: how far apart the two processors are
 *	bench_proc.c     processes: pinned, with a time limit, gone when this one is
 *	bench_report.c   a result for people, and as one line of JSON
 *	bench_net*.c     stream sockets of the kernel, of vj.h or of lwIP, so that a server and a client exist once
 *	bench_dgram*     likewise datagrams
 *	bench_many*.c, bench_memory.c    millions of connections, and what a process takes for them
 *	bench_program.c  programs of others: a server and its clients, under vj run or not
 *	bench_plugin.c   rivals that are libraries of others: found when asked for, else a reason why not
 *	bench_tcp.c, bench_udp.c, bench_cps.c, bench_stream.c, bench_redis.c (with redis_*.c and resp.c), bench_apps.c,
 *	bench_idle.c, bench_c10m*.c, bench_interface*.c (with bench_hosts.c, bench_bare.c, bench_flood.c, bench_bpf.c),
 *	/bench/bench_frames.c    the benchmarks
 *
 * A run is made by two processes made by fork(): a server and a client. The client measures and
 * leaves its numbers in memory that all three share. Nothing is left behind: each child dies with
 * its parent, each run has its own private vjd on a socket in a directory that is removed.
 */
#ifndef VJ_CLI_BENCH_H
#define VJ_CLI_BENCH_H

#include "base/types.h"
#include "cli/bench_hist.h"

#include <jansson.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/types.h>

enum {
	BENCH_RUNS_MAX = 99,
	BENCH_WAYS_MAX = 6,
	BENCH_OTHERS_MAX = 3,
	BENCH_PARTS_MAX = 3,
	BENCH_ERROR_BYTES = 512,
	BENCH_NOTE_BYTES = 192,
	BENCH_CONNS = 100, /* when nobody said how many */

	/* What --bytes may be, from 8 on if nothing else is said */
	BENCH_BYTES_MAX = 16384,
	BENCH_CHANNEL_BYTES_MAX = 1536, /* of frames of 2048, with room in front of a packet and its headers */
	BENCH_UDP_BYTES_MAX = 1024,
	BENCH_CPS_BYTES_MAX = 1024,
	BENCH_INTERFACE_BYTES_MAX = 1400,
	BENCH_C10M_BYTES_MIN = 24,
	BENCH_C10M_BYTES_MAX = 1024,
	/* --connections; of the others a side has a descriptor for each, and the ports of one address */
	BENCH_CONNS_MAX = 20000,
	BENCH_C10M_CONNS_MAX = 16000000
};

struct bench_options {
	bool json;
	const char *vs, *wait, *app;
	double seconds;
	int64_t runs, connections, bytes, batch, spin_us, requests, keys, clients;
	double active;
	int64_t rate;
};

static inline uint32_t bench_connections(const struct bench_options *o, uint32_t without)
{
	return o->connections != 0 ? (uint32_t)o->connections : without;
}

struct bench_ctx {
	const struct bench_options *o;
	bool busy; /* neither side ever sleeps */
	uint32_t conns;	      /* of the benchmark that runs */
	int cpu_server, cpu_client;
	unsigned cpus;
	uint64_t started_ns, noted_ns;
	char dir[64];	  /* for sockets and files; "" until bench_dir() */
	char socket[108]; /* of the private vjd, "" while none runs */
	pid_t vjd;
};

/* What one run found. Lies in shared memory while the client fills it. */
struct bench_sample {
	double seconds;
	uint64_t ops;
	double cpu_s;		       /* processor time used, where that is the result */
	double parts[BENCH_PARTS_MAX]; /* values that make up the result, see bench_case.parts */
	struct hist hist;
};

/* Shared by the three processes of a run. */
struct bench_shm {
	_Atomic uint32_t server_ready; /* the port, once the server listens */
	_Atomic uint32_t clients_ready;
	_Atomic uint32_t stop;
	char error[BENCH_ERROR_BYTES]; /* of whoever failed first; "" while all is well */
	struct bench_sample sample;
};

struct bench_peer {
	struct bench_ctx *ctx;
	struct bench_shm *shm;
	int way;	/* which of the kernel's ways: meaning of the benchmark */
	double seconds; /* to measure for */
	bool idle;	/* nobody will say stop: wait for ever */
};

/* One side of a comparison, and how it is described in the result. */
struct bench_way {
	const char *how;
	int (*measure)(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
		       struct bench_sample *ret_sample);
	int (*server)(struct bench_peer *peer); /* for bench_pair() */
	int (*client)(struct bench_peer *peer);
	bool with_vjd;
	int nr;
	const void *what; /* like @nr, meaning of the benchmark */
	bool ordinary; /* what most programs do: told beside the best */
	double tried; /* what it came to when the best way was looked for; 0: was not */
};

/* What else --vs names, beside the kernel's sockets */
struct bench_rival {
	const char *name;
	struct bench_way ways[BENCH_WAYS_MAX];
	unsigned way_cnt;
	/* Is it on this machine? NULL: yes; else why not. NULL as function: always. */
	const char *(*missing)(void);
};

struct bench_case {
	const char *name, *title, *unit;
	bool lower_is_better;
	bool latency; /* the histogram means something: print percentiles */
	/* Of several the best is taken, in short runs, the first where nobody is beside vj; @vj_cnt 0: one */
	struct bench_way vj[BENCH_WAYS_MAX], kernel[BENCH_WAYS_MAX];
	unsigned vj_cnt, kernel_cnt;
	struct bench_rival others[BENCH_OTHERS_MAX];
	unsigned other_cnt;
	double (*value)(const struct bench_sample *s);
	/* Names of parts in the same unit, reported beside the whole; NULL behind the last. */
	const char *parts[BENCH_PARTS_MAX];
	/*
	 * Called when all runs are done: a last line for people, members for the JSON object. NULL
	 * allowed.
	 */
	void (*finish)(char note[static BENCH_NOTE_BYTES], json_t *obj);
	json_t *extra; /* added to the result; NULL allowed; stolen */
};

struct bench_series {
	const char *how;
	double values[BENCH_RUNS_MAX], parts[BENCH_PARTS_MAX][BENCH_RUNS_MAX];
	unsigned cnt;
	struct hist hist;
};

/* What was measured of all sides */
struct bench_result {
	struct bench_series vj, kernel, others[BENCH_OTHERS_MAX];
	double line_s[2]; /* the least and the most that bench_line_s() said before each turn; 0: not known */
};

/* bench_compare.c */
bool bench_vs(const struct bench_ctx *ctx, const char *peer); /* was it named with --vs? */
double bench_rate(const struct bench_sample *s);     /* operations per second */
double bench_median_s(const struct bench_sample *s); /* median of the histogram */
double bench_median(const double *values, unsigned cnt); /* 0: of none */
double series_median(const struct bench_series *s);
double series_part_median(const struct bench_series *s, unsigned part);
int bench_compare(struct bench_ctx *ctx, struct bench_case *c);
void bench_progress(struct bench_ctx *ctx, const char *fmt, ...) VJ_PRINTF(2, 3);

/* bench_line.c: one cache line there and back between the processors of server and client, seconds; 0: not known */
double bench_line_s(struct bench_ctx *ctx);

/* bench_report.c */
double bench_ratio(const struct bench_case *c, double vj, double other); /* 0: none */
/* Sides that were not measured have no values. */
void bench_report(const struct bench_ctx *ctx, const struct bench_case *c, const struct bench_result *r);
/* Why @peer, of those that --vs may name, has no part in this; NULL: it has. */
const char *bench_left_out(const struct bench_ctx *ctx, const struct bench_case *c, const char *peer);
extern const char *const bench_peers[]; /* ends with NULL */

/* bench_proc.c */
uint64_t bench_now_ns(void);
int bench_setup(struct bench_ctx *ctx);	   /* signals, processors */
void bench_cleanup(struct bench_ctx *ctx); /* children, vjd, directory */
int bench_interrupted(void);		   /* the signal, or 0 */
int bench_dir(struct bench_ctx *ctx);
int bench_vjd_start(struct bench_ctx *ctx);
void bench_vjd_stop(struct bench_ctx *ctx);
void bench_pin(int cpu);
/* The child returns 0 from here; it dies when its parent does. */
pid_t bench_fork(void);
/*
 * Waits for a child, no longer than @timeout_s; then kills it. Returns its wait status; -1: it was
 * killed for being late.
 */
int bench_wait(pid_t pid, double timeout_s);
/* Around @run, which starts the processes and leaves its result in peer->shm->sample: their shared memory, and vjd. Returns what @run does, or -errno. */
int bench_around(struct bench_peer *peer, const struct bench_way *way, int (*run)(struct bench_peer *peer, const struct bench_way *way),
		struct bench_sample *ret_sample);
/* bench_way.measure for a server and a client process */
int bench_pair(struct bench_ctx *ctx, const struct bench_way *way, double seconds,
	       struct bench_sample *ret_sample);
/* In a child: notes `what` and the error for the parent to show. Returns 1, an exit status. */
int bench_fail(struct bench_peer *peer, const char *what, int err);

/* Is there such an application in bench_apps()? NULL: all. Complains if not, and says which there are. */
bool bench_app_ok(const char *name);
/* Likewise a part of bench_interface() */
bool bench_interface_ok(const char *name);

/* the benchmarks; return 0 or a negative errno, having complained */
int bench_channel(struct bench_ctx *ctx);
int bench_rtt(struct bench_ctx *ctx);
int bench_rpc(struct bench_ctx *ctx);
int bench_udp(struct bench_ctx *ctx);
int bench_cps(struct bench_ctx *ctx);
int bench_stream(struct bench_ctx *ctx);
int bench_redis(struct bench_ctx *ctx);
int bench_apps(struct bench_ctx *ctx);
int bench_idle(struct bench_ctx *ctx);
int bench_c10m(struct bench_ctx *ctx);
int bench_interface(struct bench_ctx *ctx);

#endif
