// SPDX-License-Identifier: BSD-2-Clause
#include "cli/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	SCRIPT_DEPTH_MAX = 4,	 /* as the kernel: a script of a script of a script */
	SCRIPT_LINE_BYTES = 256, /* BINPRM_BUF_SIZE */
};

static VJ_PRINTF(3, 4) enum program_verdict
	because(struct program *p, enum program_verdict v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	return v;
}

static bool may_be_run(const char *path, const struct stat *st)
{
	return S_ISREG(st->st_mode) && access(path, X_OK) == 0;
}

static bool is_runnable_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && may_be_run(path, &st);
}

static enum program_verdict judge(struct program *p)
{
	struct stat st;

	if (stat(p->path, &st) < 0)
		return because(p, errno == ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_RUNNABLE, /* as env(1) */
			       errno == ENOENT ? "no such program: '%s'" : "cannot run '%s': %m",
			       p->path);
	if (S_ISDIR(st.st_mode))
		return because(p, PROGRAM_NOT_RUNNABLE, "'%s' is a directory", p->path);
	if (!may_be_run(p->path, &st))
		return because(p, PROGRAM_NOT_RUNNABLE, "'%s' is not executable", p->path);
	return PROGRAM_OK;
}

/*
 * execvp(3)'s search. A file that is there but may not be run is remembered, as shells do, for a
 * better message.
 */
static enum program_verdict find_in_path(const char *name, struct program *p)
{
	const char *dirs = getenv("PATH");
	char seen[PATH_MAX];
	struct stat st;
	int len;

	seen[0] = '\0';
	for (const char *d = dirs != NULL ? dirs : "/bin:/usr/bin"; d != NULL; d = d[len] == ':' ? d + len + 1 : NULL) {
		len = (int)strcspn(d, ":");
		if (snprintf(p->path, sizeof(p->path), "%.*s%s%s", len, d, len > 0 ? "/" : "./",
			     name) >= (int)sizeof(p->path))
			continue;
		if (stat(p->path, &st) < 0)
			continue;
		if (may_be_run(p->path, &st))
			return PROGRAM_OK;
		if (seen[0] == '\0')
			memcpy(seen, p->path, sizeof(seen));
	}
	if (seen[0] == '\0')
		return because(p, PROGRAM_NOT_FOUND,
			       "no such program: '%s' is in no directory of $PATH", name);
	memcpy(p->path, seen, sizeof(seen));
	return judge(p);
}

static enum program_verdict find(const char *name, struct program *p)
{
	if (strchr(name, '/') == NULL)
		return find_in_path(name, p);
	if (snprintf(p->path, sizeof(p->path), "%s", name) >= (int)sizeof(p->path))
		return because(p, PROGRAM_NOT_FOUND, "no such program: the name is too long");
	return judge(p);
}

/*
 * The dynamic linker ignores LD_PRELOAD where a program runs with more rights than its caller
 * (ld.so(8), AT_SECURE).
 */
static enum program_verdict check_rights(const char *path, struct program *p)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return because(p, PROGRAM_NOT_RUNNABLE, "cannot run '%s': %m", path);
	if (((st.st_mode & S_ISUID) != 0 && st.st_uid != geteuid()) ||
	    ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != getegid()))
		return because(p, PROGRAM_NOT_OURS,
			       "'%s' is set-user-id or set-group-id: the system loads no library of ours into it",
			       path);
	if (geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return because(
			p, PROGRAM_NOT_OURS,
			"'%s' has file capabilities: the system loads no library of ours into it",
			path);
	return PROGRAM_OK;
}

/* The path in PT_INTERP; "" when there is none. */
static int read_interpreter(int fd, const Elf64_Ehdr *eh, char *buf, size_t room)
{
	buf[0] = '\0';
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		off_t at = (off_t)(eh->e_phoff + (uint64_t)i * eh->e_phentsize);
		Elf64_Phdr ph;
		ssize_t n;

		if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			return -ENOEXEC;
		if (ph.p_type != PT_INTERP)
			continue;
		n = pread(fd, buf, min_size(room - 1, ph.p_filesz), (off_t)ph.p_offset);
		if (n <= 0)
			return -ENOEXEC;
		buf[n] = '\0';
		return 0;
	}
	return 0;
}

static enum program_verdict check_elf(int fd, const char *path, const Elf64_Ehdr *eh,
				      struct program *p)
{
	static const Elf64_Half our_machine =
#if defined(__x86_64__)
		EM_X86_64;
#elif defined(__aarch64__)
		EM_AARCH64;
#elif defined(__riscv)
		EM_RISCV;
#elif defined(__powerpc64__)
		EM_PPC64;
#elif defined(__s390x__)
		EM_S390;
#else
#error "name this machine's EM_ value"
#endif
	char interp[PATH_MAX];

	if (eh->e_ident[EI_CLASS] != ELFCLASS64)
		return because(p, PROGRAM_NOT_OURS,
			       "'%s' is a 32-bit program, libvj-preload.so is 64-bit",
			       path);
	if (eh->e_machine != our_machine)
		return because(p, PROGRAM_NOT_RUNNABLE,
			       "'%s' is a program for another kind of machine", path);
	if (eh->e_phentsize != sizeof(Elf64_Phdr) ||
	    read_interpreter(fd, eh, interp, sizeof(interp)) < 0)
		return because(p, PROGRAM_NOT_RUNNABLE, "'%s' is a damaged program", path);
	if (interp[0] == '\0')
		return because(p, PROGRAM_STARTS_OURS,
			       "'%s' is statically linked: it makes its system calls itself, where no library can take them over",
			       path);
	if (strstr(interp, "ld-musl") != NULL)
		return because(
			p, PROGRAM_NOT_OURS,
			"'%s' is linked with another C library (%s): libvj-preload.so needs glibc",
			path, interp);
	return check_rights(path, p);
}

static enum program_verdict check_file(const char *path, unsigned depth, struct program *p);

/* `#!/usr/bin/env NAME` runs NAME: that is the program to look at. */
static enum program_verdict check_env_name(char *arg, unsigned depth, struct program *p)
{
	struct program named;
	enum program_verdict v;

	arg[strcspn(arg, " \t")] = '\0';
	if (arg[0] == '\0' || arg[0] == '-' || strchr(arg, '=') != NULL)
		return PROGRAM_OK; /* env sorts it out */
	v = find(arg, &named);
	if (v != PROGRAM_OK) {
		memcpy(p->why, named.why, sizeof(p->why));
		return v;
	}
	return check_file(named.path, depth + 1, p);
}

static enum program_verdict check_script(const char *path, char *line, unsigned depth,
					 struct program *p)
{
	char *interp = line + 2 + strspn(line + 2, " \t"), *arg;
	enum program_verdict v;
	size_t len;

	line[strcspn(line, "\n")] = '\0';
	len = strcspn(interp, " \t");
	arg = interp + len + strspn(interp + len, " \t");
	interp[len] = '\0';
	if (depth >= SCRIPT_DEPTH_MAX)
		return because(p, PROGRAM_NOT_RUNNABLE,
			       "'%s': too many interpreters of interpreters", path);
	if (len == 0 || !is_runnable_file(interp))
		return because(p, len != 0 && access(interp, F_OK) < 0 && errno == ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_RUNNABLE,
			       "'%s' is a script whose interpreter '%s' cannot be run", path, interp);
	v = check_file(interp, depth + 1, p);
	if (v == PROGRAM_OK && len >= 4 && strcmp(interp + len - 4, "/env") == 0)
		v = check_env_name(arg, depth, p);
	return v;
}

static enum program_verdict check_file(const char *path, unsigned depth, struct program *p)
{
	union {
		Elf64_Ehdr elf;
		char line[SCRIPT_LINE_BYTES + 1];
	} head = { 0 };
	enum program_verdict v;
	ssize_t n;
	int fd;

	/*
	 * A program may be executable and not readable: then nothing can be said, and nothing is.
	 */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES
			       ? check_rights(path, p)
			       : because(p, PROGRAM_NOT_RUNNABLE, "cannot run '%s': %m", path);
	n = pread(fd, &head, sizeof(head) - 1, 0);
	if (n >= (ssize_t)sizeof(Elf64_Ehdr) && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0)
		v = check_elf(fd, path, &head.elf, p);
	else if (n > 2 && head.line[0] == '#' && head.line[1] == '!')
		v = check_script(path, head.line, depth, p);
	else
		v = PROGRAM_OK; /* of a kind that only the kernel knows (binfmt_misc), or a script of the shell's, as to execvp(3) */
	close(fd);
	return v;
}

/* `vj run vj run ...`: static as it is, it comes to the same */
static bool is_this_one(const char *path)
{
	struct stat st, own;

	return stat(path, &st) == 0 && stat("/proc/self/exe", &own) == 0 && st.st_dev == own.st_dev && st.st_ino == own.st_ino;
}

enum program_verdict program_check(const char *name, struct program *ret_program)
{
	enum program_verdict v;

	ret_program->why[0] = '\0';
	v = find(name, ret_program);
	if (v != PROGRAM_OK)
		return v;
	v = check_file(ret_program->path, 0, ret_program);
	return program_is_kernels(v) && is_this_one(ret_program->path) ? PROGRAM_OK : v;
}
