/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - vjd's command line; one table makes the parser and --help; a test checks man/vjd.8.in
 * against it
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct options {
	uint64_t is_private, foreground, verbose, help, version; /* 0 or 1 */
	const char *parp_keys, *socket, *log, *attach, *gateway, *policy; /* NULL: not given */
	uint64_t idle_exit_s, first_exit_s;			 /* OPTION_UNSET: not given */
	uint64_t ready_fd;					 /* OPTION_UNSET: not given */
	uint64_t memory_max_mib;				 /* OPTION_UNSET: not given */
	uint64_t gateway_rate;					 /* OPTION_UNSET: not given */
	uint64_t apps_max, leases_max, channels_max, rate_max;
	uint64_t frame_bytes, frame_cnt, mac_pool, gateway_entries;
	uint64_t parp, mac_timing;				 /* which of the words */
};

#define OPTION_UNSET UINT64_MAX

/* In the order of the words in the table. */
enum { OPTION_E1, OPTION_E2, OPTION_OFF };
enum { OPTION_FAST, OPTION_RFC };

/*	  name            member          kind    argument   default        least  most      help */
#define OPTIONS(X) \
	X("private",      is_private,     FLAG,   NULL,      0,             0,     1, \
	  "serve this user only, without privilege; leave when nobody needs it") \
	X("socket",       socket,         TEXT,   "PATH",    0,             0,     0, \
	  "listen there (default: see FILES in vjd(8))") \
	X("attach",       attach,         TEXT,   "IF[=PREFIX][,IF]", 0,      0,     0, \
	  "offer channels at these interfaces, as vj attach does; PREFIX as its --app-prefix") \
	X("gateway",      gateway,        TEXT,   "IF[,IF]", 0,             0,     0, \
	  "send there to applications' own MAC addresses, as vj attach --gateway does") \
	X("gateway-entries", gateway_entries, NUMBER, "N",   65536,         256,   1048576, \
	  "ports of other hosts that a gateway remembers") \
	X("gateway-rate", gateway_rate,   NUMBER, "N",       OPTION_UNSET,  1,     1000, \
	  "questions a second of a gateway (default: 3 with --parp e1, 60 with e2)") \
	X("policy",       policy,         TEXT,   "FILE",    0,             0,     0, \
	  "what users may have at interfaces (default: /etc/vjchan/policy.conf, if it is there)") \
	X("parp",         parp,           WORD,   "e1|e2|off", OPTION_E1,   0,     0, \
	  "MAC addresses for applications: e1 (default), e2 (frames of a type of their own), off") \
	X("parp-keys",    parp_keys,      TEXT,   "FILE",    0,             0,     0, \
	  "keys of the LAN: say and believe nothing that none of them authenticates") \
	X("mac-timing",   mac_timing,     WORD,   "fast|rfc", OPTION_FAST,  0,     0, \
	  "of their claims: fast (default), rfc (RFC 5227, twenty times as slow)") \
	X("mac-pool",     mac_pool,       NUMBER, "N",       4,             0,     256, \
	  "addresses claimed ahead at each interface") \
	X("foreground",   foreground,     FLAG,   NULL,      0,             0,     1, \
	  "with --private: stay in the foreground, log to standard error") \
	X("verbose",      verbose,        FLAG,   NULL,      0,             0,     1, \
	  "log every channel and every refusal") \
	X("log",          log,            TEXT,   "FILE",    0,             0,     0, \
	  "append the log to FILE") \
	X("idle-exit",    idle_exit_s,    NUMBER, "SECONDS", OPTION_UNSET,  0,     1000000, \
	  "leave so long after the last application left (default with --private: 2, else never)") \
	X("first-exit",   first_exit_s,   NUMBER, "SECONDS", OPTION_UNSET,  0,     1000000, \
	  "leave so long after the start, or after somebody looked in, if no application came (default with --private: 10, else never)") \
	X("ready-fd",     ready_fd,       NUMBER, "N",       OPTION_UNSET,  0,     1000000, \
	  "write one byte to descriptor N when ready, and close it") \
	X("memory-max",   memory_max_mib, NUMBER, "MIB",     OPTION_UNSET,  1,     UINT64_C(1) << 40, \
	  "channel memory of one user (default: half of the host's, at most 16384)") \
	X("apps-max",     apps_max,       NUMBER, "N",       4096,          1,     1000000, \
	  "applications of one user") \
	X("leases-max",   leases_max,     NUMBER, "N",       1024,          1,     65536, \
	  "port leases of one application") \
	X("channels-max", channels_max,   NUMBER, "N",       1024,          1,     65536, \
	  "channels of one application") \
	X("rate-max",     rate_max,       NUMBER, "N",       20000,         1,     10000000, \
	  "requests a second of one application; twice as many at once") \
	X("frame-bytes",  frame_bytes,    NUMBER, "BYTES",   4096,          2048,  65536, \
	  "size of a frame; a power of two") \
	X("frames",       frame_cnt,      NUMBER, "N",       1024,          2,     65536, \
	  "frames of each direction of a channel; a power of two; no more than 256 once half of a user's memory is counted") \
	X("help",         help,           FLAG,   NULL,      0,             0,     1, \
	  "print this and leave") \
	X("version",      version,        FLAG,   NULL,      0,             0,     1, \
	  "print the version and leave")

/**
 * options_parse() - Read the command line
 * @ret_why: 128 bytes; what is wrong with it
 * Return: 0; -EINVAL
 */
int options_parse(int argc, char **argv, struct options *ret_opts, char ret_why[static 128]);

/** options_help() - Print the table */
void options_help(FILE *to);

#endif
