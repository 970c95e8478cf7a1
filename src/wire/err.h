// SPDX-License-Identifier: BSD-2-Clause
/*
 * Why a parser refused a packet. Foreign input is never a bug of ours: the caller drops, counts
 * under this reason, and goes on.
 */
#ifndef VJ_WIRE_ERR_H
#define VJ_WIRE_ERR_H

#include "base/types.h"

/* name, the word that counters and `vj` print, explanation */
#define WIRE_ERRS(X)                                                                               \
	X(OK, "ok", "parsed")                                                                      \
	X(SHORT, "short", "fewer bytes than the header needs")                                     \
	X(BAD_VERSION, "bad_version", "IP version is not the one expected")                        \
	X(BAD_HLEN, "bad_hlen", "header length field is too small or too large")                   \
	X(BAD_LEN, "bad_len", "length field does not fit the bytes that arrived")                  \
	X(BAD_CSUM, "bad_csum", "checksum is wrong")                                               \
	X(BAD_OPTION, "bad_option", "option with an impossible length, or one that orders a drop") \
	X(BAD_EXT, "bad_ext", "IPv6 extension header out of place, too many, or source routing")   \
	X(BAD_FRAG, "bad_frag", "fragment past 65535 bytes, or not a multiple of 8")               \
	X(BAD_TYPE, "bad_type", "frame or message of a type not spoken here")                      \
	X(BAD_QUOTE, "bad_quote", "ICMP error quotes too little, or nothing we could have sent")   \
	X(TOO_DEEP, "too_deep", "headers reach past the part of the packet that is looked at")

/* clang-format off */
enum wire_err {
#define WIRE_ERR_ENUM(name, word, text) WIRE_##name,
	WIRE_ERRS(WIRE_ERR_ENUM)
#undef WIRE_ERR_ENUM
	WIRE_ERR_CNT
};
/* clang-format on */

/* The word and the explanation; "unknown" for a number that is no wire_err. Never NULL. */
const char *wire_err_name(enum wire_err err);
const char *wire_err_text(enum wire_err err);

#endif
