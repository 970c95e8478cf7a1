// SPDX-License-Identifier: BSD-2-Clause
/* rtnetlink of vjd: a dump during which something changes, in a network namespace of the test's own */
#include "daemon/rtnl.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAIRS = 100 }; /* of devices: several buffers of the kernel's */

static struct rtnl asking, changing;

static void make_pair(unsigned nr)
{
	char name[IF_NAMESIZE], peer[IF_NAMESIZE];
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	snprintf(name, sizeof(name), "a%u", nr);
	snprintf(peer, sizeof(peer), "b%u", nr);
	assert_int_equal(rtnl_veth_new(&changing, name, peer, here, 1500), 0);
	close(here);
}

struct seen {
	unsigned cnt, change_at;
};

static int look(const struct nlmsghdr *nlh, void *arg)
{
	struct seen *seen = arg;

	(void)nlh;
	if (++seen->cnt == seen->change_at)
		make_pair(PAIRS);
	return MNL_CB_OK;
}

/* It is done again as a whole, and nothing of the first one is taken for the second's. */
static void an_interrupted_dump_is_done_again(void **state)
{
	struct seen seen = { .change_at = 1 };

	(void)state;
	for (unsigned i = 0; i < PAIRS; i++)
		make_pair(i);
	assert_int_equal(rtnl_dump(&asking, RTM_GETLINK, AF_UNSPEC, look, &seen), -EAGAIN);
	seen = (struct seen){ 0 };
	assert_int_equal(rtnl_dump(&asking, RTM_GETLINK, AF_UNSPEC, look, &seen), 0);
	assert_int_equal(seen.cnt, 1 + 2 * (PAIRS + 1)); /* lo, too */
	assert_int_equal(rtnl_link_up(&asking, if_nametoindex("a0")), 0);
	assert_int_equal(rtnl_link_up(&asking, 99999), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupted_dump_is_done_again),
	};

	if (unshare(CLONE_NEWNET) != 0) {
		printf("skipped: no network namespace of its own\n");
		return 77;
	}
	if (rtnl_open(&asking) != 0 || rtnl_open(&changing) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
