// SPDX-License-Identifier: BSD-2-Clause
/*
 * exec.c - programs that become or start others: the library hears of it first, then libc does what it always did
 *
 * libc's variants call each other inside, where nothing is interposed; so each is here.
 */
#undef _FORTIFY_SOURCE

#include "preload/preload.h"

#include "base/types.h"
#include "sock/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REAL(which, name, ...)                                 \
	({                                                     \
		__typeof__(name) *real_;                       \
		*(void **)&real_ = real_find(which);           \
		real_ ? real_(__VA_ARGS__) : (errno = ENOSYS, -1); \
	})

static int spawned(int err)
{
	if (err)
		sock_exec_failed();
	return err;
}

/* clang-format off */

EXPORT VJ_EARLY int execve(const char *p, char *const a[], char *const e[]) { return sock_execveat(AT_FDCWD, p, a, e, 0); }
EXPORT VJ_EARLY int execv(const char *p, char *const a[]) { return execve(p, a, environ); }
EXPORT VJ_EARLY int execvpe(const char *p, char *const a[], char *const e[]) { char *const *given = SOCK_EXEC_ENV(e); sock_before_exec(given); (void)REAL(REAL_EXECVPE, execvpe, p, a, given); sock_exec_failed(); return -1; }
EXPORT VJ_EARLY int execvp(const char *p, char *const a[]) { return execvpe(p, a, environ); }
EXPORT int fexecve(int fd, char *const a[], char *const e[]) { return sock_execveat(fd, "", a, e, AT_EMPTY_PATH); }
EXPORT VJ_EARLY int execveat(int d, const char *p, char *const a[], char *const e[], int f) { return sock_execveat(d, p, a, e, f); }

EXPORT int posix_spawn(pid_t *pid, const char *p, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at, char *const a[], char *const e[]) { char *const *given = SOCK_EXEC_ENV(e); sock_before_spawn_of(given); return spawned(REAL(REAL_POSIX_SPAWN, posix_spawn, pid, p, fa, at, a, given)); }
EXPORT int posix_spawnp(pid_t *pid, const char *p, const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *at, char *const a[], char *const e[]) { char *const *given = SOCK_EXEC_ENV(e); sock_before_spawn_of(given); return spawned(REAL(REAL_POSIX_SPAWNP, posix_spawnp, pid, p, fa, at, a, given)); }

/* Their shells are started by libc's own posix_spawn(). */
EXPORT int system(const char *command) { if (command) sock_before_spawn_of(environ); return REAL(REAL_SYSTEM, system, command); }
EXPORT FILE *popen(const char *command, const char *mode) { FILE *(*real)(const char *, const char *); sock_before_spawn_of(environ); *(void **)&real = real_find(REAL_POPEN); return real ? real(command, mode) : NULL; }

/* clang-format on */

/*
 * vfork() returns twice on one stack, so nothing may stand between it and its caller: what is to be done is done before, and
 * libc's function is jumped to.
 */
__attribute__((used, visibility("hidden"))) void *exec_before_vfork(void);
void *exec_before_vfork(void)
{
	sock_before_vfork();
	return real_find(REAL_VFORK);
}

#if defined(__x86_64__)
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, @function\n"
	"vfork:\n"
	"	endbr64\n"
	"	subq $8, %rsp\n"
	"	call exec_before_vfork\n"
	"	addq $8, %rsp\n"
	"	jmp *%rax\n"
	".size vfork, .-vfork\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, %function\n"
	"vfork:\n"
	"	stp x29, x30, [sp, #-16]!\n"
	"	bl exec_before_vfork\n"
	"	ldp x29, x30, [sp], #16\n"
	"	br x0\n"
	".size vfork, .-vfork\n");
#else
#error "vfork() wants a line of assembler for this machine"
#endif

struct copy {
	int (*fn)(void *arg);
	void *arg;
};

/* In a copy of the process, with a stack of its own: our caller's is copied, too. */
static int copy_begin(void *arg)
{
	const struct copy begin = *(const struct copy *)arg;

	sock_fork_end(true);
	return sock_thread_ends(begin.fn(begin.arg));
}

/* Three more words may follow, as libc takes them. */
EXPORT int clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...)
{
	struct copy begin = { fn, arg };
	va_list ap;
	void *more[3];
	int r;

	va_start(ap, arg);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		more[i] = va_arg(ap, void *);
	va_end(ap);
	sock_before_clone((unsigned)flags);
	real_find(REAL_CLONE); /* not under the lock: it takes the loader's */
	if (!fn || (flags & CLONE_NO_FORK) || !sock_fork_begin())
		return REAL(REAL_CLONE, clone, fn, stack, flags, arg, more[0], more[1], more[2]);
	r = REAL(REAL_CLONE, clone, copy_begin, stack, flags, &begin, more[0], more[1], more[2]);
	sock_fork_end(false);
	return r;
}

/* A handler may call it. */
EXPORT pid_t _Fork(void)
{
	bool known = real_find(REAL__FORK), begun = known && sock_fork_begin_any_time();
	pid_t pid = REAL(REAL__FORK, _Fork);

	if (begun)
		sock_fork_end(!pid);
	return pid;
}

/* The arguments of execl() and its like as an array, on the stack: these may be called after vfork(), or by a handler. */
#define LISTED(first, call)                                                   \
	do {                                                                  \
		size_t cnt = 1;                                               \
		va_list ap;                                                   \
		va_start(ap, first);                                          \
		while (va_arg(ap, char *))                                    \
			cnt++;                                                \
		va_end(ap);                                                   \
		char **argv = __builtin_alloca((cnt + 1) * sizeof(*argv)), **envp; \
		va_start(ap, first);                                          \
		argv[0] = (char *)(uintptr_t)(first);                         \
		for (size_t i = 1; i <= cnt; i++)                             \
			argv[i] = va_arg(ap, char *);                         \
		envp = (ENV_LISTED) ? va_arg(ap, char **) : environ;          \
		va_end(ap);                                                   \
		return call(path, argv, envp);                                \
	} while (0)

#define ENV_LISTED 0
EXPORT int execl(const char *path, const char *arg, ...)
{
	LISTED(arg, execve);
}

EXPORT int execlp(const char *path, const char *arg, ...)
{
	LISTED(arg, execvpe);
}
#undef ENV_LISTED

#define ENV_LISTED 1
EXPORT int execle(const char *path, const char *arg, ...)
{
	LISTED(arg, execve);
}
