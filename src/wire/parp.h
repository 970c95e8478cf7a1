// SPDX-License-Identifier: BSD-2-Clause
/*
 * Port-aware ARP: whose MAC address is the endpoint (address, protocol, port), and whose is a MAC address.
 * docs/parp.md is the specification. See eth.h for the rules of this directory.
 *
 * One message, three encodings. E1 has the shape of ARP (RFC 826) with a protocol type of its own, E2 the same bytes
 * under an EtherType of their own, and ND puts a message about an IPv6 endpoint in an option of neighbour discovery
 * (RFC 4861). Receivers take all of them.
 */
#ifndef VJ_WIRE_PARP_H
#define VJ_WIRE_PARP_H

#include "base/addr.h"
#include "base/types.h"
#include "wire/eth.h"

#define PARP_PROTO_TYPE 0x88b5 /* E1: stands in the place of 0x0800; E2: EtherType, unless another is configured */
#define PARP_SUBTYPE 0x50      /* E2: first byte, unless another is configured */
#define PARP_ND_OPTION 253     /* RFC 4727 */

enum {
	PARP_FIXED_BYTES = 60, /* behind the Ethernet header; TLVs follow */
	PARP_TLVS_MAX = 1500 - PARP_FIXED_BYTES,
	PARP_FRAME_MAX = 1514,
	PARP_LIST_MACS = 42, /* in one MAC_LIST */
	PARP_MACS_MAX = 200, /* in one message */
	PARP_SECRET_BYTES = 16,
	PARP_HOST_ID_BYTES = 16,
};

enum parp_encoding {
	PARP_E1,
	PARP_E2,
	PARP_ND,
};

/* number, name, word */
#define PARP_TYPES(X)                  \
	X(1, QUERY, "query")           \
	X(2, REPLY, "reply")           \
	X(3, NEG, "neg")               \
	X(4, ANNOUNCE, "announce")     \
	X(5, RELEASE, "release")       \
	X(6, MAC_PROBE, "mac_probe")   \
	X(7, MAC_DEFEND, "mac_defend") \
	X(8, MAC_CLAIM, "mac_claim")

/* clang-format off */
enum parp_type {
#define PARP_TYPE_ENUM(nr, name, word) PARP_##name = nr,
	PARP_TYPES(PARP_TYPE_ENUM)
#undef PARP_TYPE_ENUM
	PARP_TYPE_END
};
/* clang-format on */

/* Why a frame was not taken: name, word for counters and `vj`, explanation. */
#define PARP_ERRS(X)                                                                              \
	X(OK, "ok", "taken")                                                                      \
	X(NOT_PARP, "not_parp", "another protocol: ordinary ARP, neighbour discovery and so on")  \
	X(SHORT, "short", "fewer bytes than the message needs")                                   \
	X(BAD_LEN, "bad_len", "a length field that this encoding does not have")                  \
	X(BAD_VERSION, "bad_version", "not version 1")                                            \
	X(BAD_TYPE, "bad_type", "a message type that is not known, or not in this encoding")      \
	X(BAD_OP, "bad_op", "an operation that does not belong to the message type")              \
	X(BAD_SOURCE, "bad_source", "the Ethernet source is a group, or not the canonical MAC")   \
	X(BAD_TLV, "bad_tlv", "a TLV of a wrong length, twice, or behind AUTH")                   \
	X(UNKNOWN_TLV, "unknown_tlv", "a TLV that may not be ignored, and is not known")          \
	X(MISSING, "missing", "a TLV that the message type needs is not there")                   \
	X(BAD_MAC, "bad_mac", "an address that can't be an application's")                        \
	X(BAD_ENDPOINT, "bad_endpoint", "an address, protocol or port range that makes no sense") \
	X(BAD_CSUM, "bad_csum", "ND: checksum, hop limit or code")                                \
	X(BAD_AUTH, "bad_auth", "AUTH is wrong under a key that we have")                         \
	X(NO_AUTH, "no_auth", "not authenticated by a key that we have, which is asked for")

/* clang-format off */
enum parp_err {
#define PARP_ERR_ENUM(name, word, text) PARP_ERR_##name,
	PARP_ERRS(PARP_ERR_ENUM)
#undef PARP_ERR_ENUM
	PARP_ERR_CNT
};
/* clang-format on */

/* TLVs that are there, in struct parp_msg's @has. MAC_LIST and AUTH are seen to by parser and builder. */
enum {
	PARP_HAS_LIFETIME = 1 << 0,
	PARP_HAS_NONCE = 1 << 1,
	PARP_HAS_HOST = 1 << 2,
	PARP_HAS_TIMESTAMP = 1 << 3,
	PARP_HAS_CANON_MAC = 1 << 4,
	PARP_HAS_PORTSET = 1 << 5,
	PARP_HAS_CAPS = 1 << 6,
};

struct parp_host_id {
	uint8_t bytes[PARP_HOST_ID_BYTES];
};

/* Ports @port_lo to @port_hi, both included, of @proto at @addr. All zero: none is named. */
struct parp_endpoint {
	struct ip_addr addr;
	uint16_t port_lo, port_hi;
	uint8_t proto; /* 0: any, in RELEASE only */
	uint32_t gen;  /* in messages about MACs: the generation of the host */
};

/* Of MAP (RFC 7597 5.1): ports that have, behind their first @offset_bits, the @psid_bits of @psid. */
struct parp_portset {
	uint8_t offset_bits, psid_bits;
	uint16_t psid;
};

/*
 * What a message said, or is to say; which type has which fields is a table in docs/parp.md. @macs: what a MAC_*
 * message is about, at least one. It begins with the one in the fixed part, which the builder takes from here.
 */
struct parp_msg {
	struct mac_addr eth_dst, eth_src;
	uint8_t encoding; /* enum parp_encoding */
	uint8_t type;	  /* enum parp_type */
	bool authentic;	  /* parsed: by one of our keys. Not looked at by the builder */
	struct mac_addr sender_mac, target_mac;
	struct parp_endpoint sender, target;
	uint32_t has; /* PARP_HAS_* */
	uint32_t lifetime_ms, caps;
	uint64_t nonce, timestamp_us;
	struct parp_host_id host;
	struct mac_addr canon_mac;
	struct parp_portset portset;
	struct ip_addr ip6_src, ip6_dst; /* PARP_ND: of the packet */
	uint16_t mac_cnt;
	struct mac_addr macs[PARP_MACS_MAX];
};

struct parp_key {
	uint32_t id;
	uint8_t secret[PARP_SECRET_BYTES];
};

struct parp_config {
	uint16_t e2_type;
	uint8_t e2_subtype;
	bool auth_required; /* refuse what no key of ours authenticates */
	uint32_t key_cnt;
	const struct parp_key *keys; /* ours is the first; what the others authenticate is taken, too */
};

#define PARP_CONFIG_DEFAULT ((struct parp_config){ .e2_type = PARP_PROTO_TYPE, .e2_subtype = PARP_SUBTYPE })

/**
 * parp_parse() - Read a frame, Ethernet header and all
 * @ret_msg: untouched unless PARP_ERR_OK; fields of TLVs that aren't there are 0
 * Padding behind the message is ignored. Frames with VLAN tags are PARP_ERR_NOT_PARP.
 */
enum parp_err parp_parse(const void *frame, size_t len, const struct parp_config *cfg, struct parp_msg *ret_msg);

/**
 * parp_build() - Write a frame, Ethernet header and all, authenticated if @cfg has a key
 * @buf: PARP_FRAME_MAX bytes
 * Return: length of the frame; 0: it can't be said: an IPv6 endpoint but by PARP_ND, a MAC_* message by PARP_ND or
 * without addresses, more addresses than fit
 */
size_t parp_build(void *buf, const struct parp_config *cfg, const struct parp_msg *msg);

/** parp_err_name() - The word; "unknown" for a number that is no parp_err. Never NULL */
const char *parp_err_name(enum parp_err err);

/** parp_err_text() - The explanation; "unknown" for a number that is no parp_err. Never NULL */
const char *parp_err_text(enum parp_err err);

/** parp_type_name() - The word; "unknown" for a number that is no parp_type. Never NULL */
const char *parp_type_name(uint8_t type);

/* An answer or an objection (operation 25); else a question or a claim (24). */
static inline bool parp_is_answer(uint8_t type)
{
	return type == PARP_REPLY || type == PARP_NEG || type == PARP_MAC_DEFEND;
}

/* About MAC addresses, not endpoints. */
static inline bool parp_is_about_macs(uint8_t type)
{
	return type == PARP_MAC_PROBE || type == PARP_MAC_DEFEND || type == PARP_MAC_CLAIM;
}

/* Unicast, local and administratively assigned: the low digit of the first byte is 2 (IEEE 802c SLAP, "AAI"). */
static inline bool parp_mac_is_application(const struct mac_addr *mac)
{
	return (mac->bytes[0] & 0x0f) == 0x02;
}

static inline bool parp_host_id_eq(const struct parp_host_id *a, const struct parp_host_id *b)
{
	return load_u64(a->bytes) == load_u64(b->bytes) && load_u64(a->bytes + 8) == load_u64(b->bytes + 8);
}

/* A total order, the same on every host. */
static inline bool parp_host_id_less(const struct parp_host_id *a, const struct parp_host_id *b)
{
	uint64_t x = load_be64(a->bytes), y = load_be64(b->bytes);

	return x != y ? x < y : load_be64(a->bytes + 8) < load_be64(b->bytes + 8);
}

#endif
