/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack.h - TCP/UDP/IP as a pure library: frames, now and randomness in; frames, events and a deadline out
 *
 * No clock, no I/O, no libc allocation, no global. One stack is used by one thread at a time. A host program
 *
 *	stack_now(s, now_us);                   before anything that may send or measure
 *	stack_rx(s, link, frames, n);           frames from a link
 *	stack_events(s, ev, n);                 what became possible
 *	tcp_recv(), tcp_send(), ...             what the program wants
 *	stack_run(s);                           due timers, acknowledgements not yet carried by data
 *	stack_deadline(s);                      sleep no longer than this
 *
 * Everything that comes in a frame is hostile: it is dropped with a reason from STACK_DROPS and a counter, never
 * asserted. Frames are Ethernet II; resolution of neighbours is not done here: a link has one far end, or a next
 * hop that the caller sets.
 *
 * Errors are negative errno values; each function lists its own. Nothing here blocks.
 */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stack;

struct link_id { uint32_t v; };     /* small, reused */
struct tcp_id { uint32_t v; };	    /* a connection; never 0 when valid */
struct listener_id { uint32_t v; }; /* never 0 when valid */
struct udp_id { uint32_t v; };	    /* never 0 when valid */

/* ---- the stack itself ---------------------------------------------------------------------------------------- */

/* Explicit congestion notification (RFC 3168) */
enum stack_ecn {
	STACK_ECN_ACCEPT, /* when the peer asks: tcp_ecn = 2 of Linux */
	STACK_ECN_ASK,	  /* and ask: 1 */
	STACK_ECN_OFF,	  /* 0 */
};

/*
 * Search for the path MTU without ICMP (RFC 4821). The first is Linux's 1, although Linux has 0 as default: who runs into a
 * black hole does not know that he should have asked for it.
 */
enum stack_mtu_probe {
	STACK_MTU_PROBE_BLACK_HOLE, /* when full segments are not heard of */
	STACK_MTU_PROBE_ALWAYS,	    /* 2 */
	STACK_MTU_PROBE_OFF,	    /* 0 */
};

/* Of a buffer that is auto-tuned, in bytes, as Linux's net.ipv4.tcp_rmem and tcp_wmem; at most 2^30 */
struct stack_buf_limits {
	uint32_t min, start, max;
};

/*
 * What new connections begin with, as net.ipv4.tcp_* says it in Linux. Everything zero: Linux's defaults.
 */
struct tcp_settings {
	bool no_sack, no_timestamps, no_wscale; /* not offered, not accepted */
	bool no_idle_restart;			/* tcp_slow_start_after_idle = 0 */
	uint8_t ecn;				/* enum stack_ecn */
	uint8_t mtu_probing;			/* enum stack_mtu_probe */
	bool no_syncookies;			/* tcp_syncookies = 0 */
	bool rfc1337;				/* no reset ends TIME_WAIT: tcp_rfc1337 = 1 */
	bool no_fastopen;			/* not as a client: bit 1 of tcp_fastopen is off */
	bool fastopen_no_cookie_tx, fastopen_no_cookie_rx; /* 0x4, 0x200: not on networks with strangers */
	bool has_fastopen_key;			/* cookies are of fastopen_key, as in Linux: for server farms */
	uint8_t fastopen_key[16];		/* tcp_fastopen_key: four words, each with its lowest byte first */
	uint8_t congestion;			/* index in tcp_cc_name() */
	uint8_t syn_retries, synack_retries, retries, orphan_retries; /* 0: default */
	uint8_t keepcnt;			/* 0: default, as below */
	uint16_t keepidle_s, keepintvl_s;
	uint32_t fin_timeout_ms; /* FIN_WAIT_2 of a closed socket */
};

struct stack_config {
	uint8_t secret[16];   /* keys ISN, flow hash; random */
	uint64_t seed;	      /* for everything else that is random */
	uint32_t conns_max;   /* TCP connections, and as many again in TIME_WAIT; 1..2^24 */
	uint64_t mem_bytes_max; /* all memory together; past it calls fail with -ENOMEM, frames are dropped */
	uint32_t sndbuf_bytes; /* of each connection; 0: auto-tuned, on links that cannot lose 256 KiB and, while a window stays shut, wmem.max more */
	uint32_t rcvbuf_bytes; /* likewise: the window that is offered while nothing waits to be read */
	struct stack_buf_limits rmem; /* all 0: 4096, 131072, 6291456. Half of each is window, as in Linux */
	struct stack_buf_limits wmem; /* all 0: 4096, 262144, 4194304 */
	struct tcp_settings tcp;
	/* Page-aligned zeroed memory in chunks of >= 64 KiB, or NULL; given back at stack_destroy(). */
	void *(*mem_get)(void *arg, size_t bytes);
	void (*mem_put)(void *arg, void *p, size_t bytes);
	void *mem_arg;
};

/** stack_create() - Return: 0; -ENOMEM; -EINVAL: a limit is out of range. */
int stack_create(const struct stack_config *cfg, uint64_t now_us, struct stack **ret_s);

/** stack_destroy() - Give all memory back. Frames held are freed to their links first, so links must still be there. NULL allowed. */
void stack_destroy(struct stack *s);

/** stack_now() - Tell the time. @now_us: monotonic microseconds; a value in the past is ignored. */
void stack_now(struct stack *s, uint64_t now_us);

/** stack_rx_soon() - stack_rx() is about to be called: have what it reads of the stack come into the cache meanwhile */
void stack_rx_soon(const struct stack *s);

/** stack_run() - Do what is due: timers, delayed acknowledgements, output that waited for frames */
void stack_run(struct stack *s);

/** stack_deadline() - When stack_run() must be called at the latest, in microseconds; UINT64_MAX: nothing pending */
uint64_t stack_deadline(const struct stack *s);

/** stack_unsent() - Bytes accepted by tcp_send() that have not left yet, closed connections included. Walks all: for a program's end */
uint64_t stack_unsent(const struct stack *s);

/** stack_leaving() - The process ends soon: peers on links that cannot lose are to take what their windows have no room for. Walks all; to be said again while stack_unsent() */
void stack_leaving(struct stack *s);

/** stack_put_off() - Acknowledgements that are to ride on what is sent next get their time, as stack_run() gives it to them. Sends nothing. */
void stack_put_off(struct stack *s);

/** stack_unfinished() - Is something owed to a peer that would go out without a timer (data queued, an acknowledgement)? */
bool stack_unfinished(const struct stack *s);

/**
 * stack_is_crowded() - Is it better to leave frames where they are? A program reads a UDP socket, and enough for it is there: more would be taken
 * in only to be dropped, at the cost of the reading (receive livelock; Mogul and Ramakrishnan 1997, Druschel's lazy receiver processing). False
 * UDP_CROWD_US after stack_now() said when it began, and then until the program has read there once more: nothing waits for a socket that isn't read.
 */
bool stack_is_crowded(struct stack *s);

/* ---- links --------------------------------------------------------------------------------------------------- */

struct link_frame {
	uint8_t *data;
	uint32_t len;  /* bytes */
	uint32_t room; /* bytes from data to the end of the frame */
	uint64_t token; /* the driver's */
};

struct link_ops {
	/* One empty frame. false: none now; stack_link_writable() is called when there may be again. */
	bool (*tx_get)(void *drv, struct link_frame *ret_frame);
	/* A filled frame of tx_get(), in order; the driver decides when the far end sees it. */
	void (*tx_put)(void *drv, const struct link_frame *frame);
	/* For the frame that was put last nobody waits: it need not wake the far end. NULL: it may. */
	void (*tx_unawaited)(void *drv);
	/*
	 * Promises to the far end hold no more (tcp_call.c), which it sees from now on; and how often that was said, by us or by the far end.
	 * LINK_PEER_ENDED: its process is no more. NULL, both: the link is for no promises.
	 */
	void (*take_back)(void *drv);
	uint32_t (*taken_back)(void *drv, bool by_us);
	/*
	 * How often we, or the far end, have withdrawn our calls there (tcp_withdraw.c); and that of the far end after it could see all that was put,
	 * in one order for both. NULL, both: calls are not withdrawn there.
	 */
	uint32_t (*withdrawn)(void *drv, bool by_us);
	uint32_t (*show)(void *drv);
	/*
	 * memcpy() of COPY_OUT_MIN bytes and more into a frame of tx_get(), as suits who will read it. NULL: memcpy().
	 */
	void (*tx_copy)(void *drv, uint8_t *dst, const void *src, size_t len);
	/* A frame of tx_get(), not used after all. */
	void (*tx_unget)(void *drv, const struct link_frame *frame);
	/* A frame of stack_rx() that is not needed any more; any order, any time until stack_link_del() returns. */
	void (*rx_free)(void *drv, const struct link_frame *frame);
	/*
	 * A frame of type ETH_TYPE_LINK, in its turn among the others; it is freed after return. May move connections, but
	 * not delete links. NULL: such frames are dropped.
	 */
	void (*rx_link)(void *drv, const struct link_frame *frame);
};

enum link_flags {
	LINK_NO_CSUM = 1,  /* checksums are neither computed nor checked */
	LINK_NO_LOSS = 2,  /* a full ring is back-pressure (tx_get fails), never loss */
	LINK_ANY_MAC = 4,  /* whose frames are ours was decided before: they may be for an address we don't know of */
	LINK_TRAINS = 8,   /* with LINK_NO_CSUM: a packet may hold several UDP datagrams of one flow; docs/shm-layout.md */
};

#define LINK_PEER_ENDED UINT32_MAX

struct link_config {
	const struct link_ops *ops; /* stays the caller's */
	void *drv;
	uint8_t mac[6];	     /* ours: source, and what we accept */
	uint8_t peer_mac[6]; /* destination */
	uint32_t mtu;	     /* IP bytes, 1280..65535 */
	uint32_t flags;	     /* enum link_flags */
	uint32_t rx_hold_max; /* frames the stack may keep while data waits for its reader; beyond it copies */
	uint32_t rx_frames; /* that the link has to receive in, > rx_hold_max; bounds windows. 0: a full link holds senders back */
};

/** stack_link_add() - Return: 0; -ENOSPC: 65,535 links; -EINVAL: mtu, rx_frames; -ENOMEM. */
int stack_link_add(struct stack *s, const struct link_config *cfg, struct link_id *ret_link);

/**
 * stack_link_mtu_set() - Its MTU is another: of the next packets, and of what connections tell their peers from now on
 *
 * Connections that are there send less at once if it has become less, and never more than when they began.
 * Return: 0; -EINVAL: @mtu is out of range, the old one holds
 */
int stack_link_mtu_set(struct stack *s, struct link_id link, uint32_t mtu);

/** stack_link_mac_set() - Our address on it is another, of the next frames in both directions */
void stack_link_mac_set(struct stack *s, struct link_id link, const uint8_t mac[static 6]);

/**
 * stack_link_del() - The far end is gone: every connection of the link fails with @err (ECONNRESET, ENETDOWN ...) after
 * what was received in order; frames held are copied or freed, none is used after return
 *
 * On a link that loses nothing, a connection whose other end had sent its FIN, and to which nothing is left to be sent, doesn't fail:
 * it has come to its end of file, and what is written into it from here on is EPIPE.
 */
void stack_link_del(struct stack *s, struct link_id link, int err);

/**
 * stack_too_big() - The host knows that the way to where a packet goes passes no more than @mtu bytes
 * @packet: One that the stack gave to the link, from its IP header on: as much as an ICMP error would quote
 * @mtu:    Its IP header included; less than 552 (IPv4) or 1280 (IPv6) counts as that
 *
 * As if a router had said so (RFC 1191, RFC 8201), but that no program is told. TCP takes the packet for lost and sends it again,
 * smaller. Not from within link_ops.
 */
void stack_too_big(struct stack *s, struct link_id link, const void *packet, size_t len, uint32_t mtu);

/**
 * stack_unreachable() - The neighbour to which a packet had to go does not answer
 * @packet: as for stack_too_big()
 *
 * As if a router had said "host unreachable": a connection that does not stand yet fails with EHOSTUNREACH, another one tries on (RFC 1122
 * 4.2.3.9), datagrams are lost. Not from within link_ops.
 */
void stack_unreachable(struct stack *s, struct link_id link, const void *packet, size_t len);

/** stack_link_writable() - tx_get() may succeed again: continue output that waited */
void stack_link_writable(struct stack *s, struct link_id link);

/** stack_link_blocked() - Does output wait for frames of this link? */
bool stack_link_blocked(const struct stack *s, struct link_id link);

/**
 * stack_rx() - Frames from a link
 * The stack owns them from here; each comes back through rx_free(), now or later.
 */
void stack_rx(struct stack *s, struct link_id link, const struct link_frame *frames, unsigned n);

/* ---- events -------------------------------------------------------------------------------------------------- */

enum stack_obj { STACK_OBJ_TCP, STACK_OBJ_LISTENER, STACK_OBJ_UDP };

enum stack_ev {
	STACK_EV_READABLE = 1 << 0, /* data, or end of file, or an error to collect */
	STACK_EV_WRITABLE = 1 << 1, /* room again after tcp_send() fell short, or tcp_ready() said that there is none */
	STACK_EV_CONNECTED = 1 << 2, /* by tcp_ready(): and it is not over, as it is once both sides have ended, though there may be something to read */
	STACK_EV_ACCEPT = 1 << 3, /* a connection waits in the listener */
	STACK_EV_EOF = 1 << 4,	  /* peer sent FIN */
	STACK_EV_ERROR = 1 << 5,  /* connection failed: tcp_error() */
	STACK_EV_SENT_ALL = 1 << 6, /* everything sent has been acknowledged, FIN included if one was sent */
	STACK_EV_UNANSWERED = 1 << 7, /* nobody has answered tcp_connect() in time (RFC 6298 5.7: 1 s); it goes on, and has nothing to send. tcp_connect_early(), on a link that cannot lose: after 200 ms, and whenever it asks again */
};

struct stack_event {
	enum stack_obj obj;
	uint32_t id;	 /* .v of tcp_id, listener_id or udp_id */
	uint64_t cookie; /* the object's, 0 before tcp_accept() */
	uint32_t events; /* enum stack_ev: what happened since the last report */
};

/**
 * stack_events() - Collect what happened, oldest first
 * An object appears once with all its bits. Edges: ask tcp_ready() for the level.
 * Return: number of events, 0..@n.
 */
unsigned stack_events(struct stack *s, struct stack_event *ev, unsigned n);

/* ---- drops -------------------------------------------------------------------------------------------------- */

/* Why a frame was dropped. One table: enum, name for people and --json. */
#define STACK_DROPS(X)                                             \
	X(ETH_SHORT, "frame shorter than an Ethernet header")      \
	X(ETH_DST, "not for this MAC")                             \
	X(ETH_TYPE, "unknown EtherType")                           \
	X(IP_SHORT, "truncated IP header")                         \
	X(IP_HEADER, "bad IP version, length or options")          \
	X(IP_CSUM, "bad IPv4 header checksum")                     \
	X(IP_FRAGMENT, "bad length or place of a fragment")        \
	X(FRAG_OVERLAP, "fragments overlap (RFC 5722)")            \
	X(FRAG_DUP, "fragment came twice")                         \
	X(FRAG_TINY, "first fragment too small, or too many")      \
	X(FRAG_MEMORY, "no room for more fragments")               \
	X(FRAG_TIMEOUT, "not all fragments came in time")          \
	X(IP_PROTO, "unknown protocol")                            \
	X(ICMP_BAD, "malformed ICMP message")                      \
	X(ICMP_MTU, "ICMP error with an MTU that cannot be")       \
	X(UDP_BAD, "bad UDP length or checksum")                   \
	X(UDP_NO_SOCKET, "no socket on this UDP port")             \
	X(UDP_FULL, "UDP receive queue full")                      \
	X(TCP_BAD, "bad TCP header or option")                     \
	X(TCP_CSUM, "bad TCP checksum")                            \
	X(TCP_NO_SOCKET, "no connection and no listener")          \
	X(TCP_BACKLOG, "accept queue full")                        \
	X(TCP_PAWS, "old timestamp (PAWS, RFC 7323 5)")            \
	X(TCP_SEQ, "outside the receive window")                   \
	X(TCP_ACK, "acknowledges what was not sent")               \
	X(TCP_RST, "reset that does not fit (RFC 5961 3)")         \
	X(TCP_SYN, "SYN in a connection (RFC 5961 4)")             \
	X(TCP_NO_ACK, "segment without ACK")                       \
	X(TCP_SACK, "SACK block for what was not sent")            \
	X(TCP_CLOSED_DATA, "data after the reader closed")         \
	X(TCP_LEFT, "of a connection that is the kernel's now")    \
	X(NO_MEMORY, "no memory")                                  \
	X(NO_FRAME, "no frame to answer in")

/* From TCP_BAD on they can be of a connection, which counts them too. */
enum stack_drop {
#define X(name, text) STACK_DROP_##name,
	STACK_DROPS(X)
#undef X
	STACK_DROP_CNT
};
/** stack_drop_text() - Sentence for a reason */
const char *stack_drop_text(enum stack_drop why);
/** stack_drop_name() - "TCP_PAWS" ...; NULL past the last */
const char *stack_drop_name(enum stack_drop why);

/* ---- TCP (RFC 9293) ------------------------------------------------------------------------------------------- */

enum tcp_state {
	TCP_CLOSED, TCP_LISTEN, TCP_SYN_SENT, TCP_SYN_RECEIVED, TCP_ESTABLISHED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK, TCP_TIME_WAIT,
};

enum stack_listen_flags {
	STACK_LISTEN_V6ONLY = 1, /* with address ::, don't take IPv4 */
	STACK_LISTEN_SHARED = 2, /* others of this stack may be at the same address and port, if they say so too: SO_REUSEPORT */
	STACK_LISTEN_OVER = 4, /* UDP, the same, as SO_REUSEADDR has it: what comes is the last one's */
};

/**
 * tcp_listen() - Accept connections to @local from any link
 * @local:   Address (any: :: for both families, ::ffff:0.0.0.0 for IPv4 only) and port 1..65535
 * @flags:   enum stack_listen_flags; those that share a place have new connections by turns
 * @backlog: Connections waiting for tcp_accept(), 1..65535
 * Return: 0; -EADDRINUSE: another listener of this stack; -ENOMEM.
 */
int tcp_listen(struct stack *s, const struct endpoint *local, unsigned flags, uint32_t backlog, uint64_t cookie,
	       struct listener_id *ret_l);
/** tcp_listener_backlog() - Change the backlog */
void tcp_listener_backlog(struct stack *s, struct listener_id l, uint32_t backlog);
/** tcp_unlisten() - Stop; connections not yet accepted are reset */
void tcp_unlisten(struct stack *s, struct listener_id l);
/** tcp_accept() - Return: 0 and a connection that now reports to @cookie; -EAGAIN: none. */
int tcp_accept(struct stack *s, struct listener_id l, uint64_t cookie, struct tcp_id *ret_id);
/** tcp_listener_ready() - Connections waiting */
uint32_t tcp_listener_ready(const struct stack *s, struct listener_id l);

/**
 * tcp_connect() - Begin a connection over @link; STACK_EV_CONNECTED or _ERROR follows
 * Both endpoints are complete (the caller chose address and port).
 * Return: 0; -EADDRINUSE: this 4-tuple exists on the link; -ENOMEM; -ENETDOWN: no such link.
 */
int tcp_connect(struct stack *s, struct link_id link, const struct endpoint *local, const struct endpoint *remote,
		uint64_t cookie, struct tcp_id *ret_id);

/* An option of tcp_connect_with() */
struct tcp_option_value {
	int opt; /* enum tcp_option */
	uint64_t value;
};

/**
 * tcp_connect_with() - The same, with options that hold from the SYN on
 * @opts: @cnt options, set in this order before the SYN is made
 * Return: as tcp_connect(); as tcp_option_set(), and there is no connection.
 */
int tcp_connect_with(struct stack *s, struct link_id link, const struct endpoint *local, const struct endpoint *remote,
		     const struct tcp_option_value *opts, unsigned cnt, uint64_t cookie, struct tcp_id *ret_id);

/**
 * tcp_connect_early() - The same, not waiting for an answer where one is not needed: on links that cannot lose, while the listener has promised places
 * @anyway: Connected on return in any case, on a link that cannot lose: the program has been told so before, see tcp_call_again()
 *
 * Then STACK_EV_CONNECTED is due at once, data go behind the SYN, and if it comes to nothing, tcp_is_refused() is true after STACK_EV_ERROR. That is
 * reported with a cookie of 0, and is the caller's again, of one that was closed by tcp_close().
 * Return: as tcp_connect_with(); -ENOBUFS: @anyway, and no frame
 */
int tcp_connect_early(struct stack *s, struct link_id link, const struct endpoint *local, const struct endpoint *remote,
		      const struct tcp_option_value *opts, unsigned cnt, bool anyway, uint64_t cookie, struct tcp_id *ret_id);

/**
 * tcp_is_refused() - Of a connection that has failed: was it connected by tcp_connect_early(), and never answered?
 * Nobody has read what it sent, and it still has that: for tcp_call_again(), or tcp_unsent_read().
 */
bool tcp_is_refused(const struct stack *s, struct tcp_id id);

/** tcp_may_withdraw() - Does it wait for who was called, and may it call another? */
bool tcp_may_withdraw(const struct stack *s, struct tcp_id id);

/**
 * tcp_withdraw() - Of such a one, when link_ops.withdrawn() of this side has gone up and no answer was there after that: it ends as one that was refused,
 * tcp_is_refused() if it was connected. @id is invalid from here if the program had closed it
 */
void tcp_withdraw(struct stack *s, struct tcp_id id);

/** tcp_call_again() - @to, just made by tcp_connect_early() with @anyway, says all that @from has said, which tcp_is_refused() */
void tcp_call_again(struct stack *s, struct tcp_id from, struct tcp_id to);

/**
 * tcp_connect_data() - The same with Fast Open (RFC 7413): data in the SYN, if the peer has given us a cookie before
 * @buf: @len bytes, copied as far as they fit into the SYN
 * @ret_len: Bytes taken, as by tcp_send(). 0 when there is no cookie: the SYN asks for one, for the next time
 * Bytes taken are delivered even if the peer ignores them in the SYN. They may be delivered twice if the SYN is duplicated
 * and the peer forgets in between (RFC 7413 2.1). On direct channels this is tcp_connect_with().
 */
int tcp_connect_data(struct stack *s, struct link_id link, const struct endpoint *local, const struct endpoint *remote,
		     const struct tcp_option_value *opts, unsigned cnt, const void *buf, size_t len, uint64_t cookie,
		     size_t *ret_len, struct tcp_id *ret_id);

/** tcp_fastopen_known() - Would tcp_connect_data() take data? Ports do not matter (TCP_FASTOPEN_CONNECT: connect() can wait) */
bool tcp_fastopen_known(const struct stack *s, struct link_id link, const struct endpoint *local,
			const struct endpoint *remote);

/** tcp_settings_set() - Change what connections made from now on begin with; timeouts and retries hold for all at once */
void tcp_settings_set(struct stack *s, const struct tcp_settings *settings);

/** tcp_set_cookie() - Change what events carry */
void tcp_set_cookie(struct stack *s, struct tcp_id id, uint64_t cookie);

/** tcp_soon() - @id is about to be used: have its memory come into the cache meanwhile. Of one that is gone: nothing happens */
void tcp_soon(const struct stack *s, struct tcp_id id);

enum tcp_send_flags { TCP_SEND_MORE = 1 }; /* more follows: a partial segment may wait (RFC 9293 3.7.4, MSG_MORE) */

/**
 * tcp_send() - Queue and, as windows allow, transmit
 * @buf: Copied
 * Return: 0 and bytes taken in @ret_len (may be fewer); -EAGAIN: buffer full; -ENOTCONN: not yet connected;
 * -EPIPE: sending side is shut; the connection's error (-ECONNRESET, -ETIMEDOUT ...) once, then -EPIPE; -ENOMEM.
 */
int tcp_send(struct stack *s, struct tcp_id id, const void *buf, size_t len, unsigned flags, size_t *ret_len);

/**
 * tcp_recv() - Copy received bytes out
 * @peek: Leave them
 * Return: 0 and bytes in @ret_len, 0 bytes meaning end of file; -EAGAIN: none yet; -ENOTCONN; the connection's error, once.
 */
int tcp_recv(struct stack *s, struct tcp_id id, void *buf, size_t len, bool peek, size_t *ret_len);

/**
 * tcp_recv_borrow() - Look at the oldest received bytes where they are
 * @ret_data: Valid until tcp_recv_return() or any closing call on @id; a peer on a direct channel may still change them
 * Return: as tcp_recv().
 */
int tcp_recv_borrow(struct stack *s, struct tcp_id id, const uint8_t **ret_data, size_t *ret_len);
/** tcp_recv_return() - Consume @len bytes, at most what is waiting */
void tcp_recv_return(struct stack *s, struct tcp_id id, size_t len);

/**
 * tcp_send_frame() - Take room for one segment's payload in a frame of the channel, to fill in place
 * Return: 0, room in @ret_data/@ret_room until tcp_send_frame_done() on the same connection, which must be the next call on this
 * stack; -EAGAIN: no frame, no window or unsent data before it: use tcp_send(); errors as tcp_send().
 */
int tcp_send_frame(struct stack *s, struct tcp_id id, uint8_t **ret_data, size_t *ret_room);
/** tcp_send_frame_done() - Transmit @len bytes stored there; 0: nothing after all */
int tcp_send_frame_done(struct stack *s, struct tcp_id id, size_t len);

/** tcp_shutdown() - Send FIN after what is queued (half-close). Return: 0; -ENOTCONN. */
int tcp_shutdown(struct stack *s, struct tcp_id id);
/**
 * tcp_shut_read() - After tcp_shutdown(): the program reads no more, either
 * Data that still come are answered by RST, and the connection fails with ECONNRESET (as Linux). What has come can be read. A connection that
 * is over, or sends still, is left as it is.
 */
void tcp_shut_read(struct stack *s, struct tcp_id id);
/** tcp_close() - Orderly close, in the background: @id is invalid from here. Unread data turns it into a reset (RFC 2525 2.17). */
void tcp_close(struct stack *s, struct tcp_id id);
/** tcp_abort() - Send RST; @id is invalid from here */
void tcp_abort(struct stack *s, struct tcp_id id);

/**
 * tcp_ready() - Level of enum stack_ev now: READABLE (data, end or error), WRITABLE, CONNECTED, EOF, ERROR
 *
 * Not WRITABLE, but able to send: the event follows when it is.
 */
uint32_t tcp_ready(const struct stack *s, struct tcp_id id);
/** tcp_error() - Positive errno of a failed connection, 0 if none. @clear: report it only once */
int tcp_error(struct stack *s, struct tcp_id id, bool clear);
/**
 * tcp_soft_error() - Take what ICMP last said about data that is in flight: the connection goes on (RFC 1122 4.2.3.9)
 * Return: positive errno; 0: nothing.
 */
int tcp_soft_error(struct stack *s, struct tcp_id id);
/** tcp_endpoints() - Both ends */
void tcp_endpoints(const struct stack *s, struct tcp_id id, struct endpoint *ret_local, struct endpoint *ret_remote);

enum tcp_option {
	TCP_OPT_NODELAY,     /* bool */
	TCP_OPT_CORK,	     /* bool */
	TCP_OPT_QUICKACK,    /* bool */
	TCP_OPT_KEEPALIVE,   /* bool */
	TCP_OPT_KEEPIDLE_S,  /* seconds, 1..32767 */
	TCP_OPT_KEEPINTVL_S, /* seconds, 1..32767 */
	TCP_OPT_KEEPCNT,     /* 1..127 */
	TCP_OPT_USER_TIMEOUT_MS, /* RFC 5482; 0: default */
	TCP_OPT_SNDBUF,	     /* bytes */
	TCP_OPT_RCVBUF,	     /* bytes */
	TCP_OPT_MAXSEG,	     /* bytes of payload at most, both ways, by SYN; later without effect; 88..32767, 0: by the link. Read: of what is sent now */
	TCP_OPT_CONGESTION,  /* index in tcp_cc_name() */
	TCP_OPT_TOS,	     /* 0..255 */
	TCP_OPT_TTL,	     /* 0..255; 0: no further than the link, as Linux allows over IPv6 */
	TCP_OPT_UTO_S,	     /* RFC 5482: tell the peer how long we wait for it, and wait as long as it does; 0: off, ..1966020 */
	TCP_OPT_SYNCNT,	     /* SYN is sent again so often; 1..127 */
	TCP_OPT_LINGER2_S,   /* a closed connection waits for the peer's FIN; 0: default, 1..120, TCP_LINGER2_NONE */
	TCP_OPT_FASTOPEN_MAX,    /* of a listener: data in SYN (RFC 7413), of so many peers not confirmed yet; 0: off, 1..65535 */
	TCP_OPT_DEFER_ACCEPT_S, /* of a listener: accepted when data is there, or after this; 0: off, 1..2^31 - 1 */
	TCP_OPT_PACING,	     /* bytes per second at most (SO_MAX_PACING_RATE); 0, UINT64_MAX: not limited */
	TCP_OPT_NOTSENT_LOWAT, /* not writable with so many bytes unsent; 0: whatever SNDBUF holds */
};
#define TCP_LINGER2_NONE 255 /* TCP_OPT_LINGER2_S: reset instead */
/** tcp_option_check() - Could @opt be set to @value? Return: 0; -EINVAL: out of range; -ENOPROTOOPT. */
int tcp_option_check(enum tcp_option opt, uint64_t value);
/** tcp_option_set() - Return: 0; -EINVAL: out of range; -ENOPROTOOPT; -ENOMEM. */
int tcp_option_set(struct stack *s, struct tcp_id id, enum tcp_option opt, uint64_t value);
/** tcp_listener_option_set() - For all that is accepted from now on. Return: 0; -EINVAL: out of range; -ENOPROTOOPT. */
int tcp_listener_option_set(struct stack *s, struct listener_id l, enum tcp_option opt, uint64_t value);
/**
 * tcp_listener_mark() - TOS or traffic class, and TTL or hop limit, of connections over IPv4 (@v4) or IPv6 that come from now on
 * From their SYN-ACK on, and in place of TCP_OPT_TOS and TCP_OPT_TTL of the listener, which hold for both. ECN's bits of @tos are TCP's
 */
void tcp_listener_mark(struct stack *s, struct listener_id l, bool v4, uint8_t tos, uint8_t ttl);
/** tcp_option_get() - Return: 0; -ENOPROTOOPT. */
int tcp_option_get(const struct stack *s, struct tcp_id id, enum tcp_option opt, uint64_t *ret_value);
/** tcp_cc_name() - Name of a congestion control, NULL past the last */
const char *tcp_cc_name(unsigned idx);

/* What the sender is doing about loss; numbers are Linux's */
enum tcp_ca {
	TCP_CA_OPEN,
	TCP_CA_DISORDER, /* something was SACKed beyond a hole */
	TCP_CA_CWR,
	TCP_CA_RECOVERY,
	TCP_CA_LOSS, /* after a timeout */
};

/** struct tcp_info - what a connection knows about itself (cf. Linux TCP_INFO) */
struct tcp_info {
	enum tcp_state state;
	uint32_t srtt_us, rttvar_us, rto_us;
	uint32_t cwnd_bytes, ssthresh_bytes, mss;
	uint32_t path_mtu; /* bytes of an IP packet; of the link, as long as nothing else is known */
	uint32_t snd_wnd, rcv_wnd;
	uint32_t in_flight_bytes, unsent_bytes, unread_bytes;
	uint8_t ca_state; /* enum tcp_ca */
	uint8_t backoff;  /* doublings of a timer's time; rto_us has them in it */
	uint8_t expiries; /* of the retransmission timer, since anything was acknowledged */
	uint32_t sacked_segs, lost_segs, resent_segs; /* of those in flight; a lost one may have been resent */
	uint32_t min_rtt_us; /* of the last minutes; 0: not measured, or forgotten after a pause */
	uint32_t retransmits; /* segments, in all */
	uint32_t out_of_order; /* segments received, in all */
	uint32_t delivered, delivered_ce; /* segments that the peer has, and of them those told of with ECE; SYN is one */
	uint32_t dsack_dups; /* segments that the peer has reported twice */
	uint32_t reord_seen, reordering; /* how often segments were overtaken, and by how many at most */
	uint64_t delivery_rate_Bps; /* bytes per second, the last that the path limited, or a higher one since; 0: not measured */
	bool delivery_app_limited; /* ... that is, the program limited it */
	/* With something to send or in flight; and the part of it in which the peer's window, our buffer was too small */
	uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us;
	/* What the receiving side has learned; 0: nothing yet, or forgotten after a pause, and on direct channels */
	uint32_t rcv_rtt_us;
	uint32_t rcv_mss;	      /* estimate of the peer's full segment, bytes */
	uint32_t rcv_space_bytes;     /* most that the program has read in one round trip */
	uint32_t rcv_ssthresh_bytes;  /* most that is offered, as yet */
	uint32_t ato_ms;	      /* how long an acknowledgement waits */
	uint32_t last_data_sent_ms, last_data_rcvd_ms, last_ack_sent_ms, last_ack_rcvd_ms; /* ago */
	/* Since the connection was established */
	uint64_t bytes_acked;	      /* SYN of an active opening and FIN count, as in Linux */
	uint64_t bytes_rcvd;	      /* in order; FIN counts */
	uint64_t bytes_sent, bytes_retrans; /* payload; sent: retransmissions included */
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out; /* counted on links that can lose */
	uint64_t pacing_Bps;	      /* bytes per second; 0: not paced */
	uint8_t probes;		      /* of a closed window or for keep-alive, without an answer */
	bool ecn;
	uint8_t snd_wscale, rcv_wscale;
	bool timestamps, sack;
	const char *congestion;
	uint32_t drops[STACK_DROP_CNT]; /* segments of this connection, by enum stack_drop */
};
/** tcp_info() - Snapshot */
void tcp_info(const struct stack *s, struct tcp_id id, struct tcp_info *ret_info);
/**
 * tcp_next() - Walk through all connections, whoever holds them, for tcp_info() and tcp_endpoints(); but for those long in TIME_WAIT
 * @id: {0} to begin; else the last one returned
 * Return: false: that was the last.
 */
bool tcp_next(const struct stack *s, struct tcp_id *id);

/* ---- UDP (RFC 768) --------------------------------------------------------------------------------------------- */

/**
 * udp_open() - Receive datagrams for @local. @flags: enum stack_listen_flags. Of several that hear anyone there the last one does; if that is
 * SHARED, each of those that are has its part of the senders. Return: 0; -EADDRINUSE; -ENOMEM.
 */
int udp_open(struct stack *s, const struct endpoint *local, unsigned flags, uint64_t cookie, struct udp_id *ret_u);
/** udp_close() - Discard what waits */
void udp_close(struct stack *s, struct udp_id u);
/**
 * udp_connect() - Only datagrams from @remote from now on; NULL: from anyone again
 * Others may be opened for the same @local as one that is connected; they get what comes from elsewhere.
 * Return: 0; -EADDRINUSE: not to anyone again, another socket is there for that: nothing has changed.
 */
int udp_connect(struct stack *s, struct udp_id u, const struct endpoint *remote);
/**
 * udp_rcvbuf_set() - What may wait to be read, in bytes; at least one datagram. cfg.rcvbuf_bytes until then
 * Each packet counts 256 bytes more than it carries, as does each fragment. What waits already stays.
 */
void udp_rcvbuf_set(struct stack *s, struct udp_id u, uint32_t bytes);
/*
 * What becomes of datagrams that are larger than the path carries. Numbers are Linux's, of IP_MTU_DISCOVER and
 * IPV6_MTU_DISCOVER. "refused": -EMSGSIZE. "DF": routers must not fragment (they never do in IPv6).
 */
enum udp_mtu_mode {
	UDP_MTU_DONT,	   /* fragments, and no DF */
	UDP_MTU_WANT,	   /* fragments; what fits goes with DF. The default */
	UDP_MTU_DO,	   /* refused; DF */
	UDP_MTU_PROBE,	   /* only the link's MTU counts: refused; DF */
	UDP_MTU_INTERFACE, /* likewise; no DF, and what ICMP says is not believed */
	UDP_MTU_OMIT,	   /* likewise, but fragments */
};
/** udp_mtu_mode_set() - For datagrams over IPv4 (@v4) or IPv6 from now on; links that cannot lose have no path: always WANT */
void udp_mtu_mode_set(struct stack *s, struct udp_id u, bool v4, enum udp_mtu_mode mode);
/** udp_mark_set() - TOS or traffic class, its ECN bits included, and TTL or hop limit, of datagrams over IPv4 (@v4) or IPv6 from now on */
void udp_mark_set(struct stack *s, struct udp_id u, bool v4, uint8_t tos, uint8_t ttl);
/**
 * udp_path_mtu() - What one packet to @dst over @link may have in the socket's mode, in bytes, IP header included
 * Return: 0: no such link; 65535: it cannot lose, so it is not told how many frames a packet takes.
 */
uint32_t udp_path_mtu(const struct stack *s, struct udp_id u, struct link_id link, const struct ip_addr *dst);
/**
 * udp_send() - One datagram out of @link, in fragments if its mode allows that
 * @local: Source address to use; its port is ignored
 * Return: 0; -EMSGSIZE: too large for the mode, or for IP; -EAGAIN: no frame, STACK_EV_WRITABLE follows; -ENOBUFS: not enough
 * frames for all fragments, nothing was sent; -ENETDOWN: no such link; a pending ICMP error, once.
 */
int udp_send(struct stack *s, struct udp_id u, struct link_id link, const struct ip_addr *local,
	     const struct endpoint *remote, const void *buf, size_t len);
/** struct udp_piece - payload of a datagram of many */
struct udp_piece {
	const void *data;
	size_t len;
};
/**
 * udp_send_burst() - As udp_send(), of many to one destination: on a link of LINK_TRAINS several in a packet
 * @ret_sent: How many left
 * Return: 0: all; else why the next one did not, as udp_send().
 */
int udp_send_burst(struct stack *s, struct udp_id u, struct link_id link, const struct ip_addr *local,
		   const struct endpoint *remote, const struct udp_piece *pieces, unsigned n, unsigned *ret_sent);
/**
 * udp_recv() - Oldest datagram
 * Return: 0: @ret_len is its whole length, even when @len was smaller and the rest is gone; -EAGAIN; a pending ICMP error, once.
 */
int udp_recv(struct stack *s, struct udp_id u, void *buf, size_t len, bool peek, size_t *ret_len,
	     struct endpoint *ret_from, struct ip_addr *ret_to, struct link_id *ret_link);
/** udp_next_bytes() - Length of the oldest datagram, whatever error is pending. Return: 0; -EAGAIN: none. */
int udp_next_bytes(const struct stack *s, struct udp_id u, size_t *ret_len);
/** udp_error() - Take the pending ICMP error. Return: positive errno; 0: none. */
int udp_error(struct stack *s, struct udp_id u);
/** udp_ready() - Level: READABLE, ERROR */
uint32_t udp_ready(const struct stack *s, struct udp_id u);

/* ---- counters -------------------------------------------------------------------------------------------------- */

struct stack_stats {
	uint64_t rx_frames, tx_frames;
	uint64_t tcp_conns, tcp_opened, tcp_accepted, tcp_resets_rx, tcp_resets_tx, tcp_retransmits, tcp_timeouts;
	uint64_t tcp_cookies_sent, tcp_cookies_ok, tcp_cookies_bad; /* SYN cookies */
	uint64_t tcp_fastopen_tx, tcp_fastopen_rx, tcp_fastopen_bad; /* RFC 7413: SYNs with data answered, taken; bad cookies */
	uint64_t tcp_challenges;      /* RFC 5961 */
	uint64_t tcp_answers_skipped; /* challenge ACKs and the like, by limit of their rate */
	uint64_t tcp_recoveries, tcp_undos, tcp_probes; /* fast recoveries; mistakes found; tail loss probes */
	uint64_t tcp_mtu_probes, tcp_mtu_raised, tcp_mtu_failed, tcp_mtu_black_holes; /* RFC 4821 */
	uint64_t udp_rx, udp_tx;
	uint64_t ip_reassembled; /* packets */
	uint64_t ip_fragmented;	 /* packets sent in fragments */
	uint64_t mem_bytes;
	uint64_t drops[STACK_DROP_CNT];
};
/** stack_stats() - Copy the counters out */
void stack_stats(const struct stack *s, struct stack_stats *ret_stats);

#endif
