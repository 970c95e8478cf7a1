/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own_prog.h - which BPF programs of this host are vjd's: this one's, or an earlier one's
 *
 * What is attached outlives vjd, and what is pinned as well: somebody may unmount or empty /sys/fs/bpf, and an interface keeps its
 * program. So a program is known by itself: by its type, its name, and names of maps that it uses; never by its name alone, which a
 * stranger's may have, too. These names stay the same in all versions of vjd; what is in the maps may change.
 *
 * Whoever has found one may replace it or take it away, since there is one vjd for the interfaces of a network namespace (if_claim.h).
 */
#ifndef DAEMON_OWN_PROG_H
#define DAEMON_OWN_PROG_H

#include "base/types.h"

enum own_prog { OWN_PROG_DISPATCH, OWN_PROG_DISPATCH_TC, OWN_PROG_GATE, OWN_PROG_DELIVER, OWN_PROG_GATEWAY };

/** own_prog_open() - Return: the program with this id, if it is one of those; -ENOENT: id 0, none, or somebody else's; other negative errno of bpf(2) */
int own_prog_open(enum own_prog which, uint32_t id);

/** own_prog_is() - Is it one of those? Never for id 0. @unsure: what to say if that can't be told, as descriptors or memory are short */
bool own_prog_is(enum own_prog which, uint32_t id, bool unsure);

/**
 * own_prog_map() - A map that a program uses
 * @value_bytes: of a value, as this vjd knows it
 * Return: a descriptor; -ENOENT: it has none of this name, or of another make; other negative errno of bpf(2)
 */
int own_prog_map(int prog_fd, const char *name, uint32_t value_bytes);

/**
 * own_prog_pin_maps() - Pin all maps of a program below @dir by their names; what is pinned there already stays
 * But sections of variables, which are each program's own. Return: 0; negative errno of bpf(2)
 */
int own_prog_pin_maps(int prog_fd, const char *dir);

#endif
