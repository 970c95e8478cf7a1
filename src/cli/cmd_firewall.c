// SPDX-License-Identifier: BSD-2-Clause
/* vj firewall: the host's rules, as nft lists them, with what channels have counted. vjd has them printed; here they are passed on. */
#include "cli/ask.h"
#include "cli/cmd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct firewall_options {
	struct ask_options ask;
	bool handle;
};

#define OPT(member) offsetof(struct firewall_options, member)
const struct opt firewall_opts[] = {
	{ .name = "handle", .type = OPT_FLAG, .offset = OPT(handle), .help = "with the handles of tables, chains and rules" },
	{ .name = "json", .type = OPT_FLAG, .offset = OPT(ask.json), .help = "as nft --json has it" },
	ASK_OPT_SOCKET(OPT(ask.socket)),
	{ 0 },
};
_Static_assert(sizeof(struct firewall_options) <= CMD_OPTS_BYTES, "has to fit");

/* Return: bytes passed on; negative errno */
static long pass_on(int fd)
{
	char buf[65536];
	long total = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return -EIO;
		total += n;
	}
	return fflush(stdout) == 0 ? total : -EIO;
}

static const char *failure(int err)
{
	switch (err) {
	case -EPERM:
		return geteuid() == 0 ? "this vjd has no CAP_NET_ADMIN, without which nobody sees rules; see: nft list ruleset"
				      : "rules are root's to see. Which of them keep a program of yours off channels says: vj why PID";
	case -EAGAIN:
		return "vjd shows them to several others at this moment";
	default:
		return strerror(-err);
	}
}

int cmd_firewall(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct firewall_options *o = opts;
	struct ctl_client *client;
	int r, fd = -1;
	long passed;

	if (argc > 0)
		return takes_no(cmd, argv[0]);
	r = ask_open(cmd->name, o->ask.socket, &client);
	if (r != EXIT_OK)
		return r;
	r = ctl_client_firewall(client, o->ask.json ? CTL_FIREWALL_JSON : o->handle ? CTL_FIREWALL_HANDLES : 0, &fd);
	ctl_client_close(client);
	if (r < 0) {
		complain("%s: %s", cmd->name, failure(r));
		return EXIT_FAILED;
	}
	passed = pass_on(fd);
	close(fd);
	if (passed < 0)
		complain("%s: %s", cmd->name, strerror((int)-passed));
	return passed < 0 ? EXIT_FAILED : EXIT_OK;
}
