/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/schedule_inside.h"

#include "base/log.h"
#include "base/own.h"
#include "domain/function.h"

#define SCHEDULE_SHOWN 5

struct schedule *
schedule_find(const struct org *org, struct str name)
{
	return map_find(&org->schedules, name);
}

const struct delivery_policy *
schedule_policy_of(struct domain *domain, const char *org_name, const char *name)
{
	const struct org *org = org_find(domain, str_of(org_name));
	const struct schedule *schedule = org ? schedule_find(org, str_of(name)) : NULL;

	return schedule && schedule->plan.has_policy ? &schedule->plan.policy : NULL;
}

void
schedule_free(struct schedule *schedule)
{
	schedule_plan_done(&schedule->plan);
	free(schedule);
}

static void
schedule_forget(struct schedule *schedule) ON_LOOP
{
	struct schedule_clock *clock = schedule->org->domain->schedules;

	map_remove(&schedule->org->schedules, str_of(schedule->name));
	schedule_clock_remove(clock, schedule);
	schedule->is_gone = true;
	if (!schedule->is_putting)
		schedule_free(schedule);
}

static struct schedule *
schedule_of_function(const struct org *org, const char *function)
{
	map_each (&org->schedules, entry) {
		struct schedule *schedule = entry->value;

		if (strcmp(schedule->function, function) == 0)
			return schedule;
	}
	return NULL;
}

void
schedule_function_gone(struct org *org, const char *function)
{
	struct schedule *schedule;

	while ((schedule = schedule_of_function(org, function)))
		schedule_forget(schedule);
}

void
schedule_free_all(struct org *org)
{
	map_each (&org->schedules, entry)
		schedule_free(entry->value);
	map_done(&org->schedules);
}

static int
schedule_compare(const void *a, const void *b)
{
	const struct schedule *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

void
schedule_each(const struct org *org, bool (*each)(struct schedule *schedule, void *arg), void *arg)
{
	OWN(mem)
	struct schedule **found = mem_new((org->schedules.len + 1) * sizeof(*found));
	size_t n = 0;

	map_each (&org->schedules, entry)
		found[n++] = entry->value;
	qsort(found, n, sizeof(*found), schedule_compare);
	for (size_t i = 0; i < n && each(found[i], arg); i++)
		;
}

static uint64_t
schedule_now(const struct org *org)
{
	return org->domain->schedules->now_ms();
}

static uint64_t
latest_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- as JSON ---- */

static json_t *
schedule_time(uint64_t unix_ms)
{
	char text[CLOCK_ISO_SIZE];

	if (!unix_ms)
		return json_null();
	clock_iso(unix_ms, text);
	return json_string(text);
}

static json_t *
schedule_next_json(const struct schedule *schedule, uint64_t now_ms)
{
	uint64_t at_ms = latest_of(schedule->base_ms, now_ms);
	json_t *list = json_array();

	if (!schedule->is_enabled || schedule->broken[0])
		return list;
	for (unsigned i = 0; i < SCHEDULE_SHOWN; i++) {
		at_ms = schedule_plan_next(&schedule->plan, schedule->since_ms, at_ms);
		if (!at_ms)
			break;
		json_array_append_new(list, schedule_time(at_ms));
	}
	return list;
}

static const char *
schedule_state(const struct schedule *schedule, const json_t *next)
{
	if (schedule->broken[0])
		return "broken";
	if (!schedule->is_enabled)
		return "disabled";
	return json_array_size(next) || schedule->heap_at || schedule->is_putting ? "waiting"
										  : "past";
}

static json_t *
schedule_last_json(const struct schedule *schedule)
{
	if (!schedule->last_ms)
		return json_null();
	return json_pack("{s:o, s:o}", "planned", schedule_time(schedule->last_ms), "call",
		schedule->last_id[0] ? json_string(schedule->last_id) : json_null());
}

json_t *
schedule_json(const struct schedule *schedule)
{
	const char *failure = schedule->broken[0] ? schedule->broken : schedule->failure;
	json_t *next = schedule_next_json(schedule, schedule_now(schedule->org));
	json_t *json = json_pack("{s:s, s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o}", "name",
		schedule->name, "function", schedule->function, "enabled", schedule->is_enabled,
		"state", schedule_state(schedule, next), "next", next, "last",
		schedule_last_json(schedule), "failure",
		failure[0] ? json_string(failure) : json_null(), "created_at",
		schedule_time(schedule->created_ms), "updated_at",
		schedule_time(schedule->updated_ms));

	if (schedule->plan.document)
		json_object_update(json, schedule->plan.document);
	return json;
}

/* ---- in the store ---- */

/* The document with what has no column: since when it is as it is, and the last delivery. */
static char *
schedule_text(const struct schedule_plan *plan, uint64_t since_ms, const char *last_id)
{
	OWN(json) json_t *json = json_copy(plan->document);
	OWN(buf) struct buf text = BUF_INIT;

	json_object_set_new(json, "since_ms", json_integer((json_int_t)since_ms));
	json_object_set_new(json, "last_id", json_string(last_id));
	json_write(json, &text);
	return buf_take(&text, NULL);
}

static int
schedule_restore(struct schedule *schedule, const char *text, struct err *err)
{
	OWN(json) json_t *json = NULL;
	const char *last_id = "";
	int rc = json_parse(str_of(text), &json, err);

	if (rc == 0)
		rc = json_get_u64(json, "", "since_ms", JSON_OPTIONAL, 0, INT64_MAX,
			&schedule->since_ms, err);
	if (rc == 0)
		rc = json_get_str(
			json, "", "last_id", JSON_OPTIONAL, ID_ULID_SIZE - 1, &last_id, err);
	if (rc == 0)
		rc = schedule_plan_restore(json, &schedule->plan, err);
	if (rc == 0)
		snprintf(schedule->last_id, sizeof(schedule->last_id), "%s", last_id);
	return rc;
}

void
schedule_add(struct domain *domain, const struct row_schedule *row)
{
	struct schedule *schedule = mem_new(sizeof(*schedule));
	struct err err = {0};

	schedule->org = org_find(domain, str_of(row->org));
	memcpy(schedule->name, row->name, sizeof(schedule->name));
	memcpy(schedule->function, row->function, sizeof(schedule->function));
	schedule->is_enabled = row->is_enabled;
	schedule->last_ms = row->last_ms;
	schedule->created_ms = row->created_ms;
	schedule->updated_ms = schedule->since_ms = row->updated_ms;
	if (schedule_restore(schedule, row->document, &err) < 0) {
		snprintf(schedule->broken, sizeof(schedule->broken), "%s", err.text);
		log_error("schedule.unread", "org=%s schedule=%s reason=%s", row->org, row->name,
			log_q(err.text));
	}
	schedule->base_ms = latest_of(schedule->since_ms, schedule->last_ms);
	map_put(&schedule->org->schedules, str_of(schedule->name), schedule);
}

/* ---- put ---- */

struct schedule_change {
	struct store_message message;
	struct domain *domain; /* borrowed */
	struct org *org;       /* borrowed, held: that counts it as coming; NULL where none does */
	struct row_schedule row;
	char *text; /* owned: row.document */
	struct schedule_plan plan;
	uint64_t since_ms;
	bool is_new;
	void (*put)(
		int code, struct schedule *schedule, bool is_new, const struct err *err, void *arg);
	void (*gone)(int code, const struct err *err, void *arg);
	void *arg; /* borrowed */
};

static void
change_free(struct schedule_change *change)
{
	schedule_plan_done(&change->plan);
	free(change->text);
	if (change->org) {
		change->org->n_schedules_coming--;
		org_release(change->org);
	}
	free(change);
}

static int
put_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct schedule_change *change = list_owner(message, struct schedule_change, message);
	int rc;

	thread_on_store();
	change->is_new = false;
	rc = row_schedule_update(db, &change->row, err);
	if (rc != ERR_NOT_FOUND)
		return rc;
	change->is_new = true;
	return row_schedule_insert(db, &change->row, err);
}

/* Another change of the same name may have been stored meanwhile, or a run been put. */
static void
put_apply(struct schedule_change *change, struct org *org) ON_LOOP
{
	struct schedule *schedule = schedule_find(org, str_of(change->row.name));

	if (!schedule) {
		schedule = mem_new(sizeof(*schedule));
		schedule->org = org;
		memcpy(schedule->name, change->row.name, sizeof(schedule->name));
		schedule->created_ms = change->row.created_ms;
		map_put(&org->schedules, str_of(schedule->name), schedule);
	}
	memcpy(schedule->function, change->row.function, sizeof(schedule->function));
	schedule_plan_done(&schedule->plan);
	schedule->plan = change->plan;
	change->plan = (struct schedule_plan){0};
	schedule->is_enabled = change->row.is_enabled;
	schedule->updated_ms = change->row.updated_ms;
	if (schedule->since_ms != change->since_ms)
		schedule->base_ms = change->since_ms;
	schedule->since_ms = change->since_ms;
	schedule->broken[0] = schedule->failure[0] = 0;
	if (schedule->last_ms != change->row.last_ms)
		schedule_note(schedule); /* a note that was behind this has the old document */
	schedule_clock_place(org->domain->schedules, schedule);
	change->put(0, schedule, change->is_new, NULL, change->arg);
}

static void
put_done(struct store_message *message)
{
	struct schedule_change *change = list_owner(message, struct schedule_change, message);
	struct org *org = org_find(change->domain, str_of(change->row.org));
	struct err err = message->err;
	int code = message->code;

	thread_on_loop();
	if (code == 0 && !org)
		code = err_set(&err, ERR_NOT_FOUND, "there is no org %s", change->row.org);
	if (code < 0)
		change->put(code, NULL, false, &err, change->arg);
	else
		put_apply(change, org);
	change_free(change);
}

static int
put_read_function(
	const struct org *org, const json_t *document, struct function **ret, struct err *err)
{
	const char *name = NULL;
	int rc = json_get_str(document, "", "function", JSON_NEEDED, 63, &name, err);

	if (rc < 0)
		return rc;
	*ret = function_find(org, str_of(name));
	if (!*ret)
		return err_field(err, ERR_INVALID, "function", "there is no function %s", name);
	return 0;
}

static int
put_read_name(struct str name, const json_t *document, struct err *err)
{
	const char *same = NULL;
	int rc = id_check_name(name, "name", err);

	if (rc == 0)
		rc = json_get_str(document, "", "name", JSON_OPTIONAL, 63, &same, err);
	if (rc == 0 && same && !str_eq(str_of(same), name))
		rc = err_field(err, ERR_INVALID, "name", "name is another than in the path");
	return rc;
}

static int
put_read(struct schedule_change *change, const struct org *org, struct str name,
	const json_t *document, struct err *err)
{
	static const char *const known[] = {"name", "function", "enabled", "zone", "cron", "every",
		"at", "payload", "missed", "queue", NULL};
	const struct schedule *before = schedule_find(org, name);
	struct function *function = NULL;
	bool is_enabled = true;
	int rc = json_check_keys(document, "", known, err);

	if (rc == 0)
		rc = put_read_name(name, document, err);
	if (rc == 0)
		rc = put_read_function(org, document, &function, err);
	if (rc == 0)
		rc = json_get_bool(document, "", "enabled", JSON_OPTIONAL, &is_enabled, err);
	if (rc == 0)
		rc = schedule_plan_read(document, schedule_now(org), before ? &before->plan : NULL,
			&change->plan, err);
	if (rc == 0 && !before && org->schedules.len + org->n_schedules_coming >= SCHEDULE_MAX)
		rc = err_set(err, ERR_CONFLICT, "the org has %d schedules, it cannot have more",
			SCHEDULE_MAX);
	if (rc < 0)
		return rc;
	snprintf(change->row.function, sizeof(change->row.function), "%s", function->name);
	change->row.is_enabled = is_enabled;
	return 0;
}

/* What was there before goes on where it comes at the same times. */
static void
put_fill(struct schedule_change *change, const struct org *org, struct str name)
{
	const struct schedule *before = schedule_find(org, name);
	uint64_t now_ms = schedule_now(org);
	bool goes_on = before && before->plan.document && before->is_enabled &&
		       schedule_plan_is_alike(&before->plan, &change->plan);

	snprintf(change->row.org, sizeof(change->row.org), "%s", org->name);
	snprintf(change->row.name, sizeof(change->row.name), "%.*s", STR_ARG(name));
	change->row.created_ms = before ? before->created_ms : now_ms;
	change->row.updated_ms = now_ms;
	change->row.last_ms = before ? before->last_ms : 0;
	change->since_ms = goes_on ? before->since_ms : now_ms;
	change->text =
		schedule_text(&change->plan, change->since_ms, before ? before->last_id : "");
	change->row.document = change->text;
}

int
schedule_put(struct domain *domain, struct org *org, struct str name, const json_t *document,
	void (*done)(
		int code, struct schedule *schedule, bool is_new, const struct err *err, void *arg),
	void *arg, struct err *err)
{
	struct schedule_change *change = mem_new(sizeof(*change));
	int rc = put_read(change, org, name, document, err);

	if (rc < 0) {
		change_free(change);
		return rc;
	}
	put_fill(change, org, name);
	org_hold(org);
	org->n_schedules_coming++;
	change->org = org;
	change->domain = domain;
	change->put = done;
	change->arg = arg;
	change->message.work = put_work;
	change->message.done = put_done;
	store_ask(domain->store, &change->message);
	return 0;
}

/* ---- what was put last ---- */

static int
note_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct schedule_change *change = list_owner(message, struct schedule_change, message);

	thread_on_store();
	return row_schedule_update(db, &change->row, err);
}

/* It may have been deleted meanwhile; and what is not noted is known by the delivery's key. */
static void
note_done(struct store_message *message)
{
	change_free(list_owner(message, struct schedule_change, message));
}

void
schedule_note(struct schedule *schedule)
{
	struct schedule_change *change = mem_new(sizeof(*change));

	snprintf(change->row.org, sizeof(change->row.org), "%s", schedule->org->name);
	memcpy(change->row.name, schedule->name, sizeof(change->row.name));
	memcpy(change->row.function, schedule->function, sizeof(change->row.function));
	change->row.is_enabled = schedule->is_enabled;
	change->row.last_ms = schedule->last_ms;
	change->row.created_ms = schedule->created_ms;
	change->row.updated_ms = schedule->updated_ms;
	change->text = schedule_text(&schedule->plan, schedule->since_ms, schedule->last_id);
	change->row.document = change->text;
	change->message.work = note_work;
	change->message.done = note_done;
	change->message.is_lazy = true;
	store_ask(schedule->org->domain->store, &change->message);
}

/* ---- delete ---- */

static int
delete_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct schedule_change *change = list_owner(message, struct schedule_change, message);
	int rc;

	thread_on_store();
	rc = row_schedule_delete(db, change->row.org, change->row.name, err);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static void
delete_done(struct store_message *message)
{
	struct schedule_change *change = list_owner(message, struct schedule_change, message);
	struct org *org = org_find(change->domain, str_of(change->row.org));
	struct schedule *schedule = org ? schedule_find(org, str_of(change->row.name)) : NULL;

	thread_on_loop();
	if (message->code == 0 && schedule)
		schedule_forget(schedule);
	change->gone(message->code, message->code < 0 ? &message->err : NULL, change->arg);
	change_free(change);
}

void
schedule_delete(struct schedule *schedule, void (*done)(int code, const struct err *err, void *arg),
	void *arg)
{
	struct domain *domain = schedule->org->domain;
	struct schedule_change *change = mem_new(sizeof(*change));

	snprintf(change->row.org, sizeof(change->row.org), "%s", schedule->org->name);
	memcpy(change->row.name, schedule->name, sizeof(change->row.name));
	change->domain = domain;
	change->gone = done;
	change->arg = arg;
	change->message.work = delete_work;
	change->message.done = delete_done;
	store_ask(domain->store, &change->message);
}
