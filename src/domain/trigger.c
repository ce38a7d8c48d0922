/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/trigger_inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "domain/function.h"

/* ---- those of an org ---- */

struct trigger *
trigger_find(const struct org *org, struct str name)
{
	return map_find(&org->triggers, name);
}

static void
trigger_hide(struct trigger *trigger)
{
	if (trigger->place.filter)
		trigger_index_remove(trigger->org->trigger_index, &trigger->place);
	trigger->place.filter = NULL;
}

static void
trigger_show(struct trigger *trigger)
{
	if (!trigger->is_enabled || trigger->broken[0])
		return;
	trigger->place.filter = trigger->plan.filter;
	trigger_index_add(trigger->org->trigger_index, &trigger->place);
}

static void
trigger_free(struct trigger *trigger)
{
	trigger_hide(trigger);
	trigger_plan_done(&trigger->plan);
	free(trigger);
}

static void
trigger_forget(struct trigger *trigger)
{
	map_remove(&trigger->org->triggers, str_of(trigger->name));
	trigger_free(trigger);
}

void
trigger_function_gone(struct org *org, const char *function)
{
	OWN(mem) struct trigger **gone = mem_new((org->triggers.len + 1) * sizeof(*gone));
	size_t n = 0;

	map_each (&org->triggers, entry) {
		struct trigger *trigger = entry->value;

		if (strcmp(trigger->function, function) == 0)
			gone[n++] = trigger;
	}
	while (n)
		trigger_forget(gone[--n]);
}

void
trigger_free_all(struct org *org)
{
	map_each (&org->triggers, entry)
		trigger_free(entry->value);
	map_done(&org->triggers);
	trigger_index_free(org->trigger_index);
}

static int
trigger_compare(const void *a, const void *b)
{
	const struct trigger *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

void
trigger_each(const struct org *org, bool (*each)(struct trigger *trigger, void *arg), void *arg)
{
	OWN(mem) struct trigger **found = mem_new((org->triggers.len + 1) * sizeof(*found));
	size_t n = 0;

	map_each (&org->triggers, entry)
		found[n++] = entry->value;
	qsort(found, n, sizeof(*found), trigger_compare);
	for (size_t i = 0; i < n && each(found[i], arg); i++)
		;
}

/* A new one, or what one was replaced by; its counters go on. */
static struct trigger *
trigger_keep(struct org *org, const struct row_trigger *row, struct trigger_plan *plan /* taken */)
{
	struct trigger *trigger = trigger_find(org, str_of(row->name));

	if (!trigger) {
		trigger = mem_new(sizeof(*trigger));
		trigger->org = org;
		memcpy(trigger->name, row->name, sizeof(trigger->name));
		map_put(&org->triggers, str_of(trigger->name), trigger);
	}
	trigger_hide(trigger);
	trigger_plan_done(&trigger->plan);
	memcpy(trigger->function, row->function, sizeof(trigger->function));
	trigger->is_enabled = row->is_enabled;
	trigger->broken[0] = '\0';
	trigger->plan = *plan;
	*plan = (struct trigger_plan){0};
	trigger->created_ms = row->created_ms;
	trigger->updated_ms = row->updated_ms;
	return trigger;
}

void
trigger_add(struct domain *domain, const struct row_trigger *row)
{
	OWN(json) json_t *document = NULL;
	struct trigger_plan plan = {0};
	struct trigger *trigger;
	struct err err = {0};
	int rc = json_parse(str_of(row->document), &document, &err);

	if (rc == 0)
		rc = trigger_plan_read(document, &plan, &err);
	trigger = trigger_keep(org_find(domain, str_of(row->org)), row, &plan);
	if (rc < 0) {
		memcpy(trigger->broken, err.text, sizeof(trigger->broken));
		log_error("trigger.unread", "org=%s trigger=%s reason=%s", row->org, row->name,
			log_q(err.text));
	}
	trigger_show(trigger);
}

/* ---- which an event is for ---- */

struct matching {
	struct trigger **at; /* owned */
	size_t n, cap;
};

static void
on_match(struct trigger_place *place, void *arg)
{
	struct matching *matching = arg;

	if (matching->n == matching->cap) {
		matching->cap = matching->cap ? matching->cap * 2 : 8;
		matching->at = mem_grow(matching->at, matching->cap * sizeof(*matching->at));
	}
	matching->at[matching->n++] = list_owner(place, struct trigger, place);
}

size_t
trigger_match(struct org *org, const struct event *event,
	void (*each)(struct trigger *trigger, void *arg), void *arg)
{
	struct matching matching = {0};
	size_t before = trigger_index_steps(org->trigger_index);

	trigger_index_match(org->trigger_index, event, on_match, &matching);
	if (matching.n > 1)
		qsort(matching.at, matching.n, sizeof(*matching.at), trigger_compare);
	for (size_t i = 0; i < matching.n; i++)
		each(matching.at[i], arg);
	free(matching.at);
	return trigger_index_steps(org->trigger_index) - before;
}

/* NULL where it has a URL. */
static const char *
trigger_function(const struct trigger *trigger)
{
	return trigger->function[0] ? trigger->function : NULL;
}

struct explaining {
	const struct event *event;
	json_t *list;
};

static bool
explain_one(struct trigger *trigger, void *arg)
{
	struct explaining *explaining = arg;
	OWN(buf) struct buf why = BUF_INIT;
	bool matches = false;

	if (trigger->broken[0])
		buf_printf(&why, "it is not understood: %s", trigger->broken);
	else if (!trigger->is_enabled)
		buf_add_text(&why, "it is not enabled");
	else
		matches = trigger_filter_explain(trigger->plan.filter, explaining->event, &why);
	if (matches && trigger->plan.has_policy && delivery_policy_has_task(&trigger->plan.policy))
		buf_add_text(&why, "; it answers a blocking task where the event is one of vCloud "
				   "Director's notifications");
	json_array_append_new(
		explaining->list, json_pack("{s:s, s:s?, s:s?, s:b, s:s}", "name", trigger->name,
					  "function", trigger_function(trigger), "url",
					  trigger->plan.url, "matches", matches, "why", why.at));
	return true;
}

json_t *
trigger_explain(struct org *org, const struct event *event)
{
	struct explaining explaining = {event, json_array()};

	trigger_each(org, explain_one, &explaining);
	return explaining.list;
}

/* ---- as JSON ---- */

static json_t *
trigger_time(uint64_t unix_ms)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(unix_ms, text);
	return json_string(text);
}

static json_t *
trigger_member(const struct trigger *trigger, const char *key)
{
	json_t *value = json_object_get(trigger->plan.document, key);

	return value ? json_incref(value) : json_null();
}

static uint64_t
trigger_lag_ms(const struct trigger *trigger)
{
	uint64_t now_ms = clock_unix_ms();

	return trigger->oldest_ms && trigger->oldest_ms < now_ms ? now_ms - trigger->oldest_ms : 0;
}

static const char *
trigger_mode(const struct trigger *trigger)
{
	if (!trigger->plan.url)
		return NULL;
	return trigger->plan.mode == EVENT_STRUCTURED ? "structured" : "binary";
}

json_t *
trigger_json(const struct trigger *trigger)
{
	json_t *filter = json_object_get(trigger->plan.document, "filter");

	return json_pack("{s:s, s:s?, s:s?, s:s?, s:b, s:o, s:o, s:o, s:s?, s:o, s:o, s:{s:I, s:I, "
			 "s:I, s:I, s:I}}",
		"name", trigger->name, "function", trigger_function(trigger), "url",
		trigger->plan.url, "mode", trigger_mode(trigger), "enabled", trigger->is_enabled,
		"filter", filter ? json_incref(filter) : json_array(), "order_key",
		trigger_member(trigger, "order_key"), "queue", trigger_member(trigger, "queue"),
		"failure", trigger->broken[0] ? trigger->broken : NULL, "created_at",
		trigger_time(trigger->created_ms), "updated_at", trigger_time(trigger->updated_ms),
		"figures", "matched", (json_int_t)trigger->n_matched, "delivered",
		(json_int_t)trigger->n_delivered, "failed", (json_int_t)trigger->n_failed,
		"waiting", (json_int_t)trigger->n_waiting, "lag_ms",
		(json_int_t)trigger_lag_ms(trigger));
}

/* ---- what a user wrote ---- */

static int
read_head(const struct org *org, struct str name, const json_t *document, struct row_trigger *ret,
	struct err *err)
{
	static const char *const known[] = {
		"name", "function", "url", "mode", "enabled", "filter", "order_key", "queue", NULL};
	const char *own_name = NULL, *function = NULL;
	bool has_url = json_is_string(json_object_get(document, "url"));
	int rc = id_check_name(name, "name", err);

	if (rc == 0)
		rc = json_check_keys(document, "", known, err);
	if (rc == 0)
		rc = json_get_str(document, "", "name", JSON_OPTIONAL, 63, &own_name, err);
	if (rc == 0)
		rc = json_get_str(document, "", "function", has_url ? JSON_OPTIONAL : JSON_NEEDED,
			63, &function, err);
	if (rc == 0)
		rc = json_get_bool(document, "", "enabled", JSON_OPTIONAL, &ret->is_enabled, err);
	if (rc < 0)
		return rc;
	if (own_name && !str_eq(str_of(own_name), name))
		return err_field(err, ERR_INVALID, "name", "name must be that of the path");
	if (function && has_url)
		return err_field(
			err, ERR_INVALID, "url", "a trigger has a function or a url, not both");
	if (function && !function_find(org, str_of(function)))
		return err_field(err, ERR_INVALID, "function", "there is no function %s", function);
	snprintf(ret->org, sizeof(ret->org), "%s", org->name);
	snprintf(ret->name, sizeof(ret->name), "%.*s", STR_ARG(name));
	snprintf(ret->function, sizeof(ret->function), "%s", function ? function : "");
	return 0;
}

/* ---- changes ---- */

struct trigger_change {
	struct store_message message;
	struct org *org; /* borrowed, held */
	struct row_trigger row;
	char *document;           /* owned: the row's */
	struct trigger_plan plan; /* owned */
	size_t n_conditions;      /* that it may bring */
	bool is_new;
	void (*put_done)(
		int code, struct trigger *trigger, bool is_new, const struct err *err, void *arg);
	void (*delete_done)(int code, const struct err *err, void *arg);
	void *arg; /* borrowed */
};

static void
change_free(struct trigger_change *change) ON_LOOP
{
	trigger_plan_done(&change->plan);
	free(change->document);
	org_release(change->org);
	free(change);
}

static struct trigger_change *
change_new(struct org *org, void *arg)
{
	struct trigger_change *change = mem_new(sizeof(*change));

	org_hold(org);
	change->org = org;
	change->arg = arg;
	return change;
}

/* ---- put ---- */

static int
put_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct trigger_change *change = list_owner(message, struct trigger_change, message);
	struct err why = {0};
	int rc;

	thread_on_store();
	change->is_new = false;
	rc = row_trigger_update(db, &change->row, &why);
	if (rc != ERR_NOT_FOUND) {
		if (rc < 0 && err)
			*err = why;
		return rc;
	}
	change->is_new = true;
	rc = row_trigger_insert(db, &change->row, err);
	if (rc == ERR_NOT_FOUND && change->row.function[0])
		return err_field(err, ERR_INVALID, "function", "there is no function %s",
			change->row.function);
	return rc;
}

static void
put_done(struct store_message *message)
{
	struct trigger_change *change = list_owner(message, struct trigger_change, message);
	struct trigger *trigger = NULL;

	thread_on_loop();
	change->org->n_triggers_coming--;
	change->org->n_conditions_coming -= change->n_conditions;
	if (message->code >= 0 && !change->org->is_deleting) {
		trigger = trigger_keep(change->org, &change->row, &change->plan);
		trigger_show(trigger);
	} else if (message->code >= 0) {
		message->code = err_set(
			&message->err, ERR_NOT_FOUND, "there is no org %s", change->org->name);
	}
	change->put_done(message->code < 0 ? message->code : 0, trigger, change->is_new,
		message->code < 0 ? &message->err : NULL, change->arg);
	change_free(change);
}

/* A trigger that is stored stays as it is when the provider's settings change. */
static int
check_tasks(const struct domain *domain, const struct trigger_plan *plan, struct err *err)
{
	if (!plan->has_policy || !delivery_policy_has_task(&plan->policy) ||
		delivery_has_tasks(domain->deliveries))
		return 0;
	return err_field(err, ERR_INVALID, "queue",
		"queue: tasks of vCloud Director cannot be answered here (the provider sets "
		"vcd_url)");
}

/* Every condition may have to be compared with every event, on the thread of all orgs. `filter` is
 * NULL where it takes no event. What is on its way counts whole, also where it replaces one that is
 * there: that one may be deleted before it. */
static int
check_room(const struct org *org, const struct trigger *before, const struct trigger_filter *filter,
	struct err *err)
{
	size_t n = trigger_index_conditions(org->trigger_index) + org->n_conditions_coming;

	if (!before && org->triggers.len + org->n_triggers_coming >= TRIGGERS_MAX)
		return err_set(err, ERR_CONFLICT, "an org has at most %d triggers", TRIGGERS_MAX);
	if (before && before->place.filter)
		n -= trigger_filter_conditions(before->place.filter);
	if (filter && n + trigger_filter_conditions(filter) > TRIGGERS_CONDITIONS_MAX)
		return err_field(err, ERR_CONFLICT, "filter",
			"the triggers of an org have at most %d conditions in all",
			TRIGGERS_CONDITIONS_MAX);
	return 0;
}

int
trigger_put(struct domain *domain, struct org *org, struct str name, const json_t *document,
	void (*done)(
		int code, struct trigger *trigger, bool is_new, const struct err *err, void *arg),
	void *arg, struct err *err)
{
	uint64_t now_ms = clock_unix_ms();
	struct row_trigger row = {.is_enabled = true, .created_ms = now_ms, .updated_ms = now_ms};
	const struct trigger *before = trigger_find(org, name);
	struct trigger_plan plan = {0};
	struct trigger_change *change;
	OWN(buf) struct buf text = BUF_INIT;
	int rc = read_head(org, name, document, &row, err);

	if (rc == 0)
		rc = trigger_plan_read(document, &plan, err);
	if (rc < 0)
		return rc;
	rc = check_tasks(domain, &plan, err);
	if (rc < 0) {
		trigger_plan_done(&plan);
		return rc;
	}
	rc = check_room(org, before, row.is_enabled ? plan.filter : NULL, err);
	if (rc < 0) {
		trigger_plan_done(&plan);
		return rc;
	}
	if (before)
		row.created_ms = before->created_ms;
	change = change_new(org, arg);
	change->plan = plan;
	json_write(plan.document, &text);
	change->document = buf_take(&text, NULL);
	change->row = row;
	change->row.document = change->document;
	change->n_conditions = row.is_enabled ? trigger_filter_conditions(plan.filter) : 0;
	org->n_triggers_coming++;
	org->n_conditions_coming += change->n_conditions;
	change->put_done = done;
	change->message.work = put_work;
	change->message.done = put_done;
	store_ask(domain->store, &change->message);
	return 0;
}

/* ---- delete ---- */

static int
delete_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct trigger_change *change = list_owner(message, struct trigger_change, message);
	int rc;

	thread_on_store();
	rc = row_trigger_delete(db, change->row.org, change->row.name, err);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static void
delete_done(struct store_message *message)
{
	struct trigger_change *change = list_owner(message, struct trigger_change, message);
	struct trigger *trigger = trigger_find(change->org, str_of(change->row.name));

	thread_on_loop();
	if (message->code >= 0 && trigger)
		trigger_forget(trigger);
	change->delete_done(message->code < 0 ? message->code : 0,
		message->code < 0 ? &message->err : NULL, change->arg);
	change_free(change);
}

void
trigger_delete(struct trigger *trigger, void (*done)(int code, const struct err *err, void *arg),
	void *arg)
{
	struct trigger_change *change = change_new(trigger->org, arg);

	snprintf(change->row.org, sizeof(change->row.org), "%s", trigger->org->name);
	memcpy(change->row.name, trigger->name, sizeof(change->row.name));
	change->delete_done = done;
	change->message.work = delete_work;
	change->message.done = delete_done;
	store_ask(trigger->org->domain->store, &change->message);
}
