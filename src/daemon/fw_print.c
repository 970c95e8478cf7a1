// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/fw_reader.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* As in <nftables/libnftables.h>; loaded by name, so that a vjd without a firewall to read needs no such library. */
enum { OUTPUT_HANDLE = 1 << 3, OUTPUT_JSON = 1 << 4, OUTPUT_NUMERIC_ALL = 0xf << 7, LIMIT_S = 10 };

struct nft_ctx;

static void *lib;

static void *symbol(const char *name)
{
	void *s = dlsym(lib, name);

	if (s == NULL)
		exit(EXIT_FAILURE);
	return s;
}

int fw_print(void)
{
	struct nft_ctx *(*new)(uint32_t flags);
	void (*set_flags)(struct nft_ctx *ctx, unsigned flags);
	int (*run)(struct nft_ctx *ctx, const char *buf);
	struct nft_ctx *ctx;

	alarm(LIMIT_S);
	lib = dlopen("libnftables.so.1", RTLD_NOW);
	if (lib == NULL)
		return EXIT_FAILURE;
	*(void **)&new = symbol("nft_ctx_new");
	*(void **)&set_flags = symbol("nft_ctx_output_set_flags");
	*(void **)&run = symbol("nft_run_cmd_from_buffer");
	ctx = new (0);
	if (ctx == NULL)
		return EXIT_FAILURE;
	set_flags(ctx, OUTPUT_JSON | OUTPUT_HANDLE | OUTPUT_NUMERIC_ALL);
	if (run(ctx, "list ruleset") != 0 || fflush(stdout) != 0 || ferror(stdout))
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
