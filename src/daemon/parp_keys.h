/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parp_keys.h - keys of a LAN, which authenticate what is said there (docs/parp.md 3.4): the file of vjd --parp-keys
 *
 *	# the first is what we say things under; the others are taken as well, so that keys can be changed one host at a time
 *	7  000102030405060708090a0b0c0d0e0f
 *	6  ffeeddccbbaa99887766554433221100
 *
 * A number from 0 to 4294967295, and 16 bytes in hexadecimal digits. Nobody but its owner, who is root or whom vjd runs as, may read it.
 */
#ifndef DAEMON_PARP_KEYS_H
#define DAEMON_PARP_KEYS_H

#include "wire/parp.h"

enum { PARP_KEYS_MAX = 8, PARP_KEYS_WHY_BYTES = 160 };

struct parp_keys {
	uint32_t cnt;
	struct parp_key keys[PARP_KEYS_MAX];
};

/**
 * parp_keys_parse() - Read the text of a file
 * @text:    zero-terminated; changed
 * @ret_why: "line 3: ..." if it fails. Nothing of a key stands there
 * Return: 0; -EINVAL, @ret_keys is undefined
 */
int parp_keys_parse(char *text, struct parp_keys *ret_keys, char ret_why[static PARP_KEYS_WHY_BYTES]);

/**
 * parp_keys_load() - Read a file
 * Return: 0; -EACCES: others may read or write it, or it isn't ours; -EINVAL; errno of open(2), with @ret_why
 */
int parp_keys_load(const char *path, struct parp_keys *ret_keys, char ret_why[static PARP_KEYS_WHY_BYTES]);

#endif
