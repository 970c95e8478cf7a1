// SPDX-License-Identifier: BSD-2-Clause
/*
 * What vj (front.c) has in place of a libc: a way in, and functions of strings, as ISO C and string(3) have them
 *
 * glibc's way to main() asks the processor what it is: some eighty CPUID, each of which a hypervisor answers, at 2 to 5 us. That is more
 * than all that `vj run` does (docs/performance.md, "vj run").
 */
#include "base/types.h"
#include "channel/sys.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* The stack as the kernel leaves it: argc, argv, environ, auxv. */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call bare_start\n");
#elif defined(__aarch64__)
__asm__(".text\n"
	".globl _start\n"
	".type _start, %function\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl bare_start\n");
#else
#error "this architecture's way in is wanted here"
#endif

int main(int argc, char **argv);
VJ_NORETURN void bare_start(long *stack);

char **environ;
static bool is_secure;

void bare_start(long *stack)
{
	int argc = (int)stack[0];
	char **argv = (char **)(stack + 1);
	const Elf64_auxv_t *aux;
	char **end;

	environ = argv + argc + 1;
	for (end = environ; *end != NULL; end++)
		;
	for (aux = (const void *)(end + 1); aux->a_type != AT_NULL; aux++)
		is_secure |= aux->a_type == AT_SECURE && aux->a_un.a_val != 0;
	for (;;)
		SYS_CALL1(SYS_exit_group, main(argc, argv));
}

/* ---- the environment */

char *getenv(const char *name)
{
	size_t bytes = strlen(name);

	for (char **var = environ; *var != NULL; var++)
		if (strncmp(*var, name, bytes) == 0 && (*var)[bytes] == '=')
			return *var + bytes + 1;
	return NULL;
}

char *secure_getenv(const char *name)
{
	return is_secure ? NULL : getenv(name);
}

/* ---- strings */

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	char *t = to;
	const char *f = from;

	while (bytes-- > 0)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, size_t bytes)
{
	for (char *t = to; bytes-- > 0; t++)
		*t = (char)c;
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *x = a, *y = b;

	for (; bytes-- > 0; x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void *memrchr(const void *from, int c, size_t bytes)
{
	const char *f = from;

	while (bytes-- > 0)
		if (f[bytes] == (char)c)
			return (void *)(uintptr_t)(f + bytes);
	return NULL;
}

size_t strlen(const char *s)
{
	size_t bytes = 0;

	while (s[bytes] != '\0')
		bytes++;
	return bytes;
}

int strncmp(const char *a, const char *b, size_t max)
{
	for (; max > 0 && *a == *b && *a != '\0'; max--, a++, b++)
		;
	return max == 0 ? 0 : (unsigned char)*a - (unsigned char)*b;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	while (*s != (char)c)
		if (*s++ == '\0')
			return NULL;
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	return memrchr(s, c, strlen(s) + 1);
}

size_t strspn(const char *s, const char *of)
{
	size_t bytes = 0;

	while (s[bytes] != '\0' && strchr(of, s[bytes]) != NULL)
		bytes++;
	return bytes;
}

size_t strcspn(const char *s, const char *of)
{
	size_t bytes = 0;

	while (strchr(of, s[bytes]) == NULL) /* which has the zero, too */
		bytes++;
	return bytes;
}

char *strstr(const char *s, const char *part)
{
	size_t bytes = strlen(part);

	for (; strncmp(s, part, bytes) != 0; s++)
		if (*s == '\0')
			return NULL;
	return (char *)(uintptr_t)s;
}
