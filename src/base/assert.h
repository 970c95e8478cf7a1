// SPDX-License-Identifier: BSD-2-Clause
/*
 * Assertions: for bugs in our own code and nothing else. What comes from a peer, a wire or a file
 * is checked by `if`, counted and dropped. They stay on in release builds.
 *
 *	VJ_ASSERT(cond)           the process aborts, naming the condition and the place
 *	VJ_ASSERT_OP(a, <=, b)    the same, and both values are printed, evaluated a second time
 *	VJ_DASSERT(_OP)           only with VJ_DEBUG defined: for what the packet path cannot pay
 *	VJ_UNREACHABLE()          aborts; it is not a hint to the compiler
 */
#ifndef VJ_BASE_ASSERT_H
#define VJ_BASE_ASSERT_H

#include "base/types.h"

/* Both print to standard error and abort. They are the only code of base that does either. */
VJ_NORETURN VJ_COLD void vj_assert_fail(const char *cond, const char *file, int line,
					const char *func);
VJ_NORETURN VJ_COLD void vj_assert_op_fail(const char *cond, uint64_t a, uint64_t b,
					   const char *file, int line, const char *func);

#define VJ_ASSERT(cond)                                                      \
	do {                                                                 \
		if (unlikely(!(cond)))                                       \
			vj_assert_fail(#cond, __FILE__, __LINE__, __func__); \
	} while (0)

/*
 * The operands are compared as they stand, and not through copies, so that a literal can be
 * compared with an unsigned value without a warning about signs.
 */
#define VJ_ASSERT_OP(a, op, b)                                                             \
	do {                                                                               \
		if (unlikely(!((a)op(b))))                                                 \
			vj_assert_op_fail(#a " " #op " " #b, (uint64_t)(a), (uint64_t)(b), \
					  __FILE__, __LINE__, __func__);                   \
	} while (0)

#define VJ_UNREACHABLE() vj_assert_fail("unreachable", __FILE__, __LINE__, __func__)

/* Without VJ_DEBUG the expressions are still compiled, so that they do not rot, but never run. */
#ifdef VJ_DEBUG
#define VJ_DASSERT(cond) VJ_ASSERT(cond)
#define VJ_DASSERT_OP(a, op, b) VJ_ASSERT_OP(a, op, b)
#else
#define VJ_DASSERT(cond) ((void)sizeof((cond) ? 1 : 0))
#define VJ_DASSERT_OP(a, op, b) ((void)sizeof(((a)op(b)) ? 1 : 0))
#endif

#endif
