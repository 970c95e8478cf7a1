/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_raw.h - a rule's two readings: what libnftables tells, and what the kernel has
 *
 * nft shows rules as people write them, and not always as they are (1.0.6 shows `tcp sport < 673 tcp window > 1001` as one range). So the
 * kernel's own expressions are read beside it (netlink, NFT_MSG_GETRULE), and both readings are taken apart into facts, in one form: which bytes are
 * compared with what, and in which order there are statements. Where the two differ, or the kernel has an expression that is not known here, the rule is a gap.
 */
#ifndef FIREWALL_FW_RAW_H
#define FIREWALL_FW_RAW_H

#include "base/types.h"

enum { FW_FACTS_MAX = 64, FW_FACT_BYTES = 16, FW_STEPS_MAX = 24 };

/* Where bytes come from. */
enum fw_source {
	FW_SOURCE_NONE,
	FW_SOURCE_NET,	/* the network header */
	FW_SOURCE_L4,
	FW_SOURCE_META, /* @key: enum nft_meta_keys */
	FW_SOURCE_CT,	/* enum nft_ct_keys */
	FW_SOURCE_FIB_TYPE, /* of the destination's address */
};

struct fw_bytes {
	uint8_t source; /* enum fw_source */
	uint8_t key;
	uint8_t off, len;
};

enum fw_fact_op {
	FW_FACT_IS,	/* (byte & mask) == lo; one byte */
	FW_FACT_IS_NOT, /* (bytes & mask) != lo */
	FW_FACT_IN,	/* lo <= bytes <= hi */
	FW_FACT_OUT,
	FW_FACT_FOUND,	/* in a set. @hi: hash of its name, unless it has none; each part of its key is one, numbered in @lo */
	FW_FACT_NOT_FOUND,
	FW_FACT_MAP,
};

/* Numbers in network byte order. */
struct fw_fact {
	uint8_t op; /* enum fw_fact_op */
	struct fw_bytes of;
	uint8_t mask[FW_FACT_BYTES], lo[FW_FACT_BYTES], hi[FW_FACT_BYTES];
};

enum fw_step_kind {
	FW_STEP_COUNTER,
	FW_STEP_NAMED_COUNTER,
	FW_STEP_LIMIT,
	FW_STEP_NAMED_LIMIT,
	FW_STEP_MAP,
	FW_STEP_VERDICT, /* a: NF_DROP, NF_ACCEPT, NFT_JUMP ..., b: hash of the chain */
	FW_STEP_REJECT, /* a: type, b: code */
};

struct fw_step {
	uint32_t kind; /* enum fw_step_kind */
	uint32_t a;
	uint64_t b, c;
};

struct fw_reading {
	struct fw_fact facts[FW_FACTS_MAX];
	struct fw_step steps[FW_STEPS_MAX];
	uint32_t fact_cnt, step_cnt;
	bool unknown; /* more, or something else, than fits here */
};

/** fw_fact_add() - @mask: NULL: all bits; @lo and @hi: as many bytes as @of has; @hi may be NULL where the operation has one value */
void fw_fact_add(struct fw_reading *r, enum fw_fact_op op, struct fw_bytes of, const uint8_t *mask, const uint8_t *lo, const uint8_t *hi);

/** fw_fact_key() - Part @nr of the key of a look-up. @set: its name, NULL: it has none */
void fw_fact_key(struct fw_reading *r, enum fw_fact_op op, struct fw_bytes of, uint32_t nr, const char *set);

/** fw_step_add() - A statement, in their order */
void fw_step_add(struct fw_reading *r, enum fw_step_kind kind, uint32_t a, uint64_t b, uint64_t c);

/** fw_name_hash() - For @b of a verdict; 0: NULL */
uint64_t fw_name_hash(const char *name);

/** fw_readings_agree() - @family: of the table. Both are changed into one form */
bool fw_readings_agree(struct fw_reading *a, struct fw_reading *b, const char *family);

/* ---- what the kernel has */

struct fw_raw_rule {
	uint64_t handle;
	const uint8_t *attrs; /* of the message; in the caller's memory */
	uint32_t len;
	uint8_t family;
};

struct fw_raw {
	struct fw_raw_rule *rules; /* by handle */
	uint32_t cnt, max;
};

/**
 * fw_raw_read() - Netlink's answers to NFT_MSG_GETRULE, as they came, one behind the other
 * @bytes: have to outlive what comes out. Checked like foreign input: what isn't understood has no rule
 * Return: 0; -EINVAL; -ENOMEM; @ret_raw is the caller's for fw_raw_free()
 */
int fw_raw_read(const uint8_t *bytes, size_t len, struct fw_raw *ret_raw);

/** fw_raw_free() - Also of one that is all zero */
void fw_raw_free(struct fw_raw *raw);

/** fw_raw_rule() - The kernel's reading of a rule. Return: false: it has none of this handle there */
bool fw_raw_rule(const struct fw_raw *raw, const char *family, const char *table, const char *chain, uint64_t handle,
		 struct fw_reading *ret_reading);

#endif
