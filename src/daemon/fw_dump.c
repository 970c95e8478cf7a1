// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/fw_dump.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 1 << 16 };

/* Return: 1: more is to come; 0: that was the last; negative errno */
static int look(const uint8_t *at, size_t len)
{
	struct nlmsghdr h;
	int32_t err;

	while (len >= sizeof(h)) {
		memcpy(&h, at, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len)
			return -EPROTO;
		if (h.nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR;
		if (h.nlmsg_type == NLMSG_DONE)
			return 0;
		if (h.nlmsg_type == NLMSG_ERROR) {
			if (h.nlmsg_len < sizeof(h) + sizeof(err))
				return -EPROTO;
			memcpy(&err, at + sizeof(h), sizeof(err));
			return err != 0 ? err : -EPROTO;
		}
		if (NLMSG_ALIGN((size_t)h.nlmsg_len) >= len)
			break;
		at += NLMSG_ALIGN((size_t)h.nlmsg_len);
		len -= NLMSG_ALIGN((size_t)h.nlmsg_len);
	}
	return 1;
}

static int receive(int fd, uint8_t **bytes, size_t *len)
{
	size_t max = 0;
	int r = 1;

	while (r > 0) {
		ssize_t n;

		if (max - *len < CHUNK) {
			uint8_t *more = realloc(*bytes, max > 0 ? 2 * max : 4 * CHUNK);

			if (more == NULL)
				return -ENOMEM;
			max = max > 0 ? 2 * max : 4 * CHUNK;
			*bytes = more;
		}
		n = recv(fd, *bytes + *len, CHUNK, MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || n > CHUNK)
			return n < 0 ? -errno : -EMSGSIZE;
		r = look(*bytes + *len, (size_t)n);
		*len += (size_t)n;
	}
	return r;
}

int fw_dump(uint8_t **ret_bytes, size_t *ret_len)
{
	const struct {
		struct nlmsghdr nl;
		struct nfgenmsg nf;
	} req = { .nl = { .nlmsg_len = sizeof(req),
			  .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			  .nlmsg_seq = 1 },
		  .nf = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 } };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), r;
	uint8_t *bytes = NULL;
	size_t len = 0;

	if (fd < 0)
		return -errno;
	r = send(fd, &req, sizeof(req), 0) == (ssize_t)sizeof(req) ? receive(fd, &bytes, &len) : -errno;
	close(fd);
	if (r < 0) {
		free(bytes);
		return r;
	}
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
}
