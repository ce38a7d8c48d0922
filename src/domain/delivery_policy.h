/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_policy - how often, how long and how many at once a function's durable calls are tried.
 *
 * `queue` in the configuration of a version; the active version's holds for what waits:
 *
 *	{"attempts": 5, "backoff_ms": 1000, "backoff_max_ms": 300000, "max_age_s": 86400,
 *	 "concurrency": 10, "length": 10000, "keep_result_s": 86400,
 *	 "on_success": ["function:audit", "event:order.done", "https://…"], "on_failure": [...]}
 *
 * A trigger's may have "vcd:task" too: what the function answers decides a blocking task of vCloud
 * Director's; or "vcd:task:resume", ":abort", ":fail" whatever it answers.
 *
 * Knows no call and no bus. Pure.
 */
#ifndef MAYFLY_DOMAIN_DELIVERY_POLICY_H
#define MAYFLY_DOMAIN_DELIVERY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

enum { DELIVERY_DESTINATIONS_MAX = 5 };

enum delivery_destination_kind {
	DELIVERY_TO_FUNCTION, /* a durable call of a function of the same org */
	DELIVERY_TO_EVENT,    /* an event of that type, source "/functions/<name>" */
	DELIVERY_TO_URL,      /* POST, signed like a callback */
	DELIVERY_TO_TASK,     /* the answer to the task that a cloud waits with; of triggers only */
};
struct delivery_destination {
	enum delivery_destination_kind kind;
	char *to; /* owned: name, type, URL; "vcd:task", "vcd:task:<action>" */
};
struct delivery_destinations {
	struct delivery_destination at[DELIVERY_DESTINATIONS_MAX];
	size_t n;
};

struct delivery_policy {
	unsigned attempts;       /* 1 to 100: 5 */
	unsigned backoff_ms;     /* before the 2nd attempt, doubled each time: 1 s; 10 ms to 1 h */
	unsigned backoff_max_ms; /* 5 min; up to 12 h */
	unsigned max_age_s;     /* from when it was due; then dead without another attempt: 1 day */
	unsigned concurrency;   /* of durable calls of this function: 10; 1 to 1000 */
	unsigned length;        /* waiting ones; more are refused with 429: 10000; to 1,000,000 */
	unsigned keep_result_s; /* 1 day; 0 keeps none; to 14 days. Dead ones are kept 14 days */
	struct delivery_destinations on_success, on_failure; /* owned */
	bool is_of_trigger; /* set before it is read: may answer tasks */
};

void delivery_policy_default(struct delivery_policy *ret);
/* Of what goes to a URL: 12 attempts over about a quarter of an hour, 16 at once; how many may wait
 * is the org's business. */
void delivery_policy_posts(struct delivery_policy *ret);
/* What is not there stays. ERR_INVALID names the field and the rule: "queue.attempts must be …". */
int delivery_policy_read(
	const json_t *object, const char *path, struct delivery_policy *ret, struct err *err);
json_t *delivery_policy_json(const struct delivery_policy *policy);
/* Behind "vcd:task": "resume", "abort", "fail", or "" for what the answer says. */
const char *delivery_policy_action(const struct delivery_destination *to);
/* Whether one of its destinations answers tasks. */
bool delivery_policy_has_task(const struct delivery_policy *policy);
void delivery_policy_copy(const struct delivery_policy *from, struct delivery_policy *ret);
void delivery_policy_done(struct delivery_policy *policy);

/* Milliseconds from a failed attempt (1 is the first) to the next: exponential, bounded, with full
 * jitter over its upper half: between 1/2 and 1 of backoff × 2^(attempt-1). */
uint64_t delivery_policy_backoff(const struct delivery_policy *policy, unsigned attempt);

#endif
