/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_pin.h - what vjd leaves in the kernel, so that the next one knows it: a directory for each interface and purpose
 *
 * What is attached is pinned under NAME; what is about to be, under NAME_new: so there is no moment at which a vjd that is
 * killed leaves a program that nobody knows.
 */
#ifndef DAEMON_IF_PIN_H
#define DAEMON_IF_PIN_H

#include "base/types.h"

#define IF_PIN_DIR "/sys/fs/bpf/vjchan"

enum { IF_PIN_DIR_BYTES = 96, IF_PIN_PATH_BYTES = 160 };

/**
 * if_pin_dir_make() - The directory for @ifindex of this network namespace, made if it isn't there
 * @what: the purpose: a word
 * Return: 0; -EUCLEAN: others could replace what is pinned there; negative errno of mkdir(2) or, where the file system isn't mounted, mount(2)
 */
int if_pin_dir_make(const char *what, uint32_t ifindex, char ret_dir[static IF_PIN_DIR_BYTES]);

/** if_pin_dir_is_there() - Has somebody made it? @ret_dir: in any case */
bool if_pin_dir_is_there(const char *what, uint32_t ifindex, char ret_dir[static IF_PIN_DIR_BYTES]);

/** if_pin_dir_remove() - With all pins in it */
void if_pin_dir_remove(const char *dir);

/** if_pin_path() - "DIR/NAMESUFFIX" */
void if_pin_path(const char *dir, const char *name, const char *suffix, char path[static IF_PIN_PATH_BYTES]);

/** if_pin_with_id() - Return: the program pinned as @name, or about to be, if it has this id; -ENOENT */
int if_pin_with_id(const char *dir, const char *name, uint32_t id);

/** if_pin_is_ours() - Is the program of this id that which is pinned? Never for 0 */
bool if_pin_is_ours(const char *dir, const char *name, uint32_t id);

/** if_pin_is_there() - Has a vjd left something there that may still be attached? */
bool if_pin_is_there(const char *dir, const char *name);

/** if_pin_before() - @fd is about to be attached. Return: 0; negative errno of bpf(2) */
int if_pin_before(const char *dir, const char *name, int fd);

/** if_pin_undo() - It could not be */
void if_pin_undo(const char *dir, const char *name);

/** if_pin_after() - And it was. Return: 0; negative errno of rename(2) */
int if_pin_after(const char *dir, const char *name);

#endif
