// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/policy_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 };

/* ---- words */

static bool is_number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *ret <= max;
}

/* A function each: of a word behind its keyword. Return: NULL, or what is wrong */

static const char *take_ports(struct policy_rule *rule, char *list)
{
	char *save, *word;

	rule->all_ports = strcmp(list, "all") == 0;
	if (rule->all_ports || strcmp(list, "none") == 0)
		return NULL;
	for (word = strtok_r(list, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save)) {
		char *dash = strchr(word, '-');
		unsigned long first, last;

		if (rule->port_cnt == POLICY_LIST_MAX)
			return "too many ranges of ports";
		if (dash != NULL)
			*dash = '\0';
		if (!is_number(word, 65535, &first) || !is_number(dash != NULL ? dash + 1 : word, 65535, &last) ||
		    first == 0 || last < first)
			return "ports are numbers or ranges from 1 to 65535, with commas between";
		rule->ports[rule->port_cnt++] = (struct port_range){ (uint16_t)first, (uint16_t)last };
	}
	return rule->port_cnt > 0 ? NULL : "ports are missing";
}

static const char *take_interfaces(struct policy_rule *rule, char *list)
{
	char *save, *word;

	rule->all_interfaces = strcmp(list, "all") == 0;
	if (rule->all_interfaces || strcmp(list, "none") == 0)
		return NULL;
	for (word = strtok_r(list, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save)) {
		if (rule->interface_cnt == POLICY_LIST_MAX)
			return "too many interfaces";
		if (strlen(word) >= sizeof(rule->interfaces[0]))
			return "the name of an interface has at most 15 characters";
		strcpy(rule->interfaces[rule->interface_cnt++], word);
	}
	return rule->interface_cnt > 0 ? NULL : "interfaces are missing";
}

static const char *take_memory(struct policy_rule *rule, char *size)
{
	size_t len = strlen(size);
	unsigned long value;
	unsigned shift = 0;

	switch (size[len - 1]) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	if (shift > 0)
		size[len - 1] = '\0';
	if (!is_number(size, UINT32_MAX, &value) || value == 0)
		return "memory is a number above 0, with K, M or G behind it";
	rule->memory_max = (uint64_t)value << shift;
	return NULL;
}

static bool take_count(const char *number, uint32_t *ret)
{
	unsigned long value;

	if (!is_number(number, UINT32_MAX, &value))
		return false;
	*ret = (uint32_t)value;
	return true;
}

static const char *take_macs(struct policy_rule *rule, char *number)
{
	return take_count(number, &rule->macs_max) ? NULL : "macs is a number";
}

static const char *take_addresses(struct policy_rule *rule, char *number)
{
	return take_count(number, &rule->addresses_max) ? NULL : "addresses is a number";
}

static const struct keyword {
	const char *name;
	const char *(*take)(struct policy_rule *rule, char *word);
} keywords[] = {
	{ "interfaces", take_interfaces },
	{ "ports", take_ports },
	{ "memory", take_memory },
	{ "macs", take_macs },
	{ "addresses", take_addresses },
};

/* ---- lines */

typedef bool uid_of_fn(const char *name, uint32_t *ret_uid);

static const char *take_user(struct policy_rule *rule, const char *who, uid_of_fn *uid_of)
{
	unsigned long uid;

	rule->everybody = strcmp(who, "*") == 0;
	if (rule->everybody)
		return NULL;
	if (is_number(who, UINT32_MAX - 1, &uid)) {
		rule->uid = (uint32_t)uid;
		return NULL;
	}
	return uid_of(who, &rule->uid) ? NULL : "no such user";
}

static const char *take_line(struct policy_rule *rule, char *line, uid_of_fn *uid_of)
{
	static const char blanks[] = " \t\r";
	char *save, *word = strtok_r(line, blanks, &save);
	unsigned said = 0, bit;
	const char *why;

	*rule = (struct policy_rule){ .all_ports = true, .all_interfaces = true, .macs_max = UINT32_MAX, .addresses_max = UINT32_MAX };
	if (strcmp(word, "user") != 0)
		return "a line begins with 'user'";
	word = strtok_r(NULL, blanks, &save);
	why = word != NULL ? take_user(rule, word, uid_of) : "which user?";
	while (why == NULL && (word = strtok_r(NULL, blanks, &save)) != NULL) {
		const struct keyword *k = keywords;

		while (k < keywords + ARRAY_SIZE(keywords) && strcmp(k->name, word) != 0)
			k++;
		if (k == keywords + ARRAY_SIZE(keywords))
			return "unknown word; there are interfaces, ports, memory, macs and addresses";
		/* of "ports 80 ports none" nobody could say what it allows */
		bit = 1u << (k - keywords);
		if ((said & bit) != 0)
			return "the same word twice";
		said |= bit;
		word = strtok_r(NULL, blanks, &save);
		why = word != NULL ? k->take(rule, word) : "something is missing at the end";
	}
	return why;
}

static bool is_empty(const char *line)
{
	return line[strspn(line, " \t\r")] == '\0';
}

int policy_conf_parse(char *text, uid_of_fn *uid_of, struct policy_conf *ret_conf, char ret_why[static POLICY_WHY_BYTES])
{
	unsigned number = 0;
	char *line;

	ret_conf->cnt = 0;
	while ((line = strsep(&text, "\n")) != NULL) {
		const char *why;
		char *hash = strchr(line, '#');

		number++;
		if (hash != NULL)
			*hash = '\0';
		if (is_empty(line))
			continue;
		why = ret_conf->cnt == POLICY_RULES_MAX ? "too many lines"
							: take_line(&ret_conf->rules[ret_conf->cnt], line, uid_of);
		if (why != NULL) {
			snprintf(ret_why, POLICY_WHY_BYTES, "line %u: %s", number, why);
			return -EINVAL;
		}
		ret_conf->cnt++;
	}
	return 0;
}

/* ---- the file */

static bool uid_of_name(const char *name, uint32_t *ret_uid)
{
	const struct passwd *pw = getpwnam(name);

	if (pw != NULL)
		*ret_uid = pw->pw_uid;
	return pw != NULL;
}

static int read_file(const char *path, char text[static FILE_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return -errno;
	n = read(fd, text, FILE_MAX);
	if (n < 0)
		r = -errno;
	else if (n == FILE_MAX || memchr(text, '\0', (size_t)n) != NULL)
		r = -EFBIG;
	else
		text[n] = '\0';
	close(fd);
	return r;
}

int policy_conf_load(const char *path, struct policy_conf *ret_conf, char ret_why[static POLICY_WHY_BYTES])
{
	char why[POLICY_WHY_BYTES];
	char *text = malloc(FILE_MAX);
	int r = text != NULL ? read_file(path, text) : -ENOMEM;

	if (r < 0) {
		snprintf(ret_why, POLICY_WHY_BYTES, "%.80s: %s", path,
			 r == -EFBIG ? "too large, or no text" : strerror(-r));
	} else {
		r = policy_conf_parse(text, uid_of_name, ret_conf, why);
		if (r < 0)
			snprintf(ret_why, POLICY_WHY_BYTES, "%.60s: %.90s", path, why);
	}
	free(text);
	return r;
}

/* ---- questions */

const struct policy_rule *policy_of(const struct policy_conf *conf, uint32_t uid)
{
	static const struct policy_rule everything = {
		.everybody = true, .all_ports = true, .all_interfaces = true, .macs_max = UINT32_MAX, .addresses_max = UINT32_MAX
	};

	if (conf == NULL)
		return &everything;
	for (unsigned i = 0; i < conf->cnt; i++)
		if (conf->rules[i].everybody || conf->rules[i].uid == uid)
			return &conf->rules[i];
	return NULL;
}

bool policy_may_port(const struct policy_rule *rule, uint16_t port)
{
	if (rule == NULL || rule->all_ports)
		return rule != NULL;
	for (unsigned i = 0; i < rule->port_cnt; i++)
		if (port >= rule->ports[i].first && port <= rule->ports[i].last)
			return true;
	return false;
}

bool policy_may_interface(const struct policy_rule *rule, const char *name)
{
	if (rule == NULL || rule->all_interfaces)
		return rule != NULL;
	for (unsigned i = 0; i < rule->interface_cnt; i++)
		if (strcmp(rule->interfaces[i], name) == 0)
			return true;
	return false;
}
