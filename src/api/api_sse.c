/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_sse.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/api_private.h"
#include "base/own.h"
#include "domain/org.h"

#define API_SSE_BEAT_MS    15000
#define API_SSE_QUEUE_HIGH (1u << 20)

static void
api_sse_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct api_sse, beat)->owner);
}

static void
api_sse_end(struct api_sse *sse) ON_LOOP
{
	api_waiter_leave(&sse->waiter);
	sse->on_end(sse);
	loop_timer_close(&sse->beat, api_sse_closed);
}

static void
api_sse_on_abort(struct http_exchange *exchange, void *arg)
{
	thread_on_loop();
	api_sse_end(arg);
}

static void
api_sse_on_stop(struct api_waiter *waiter)
{
	struct api_sse *sse = list_owner(waiter, struct api_sse, waiter);

	thread_on_loop();
	http_answer_end(sse->exchange);
	api_sse_end(sse);
}

/* What was asked about is there still, and so is the token that asked. An org of the name may be
 * another by now. */
static bool
api_sse_is_allowed(const struct api_sse *sse) ON_LOOP
{
	return org_find(sse->domain, str_of(sse->org)) && token_is_valid(sse->domain, sse->token);
}

bool
api_sse_has_room(struct api_sse *sse)
{
	if (!api_sse_is_allowed(sse))
		return false;
	sse->n_dropped += sse->is_full;
	return !sse->is_full;
}

void
api_sse_position(struct api_sse *sse, const char *id)
{
	OWN(buf) struct buf text = BUF_INIT;

	buf_printf(&text, "id: %s\n\n", id);
	http_answer_write(sse->exchange, buf_str(&text));
}

/* Line breaks of a JSON text stand between its tokens only; here they would end the line. */
void
api_sse_write(struct api_sse *sse, const char *id, const char *event, struct str json)
{
	OWN(buf) struct buf text = BUF_INIT;

	if (id)
		buf_printf(&text, "id: %s\n", id);
	buf_printf(&text, "event: %s\ndata: ", event);
	for (size_t i = 0; i < json.len; i++)
		buf_add_char(&text, json.at[i] == '\n' || json.at[i] == '\r' ? ' ' : json.at[i]);
	buf_add_text(&text, "\n\n");
	sse->is_full = http_answer_write(sse->exchange, buf_str(&text)) > API_SSE_QUEUE_HIGH;
}

static void
api_sse_on_drain(struct http_exchange *exchange, void *arg)
{
	struct api_sse *sse = arg;
	char text[32];

	thread_on_loop();
	sse->is_full = false;
	if (!sse->n_dropped)
		return;
	snprintf(text, sizeof(text), "{\"n\":%llu}", (unsigned long long)sse->n_dropped);
	sse->n_dropped = 0;
	api_sse_write(sse, NULL, "dropped", str_of(text));
}

static void api_sse_on_beat(struct loop_timer *timer);

static void
api_sse_beat(struct api_sse *sse) ON_LOOP
{
	http_answer_write(sse->exchange, STR(":\n\n"));
	loop_timer_start(sse->domain->loop, &sse->beat, API_SSE_BEAT_MS, api_sse_on_beat);
}

static void
api_sse_on_beat(struct loop_timer *timer)
{
	struct api_sse *sse = list_owner(timer, struct api_sse, beat);

	thread_on_loop();
	if (api_sse_is_allowed(sse))
		api_sse_beat(sse);
	else
		api_sse_on_stop(&sse->waiter);
}

bool
api_sse_begin(struct api_sse *sse, struct api_request *request)
{
	static const struct http_header headers[] = {
		{STR("content-type"), STR("text/event-stream")},
		{STR("cache-control"), STR("no-store")},
	};

	struct err err = {0};

	sse->waiter.stop = api_sse_on_stop;
	if (api_waiter_join(&request->api->waiters, &sse->waiter, API_WAITER_FOLLOWS,
		    request->params[0], &err) < 0) {
		free(sse->owner);
		api_answer_error(request, &err);
		return false;
	}
	sse->exchange = request->exchange;
	sse->domain = request->api->domain;
	snprintf(sse->org, sizeof(sse->org), "%.63s", request->params[0]);
	memcpy(sse->token, request->token.secret_sha256, sizeof(sse->token));
	api_request_free(request);
	http_on_abort(sse->exchange, api_sse_on_abort, sse);
	http_on_drain(sse->exchange, api_sse_on_drain, sse);
	http_answer_begin(sse->exchange, 200, headers, 2);
	api_sse_beat(sse);
	return true;
}
