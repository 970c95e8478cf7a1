// SPDX-License-Identifier: BSD-2-Clause
#include "cli/program.h"

#include "base/go_note.h"
#include "channel/sys.h"
#include "cli/install.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum {
	SCRIPT_DEPTH_MAX = 4,	 /* as the kernel: a script of a script of a script */
	SCRIPT_LINE_BYTES = 256, /* BINPRM_BUF_SIZE */
};

/* @about: a path or name; NULL: none is said */
static enum program_verdict because(struct program *p, enum program_verdict v, enum program_reason reason, const char *about)
{
	p->reason = reason;
	if (about != NULL)
		memcpy(p->about, about, strlen(about) + 1); /* a path that was opened, or found too long before */
	return v;
}

static enum program_verdict cannot_run(struct program *p, const char *path, int err)
{
	p->err = err;
	return because(p, PROGRAM_NOT_RUNNABLE, PROGRAM_CANNOT_RUN, path);
}

static bool may_be_run(const char *path, const struct stat *st)
{
	return S_ISREG(st->st_mode) && sys_access(path, X_OK) == 0;
}

static bool is_runnable_file(const char *path)
{
	struct stat st;

	return sys_stat(path, &st) == 0 && may_be_run(path, &st);
}

static enum program_verdict judge(struct program *p)
{
	struct stat st;
	int rc = sys_stat(p->path, &st);

	if (rc == -ENOENT) /* as env(1) */
		return because(p, PROGRAM_NOT_FOUND, PROGRAM_NO_SUCH, p->path);
	if (rc < 0)
		return cannot_run(p, p->path, -rc);
	if (S_ISDIR(st.st_mode))
		return because(p, PROGRAM_NOT_RUNNABLE, PROGRAM_IS_DIRECTORY, p->path);
	if (!may_be_run(p->path, &st))
		return because(p, PROGRAM_NOT_RUNNABLE, PROGRAM_NOT_EXECUTABLE, p->path);
	return PROGRAM_OK;
}

/* Return: is there room? */
static bool join(char path[static PATH_MAX], const char *dir, size_t dir_bytes, const char *name)
{
	size_t name_bytes = strlen(name);

	if (dir_bytes == 0) {
		dir = ".";
		dir_bytes = 1;
	}
	if (dir_bytes + 1 + name_bytes >= PATH_MAX)
		return false;
	memcpy(path, dir, dir_bytes);
	path[dir_bytes] = '/';
	memcpy(path + dir_bytes + 1, name, name_bytes + 1);
	return true;
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
	size_t len;

	seen[0] = '\0';
	for (const char *d = dirs != NULL ? dirs : "/bin:/usr/bin"; d != NULL; d = d[len] == ':' ? d + len + 1 : NULL) {
		len = strcspn(d, ":");
		if (!join(p->path, d, len, name) || sys_stat(p->path, &st) < 0)
			continue;
		if (may_be_run(p->path, &st))
			return PROGRAM_OK;
		if (seen[0] == '\0')
			memcpy(seen, p->path, sizeof(seen));
	}
	if (seen[0] == '\0' && strlen(name) < PATH_MAX)
		return because(p, PROGRAM_NOT_FOUND, PROGRAM_NOT_IN_PATH, name);
	if (seen[0] == '\0')
		return because(p, PROGRAM_NOT_FOUND, PROGRAM_NAME_TOO_LONG, NULL);
	memcpy(p->path, seen, sizeof(seen));
	return judge(p);
}

static enum program_verdict find(const char *name, struct program *p)
{
	size_t bytes = strlen(name);

	if (strchr(name, '/') == NULL)
		return find_in_path(name, p);
	if (bytes >= sizeof(p->path))
		return because(p, PROGRAM_NOT_FOUND, PROGRAM_NAME_TOO_LONG, NULL);
	memcpy(p->path, name, bytes + 1);
	return judge(p);
}

/*
 * The dynamic linker ignores LD_PRELOAD where a program runs with more rights than its caller
 * (ld.so(8), AT_SECURE).
 */
static enum program_verdict check_rights(const char *path, struct program *p)
{
	uint32_t uid = (uint32_t)SYS_CALL0(SYS_geteuid), gid = (uint32_t)SYS_CALL0(SYS_getegid);
	struct stat st;
	int rc = sys_stat(path, &st);

	if (rc < 0)
		return cannot_run(p, path, -rc);
	if (((st.st_mode & S_ISUID) != 0 && st.st_uid != uid) ||
	    ((st.st_mode & S_ISGID) != 0 && (st.st_mode & S_IXGRP) != 0 && st.st_gid != gid))
		return because(p, PROGRAM_NOT_OURS, PROGRAM_SET_ID, path);
	if (uid != 0 && SYS_CALL4(SYS_getxattr, path, "security.capability", NULL, 0) > 0)
		return because(p, PROGRAM_NOT_OURS, PROGRAM_HAS_CAPABILITIES, path);
	return PROGRAM_OK;
}

/* The path in PT_INTERP; "" when there is none. */
static int read_interpreter(int fd, const Elf64_Ehdr *eh, char *buf, size_t room)
{
	buf[0] = '\0';
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		uint64_t at = eh->e_phoff + (uint64_t)i * eh->e_phentsize;
		Elf64_Phdr ph;
		long n;

		if (sys_pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			return -ENOEXEC;
		if (ph.p_type != PT_INTERP)
			continue;
		n = sys_pread(fd, buf, min_size(room - 1, ph.p_filesz), ph.p_offset);
		if (n <= 0)
			return -ENOEXEC;
		buf[n] = '\0';
		return 0;
	}
	return 0;
}

/* A note that can't be read is none. */
static bool is_go(int fd, const Elf64_Ehdr *eh)
{
	char notes[512];

	for (unsigned i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;
		long n;

		if (sys_pread(fd, &ph, sizeof(ph), eh->e_phoff + (uint64_t)i * eh->e_phentsize) != sizeof(ph))
			return false;
		n = ph.p_type == PT_NOTE ? sys_pread(fd, notes, min_size(sizeof(notes), ph.p_filesz), ph.p_offset) : 0;
		if (n > 0 && go_note_is_in(notes, (size_t)n))
			return true;
	}
	return false;
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

	if (eh->e_ident[EI_CLASS] != ELFCLASS64)
		return because(p, PROGRAM_NOT_OURS, PROGRAM_32_BIT, path);
	if (eh->e_machine != our_machine)
		return because(p, PROGRAM_NOT_RUNNABLE, PROGRAM_OTHER_MACHINE, path);
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || read_interpreter(fd, eh, p->interpreter, sizeof(p->interpreter)) < 0)
		return because(p, PROGRAM_NOT_RUNNABLE, PROGRAM_DAMAGED, path);
	if (p->interpreter[0] == '\0')
		return because(p, PROGRAM_STARTS_OURS, PROGRAM_STATIC, path);
	if (strstr(p->interpreter, "ld-musl") != NULL)
		return because(p, PROGRAM_NOT_OURS, PROGRAM_OTHER_LIBC, path);
	if (is_go(fd, eh))
		return because(p, PROGRAM_STARTS_OURS, PROGRAM_GO, path);
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
		memcpy(named.path, p->path, sizeof(named.path));
		*p = named;
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
		return because(p, PROGRAM_NOT_RUNNABLE, PROGRAM_TOO_DEEP, path);
	if (len == 0 || !is_runnable_file(interp)) {
		memcpy(p->interpreter, interp, len + 1);
		return because(p, len != 0 && sys_access(interp, F_OK) == -ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_RUNNABLE,
			       PROGRAM_NO_INTERPRETER, path);
	}
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
	long n;
	int fd;

	/*
	 * A program may be executable and not readable: then nothing can be said, and nothing is.
	 */
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -EACCES ? check_rights(path, p) : cannot_run(p, path, -fd);
	n = sys_pread(fd, &head, sizeof(head) - 1, 0);
	if (n >= (long)sizeof(Elf64_Ehdr) && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0)
		v = check_elf(fd, path, &head.elf, p);
	else if (n > 2 && head.line[0] == '#' && head.line[1] == '!')
		v = check_script(path, head.line, depth, p);
	else
		v = PROGRAM_OK; /* of a kind that only the kernel knows (binfmt_misc), or a script of the shell's, as to execvp(3) */
	sys_close(fd);
	return v;
}

/* `vj run vj run ...`: static as it is, it comes to the same */
static bool is_vj(const char *path)
{
	char vj[PATH_MAX];
	struct stat st, own;

	return install_find(INSTALL_VJ, vj) == 0 && sys_stat(path, &st) == 0 && sys_stat(vj, &own) == 0 && st.st_dev == own.st_dev &&
	       st.st_ino == own.st_ino;
}

enum program_verdict program_check(const char *name, struct program *ret_program)
{
	enum program_verdict v;

	ret_program->reason = PROGRAM_NO_REASON;
	v = find(name, ret_program);
	if (v != PROGRAM_OK)
		return v;
	v = check_file(ret_program->path, 0, ret_program);
	return program_is_kernels(v) && is_vj(ret_program->path) ? because(ret_program, PROGRAM_OK, PROGRAM_NO_REASON, NULL) : v;
}
