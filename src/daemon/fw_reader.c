// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/fw_reader.h"

#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <libmnl/libmnl.h>
#include <linux/membarrier.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	SETTLE_NS = 20 * 1000 * 1000, /* a script changes rules one after the other */
	RESULT_MAX = 256 << 20,
	DUMP_TRIES = 5,
	LEGACY_FILES = 2,
};

struct fw_reader {
	int (*keys_fd)(void *arg);
	void *arg;
	int epoll_fd, news_fd;
	pid_t pid; /* of a process that reads, or settles; 0: none */
	int pid_fd; /* readable when it has ended */
	int result_fd; /* where it writes; -1: it settles */
	bool settle; /* is wanted */
	uint64_t read_at_ns; /* TIME_NEVER: nothing is due */
	bool legacy; /* the old iptables has tables, by the last look */
	int legacy_fds[LEGACY_FILES]; /* of legacy_names; -1: not open */
	uint64_t legacy_at_ns; /* of the next look */
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

/* ---- the process that reads, or settles */

static void forget(struct fw_reader *r)
{
	close(r->pid_fd);
	if (r->result_fd >= 0)
		close(r->result_fd);
	r->pid = 0;
	r->result_fd = -1;
}

/* Takes @result_fd. */
static int start(struct fw_reader *r, enum fw_print_what what, int in, int result_fd)
{
	struct epoll_event e = { .events = EPOLLIN };
	int err = fw_print_start(what, in, result_fd, &r->pid);

	if (err < 0) {
		close(result_fd);
		return err;
	}
	r->result_fd = result_fd;
	r->pid_fd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (r->pid_fd < 0 || epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->pid_fd, &e) != 0) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
		forget(r);
		return -EMFILE;
	}
	return 0;
}

static int start_reading(struct fw_reader *r)
{
	int keys = r->keys_fd(r->arg), fd = memfd_create("vj-rules", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err = fd >= 0 ? start(r, FW_PRINT_READER, keys, fd) : -errno;

	if (keys >= 0)
		close(keys);
	return err;
}

/* Nobody writes to it any more. */
static bool map_result(int fd, struct fw_bytes_read *ret)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > RESULT_MAX ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return false;
	ret->len = (size_t)st.st_size;
	ret->at = mmap(NULL, ret->len, PROT_READ, MAP_SHARED, fd, 0);
	return ret->at != MAP_FAILED;
}

static enum fw_read finish(struct fw_reader *r, struct fw_bytes_read *ret)
{
	bool settled = r->result_fd < 0, ok;
	int status = -1;

	if (waitpid(r->pid, &status, 0) != r->pid)
		status = -1;
	ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	ok = ok && (settled || map_result(r->result_fd, ret));
	forget(r);
	if (settled && !ok)
		fw_wait_for_runs();
	return settled ? FW_READ_SETTLED : ok ? FW_READ_RULES : FW_READ_FAILED;
}

static bool has_ended(const struct fw_reader *r)
{
	struct pollfd p = { .fd = r->pid_fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Until nobody runs what was in force before (synchronize_rcu()). */
void fw_wait_for_runs(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
		usleep(50000);
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
	return err == 0 && start_reading(r) == 0 ? FW_READ_NOTHING : FW_READ_FAILED;
}

/* What is to be settled goes first: rules that are put in force need it. */
static enum fw_read settle(struct fw_reader *r)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	r->settle = false;
	if (fd >= 0 && start(r, FW_PRINT_SETTLE, -1, fd) == 0) {
		close(r->result_fd);
		r->result_fd = -1;
		return FW_READ_NOTHING;
	}
	fw_wait_for_runs();
	return FW_READ_SETTLED;
}

enum fw_read fw_reader_run(struct fw_reader *r, uint64_t now_ns, struct fw_bytes_read *ret_bytes, const char **ret_why)
{
	enum fw_read what = FW_READ_NOTHING;

	if (any_news(r->news_fd))
		r->read_at_ns = min_u64(r->read_at_ns, now_ns + SETTLE_NS);
	look_for_legacy(r, now_ns);
	if (r->pid != 0 && has_ended(r)) {
		what = finish(r, ret_bytes);
		*ret_why = "the rules can't be read: is libnftables1 installed?";
	} else if (r->pid == 0 && r->settle) {
		what = settle(r);
	} else if (r->pid == 0 && r->read_at_ns <= now_ns) {
		what = begin(r, ret_why);
	}
	if (what == FW_READ_FAILED)
		fw_reader_again(r, now_ns + NS_PER_SEC);
	return what;
}

int fw_reader_new(int (*keys_fd)(void *arg), void *arg, struct fw_reader **ret_reader)
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
	r->keys_fd = keys_fd;
	r->arg = arg;
	r->result_fd = -1;
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
	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
		forget(r);
	}
	if (r->news_fd >= 0)
		close(r->news_fd);
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	for (unsigned i = 0; i < LEGACY_FILES; i++)
		if (r->legacy_fds[i] >= 0)
			close(r->legacy_fds[i]);
	free(r);
}

int fw_reader_fd(const struct fw_reader *r)
{
	return r->epoll_fd;
}

/* While one is read, the next one waits for that. */
uint64_t fw_reader_deadline_ns(const struct fw_reader *r)
{
	if (r->pid != 0)
		return r->legacy_at_ns;
	return r->settle ? 0 : min_u64(r->read_at_ns, r->legacy_at_ns);
}

void fw_reader_again(struct fw_reader *r, uint64_t at_ns)
{
	r->read_at_ns = min_u64(r->read_at_ns, at_ns);
}

void fw_reader_settle(struct fw_reader *r)
{
	r->settle = true;
}

bool fw_reader_busy(const struct fw_reader *r)
{
	return r->pid != 0;
}

void fw_reader_wait(const struct fw_reader *r, int ms)
{
	struct pollfd p = { .fd = r->pid_fd, .events = POLLIN };

	if (r->pid != 0)
		poll(&p, 1, ms);
}
