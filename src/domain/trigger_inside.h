/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger_inside - a trigger as the files of this room see it.
 *
 *	trigger_plan.c     the document: filter, order key, policy
 *	trigger.c          those of an org: put, deleted, loaded, shown
 *	trigger_filter.c   and trigger_index.c: which of them an event is for
 *	event_accept.c     puts a delivery for each of those
 *
 * A stored document that is not understood any more stays, says so, and takes no event. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_TRIGGER_INSIDE_H
#define MAYFLY_DOMAIN_TRIGGER_INSIDE_H

#include "domain/org.h"
#include "domain/trigger.h"
#include "domain/trigger_index.h"
#include "store/rows.h"

struct trigger_plan {
	json_t *document;              /* owned: all but name, function, enabled, as written */
	const char *url;               /* into the document; NULL: it calls a function */
	enum event_mode mode;          /* in which it goes to the URL */
	struct trigger_filter *filter; /* owned */
	const char *order_key;         /* path of an attribute, into the document; NULL */
	bool has_policy;
	struct delivery_policy policy; /* owned, where it has one */
};
/* ERR_INVALID names the field. */
int trigger_plan_read(const json_t *document, struct trigger_plan *ret, struct err *err);
void trigger_plan_done(struct trigger_plan *plan);

struct trigger {
	struct org *org;             /* borrowed */
	char name[64], function[64]; /* function "" where it has a URL */
	bool is_enabled;
	char broken[240]; /* why the stored document is not understood; "" */
	struct trigger_plan plan;
	struct trigger_place place; /* in its org's index, where it is enabled and not broken */
	uint64_t created_ms, updated_ms;
	uint64_t n_matched, n_delivered, n_failed;
	uint64_t n_waiting, oldest_ms;
};

/* One of the store, into its org. */
void trigger_add(struct domain *domain, const struct row_trigger *row);
/* The function left, its triggers with it. */
void trigger_function_gone(struct org *org, const char *function) ON_LOOP;
/* All of an org, with their index, when it is freed. */
void trigger_free_all(struct org *org);

#endif
