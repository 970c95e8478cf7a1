// SPDX-License-Identifier: BSD-2-Clause
#include "tests/firewall/kernel.h"

#include "base/assert.h"
#include "daemon/fw_dump.h"
#include "firewall/fw_raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

enum { RAWS = 6 };

struct kernel {
	struct nft_ctx *nft;
	int tun, nfnl;
	int out4, out6; /* to send */
	int raws[RAWS]; /* what was accepted inbound */
};

static const struct {
	int family, proto;
} raw_kinds[RAWS] = { { AF_INET, IPPROTO_TCP },	 { AF_INET, IPPROTO_UDP },  { AF_INET, IPPROTO_ICMP },
		      { AF_INET6, IPPROTO_TCP }, { AF_INET6, IPPROTO_UDP }, { AF_INET6, IPPROTO_ICMPV6 } };

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		VJ_ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
		close(fd);
	}
}

static const char *device(struct kernel *k)
{
	struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	k->tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (k->tun < 0)
		return "/dev/net/tun";
	strcpy(req.ifr_name, GEN_IFNAME);
	if (ioctl(k->tun, TUNSETIFF, &req) != 0)
		return "a TUN device";
	if (system("ip link set lo up && ip addr add 10.9.0.1/24 dev " GEN_IFNAME " && ip link set " GEN_IFNAME " up &&"
		   " ip addr add fd09::1/64 dev " GEN_IFNAME " nodad && ip route add default dev " GEN_IFNAME
		   " && ip -6 route add default dev " GEN_IFNAME) != 0)
		return "addresses on a TUN device";
	write_file("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	write_file("/proc/sys/net/ipv4/conf/" GEN_IFNAME "/rp_filter", "0");
	return NULL;
}

static int raw(int family, int proto)
{
	int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, proto), bytes = 8 << 20, mark = 1;

	VJ_ASSERT(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	VJ_ASSERT(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0);
	return fd;
}

const char *kernel_new(struct kernel **ret_kernel)
{
	struct kernel *k = calloc(1, sizeof(*k));
	const char *why;

	VJ_ASSERT(k != NULL);
	if (unshare(CLONE_NEWNET) != 0)
		return "a network namespace";
	why = device(k);
	if (why != NULL)
		return why;
	k->nfnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (k->nfnl < 0)
		return "a kernel with netfilter";
	for (unsigned i = 0; i < RAWS; i++)
		k->raws[i] = raw(raw_kinds[i].family, raw_kinds[i].proto);
	k->out4 = raw(AF_INET, IPPROTO_RAW);
	k->out6 = raw(AF_INET6, IPPROTO_RAW);
	k->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	nft_ctx_buffer_output(k->nft);
	nft_ctx_buffer_error(k->nft);
	if (nft_run_cmd_from_buffer(k->nft, "flush ruleset") != 0)
		return "a kernel with nftables";
	*ret_kernel = k;
	return NULL;
}

void kernel_free(struct kernel *k)
{
	nft_ctx_free(k->nft);
	for (unsigned i = 0; i < RAWS; i++)
		close(k->raws[i]);
	close(k->out4);
	close(k->out6);
	close(k->tun);
	close(k->nfnl);
	free(k);
}

/* ---- rules */

static void forget_connections(struct kernel *k)
{
	struct {
		struct nlmsghdr nl;
		struct nfgenmsg nf;
	} req = { .nl = { .nlmsg_len = sizeof(req),
			  .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		  .nf = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 } };
	char answer[256];

	VJ_ASSERT(send(k->nfnl, &req, sizeof(req), 0) == (ssize_t)sizeof(req));
	VJ_ASSERT(recv(k->nfnl, answer, sizeof(answer), 0) > 0);
}

/* Out of window is not what we are asked about here. */
static void be_liberal(void)
{
	write_file("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", "1");
	write_file("/proc/sys/net/netfilter/nf_conntrack_tcp_ignore_invalid_rst", "1");
}

void kernel_load(struct kernel *k, const char *text)
{
	static const char own[] = "flush ruleset\ntable inet harness {\n\tchain answers {\n"
				  "\t\ttype filter hook output priority -400; policy accept;\n\t\tmeta mark != 1 drop\n\t}\n}\n";
	char *all = malloc(strlen(text) + sizeof(own));

	VJ_ASSERT(all != NULL);
	sprintf(all, "%s%s", own, text);
	nft_ctx_output_set_flags(k->nft, 0);
	if (nft_run_cmd_from_buffer(k->nft, all) != 0) {
		fprintf(stderr, "%s\n%s\n", text, nft_ctx_get_error_buffer(k->nft));
		abort();
	}
	free(all);
	forget_connections(k);
	be_liberal();
}

static bool is_own(const json_t *item)
{
	const char *key;
	json_t *o;

	json_object_foreach ((json_t *)item, key, o) {
		const char *table = json_string_value(json_object_get(o, strcmp(key, "table") == 0 ? "name" : "table"));

		return table != NULL && strcmp(table, "harness") == 0;
	}
	return false;
}

char *kernel_json(struct kernel *k)
{
	json_t *root, *items;
	char *text;

	nft_ctx_output_set_flags(k->nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE | NFT_CTX_OUTPUT_NUMERIC_ALL);
	VJ_ASSERT(nft_run_cmd_from_buffer(k->nft, "list ruleset") == 0);
	root = json_loads(nft_ctx_get_output_buffer(k->nft), 0, NULL);
	items = json_object_get(root, "nftables");
	for (size_t i = json_array_size(items); i-- > 0;)
		if (is_own(json_array_get(items, i)))
			json_array_remove(items, i);
	text = json_dumps(root, 0);
	json_decref(root);
	return text;
}

bool kernel_lists(struct kernel *k, const char *text)
{
	nft_ctx_output_set_flags(k->nft, 0);
	VJ_ASSERT(nft_run_cmd_from_buffer(k->nft, "list ruleset") == 0);
	return strstr(nft_ctx_get_output_buffer(k->nft), text) != NULL;
}

int kernel_compile(const char *json, struct fw_program *ret_prog, char ret_why[static FW_WHY_BYTES])
{
	struct fw_raw raw;
	uint8_t *bytes;
	size_t len;
	int r;

	VJ_ASSERT(fw_dump(&bytes, &len) == 0);
	VJ_ASSERT(fw_raw_read(bytes, len, &raw) == 0);
	r = fw_compile(json, strlen(json), &raw, ret_prog, ret_why);
	fw_raw_free(&raw);
	free(bytes);
	return r;
}

/* ---- packets */

void kernel_send(struct kernel *k, const struct gen_packet *p)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	ssize_t n;

	if (!p->outbound) {
		VJ_ASSERT(write(k->tun, p->bytes, p->len) == (ssize_t)p->len);
		return;
	}
	if (p->v6) {
		memcpy(&to6.sin6_addr, p->bytes + 24, 16);
		n = sendto(k->out6, p->bytes, p->len, 0, (struct sockaddr *)&to6, sizeof(to6));
	} else {
		memcpy(&to4.sin_addr, p->bytes + 16, 4);
		n = sendto(k->out4, p->bytes, p->len, 0, (struct sockaddr *)&to4, sizeof(to4));
	}
	VJ_ASSERT(n == (ssize_t)p->len || errno == EPERM || errno == EACCES);
}

static void drain(int fd, bool *accepted, uint32_t cnt)
{
	uint8_t buf[2048];
	uint32_t nr;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) >= 4 || (n < 0 && errno == EINTR)) {
		memcpy(&nr, buf + n - 4, 4);
		if (nr - GEN_MARK < cnt)
			accepted[nr - GEN_MARK] = true;
	}
}

void kernel_accepted(struct kernel *k, bool *accepted, uint32_t cnt)
{
	memset(accepted, 0, cnt * sizeof(*accepted));
	for (unsigned i = 0; i < RAWS; i++)
		drain(k->raws[i], accepted, cnt);
	drain(k->tun, accepted, cnt);
}
