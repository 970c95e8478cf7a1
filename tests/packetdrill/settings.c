// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a script can set before it runs
 *
 * Scripts for Linux set sysctls, most of them in a command before the first event. The stack cannot see that, but this
 * library can look at the same sysctls, and does: whenever a socket is made, starts to listen or connects. What --so_flags
 * names is not looked up any more:
 *
 *	--so_flags=ecn=1,congestion_control=reno,mtu=1400
 *
 * The names are those under net.ipv4.tcp_ in /proc/sys, with colons between the numbers of a triple (rmem=4096:65536:1000000);
 * besides
 *
 *	mtu=1500	of the link
 *	tso=0		1: segments that follow each other leave as one packet (tso.c)
 *	sysctl=1	0: don't look at the kernel's
 *	libc=1		0: leave the program's calls of getsockopt() to libc (libc.c)
 *
 * tcp_rmem and tcp_wmem as the kernel is born with them count as not set: scripts are written for those in
 * pd_settings_init(). So does a congestion control that is neither Linux's nor Reno, if the script has not changed it: it
 * is the machine's own taste.
 */
#include "base/assert.h"
#include "lib/sysctl.h"
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 128

struct setting {
	const char *name;
	void (*set)(struct pd_settings *set, const char *value);
};

static uint32_t number(const char *value)
{
	return (uint32_t)strtoul(value, NULL, 10);
}

static void set_notsent_lowat(struct pd_settings *set, const char *value)
{
	set->notsent_lowat = number(value);
}

static void set_min_tso_segs(struct pd_settings *set, const char *value)
{
	set->tso_segs = number(value);
}

/* Bits: ip-sysctl.rst of Linux */
static void set_fastopen(struct pd_settings *set, const char *value)
{
	set->fastopen = (uint32_t)strtoul(value, NULL, 0);
	set->tcp.no_fastopen = (set->fastopen & PD_FASTOPEN_CLIENT) == 0;
	set->tcp.fastopen_no_cookie_tx = (set->fastopen & 0x4) != 0;
	set->tcp.fastopen_no_cookie_rx = (set->fastopen & 0x200) != 0;
}

static void set_fastopen_key(struct pd_settings *set, const char *value)
{
	unsigned int words[4];

	if (sscanf(value, "%x-%x-%x-%x", &words[0], &words[1], &words[2], &words[3]) != 4)
		return;
	set->tcp.has_fastopen_key = (words[0] | words[1] | words[2] | words[3]) != 0;
	for (int i = 0; i < 16; i++)
		set->tcp.fastopen_key[i] = (uint8_t)(words[i / 4] >> i % 4 * 8);
}

static bool triple(struct stack_buf_limits *ret, const char *value)
{
	return sscanf(value, "%u%*[ \t:]%u%*[ \t:]%u", &ret->min, &ret->start, &ret->max) == 3 &&
	       ret->max <= 1u << 30;
}

static void set_rmem(struct pd_settings *set, const char *value)
{
	struct stack_buf_limits v;

	if (triple(&v, value) && !(v.start == 131072 && v.max == 6291456))
		set->rmem = v;
}

static void set_wmem(struct pd_settings *set, const char *value)
{
	struct stack_buf_limits v;

	if (triple(&v, value) && v.start != 16384)
		set->wmem = v;
}

static const struct setting own[] = {
	{ "fastopen", set_fastopen },
	{ "fastopen_key", set_fastopen_key },
	{ "notsent_lowat", set_notsent_lowat },
	{ "min_tso_segs", set_min_tso_segs },
	{ "rmem", set_rmem },
	{ "wmem", set_wmem },
};

/* Those above, then those that the library takes over as well. NULL: past the last */
static const char *setting_name(unsigned int i)
{
	return i < ARRAY_SIZE(own) ? own[i].name : sysctl_name(i - (unsigned int)ARRAY_SIZE(own));
}

static void setting_set(struct pd_settings *set, unsigned int i, const char *value)
{
	if (i < ARRAY_SIZE(own)) {
		own[i].set(set, value);
		return;
	}
	if (strcmp(setting_name(i), "congestion_control") == 0 && strcmp(value, set->congestion_before) == 0 &&
	    strcmp(value, "reno") != 0)
		return;
	sysctl_set(&set->tcp, i - (unsigned int)ARRAY_SIZE(own), value);
}

static bool file_read(const char *name, char value[static VALUE_MAX])
{
	char path[VALUE_MAX];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), SYSCTL_DIR "/tcp_%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, value, VALUE_MAX - 1);
	close(fd);
	if (len <= 0)
		return false;
	value[len] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return true;
}

/* ---- flags ----------------------------------------------------------------------------------- */

static bool flag_own(struct pd_settings *set, const char *name, const char *value)
{
	if (strcmp(name, "mtu") == 0)
		set->mtu = number(value);
	else if (strcmp(name, "tso") == 0)
		set->tso = number(value) != 0;
	else if (strcmp(name, "sysctl") == 0)
		set->sysctl = number(value) != 0;
	else if (strcmp(name, "libc") == 0)
		set->libc = number(value) != 0;
	else
		return false;
	return true;
}

static int flag_set(struct pd_settings *set, const char *name, const char *value)
{
	if (flag_own(set, name, value))
		return set->mtu >= 576 && set->mtu <= 65535 ? 0 : -EINVAL;
	for (unsigned int i = 0; setting_name(i) != NULL; i++)
		if (strcmp(name, setting_name(i)) == 0) {
			setting_set(set, i, value);
			set->flagged |= UINT64_C(1) << i;
			return 0;
		}
	return -EINVAL;
}

int pd_settings_init(struct pd_settings *set, const char *flags)
{
	char *copy = flags != NULL ? strdup(flags) : NULL, *rest = NULL;
	int err = 0;

	VJ_ASSERT(setting_name(64) == NULL); /* bits of flagged */
	*set = (struct pd_settings){
		.rmem = { 4096, 540000, 15728640 },
		.wmem = { 4096, 262144, 4194304 },
		.mtu = PD_MTU_DEFAULT,
		.tcp.mtu_probing = STACK_MTU_PROBE_OFF,
		.notsent_lowat = UINT32_MAX,
		.somaxconn = 4096,
		.tso_segs = 2,
		.fastopen = PD_FASTOPEN_CLIENT,
		.sysctl = true,
		.libc = true,
	};
	for (char *name = copy != NULL ? strtok_r(copy, ", ", &rest) : NULL; name != NULL && err == 0;
	     name = strtok_r(NULL, ", ", &rest)) {
		char *value = strchr(name, '=');

		if (value != NULL)
			*value++ = '\0';
		err = flag_set(set, name, value != NULL ? value : "1");
		if (err != 0)
			fprintf(stderr, "libvj-packetdrill: no flag '%s', or a bad value\n", name);
	}
	free(copy);
	(void)file_read("congestion_control", set->congestion_before);
	return err;
}

/* ---- sysctls --------------------------------------------------------------------------------- */

void pd_settings_refresh(struct pd_settings *set)
{
	char value[VALUE_MAX];

	if (!set->sysctl)
		return;
	for (unsigned int i = 0; setting_name(i) != NULL; i++)
		if ((set->flagged >> i & 1) == 0 && file_read(setting_name(i), value))
			setting_set(set, i, value);
}
