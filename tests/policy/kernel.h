/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel.h - what the tests have in common that let the kernel run the BPF programs */
#ifndef VJ_TESTS_POLICY_KERNEL_H
#define VJ_TESTS_POLICY_KERNEL_H

#include "tests/policy/steps.h"

/* @arg: a struct bpf_object that has a map of this name */
step_set_fn kernel_set;

/* Before the first program is loaded: what libbpf has to say would be of rights that are not there. */
void kernel_begin(void);

/* After it. @skeleton: NULL if it was not loaded (errno says why): ends the process, with 77 if there is no right to. */
void kernel_loaded(const void *skeleton);

#endif
