/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a trigger's deliveries: counted here as they end, asked of the store as they wait.
 */
#include "domain/trigger_inside.h"

#include "base/clock.h"
#include "base/log.h"

#define LOOK_ALL_US 5000000

void
trigger_figures(const struct trigger *trigger, struct trigger_figures *ret)
{
	*ret = (struct trigger_figures){
		.name = trigger->name,
		.n_matched = trigger->n_matched,
		.n_delivered = trigger->n_delivered,
		.n_failed = trigger->n_failed,
		.n_waiting = trigger->n_waiting,
		.oldest_ms = trigger->oldest_ms,
	};
}

static struct trigger *
find_in(struct domain *domain, const char *org_name, const char *name)
{
	struct org *org = org_find(domain, str_of(org_name));

	return org ? trigger_find(org, str_of(name)) : NULL;
}

const struct delivery_policy *
trigger_policy_of(struct domain *domain, const char *org, const char *name)
{
	const struct trigger *trigger = find_in(domain, org, name);

	return trigger && trigger->plan.has_policy ? &trigger->plan.policy : NULL;
}

void
trigger_settled(struct domain *domain, const char *org, const char *name, bool is_delivered)
{
	struct trigger *trigger = find_in(domain, org, name);

	if (!trigger)
		return;
	trigger->n_delivered += is_delivered;
	trigger->n_failed += !is_delivered;
}

/* ---- what waits ---- */

struct looking {
	struct store_message message;
	struct domain *domain;          /* borrowed */
	char org[64];                   /* "" for all */
	struct row_delivery_source *at; /* owned */
	size_t n;
	void (*done)(void *arg);
	void *arg; /* borrowed */
};

static bool
look_each(const struct row_delivery_source *source, void *arg)
{
	struct looking *looking = arg;

	if (strcmp(source->origin, "event") != 0)
		return true;
	looking->at = mem_grow(looking->at, (looking->n + 1) * sizeof(*looking->at));
	looking->at[looking->n++] = *source;
	return true;
}

static int
look_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct looking *looking = list_owner(message, struct looking, message);

	thread_on_store();
	looking->n = 0;
	return row_delivery_count_sources(
		db, looking->org[0] ? looking->org : NULL, look_each, looking, err);
}

static void
look_clear(const struct looking *looking) ON_LOOP
{
	map_each (&looking->domain->orgs, org_entry) {
		struct org *org = org_entry->value;

		if (looking->org[0] && strcmp(looking->org, org->name) != 0)
			continue;
		map_each (&org->triggers, entry) {
			struct trigger *trigger = entry->value;

			trigger->n_waiting = trigger->oldest_ms = 0;
		}
	}
}

static void
look_done(struct store_message *message)
{
	struct looking *looking = list_owner(message, struct looking, message);

	thread_on_loop();
	if (message->code < 0)
		log_warn("trigger.not_counted", "reason=%s", log_q(message->err.text));
	else
		look_clear(looking);
	for (size_t i = 0; message->code >= 0 && i < looking->n; i++) {
		struct trigger *trigger =
			find_in(looking->domain, looking->at[i].org, looking->at[i].source);

		if (!trigger)
			continue;
		trigger->n_waiting = looking->at[i].n;
		trigger->oldest_ms = looking->at[i].oldest_ms;
	}
	looking->done(looking->arg);
	free(looking->at);
	free(looking);
}

void
trigger_look(struct domain *domain, const char *org, void (*done)(void *arg), void *arg)
{
	uint64_t now_us = clock_mono_us();
	struct looking *looking;

	if (!*org && domain->triggers_looked_us &&
		now_us - domain->triggers_looked_us < LOOK_ALL_US) {
		done(arg);
		return;
	}
	if (!*org)
		domain->triggers_looked_us = now_us;
	looking = mem_new(sizeof(*looking));
	snprintf(looking->org, sizeof(looking->org), "%s", org);
	looking->domain = domain;
	looking->done = done;
	looking->arg = arg;
	looking->message.work = look_work;
	looking->message.done = look_done;
	store_ask(domain->store, &looking->message);
}
