/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger - which events a function is called for, or a URL gets.
 *
 * The filter is the dialect of the CloudEvents Subscriptions API v1.0-wip (exact, prefix, suffix,
 * all, any, not), with three words more: anyOf {attribute: [values]}, range {attribute: {gt, gte,
 * lt, lte}} and topic {attribute: "com.acme.*.created"} where * is one part between dots and ** any
 * number of them. An attribute is one of the event's, or data.<path> for a member of JSON data.
 *
 *	{"name": "on-vm", "function": "greet", "enabled": true,
 *	 "filter": [{"exact": {"type": "com.acme.vm.created"}}, {"not": {"prefix": {"source":
 *"/test"}}}], "order_key": "subject", "queue": {"attempts": 3, "max_age_s": 600, "on_failure":
 *[...]}}
 *
 * With "url" instead of "function" the event goes out as a post (delivery.h), in CloudEvents'
 *binary mode or, with "mode": "structured", as a document. Such a trigger belongs to no function.
 *
 * A document is foreign: at most 16 KiB, 100 conditions, 8 deep. trigger_match() does not look at
 * every trigger of the org: it takes those that demand what the event has (a value, a prefix, the
 * first parts of a topic, of any attribute), and those that demand nothing (trigger_index.h).
 * ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_TRIGGER_H
#define MAYFLY_DOMAIN_TRIGGER_H

#include "domain/event.h"

struct trigger;       /* held by its org */
struct trigger_index; /* of an org, owned by it */

enum {
	TRIGGER_BYTES_MAX = 16 << 10,
	TRIGGER_URL_MAX = 2048,
	TRIGGERS_MAX = 10000,            /* of one org */
	TRIGGERS_CONDITIONS_MAX = 50000, /* the same, of all that are enabled */
};

int trigger_put(struct domain *domain, struct org *org, struct str name, const json_t *document,
	void (*done)(
		int code, struct trigger *trigger, bool is_new, const struct err *err, void *arg),
	void *arg, struct err *err) ON_LOOP; /* < 0: refused, done does not come */
void trigger_delete(struct trigger *trigger,
	void (*done)(int code, const struct err *err, void *arg), void *arg) ON_LOOP;
struct trigger *trigger_find(const struct org *org, struct str name);
void trigger_each(
	const struct org *org, bool (*each)(struct trigger *trigger, void *arg), void *arg);
json_t *trigger_json(const struct trigger *trigger); /* with its counters and its lag */

/* Those that the event is for, in order of name; each is borrowed. Gives how many steps it took:
 * attributes looked up, filters and conditions compared. */
size_t trigger_match(struct org *org, const struct event *event,
	void (*each)(struct trigger *trigger, void *arg), void *arg);
/* A dry run: for each trigger {"name", "matches", "why": "type is not exactly …"}. */
json_t *trigger_explain(struct org *org, const struct event *event);

struct trigger_figures {
	const char *name;
	uint64_t n_matched, n_delivered, n_failed; /* since start */
	uint64_t n_waiting, oldest_ms; /* as trigger_look() saw them; 0 when nothing waits */
};
void trigger_figures(const struct trigger *trigger, struct trigger_figures *ret);
/* Asks the store what waits of the triggers of an org, so that figures and JSON say it; of all with
 * org "", but not again within five seconds: the figures stay those of then. done() may come at
 * once. */
void trigger_look(
	struct domain *domain, const char *org, void (*done)(void *arg), void *arg) ON_LOOP;

/* ---- for who delivers ---- */

/* The policy that a trigger has for its deliveries, borrowed; NULL for the function's. */
const struct delivery_policy *trigger_policy_of(
	struct domain *domain, const char *org, const char *trigger) ON_LOOP;
/* One of its deliveries ended. */
void trigger_settled(
	struct domain *domain, const char *org, const char *trigger, bool is_delivered) ON_LOOP;

#endif
