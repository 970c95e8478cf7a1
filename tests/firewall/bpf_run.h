// SPDX-License-Identifier: BSD-2-Clause
/* bpf_run.h - a compiled program in the kernel: dispatch for packets inbound, gate for those outbound (BPF_PROG_TEST_RUN) */
#ifndef VJ_TESTS_FIREWALL_BPF_RUN_H
#define VJ_TESTS_FIREWALL_BPF_RUN_H

#include "firewall/firewall.h"
#include "tests/firewall/gen.h"

struct bpf_run;

/** bpf_run_new() - Return: NULL, or what this machine does not allow */
const char *bpf_run_new(struct bpf_run **ret_run);
void bpf_run_free(struct bpf_run *r);

/** bpf_run_load() - In place of the one before; connections are forgotten */
void bpf_run_load(struct bpf_run *r, const struct fw_program *prog);

/** bpf_run_cells() - Of the program that is loaded, as it stands */
union filter_cell *bpf_run_cells(struct bpf_run *r);

/** bpf_run_packet() - All packets are of an application; the interface is GEN_IFNAME, number 2. @repeat: so often */
enum filter_verdict bpf_run_packet(struct bpf_run *r, const struct gen_packet *p, uint32_t repeat, uint32_t *ret_ns);

#endif
