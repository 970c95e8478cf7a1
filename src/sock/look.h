/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * look.h - a system call right behind a check (the look) that may skip it
 *
 * A signal handler may run between the two, and change what the look would find. So there are labels: from `look` to `done` the call has not been made yet, or is
 * to be restarted. A handler that has interrupted the thread there can make it resume at `left`, with EINTR in place of the call: look_leave().
 */
#ifndef SOCK_LOOK_H
#define SOCK_LOOK_H

#include "base/types.h"

#include <errno.h>
#include <stdint.h>
#include <ucontext.h>

/* Labels of the look of that name, of which there is one in the program: vj_NAME_look, vj_NAME_done, vj_NAME_left */
#define LOOK_LABELS(name)                                                               \
	extern const char vj_##name##_look[] __attribute__((visibility("hidden")));     \
	extern const char vj_##name##_done[] __attribute__((visibility("hidden")));     \
	extern const char vj_##name##_left[] __attribute__((visibility("hidden")))

/*
 * @look: instructions that jump to vj_NAME_left to skip the call. @arg: long[6]; after it, the operands of @look. On arm64 these may use x9.
 * Return: as the kernel; -EINTR: the call was skipped
 */
#if defined(__x86_64__)
#define LOOK_CALL(name, look, nr, arg, ...)                                                                                                 \
	({                                                                                                                                  \
		register long look_d_ __asm__("r10") = (arg)[3];                                                                            \
		register long look_e_ __asm__("r8") = (arg)[4];                                                                             \
		register long look_f_ __asm__("r9") = (arg)[5];                                                                             \
		long look_ret_;                                                                                                             \
		__asm__ volatile("vj_" #name "_look:\n\t" look "syscall\n"                                                                  \
				 "vj_" #name "_done:\n\t"                                                                                   \
				 "jmp 1f\n"                                                                                                 \
				 "vj_" #name "_left:\n\t"                                                                                   \
				 "movq %[eintr], %%rax\n"                                                                                   \
				 "1:"                                                                                                       \
				 : "=a"(look_ret_)                                                                                          \
				 : "a"(nr), "D"((arg)[0]), "S"((arg)[1]), "d"((arg)[2]), "r"(look_d_), "r"(look_e_), "r"(look_f_), [eintr] "i"(-EINTR), __VA_ARGS__ \
				 : "rcx", "r11", "memory", "cc");                                                                           \
		look_ret_;                                                                                                                  \
	})
#elif defined(__aarch64__)
#define LOOK_CALL(name, look, nr, arg, ...)                                                                                                 \
	({                                                                                                                                  \
		register long look_nr_ __asm__("x8") = (nr);                                                                                \
		register long look_a_ __asm__("x0") = (arg)[0];                                                                             \
		register long look_b_ __asm__("x1") = (arg)[1];                                                                             \
		register long look_c_ __asm__("x2") = (arg)[2];                                                                             \
		register long look_d_ __asm__("x3") = (arg)[3];                                                                             \
		register long look_e_ __asm__("x4") = (arg)[4];                                                                             \
		register long look_f_ __asm__("x5") = (arg)[5];                                                                             \
		__asm__ volatile("vj_" #name "_look:\n\t" look "svc 0\n"                                                                    \
				 "vj_" #name "_done:\n\t"                                                                                   \
				 "b 1f\n"                                                                                                   \
				 "vj_" #name "_left:\n\t"                                                                                   \
				 "mov x0, %[eintr]\n"                                                                                       \
				 "1:"                                                                                                       \
				 : "+r"(look_a_)                                                                                            \
				 : "r"(look_nr_), "r"(look_b_), "r"(look_c_), "r"(look_d_), "r"(look_e_), "r"(look_f_), [eintr] "i"(-EINTR), __VA_ARGS__ \
				 : "x9", "memory", "cc");                                                                                   \
		look_a_;                                                                                                                    \
	})
#endif

/* In a handler: if @context, a ucontext_t, is from @look up to @done, the handler will return to @left instead. */
static inline void look_leave(void *context, const char *look, const char *done, const char *left)
{
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
#if defined(__x86_64__)
	uintptr_t *at = (uintptr_t *)&m->gregs[REG_RIP];
#elif defined(__aarch64__)
	uintptr_t *at = (uintptr_t *)&m->pc;
#endif

	if (unlikely(*at >= (uintptr_t)look && *at < (uintptr_t)done))
		*at = (uintptr_t)left;
}

#endif
