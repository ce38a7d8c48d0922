/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger_filter - the conditions of a trigger: read, compared with an event, explained.
 *
 * The dialect stands in trigger.h. A filter is an array of conditions that must all hold; an empty
 * one fits every event. A condition is an object with one of the words; `exact`, `prefix`,
 * `suffix`, `anyOf`, `range` and `topic` take one or more attributes, all of which must fit. What
 * is not there fits none of them. Values are compared as text ("5" is 5, "true" is true), two
 * numbers as numbers. Each value of an `anyOf` counts as a condition. What a condition may cost
 * does not grow with the event: all orgs share the thread that compares. Knows no function and no
 * registry. Pure.
 */
#ifndef MAYFLY_DOMAIN_TRIGGER_FILTER_H
#define MAYFLY_DOMAIN_TRIGGER_FILTER_H

#include "domain/event.h"

enum {
	TRIGGER_CONDITIONS_MAX = 100,
	TRIGGER_DEPTH_MAX = 8,
	TRIGGER_PATH_MAX = 200,
	TRIGGER_KEY_BYTES = 64,
	TRIGGER_KEY_PARTS = 16,
	TRIGGER_TOPIC_PARTS = 32, /* of a pattern; a text of more than twice as many fits none */
	TRIGGER_NUMBER_BYTES = 64 /* of a text that is compared as a number */
};

struct trigger_filter;

/* `filter` may be NULL: every event. ERR_INVALID names the place: "filter[2].not.prefix …". */
int trigger_filter_new(const json_t *filter, struct trigger_filter **ret, struct err *err);
void trigger_filter_free(struct trigger_filter *filter);
OWN_DEFINE(trigger_filter, struct trigger_filter *, trigger_filter_free)

/* "type", "subject", an extension, or data.<path>: the member of the event, NULL without. */
int trigger_filter_check_path(const char *path, const char *field, struct err *err);
const json_t *trigger_filter_find(const struct event *event, const char *path);
/* Text of a string, a number or a boolean; STR_NONE for what has none. `room` holds numbers. */
struct str trigger_filter_text(const json_t *value, char room[static 32]);

size_t trigger_filter_conditions(const struct trigger_filter *filter); /* how many it has */

bool trigger_filter_match(const struct trigger_filter *filter, const struct event *event);
/* Why it does, or does not, as a sentence without a full stop. */
bool trigger_filter_explain(
	const struct trigger_filter *filter, const struct event *event, struct buf *out);

/* ---- for the index ---- */

/* Of these an event must have one, or the filter does not fit it. */
struct trigger_keys {
	struct str *at; /* owned, and the bytes */
	size_t n;
};
void trigger_keys_done(struct trigger_keys *keys);
/* A key is a kind, the attribute's name, a NUL, a text: 'e' a whole value, 'p' its first bytes (at
 * most TRIGGER_KEY_BYTES), 'h' its first parts between dots (at most TRIGGER_KEY_PARTS). */
void trigger_filter_key(char kind, struct str name, struct str text, struct buf *out);
/* Where several sets of keys would do, the one whose sum of cost() is least. False: there is none,
 * every event has to be looked at. */
typedef size_t trigger_cost_fn(struct str key, const void *arg);
bool trigger_filter_keys(const struct trigger_filter *filter, trigger_cost_fn *cost,
	const void *arg, struct trigger_keys *ret);

#endif
