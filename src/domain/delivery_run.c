/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_run - one attempt: a call, what it answers, and what follows from that.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/delivery_inside.h"
#include "domain/pool.h"

/* ---- its row ---- */

struct attempt_note {
	struct store_message message;
	struct row_attempt row; /* texts below */
	char text[];
};

static int
note_work(struct store_db *db, struct store_message *message, struct err *err)
{
	thread_on_store();
	return row_attempt_put(db, &list_owner(message, struct attempt_note, message)->row, err);
}

static void
note_done(struct store_message *message)
{
	free(list_owner(message, struct attempt_note, message));
}

void
delivery_put_attempt(struct delivery_host *host, const struct row_attempt *row)
{
	size_t message_size = strlen(row->message) + 1, log_size = strlen(row->log) + 1;
	struct attempt_note *note = mem_grow(NULL, sizeof(*note) + message_size + log_size);

	note->message =
		(struct store_message){.work = note_work, .done = note_done, .is_lazy = true};
	note->row = *row;
	note->row.message = memcpy(note->text, row->message, message_size);
	note->row.log = memcpy(note->text + message_size, row->log, log_size);
	store_ask(host->domain->store, &note->message);
}

void
delivery_note_begin(const struct delivery *delivery, const char *call_id, uint32_t version)
{
	struct row_attempt row = {
		.number = delivery->attempt + 1,
		.version = version,
		.started_ms = clock_unix_ms(),
		.message = "",
		.log = "",
	};

	memcpy(row.delivery, delivery->id, sizeof(row.delivery));
	snprintf(row.call, sizeof(row.call), "%s", call_id);
	delivery_put_attempt(delivery->queue->host, &row);
}

static void
note_end(const struct delivery *delivery) ON_LOOP
{
	const struct delivery_outcome *last = &delivery->last;
	struct row_attempt row = {
		.number = delivery->attempt,
		.version = last->version,
		.started_ms = last->started_ms,
		.wall_us = last->wall_us,
		.status = last->status,
		.message = last->message,
		.log = last->log.len ? last->log.at : "",
	};

	memcpy(row.delivery, delivery->id, sizeof(row.delivery));
	memcpy(row.call, last->call, sizeof(row.call));
	snprintf(row.code, sizeof(row.code), "%s", err_word(last->code));
	delivery_put_attempt(delivery->queue->host, &row);
}

/* ---- what its function lacks ---- */

/* 0 when it may begin now; 1 when it must wait; negative when it never can. */
static int
look_at_version(
	const struct delivery *delivery, const struct version **ret, struct err *why) ON_LOOP
{
	const struct function *function = delivery->queue->function;
	const struct row_delivery *row = &delivery->row;
	const struct version *version;

	if (!function || function->is_deleting) {
		err_set(why, ERR_NOT_FOUND, "the function was deleted");
		return 1;
	}
	version = row->version ? function_version(function, row->version) : function->active;
	if (row->version && !version)
		return err_set(why, ERR_NOT_FOUND, "%s has no version %u any more", function->name,
			(unsigned)row->version);
	if (!version)
		version = list_last(&function->versions, struct version, link);
	*ret = version;
	if (version && version->state == VERSION_READY && version->pool)
		return 0;
	if (version && version->state == VERSION_FAILED)
		err_set(why, ERR_FUNCTION_FAILED, "version %u could not be made ready: %s",
			version->number, version->reason);
	else
		err_set(why, ERR_NOT_READY, "the function is not ready yet");
	return 1;
}

/* A call that is refused leaves a record; one that is not begun leaves none. */
static bool
has_room(const struct delivery *delivery, const struct version *version, struct err *why) ON_LOOP
{
	const struct domain *domain = delivery->queue->host->domain;
	struct pool_stats stats;

	pool_stats(version->pool, &stats);
	if (stats.boot_reason && stats.retry_ms && !stats.n_starting && !stats.n_ready) {
		*why = *stats.boot_reason;
		return false;
	}
	if (stats.n_waiting && stats.n_waiting >= domain->config.queue_calls) {
		err_set(why, ERR_RATE, "%u calls of the function are waiting already",
			stats.n_waiting);
		return false;
	}
	if (stats.n_waiting &&
		domain->queue_bytes + delivery->row.body.len > domain->config.queue_bytes) {
		err_set(why, ERR_RATE,
			"the bodies of waiting calls take all the memory that they may have");
		return false;
	}
	return true;
}

/* ---- what it answers ---- */

static void
on_head(struct call *call, int status, const struct http_header *headers, size_t n, void *arg)
{
	struct delivery *delivery = arg;

	delivery->status = status;
	delivery->headers = json_object();
	for (size_t i = 0; i < n; i++) {
		OWN(mem) char *name = str_dup(headers[i].name);
		const char *before = json_string_value(json_object_get(delivery->headers, name));
		OWN(mem)
		char *value = before ? mem_printf("%s, %.*s", before, STR_ARG(headers[i].value))
				     : str_dup(headers[i].value);

		json_object_set_new(delivery->headers, name, json_string(value));
	}
}

static void
on_body(struct call *call, struct str bytes, void *arg)
{
	buf_add_str(&((struct delivery *)arg)->body, bytes);
}

static void
on_end(struct call *call, const struct call_figures *figures, void *arg)
{
	((struct delivery *)arg)->call = NULL;
}

static void
on_failure(struct call *call, const struct err *reason, struct str trace,
	const struct call_figures *figures, void *arg)
{
	struct delivery *delivery = arg;

	delivery->call = NULL;
	delivery->last.code = reason->code;
}

static void
keep_log(const char *log, struct buf *ret)
{
	struct str text = str_of(log);

	buf_clear(ret);
	if (text.len > DELIVERY_LOG_BYTES) {
		text = str_n(text.at + text.len - DELIVERY_LOG_BYTES, DELIVERY_LOG_BYTES);
		str_cut(&text, '\n');
	}
	buf_add_str(ret, text);
}

static void
on_record(const struct row_call *row, void *arg)
{
	struct delivery *delivery = arg;
	struct delivery_outcome *last = &delivery->last;

	thread_on_loop();
	memcpy(last->call, row->id, sizeof(last->call));
	last->status = row->status;
	last->version = row->version;
	last->started_ms = row->started_ms;
	last->wall_us = row->wall_us;
	snprintf(last->message, sizeof(last->message), "%s", row->message);
	keep_log(row->log, &last->log);
	delivery->is_recorded = true;
	if (!delivery->is_starting)
		delivery_attempt_over(delivery);
}

/* ---- what follows ---- */

static bool
is_success(const struct delivery_outcome *last)
{
	int status = last->status;

	return last->code == 0 && status < 500 && status != 408 && status != 425 && status != 429;
}

/* It did not reach an instance, for a reason that passes. */
static bool
is_no_attempt(const struct delivery *delivery)
{
	const struct delivery_outcome *last = &delivery->last;

	return !delivery->queue->is_posts && last->wall_us == 0 &&
	       (last->code == ERR_RATE || last->code == ERR_UNAVAILABLE ||
		       last->code == ERR_NOT_READY || last->code == ERR_FUNCTION_FAILED);
}

static void
forget_answer(struct delivery *delivery)
{
	json_decref(take_ptr(&delivery->headers));
	buf_clear(&delivery->body);
	delivery->status = 0;
}

static void
wait_for_room(struct delivery *delivery) ON_LOOP
{
	struct err why = {0};

	err_set(&why, delivery->last.code, "%s", delivery->last.message);
	forget_answer(delivery);
	delivery_make_ready(delivery, true);
	delivery_queue_pause(delivery->queue, &why);
}

/* In the bus, or for an order key in hand, where it keeps its place. */
static void
try_again(struct delivery *delivery, uint64_t after_ms) ON_LOOP
{
	struct delivery_queue *queue = delivery->queue;
	struct row_delivery row = delivery->row;

	queue->n_retries++;
	forget_answer(delivery);
	if (delivery->key) {
		delivery_park(delivery, after_ms);
		return;
	}
	row.attempt = delivery->attempt;
	row.due_ms = clock_unix_ms() + after_ms;
	row.status = delivery->last.status;
	row.message = delivery->last.message;
	row.headers = "";
	row.result = STR_NONE;
	snprintf(row.code, sizeof(row.code), "%s", err_word(delivery->last.code));
	queue->host->bus->ops->retry(queue->bus, take_ptr(&delivery->message), &row);
	delivery_forget(delivery);
}

/* An answer whose status is an error has none of the platform's. */
static void
name_failure(struct delivery_outcome *last)
{
	if (last->code < 0)
		return;
	last->code = ERR_FUNCTION;
	snprintf(last->message, sizeof(last->message), "the function answered %u",
		(unsigned)last->status);
}

static void
attempt_failed(struct delivery *delivery) ON_LOOP
{
	const struct delivery_policy *policy = delivery_policy_of(delivery);
	uint64_t after_ms = delivery_policy_backoff(policy, delivery->attempt);

	if (delivery->last.is_final || delivery->attempt >= policy->attempts ||
		clock_unix_ms() + after_ms >= delivery->row.expires_ms)
		delivery_end(delivery, ROW_DELIVERY_DEAD);
	else
		try_again(delivery, after_ms);
}

/* When the daemon stops, or has lost its spawner, the attempt says nothing of the function: it
 * stays with the bus, and is tried again by the next daemon. */
void
delivery_attempt_over(struct delivery *delivery)
{
	struct delivery_queue *queue = delivery->queue;
	struct delivery_outcome *last = &delivery->last;
	bool is_good = is_success(last);

	queue->n_running--;
	delivery->is_recorded = false;
	if (!delivery->message) {
		delivery_forget(delivery);
		return;
	}
	if (!is_good && queue->host->is_stopping)
		return;
	if (is_no_attempt(delivery) && !delivery->is_cancelled) {
		wait_for_room(delivery);
	} else {
		delivery->attempt++;
		if (!is_good)
			name_failure(last);
		note_end(delivery);
		if (is_good)
			delivery_end(delivery, ROW_DELIVERY_DONE);
		else if (delivery->is_cancelled || last->code == ERR_CANCELLED)
			delivery_end(delivery, ROW_DELIVERY_CANCELLED);
		else
			attempt_failed(delivery);
	}
	delivery_queue_go(queue);
}

/* ---- begin ---- */

static char *
copy_body(struct str body)
{
	char *copy = mem_grow(NULL, body.len + 1);

	if (body.len)
		memcpy(copy, body.at, body.len);
	copy[body.len] = '\0';
	return copy;
}

/* Static, for the record of the call. */
static const char *
origin_word(const char *origin)
{
	static const char *const words[] = {
		"async", "event", "schedule", "redrive", "destination", "queue"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(origin, words[i]) == 0)
			return words[i];
	return "queue";
}

static void
begin_call(struct delivery *delivery, const struct version *version) ON_LOOP
{
	const struct call_events events = {
		.on_head = on_head,
		.on_body = on_body,
		.on_end = on_end,
		.on_failure = on_failure,
		.on_record = on_record,
		.arg = delivery,
	};
	const struct row_delivery *row = &delivery->row;
	struct delivery_queue *queue = delivery->queue;
	struct call_request request = {
		.function = queue->function,
		.version = row->version ? (struct version *)version : NULL,
		.trigger = (enum frame_trigger)row->frame,
		.origin = origin_word(row->origin),
		.method = str_of(row->method),
		.path = str_of(row->path),
		.head = row->head,
		.body = copy_body(row->body),
		.body_len = row->body.len,
	};

	if (delivery->is_id_used)
		id_ulid(request.id);
	else
		memcpy(request.id, delivery->id, sizeof(request.id));
	delivery->is_id_used = true;
	delivery_note_begin(delivery, request.id, version->number);
	delivery->call = call_start(queue->host->domain, &request, &events);
}

/* 1: it may begin; else as delivery_begin(). */
static int
may_begin(const struct delivery *delivery, const struct version **ret, struct err *why) ON_LOOP
{
	int rc;

	if (delivery->queue->is_posts)
		rc = delivery_post_check(delivery, why);
	else
		rc = look_at_version(delivery, ret, why);
	if (rc != 0)
		return rc > 0 ? 0 : rc;
	return delivery->queue->is_posts || has_room(delivery, *ret, why);
}

int
delivery_begin(struct delivery *delivery, struct err *why)
{
	const struct version *version = NULL;
	int rc = may_begin(delivery, &version, why);

	if (rc <= 0)
		return rc;
	list_remove(&delivery->link);
	delivery->state = DELIVERY_RUNNING;
	delivery->queue->n_running++;
	delivery->last.code = 0;
	delivery->is_starting = true;
	if (delivery->queue->is_posts)
		delivery_post_begin(delivery);
	else
		begin_call(delivery, version);
	delivery->is_starting = false;
	if (delivery->is_recorded)
		delivery_attempt_over(delivery);
	return 1;
}
