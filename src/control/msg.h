/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msg.h - control messages between an application and vjd
 *
 * Transport: SOCK_SEQPACKET over a Unix socket; one message a packet, always sizeof(struct ctl_msg)
 * bytes, host byte order (both sides are on this host), unused bytes zero. Descriptors travel as
 * SCM_RIGHTS, as many as the table says, neither more nor fewer. A request carries @seq, chosen by
 * the client, nonzero; its reply repeats it. Events have @seq 0. Replies come in the order of the
 * requests; events may stand between them.
 *
 * CTL_MESSAGES is the single truth: name, number, direction, descriptors (min, max), body member.
 * ctl_check() enforces it for both sides, before anything else looks at a message.
 * docs/control-protocol.md explains it.
 */
#ifndef CONTROL_MSG_H
#define CONTROL_MSG_H

#include "base/addr.h"
#include "base/types.h"

#include <vj/channel.h>

#include <stddef.h>
#include <stdint.h>

enum { CTL_VERSION = 13, CTL_FDS_MAX = 5, CTL_NAME_MAX = 32 };

/*
 * Column "from": CLIENT a request, DAEMON a reply (repeats the request's @seq), EVENT from the
 * daemon unasked (@seq 0). Size of a message, numbers and bodies of HELLO and REFUSED never change,
 * so that any two versions can tell each other.
 */
/*	  name           nr  from    fds     body         what */
#define CTL_MESSAGES(X)                                                                                      \
	X(HELLO,          1, CLIENT, 0, 0, hello)      /* first message of every client */                  \
	X(WELCOME,        2, DAEMON, 0, 0, welcome)    /* reply to HELLO */                                 \
	X(LEASE,          3, CLIENT, 1, 1, lease)      /* this port is mine; the fd is its bound socket */  \
	X(LEASED,         4, DAEMON, 0, 0, lease)      /* reply to LEASE */                                 \
	X(RELEASE,        5, CLIENT, 0, 0, lease)      /* give @id back */                                  \
	X(RELEASED,       6, DAEMON, 0, 0, lease)      /* reply to RELEASE */                               \
	X(PORTS,          7, CLIENT, 0, 0, ports)      /* a block of ephemeral ports, please */             \
	X(PORTS_LEASED,   8, DAEMON, 0, 0, ports)      /* reply to PORTS */                                 \
	X(CONNECT,        9, CLIENT, 0, 0, connect)    /* who owns this endpoint? connect me */             \
	X(CONNECTED,     10, DAEMON, 0, 3, channel)    /* reply to CONNECT: new channel (3 fds) or one held already (0) */ \
	X(CHANNEL,       11, EVENT,  3, 3, channel)    /* event: somebody connected to you */               \
	X(CHANNEL_CLOSE, 12, CLIENT, 0, 0, close)      /* I closed this channel; no reply */                \
	X(PEER_GONE,     13, EVENT,  0, 0, close)      /* event: the other end is gone */                   \
	X(LEASE_GONE,    14, EVENT,  0, 0, lease)      /* event to everyone with a channel to its owner, and to an owner who lost it: a port was released, or is shared with one more */ \
	X(STATUS,        15, CLIENT, 0, 0, none)       /* list everything I may see */                      \
	X(STATUS_APP,    16, DAEMON, 0, 0, app)        /* reply to STATUS: one for each application ... */  \
	X(STATUS_LEASE,  17, DAEMON, 0, 0, lease)      /* ... each lease ... */                             \
	X(STATUS_CHANNEL,18, DAEMON, 0, 0, channel)    /* ... each channel ... */                           \
	X(STATUS_END,    19, DAEMON, 0, 0, daemon)     /* ... and the daemon itself, last */                \
	X(REFUSED,       20, DAEMON, 0, 0, refused)    /* reply to any request that failed */ \
	X(HOLD,          21, CLIENT, 0, 0, channel)    /* I hold an end of this channel, made by an earlier vjd */ \
	X(HELD,          22, DAEMON, 0, 0, channel)    /* reply to HOLD: its number here */ \
	X(INTERFACE,     23, CLIENT, 0, 0, interface)  /* my channel at this interface, please; @key: one that I hold, made by an earlier vjd */ \
	X(INTERFACE_OPEN,24, DAEMON, 1, 5, interface)  /* reply to INTERFACE: all five, or the host table for one held */ \
	X(INTERFACE_NEWS,25, EVENT,  0, 0, interface)  /* event: attached, changed, or no more (CTL_INTERFACE_GONE) */ \
	X(RESOLVE,       26, CLIENT, 0, 0, neighbour)  /* have the kernel find this neighbour; no reply, see RESOLVED */ \
	X(RESOLVED,      27, EVENT,  0, 0, neighbour)  /* event, after RESOLVE: the host table has it now, or it failed */ \
	X(ATTACH,        28, CLIENT, 0, 0, interface)  /* root's: offer channels at the interface of this name */ \
	X(ATTACHED,      29, DAEMON, 0, 0, interface)  /* reply to ATTACH */ \
	X(DETACH,        30, CLIENT, 0, 0, interface)  /* root's: no longer; connections there become the kernel's, and its channels end */ \
	X(DETACHED,      31, DAEMON, 0, 0, interface)  /* reply to DETACH, when that is done: 20 s at most */ \
	X(STATUS_INTERFACE,32, DAEMON, 0, 0, interface) /* reply to STATUS: each interface (@app_id 0), each application's channel there ... */ \
	X(STATUS_COUNTER,33, DAEMON, 0, 0, counter)    /* ... and what was counted there, unless 0 */ \
	X(REPORT,        34, CLIENT, 0, 0, report)     /* have application @app_id tell me about itself */ \
	X(REPORTING,     35, DAEMON, 1, 1, report)     /* reply to REPORT: on this socket it will answer, or hang up */ \
	X(REPORT_WANTED, 36, EVENT,  1, 1, report)     /* event: somebody who may asks; answer on this socket */ \
	X(REPORTED,      37, DAEMON, 1, 1, reported)   /* the answer there, from the application: records in a memfd */ \
	X(JOIN,          38, CLIENT, 0, 0, join)       /* a channel to this application; reply: CONNECTED */ \
	X(PASS,          39, CLIENT, 1, 1, join)       /* give it this descriptor */ \
	X(PASSED,        40, DAEMON, 0, 0, join)       /* reply to PASS */ \
	X(HANDED,        41, EVENT,  1, 1, join)       /* event: an application of the same user gives you this descriptor */ \
	X(OFFER,         42, CLIENT, 1, 1, connect)    /* give it to another owner of this endpoint; reply: PASSED */ \
	X(POLLING,       43, CLIENT, 0, 0, interface)  /* I poll for my frames there (CTL_INTERFACE_POLLING), or no more; no reply */ \
	X(MACS,          44, CLIENT, 0, 0, none)       /* list MAC addresses claimed for applications, and learned of others' */ \
	X(MACS_ENTRY,    45, DAEMON, 0, 0, mac)        /* reply to MACS: one for each ... */ \
	X(MACS_END,      46, DAEMON, 0, 0, none)       /* ... and no more */ \
	X(ASK,           47, CLIENT, 0, 0, connect)    /* which MAC has this endpoint of another host? @flow 0 */ \
	X(ASKED,         48, DAEMON, 0, 0, mac)        /* reply to ASK */ \
	X(FIREWALL,      49, CLIENT, 0, 0, firewall)   /* root's: show the host's rules, with what channels have counted */ \
	X(FIREWALL_SHOWN,50, DAEMON, 1, 1, firewall)   /* reply to FIREWALL: text, to be read from this pipe to its end */ \
	X(BRIEF,         51, CLIENT, 0, 0, brief)      /* I end, after a few connections and frames; no reply */ \
	X(TO_KERNEL,     52, CLIENT, 1, 1, repair)     /* make this connection of mine, over an interface, one of the kernel's; the fd has its queues */ \
	X(IN_KERNEL,     53, DAEMON, 1, 1, repair)     /* reply to TO_KERNEL: its socket */ \
	X(INTERFACE_LEFT,54, CLIENT, 0, 0, interface)  /* after CTL_INTERFACE_LEAVING: my channel there may end; no reply */

enum ctl_type {
#define X(name, nr, from, fds_min, fds_max, body) CTL_##name = nr,
	CTL_MESSAGES(X)
#undef X
};

/* Numbers have no gaps. */
#define X(name, nr, from, fds_min, fds_max, body) +1
enum { CTL_TYPE_LAST = CTL_MESSAGES(X) };
#undef X

enum ctl_from { CTL_FROM_CLIENT, CTL_FROM_DAEMON };

/*
 * Protocol of a lease. TCP and UDP are IANA's numbers; RAW is a bare channel, found by its port
 * number alone.
 */
enum ctl_proto { CTL_PROTO_TCP = 6, CTL_PROTO_UDP = 17, CTL_PROTO_RAW = 255 };

/*
 * Why a request was refused. Sentence for people in the third column; the errno the caller's
 * program sees in the second.
 */
#define CTL_REFUSALS(X)                                                                              \
	X(VERSION,      EPROTO,        "library and vjd speak different control versions")           \
	X(MALFORMED,    EINVAL,        "malformed message")                                          \
	X(NOT_WELCOME,  EPROTO,        "first message must be HELLO")                                \
	X(PORT_TAKEN,   EADDRINUSE,    "another application holds this port")                        \
	X(PORT_PROOF,   EACCES,        "the socket passed is not bound to this port")                \
	X(NO_LEASE,     ENOENT,        "no such lease")                                              \
	X(NO_OWNER,     EHOSTUNREACH,  "no application on this host owns that endpoint")             \
	X(OTHER_USER,   EACCES,        "the owner of that endpoint is another user")                 \
	X(QUOTA_APPS,   EUSERS,        "too many applications of this user")                         \
	X(QUOTA_LEASES, ENOSPC,        "too many leases")                                            \
	X(QUOTA_CHANNELS, ENOSPC,      "too many channels")                                          \
	X(QUOTA_MEMORY, ENOMEM,        "channel memory quota of this user is used up")               \
	X(QUOTA_RATE,   EBUSY,         "too many control messages a second")                         \
	X(NO_PORTS,     EADDRNOTAVAIL, "no ephemeral ports left")                                    \
	X(RESOURCES,    ENOMEM,        "vjd is out of memory or descriptors")                        \
	X(PEER_BUSY,    EAGAIN,        "the owner of that endpoint does not read its control socket") \
	X(OBSERVER,     EPERM,         "an observer may only ask for status, reports, MAC addresses, and what is root's")                         \
	X(NO_CHANNEL,   ENOENT,        "that channel has no other end any more")                      \
	X(NOT_ROOT,     EPERM,         "only root may attach and detach interfaces, and see all rules of the firewall")                  \
	X(NO_INTERFACE, ENODEV,        "no such interface, or vjd offers no channels there")          \
	X(XDP_BUSY,     EBUSY,         "other programs hold the interface's XDP and tc hooks")              \
	X(NO_PRIVILEGE, EPERM,         "vjd itself lacks the privilege: it has to run as root")       \
	X(NO_SUPPORT,   EOPNOTSUPP,    "the kernel or the interface's driver can't do that; see: vj doctor") \
	X(NETNS,        ENODEV,        "the application is in another network namespace than the interface") \
	X(POLICY,       EACCES,        "/etc/vjchan/policy.conf does not allow this user that") \
	X(NO_APP,       ESRCH,         "this user has no such application") \
	X(FIREWALL,     EHOSTUNREACH,  "a rule of the host's firewall is to see that packet; which: vj why") \
	X(NO_ETHERNET,  EMEDIUMTYPE,   "that interface carries no Ethernet frames; lo needs no attaching") \
	X(PREFIX,       EEXIST,        "the interface has another prefix for applications, another interface has this one, or it is none: IPv6, /64 to /120") \
	X(OTHER_VJD,    EALREADY,      "another vjd serves the interfaces of this network namespace; which: vjd's log") \
	X(PINS,         EUCLEAN,       "/sys/fs/bpf or vjchan in it is another user's, or others may write there; see: vj doctor") \
	X(NO_FLOW,      ENOENT,        "that connection is none of this application's at that interface") \
	X(REPAIR,       EOPNOTSUPP,    "the kernel does not take that connection over")

enum ctl_refusal {
	CTL_REFUSAL_NONE,
#define X(name, err, text) CTL_REFUSAL_##name,
	CTL_REFUSALS(X)
#undef X
};

enum { CTL_HELLO_OBSERVER = 1 };	/* hello.flags: status only; holds nothing, keeps no private vjd alive */
enum { /* lease.flags */
	CTL_LEASE_REUSEPORT = 1,
	CTL_LEASE_V6ONLY = 2,
	CTL_LEASE_LOCAL = 4, /* for programs of this host only: not dispatched at interfaces. Leased again without it, it is */
};
enum { CTL_PREFIX_LEN_MIN = 64, CTL_PREFIX_LEN_MAX = 120 }; /* of applications' addresses, as lan/own6.h has them */
enum { CTL_PORTS_MAX = 1024 };		/* ports.cnt of a request */

struct ctl_endpoint {
	uint8_t addr[16]; /* IPv4 as v4-mapped; :: or ::ffff:0.0.0.0 means any */
	uint16_t port;	  /* host order; 1..65535 (RAW: 1..65535) */
	uint8_t proto;	  /* enum ctl_proto */
	uint8_t pad[5];
};

struct ctl_hello {
	uint32_t version; /* CTL_VERSION */
	uint32_t flags;
	int32_t pid;	  /* informative; the daemon believes SO_PEERCRED */
	uint32_t pad;
	char name[CTL_NAME_MAX];    /* program name, NUL-terminated, printable ASCII */
	char release[CTL_NAME_MAX]; /* library version for messages, NUL-terminated */
};

struct ctl_welcome {
	uint32_t version;
	uint32_t app_id;     /* nonzero */
	uint8_t mac[6];	     /* application MAC, locally administered */
	uint8_t private_mode; /* 1: this vjd belongs to one user */
	uint8_t pad;
	uint32_t leases_max, channels_max; /* quotas of this application */
	uint64_t run; /* random: tells this vjd from an earlier one at the same place */
	uint32_t interfaces; /* attached; INTERFACE_NEWS of each came before, if the application may have channels there */
	uint32_t pad2;
	char release[CTL_NAME_MAX];
};

struct ctl_lease {
	struct ctl_endpoint local;
	uint32_t id;	 /* of the lease; chosen by the daemon, nonzero; RELEASE needs nothing else */
	uint32_t flags;
	uint32_t app_id; /* owner (STATUS_LEASE, LEASE_GONE) */
	uint32_t pad;
};

struct ctl_ports {
	uint8_t proto;
	uint8_t pad[3];
	uint16_t first; /* host order; asked for: 0, or a block held from an earlier vjd, to have it again if it is free */
	uint16_t cnt;	/* asked for: 1..1024; given: may be fewer */
};

struct ctl_connect {
	struct ctl_endpoint remote;
	uint32_t flow; /* chooses among several owners, see CONNECTED's @owners: the same number, the same owner */
	uint16_t ports; /* CONNECT: ephemeral ports to be leased with it, as by PORTS: 0..1024; else 0 */
	uint16_t pad;
};

/* fds of CONNECTED (0 or 3, never 1 or 2) and CHANNEL (3), in this order */
enum { CTL_FD_AREA, CTL_FD_WAKE_PEER, CTL_FD_WAKE_ME, CTL_CHANNEL_FDS };

/*
 * fds of INTERFACE_OPEN (1 or 5), in this order: the host table (control/host_table.h), the bound AF_XDP socket, the
 * memory of its frames, the map of its credits, a socket a read of which polls the device (without CTL_INTERFACE_POLLING: the
 * host table once more, and it can't be polled).
 */
enum { CTL_FD_HOST, CTL_FD_XSK, CTL_FD_UMEM, CTL_FD_CREDIT, CTL_FD_POLL };

struct ctl_channel {
	uint32_t id; /* same at both ends; 0 in HOLD */
	uint8_t end; /* 0 or 1: which one is the receiver's of this message */
	uint8_t proto; /* CTL_PROTO_RAW: a bare channel for @port; else it carries the stack's frames */
	uint16_t port; /* RAW only */
	struct vj_area_params params;
	uint32_t peer_app_id;
	int32_t peer_pid;
	uint32_t peer_uid;
	uint8_t peer_mac[6];
	uint8_t copied; /* CONNECTED: 1: others of @owners listen on the very same socket, and would take what waits for this one; else 0 */
	uint8_t instead; /* ... 1: the one that @flow chooses is stopped, and this is another; as long as it is */
	uint32_t app_id; /* STATUS_CHANNEL: the application at end 0; peer_app_id is the one at end 1 */
	char peer_name[CTL_NAME_MAX];
	uint8_t key[16]; /* random, known to the two ends only: how a later vjd knows that they belong together. 0 in STATUS */
	uint32_t owners; /* CONNECTED: applications that share the endpoint (SO_REUSEPORT), of which this is one; else 0 */
	uint64_t area_bytes; /* of the memory; may be more than @params make: whole huge pages */
	uint16_t ports_first; /* CONNECTED: a block, if one was asked for and there is one; else 0 */
	uint16_t ports_cnt;
	uint32_t pad;
};

struct ctl_close {
	uint32_t channel_id;
	uint32_t reason; /* enum vj_channel_error */
};

enum {
	CTL_INTERFACE_GONE = 1,	     /* INTERFACE_NEWS: detached */
	CTL_INTERFACE_ZERO_COPY = 2, /* the device reads and writes the frames itself */
	CTL_INTERFACE_TC = 4,	     /* frames come by a filter of tc, not by XDP; ATTACH: that is wanted */
	CTL_INTERFACE_RULES = 8,     /* the host has rules of routing, or too many routes: ports are left to the kernel */
	CTL_INTERFACE_GATEWAY = 32,  /* no channels: sends to applications of other hosts; ATTACH, DETACH: that is meant */
	CTL_INTERFACE_LEAVING = 64,  /* INTERFACE_NEWS: about to be detached. What stands there is to become the kernel's (TO_KERNEL) */
	CTL_INTERFACE_POLLING = 16,  /* INTERFACE_OPEN: can be polled; POLLING: is; STATUS_INTERFACE: likewise */
};

/* Of an interface: do applications have MAC addresses of their own, and does anything get there? */
enum ctl_macs {
	CTL_MACS_OFF,	  /* none */
	CTL_MACS_UNTRIED, /* nobody has tried lately */
	CTL_MACS_REACHED,
	CTL_MACS_BLOCKED, /* the LAN lets nothing through to them: frames go to the interface's own */
	CTL_MACS_ONE,	  /* the device takes one address only, or is wireless: likewise */
	CTL_MACS_CNT
};

/* An interface and, where it is an application's, its channel there. Requests: @ifindex or @name, and @key. */
struct ctl_interface {
	uint32_t ifindex;
	uint32_t mtu; /* of the interface, IP packet */
	uint32_t flags; /* CTL_INTERFACE_* */
	uint32_t app_id; /* 0: the interface as such */
	uint32_t frame_bytes, frame_cnt; /* of the memory; powers of two */
	uint32_t rx_cnt, tx_cnt, fill_cnt, comp_cnt; /* entries of the rings; powers of two */
	uint8_t mac[6];	    /* the interface's own */
	uint8_t app_mac[6]; /* the application's */
	uint8_t macs;	    /* STATUS_INTERFACE: enum ctl_macs */
	uint8_t prefix_len; /* of @addr: 0: none; an application's: 128 */
	uint16_t silent; /* DETACHED: applications that have not said INTERFACE_LEFT in time */
	uint64_t memory_bytes;
	union {
		uint8_t key[16];  /* INTERFACE, INTERFACE_OPEN: random, known to its owner only; 0 where there is none */
		uint8_t addr[16]; /* else: IPv6, the prefix of which applications have addresses there; of an application that of its own */
	};
	char name[CTL_NAME_MAX];
	uint32_t given, ended; /* DETACHED: connections that have become the kernel's, and that could not; INTERFACE_LEFT: @ended */
};

struct ctl_neighbour {
	uint8_t addr[16]; /* IPv4 as v4-mapped */
	uint32_t ifindex;
	uint32_t failed; /* RESOLVED: 1: it does not answer; else 0 */
};

struct ctl_counter {
	uint32_t ifindex;
	uint32_t app_id; /* 0: of the interface as such */
	uint64_t value;
	char where[CTL_NAME_MAX]; /* "dispatch", "deliver", "gate", "spill"; of IPv6 addresses: "addresses"; of port-aware ARP: "parp", "claims", "owner", "resolver"; "gateway" and its two */
	char name[CTL_NAME_MAX];
};

struct ctl_app {
	uint32_t id;
	int32_t pid;
	uint32_t uid;
	uint32_t leases, channels;
	uint8_t mac[6];
	uint8_t pad[6];
	uint64_t memory_bytes;	 /* channel memory charged to it */
	uint64_t attached_ms;	 /* since it said HELLO */
	char name[CTL_NAME_MAX];
};

struct ctl_daemon {
	int32_t pid;
	uint32_t uid;
	uint32_t apps, leases, channels;
	uint8_t private_mode;
	uint8_t last_refusal; /* enum ctl_refusal: the last one that the asker may see; 0: none */
	uint8_t last_request; /* enum ctl_type; 0: it was not even that */
	uint8_t pad;
	uint64_t uptime_ms;
	uint64_t refused, malformed; /* requests, since the start */
	char release[CTL_NAME_MAX];
	int32_t last_pid; /* whose request it was; 0 without one, as all below */
	uint32_t last_s;  /* ago */
	char last_name[CTL_NAME_MAX];
};

struct ctl_refused {
	uint32_t refusal; /* enum ctl_refusal */
	uint32_t request; /* enum ctl_type of what was refused; 0: it was not even that */
	uint32_t version; /* what this vjd speaks */
	uint32_t pad;
	char release[CTL_NAME_MAX]; /* of vjd, for messages */
};

struct ctl_report {
	uint32_t app_id; /* who is asked; nonzero */
	uint32_t kind;	 /* enum ctl_report_kind; one that the asked does not know is answered by hanging up */
};

enum ctl_report_kind {
	CTL_REPORT_CONNS = 1, /* TCP connections: struct report_conn of src/lib/report.h */
	CTL_REPORT_SOCKS = 2, /* the program's sockets: struct report_sock there */
	CTL_REPORT_RULES = 3, /* rules of the firewall that keep its leases off channels: struct ctl_report_rule. vjd itself answers */
};

struct ctl_report_rule {
	struct ctl_endpoint local; /* of the lease */
	char device[CTL_NAME_MAX]; /* the interface; "lo": between programs of this host */
	char rule[512]; /* NUL-terminated; for people */
};

/* The memfd has @record_cnt records of @record_bytes and nothing else, and is sealed against change. */
struct ctl_reported {
	uint32_t kind;
	uint32_t record_bytes; /* 1..CTL_REPORT_RECORD_MAX. A later library may say more, at the end */
	uint32_t record_cnt;   /* 0..CTL_REPORT_RECORDS_MAX */
	uint32_t pad;
	uint64_t left_out; /* how many more there would be */
};
enum { CTL_REPORT_RECORD_MAX = 4096, CTL_REPORT_RECORDS_MAX = 16384 };

/* Another application of the same user */
struct ctl_join {
	uint32_t app_id; /* nonzero. HANDED: whose it was */
	int32_t pid;	 /* its process: finds it when a new vjd has numbered it anew */
};

enum ctl_mac_kind {
	CTL_MAC_CLAIMING = 1, /* @app_id's, or 0: of the pool; being probed for */
	CTL_MAC_CLAIMED,      /* likewise */
	CTL_MAC_QUARANTINE,   /* was an application's */
	CTL_MAC_LEARNED,      /* of another host: @addr, @proto, @port_lo to @port_hi are at @mac */
	CTL_MAC_NEG,	      /* ... has none of its own; @canonical is right */
	CTL_MAC_ASKING,	      /* ... nobody has answered so far */
	CTL_MAC_SILENT,	      /* ASKED: nobody has answered: a host without vjchan, or none */
	CTL_MAC_ROUTED,	      /* ASKED: it is behind a router, whose MAC is right */
	CTL_MAC_LOCAL,	      /* ASKED: this host's own */
	CTL_MAC_BLOCKED,      /* of another host: it says @mac, but the LAN lets nothing through to it; @canonical is right */
	CTL_MAC_ADDRESS,      /* @addr is @app_id's, at @mac */
	CTL_MAC_ADDRESS_TRIED, /* ... if nobody else has it: it is being asked for */
	CTL_MAC_KIND_CNT
};

struct ctl_mac {
	uint32_t ifindex;
	uint32_t app_id;
	uint8_t mac[6];
	uint8_t kind; /* enum ctl_mac_kind */
	uint8_t proto; /* CTL_PROTO_TCP, CTL_PROTO_UDP; 0: not about a port */
	uint16_t port_lo, port_hi;
	uint32_t gen; /* generation, of LEARNED */
	uint8_t addr[16];
	uint8_t canonical[6];
	uint8_t gateway; /* 1: asked for what a gateway sends; 0: for applications, or not asked for */
	uint8_t pad;
	uint64_t age_ms;  /* since it is what it is */
	uint64_t left_ms; /* of QUARANTINE, LEARNED and NEG: until it ends */
	char name[CTL_NAME_MAX]; /* of the interface */
};

enum { CTL_FIREWALL_JSON = 1, CTL_FIREWALL_HANDLES = 2 }; /* libnftables' JSON; handles in the text */

struct ctl_firewall {
	uint32_t flags; /* of FIREWALL: CTL_FIREWALL_*, one of them or none; of its reply: 0 */
	uint32_t pad;
};

/* What vjd may know the program by, when the next of its processes comes (control/board.h) */
struct ctl_brief {
	int32_t parent; /* process number of who started it, as it sees it; > 0 */
};

enum { /* repair.flags */
	CTL_REPAIR_SOCK6 = 1, /* an IPv6 socket is wanted; of IPv4 addresses: mapped ones */
	CTL_REPAIR_SACK = 2,
	CTL_REPAIR_TIMESTAMPS = 4,
	CTL_REPAIR_FIN = 8,	  /* the program has said that it will send no more; FIN follows what waits */
	CTL_REPAIR_FIN_SENT = 16, /* ... and was sent, as was all that waits */
	CTL_REPAIR_FIN_ACKED = 32, /* ... and was acknowledged, as was all that was sent */
	CTL_REPAIR_FIN_RCVD = 64, /* the peer will send no more; its FIN follows what is unread */
};
enum {
	CTL_REPAIR_QUEUE_MAX = 1 << 24,	 /* bytes of each queue */
	CTL_REPAIR_WINDOW_MAX = 1 << 30, /* RFC 7323 2.3 */
	CTL_REPAIR_WSCALE_MAX = 14,
	CTL_REPAIR_MSS_MIN = 48,
};

/*
 * A TCP connection over an interface, as the kernel is to go on with it (TCP_REPAIR). FINs are not in sequence numbers here. The descriptor
 * with it is a sealed memfd: what is unread, then what is not acknowledged, and nothing else. IN_KERNEL repeats it.
 */
struct ctl_repair {
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	uint32_t ifindex;
	uint32_t flags; /* CTL_REPAIR_* */
	uint32_t rcv_seq; /* of the first byte unread ... */
	uint32_t rcv_bytes; /* ... of so many */
	uint32_t snd_seq; /* of the first byte that isn't acknowledged ... */
	uint32_t snd_bytes; /* ... of so many ... */
	uint32_t sent_bytes; /* ... of which so many were sent */
	uint32_t rcv_acked; /* what we have acknowledged last: at or before the end of what is unread ... */
	uint32_t rcv_wnd; /* ... and the window offered from there */
	uint32_t snd_wnd; /* the peer's, from @snd_seq, scaled */
	uint32_t ts; /* our clock of timestamps */
	uint16_t mss; /* that the peer takes, as in its SYN */
	uint8_t snd_wscale, rcv_wscale; /* by which the peer's windows are shifted, and ours */
};

struct ctl_none {
	uint8_t pad[8];
};

struct ctl_msg {
	uint32_t type; /* enum ctl_type */
	uint32_t seq;
	union {
		struct ctl_none none;
		struct ctl_hello hello;
		struct ctl_welcome welcome;
		struct ctl_lease lease;
		struct ctl_ports ports;
		struct ctl_connect connect;
		struct ctl_channel channel;
		struct ctl_close close;
		struct ctl_app app;
		struct ctl_daemon daemon;
		struct ctl_refused refused;
		struct ctl_interface interface;
		struct ctl_neighbour neighbour;
		struct ctl_counter counter;
		struct ctl_report report;
		struct ctl_reported reported;
		struct ctl_join join;
		struct ctl_mac mac;
		struct ctl_firewall firewall;
		struct ctl_brief brief;
		struct ctl_repair repair;
		uint8_t bytes[120];
	};
};
_Static_assert(sizeof(struct ctl_msg) == 128, "a control message is 128 bytes on the wire");

/**
 * ctl_check() - Is this a well-formed message from @from?
 * @p:       Bytes received; not trusted, not aligned
 * @len:     How many
 * @fd_cnt:  Descriptors that came with it
 * @ret_msg: A checked copy: known type of that direction, right descriptor count, names terminated
 *           and printable, enums in range, pads zero
 *
 * Exact-length and descriptor-count checks of both sides live here and nowhere else. A HELLO, or a
 * REFUSED(VERSION), of another version is well-formed if its version and texts are: the rest may
 * have got a meaning meanwhile. Channel parameters are not looked at; vj_area_params_check() does
 * that.
 * Return: CTL_REFUSAL_NONE or CTL_REFUSAL_MALFORMED (the caller closes all descriptors that came
 * along).
 */
enum ctl_refusal ctl_check(const void *p, size_t len, unsigned fd_cnt, enum ctl_from from, struct ctl_msg *ret_msg);

/** ctl_refusal_errno() - Positive errno for the program; EPROTO for unknown values */
int ctl_refusal_errno(enum ctl_refusal r);

/** ctl_refusal_text() - Sentence for people; never NULL */
const char *ctl_refusal_text(enum ctl_refusal r);

/** ctl_prefix_fault() - Why applications can't have addresses of @prefix, for people, to follow "PREFIX: "; NULL: they can */
const char *ctl_prefix_fault(const struct ip_prefix *prefix);

/** ctl_refusal_name() - "PORT_TAKEN" ...; "NONE"; "?" for unknown values */
const char *ctl_refusal_name(enum ctl_refusal r);

/** ctl_type_name() - "HELLO" ...; "?" for unknown values */
const char *ctl_type_name(uint32_t type);

/** ctl_type_fds_max() - How many descriptors may come with it; 0 for unknown types */
unsigned ctl_type_fds_max(uint32_t type);

/** ctl_type_is_event() - True for what the daemon sends unasked */
bool ctl_type_is_event(uint32_t type);

/**
 * ctl_name_set() - Fill a name field: cut to fit, unprintable bytes as '?', the rest zero. @src may
 * be NULL.
 */
void ctl_name_set(char dst[static CTL_NAME_MAX], const char *src);

/** ctl_endpoint_make() - Endpoint with protocol, as in messages */
static inline struct ctl_endpoint ctl_endpoint_make(const struct endpoint *ep, enum ctl_proto proto)
{
	struct ctl_endpoint ret = { .port = ep->port, .proto = (uint8_t)proto };

	__builtin_memcpy(ret.addr, ep->addr.bytes, sizeof(ret.addr));
	return ret;
}

/** ctl_endpoint_get() - Back again */
static inline struct endpoint ctl_endpoint_get(const struct ctl_endpoint *ep)
{
	return (struct endpoint){ .addr = ip_addr_from_v6(ep->addr), .port = ep->port };
}

#endif
