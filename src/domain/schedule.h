/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule - when a function is called: by cron, at an interval, or once.
 *
 *	{"name": "nightly", "function": "report", "enabled": true, "zone": "Europe/Berlin",
 *	 "cron": "30 2 * * *" | "every": "90s" | "at": "2027-01-01T00:00:00Z",
 *	 "payload": {...}, "missed": "skip" | "once", "queue": {"attempts": 3}}
 *
 * A run is a delivery with the idempotency key "schedule/<name>/<planned ms>", so that it is put
 * once however often the daemon dies; `last_ms` of the row follows it. Runs that were missed while
 * nothing served (down, disabled for longer than a minute does not count) are skipped, or made up
 * for by one. The function gets {"schedule", "planned", "payload"}. One timer for all. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_SCHEDULE_H
#define MAYFLY_DOMAIN_SCHEDULE_H

#include "base/cron.h"
#include "domain/delivery.h"

struct schedule;       /* held by its org */
struct schedule_clock; /* all of them, by when they are due: domain->schedules */

int schedule_clock_new(struct domain *domain, struct schedule_clock **ret, struct err *err);
void schedule_clock_start(struct schedule_clock *clock) ON_LOOP; /* after delivery_host_start() */
void schedule_clock_stop(struct schedule_clock *clock) ON_LOOP;
void schedule_clock_free(struct schedule_clock *clock);

int schedule_put(struct domain *domain, struct org *org, struct str name, const json_t *document,
	void (*done)(
		int code, struct schedule *schedule, bool is_new, const struct err *err, void *arg),
	void *arg, struct err *err) ON_LOOP; /* < 0: refused, done does not come */
void schedule_delete(struct schedule *schedule,
	void (*done)(int code, const struct err *err, void *arg), void *arg) ON_LOOP;
struct schedule *schedule_find(const struct org *org, struct str name);
void schedule_each(
	const struct org *org, bool (*each)(struct schedule *schedule, void *arg), void *arg);
/* What its deliveries are tried by; NULL for the function's policy, or when it is gone. */
const struct delivery_policy *schedule_policy_of(
	struct domain *domain, const char *org, const char *name) ON_LOOP;
/* With "next": the next five runs, "last": when and the id of its delivery. */
json_t *schedule_json(const struct schedule *schedule);

#endif
