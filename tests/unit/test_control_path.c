/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct ctl_path paths[CTL_PATH_CANDIDATES_MAX];

static void without_environment(void **state)
{
	const struct ctl_path_env env = { .vj_socket = "", .xdg_runtime_dir = NULL, .uid = 1000 };

	(void)state;
	assert_int_equal(ctl_path_candidates(&env, paths), 3);
	assert_string_equal(paths[0].text, "/run/vjchan/vjd.sock");
	assert_int_equal(paths[0].kind, CTL_PATH_SERVICE);
	assert_string_equal(paths[1].text, "/run/user/1000/vjchan/vjd.sock");
	assert_int_equal(paths[1].kind, CTL_PATH_PRIVATE);
	assert_string_equal(paths[2].text, "/tmp/vjchan-1000/vjd.sock");
	assert_int_equal(paths[2].kind, CTL_PATH_PRIVATE);
}

static void runtime_dir_is_used(void **state)
{
	const struct ctl_path_env env = { .xdg_runtime_dir = "/x/y", .uid = 4294967295u };

	(void)state;
	assert_int_equal(ctl_path_candidates(&env, paths), 3);
	assert_string_equal(paths[1].text, "/x/y/vjchan/vjd.sock");
	assert_string_equal(paths[2].text, "/tmp/vjchan-4294967295/vjd.sock");
}

static void relative_runtime_dir_is_ignored(void **state)
{
	const struct ctl_path_env env = { .xdg_runtime_dir = "x", .uid = 0 };

	(void)state;
	assert_int_equal(ctl_path_candidates(&env, paths), 3);
	assert_string_equal(paths[1].text, "/run/user/0/vjchan/vjd.sock");
	assert_string_equal(paths[2].text, "/tmp/vjchan-0/vjd.sock");
}

static void given_path_is_the_only_one(void **state)
{
	const struct ctl_path_env env = { .vj_socket = "here", .xdg_runtime_dir = "/x", .uid = 1 };

	(void)state;
	assert_int_equal(ctl_path_candidates(&env, paths), 1);
	assert_string_equal(paths[0].text, "here");
	assert_int_equal(paths[0].kind, CTL_PATH_GIVEN);
}

/* 107 characters and the zero fit, 108 don't; a path is never cut. */
static void long_paths_are_left_out(void **state)
{
	char text[201];
	struct ctl_path_env env = { .vj_socket = text };

	(void)state;
	memset(text, 'a', 200);
	text[200] = '\0';
	text[0] = '/';
	assert_int_equal(ctl_path_candidates(&env, paths), 0);
	text[108] = '\0';
	assert_int_equal(ctl_path_candidates(&env, paths), 0);
	text[107] = '\0';
	assert_int_equal(ctl_path_candidates(&env, paths), 1);
	assert_int_equal(strlen(paths[0].text), 107);

	env = (struct ctl_path_env){ .xdg_runtime_dir = text };
	assert_int_equal(ctl_path_candidates(&env, paths), 2);
	assert_string_equal(paths[1].text, "/tmp/vjchan-0/vjd.sock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_environment),
		cmocka_unit_test(runtime_dir_is_used),
		cmocka_unit_test(relative_runtime_dir_is_ignored),
		cmocka_unit_test(given_path_is_the_only_one),
		cmocka_unit_test(long_paths_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
