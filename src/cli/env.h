// SPDX-License-Identifier: BSD-2-Clause
/* Environment variables of vjchan: what `vj run` sets, what a user may set, what vj(1) lists. */
#ifndef VJ_CLI_ENV_H
#define VJ_CLI_ENV_H

#define ENV_VARS(X)                                                                                \
	X(SOCKET, "socket of the vjd to use (default: /run/vjchan/vjd.sock, then the user's "      \
		  "private one in "                                                                \
		  "$XDG_RUNTIME_DIR/vjchan or /tmp/vjchan-UID)")                                   \
	X(SPIN_US, "longest time in microseconds that a program looks for frames before it "       \
		   "sleeps; -1: never spin")                                                       \
	X(MTU_PROBING, "how TCP over an interface finds out what a path carries: 0, 1 or 2, as "     \
		       "net.ipv4.tcp_mtu_probing; see vj-preload(7)")                                 \
	X(IO_URING, "1: let a program set up io_uring by syscall(), for files; a ring doesn't see channels")  \
	X(PCAP, "record every frame of the program in this file; %p in it becomes the process id") \
	X(STRICT, "1: fail where vjd or a limit keeps a socket from a channel (vj run --strict)")   \
	X(VERBOSE,                                                                                 \
	  "1: say on standard error which sockets use channels and which the kernel, and why")

enum env_var {
#define X(name, help) ENV_##name,
	ENV_VARS(X)
#undef X
};

/* "VJ_SOCKET" ... */
const char *env_name(enum env_var v);

#endif
