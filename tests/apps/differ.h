/* SPDX-License-Identifier: BSD-2-Clause */
/* differ.h - what the parts of `differ_calls` share. Theory of operation: differ_calls.c */
#ifndef TESTS_APPS_DIFFER_H
#define TESTS_APPS_DIFFER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { SIDES = 2, SLOTS = 6, WORDS = 12, PORTS_MAX = 64 };

/* What a slot holds; a call of the table names those that it is drawn for. */
enum kind { KIND_NONE = 0, KIND_TCP = 1, KIND_UDP = 2, KIND_EPOLL = 4, KIND_FILE = 8, KIND_SOCK = 3, KIND_ANY = 15 };

/* A descriptor of this side */
struct slot {
	int fd;
	enum kind kind;
	int family;
	bool reuses; /* SO_REUSEADDR is on: may be given a port by number */
	bool listens;
	int peer_family; /* UDP: of the address of connect(); 0: none */
	bool copied; /* another process has it, or had */
	bool sent;   /* UDP: while it was not connected */
	bool named;  /* its port is known to the board */
	bool renewed; /* TCP, by connect(AF_UNSPEC) */
	bool unnamed; /* TCP, by connect(AF_UNSPEC): the kernel goes on telling the port that it had and has given back */
};
extern struct slot slots[SLOTS];
extern int me; /* which side this is */
extern int hand_over; /* a socket to the other side, for descriptors */

/* What a call is drawn for, of that kind, seven times of eight */
enum liking { LIKES_ALL, LIKES_LISTENING, LIKES_OTHERS };

/* A step of the sequence. Both sides have the same from the seed; what a word means is the call's affair. */
struct step {
	int side;
	unsigned call;
	uint32_t w[WORDS];
};

/* Where somebody can be reached */
struct place {
	enum kind kind;
	struct sockaddr_storage addr;
	socklen_t len;
};

/* In memory that both sides share. Whoever has the turn uses it. */
struct board {
	uint32_t conns, on_channels; /* accepted in all seeds; on channels among them. The rest is of this seed. */
	uint32_t lines;	 /* of this seed, so far */
	uint32_t ported; /* ports by number that were used */
	uint32_t bytes;	 /* sent so far: what the next ones look like */
	bool differs;	 /* from the transcript that is followed: the rest of the seed is passed over */
	bool twice;	 /* the kernel chose a port a second time, which is chance: this run of the seed is void */
	int given;	 /* a descriptor is on its way: 1 + who has sent it; 0: none is */
	int udp_sender;	       /* side * SLOTS + slot of who sent the last datagram */
	bool udp_unread[SIDES]; /* some socket there has datagrams */
	struct {
		enum kind kind;
		uint16_t port;
	} ports[PORTS_MAX]; /* that the kernel chose, in order of appearance */
	uint32_t port_cnt;
	struct place places[SIDES][SLOTS];
};
extern struct board *board;

/* ---- differ_calls.c: lines */

/* Adds to the line of the step. */
void put(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The result of a call, by the name of errno if negative, and SIGPIPE if there was one */
void put_result(long r);
void put_bits(uint32_t bits);
/* @len: as the call said; more than that of @sa is not looked at */
void put_addr(enum kind kind, const struct sockaddr_storage *sa, socklen_t len);
/* Length and a hash */
void put_bytes(const void *bytes, long len);

/* A port by number that is this seed's own. @nr: 0 ... 7; nobody ever binds to 7 */
uint16_t port_of(unsigned nr);
/* The socket has a name now; @chosen: a port of the kernel's choice */
void publish(unsigned slot, bool chosen);

/* The first free one from @from on; -1: none. */
int slot_free(unsigned from);
void slot_clear(unsigned slot);

/* ---- differ_table.c */

struct call {
	const char *name;
	unsigned weight; /* how often it is drawn */
	unsigned kinds;	 /* what it is drawn for; 0: needs no slot */
	enum liking likes;
	/* Makes the call and puts what it did. @slot: of such a kind; -1 if it needs none */
	void (*run)(const struct step *st, int slot);
};
extern const struct call calls[];
extern const unsigned call_cnt;
unsigned call_by_name(const char *name);
unsigned call_drawn(uint32_t word);
/* The first steps: sockets that are connected or can be. @nr: of the step. Return: false: there are no more. */
bool opening(uint64_t seed, unsigned nr, struct step *ret_step);
/* The other side has sent a descriptor. */
void take_given(void);

/* ---- differ_options.c */

void run_setsockopt(const struct step *st, int slot);
void run_getsockopt(const struct step *st, int slot);
/* All of a socket */
void run_options(const struct step *st, int slot);

/* ---- differ_data.c */

void run_send(const struct step *st, int slot);
void run_recv(const struct step *st, int slot);
void run_recvmmsg(const struct step *st, int slot);
void run_sendmmsg(const struct step *st, int slot);
void run_sendfile(const struct step *st, int slot);
void run_splice(const struct step *st, int slot);
/* An address to connect or send to, from a word. Return: its length */
socklen_t target(uint32_t word, const struct slot *s, struct sockaddr_storage *ret_addr);

/* A call that waits ends early when this process is stopped and goes on, or frozen; that is chance. */
#define AGAIN(call) \
	({ \
		__typeof__(call) again_ret; \
		do \
			again_ret = (call); \
		while (again_ret < 0 && errno == EINTR); \
		again_ret; \
	})

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(word, array) ((array)[(word) % COUNT(array)])

#endif
