/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_post - what goes to a URL instead of a function: its way in, its signature, its
 * attempts.
 *
 * The row's path is the URL, its head a JSON object of the headers; its frame is that of the call
 * whose result it is: FRAME_HTTP is not signed.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/own.h"
#include "domain/delivery_inside.h"
#include "domain/org.h"

#define POST_TIMEOUT_MS 30000
#define POST_ANSWER     1024 /* that is read of what a receiver says, so that a connection is kept */
#define POST_URL_BYTES  2048

/* ---- keys ---- */

static void
sign_hex(const char *key, struct str text, char ret[static DELIVERY_KEY_SIZE])
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	must(HMAC(
		EVP_sha256(), key, (int)strlen(key), (const uint8_t *)text.at, text.len, sum, &n));
	id_hex(sum, n, ret);
}

void
delivery_callback_key(
	const struct delivery_host *host, struct str org, char ret[static DELIVERY_KEY_SIZE])
{
	OWN(mem) char *text = mem_printf("callback:%.*s", STR_ARG(org));

	sign_hex(host->key, str_of(text), ret);
}

/* ---- put ---- */

static bool
is_http(struct str url)
{
	struct str scheme = str_cut(&url, ':');

	return str_eq_case(scheme, STR("http")) || str_eq_case(scheme, STR("https"));
}

static int
check_url(const struct delivery_host *host, struct str url, struct err *err)
{
	struct err why = {0};

	if (host->config.send && !is_http(url) && url.len <= POST_URL_BYTES && str_is_utf8(url))
		return 0;
	if (fetch_check_url(url, &why) == 0)
		return 0;
	return err_field(err, ERR_INVALID, "url", "url: %s", why.text);
}

static char *
header_line(const char *name, const json_t *value)
{
	return mem_printf("%s: %s", name, json_string_value(value));
}

static int
check_headers(json_t *headers, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach (headers, name, value) {
		OWN(mem) char *line = json_is_string(value) ? header_line(name, value) : NULL;

		if (!line || !fetch_header_is_sound(str_of(line)))
			return err_field(err, ERR_INVALID, "headers",
				"the header %.40s cannot be sent", name);
	}
	return 0;
}

void
delivery_post(struct delivery_host *host, const struct delivery_post *post, delivery_put_fn *done,
	void *arg)
{
	struct delivery_request request = {
		.origin = post->origin,
		.source = post->source,
		.frame = post->frame,
		.method = STR("POST"),
		.path = str_of(post->url),
		.body = post->body,
		.order_key = post->order_key,
		.idempotency_key = post->idempotency_key,
		.hops = post->hops,
		.policy = post->policy,
	};
	OWN(buf) struct buf head = BUF_INIT;
	struct err err = {0};
	int rc = check_url(host, request.path, &err);

	if (rc == 0)
		rc = check_headers(post->headers, &err);
	if (rc == 0 && !org_find(host->domain, str_of(post->org)))
		rc = err_set(&err, ERR_NOT_FOUND, "there is no org %s", post->org);
	if (rc < 0) {
		done(rc, NULL, &err, arg);
		return;
	}
	if (post->headers)
		json_write(post->headers, &head);
	request.head = buf_str(&head);
	delivery_accept(delivery_queue_of(host, post->org, DELIVERY_POSTS), &request, done, arg);
}

/* ---- an attempt ---- */

struct delivery_sending {
	struct delivery *delivery; /* borrowed */
	struct fetch fetch;        /* of http and https */
	bool is_fetch;
	char **headers; /* owned, NULL-terminated */
	size_t n_headers;
	uint64_t began_us;
};

static void
sending_free(struct delivery_sending *sending)
{
	for (size_t i = 0; i < sending->n_headers; i++)
		free(sending->headers[i]);
	free(sending->headers);
	free(sending);
}

/* The time is part of what is signed, so that an old post cannot be sent again later. */
static char *
signature_of(const struct delivery *delivery)
{
	const struct delivery_queue *queue = delivery->queue;
	unsigned long long now_s = clock_unix_ms() / 1000;
	char key[DELIVERY_KEY_SIZE], hex[DELIVERY_KEY_SIZE];
	OWN(buf) struct buf text = BUF_INIT;

	delivery_callback_key(queue->host, str_of(queue->org->name), key);
	buf_printf(&text, "%llu.", now_s);
	buf_add_str(&text, delivery->row.body);
	sign_hex(key, buf_str(&text), hex);
	return mem_printf("X-Mayfly-Signature: t=%llu,v1=%s", now_s, hex);
}

static void
add_headers(struct delivery_sending *sending)
{
	const struct delivery *delivery = sending->delivery;
	struct str head = delivery->row.head;
	OWN(json) json_t *headers = head.len ? json_loadb(head.at, head.len, 0, NULL) : NULL;
	const char *name;
	json_t *value;

	sending->headers = mem_new((json_object_size(headers) + 2) * sizeof(*sending->headers));
	json_object_foreach (headers, name, value)
		if (json_is_string(value))
			sending->headers[sending->n_headers++] = header_line(name, value);
	if (delivery->row.frame != FRAME_HTTP)
		sending->headers[sending->n_headers++] = signature_of(delivery);
}

static bool
is_worth_another(int status)
{
	return status >= 500 || status == 408 || status == 425 || status == 429;
}

static void
note_outcome(struct delivery_outcome *last, int status, const struct err *err)
{
	const char *text = err ? err->text : "";

	last->status = (uint16_t)status;
	last->code = 0;
	last->is_final = false;
	snprintf(last->message, sizeof(last->message), "%s", text);
	if (status / 100 == 2)
		return;
	if (status) {
		last->code = ERR_RECEIVER;
		last->is_final = !is_worth_another(status);
		snprintf(last->message, sizeof(last->message), "the receiver answered %d%s%.200s",
			status, *text ? ": " : "", text);
		return;
	}
	last->code = err ? err->code : ERR_UNAVAILABLE;
	last->is_final = last->code == ERR_INVALID || last->code == ERR_FORBIDDEN;
}

static void
sending_over(struct delivery_sending *sending, int status, const struct err *err) ON_LOOP
{
	struct delivery *delivery = sending->delivery;
	struct delivery_outcome *last = &delivery->last;

	note_outcome(last, status, err);
	last->wall_us = clock_mono_us() - sending->began_us;
	delivery->sending = NULL;
	sending_free(sending);
	delivery->is_recorded = true;
	if (!delivery->is_starting)
		delivery_attempt_over(delivery);
}

static void
on_answer(struct fetch *fetch, int status, const struct err *err)
{
	thread_on_loop();
	fetch_done(fetch);
	sending_over(list_owner(fetch, struct delivery_sending, fetch), status, err);
}

static void
on_sent(int status, const struct err *err, void *arg)
{
	thread_on_loop();
	sending_over(arg, status, err);
}

/* What others put into the broker goes to functions only: who may write there does not write in
 * an org's name to the world. */
int
delivery_post_check(const struct delivery *delivery, struct err *why)
{
	const struct row_delivery *row = &delivery->row;

	if (strcmp(row->origin, "queue") == 0)
		return err_set(why, ERR_FORBIDDEN, "it was not put by mayfly, and is not sent");
	if (is_http(str_of(row->path)) || delivery->queue->host->config.send)
		return 0;
	return err_set(why, ERR_INVALID, "nothing here sends to %.100s", row->path);
}

void
delivery_post_begin(struct delivery *delivery)
{
	const struct delivery_host *host = delivery->queue->host;
	const struct row_delivery *row = &delivery->row;
	struct delivery_sending *sending = mem_new(sizeof(*sending));

	delivery->sending = sending;
	delivery->last.started_ms = clock_unix_ms();
	sending->delivery = delivery;
	sending->began_us = clock_mono_us();
	delivery_note_begin(delivery, "", 0);
	if (!is_http(str_of(row->path))) {
		host->config.send(host->domain, row->org, row->path, row->body, on_sent, sending);
		return;
	}
	sending->is_fetch = true;
	add_headers(sending);
	sending->fetch = (struct fetch){
		.method = "POST",
		.url = row->path,
		.headers = (const char *const *)sending->headers,
		.body = row->body,
		.timeout_ms = POST_TIMEOUT_MS,
		.answer_bytes = POST_ANSWER,
		.done = on_answer,
	};
	fetch_start(host->fetch, &sending->fetch);
}

/* One that is not cancelled ends by itself. */
void
delivery_post_cancel(struct delivery *delivery)
{
	struct delivery_sending *sending = delivery->sending;
	struct err err = {0};

	if (!sending->is_fetch)
		return;
	fetch_cancel(delivery->queue->host->fetch, &sending->fetch);
	fetch_done(&sending->fetch);
	err_set(&err, ERR_CANCELLED, "the post was cancelled");
	sending_over(sending, 0, &err);
}
