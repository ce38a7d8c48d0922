/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_query - deliveries as JSON: one, which may be waited for, and lists.
 *
 * What is asked stands in the store, but for what is running: that is known here. A question that
 * waits is asked again when its delivery has ended.
 */
#include <stdlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/own.h"
#include "domain/delivery_inside.h"

/* ---- as JSON ---- */

static json_t *
time_json(uint64_t unix_ms)
{
	char text[CLOCK_ISO_SIZE];

	if (!unix_ms)
		return json_null();
	clock_iso(unix_ms, text);
	return json_string(text);
}

static json_t *
text_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_string("");
}

static json_t *
bytes_json(struct str bytes, json_t *into)
{
	OWN(buf) struct buf text = BUF_INIT;

	if (str_is_utf8(bytes) && !(bytes.len && memchr(bytes.at, 0, bytes.len))) {
		json_object_set_new(
			into, "body", json_stringn(bytes.len ? bytes.at : "", bytes.len));
		return into;
	}
	base64_encode(bytes, &text);
	json_object_set_new(into, "body_base64", json_stringn(text.at, text.len));
	return into;
}

static const char *
state_word(uint8_t state)
{
	static const char *const words[] = {"queued", "done", "dead", "cancelled"};

	return state < sizeof(words) / sizeof(words[0]) ? words[state] : "queued";
}

/* What a list has of each. */
static json_t *
short_json(const struct row_delivery *row)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "id", row->id, "org",
		row->org, "function", row->function, "state", state_word(row->state), "origin",
		row->origin, "source", row->source, "attempt_count", (int)row->attempt);

	must(json);
	json_object_set_new(
		json, "version", row->version ? json_integer(row->version) : json_null());
	json_object_set_new(json, "order_key", text_json(row->order_key));
	json_object_set_new(json, "idempotency_key", text_json(row->idempotency_key));
	json_object_set_new(json, "callback_url", text_json(row->callback_url));
	json_object_set_new(json, "method", text_json(row->method));
	json_object_set_new(json, "path", text_json(row->path));
	json_object_set_new(json, "created_at", time_json(row->created_ms));
	json_object_set_new(json, "due_at",
		row->state == ROW_DELIVERY_QUEUED ? time_json(row->due_ms) : json_null());
	json_object_set_new(json, "expires_at", time_json(row->expires_ms));
	json_object_set_new(json, "ended_at", time_json(row->ended_ms));
	json_object_set_new(json, "status", row->status ? json_integer(row->status) : json_null());
	json_object_set_new(json, "code", text_json(row->code));
	json_object_set_new(json, "message", text_json(row->message));
	return json;
}

static json_t *
result_json(const struct row_delivery *row)
{
	json_t *result, *headers;

	if (row->state == ROW_DELIVERY_QUEUED || !row->headers[0])
		return json_null();
	headers = json_loads(row->headers, 0, NULL);
	result = json_pack("{s:i, s:o}", "status", (int)row->status, "headers",
		headers ? headers : json_object());
	return bytes_json(row->result, result);
}

static json_t *
payload_json(const struct row_delivery *row)
{
	json_t *head = row->head.len ? json_loadb(row->head.at, row->head.len, 0, NULL) : NULL;
	json_t *payload = json_pack("{s:o}", "head", head ? head : json_null());

	return bytes_json(row->body, payload);
}

static json_t *
log_json(const char *log)
{
	struct str rest = str_of(log);
	json_t *lines = json_array();

	while (rest.len) {
		struct str line = str_cut(&rest, '\n');
		json_t *value = json_loadb(line.at, line.len, 0, NULL);

		if (value)
			json_array_append_new(lines, value);
	}
	return lines;
}

/* One that has no end, of a delivery that does not run it now, was lost with its daemon. */
static bool
attempt_each(const struct row_attempt *row, void *arg)
{
	json_t *json = json_pack("{s:i, s:s?, s:i, s:o, s:I, s:i, s:s}", "number", (int)row->number,
		"call_id", row->call[0] ? row->call : NULL, "version", (int)row->version,
		"started_at", time_json(row->started_ms), "wall_us", (json_int_t)row->wall_us,
		"status", (int)row->status, "code", row->code);

	json_object_set_new(json, "message", text_json(row->message));
	json_object_set_new(json, "log", log_json(row->log));
	json_array_append_new(arg, json);
	return true;
}

static void
mark_unfinished(json_t *attempts, bool is_running)
{
	size_t n = json_array_size(attempts), i;
	json_t *attempt;

	json_array_foreach (attempts, i, attempt)
		if (!*json_string_value(json_object_get(attempt, "code")))
			json_object_set_new(attempt, "code",
				json_string(is_running && i + 1 == n ? "running" : "lost"));
}

/* ---- one ---- */

struct delivery_wait {
	struct store_message message;
	struct delivery_wait *next; /* of those that wait for the same */
	struct delivery_host *host; /* borrowed */
	struct loop_timer timer;
	char org[64], id[ID_ULID_SIZE];
	bool is_waiting; /* in host->waits, until it has ended or the timer rings */
	bool is_asking, is_left, is_stale;
	uint8_t state;
	json_t *json; /* owned */
	delivery_json_fn *done;
	void *arg; /* borrowed */
};

static void wait_ask(struct delivery_wait *wait) ON_LOOP;

static void
wait_found(const struct row_delivery *row, void *arg)
{
	struct delivery_wait *wait = arg;

	wait->state = row->state;
	wait->json = short_json(row);
	json_object_set_new(wait->json, "attempts", json_array());
	json_object_set_new(wait->json, "hops", json_integer(row->hops));
	json_object_set_new(wait->json, "result", result_json(row));
	json_object_set_new(wait->json, "payload", payload_json(row));
}

static int
wait_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct delivery_wait *wait = list_owner(message, struct delivery_wait, message);
	int rc;

	thread_on_store();
	rc = row_delivery_find(db, wait->org, wait->id, wait_found, wait, err);
	if (rc >= 0)
		rc = row_attempt_list(
			db, wait->id, attempt_each, json_object_get(wait->json, "attempts"), err);
	return rc;
}

static void
wait_leave(struct delivery_wait *wait)
{
	struct delivery_wait *first = map_find(&wait->host->waits, str_of(wait->id));
	struct delivery_wait **at = &first;

	if (!wait->is_waiting)
		return;
	wait->is_waiting = false;
	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	wait->next = NULL;
	if (first)
		map_put(&wait->host->waits, str_of(wait->id), first);
	else
		map_remove(&wait->host->waits, str_of(wait->id));
}

static void
wait_closed(struct loop_timer *timer)
{
	struct delivery_wait *wait = list_owner(timer, struct delivery_wait, timer);

	json_decref(wait->json);
	free(wait);
}

static void
wait_finish(struct delivery_wait *wait) ON_LOOP
{
	const struct delivery *delivery =
		wait->host->is_over ? NULL : map_find(&wait->host->in_hand, str_of(wait->id));
	bool is_running =
		delivery && wait->state == ROW_DELIVERY_QUEUED &&
		(delivery->state == DELIVERY_RUNNING || delivery->state == DELIVERY_ENDING);

	if (!wait->host->is_over)
		wait_leave(wait);
	if (wait->json) {
		if (is_running)
			json_object_set_new(wait->json, "state", json_string("running"));
		mark_unfinished(json_object_get(wait->json, "attempts"), is_running);
	}
	if (!wait->is_left)
		wait->done(wait->message.code, wait->message.code < 0 ? NULL : wait->json,
			wait->message.code < 0 ? &wait->message.err : NULL, wait->arg);
	loop_timer_close(&wait->timer, wait_closed);
}

static void
wait_done(struct store_message *message)
{
	struct delivery_wait *wait = list_owner(message, struct delivery_wait, message);
	bool is_open = wait->json && wait->state == ROW_DELIVERY_QUEUED;

	thread_on_loop();
	wait->is_asking = false;
	if (wait->is_left || message->code < 0 || !is_open || wait->host->is_over) {
		wait_finish(wait);
	} else if (wait->is_stale) {
		wait_ask(wait);
	} else if (!wait->is_waiting) {
		wait_finish(wait);
	}
}

static void
wait_ask(struct delivery_wait *wait)
{
	json_decref(take_ptr(&wait->json));
	wait->is_asking = true;
	wait->is_stale = false;
	wait->message = (struct store_message){.work = wait_work, .done = wait_done};
	store_ask(wait->host->domain->store, &wait->message);
}

static void
wait_on_timer(struct loop_timer *timer)
{
	struct delivery_wait *wait = list_owner(timer, struct delivery_wait, timer);

	thread_on_loop();
	wait_leave(wait);
	if (wait->is_asking)
		wait->is_stale = true;
	else
		wait_ask(wait);
}

struct delivery_wait *
delivery_get(struct delivery_host *host, struct str org, struct str id, unsigned wait_ms,
	delivery_json_fn *done, void *arg)
{
	struct delivery_wait *wait = mem_new(sizeof(*wait));

	wait->host = host;
	snprintf(wait->org, sizeof(wait->org), "%.*s", STR_ARG(org));
	snprintf(wait->id, sizeof(wait->id), "%.*s", STR_ARG(id));
	wait->done = done;
	wait->arg = arg;
	if (wait_ms) {
		wait->is_waiting = true;
		wait->next = map_find(&host->waits, id);
		map_put(&host->waits, id, wait);
		loop_timer_start(host->domain->loop, &wait->timer, wait_ms, wait_on_timer);
	}
	wait_ask(wait);
	return wait;
}

void
delivery_get_stop(struct delivery_wait *wait)
{
	loop_timer_start(wait->host->domain->loop, &wait->timer, 0, wait_on_timer);
}

void
delivery_get_leave(struct delivery_wait *wait)
{
	wait->is_left = true;
	wait_leave(wait);
	if (!wait->is_asking)
		wait_finish(wait);
}

/* In the next turn: by then the bus has told the store, which answers in order. */
void
delivery_ended(struct delivery_host *host, const char *id)
{
	struct delivery_wait *wait = map_find(&host->waits, str_of(id));

	for (; wait; wait = wait->next)
		delivery_get_stop(wait);
}

/* ---- lists ---- */

struct delivery_listing {
	struct store_message message;
	struct delivery_host *host; /* borrowed */
	struct row_delivery_query query;
	char org[64], function[64], before[ID_ULID_SIZE];
	json_t *list; /* owned */
	delivery_json_fn *done;
	void *arg; /* borrowed */
};

static bool
listing_each(const struct row_delivery *row, void *arg)
{
	json_array_append_new(arg, short_json(row));
	return true;
}

static int
listing_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct delivery_listing *listing = list_owner(message, struct delivery_listing, message);

	thread_on_store();
	listing->list = json_array();
	return row_delivery_list(db, &listing->query, listing_each, listing->list, err);
}

static bool
is_running(const struct delivery_host *host, const char *id)
{
	const struct delivery *delivery = map_find(&host->in_hand, str_of(id));

	return delivery && delivery->state == DELIVERY_RUNNING;
}

static void
listing_done(struct store_message *message)
{
	struct delivery_listing *listing = list_owner(message, struct delivery_listing, message);
	OWN(json) json_t *answer = NULL;
	json_t *one;
	size_t i;

	thread_on_loop();
	json_array_foreach (listing->list, i, one) {
		const char *id = json_string_value(json_object_get(one, "id"));
		const char *state = json_string_value(json_object_get(one, "state"));

		if (!listing->host->is_over && strcmp(state, "queued") == 0 &&
			is_running(listing->host, id))
			json_object_set_new(one, "state", json_string("running"));
	}
	if (message->code >= 0)
		answer = json_pack("{s:O}", "deliveries", listing->list);
	listing->done(
		message->code, answer, message->code < 0 ? &message->err : NULL, listing->arg);
	json_decref(listing->list);
	free(listing);
}

void
delivery_list(struct delivery_host *host, const struct row_delivery_query *query,
	delivery_json_fn *done, void *arg)
{
	struct delivery_listing *listing = mem_new(sizeof(*listing));

	listing->host = host;
	listing->query = *query;
	snprintf(listing->org, sizeof(listing->org), "%s", query->org);
	listing->query.org = listing->org;
	if (query->function) {
		snprintf(listing->function, sizeof(listing->function), "%s", query->function);
		listing->query.function = listing->function;
	}
	if (query->before) {
		snprintf(listing->before, sizeof(listing->before), "%s", query->before);
		listing->query.before = listing->before;
	}
	listing->done = done;
	listing->arg = arg;
	listing->message.work = listing_work;
	listing->message.done = listing_done;
	store_ask(host->domain->store, &listing->message);
}

static int
compare_ids(const void *a, const void *b)
{
	return strcmp((*(struct delivery *const *)b)->id, (*(struct delivery *const *)a)->id);
}

void
delivery_list_running(struct delivery_host *host, struct str org, struct str function, unsigned n,
	delivery_json_fn *done, void *arg)
{
	OWN(mem)
	struct delivery **all = mem_new((host->in_hand.len + 1) * sizeof(*all));
	OWN(json) json_t *answer = NULL;
	json_t *list = json_array();
	size_t n_all = 0;

	map_each (&host->in_hand, entry) {
		struct delivery *delivery = entry->value;

		if (delivery->state == DELIVERY_RUNNING && delivery->message &&
			str_eq(str_of(delivery->queue->org->name), org) &&
			(!function.len || str_eq(str_of(delivery->queue->function_name), function)))
			all[n_all++] = delivery;
	}
	qsort(all, n_all, sizeof(*all), compare_ids);
	for (size_t i = 0; i < n_all && i < n; i++) {
		json_t *one = short_json(&all[i]->row);

		json_object_set_new(one, "state", json_string("running"));
		json_object_set_new(one, "attempt_count", json_integer(all[i]->attempt));
		json_array_append_new(list, one);
	}
	answer = json_pack("{s:o}", "deliveries", list);
	done(0, answer, NULL, arg);
}
