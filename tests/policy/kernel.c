// SPDX-License-Identifier: BSD-2-Clause
#include "tests/policy/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static libbpf_print_fn_t loud;

void kernel_set(void *obj, const char *name, const void *key, const void *value)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(obj, name);
	int err;

	assert_non_null(map);
	if (value)
		err = bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY);
	else
		err = bpf_map_delete_elem(bpf_map__fd(map), key);
	assert_int_equal(err, 0);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level, (void)fmt, (void)args;
	return 0;
}

void kernel_begin(void)
{
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	loud = libbpf_set_print(quiet);
}

void kernel_loaded(const void *skeleton)
{
	int err = errno;

	libbpf_set_print(loud);
	if (skeleton)
		return;
	if (err == EPERM) {
		printf("skipped: no right to load BPF programs here\n");
		exit(77);
	}
	fprintf(stderr, "a program does not load: %s\n", strerror(err));
	exit(1);
}
