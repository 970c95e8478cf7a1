// SPDX-License-Identifier: BSD-2-Clause
#include "lib/sysctl.h"

#include <stdlib.h>
#include <string.h>

enum {
	KEEP_S_MAX = 32767,    /* as TCP_KEEPIDLE takes it */
	FIN_TIMEOUT_S_MAX = 120, /* TCP_FIN_TIMEOUT_MAX of Linux */
};

struct sysctl {
	const char *name;
	void (*set)(struct tcp_settings *set, const char *value);
};

/* Numbers only are taken; those past @max as @max. Return: false: not a number */
static bool number(const char *value, uint32_t max, uint32_t *ret_number)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (end == value || *end != '\0' || *value == '-')
		return false;
	*ret_number = n < max ? (uint32_t)n : max;
	return true;
}

/* Where 0 switches off what the stack has on */
#define SWITCH(name, field)                                                    \
	static void set_##name(struct tcp_settings *set, const char *value)    \
	{                                                                      \
		uint32_t n;                                                    \
                                                                               \
		if (number(value, 1, &n))                                      \
			set->field = n == 0;                                   \
	}
/* 0 is left to the stack's default, as it is in its settings */
#define NUMBER(name, field, type, max, unit)                                   \
	static void set_##name(struct tcp_settings *set, const char *value)    \
	{                                                                      \
		uint32_t n;                                                    \
                                                                               \
		if (number(value, max, &n))                                    \
			set->field = (type)(n * (unit));                       \
	}

SWITCH(sack, no_sack)
SWITCH(timestamps, no_timestamps)
SWITCH(window_scaling, no_wscale)
SWITCH(slow_start_after_idle, no_idle_restart)
SWITCH(syncookies, no_syncookies)
NUMBER(syn_retries, syn_retries, uint8_t, 127, 1)
NUMBER(synack_retries, synack_retries, uint8_t, 127, 1)
NUMBER(retries2, retries, uint8_t, UINT8_MAX, 1)
NUMBER(orphan_retries, orphan_retries, uint8_t, UINT8_MAX, 1)
NUMBER(keepalive_time, keepidle_s, uint16_t, KEEP_S_MAX, 1)
NUMBER(keepalive_intvl, keepintvl_s, uint16_t, KEEP_S_MAX, 1)
NUMBER(keepalive_probes, keepcnt, uint8_t, 127, 1)
NUMBER(fin_timeout, fin_timeout_ms, uint32_t, FIN_TIMEOUT_S_MAX, 1000)

static void set_rfc1337(struct tcp_settings *set, const char *value)
{
	uint32_t n;

	if (number(value, 1, &n))
		set->rfc1337 = n != 0;
}

static void set_ecn(struct tcp_settings *set, const char *value)
{
	static const uint8_t modes[] = { STACK_ECN_OFF, STACK_ECN_ASK, STACK_ECN_ACCEPT };
	uint32_t n;

	if (number(value, UINT32_MAX, &n) && n < ARRAY_SIZE(modes))
		set->ecn = modes[n];
}

static void set_mtu_probing(struct tcp_settings *set, const char *value)
{
	uint32_t n;

	if (number(value, UINT32_MAX, &n) && n != 0)
		set->mtu_probing = n == 1 ? STACK_MTU_PROBE_BLACK_HOLE : STACK_MTU_PROBE_ALWAYS;
}

static void set_congestion_control(struct tcp_settings *set, const char *value)
{
	const char *name;

	for (unsigned i = 0; (name = tcp_cc_name(i)) != NULL; i++)
		if (strcmp(name, value) == 0)
			set->congestion = (uint8_t)i;
}

static const struct sysctl sysctls[] = {
	{ "mtu_probing", set_mtu_probing },
	{ "ecn", set_ecn },
	{ "congestion_control", set_congestion_control },
	{ "sack", set_sack },
	{ "timestamps", set_timestamps },
	{ "window_scaling", set_window_scaling },
	{ "slow_start_after_idle", set_slow_start_after_idle },
	{ "syncookies", set_syncookies },
	{ "rfc1337", set_rfc1337 },
	{ "syn_retries", set_syn_retries },
	{ "synack_retries", set_synack_retries },
	{ "retries2", set_retries2 },
	{ "orphan_retries", set_orphan_retries },
	{ "keepalive_time", set_keepalive_time },
	{ "keepalive_intvl", set_keepalive_intvl },
	{ "keepalive_probes", set_keepalive_probes },
	{ "fin_timeout", set_fin_timeout },
};

const char *sysctl_name(unsigned i)
{
	return i < ARRAY_SIZE(sysctls) ? sysctls[i].name : NULL;
}

void sysctl_set(struct tcp_settings *set, unsigned i, const char *value)
{
	sysctls[i].set(set, value);
}
