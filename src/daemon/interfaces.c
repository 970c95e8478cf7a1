/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/interfaces.h"

#include "daemon/app.h"

uint32_t interfaces_cnt(const struct vjd *d)
{
	(void)d;
	return 0;
}

enum ctl_refusal interfaces_attach(struct vjd *d, const char *name, struct ctl_interface *ret_interface)
{
	(void)d;
	(void)name;
	(void)ret_interface;
	return CTL_REFUSAL_NO_SUPPORT;
}

enum ctl_refusal interfaces_detach(struct vjd *d, const char *name, struct ctl_interface *ret_interface)
{
	(void)d;
	(void)name;
	(void)ret_interface;
	return CTL_REFUSAL_NO_INTERFACE;
}

enum ctl_refusal interfaces_open_channel(struct app *app, uint32_t seq, const struct ctl_interface *req)
{
	(void)app;
	(void)seq;
	(void)req;
	return CTL_REFUSAL_NO_INTERFACE;
}

void interfaces_resolve(struct app *app, const struct ctl_neighbour *req)
{
	(void)app;
	(void)req;
}
