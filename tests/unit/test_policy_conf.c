// SPDX-License-Identifier: BSD-2-Clause
/* policy.conf: what is right, and where it says that something is wrong */
#include "daemon/policy_conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct policy_conf conf;

static bool uid_of(const char *name, uint32_t *ret_uid)
{
	*ret_uid = 33;
	return strcmp(name, "www") == 0;
}

static void good(const char *text)
{
	char copy[4096], why[POLICY_WHY_BYTES] = "";

	snprintf(copy, sizeof(copy), "%s", text);
	if (policy_conf_parse(copy, uid_of, &conf, why) != 0)
		fail_msg("%s", why);
}

static void bad(const char *text, const char *says)
{
	char copy[4096], why[POLICY_WHY_BYTES] = "";

	snprintf(copy, sizeof(copy), "%s", text);
	assert_int_equal(policy_conf_parse(copy, uid_of, &conf, why), -EINVAL);
	if (strstr(why, says) != why)
		fail_msg("'%s', not '%s'", why, says);
}

static void without_a_file_all_is_allowed(void **state)
{
	const struct policy_rule *rule = policy_of(NULL, 7);

	(void)state;
	assert_true(policy_may_port(rule, 1) && policy_may_port(rule, 65535) && policy_may_interface(rule, "eth0"));
	assert_int_equal(rule->memory_max, 0);
	assert_int_equal(rule->macs_max, UINT32_MAX);
}

static void an_empty_file_allows_nothing(void **state)
{
	(void)state;
	good("# nothing\n\n  \t\n");
	assert_null(policy_of(&conf, 0));
	assert_false(policy_may_port(NULL, 80) || policy_may_interface(NULL, "eth0"));
}

static void the_first_line_that_fits_decides(void **state)
{
	(void)state;
	good("user www ports 80,8000-8010 # the web\n"
	     "user 1000 interfaces eth0,eth1.5 memory 3M\r\n"
	     "user 5 macs 3\nuser 6 macs 0\n"
	     "user * interfaces none ports none\n"
	     "user 7");
	assert_int_equal(conf.cnt, 6);
	assert_int_equal(policy_of(&conf, 5)->macs_max, 3);
	assert_int_equal(policy_of(&conf, 6)->macs_max, 0);
	assert_int_equal(policy_of(&conf, 7)->macs_max, UINT32_MAX);
	assert_true(policy_may_port(policy_of(&conf, 33), 80) && policy_may_port(policy_of(&conf, 33), 8010));
	assert_false(policy_may_port(policy_of(&conf, 33), 81) || policy_may_port(policy_of(&conf, 33), 8011));
	assert_true(policy_may_interface(policy_of(&conf, 33), "any"));
	assert_true(policy_may_interface(policy_of(&conf, 1000), "eth1.5"));
	assert_false(policy_may_interface(policy_of(&conf, 1000), "eth1"));
	assert_int_equal(policy_of(&conf, 1000)->memory_max, 3 << 20);
	assert_false(policy_may_interface(policy_of(&conf, 7), "eth0") || policy_may_port(policy_of(&conf, 7), 80));
}

static void mistakes_have_lines(void **state)
{
	(void)state;
	bad("user www\nusr www\n", "line 2: a line begins with 'user'");
	bad("\n\nuser\n", "line 3: which user?");
	bad("user nobodys", "line 1: no such user");
	bad("user -1", "line 1: no such user");
	bad("user 4294967295", "line 1: no such user");
	bad("user * port 80", "line 1: unknown word");
	bad("user 1\nuser * addresses some", "line 2: addresses is a number");
	bad("user * addresses", "line 1: something is missing");
	bad("user * ports", "line 1: something is missing");
	bad("user * ports 0", "line 1: ports are");
	bad("user * ports 65536", "line 1: ports are");
	bad("user * ports 9-8", "line 1: ports are");
	bad("user * ports 80-", "line 1: ports are");
	bad("user * ports ,", "line 1: ports are missing");
	bad("user * ports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "line 1: too many ranges");
	bad("user * interfaces abcdefghijklmnop", "line 1: the name of an interface");
	bad("user * ports 80 ports none", "line 1: the same word twice");
	bad("user * interfaces none memory 1M interfaces all", "line 1: the same word twice");
	bad("user * memory 5X", "line 1: memory is");
	bad("user * memory M", "line 1: memory is");
	bad("user * memory 0", "line 1: memory is");
	bad("user * memory -1", "line 1: memory is");
	bad("user * macs many", "line 1: macs is");
	bad("user * macs -1", "line 1: macs is");
}

static void there_is_room_for_so_many_lines(void **state)
{
	static char text[8 * (POLICY_RULES_MAX + 1) + 1];
	char why[POLICY_WHY_BYTES];

	(void)state;
	for (unsigned i = 0; i <= POLICY_RULES_MAX; i++)
		strcat(text, "user *\n");
	assert_int_equal(policy_conf_parse(text, uid_of, &conf, why), -EINVAL);
	assert_string_equal(why, "line 257: too many lines");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_all_is_allowed), cmocka_unit_test(an_empty_file_allows_nothing),
		cmocka_unit_test(the_first_line_that_fits_decides), cmocka_unit_test(mistakes_have_lines),
		cmocka_unit_test(there_is_room_for_so_many_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
