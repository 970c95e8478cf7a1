/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vj.h - libvj: TCP and UDP on network channels, for a program that wants the channel itself
 *
 *	struct vj *vj;
 *	vj_open(NULL, &vj);                        an application of vjd: a MAC, a stack, no channel yet
 *	vj_connect(vj, addr, len, NULL, 0, cookie, &conn);   a direct channel is made on demand
 *	for (;;) {
 *		int n = vj_poll(vj, ev, 64, -1);   runs the stack; sleeps when there is nothing to do
 *		... vj_recv(), vj_send() ...
 *	}
 *
 * Thread rule for the whole file: one thread at a time uses a struct vj and everything in it (one stack per thread is the
 * fast way; a lock around it works too). Progress is made inside vj_poll() and vj_process(); a program that stays away
 * for long delays its acknowledgements, but breaks nothing.
 *
 * Return values: 0 or a count, or a negative errno. Functions never block unless they say so, and make a system call only to
 * wake a sleeping peer, unless they say so. Names of errors are those of the sockets API.
 *
 * Lifetime: a vj_conn, vj_listener or vj_udp is valid until it is closed by its owner, even after it failed.
 */
#ifndef VJ_VJ_H
#define VJ_VJ_H

#include <vj/channel.h>
#include <vj/driver.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vj;

struct vj_conn { uint32_t v; };
struct vj_listener { uint32_t v; };
struct vj_udp { uint32_t v; };

/* ---- the application ------------------------------------------------------------------------------------------ */

/**
 * enum vj_mtu_probing - Finding the path MTU without ICMP (RFC 4821), of TCP over interfaces
 *
 * Other settings of TCP over interfaces are the host's, net.ipv4.tcp_*, as they were when the first channel at an interface was opened.
 */
enum vj_mtu_probing {
	VJ_MTU_PROBING_HOST,	   /* as net.ipv4.tcp_mtu_probing; if that is 0, which nobody needs to have set: VJ_MTU_PROBING_BLACK_HOLE */
	VJ_MTU_PROBING_OFF,	   /* only what routers say counts */
	VJ_MTU_PROBING_BLACK_HOLE, /* search when full segments are lost again and again */
	VJ_MTU_PROBING_ALWAYS,	   /* each connection begins with small segments */
};

/** struct vj_options - initialise with VJ_OPTIONS_INIT; 0 and NULL mean the default */
struct vj_options {
	size_t sz;
	const char *name;	 /* shown by `vj status`; default: the program's name */
	const char *socket_path; /* of vjd; default: $VJ_SOCKET, /run/vjchan/vjd.sock, the user's private one */
	uint32_t conns_max;	 /* default 16,000,000 */
	uint64_t mem_bytes_max;	 /* default: half of the host's memory */
	uint32_t sndbuf_bytes, rcvbuf_bytes; /* of a connection; default 256 KiB, more while a peer reads nothing; auto-tuned where frames can be lost */
	int32_t spin_us;	 /* longest spin before sleeping; -1: never spin; default 50, and none with one CPU */
	const char *pcap_path;	 /* record every frame here */
	void (*log)(void *arg, int level, const char *line); /* level as in syslog(3); default: nothing is printed */
	void *log_arg;
	uint8_t mtu_probing;	 /* enum vj_mtu_probing */
};
#define VJ_OPTIONS_INIT { .sz = sizeof(struct vj_options) }

/**
 * vj_open() - Become an application of vjd
 * @opts: Copied; NULL for defaults
 *
 * Blocks for the handshake with vjd (up to 2 s); makes system calls.
 * Return: 0; -ENOENT or -ECONNREFUSED: no vjd runs there (start one: `vj run`, or vjd(8)); -EPROTO: vjd speaks another control version;
 * -EACCES: vjd refuses this user, or the socket isn't ours to trust; -EUSERS, -ENOMEM, -EMFILE: limits; -ETIMEDOUT: vjd doesn't answer;
 * -EINVAL: bad option.
 */
VJ_API int vj_open(const struct vj_options *opts, struct vj **ret_vj);

/** vj_close() - Leave: open connections are reset, ports given back. Blocks for nobody. NULL allowed. */
VJ_API void vj_close(struct vj *vj);

/**
 * vj_drain() - Give queued data of connections already closed a chance to leave; called before vj_close() at exit
 * @timeout_ms: Longest wait
 * Blocks. Return: 0: nothing left; -ETIMEDOUT.
 */
VJ_API int vj_drain(struct vj *vj, int timeout_ms);

/** vj_forked() - In the child of fork(): free this side's copy without a word to anyone; the parent goes on undisturbed */
VJ_API void vj_forked(struct vj *vj);

/** vj_version() - "0.1.0" of the library that is loaded */
VJ_API const char *vj_version(void);

/* ---- events --------------------------------------------------------------------------------------------------- */

enum vj_obj { VJ_OBJ_CONN, VJ_OBJ_LISTENER, VJ_OBJ_UDP, VJ_OBJ_RAW };

enum vj_ev {
	VJ_EV_READABLE = 1 << 0,  /* data, end of file or an error to collect; RAW: frames in the channel */
	VJ_EV_WRITABLE = 1 << 1,  /* room again after vj_send() fell short; RAW: frames to send in, after there were none */
	VJ_EV_CONNECTED = 1 << 2, /* vj_connect() succeeded; vj_ready(): and not both ends have ended, though there may be data to read */
	VJ_EV_ACCEPT = 1 << 3,	  /* vj_accept() has something; RAW: a new channel, in @raw */
	VJ_EV_EOF = 1 << 4,	  /* peer sent its end of file */
	VJ_EV_ERROR = 1 << 5,	  /* connection failed: vj_error(); RAW: channel closed: vj_channel_error() */
	VJ_EV_SENT_ALL = 1 << 6,  /* everything sent was acknowledged */
	VJ_EV_UNANSWERED = 1 << 7, /* nobody has answered vj_connect() for a second; it goes on. Never with direct channels */
};

struct vj_event {
	uint32_t obj;	 /* enum vj_obj */
	uint32_t events; /* enum vj_ev: what happened since the last report */
	uint64_t cookie;
	union {
		struct vj_conn conn;
		struct vj_listener listener;
		struct vj_udp udp;
		struct vj_channel *raw;
	};
};

/**
 * vj_poll() - Make progress, then report; sleep while there is nothing
 * @timeout_ns: 0: don't sleep; -1: as long as it takes
 * Blocks. Spins first, up to opts.spin_us, when that has paid lately.
 * Return: events, 0..@n; -EINTR: a signal came.
 */
VJ_API int vj_poll(struct vj *vj, struct vj_event *ev, unsigned n, int64_t timeout_ns);

/**
 * vj_process() - Make progress without reporting or sleeping: receive, run due timers, send what is owed
 * Return: true when anything was received or happened.
 */
VJ_API bool vj_process(struct vj *vj);

/** vj_events() - Report what vj_process() found. Return: events, 0..@n. */
VJ_API unsigned vj_events(struct vj *vj, struct vj_event *ev, unsigned n);

/**
 * vj_fd() - A descriptor for poll(2), epoll(7), select(2): readable when vj_process() has work, provided vj_arm() returned true
 * Return: the descriptor; it stays the library's.
 */
VJ_API int vj_fd(const struct vj *vj);

/**
 * vj_arm() - About to sleep on vj_fd(): ask every peer to ring
 * @ret_timeout_ns: Sleep no longer than this; -1: no limit
 * Return: true: sleep; call vj_disarm() after; false: there is work already, don't sleep.
 */
VJ_API bool vj_arm(struct vj *vj, int64_t *ret_timeout_ns);

/** vj_disarm() - Awake again: drain the doorbell */
VJ_API void vj_disarm(struct vj *vj);

/** vj_unfinished() - Is something owed to a peer that only vj_process() will send? */
VJ_API bool vj_unfinished(const struct vj *vj);

/* ---- TCP ------------------------------------------------------------------------------------------------------ */

enum vj_listen_flags { VJ_LISTEN_REUSEPORT = 1, VJ_LISTEN_V6ONLY = 2 };

/**
 * vj_listen() - Accept connections of other applications
 * @addr:      sockaddr_in or sockaddr_in6; port 0 lets the kernel choose (vj_listener_addr())
 * @backlog:   1..65535
 * @kernel_fd: The caller's kernel socket bound to @addr, proof that the port is its own; -1: the library binds one itself and keeps it
 *
 * Blocks for an answer of vjd; makes system calls.
 * Return: 0; -EADDRINUSE: port taken, by the kernel or by another application; -EACCES: port not allowed; -EADDRNOTAVAIL: not an
 * address of this host; -EINVAL, -EAFNOSUPPORT; -ENOSPC: too many leases; -ENOTCONN: vjd is gone; -ENOMEM.
 */
VJ_API int vj_listen(struct vj *vj, const struct sockaddr *addr, socklen_t addr_len, uint32_t backlog, unsigned flags,
		     int kernel_fd, uint64_t cookie, struct vj_listener *ret_l);
/** vj_listener_addr() - Where it listens; @ret_addr of struct sockaddr_storage size */
VJ_API void vj_listener_addr(const struct vj *vj, struct vj_listener l, struct sockaddr_storage *ret_addr);
/** vj_listener_backlog() - Change the backlog, 1..65535 */
VJ_API void vj_listener_backlog(struct vj *vj, struct vj_listener l, uint32_t backlog);
/** vj_listener_ready() - Connections waiting for vj_accept() */
VJ_API uint32_t vj_listener_ready(const struct vj *vj, struct vj_listener l);
/** vj_unlisten() - Stop; what wasn't accepted is reset, the port given back. Waits for vjd. */
VJ_API void vj_unlisten(struct vj *vj, struct vj_listener l);
/** vj_accept() - Next connection, from now on reporting to @cookie. Return: 0; -EAGAIN: none. */
VJ_API int vj_accept(struct vj *vj, struct vj_listener l, uint64_t cookie, struct vj_conn *ret_c);

/**
 * vj_connect() - Begin a connection to an application of this host; VJ_EV_CONNECTED or VJ_EV_ERROR follows
 * @remote: sockaddr_in or sockaddr_in6
 * @local:  Source, NULL or port 0: chosen. Over an interface an address of this host, and a port that a listener of this application has
 *
 * The first connection to a peer blocks for an answer of vjd, which makes the channel.
 * Return: 0; -EHOSTUNREACH: no application owns that endpoint (it may be the kernel's: use a kernel socket);
 * -ENETUNREACH: which way leads there only the kernel knows (rules of routing, several hops): likewise; -EACCES: another
 * user's; -EPERM: not from @local over an interface; -EADDRNOTAVAIL: no port left; -EADDRINUSE: these endpoints are connected already; -ENOTCONN: vjd is gone and no channel to that peer
 * is known; -ETIMEDOUT: vjd doesn't answer, or has not yet made the channel at an interface by which it may go; -ENOSPC, -ENOMEM, -EMFILE:
 * limits; -EAFNOSUPPORT, -EINVAL; -EAGAIN: the peer is hung.
 */
VJ_API int vj_connect(struct vj *vj, const struct sockaddr *remote, socklen_t remote_len, const struct sockaddr *local,
		      socklen_t local_len, uint64_t cookie, struct vj_conn *ret_c);

/**
 * vj_connect_again() - The peer refused a connection (ECONNREFUSED), or died before (ECONNRESET): try who owns the endpoint now
 *
 * Where several applications share an endpoint, who was asked may have given it up meanwhile.
 * Return: 0: another one is asked, and @c is gone; as vj_connect(): @c is as it was.
 */
VJ_API int vj_connect_again(struct vj *vj, struct vj_conn c, uint64_t cookie, struct vj_conn *ret_c);

/** vj_conn_addrs() - Both ends; either pointer may be NULL */
VJ_API void vj_conn_addrs(const struct vj *vj, struct vj_conn c, struct sockaddr_storage *ret_local,
			  struct sockaddr_storage *ret_remote);
/** vj_conn_cookie() - Change what events carry */
VJ_API void vj_conn_cookie(struct vj *vj, struct vj_conn c, uint64_t cookie);

/**
 * vj_conn_soon() - @c will be used soon: have its memory come into the cache meanwhile
 * For programs with so many connections that each is out of the caches when its turn comes. Call it some calls ahead, for a dozen or
 * so at a time. Changes nothing; @c may even be gone.
 */
VJ_API void vj_conn_soon(const struct vj *vj, struct vj_conn c);

enum vj_send_flags { VJ_SEND_MORE = 1 }; /* more follows: may wait to fill a segment */

/**
 * vj_send() - Send by copy
 * Return: bytes taken, 1..@len (fewer when the buffer is full; VJ_EV_WRITABLE follows); 0 only when @len is 0;
 * -EAGAIN: none taken; -ENOTCONN; -EPIPE: this side is shut; -ECONNRESET, -ETIMEDOUT ...: the connection's error, once; -ENOMEM.
 */
VJ_API ssize_t vj_send(struct vj *vj, struct vj_conn c, const void *buf, size_t len, unsigned flags);

/**
 * vj_send_buffer() - Take a buffer of the channel to compose the next bytes in, in place
 * @ret_data, @ret_room: Where and how many; until vj_send_commit(), which must be the next call on @vj
 * Return: 0; -EAGAIN: no frame or window at the moment: use vj_send(); errors as vj_send().
 */
VJ_API int vj_send_buffer(struct vj *vj, struct vj_conn c, uint8_t **ret_data, size_t *ret_room);
/**
 * vj_send_commit() - Send @len bytes stored there; 0: nothing
 * @flags: VJ_SEND_MORE: more follows at once; the peer may be shown it together with that, at the latest by vj_process()
 * Return: 0 or as vj_send().
 */
VJ_API int vj_send_commit(struct vj *vj, struct vj_conn c, size_t len, unsigned flags);

/**
 * vj_recv() - Receive by copy
 * @peek: Leave the bytes
 * Return: bytes; 0: end of file (or @len 0); -EAGAIN: none yet; -ENOTCONN; the connection's error, once.
 */
VJ_API ssize_t vj_recv(struct vj *vj, struct vj_conn c, void *buf, size_t len, bool peek);

/**
 * vj_recv_borrow() - Receive without a copy: the oldest bytes, where they arrived
 * @ret_data: Valid until vj_recv_return() or a close of @c. The peer of a direct channel can still write there: copy what you check.
 * Return: bytes; else as vj_recv().
 */
VJ_API ssize_t vj_recv_borrow(struct vj *vj, struct vj_conn c, const uint8_t **ret_data);
/** vj_recv_return() - Done with the first @len of them */
VJ_API void vj_recv_return(struct vj *vj, struct vj_conn c, size_t len);

/** vj_shutdown() - End of file to the peer, after what is queued. Return: 0; -ENOTCONN. */
VJ_API int vj_shutdown(struct vj *vj, struct vj_conn c);
/** vj_conn_close() - Close in order, in the background; @c is invalid from here. Unread data makes it a reset. */
VJ_API void vj_conn_close(struct vj *vj, struct vj_conn c);
/** vj_conn_abort() - Reset; @c is invalid from here */
VJ_API void vj_conn_abort(struct vj *vj, struct vj_conn c);
/** vj_ready() - Level of VJ_EV_READABLE, _WRITABLE, _CONNECTED, _EOF, _ERROR now */
VJ_API uint32_t vj_ready(const struct vj *vj, struct vj_conn c);
/** vj_error() - Why a connection failed. @clear: report it once. Return: positive errno; 0: it did not fail. */
VJ_API int vj_error(struct vj *vj, struct vj_conn c, bool clear);

enum vj_option {
	VJ_OPT_NODELAY, VJ_OPT_CORK, VJ_OPT_QUICKACK, VJ_OPT_KEEPALIVE, /* bool */
	VJ_OPT_KEEPIDLE_S, VJ_OPT_KEEPINTVL_S,			       /* seconds, 1..32767 */
	VJ_OPT_KEEPCNT,						       /* 1..127 */
	VJ_OPT_USER_TIMEOUT_MS,		/* how long data may stay unacknowledged, 0..2^31 - 1; 0: by the retransmissions (RFC 9293 3.8.3) */
	VJ_OPT_SNDBUF, VJ_OPT_RCVBUF, /* bytes; less than 2048 or more than 2^30: cut to that */
	VJ_OPT_MAXSEG,		      /* bytes, 88..32767; 0: by the channel. Before the connection is made; read: of what is sent now */
	VJ_OPT_CONGESTION,	      /* index of vj_congestion_name() */
	VJ_OPT_TOS, VJ_OPT_TTL,	      /* or traffic class and hop limit, 0..255; TOS's ECN bits are TCP's */
	VJ_OPT_UTO_S,		/* tell the peer how long we wait for it (RFC 5482), seconds, 1..1966020; 0: don't */
	VJ_OPT_SYNCNT,		/* SYN is sent again so often, 1..127 */
	VJ_OPT_LINGER2_S,	/* how long the peer's end is waited for after a close, seconds; 0: default, 1..120, 255: not at all */
	VJ_OPT_FASTOPEN_MAX,	/* of a listener: data in SYN (RFC 7413) of so many peers not confirmed yet; 0: none, 1..65535 */
	VJ_OPT_DEFER_ACCEPT_S,	/* of a listener: accepted when there is data, or after so many seconds; 0: at once */
	VJ_OPT_PACING,		/* bytes per second at most; 0: not limited */
	VJ_OPT_NOTSENT_LOWAT,	/* not writable with so many bytes unsent; 0: no such limit */
};
/** vj_listener_option_set() - For all that is accepted from now on. Return: 0; -EINVAL: out of range; -ENOPROTOOPT: unknown. */
VJ_API int vj_listener_option_set(struct vj *vj, struct vj_listener l, enum vj_option opt, uint64_t value);
/** vj_conn_option_set() - Return: 0; -EINVAL: out of range; -ENOPROTOOPT: unknown. */
VJ_API int vj_conn_option_set(struct vj *vj, struct vj_conn c, enum vj_option opt, uint64_t value);
/** vj_conn_option_get() - Return: 0; -ENOPROTOOPT. */
VJ_API int vj_conn_option_get(const struct vj *vj, struct vj_conn c, enum vj_option opt, uint64_t *ret_value);
/** vj_congestion_name() - "cubic" ..., NULL past the last */
VJ_API const char *vj_congestion_name(unsigned idx);

/**
 * vj_drop_name() - Reasons for which a received frame is dropped: "TCP_PAWS" ..., NULL past the last
 * A later library has more of them, in another order; the names stay.
 */
VJ_API const char *vj_drop_name(unsigned why);
/** vj_drop_text() - The reason in words; NULL past the last */
VJ_API const char *vj_drop_text(unsigned why);
enum { VJ_DROPS_MAX = 64 }; /* there are fewer */

/** struct vj_conn_info - what a connection knows about itself. The names of Linux's TCP_INFO, where it has one, mean the same. */
struct vj_conn_info {
	size_t sz; /* set by the caller to sizeof(struct vj_conn_info) */
	uint32_t state; /* as TCP_INFO's tcpi_state: 1 established ... */
	uint32_t ca_state; /* 0 open, 1 disorder, 2 congestion window reduced, 3 recovery, 4 loss */
	uint32_t srtt_us, rttvar_us, rto_us, min_rtt_us; /* 0: not measured, as on direct channels */
	uint32_t backoff;		     /* doublings of a timer's time; rto_us has them in it */
	uint32_t cwnd_bytes, ssthresh_bytes; /* UINT32_MAX: no limit */
	uint32_t mss;			     /* payload of a full segment, bytes */
	uint32_t snd_wnd, rcv_wnd;
	uint32_t in_flight_bytes, unsent_bytes, unread_bytes;
	uint32_t sacked_segs, lost_segs, resent_segs; /* of those in flight */
	uint32_t retransmits;			      /* segments, in all */
	uint32_t out_of_order;			      /* segments received ahead of a hole, in all */
	uint32_t rcv_rtt_us, rcv_mss, rcv_space_bytes, rcv_ssthresh_bytes, ato_ms; /* what the receiving side has learned */
	uint32_t last_data_sent_ms, last_data_rcvd_ms, last_ack_sent_ms, last_ack_rcvd_ms; /* ago */
	uint64_t bytes_acked, bytes_rcvd, bytes_sent, bytes_retrans; /* since the connection was established */
	/* Likewise, counted where frames can be lost; 0 on direct channels */
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
	uint64_t pacing_Bps; /* bytes per second; 0: not paced */
	uint32_t probes;     /* of a closed window or for keep-alive, without an answer */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t timestamps, sack, ecn; /* agreed on: 1 */
	uint8_t delivery_app_limited; /* 1: delivery_rate_Bps is what the program had to send, not what the path carries */
	uint8_t expiries; /* of the retransmission timer, since anything was acknowledged: tcpi_retransmits */
	uint8_t pad;
	char congestion[16];
	uint32_t delivered, delivered_ce; /* segments that the peer has; of them those that it told of with ECE */
	uint32_t dsack_dups;		  /* segments that the peer has reported twice */
	uint32_t reord_seen, reordering;  /* how often segments were overtaken, and by how many at most */
	uint32_t path_mtu;		  /* bytes of an IP packet on the way to the peer; of the link, as long as nothing else is known */
	uint64_t delivery_rate_Bps;				/* bytes per second; 0: not measured */
	uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us; /* with something to send; limited by the peer's window, by our buffer */
	/* On all links: segments of this connection that were dropped, by vj_drop_name() */
	uint32_t drops[VJ_DROPS_MAX];
};
/**
 * vj_conn_info() - Snapshot
 * @ret_info: with sz set. A program built with an earlier version has a smaller struct and gets what that knew.
 * Return: 0; -EINVAL: @sz is none that a version had.
 */
VJ_API int vj_conn_info(const struct vj *vj, struct vj_conn c, struct vj_conn_info *ret_info);
/** vj_state_name() - "established" ... of vj_conn_info.state; "?" for others */
VJ_API const char *vj_state_name(uint32_t state);
/**
 * vj_conn_next() - Walk through all connections, those included that wait to be accepted or were closed and are not over (of those in
 * TIME_WAIT: in its first second)
 * @c: {0} to begin; else the last one returned. For vj_conn_info() and vj_conn_addrs(); all else is the owner's.
 * Return: false: that was the last.
 */
VJ_API bool vj_conn_next(const struct vj *vj, struct vj_conn *c);

/**
 * vj_has_interface() - Can anything beyond this host be reached?
 * True if vjd offers channels at interfaces of the host (vjd --attach, vj attach). vj_connect() and vj_udp_send() then go
 * where the kernel would send, by the host's routes; the first time that this is wanted takes milliseconds.
 */
VJ_API bool vj_has_interface(struct vj *vj);

/* ---- UDP ------------------------------------------------------------------------------------------------------ */

/**
 * vj_udp_open() - Receive datagrams of other applications
 * @addr, @flags, @kernel_fd: as vj_listen(); port 0: chosen by the kernel
 * Return: as vj_listen().
 */
VJ_API int vj_udp_open(struct vj *vj, const struct sockaddr *addr, socklen_t addr_len, unsigned flags, int kernel_fd,
		       uint64_t cookie, struct vj_udp *ret_u);
/** vj_udp_addr() - Where it is bound */
VJ_API void vj_udp_addr(const struct vj *vj, struct vj_udp u, struct sockaddr_storage *ret_addr);
/** vj_udp_close() - What waits is discarded; the port is given back */
VJ_API void vj_udp_close(struct vj *vj, struct vj_udp u);
/**
 * vj_udp_connect() - Take datagrams from @remote only, and hear of its errors; NULL: from anyone again
 * Another one may then be opened for the same address and port (if @kernel_fd's SO_REUSEADDR or SO_REUSEPORT allow it);
 * it gets what others send. Does not ask vjd, makes no system call.
 * Return: 0; -EINVAL, -EAFNOSUPPORT: not an address; -EADDRINUSE: not from anyone, another one is there for that.
 */
VJ_API int vj_udp_connect(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len);
/**
 * vj_udp_reach() - Is there an application behind @remote?
 * Asks vjd, and may block for the answer; vj_udp_send() asks for the first datagram to @remote only. Return: 0; -EHOSTUNREACH ...: as vj_connect().
 */
VJ_API int vj_udp_reach(struct vj *vj, const struct sockaddr *remote, socklen_t remote_len);
/**
 * vj_udp_mtu_discover() - What becomes of datagrams that are larger than one packet may be: ip(7), IP_MTU_DISCOVER; ipv6(7)
 * @family: AF_INET, AF_INET6: of the datagrams' addresses
 * @mode:   IP_PMTUDISC_DONT, _WANT (the default), _OMIT: they go in fragments; _DO, _PROBE, _INTERFACE: -EMSGSIZE
 * On a direct channel there is no path: a datagram takes as many frames as it needs, in any mode.
 * Return: 0; -EINVAL: no such mode or family.
 */
VJ_API int vj_udp_mtu_discover(struct vj *vj, struct vj_udp u, int family, int mode);
/**
 * vj_udp_send() - One datagram, in as many packets as it needs
 * Return: 0; -EMSGSIZE: more than UDP carries (65,507 bytes, 65,527 over IPv6), or than one packet where vj_udp_mtu_discover()
 * wants that; -EAGAIN: the channel is full, VJ_EV_WRITABLE follows; -ENOBUFS: it has not enough frames for all packets, none
 * was sent; -EHOSTUNREACH ...: as vj_connect(); -ECONNREFUSED: an earlier one was refused, once.
 */
VJ_API int vj_udp_send(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len,
		       const void *buf, size_t len);
/**
 * vj_udp_recv() - Oldest datagram
 * @ret_from: Sender, or NULL
 * @ret_to:   The address of ours that it was sent to, with our port; or NULL
 * Return: its whole length, even when @len was smaller and the rest is gone; -EAGAIN; -ECONNREFUSED, once.
 */
VJ_API ssize_t vj_udp_recv(struct vj *vj, struct vj_udp u, void *buf, size_t len, bool peek,
			   struct sockaddr_storage *ret_from, struct sockaddr_storage *ret_to);
/** struct vj_udp_msg - one datagram of a batch */
struct vj_udp_msg {
	void *data;			/* what to send; where to receive. The caller's. */
	uint32_t len;			/* bytes to send; room to receive in */
	uint32_t bytes;			/* received: its whole length, even when @len was smaller and the rest is gone */
	struct sockaddr_storage *from;	/* received: where to put the sender, or NULL. The caller's. */
};
/**
 * vj_udp_send_batch() - Many datagrams to one destination, shown to its owner together
 * @msgs, @n: data and len of each, 1..n
 * Return: how many were sent, 1..@n; fewer than @n when the next would have failed. What that fails with is told by the next
 * call, as by vj_udp_send().
 */
VJ_API int vj_udp_send_batch(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len,
			     const struct vj_udp_msg *msgs, unsigned n);
/**
 * vj_udp_recv_batch() - The oldest datagrams, up to @n
 * @msgs: in: data, len, from; out: bytes
 * Return: how many, 1..@n; -EAGAIN: none; -ECONNREFUSED, once.
 */
VJ_API int vj_udp_recv_batch(struct vj *vj, struct vj_udp u, struct vj_udp_msg *msgs, unsigned n);
/** vj_udp_next_bytes() - Length of the oldest datagram; takes nothing, no pending error either. Return: bytes; -EAGAIN: none. */
VJ_API ssize_t vj_udp_next_bytes(const struct vj *vj, struct vj_udp u);
/** vj_udp_ready() - Level of VJ_EV_READABLE, _ERROR now */
VJ_API uint32_t vj_udp_ready(const struct vj *vj, struct vj_udp u);
/** vj_udp_error() - Take the error that the next call would report. Return: positive errno; 0: none. */
VJ_API int vj_udp_error(struct vj *vj, struct vj_udp u);

/* ---- bare channels -------------------------------------------------------------------------------------------- */

/**
 * vj_raw_listen() - Offer bare channels under a number; each comes as VJ_OBJ_RAW with VJ_EV_ACCEPT
 * @port: 1..65535; a name space of its own
 * Return: 0; -EADDRINUSE; -ENOTCONN.
 */
VJ_API int vj_raw_listen(struct vj *vj, uint16_t port, uint64_t cookie);
/**
 * vj_raw_connect() - A bare channel to the application that offers @port
 * @ret_ch: Use with <vj/channel.h>; vj_poll() reports VJ_OBJ_RAW, READABLE, when frames come
 * Blocks for an answer of vjd. Return: 0; -EHOSTUNREACH: nobody offers it; others as vj_connect().
 */
VJ_API int vj_raw_connect(struct vj *vj, uint16_t port, uint64_t cookie, struct vj_channel **ret_ch);
/** vj_raw_close() - Close and free a bare channel; the peer sees VJ_CHANNEL_ERR_PEER_GONE */
VJ_API void vj_raw_close(struct vj *vj, struct vj_channel *ch);

/* ---- numbers -------------------------------------------------------------------------------------------------- */

struct vj_stats {
	size_t sz; /* set by the caller to sizeof(struct vj_stats) */
	uint64_t rx_frames, tx_frames, rx_bytes, tx_bytes;
	uint64_t wakes_sent, sleeps, spins_won, spins_lost;
	uint64_t tcp_conns, tcp_opened, tcp_accepted, tcp_retransmits, tcp_resets_rx, tcp_resets_tx;
	uint64_t drops; /* frames, for all reasons; vj_drops() tells them apart */
	uint64_t channels, channels_closed; /* open now; closed by a violation since the start */
	uint64_t mem_bytes;
};
/** vj_stats() - Return: 0; -EINVAL: @sz. */
VJ_API int vj_stats(const struct vj *vj, struct vj_stats *ret_stats);
/** vj_drops() - Frames dropped so far for one reason, by vj_drop_name(); 0 past the last */
VJ_API uint64_t vj_drops(const struct vj *vj, unsigned why);

#ifdef __cplusplus
}
#endif
#endif
