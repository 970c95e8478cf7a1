// SPDX-License-Identifier: BSD-2-Clause
#include "lib/board.h"

#include "base/time.h"
#include "channel/sys.h"
#include "lib/own_fd.h"
#include "lib/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/single_threaded.h>

/* What can't be read may be anybody's. */
static uint32_t owner_of(int fd, bool udp, uint16_t port)
{
	uint32_t owner;

	return sys_pread(fd, &owner, sizeof(owner), board_owner_at(udp, port)) == sizeof(owner) ? owner : BOARD_OWNER_SEVERAL;
}

/* vjd may know us by another number where those of users are mapped (user_namespaces(7)). Not told: so it may be here. */
static VJ_COLD bool uids_are_mapped(void)
{
	static const char whole[] = "0 0 4294967295";
	int fd = sys_openat(AT_FDCWD, "/proc/self/uid_map", O_RDONLY | O_CLOEXEC, 0);
	size_t at = 0;
	char text[64];
	long len;

	if (fd < 0)
		return true;
	len = sys_read(fd, text, sizeof(text));
	sys_close(fd);
	/* numbers are set apart by one blank or several */
	for (long i = 0; i < len && at < sizeof(whole) - 1; i++) {
		if (text[i] == ' ' && (at == 0 || whole[at - 1] == ' '))
			continue;
		if (text[i] != whole[at++])
			return true;
	}
	return at < sizeof(whole) - 1;
}

/* Would vjd refuse, as all who have the port are another user's? */
static bool is_others(uint32_t owner)
{
	return owner != BOARD_OWNER_SEVERAL && owner != board_owner((uint32_t)SYS_CALL0(SYS_geteuid)) && !uids_are_mapped();
}

static uint64_t own_key(void)
{
	char name[CTL_NAME_MAX];

	ctl_name_set(name, program_invocation_short_name);
	return board_key((uint32_t)SYS_CALL0(SYS_geteuid), (int32_t)SYS_CALL0(SYS_getppid), name);
}

static bool is_brief(int fd)
{
	uint64_t key = own_key(), now_ns;
	struct board_brief e;
	struct timespec now;

	if (sys_pread(fd, &e, sizeof(e), board_brief_at(key)) != sizeof(e) || e.key != key)
		return false;
	/* not libc's: a symbol, and two pages of the kernel's, that a program which ends soon has no other use for */
	SYS_CALL2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
	return now_ns < e.until_ns && e.until_ns - now_ns <= BOARD_REST_MAX_S * NS_PER_SEC;
}

/* At the same place in both families */
static uint16_t port_of(const struct sockaddr *addr)
{
	return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

static bool is_loopback(const struct sockaddr *addr, socklen_t len)
{
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)addr)->sin6_addr;

	if (addr->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr) >> 24 == 127;
	return addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6) &&
	       (IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127));
}

/* @head: of the board at @fd; not needed for an address of loopback, where no interface leads */
VJ_EARLY static enum board_says board_read(int fd, const struct board_head *head, const struct sockaddr *addr, socklen_t len, bool udp)
{
	enum board_says says = BOARD_ASK;
	uint32_t owner = !head->interfaces || is_loopback(addr, len) ? owner_of(fd, udp, port_of(addr)) : BOARD_OWNER_SEVERAL;

	if (owner == BOARD_OWNER_NONE)
		says = BOARD_NOBODY;
	else if (is_others(owner))
		says = BOARD_OTHERS;
	else if (!udp && is_brief(fd))
		says = BOARD_BRIEF;
	return says;
}

/*
 * A program that has looked so often keeps it open for so long: a vjd that has been started since has another one. And it doesn't ask again
 * for a moment what it has just been told: a server that comes to the port meanwhile is reached by the kernel.
 */
enum { KEPT_AFTER = 16, KEPT_MS = 100, SAID_MS = 10 };

static bool was_said(const struct board_kept *k, uint64_t now_ns, const struct sockaddr *addr, socklen_t len, bool udp)
{
	return now_ns < k->said.until_ns && k->said.port == port_of(addr) && k->said.udp == udp && k->said.loopback == is_loopback(addr, len);
}

static enum board_says say(struct board_kept *k, int fd, uint64_t now_ns, const struct board_head *head, const struct sockaddr *addr, socklen_t len,
			   bool udp)
{
	enum board_says says = board_read(fd, head, addr, len, udp);

	k->said.until_ns = 0;
	if (says != BOARD_NOBODY && says != BOARD_OTHERS)
		return says;
	k->said.until_ns = now_ns + SAID_MS * NS_PER_MS;
	k->said.says = says;
	k->said.port = port_of(addr);
	k->said.udp = udp;
	k->said.loopback = is_loopback(addr, len);
	return says;
}

VJ_EARLY enum board_says board_look(struct board_kept *k, const char *socket, const struct sockaddr *addr, socklen_t len, bool udp)
{
	uint64_t now_ns = k->looks < KEPT_AFTER ? 0 : sys_clock_ns();
	enum board_says says;
	struct board_head head = { 0 };
	int fd;

	if (len < sizeof(struct sockaddr_in) || (addr->sa_family != AF_INET && addr->sa_family != AF_INET6))
		return BOARD_ASK;
	if (now_ns && was_said(k, now_ns, addr, len, udp))
		return k->said.says;
	if (now_ns && now_ns < k->until_ns && (is_loopback(addr, len) || board_is_known(k->fd, &head)))
		return say(k, k->fd, now_ns, &head, addr, len, udp);
	fd = board_open(socket, &head);
	if (fd < 0)
		return BOARD_ASK;
	if (now_ns)
		board_let_go(k);
	if (now_ns && __libc_single_threaded) { /* else a number of ours would be dear (own_fd.h), and who looks often is told without looking */
		k->fd = own_fd(fd);
		k->until_ns = now_ns + KEPT_MS * NS_PER_MS;
		return say(k, k->fd, now_ns, &head, addr, len, udp);
	}
	k->looks += !now_ns;
	says = now_ns ? say(k, fd, now_ns, &head, addr, len, udp) : board_read(fd, &head, addr, len, udp);
	sys_close(fd);
	return says;
}

VJ_EARLY void board_let_go(struct board_kept *k)
{
	if (k->until_ns)
		own_fd_close(k->fd);
	k->until_ns = k->said.until_ns = 0;
}

void board_tell_brief(struct vj *vj)
{
	int32_t parent = (int32_t)SYS_CALL0(SYS_getppid);

	if (vj->ctl && parent > 0) /* 0: of another pid namespace */
		control_done(vj, ctl_client_brief(vj->ctl, parent));
}
