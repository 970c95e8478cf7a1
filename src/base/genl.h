/* SPDX-License-Identifier: BSD-2-Clause */
/* genl.h - messages of generic netlink, for who has libmnl */
#ifndef BASE_GENL_H
#define BASE_GENL_H

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stdint.h>

/** genl_msg() - Begin a message to @family; @buf, aligned for struct nlmsghdr, has room for what is put behind */
static inline struct nlmsghdr *genl_msg(char *buf, uint16_t family, uint8_t cmd)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));

	nlh->nlmsg_type = family;
	genl->cmd = cmd;
	genl->version = 1;
	return nlh;
}

/** genl_family_msg() - What number has family @name? genl_take_family() reads the answer */
static inline struct nlmsghdr *genl_family_msg(char *buf, const char *name)
{
	struct nlmsghdr *nlh = genl_msg(buf, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);

	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, name);
	return nlh;
}

static inline int genl_take_family_attr(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID && mnl_attr_validate(attr, MNL_TYPE_U16) >= 0)
		*(uint16_t *)arg = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

/** genl_take_family() - An mnl_cb_t; @arg: uint16_t, which stays as it is where there is none */
static inline int genl_take_family(const struct nlmsghdr *nlh, void *arg)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), genl_take_family_attr, arg);
}

#endif
