// SPDX-License-Identifier: BSD-2-Clause
/*
 * kernel.h - the kernel's own firewall, in a network namespace of this process with a TUN device
 *
 * A packet inbound was accepted if a raw socket gets it, which is behind the input hook; one outbound, if it comes out of the device. The
 * host's own answers (resets, ICMP) are thrown away before connections are tracked, so that only the test's packets count.
 */
#ifndef VJ_TESTS_FIREWALL_KERNEL_H
#define VJ_TESTS_FIREWALL_KERNEL_H

#include "firewall/firewall.h"
#include "tests/firewall/gen.h"

struct kernel;

/** kernel_new() - Return: NULL, or what this machine does not allow */
const char *kernel_new(struct kernel **ret_kernel);
void kernel_free(struct kernel *k);

/** kernel_load() - In place of all rules before; connections are forgotten. Fails the test if nft refuses it */
void kernel_load(struct kernel *k, const char *text);

/** kernel_json() - The rules as they are, with counts; without the harness's own. The caller's, for free() */
char *kernel_json(struct kernel *k);

/** kernel_send() - Let it come, or go */
void kernel_send(struct kernel *k, const struct gen_packet *p);

/** kernel_accepted() - By number: what has come through since the last call. @accepted: room for @cnt, all is written */
void kernel_accepted(struct kernel *k, bool *accepted, uint32_t cnt);

/** kernel_lists() - Does nft show this text among the rules? */
bool kernel_lists(struct kernel *k, const char *text);

/* kernel_json()'s text and the kernel's own expressions, compiled as vjd does. Return: as fw_compile() */
int kernel_compile(const char *json, struct fw_program *ret_prog, char ret_why[static FW_WHY_BYTES]);

#endif
