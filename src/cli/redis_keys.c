// SPDX-License-Identifier: BSD-2-Clause
#include "cli/redis_run.h"

#include "cli/cmd.h"
#include "cli/resp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KEY_BYTES = 64, VALUE_BYTES = 64 };

static void known_value(const char *key, char buf[static VALUE_BYTES])
{
	unsigned long long h = 14695981039346656037ull;

	for (const char *p = key; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ull;
	snprintf(buf, VALUE_BYTES, "value-%016llx", h);
}

static bool is_known(const char *key)
{
	return strncmp(key, "vj:", 3) == 0;
}

/* Puts the keys in with known values: commands into redis-cli, as a person would. */
int redis_load(const struct program_run *run)
{
	const char *args[] = { "redis-cli", "-h", "127.0.0.1", "-p", run->port, "--pipe", NULL };
	int in = memfd_create("vj-bench-in", MFD_CLOEXEC), rc;
	FILE *f = in >= 0 ? fdopen(dup(in), "w") : NULL;
	char key[KEY_BYTES], value[VALUE_BYTES], *said;

	if (f == NULL)
		return -errno;
	for (int64_t i = 0; i < run->ctx->o->keys; i++) {
		snprintf(key, sizeof(key), "vj:%06lld", (long long)i);
		known_value(key, value);
		fprintf(f, "SET %s %s\r\n", key, value);
	}
	fclose(f);
	lseek(in, 0, SEEK_SET);
	rc = program_tool(run, args, in, false, &said);
	if (rc == 0 && strstr(said, "errors: 0") == NULL) {
		program_complain("redis-cli --pipe", said);
		rc = -EPROTO;
	}
	if (rc == 0)
		free(said);
	close(in);
	return rc;
}

struct entry {
	char key[KEY_BYTES], value[VALUE_BYTES];
};

struct entries {
	struct entry *list;
	size_t cnt, room;
	size_t at; /* whose value comes next */
};

static void add_key(void *arg, const char *text, size_t len)
{
	struct entries *e = arg;

	if (text == NULL || len >= KEY_BYTES)
		return;
	if (e->cnt == e->room) {
		size_t room = e->room == 0 ? 1024 : 2 * e->room;
		struct entry *list = realloc(e->list, room * sizeof(*list));

		if (list == NULL)
			return; /* noticed: the known keys are counted */
		e->list = list;
		e->room = room;
	}
	memcpy(e->list[e->cnt++].key, text, len + 1);
}

static void add_value(void *arg, const char *text, size_t len)
{
	struct entries *e = arg;
	struct entry *entry = &e->list[e->at++];

	snprintf(entry->value, sizeof(entry->value), "%.*s", (int)len,
		 text != NULL ? text : "(nil)");
}

/*
 * What must be there is there: each known key with its value; what redis-benchmark wrote is what it
 * writes.
 */
static int check_kernel(const struct program_run *run, const struct entries *e,
			struct redis_tally *tally)
{
	int64_t known = 0;
	char want[VALUE_BYTES];

	for (size_t i = 0; i < e->cnt; i++) {
		const struct entry *entry = &e->list[i];

		snprintf(want, sizeof(want), "VXK"); /* what redis-benchmark writes */
		if (is_known(entry->key)) {
			known_value(entry->key, want);
			known++;
		}
		if (strcmp(entry->value, want) != 0) {
			tally->wrong++;
			complain("bench: redis: key %s has the value '%s', not '%s'", entry->key,
				 entry->value, want);
			return -EBADMSG;
		}
	}
	tally->read_kernel += e->cnt;
	if (known == run->ctx->o->keys)
		return 0;
	complain("bench: redis: %lld keys loaded, %lld there", (long long)run->ctx->o->keys,
		 (long long)known);
	return -EBADMSG;
}

static int read_over_kernel(const struct program_run *run, struct entries *e)
{
	struct resp *r;
	int rc = resp_open((uint16_t)atoi(run->port), &r);

	if (rc < 0)
		return rc;
	rc = resp_each(r, "KEYS *", add_key, e);
	for (e->at = 0; rc == 0 && e->at < e->cnt;) {
		char line[KEY_BYTES + 8];

		snprintf(line, sizeof(line), "GET %s", e->list[e->at].key);
		rc = resp_each(r, line, add_value, e);
	}
	resp_close(r);
	if (rc < 0)
		complain("bench: redis: reading back over the kernel: %s", strerror(-rc));
	return rc;
}

/* One line of redis-cli's output for each key asked for. */
static int check_channel(const struct entries *e, const char *said, struct redis_tally *tally)
{
	const char *line = said;

	for (size_t i = 0; i < e->cnt; i++) {
		size_t len = strcspn(line, "\n");

		if (strlen(e->list[i].value) != len || memcmp(line, e->list[i].value, len) != 0) {
			tally->wrong++;
			complain("bench: redis: key %s reads '%.*s' over the channel, '%s' over "
				 "the kernel",
				 e->list[i].key, (int)len, line, e->list[i].value);
			return -EBADMSG;
		}
		line += len + (line[len] == '\n');
	}
	tally->read_channel += e->cnt;
	return 0;
}

static int read_over_channel(const struct program_run *run, const struct entries *e,
			     struct redis_tally *tally)
{
	const char *args[] = { "redis-cli", "-h", "127.0.0.1", "-p", run->port, NULL };
	int in = memfd_create("vj-bench-in", MFD_CLOEXEC), rc;
	FILE *f = in >= 0 ? fdopen(dup(in), "w") : NULL;
	char *said;

	if (f == NULL)
		return -errno;
	for (size_t i = 0; i < e->cnt; i++)
		fprintf(f, "GET %s\n", e->list[i].key);
	fclose(f);
	lseek(in, 0, SEEK_SET);
	rc = program_tool(run, args, in, false, &said);
	if (rc == 0) {
		rc = check_channel(e, said, tally);
		free(said);
	}
	close(in);
	return rc;
}

int redis_read_back(const struct program_run *run, struct redis_tally *tally)
{
	struct entries e = { 0 };
	int rc = read_over_kernel(run, &e);

	tally->written += e.cnt;
	if (rc == 0)
		rc = check_kernel(run, &e, tally);
	if (rc == 0)
		rc = read_over_channel(run, &e, tally);
	free(e.list);
	return rc;
}
