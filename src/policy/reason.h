// SPDX-License-Identifier: BSD-2-Clause
/*
 * reason.h - what became of a frame, and why: the one table behind the counters of the BPF programs
 *
 * Each program counts every frame that it sees under exactly one reason, in its map `counters` (one
 * uint64_t a processor, by enum policy_reason). Compiles for BPF.
 */
#ifndef VJ_POLICY_REASON_H
#define VJ_POLICY_REASON_H

#include "base/types.h"

/* What the program did: */
enum policy_fate {
	POLICY_FATE_TAKE, /* the frame goes where it should: to an application, or out */
	POLICY_FATE_PASS, /* left to the kernel, as if there were no vjchan */
	POLICY_FATE_HOLD, /* spilled: vjd has it, and gives it back later */
	POLICY_FATE_DROP, /* lost here */
};

/* clang-format off */
/* name, the word that counters and `vj` print, fate, explanation: vj(1) */
#define POLICY_REASONS(X)                                                                                     \
	/* dispatch: frames from the wire */                                                                  \
	X(TO_MAC,         "to_mac",         TAKE, "for the MAC address of an application")                    \
	X(TO_ADDR,        "to_addr",        TAKE, "for the IP address of an application")                     \
	X(TO_PORT,        "to_port",        TAKE, "for a port that an application listens on or is bound to") \
	X(TO_BLOCK,       "to_block",       TAKE, "for a port of an application's block of ephemeral ports")  \
	X(TO_FLOW,        "to_flow",        TAKE, "of a flow that began with an application")                 \
	X(TO_FRAG,        "to_frag",        TAKE, "later fragment of a datagram of an application")           \
	X(TO_ICMP,        "to_icmp",        TAKE, "ICMP error about a flow of an application")                \
	X(PASS_TYPE,      "pass_type",      PASS, "neither IPv4 nor IPv6")                                    \
	X(PASS_GROUP,     "pass_group",     PASS, "broadcast or multicast")                                   \
	X(PASS_MAC,       "pass_mac",       PASS, "for a MAC address that is not ours")                       \
	X(DROP_MAC,       "drop_mac",       DROP, "for a MAC address that is not ours, of a flow of an application") \
	X(PASS_ADDR,      "pass_addr",      PASS, "for an IP address that is not this host's")                \
	X(PASS_PORT,      "pass_port",      PASS, "for a port that no application has")                       \
	X(PASS_FLOW,      "pass_flow",      PASS, "of a connection that the kernel has had before, or has now")\
	X(PASS_WAY,       "pass_way",       PASS, "of a peer or to an address that another interface leads to: the kernel answers") \
	X(PASS_LONG,      "pass_long",      PASS, "datagram longer than applications have room for: its kernel's socket gets it") \
	X(PASS_PROTO,     "pass_proto",     PASS, "neither TCP nor UDP nor an ICMP error")                    \
	X(PASS_ASKING,    "pass_asking",    PASS, "neighbour discovery or ping, to the MAC address of an application") \
	X(PASS_FRAG,      "pass_frag",      PASS, "later fragment of a datagram that no application has")     \
	X(PASS_BAD,       "pass_bad",       PASS, "headers that do not parse: the kernel judges")             \
	X(PASS_FILTER,    "pass_filter",    PASS, "where a firewall rule is that only the kernel has")        \
	X(FILTER_DROP,    "filter_drop",    DROP, "dropped by the host's firewall")                           \
	X(FILTER_REJECT,  "filter_reject",  DROP, "rejected by the host's firewall")                          \
	/* deliver: frames at an application's end */                                                         \
	X(DELIVERED,      "delivered",      TAKE, "put in the application's ring")                            \
	X(GIVEN_BACK,     "given_back",     TAKE, "spilled before, now put in the ring")                      \
	X(DRAINED,        "drained",        TAKE, "vjd's mark that nothing is spilled any more")              \
	X(SPILLED,        "spilled",        HOLD, "no free frame in the application: held by vjd")            \
	X(SPILL_FULL,     "spill_full",     DROP, "no free frame, and as much spilled as is allowed")         \
	X(TOO_LONG,       "too_long",       DROP, "longer than a frame of the application")                   \
	X(NOT_DISPATCHED, "not_dispatched", DROP, "no IP: sent by the host itself to an application's device") \
	/* gate: frames that an application sends */                                                          \
	X(SENT,           "sent",           TAKE, "out of the interface")                                     \
	X(SENT_APP,       "sent_app",       TAKE, "out of the interface, to the MAC address of another host's application") \
	X(SENT_LOCAL,     "sent_local",     TAKE, "to another application of this host")                      \
	X(GATE_LEN,       "gate_len",       DROP, "longer than the interface carries")                        \
	X(GATE_SRC_MAC,   "gate_src_mac",   DROP, "from a MAC address that is not the sender's")              \
	X(GATE_DST_MAC,   "gate_dst_mac",   DROP, "to a MAC address that no neighbour has, or a group's")    \
	X(GATE_TYPE,      "gate_type",      DROP, "neither IPv4 nor IPv6")                                    \
	X(GATE_BAD,       "gate_bad",       DROP, "headers that do not parse, options or extension headers")  \
	X(GATE_FRAG,      "gate_frag",      DROP, "fragment, other than of UDP and to another host")          \
	X(GATE_PROTO,     "gate_proto",     DROP, "neither TCP nor UDP")                                      \
	X(GATE_SRC_ADDR,  "gate_src_addr",  DROP, "from an IP address that is not this host's, or another application's")               \
	X(GATE_SRC_PORT,  "gate_src_port",  DROP, "from a port that is not leased to the sender")             \
	X(GATE_LOCAL,     "gate_local",     DROP, "to a port of this host that no application has")           \
	X(GATE_DROP,      "gate_drop",      DROP, "dropped by the host's firewall")                           \
	X(GATE_REJECT,    "gate_reject",    DROP, "rejected by the host's firewall")                          \
	/* gateway: frames into a LAN whose applications have addresses; also PASS_TYPE, _GROUP, _PROTO, _BAD */ \
	X(HOP_APP,        "hop_app",        TAKE, "to the MAC address of an application")                     \
	X(HOP_MISS,       "hop_miss",       PASS, "for a port of which nothing is known: the LAN is asked")   \
	X(HOP_ASKED,      "hop_asked",      PASS, "for a port that is being asked for, or has no address of its own") \
	X(HOP_QUIET,      "hop_quiet",      PASS, "to a host that does not answer for its ports")             \
	X(HOP_BUSY,       "hop_busy",       PASS, "for a port of which nothing is known, and too many are asked for") \
	X(HOP_FRAG,       "hop_frag",       PASS, "fragment of a datagram, to the host's address")            \
	X(HOP_VLAN,       "hop_vlan",       PASS, "with a VLAN tag: of another network")

enum policy_reason {
#define POLICY_REASON_ENUM(name, word, fate, text) POLICY_##name,
	POLICY_REASONS(POLICY_REASON_ENUM)
#undef POLICY_REASON_ENUM
	POLICY_REASON_CNT
};
/* clang-format on */

/* The word ("unknown" for a number that is no reason; never NULL), and the fate (DROP then). */
const char *policy_reason_word(enum policy_reason reason);
enum policy_fate policy_reason_fate(enum policy_reason reason);

#endif
