/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_pin.h - maps and links that outlive vjd, so that the next one has them: a directory for each interface and purpose
 *
 * Programs that are attached are not among them: they are known by themselves (own_prog.h).
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

/** if_pin_path() - "DIR/NAME" */
void if_pin_path(const char *dir, const char *name, char path[static IF_PIN_PATH_BYTES]);

#endif
