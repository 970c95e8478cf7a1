// SPDX-License-Identifier: BSD-2-Clause
/*
 * A test of many seeds, on all processors
 *
 * Each seed is a run of its own. They are dealt out to one process per processor; a process that
 * dies names, through shared memory, the seed that it was at, and the command that replays that one
 * is printed.
 *
 *	TEST			the seeds that `make check` runs
 *	TEST SEED [CNT]		these, default 1, in this process
 *	TEST -v SEED		one, with every segment
 */
#ifndef VJ_TESTS_SIM_SEEDS_H
#define VJ_TESTS_SIM_SEEDS_H

#include "base/types.h"

/*
 * @cnt: seeds in `make check`, from 1 on; a twentieth of it under sanitizers
 * @one: runs a seed; aborts if something is wrong. Return: frames that crossed the wire.
 * Return: exit status.
 */
int seeds_main(int argc, char **argv, uint64_t cnt, uint64_t (*one)(uint64_t seed, bool trace));

#endif
