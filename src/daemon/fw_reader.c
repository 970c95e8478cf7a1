// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/fw_reader.h"

#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	SETTLE_NS = 20 * 1000 * 1000, /* a script changes rules one after the other */
	TEXT_MAX = 64 << 20,
	TEXT_CHUNK = 64 << 10,
	DUMP_TRIES = 5,
	LEGACY_FILES = 2,
};

struct fw_reader {
	int epoll_fd, news_fd, pipe_fd;
	pid_t pid; /* of the process that prints, 0: none */
	uint64_t read_at_ns; /* TIME_NEVER: nothing is due */
	bool legacy; /* the old iptables has tables, by the last look */
	int legacy_fds[LEGACY_FILES]; /* of legacy_names; -1: not open */
	uint64_t legacy_at_ns; /* of the next look */
	char *text;
	size_t len, max;
};

/* ---- the kernel's own word */

static int open_news(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int group = NFNLGRP_NFTABLES, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* What was missed (ENOBUFS) is a change as well. */
static bool any_news(int fd)
{
	char buf[8192];
	bool any = false;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 || (n < 0 && (errno == ENOBUFS || errno == EINTR)))
		any = true;
	return any;
}

static int count_table(const struct nlmsghdr *nlh, void *arg)
{
	(void)nlh;
	++*(unsigned *)arg;
	return MNL_CB_OK;
}

static bool knows_none(int err)
{
	return err == -EPROTONOSUPPORT || err == -EOPNOTSUPP || err == -EAFNOSUPPORT || err == -EINVAL;
}

/* Return: 0; -EPERM; knows_none(): a kernel without nftables; other errno */
static int count_tables(unsigned *ret_cnt)
{
	char buf[16384];
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;
	ssize_t n;
	int r = 1;

	*ret_cnt = 0;
	if (s == NULL)
		return -errno;
	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	*nfg = (struct nfgenmsg){ .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) != 0 || mnl_socket_sendto(s, nlh, nlh->nlmsg_len) < 0)
		r = -1;
	while (r > 0) {
		n = mnl_socket_recvfrom(s, buf, sizeof(buf));
		r = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(s), count_table, ret_cnt);
	}
	r = r < 0 ? -errno : 0;
	mnl_socket_close(s);
	return r;
}

static const char *const legacy_names[LEGACY_FILES] = { "/proc/thread-self/net/ip_tables_names",
							"/proc/thread-self/net/ip6_tables_names" };

/*
 * Bytes that file @nr has, at most 1; -1: not known. While it has none it stays open: opening a file there costs twenty times what
 * reading does, and it is done every second. One that can't be read any more was of a module that is gone, and may be there again.
 */
static ssize_t read_legacy(struct fw_reader *r, unsigned nr)
{
	int *fd = &r->legacy_fds[nr];
	ssize_t n = -1;
	char c;

	if (*fd >= 0)
		n = pread(*fd, &c, 1, 0);
	if (n == 0)
		return 0;
	if (*fd >= 0)
		close(*fd);
	*fd = open(legacy_names[nr], O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT ? 0 : -1;
	return pread(*fd, &c, 1, 0);
}

/* iptables' old kernel half has rules that nftables doesn't show. Where a look fails (EMFILE) the answer is what it was. */
static bool has_legacy(struct fw_reader *r)
{
	bool unknown = false;

	for (unsigned i = 0; i < LEGACY_FILES; i++) {
		ssize_t n = read_legacy(r, i);

		if (n > 0)
			return true;
		unknown |= n < 0;
	}
	return unknown && r->legacy;
}

/* Nobody tells when these tables come and go, so they are looked for. */
static void look_for_legacy(struct fw_reader *r, uint64_t now_ns)
{
	bool was = r->legacy;

	if (now_ns < r->legacy_at_ns)
		return;
	r->legacy = has_legacy(r);
	r->legacy_at_ns = now_ns + NS_PER_SEC;
	if (r->legacy != was)
		r->read_at_ns = now_ns;
}

/* ---- the process that prints */

static void reap(struct fw_reader *r)
{
	if (r->pipe_fd >= 0)
		close(r->pipe_fd);
	r->pipe_fd = -1;
	if (r->pid > 0)
		waitpid(r->pid, NULL, 0);
	r->pid = 0;
}

static int start(struct fw_reader *r)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	err = fw_print_start(FW_PRINT_READER, -1, fds[1], &r->pid);
	close(fds[1]);
	if (err < 0) {
		close(fds[0]);
		return err;
	}
	r->pipe_fd = fds[0];
	r->len = 0;
	fcntl(r->pipe_fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->pipe_fd, &e);
	return 0;
}

static bool make_room(struct fw_reader *r)
{
	size_t max = r->max > 0 ? r->max * 2 : TEXT_CHUNK;
	char *text;

	if (r->len < r->max)
		return true;
	text = max <= TEXT_MAX ? realloc(r->text, max) : NULL;
	if (text == NULL)
		return false;
	r->text = text;
	r->max = max;
	return true;
}

/* Return: FW_READ_NOTHING: more is to come */
static enum fw_read take_text(struct fw_reader *r)
{
	int status = -1;
	ssize_t n;

	for (;;) {
		if (!make_room(r)) {
			kill(r->pid, SIGKILL);
			reap(r);
			return FW_READ_FAILED;
		}
		n = read(r->pipe_fd, r->text + r->len, r->max - r->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return FW_READ_NOTHING;
		if (n <= 0)
			break;
		r->len += (size_t)n;
	}
	close(r->pipe_fd);
	r->pipe_fd = -1;
	if (waitpid(r->pid, &status, 0) != r->pid)
		status = -1;
	r->pid = 0;
	return n == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? FW_READ_RULES : FW_READ_FAILED;
}

/* ---- */

static enum fw_read begin(struct fw_reader *r, const char **ret_why)
{
	unsigned tables;
	int err;

	r->read_at_ns = TIME_NEVER;
	*ret_why = "rules of the old iptables are in force, which are not read";
	r->legacy = has_legacy(r);
	if (r->legacy)
		return FW_READ_LEGACY;
	/* a change in the middle of a dump interrupts it */
	err = -EINTR;
	for (unsigned i = 0; i < DUMP_TRIES && err == -EINTR; i++)
		err = count_tables(&tables);
	if (err == 0 ? tables == 0 : knows_none(err))
		return FW_READ_EMPTY;
	*ret_why = "the rules can't be read: the kernel doesn't tell, or no process";
	return err == 0 && start(r) == 0 ? FW_READ_NOTHING : FW_READ_FAILED;
}

enum fw_read fw_reader_run(struct fw_reader *r, uint64_t now_ns, const char **ret_json, size_t *ret_len, const char **ret_why)
{
	enum fw_read what = FW_READ_NOTHING;

	if (any_news(r->news_fd))
		r->read_at_ns = min_u64(r->read_at_ns, now_ns + SETTLE_NS);
	look_for_legacy(r, now_ns);
	if (r->pid == 0 && r->read_at_ns <= now_ns) {
		what = begin(r, ret_why);
	} else if (r->pipe_fd >= 0) {
		what = take_text(r);
		*ret_why = "the rules can't be read: is libnftables1 installed?";
	}
	if (what == FW_READ_FAILED)
		fw_reader_again(r, now_ns + NS_PER_SEC);
	*ret_json = r->text;
	*ret_len = r->len;
	return what;
}

int fw_reader_new(struct fw_reader **ret_reader)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct fw_reader *r;
	unsigned tables;
	int err = count_tables(&tables);

	if (err == -EPERM || err == -EPROTONOSUPPORT)
		return err;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->pipe_fd = -1;
	for (unsigned i = 0; i < LEGACY_FILES; i++)
		r->legacy_fds[i] = -1;
	r->news_fd = open_news();
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r->read_at_ns = 0;
	err = r->news_fd < 0 ? r->news_fd : r->epoll_fd < 0 ? -errno : 0;
	if (err < 0) {
		fw_reader_free(r);
		return err;
	}
	epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->news_fd, &e);
	*ret_reader = r;
	return 0;
}

void fw_reader_free(struct fw_reader *r)
{
	if (r->pid > 0)
		kill(r->pid, SIGKILL);
	reap(r);
	if (r->news_fd >= 0)
		close(r->news_fd);
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	for (unsigned i = 0; i < LEGACY_FILES; i++)
		if (r->legacy_fds[i] >= 0)
			close(r->legacy_fds[i]);
	free(r->text);
	free(r);
}

int fw_reader_fd(const struct fw_reader *r)
{
	return r->epoll_fd;
}

/* While one is read, the next one waits for that. */
uint64_t fw_reader_deadline_ns(const struct fw_reader *r)
{
	return r->pid != 0 ? r->legacy_at_ns : min_u64(r->read_at_ns, r->legacy_at_ns);
}

void fw_reader_again(struct fw_reader *r, uint64_t at_ns)
{
	r->read_at_ns = min_u64(r->read_at_ns, at_ns);
}

bool fw_reader_busy(const struct fw_reader *r)
{
	return r->pid != 0;
}

void fw_reader_wait(const struct fw_reader *r, int ms)
{
	struct pollfd p = { .fd = r->pipe_fd, .events = POLLIN };

	if (r->pipe_fd >= 0)
		poll(&p, 1, ms);
}
