/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_count.h - carries out a BPF program in user space, and counts what it takes
 *
 * For a machine without hardware counters, and for figures that are the same on every one. It takes the instructions that
 * the kernel was given (bpf_program__insns() after loading: maps and functions are resolved), which the verifier has found
 * to be safe, and the maps that were loaded with them. Maps are only read: what the program would write to one is counted,
 * and has no effect. So the same frame can be given to BPF_PROG_TEST_RUN next, and must have the same verdict.
 *
 * The kernel makes other instructions of some (of a look-up in an array, of a read of the context's pointers). Here they
 * are counted as they stand in the object. XDP only.
 */
#ifndef VJ_TESTS_POLICY_BPF_COUNT_H
#define VJ_TESTS_POLICY_BPF_COUNT_H

#include <linux/bpf.h>

#include "base/types.h"

struct bpf_count {
	uint32_t verdict;
	uint32_t insns; /* carried out, calls of helpers included */
	uint32_t lookups; /* in maps, by the helper for it; bpf_redirect_map() makes one more within */
	uint32_t helpers; /* called, look-ups included */
	uint32_t redirect_key; /* of the last bpf_redirect_map() that found something, else 0: the application */
	uint32_t percpu_key; /* of the last look-up in an array of values for each processor: dispatch's reason */
};

/**
 * bpf_count_run() - One run of a program
 * @insns: @cnt of them, the main program first, then the functions it calls
 * @frame: [@frame, @end): the program may write to it
 * Return: 0; -ENOSYS: an instruction or a helper that is not known here; -EFAULT: left the program, or too many calls deep;
 * -ENOMEM
 */
int bpf_count_run(const struct bpf_insn *insns, size_t cnt, uint8_t *frame, uint8_t *end, struct bpf_count *ret_count);

#endif
