/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_callback - results that are posted to a URL: signed, five times at most, a few of an org
 * at a time, so that slow receivers of one org hold up nobody else's.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/delivery_inside.h"

#define CALLBACK_TRIES      5
#define CALLBACK_AGAIN_MS   1000
#define CALLBACK_TIMEOUT_MS 30000
#define CALLBACK_AT_ONCE    16   /* of an org */
#define CALLBACK_WAITING    1000 /* of an org; more are dropped and logged */
#define CALLBACK_HEADERS    64
#define CALLBACK_ANSWER     1024

struct delivery_callback {
	struct list link;           /* in org->callbacks */
	struct delivery_host *host; /* borrowed */
	struct delivery_org *org;   /* borrowed */
	struct fetch fetch;
	struct loop_timer timer;
	char id[ID_ULID_SIZE];
	char *url;                           /* owned */
	char *headers[CALLBACK_HEADERS + 8]; /* owned, NULL-terminated */
	size_t n_headers, n_own;             /* n_own: without the signature */
	struct buf body;                     /* owned */
	unsigned n_tries;
};

/* ---- what is sent ---- */

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
add_header(struct delivery_callback *callback, char *line /* taken */)
{
	callback->headers[callback->n_headers++] = line;
}

static void
add_headers(struct delivery_callback *callback, const struct delivery_post *post)
{
	const char *name;
	json_t *value;

	json_object_foreach (post->headers, name, value)
		if (!is_ours(name) && callback->n_headers < CALLBACK_HEADERS)
			add_header(callback, mem_printf("%s: %s", name, json_string_value(value)));
	add_header(callback, mem_printf("X-Call-Id: %s", post->id));
	add_header(callback, mem_printf("X-Function-Name: %s", post->function));
	add_header(callback, mem_printf("X-Function-Status: %u", (unsigned)post->status));
	add_header(callback, mem_printf("X-Duration-Seconds: %llu.%06llu",
				     (unsigned long long)(post->wall_us / 1000000),
				     (unsigned long long)(post->wall_us % 1000000)));
	if (strcmp(post->code, "ok") != 0)
		add_header(callback, mem_printf("X-Mayfly-Error: %s", post->code));
	callback->n_own = callback->n_headers;
}

/* Anew for each try: the time is part of it, so that an old one cannot be sent again later. */
static void
sign(struct delivery_callback *callback)
{
	OWN(buf) struct buf text = BUF_INIT;
	char key[DELIVERY_KEY_SIZE], hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned long long now_s = clock_unix_ms() / 1000;
	uint8_t sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	delivery_callback_key(callback->host, str_of(callback->org->name), key);
	buf_printf(&text, "%llu.", now_s);
	buf_add_str(&text, buf_str(&callback->body));
	must(HMAC(
		EVP_sha256(), key, (int)strlen(key), (const uint8_t *)text.at, text.len, sum, &n));
	id_hex(sum, n, hex);
	while (callback->n_headers > callback->n_own)
		free(callback->headers[--callback->n_headers]);
	add_header(callback, mem_printf("X-Mayfly-Signature: t=%llu,v1=%s", now_s, hex));
	callback->headers[callback->n_headers] = NULL;
}

/* ---- its life ---- */

static void begin_next(struct delivery_org *org) ON_LOOP;

static void
on_closed(struct loop_timer *timer)
{
	struct delivery_callback *callback = list_owner(timer, struct delivery_callback, timer);

	for (size_t i = 0; i < callback->n_headers; i++)
		free(callback->headers[i]);
	free(callback->url);
	buf_done(&callback->body);
	free(callback);
}

static void
finish(struct delivery_callback *callback) ON_LOOP
{
	struct delivery_org *org = callback->org;
	bool is_over = callback->host->is_stopping;

	list_remove(&callback->link);
	org->n_callbacks--;
	loop_timer_close(&callback->timer, on_closed);
	if (!is_over)
		begin_next(org);
}

static void
send_now(struct loop_timer *timer)
{
	struct delivery_callback *callback = list_owner(timer, struct delivery_callback, timer);

	thread_on_loop();
	sign(callback);
	callback->n_tries++;
	fetch_start(callback->host->fetch, &callback->fetch);
}

static void
on_answer(struct fetch *fetch, int status, const struct err *err)
{
	struct delivery_callback *callback = list_owner(fetch, struct delivery_callback, fetch);
	bool is_final = err && (err->code == ERR_INVALID || err->code == ERR_FORBIDDEN);

	thread_on_loop();
	fetch_done(fetch);
	if (status / 100 == 2) {
		finish(callback);
		return;
	}
	if (!is_final && callback->n_tries < CALLBACK_TRIES && !callback->host->is_stopping) {
		loop_timer_start(callback->host->domain->loop, &callback->timer,
			(uint64_t)CALLBACK_AGAIN_MS << (callback->n_tries - 1), send_now);
		return;
	}
	log_warn("delivery.callback_failed", "id=%s org=%s url=%s tries=%u status=%d reason=%s",
		callback->id, callback->org->name, log_q(callback->url), callback->n_tries, status,
		log_q(err ? err->text : "it answered so"));
	finish(callback);
}

static void
begin_next(struct delivery_org *org)
{
	while (org->n_callbacks < CALLBACK_AT_ONCE && !list_is_empty(&org->callbacks)) {
		struct delivery_callback *callback =
			list_first(&org->callbacks, struct delivery_callback, link);

		list_remove(&callback->link);
		list_push_back(&org->sending, &callback->link);
		org->n_callbacks_left--;
		org->n_callbacks++;
		send_now(&callback->timer);
	}
}

void
delivery_callback(
	struct delivery_host *host, struct delivery_org *org, const struct delivery_post *post)
{
	struct delivery_callback *callback;

	if (host->is_stopping || org->n_callbacks_left >= CALLBACK_WAITING) {
		log_warn("delivery.callback_dropped", "id=%s org=%s url=%s", post->id, org->name,
			log_q(post->url));
		return;
	}
	callback = mem_new(sizeof(*callback));
	callback->host = host;
	callback->org = org;
	callback->url = str_dup(str_of(post->url));
	memcpy(callback->id, post->id, sizeof(callback->id));
	buf_add_str(&callback->body, post->body);
	add_headers(callback, post);
	list_init(&callback->link);
	callback->fetch = (struct fetch){
		.method = "POST",
		.url = callback->url,
		.headers = (const char *const *)callback->headers,
		.body = buf_str(&callback->body),
		.timeout_ms = CALLBACK_TIMEOUT_MS,
		.answer_bytes = CALLBACK_ANSWER,
		.done = on_answer,
	};
	list_push_back(&org->callbacks, &callback->link);
	org->n_callbacks_left++;
	begin_next(org);
}

/* Those that wait for their turn or for another try; those on their way end with their answer, or
 * with the host of fetches. */
void
delivery_callbacks_drop(struct delivery_org *org)
{
	struct delivery_callback *callback;
	unsigned n = org->n_callbacks_left;

	list_each (&org->callbacks, callback, link) {
		list_remove(&callback->link);
		loop_timer_close(&callback->timer, on_closed);
	}
	org->n_callbacks_left = 0;
	list_each (&org->sending, callback, link) {
		if (callback->fetch.private_state)
			continue;
		n++;
		finish(callback);
	}
	if (n)
		log_warn("delivery.callbacks_dropped", "org=%s n=%u", org->name, n);
}
