/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_destination - who is told when a delivery has ended, and what.
 *
 * A function and an event are told before the end is on disk, under an id that is made of the
 * delivery's: when the daemon dies between the two, the delivery runs again and they are not told
 * twice. A URL is told afterwards, like a callback.
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

static json_t *
destination_json(const struct delivery *delivery)
{
	const struct row_delivery *row = &delivery->row;
	char ended[CLOCK_ISO_SIZE];

	clock_iso(row->ended_ms, ended);
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:o, s:o}", "id",
		delivery->id, "org", row->org, "function", row->function, "version",
		(int)delivery->last.version, "origin", row->origin, "state",
		row->state == ROW_DELIVERY_DONE ? "done" : "dead", "attempts", (int)row->attempt,
		"status", (int)row->status, "code", row->code, "message",
		str_is_utf8(str_of(row->message)) ? row->message : "", "ended_at", ended, "request",
		payload_json(row->body), "response", payload_json(buf_str(&delivery->body)));
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

static void
say_lost(const struct delivery *delivery, const struct delivery_destination *to, const char *why)
{
	log_warn("delivery.destination_lost", "id=%s org=%s function=%s to=%s reason=%s",
		delivery->id, delivery->queue->org->name, delivery->queue->function_name,
		log_q(to->to), log_q(why));
}

static void
told(struct telling *telling, int code, const struct err *err) ON_LOOP
{
	struct delivery *delivery =
		telling->host->is_over ? NULL
				       : map_find(&telling->host->in_hand, str_of(telling->id));
	bool may_pass = code == ERR_RATE || code == ERR_UNAVAILABLE || code == ERR_SYSTEM;
	const struct delivery_destinations *list;

	free(telling);
	if (!delivery || delivery->state != DELIVERY_ENDING)
		return;
	if (code < 0 && may_pass && ++delivery->n_tries < DESTINATION_TRIES) {
		delivery_park(delivery, DESTINATION_AGAIN_MS);
		delivery_queue_go(delivery->queue);
		return;
	}
	list = delivery_destinations_of(delivery);
	if (code < 0 && delivery->n_sent < list->n)
		say_lost(delivery, &list->at[delivery->n_sent], err ? err->text : "");
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
		.source = delivery->queue->function_name,
		.frame = FRAME_DIRECT,
		.body = document,
		.idempotency_key = str_of(key),
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
	OWN(mem) char *source = mem_printf("/functions/%s", delivery->queue->function_name);
	const struct delivery_event event = {id, source, type, delivery->id, document};
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
tell_url(struct delivery *delivery, const char *url, struct str document) ON_LOOP
{
	OWN(json) json_t *headers = json_pack("{s:s}", "content-type", "application/json");
	const struct delivery_post post = {
		.url = url,
		.headers = headers,
		.body = document,
		.id = delivery->id,
		.function = delivery->queue->function_name,
		.status = delivery->last.status,
		.wall_us = delivery->last.wall_us,
		.code = err_word(delivery->last.code),
	};

	delivery_callback(delivery->queue->host, delivery->queue->org, &post);
	delivery->n_sent++;
}

void
delivery_tell_destinations(struct delivery *delivery)
{
	const struct delivery_destinations *list = delivery_destinations_of(delivery);
	OWN(buf) struct buf text = BUF_INIT;
	OWN(json) json_t *document = NULL;

	if (delivery->n_sent >= list->n) {
		delivery_end_settle(delivery);
		return;
	}
	document = destination_json(delivery);
	must(document);
	json_write(document, &text);
	const struct delivery_destination *to = &list->at[delivery->n_sent];

	if (to->kind == DELIVERY_TO_FUNCTION) {
		tell_function(delivery, to->to, buf_str(&text));
	} else if (to->kind == DELIVERY_TO_EVENT) {
		tell_event(delivery, to->to, document);
	} else {
		tell_url(delivery, to->to, buf_str(&text));
		delivery_tell_destinations(delivery);
	}
}
