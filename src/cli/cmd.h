// SPDX-License-Identifier: BSD-2-Clause
/*
 * The command line, said once.
 *
 * `cmds[]` (cmds.c) is the single truth: from it come dispatch, the parsing of options, `vj
 * --help`, `vj help COMMAND`, the completion for bash (doc_bash.c) and vj(1) (doc_man.c). A command
 * is one file, cmd_NAME.c, with one function that gets its options parsed and checked in a struct
 * of its own.
 */
#ifndef VJ_CLI_CMD_H
#define VJ_CLI_CMD_H

#include "base/types.h"

#include <stdio.h>

/* A command's struct of parsed options fits in this. */
enum { CMD_OPTS_BYTES = 256 };

/* Exit status of vj itself. `vj run` ends with the status of the program that it runs. */
enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,    /* it was tried and did not work; the reason is on standard error */
	EXIT_USAGE = 2,	    /* unknown command or option, bad value */
	EXIT_NO_DAEMON = 3, /* commands that only ask vjd: none runs */
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
};

enum opt_type {
	OPT_FLAG,   /* bool */
	OPT_INT,    /* int64_t, min..max */
	OPT_REAL,   /* double, min..max */
	OPT_STRING, /* const char * into argv */
	OPT_FILE,   /* the same; completes file names */
	OPT_CHOICE, /* the same; one of the words in @choices */
	OPT_CHOICES, /* the same; some of them, with commas between */
};

struct opt {
	const char *name;  /* without the dashes */
	const char *value; /* what stands for the value in help; NULL for a flag */
	const char *help;
	const char *def;     /* default, parsed like a value; NULL: 0, false, NULL */
	const char *choices; /* OPT_CHOICE, OPT_CHOICES: words with | between */
	enum opt_type type;
	size_t offset; /* of the member in the command's struct */
	double min, max;
};

/* A word that may stand as first argument, and what it means. A list ends with a NULL name. */
struct topic {
	const char *name, *help;
};

struct exit_line {
	int status; /* -1: any other */
	const char *help;
};

/* What follows the options, and completes it */
enum cmd_args {
	CMD_ARGS_PLAIN,	     /* a topic, if there are, or what nobody can guess */
	CMD_ARGS_PROGRAM,    /* options end at the first word that isn't one */
	CMD_ARGS_INTERFACES, /* of this network namespace */
	CMD_ARGS_PROCESSES,  /* under vj run */
};

#define CMD_EXITS_MAX 8

struct cmd {
	const char *name;
	const char *help;    /* one line */
	const char *args;    /* synopsis of what follows the options */
	const char *about;   /* paragraphs with an empty line between */
	const char *example; /* lines */
	const struct topic *topics;
	const struct opt *opts;	 /* ends with a NULL name */
	enum cmd_args kind_of_args;
	struct exit_line exits[CMD_EXITS_MAX];
	/* @opts: the parsed struct; argv[0..argc): what is no option. Returns the exit status. */
	int (*run)(const struct cmd *cmd, const void *opts, int argc, char **argv);
};

/* How commands write JSON, for json_dumpf(): numbers without the digits that a double has beyond what was measured */
#define CMD_JSON (JSON_INDENT(2) | JSON_REAL_PRECISION(12))

extern const struct cmd cmds[]; /* ends with a NULL name */

/* Environment variables, for help and vj(1). Ends with a NULL name. */
extern const struct topic env_vars[];

/* cmd_*.c */
int cmd_run(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_status(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_connections(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_why(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_arp(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_resolve(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_firewall(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_attach(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_doctor(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_bench(const struct cmd *cmd, const void *opts, int argc, char **argv);
int cmd_help(const struct cmd *cmd, const void *opts, int argc, char **argv);

/* ask_opts: of status, connections, why and arp */
extern const struct opt run_opts[], ask_opts[], resolve_opts[], firewall_opts[], attach_opts[], detach_opts[], doctor_opts[],
	bench_opts[], help_opts[];
extern const struct topic bench_topics[];

const struct cmd *cmd_find(const char *name);

/* opts.c */

/*
 * Parses argv[0..*argc) into @ret_opts, a struct of up to CMD_OPTS_BYTES, aligned for anything, and
 * moves what is no option to the front of argv. Complaints go to standard error. Returns EXIT_OK;
 * EXIT_USAGE; or -1 when --help was asked for.
 */
int opts_parse(const struct cmd *cmd, int *argc, char **argv, void *ret_opts);

/*
 * The candidate nearest to @word, or NULL when none is near. Feed candidates one by one; start with
 * a zeroed struct.
 */
struct nearest {
	const char *word;
	unsigned distance;
};
void nearest_try(struct nearest *n, const char *typed, const char *candidate);

/* doc_*.c: renderings of the table */
void doc_overview(FILE *out);
void doc_command(FILE *out, const struct cmd *cmd);
void doc_man(FILE *out);
void doc_bash(FILE *out);

/* @word is one argument too many, which is said. Returns EXIT_USAGE. */
int takes_no(const struct cmd *cmd, const char *word);

/* What makes a word that stands behind @cnt its plural */
static inline const char *plural(uint64_t cnt)
{
	return cnt == 1 ? "" : "s";
}

/* `vj: ` and the message on standard error */
void complain(const char *fmt, ...) VJ_PRINTF(1, 2);

#endif
