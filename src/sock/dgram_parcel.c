// SPDX-License-Identifier: BSD-2-Clause
/*
 * dgram_parcel.c - what a UDP socket's copies have in common besides the kernel's socket: who reads, and what had come when it left channels
 *
 * A parcel is a memfd that all have mapped. Those who have it may be other users' by now, or hostile: it is sealed, and what stands in it is checked.
 */
#include "sock/dgram_priv.h"
#include "sock/kernel.h"
#include "sock/layer.h"

#include "base/time.h"
#include "lib/dgram.h"
#include "lib/own_fd.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
	PARCEL_BYTES = 16 << 20, /* as records, what may wait with SO_RCVBUF as the kernel takes it by default, be it datagrams without a byte, 450 to a packet; with 4,000,000,
				    what comes one by one, of whatever size. Pages that are never written cost nothing */
};

/*
 * FREE -> HELD by who puts the socket on channels, HELD -> FREE if nothing came of that; HELD -> CLAIMED, FREE -> OPEN by whoever else uses a copy;
 * HELD, CLAIMED -> OPEN by the holder. OPEN is for good.
 */
enum parcel_state {
	PARCEL_FREE,	/* nobody has it on channels */
	PARCEL_HELD,	/* one process has */
	PARCEL_CLAIMED, /* it is to give it to the kernel */
	PARCEL_OPEN,	/* the kernel's; as long as there are records, they come before what the kernel has */
};

struct parcel {
	_Atomic uint32_t state; /* enum parcel_state */
	_Atomic int32_t err;	/* errno, for whoever reads first; 0: none. As the next two, if OPEN */
	_Atomic uint32_t at;	/* the next record, bytes from `records` */
	_Atomic uint32_t end;
	_Alignas(8) uint8_t records[PARCEL_BYTES];
};

struct record {
	uint32_t len;
	struct sockaddr_in6 from, to; /* or sockaddr_in */
	uint8_t data[];
};

static bool parcel_map(struct dgram *d, int fd)
{
	void *p = mmap(NULL, sizeof(struct parcel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED) {
		own_fd_close(fd);
		return false;
	}
	d->parcel = p;
	d->parcel_fd = fd;
	return true;
}

bool parcel_make(struct dgram *d)
{
	static const uint8_t last;
	int fd = OWN_FD_MAKE(sys_memfd_create("vj-datagrams", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	if (fd < 0)
		return false;
	if (own_fd_write(fd, &last, 1, sizeof(struct parcel) - 1) || sys_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		own_fd_close(fd);
		return false;
	}
	if (!parcel_map(d, fd))
		return false;
	atomic_store(&d->parcel->state, d->open ? PARCEL_HELD : PARCEL_FREE);
	return true;
}

bool parcel_take(struct dgram *d, int fd)
{
	int seals = sys_fcntl(fd, F_GET_SEALS, 0), want = F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat st;

	if (d->parcel || seals < 0 || (seals & want) != want || sys_fstat(fd, &st) || st.st_size != sizeof(struct parcel)) {
		own_fd_close(fd);
		return false;
	}
	return parcel_map(d, fd);
}

void parcel_drop(struct dgram *d)
{
	if (d->claims || !d->parcel)
		return;
	munmap(d->parcel, sizeof(*d->parcel));
	own_fd_close(d->parcel_fd);
	d->parcel = NULL;
	d->parcel_fd = -1;
	if (d->stays)
		far_unname(d);
}

void parcel_unmap(struct parcel *p)
{
	munmap(p, sizeof(*p));
}

static uint32_t record_bytes(uint32_t len)
{
	return ((uint32_t)sizeof(struct record) + len + 7) / 8 * 8;
}

bool parcel_is_open(const struct parcel *p)
{
	return atomic_load_explicit(&p->state, memory_order_acquire) == PARCEL_OPEN;
}

bool parcel_is_claimed(const struct parcel *p)
{
	return atomic_load(&p->state) == PARCEL_CLAIMED;
}

static bool state_move(struct parcel *p, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&p->state, &from, to);
}

bool parcel_hold(struct parcel *p)
{
	return state_move(p, PARCEL_FREE, PARCEL_HELD);
}

bool parcel_claim(struct parcel *p)
{
	if (!state_move(p, PARCEL_FREE, PARCEL_OPEN))
		state_move(p, PARCEL_HELD, PARCEL_CLAIMED);
	return parcel_is_open(p);
}

void parcel_wait(struct parcel *p, int ms)
{
	struct timespec limit = { .tv_nsec = ms * (long)NS_PER_MS };

	sys_futex(&p->state, FUTEX_WAIT, PARCEL_CLAIMED, &limit);
}

/* Return: the first record, which is whole, and its place; NULL: there is none. */
static const struct record *parcel_first(const struct parcel *p, uint32_t *ret_at, uint32_t *ret_len)
{
	uint32_t at = atomic_load(&p->at), end = atomic_load(&p->end), len;

	if (!parcel_is_open(p) || end > sizeof(p->records) || at >= end || end - at < sizeof(struct record) || at % 8)
		return NULL;
	len = ((const struct record *)(const void *)(p->records + at))->len;
	if (len > DGRAM_BYTES_MAX || record_bytes(len) > end - at)
		return NULL;
	*ret_at = at;
	*ret_len = len;
	return (const struct record *)(const void *)(p->records + at);
}

bool parcel_is_empty(const struct parcel *p)
{
	uint32_t at, len;

	return !parcel_first(p, &at, &len) && !(parcel_is_open(p) && atomic_load(&p->err));
}

/* What has come over channels; once, before it is OPEN */
static void parcel_fill(struct parcel *p, struct vj_udp udp)
{
	uint32_t end = 0;
	struct sockaddr_storage from, to;
	ssize_t len;
	int err = vj_udp_error(sock.vj, udp);

	if (err)
		atomic_store(&p->err, err);
	while ((len = vj_udp_next_bytes(sock.vj, udp)) >= 0 && len <= DGRAM_BYTES_MAX && record_bytes((uint32_t)len) <= sizeof(p->records) - end) {
		struct record *r = (struct record *)(void *)(p->records + end);

		if (vj_udp_recv(sock.vj, udp, r->data, (size_t)len, false, &from, &to) != len)
			break;
		r->len = (uint32_t)len;
		memcpy(&r->from, &from, sizeof(r->from));
		memcpy(&r->to, &to, sizeof(r->to));
		end += record_bytes((uint32_t)len);
	}
	atomic_store(&p->end, end);
}

static void parcel_publish(struct parcel *p)
{
	atomic_store(&p->state, PARCEL_OPEN);
	sys_futex(&p->state, FUTEX_WAKE, INT32_MAX, NULL);
}

void parcel_unhold(struct parcel *p)
{
	if (!state_move(p, PARCEL_HELD, PARCEL_FREE))
		parcel_publish(p); /* it was claimed meanwhile */
}

int parcel_error(struct parcel *p)
{
	int err = parcel_is_open(p) ? atomic_exchange(&p->err, 0) : 0;

	return err < 0 || err > 4095 ? ECONNREFUSED : err;
}

void dgram_pack(struct sock *s, bool keep)
{
	struct dgram *d = s->dgram;

	if (d->open && sock.vj && keep && !d->parcel && (vj_udp_ready(sock.vj, d->udp) & (VJ_EV_READABLE | VJ_EV_ERROR)))
		(void)parcel_make(d);
	if (d->open && sock.vj && d->parcel) {
		parcel_fill(d->parcel, d->udp);
		parcel_publish(d->parcel);
		d->stays = true; /* others read it by the kernel from now on */
	}
	if (!keep)
		parcel_drop(d);
}

long dgram_unpack(struct sock *s, struct msghdr *msg, int flags, struct sockaddr_storage *ret_from, struct sockaddr_storage *ret_to)
{
	struct parcel *p = s->dgram->parcel;
	const struct record *r;
	uint32_t at, len;
	int err = parcel_error(p);

	if (err)
		return -err;
	while ((r = parcel_first(p, &at, &len))) {
		if (!(flags & MSG_PEEK) && !atomic_compare_exchange_strong(&p->at, &at, at + record_bytes(len)))
			continue; /* another process was faster */
		memset(ret_from, 0, sizeof(*ret_from));
		memset(ret_to, 0, sizeof(*ret_to));
		memcpy(ret_from, &r->from, sizeof(r->from));
		memcpy(ret_to, &r->to, sizeof(r->to));
		if (min_size(len, msg_bytes(msg)) > iov_good_bytes(msg))
			return -EFAULT; /* and it is gone */
		msg->msg_flags = dgram_scatter(msg, r->data, len) < len ? MSG_TRUNC : 0;
		return len;
	}
	if (parcel_is_open(p)) /* nothing comes into it any more */
		parcel_drop(s->dgram);
	return -EAGAIN;
}

bool dgram_waits(const struct sock *s)
{
	return s->dgram->open || (s->dgram->parcel && !parcel_is_empty(s->dgram->parcel));
}

uint32_t dgram_parcel_level(const struct dgram *d)
{
	uint32_t at, len, level = parcel_first(d->parcel, &at, &len) ? EPOLLIN | EPOLLRDNORM : 0u;

	if (parcel_is_open(d->parcel) && atomic_load(&d->parcel->err))
		level |= EPOLLERR;
	return level ? level | EPOLLOUT | EPOLLWRNORM : 0; /* nothing: the kernel says all of it */
}

int dgram_parcel_bytes(const struct dgram *d)
{
	uint32_t at, len;

	return parcel_first(d->parcel, &at, &len) ? (int)len : -EAGAIN;
}
