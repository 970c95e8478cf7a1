/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/board.h"

/* FNV-1a, and Murmur's last step, so that a few names do not share the low bits. */
VJ_EARLY uint64_t board_key(uint32_t uid, int32_t parent, const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ ((uint64_t)uid << 32 | (uint32_t)parent);

	hash *= UINT64_C(0x100000001b3);
	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	hash ^= hash >> 33;
	hash *= UINT64_C(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	return hash != 0 ? hash : 1;
}
