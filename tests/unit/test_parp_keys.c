// SPDX-License-Identifier: BSD-2-Clause
/* The file of vjd --parp-keys: what it may say, and who may read it. */
#include "tests/unit/wire_test.h"

#include "daemon/parp_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "000102030405060708090a0b0c0d0e0f"

static int parse(const char *said, struct parp_keys *ret)
{
	char text[4096], why[PARP_KEYS_WHY_BYTES] = "";
	int r;

	snprintf(text, sizeof(text), "%s", said);
	r = parp_keys_parse(text, ret, why);
	if (r < 0) {
		assert_true(why[0] != '\0');
		assert_null(strstr(why, "0a0b0c")); /* nothing of a key */
	}
	return r;
}

static void test_good(void **state)
{
	struct parp_keys keys;

	(void)state;
	assert_int_equal(parse("# ours\n 7\t" SECRET " # first\n\n4294967295 FFeeddccbbaa99887766554433221100\r\n", &keys), 0);
	assert_int_equal(keys.cnt, 2);
	assert_int_equal(keys.keys[0].id, 7);
	for (unsigned k = 0; k < PARP_SECRET_BYTES; k++)
		assert_int_equal(keys.keys[0].secret[k], k);
	assert_int_equal(keys.keys[1].id, UINT32_MAX);
	assert_int_equal(keys.keys[1].secret[0], 0xff);
	assert_int_equal(keys.keys[1].secret[15], 0);
}

static void test_bad(void **state)
{
	static const char *const texts[] = {
		"", "# nothing\n", "7\n", SECRET "\n", "7 " SECRET "00\n", "7 00" "0102030405060708090a0b0c0d0e0g\n", "7 0\n",
		"-1 " SECRET, "4294967296 " SECRET, "7x " SECRET, "7 " SECRET " more", "7 " SECRET "\n7 " SECRET "\n",
		"7 00000000000000000000000000000000\n",
	};
	char many[4096] = "";
	struct parp_keys keys;

	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(texts); k++)
		assert_int_equal(parse(texts[k], &keys), -EINVAL);
	for (unsigned k = 0; k <= PARP_KEYS_MAX; k++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%u " SECRET "\n", k);
	assert_int_equal(parse(many, &keys), -EINVAL);
}

static void test_file(void **state)
{
	char path[] = "/tmp/parp_keys.XXXXXX", why[PARP_KEYS_WHY_BYTES];
	int fd = mkstemp(path);
	struct parp_keys keys;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "7 " SECRET "\n", 35), 35);
	assert_int_equal(parp_keys_load(path, &keys, why), 0);
	assert_int_equal(keys.cnt, 1);
	for (unsigned bit = 0; bit < 6; bit++) {
		assert_int_equal(fchmod(fd, 0600 | 1u << bit), 0);
		assert_int_equal(parp_keys_load(path, &keys, why), -EACCES);
		assert_non_null(strstr(why, "0600"));
	}
	assert_int_equal(fchmod(fd, 0400), 0);
	assert_int_equal(parp_keys_load(path, &keys, why), 0);
	for (unsigned k = 0; k < 200; k++)
		assert_int_equal(write(fd, "# a line that is long enough\n", 29), 29);
	assert_int_equal(parp_keys_load(path, &keys, why), -EFBIG);
	close(fd);
	unlink(path);
	assert_int_equal(parp_keys_load(path, &keys, why), -ENOENT);
	assert_int_equal(parp_keys_load("/tmp", &keys, why), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
