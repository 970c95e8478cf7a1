// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj: `vj run PROGRAM` where all is as it should be, and for everything else the way to vj-tools (main.c)
 *
 * Every program that a user puts `vj run` before waits for this one. So it is small and has no libc (bare.c): to load one, or to start one that is linked
 * statically, takes twice as long as all that it does (docs/performance.md, "vj run").
 *
 * It has no words either. Whatever is to be said or chosen is for vj-tools, whose cmd_run.c begins anew: options, a vjd to be started, a program that the library
 * can't be in. What is decided here is decided by the same functions.
 */
#include "channel/sys.h"
#include "cli/cmd.h"
#include "cli/env.h"
#include "cli/install.h"
#include "cli/program.h"
#include "cli/run_env.h"
#include "lib/ctl_look.h"
#include "lib/own_fd.h"

#include <stdlib.h>
#include <string.h>

enum { VARS_MAX = 1000, TEXT_BYTES = 4 * PATH_MAX };

/* The environment of the program. More variables than here have room are for vj-tools. */
struct env {
	size_t cnt, text_bytes;
	char *vars[VARS_MAX + 1];
	char text[TEXT_BYTES];
};

static bool env_begin(struct env *env)
{
	while (environ[env->cnt] != NULL && env->cnt < VARS_MAX) {
		env->vars[env->cnt] = environ[env->cnt];
		env->cnt++;
	}
	return environ[env->cnt] == NULL;
}

/* setenv() */
static bool env_set(struct env *env, const char *name, const char *value)
{
	size_t name_bytes = strlen(name), value_bytes = strlen(value) + 1, i = 0;
	char *text = env->text + env->text_bytes;

	while (i < env->cnt && (strncmp(env->vars[i], name, name_bytes) != 0 || env->vars[i][name_bytes] != '='))
		i++;
	if (i == VARS_MAX || env->text_bytes + name_bytes + 1 + value_bytes > TEXT_BYTES)
		return false;
	memcpy(text, name, name_bytes);
	text[name_bytes] = '=';
	memcpy(text + name_bytes + 1, value, value_bytes);
	env->text_bytes += name_bytes + 1 + value_bytes;
	env->vars[i] = text;
	env->cnt += i == env->cnt;
	return true;
}

static bool env_fill(struct env *env)
{
	static char library[PATH_MAX], buf[TEXT_BYTES];
	char socket[CTL_PATH_BYTES];
	const char *value;

	if (!env_begin(env) || !ctl_look(NULL, socket) || !env_set(env, env_name(ENV_SOCKET), socket) ||
	    install_find(INSTALL_PRELOAD, library) < 0 || strchr(library, ' ') != NULL || strchr(library, ':') != NULL)
		return false;
	value = run_env_preload(getenv(RUN_ENV_PRELOAD), library, buf, sizeof(buf));
	if (value == NULL || !env_set(env, RUN_ENV_PRELOAD, value))
		return false;
	value = run_env_asan(getenv(RUN_ENV_ASAN), buf, sizeof(buf));
	return value != NULL && env_set(env, RUN_ENV_ASAN, value);
}

static struct program program;

/* @parts: up to a NULL */
static void say(const char *const *parts)
{
	for (; *parts != NULL; parts++)
		sys_write(STDERR_FILENO, *parts, strlen(*parts));
}

/* What is wrong with us is no reason not to start it. Returns if it can't be, or may not. */
static void run_on_kernel(char **argv, const char *why, const char *path)
{
	enum program_verdict v = program_check(argv[0], &program);

	if (v != PROGRAM_OK && !program_is_kernels(v))
		return;
	say((const char *[]){ "vj: run: '", argv[0], "' is on the kernel's sockets: ", why, path, "\n", NULL });
	sys_execve(program.path, argv, environ);
}

/* Returns if it isn't that simple. */
static void run(char **argv)
{
	static struct env env;

	own_fd_anywhere = true;
	if (own_fd_limit() < OWN_FD_LIMIT_MIN || program_check(argv[0], &program) != PROGRAM_OK || !env_fill(&env))
		return;
	if (sys_execve(program.path, argv, env.vars) == -E2BIG)
		run_on_kernel(argv, RUN_ENV_FULL, "");
}

/* Of the words behind `run` those of the program, which follow -- if there are options. NULL: there are none */
static char **program_of(char **words, bool *ret_options, bool *ret_strict)
{
	*ret_options = *ret_strict = false;
	if (words[0] == NULL || words[0][0] != '-')
		return words[0] == NULL || words[0][0] == '\0' ? NULL : words;
	for (; *words != NULL && strcmp(*words, "--") != 0; words++) {
		*ret_options = true;
		*ret_strict |= strcmp(*words, "--strict") == 0;
	}
	return *words == NULL || words[1] == NULL || words[1][0] == '\0' ? NULL : words + 1;
}

int main(int argc, char **argv)
{
	static char tools[PATH_MAX] = "vj-tools";
	bool options = true, strict = true;
	char **words = NULL;

	if (argc > 2 && strcmp(argv[1], "run") == 0)
		words = program_of(argv + 2, &options, &strict);
	if (words != NULL && !options)
		run(words);
	install_find(INSTALL_TOOLS, tools);
	sys_execve(tools, argv, environ);
	if (words != NULL && !strict)
		run_on_kernel(words, "cannot run ", tools);
	say((const char *[]){ "vj: cannot run ", tools, ", which belongs to vj and is installed with it\n", NULL });
	return EXIT_FAILED;
}
