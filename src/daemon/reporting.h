/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reporting.h - bringing together who asks about an application and that application
 *
 * vjd makes a pair of sockets and gives one end to each. What is said there is between the two: vjd neither
 * holds an end nor waits for an answer, so an application that never answers costs it nothing.
 */
#ifndef DAEMON_REPORTING_H
#define DAEMON_REPORTING_H

#include "daemon/app.h"

/* An application is not asked more often than this. */
enum { REPORT_EVERY_MS = 20 };

/**
 * report_ask() - Serve a REPORT
 * Who may be asked is who may be seen: root asks everybody, others what is of their own uid.
 * Return: CTL_REFUSAL_NONE, and both have been told; NO_APP; PEER_BUSY: it does not read, or was asked just now;
 * RESOURCES.
 */
enum ctl_refusal report_ask(struct app *app, uint32_t seq, const struct ctl_report *req);

#endif
