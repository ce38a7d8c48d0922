/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_destination - who is told when a delivery has ended, and what.
 *
 * All are told before the end is on disk, the callback last, under an id that is made of the
 * delivery's: when the daemon dies between the two, the delivery runs again and nobody is told
 * twice. To tell is to put a delivery, or a post, and it is told when that is on disk.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/delivery_inside.h"
#include "domain/org.h"

#define DESTINATION_TRIES    5
#define DESTINATION_AGAIN_MS 1000
#define DESTINATION_BYTES    (128u * 1024) /* of a payload that is told too */
#define DESTINATION_HEADERS  64            /* of a function's answer that a callback has */

const struct delivery_destinations *
delivery_destinations_of(const struct delivery *delivery)
{
	static const struct delivery_destinations none;
	const struct delivery_policy *policy = delivery_policy_of(delivery);

	if (delivery->row.state == ROW_DELIVERY_DONE)
		return &policy->on_success;
	return delivery->row.state == ROW_DELIVERY_DEAD ? &policy->on_failure : &none;
}

/* ---- what is told ---- */

/* JSON where it is JSON, else text, else null; and so where it is too much. */
static json_t *
payload_json(struct str bytes)
{
	json_t *json;

	if (!bytes.len || bytes.len > DESTINATION_BYTES)
		return json_null();
	json = json_loadb(bytes.at, bytes.len, JSON_DECODE_ANY, NULL);
	if (!json)
		json = json_stringn(bytes.at, bytes.len);
	return json ? json : json_null();
}

/* A post is told of by its URL, a call by its function. */
static json_t *
destination_json(const struct delivery *delivery)
{
	const struct row_delivery *row = &delivery->row;
	bool is_post = delivery->queue->is_posts;
	char ended[CLOCK_ISO_SIZE];
	json_t *json;

	clock_iso(row->ended_ms, ended);
	json = json_pack("{s:s, s:s, s:s?, s:i, s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:o, s:o}", "id",
		delivery->id, "org", row->org, "function", is_post ? NULL : row->function,
		"version", (int)delivery->last.version, "origin", row->origin, "state",
		row->state == ROW_DELIVERY_DONE ? "done" : "dead", "attempts", (int)row->attempt,
		"status", (int)row->status, "code", row->code, "message",
		str_is_utf8(str_of(row->message)) ? row->message : "", "ended_at", ended, "request",
		payload_json(row->body), "response", payload_json(buf_str(&delivery->body)));
	must(json);
	if (is_post)
		json_object_set_new(json, "url", json_string(row->path));
	return json;
}

/* ---- what a URL gets ---- */

/* What only mayfly says, or what belongs to the connection it came over. */
static bool
is_ours(const char *name)
{
	static const char *const ours[] = {"connection", "keep-alive", "proxy-connection", "te",
		"trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect",
		"x-call-id", "x-function-name", "x-function-status", "x-duration-seconds",
		"x-mayfly-signature", "x-mayfly-error", "user-agent"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (str_eq_case(str_of(ours[i]), str_of(name)))
			return true;
	return false;
}

static void
set_text(json_t *headers, const char *name, char *text /* taken */)
{
	OWN(mem) char *owned = text;

	json_object_set_new(headers, name, json_string(owned));
}

/* As OpenFaaS sends them. */
static void
add_outcome(const struct delivery *delivery, json_t *headers)
{
	const struct delivery_outcome *last = &delivery->last;
	const char *code = err_word(last->code);

	set_text(headers, "X-Call-Id", mem_printf("%s", delivery->id));
	if (!delivery->queue->is_posts)
		set_text(headers, "X-Function-Name",
			mem_printf("%s", delivery->queue->function_name));
	set_text(headers, "X-Function-Status", mem_printf("%u", (unsigned)last->status));
	set_text(headers, "X-Duration-Seconds",
		mem_printf("%llu.%06llu", (unsigned long long)(last->wall_us / 1000000),
			(unsigned long long)(last->wall_us % 1000000)));
	if (strcmp(code, "ok") != 0)
		set_text(headers, "X-Mayfly-Error", mem_printf("%s", code));
}

/* Those of the function's answer, as far as they can be sent, and what became of the call. */
static json_t *
callback_headers(const struct delivery *delivery)
{
	json_t *headers = json_object(), *value;
	const char *name;

	json_object_foreach (delivery->headers, name, value) {
		OWN(mem) char *line = mem_printf("%s: %s", name, json_string_value(value));

		if (!is_ours(name) && fetch_header_is_sound(str_of(line)) &&
			json_object_size(headers) < DESTINATION_HEADERS)
			json_object_set(headers, name, value);
	}
	add_outcome(delivery, headers);
	return headers;
}

/* ---- who ---- */

/* A delivery that is told of may be gone when the answer comes. */
struct telling {
	struct delivery_host *host; /* borrowed */
	char id[ID_ULID_SIZE];
};

static struct telling *
telling_new(const struct delivery *delivery)
{
	struct telling *telling = mem_new(sizeof(*telling));

	telling->host = delivery->queue->host;
	memcpy(telling->id, delivery->id, sizeof(telling->id));
	return telling;
}

/* Whose turn it is. */
static const char *
turn_of(const struct delivery *delivery)
{
	const struct delivery_destinations *list = delivery_destinations_of(delivery);

	return !delivery->is_calling_back && delivery->n_sent < list->n
		       ? list->at[delivery->n_sent].to
		       : delivery->row.callback_url;
}

static void
say_lost(const struct delivery *delivery, const char *why)
{
	log_warn("delivery.destination_lost", "id=%s org=%s function=%s to=%s reason=%s",
		delivery->id, delivery->queue->org->name, delivery->queue->function_name,
		log_q(turn_of(delivery)), log_q(why));
}

/* A function tells in its own name, a post in that of the trigger that it comes from. */
static const char *
teller_of(const struct delivery *delivery)
{
	return delivery->queue->is_posts ? delivery->row.source : delivery->queue->function_name;
}

static void
told(struct telling *telling, int code, const struct err *err) ON_LOOP
{
	struct delivery *delivery =
		telling->host->is_over ? NULL
				       : map_find(&telling->host->in_hand, str_of(telling->id));
	bool may_pass = code == ERR_RATE || code == ERR_UNAVAILABLE || code == ERR_SYSTEM;

	free(telling);
	if (!delivery || delivery->state != DELIVERY_ENDING)
		return;
	if (code < 0 && may_pass && ++delivery->n_tries < DESTINATION_TRIES) {
		delivery_park(delivery, DESTINATION_AGAIN_MS);
		delivery_queue_go(delivery->queue);
		return;
	}
	if (code < 0)
		say_lost(delivery, err ? err->text : "");
	if (delivery->is_calling_back)
		delivery->is_called_back = true;
	else
		delivery->n_sent++;
	delivery->n_tries = 0;
	delivery_tell_destinations(delivery);
}

static void
on_put(int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	thread_on_loop();
	told(arg, code, err);
}

static void
on_emitted(int code, const struct err *err, void *arg)
{
	thread_on_loop();
	told(arg, code, err);
}

static void
tell_function(struct delivery *delivery, const char *name, struct str document) ON_LOOP
{
	struct delivery_host *host = delivery->queue->host;
	const struct org *org = org_find(host->domain, str_of(delivery->queue->org->name));
	struct function *function = org ? function_find(org, str_of(name)) : NULL;
	OWN(mem)
	char *key = mem_printf("destination/%s/%zu", delivery->id, delivery->n_sent);
	const struct delivery_request request = {
		.function = function,
		.origin = "destination",
		.source = teller_of(delivery),
		.frame = FRAME_DIRECT,
		.body = document,
		.idempotency_key = str_of(key),
		.hops = delivery->row.hops + 1,
	};
	struct err err = {0};

	if (function) {
		delivery_put(host, &request, on_put, telling_new(delivery));
		return;
	}
	err_set(&err, ERR_NOT_FOUND, "there is no such function");
	told(telling_new(delivery), err.code, &err);
}

static void
tell_event(struct delivery *delivery, const char *type, const json_t *document) ON_LOOP
{
	struct delivery_host *host = delivery->queue->host;
	OWN(mem) char *id = mem_printf("%s-%zu", delivery->id, delivery->n_sent);
	OWN(mem)
	char *source = mem_printf("/%s/%s", delivery->queue->is_posts ? "triggers" : "functions",
		teller_of(delivery));
	const struct delivery_event event = {
		id, source, type, delivery->id, document, delivery->row.hops + 1};
	struct err err = {0};

	if (host->config.emit) {
		host->config.emit(host->domain, delivery->queue->org->name, &event, on_emitted,
			telling_new(delivery));
		return;
	}
	err_set(&err, ERR_UNIMPLEMENTED, "there are no events here");
	told(telling_new(delivery), err.code, &err);
}

static void
tell_url(struct delivery *delivery, struct delivery_post *post) ON_LOOP
{
	struct delivery_queue *queue = delivery->queue;
	OWN(mem)
	char *key = mem_printf("%s/%s/%zu", post->origin, delivery->id,
		delivery->is_calling_back ? 0 : delivery->n_sent);

	post->org = queue->org->name;
	post->source = teller_of(delivery);
	post->idempotency_key = str_of(key);
	post->hops = delivery->row.hops + 1;
	delivery_post(queue->host, post, on_put, telling_new(delivery));
}

static void
tell_url_destination(struct delivery *delivery, const char *url, struct str document) ON_LOOP
{
	OWN(json) json_t *headers = json_pack("{s:s}", "Content-Type", "application/json");
	struct delivery_post post = {
		.url = url, .headers = headers, .body = document, .origin = "destination"};

	add_outcome(delivery, headers);
	tell_url(delivery, &post);
}

/* What it says stands on disk before the delivery ends, like every other post. */
static void
tell_task(struct delivery *delivery, const struct delivery_destination *to) ON_LOOP
{
	const struct delivery_host *host = delivery->queue->host;
	const struct delivery_task task = {
		.org = delivery->queue->org->name,
		.function = delivery->queue->function_name,
		.id = delivery->id,
		.origin = delivery->row.origin,
		.event = delivery->row.body,
		.answer = buf_str(&delivery->body),
		.action = delivery_policy_action(to),
		.reason = delivery->row.state == ROW_DELIVERY_DEAD ? delivery->last.message : "",
	};
	struct delivery_post post = {.origin = "task"};
	OWN(buf) struct buf url = BUF_INIT;
	OWN(buf) struct buf body = BUF_INIT;
	struct err err = {0};
	int rc = host->config.task && host->config.send
			 ? host->config.task(&task, &url, &body, &err)
			 : err_set(&err, ERR_UNIMPLEMENTED, "there are no tasks here");

	if (rc < 0) {
		told(telling_new(delivery), rc, &err);
		return;
	}
	post.url = url.at;
	post.body = buf_str(&body);
	tell_url(delivery, &post);
}

static void
tell_callback(struct delivery *delivery) ON_LOOP
{
	OWN(json) json_t *headers = callback_headers(delivery);
	struct delivery_post post = {
		.url = delivery->row.callback_url,
		.headers = headers,
		.body = buf_str(&delivery->body),
		.origin = "callback",
		.frame = (enum frame_trigger)delivery->row.frame,
	};

	delivery->is_calling_back = true;
	tell_url(delivery, &post);
}

static void
tell_destination(struct delivery *delivery, const struct delivery_destination *to) ON_LOOP
{
	OWN(json) json_t *document = NULL;
	OWN(buf) struct buf text = BUF_INIT;

	if (to->kind == DELIVERY_TO_TASK) {
		tell_task(delivery, to);
		return;
	}
	document = destination_json(delivery);
	json_write(document, &text);
	if (to->kind == DELIVERY_TO_FUNCTION)
		tell_function(delivery, to->to, buf_str(&text));
	else if (to->kind == DELIVERY_TO_EVENT)
		tell_event(delivery, to->to, document);
	else
		tell_url_destination(delivery, to->to, buf_str(&text));
}

/* ---- circles ---- */

/* Whoever looks at the delivery reads it there. */
static void
note_circle(struct delivery *delivery)
{
	struct delivery_outcome *last = &delivery->last;
	size_t len = strlen(last->message);

	snprintf(last->message + len, sizeof(last->message) - len,
		"%sits destinations were not told: it goes in a circle (%u hops)", len ? "; " : "",
		(unsigned)delivery->row.hops);
}

static void
end_circle(struct delivery *delivery) ON_LOOP
{
	struct delivery_queue *queue = delivery->queue;

	queue->n_circles++;
	log_warn("delivery.circle", "id=%s org=%s function=%s hops=%u to=%s", delivery->id,
		queue->org->name, queue->function_name, (unsigned)delivery->row.hops,
		log_q(turn_of(delivery)));
	note_circle(delivery);
}

/* ---- in turn ---- */

static bool
has_callback(const struct delivery *delivery)
{
	return delivery->row.callback_url[0] && !delivery->is_called_back &&
	       delivery->row.state != ROW_DELIVERY_CANCELLED;
}

void
delivery_tell_destinations(struct delivery *delivery)
{
	const struct delivery_destinations *list = delivery_destinations_of(delivery);

	bool is_before = !delivery->is_calling_back && delivery->n_sent < list->n;

	if (is_before && delivery->row.hops >= DELIVERY_HOPS_MAX) {
		end_circle(delivery);
		delivery->n_sent = list->n;
		is_before = false;
	}
	if (is_before)
		tell_destination(delivery, &list->at[delivery->n_sent]);
	else if (has_callback(delivery))
		tell_callback(delivery);
	else
		delivery_end_settle(delivery);
}
