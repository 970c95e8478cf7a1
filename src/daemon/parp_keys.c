// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/parp_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 4096 };

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool take_secret(const char *text, uint8_t secret[static PARP_SECRET_BYTES])
{
	if (strlen(text) != 2 * (size_t)PARP_SECRET_BYTES)
		return false;
	for (unsigned k = 0; k < PARP_SECRET_BYTES; k++) {
		int high = digit(text[2 * k]), low = digit(text[2 * k + 1]);

		if (high < 0 || low < 0)
			return false;
		secret[k] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* What a file has in it that nobody has filled in */
static bool is_zero(const uint8_t secret[static PARP_SECRET_BYTES])
{
	static const uint8_t zero[PARP_SECRET_BYTES];

	return memcmp(secret, zero, sizeof(zero)) == 0;
}

static bool take_id(const char *text, uint32_t *ret)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	*ret = (uint32_t)value;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && value <= UINT32_MAX;
}

static bool is_known(const struct parp_keys *keys, uint32_t id)
{
	for (uint32_t k = 0; k < keys->cnt; k++)
		if (keys->keys[k].id == id)
			return true;
	return false;
}

/* Return: NULL, or what is wrong */
static const char *take_line(struct parp_keys *keys, char *line)
{
	static const char blanks[] = " \t\r";
	char *save, *id = strtok_r(line, blanks, &save), *secret;
	struct parp_key *key = &keys->keys[keys->cnt];

	if (id == NULL)
		return NULL;
	if (keys->cnt == PARP_KEYS_MAX)
		return "too many keys";
	secret = strtok_r(NULL, blanks, &save);
	if (!take_id(id, &key->id) || secret == NULL || !take_secret(secret, key->secret) || strtok_r(NULL, blanks, &save) != NULL)
		return "a number, and 32 hexadecimal digits";
	if (is_zero(key->secret))
		return "a key of zeros only is everybody's";
	if (is_known(keys, key->id))
		return "the same number twice";
	keys->cnt++;
	return NULL;
}

int parp_keys_parse(char *text, struct parp_keys *ret_keys, char ret_why[static PARP_KEYS_WHY_BYTES])
{
	unsigned number = 0;
	char *line;

	ret_keys->cnt = 0;
	while ((line = strsep(&text, "\n")) != NULL) {
		char *hash = strchr(line, '#');
		const char *why;

		number++;
		if (hash != NULL)
			*hash = '\0';
		why = take_line(ret_keys, line);
		if (why != NULL) {
			snprintf(ret_why, PARP_KEYS_WHY_BYTES, "line %u: %s", number, why);
			return -EINVAL;
		}
	}
	if (ret_keys->cnt == 0)
		snprintf(ret_why, PARP_KEYS_WHY_BYTES, "no key in it");
	return ret_keys->cnt > 0 ? 0 : -EINVAL;
}

/* Looked at where it is open: what is read is what was looked at. */
static int read_text(int fd, char text[static TEXT_MAX])
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 || (st.st_uid != 0 && st.st_uid != geteuid()))
		return -EACCES;
	n = read(fd, text, TEXT_MAX);
	if (n < 0)
		return -errno;
	if (n == TEXT_MAX || memchr(text, '\0', (size_t)n) != NULL)
		return -EFBIG;
	text[n] = '\0';
	return 0;
}

int parp_keys_load(const char *path, struct parp_keys *ret_keys, char ret_why[static PARP_KEYS_WHY_BYTES])
{
	char text[TEXT_MAX], why[PARP_KEYS_WHY_BYTES] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = fd >= 0 ? read_text(fd, text) : -errno;

	if (r == 0)
		r = parp_keys_parse(text, ret_keys, why);
	else if (r == -EACCES && fd >= 0)
		snprintf(why, sizeof(why), "wants a regular file of root's or vjd's user, mode 0600");
	else
		snprintf(why, sizeof(why), "%s", r == -EFBIG ? "too large, or no text" : strerror(-r));
	if (r < 0)
		snprintf(ret_why, PARP_KEYS_WHY_BYTES, "%.60s: %.90s", path, why);
	explicit_bzero(text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return r;
}
