// SPDX-License-Identifier: BSD-2-Clause
/*
 * The administrator's settings of TCP as the stack's, from a directory that stands for /proc/sys/net/ipv4
 */
#include "lib/sysctl.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct file {
	const char *name, *text;
};

/* What sysctl_read() makes of @files, beginning with @set; the files are gone after it */
static struct tcp_settings read_of(const struct file *files, size_t cnt, struct tcp_settings set)
{
	char dir[] = "/tmp/vj_sysctl_XXXXXX", path[128];

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < cnt; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
		f = fopen(path, "w");
		assert_non_null(f);
		assert_true(fputs(files[i].text, f) >= 0);
		assert_int_equal(fclose(f), 0);
	}
	sysctl_read(dir, &set);
	for (size_t i = 0; i < cnt; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
		unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
	return set;
}

static struct tcp_settings one(const char *name, const char *text, struct tcp_settings set)
{
	return read_of(&(struct file){ name, text }, 1, set);
}

static void each_is_taken(void **state)
{
	static const struct file files[] = {
		{ "tcp_mtu_probing", "2\n" },	       { "tcp_ecn", "1\n" },
		{ "tcp_congestion_control", "reno\n" }, { "tcp_sack", "0\n" },
		{ "tcp_timestamps", "0\n" },	       { "tcp_window_scaling", "0\n" },
		{ "tcp_slow_start_after_idle", "0\n" }, { "tcp_syncookies", "0\n" },
		{ "tcp_syn_retries", "3\n" },	       { "tcp_synack_retries", "4\n" },
		{ "tcp_retries2", "9\n" },	       { "tcp_orphan_retries", "7\n" },
		{ "tcp_keepalive_time", "600\n" },     { "tcp_keepalive_intvl", "20\n" },
		{ "tcp_keepalive_probes", "5\n" },     { "tcp_fin_timeout", "15\n" },
		{ "tcp_rfc1337", "1\n" },
	};
	struct tcp_settings got = read_of(files, sizeof(files) / sizeof(files[0]), (struct tcp_settings){ 0 });

	(void)state;
	assert_int_equal(got.mtu_probing, STACK_MTU_PROBE_ALWAYS);
	assert_int_equal(got.ecn, STACK_ECN_ASK);
	assert_string_equal(tcp_cc_name(got.congestion), "reno");
	assert_true(got.no_sack && got.no_timestamps && got.no_wscale && got.no_idle_restart && got.no_syncookies);
	assert_true(got.rfc1337);
	assert_int_equal(got.syn_retries, 3);
	assert_int_equal(got.synack_retries, 4);
	assert_int_equal(got.retries, 9);
	assert_int_equal(got.orphan_retries, 7);
	assert_int_equal(got.keepidle_s, 600);
	assert_int_equal(got.keepintvl_s, 20);
	assert_int_equal(got.keepcnt, 5);
	assert_int_equal(got.fin_timeout_ms, 15000);
}

static void what_cannot_be_is_left(void **state)
{
	struct tcp_settings set = { .ecn = STACK_ECN_OFF, .mtu_probing = STACK_MTU_PROBE_OFF, .keepidle_s = 77 };

	(void)state;
	set.congestion = one("tcp_congestion_control", "bbr\n", set).congestion;
	assert_string_equal(tcp_cc_name(set.congestion), "bbr");
	assert_int_equal(one("tcp_congestion_control", "dctcp\n", set).congestion, set.congestion);
	assert_int_equal(one("tcp_ecn", "17\n", set).ecn, STACK_ECN_OFF);
	assert_int_equal(one("tcp_ecn", "", set).ecn, STACK_ECN_OFF);
	assert_int_equal(one("tcp_keepalive_time", "ten\n", set).keepidle_s, 77);
	assert_int_equal(one("tcp_keepalive_time", "-1\n", set).keepidle_s, 77);
	assert_int_equal(one("tcp_keepalive_time", "99999999\n", set).keepidle_s, 32767);
	assert_int_equal(one("tcp_mtu_probing", "0\n", set).mtu_probing, STACK_MTU_PROBE_OFF);
	assert_int_equal(one("tcp_mtu_probing", "1\n", set).mtu_probing, STACK_MTU_PROBE_BLACK_HOLE);
	assert_memory_equal(&(struct tcp_settings){ 0 },
			    &(struct tcp_settings[]){ read_of(NULL, 0, (struct tcp_settings){ 0 }) }[0],
			    sizeof(struct tcp_settings));
}

/* This machine's are read as well: there is a kernel that has them. */
static void this_kernel(void **state)
{
	struct tcp_settings got = { 0 };
	int fd = open(SYSCTL_DIR "/tcp_fin_timeout", O_RDONLY | O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	close(fd);
	sysctl_read(SYSCTL_DIR, &got);
	assert_in_range(got.fin_timeout_ms, 1000, 120000);
	assert_int_not_equal(got.keepidle_s, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_taken),
		cmocka_unit_test(what_cannot_be_is_left),
		cmocka_unit_test(this_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
