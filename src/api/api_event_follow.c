/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_event_follow - what an org accepts, live, as server-sent events (HTML Living Standard, 9.2).
 * Each has an id, so that a client that lost the connection goes on with Last-Event-ID.
 */
#include "api/api_nouns.h"
#include "domain/event.h"

#define API_EVENT_BEAT_MS    15000
#define API_EVENT_QUEUE_HIGH (1u << 20)

struct api_event_stream {
	struct api_waiter waiter;
	struct event_follow follow;
	struct loop_timer beat;
	struct http_exchange *exchange; /* borrowed */
	struct loop *loop;              /* borrowed */
	uint64_t n_dropped;
	bool is_full;
};

static void
api_event_follow_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct api_event_stream, beat));
}

static void
api_event_follow_end(struct api_event_stream *stream) ON_LOOP
{
	list_remove(&stream->waiter.link);
	event_unfollow(&stream->follow);
	loop_timer_close(&stream->beat, api_event_follow_closed);
}

static void
api_event_follow_on_abort(struct http_exchange *exchange, void *arg)
{
	thread_on_loop();
	api_event_follow_end(arg);
}

static void
api_event_follow_on_stop(struct api_waiter *waiter)
{
	struct api_event_stream *stream = list_owner(waiter, struct api_event_stream, waiter);

	thread_on_loop();
	http_answer_end(stream->exchange);
	api_event_follow_end(stream);
}

/* Line breaks of a JSON text stand between its tokens only; here they would end the line. */
static void
api_event_follow_write(
	struct api_event_stream *stream, const char *name, const char *id, struct str json) ON_LOOP
{
	OWN(buf) struct buf text = BUF_INIT;

	if (id)
		buf_printf(&text, "id: %s\n", id);
	buf_printf(&text, "event: %s\ndata: ", name);
	for (size_t i = 0; i < json.len; i++)
		buf_add_char(&text, json.at[i] == '\n' || json.at[i] == '\r' ? ' ' : json.at[i]);
	buf_add_text(&text, "\n\n");
	stream->is_full =
		http_answer_write(stream->exchange, buf_str(&text)) > API_EVENT_QUEUE_HIGH;
}

/* A follower that is slower than the events misses some, and is told how many. */
static void
api_event_follow_on_event(struct event_follow *follow, const char *id, struct str json)
{
	struct api_event_stream *stream = list_owner(follow, struct api_event_stream, follow);

	thread_on_loop();
	if (stream->is_full)
		stream->n_dropped++;
	else
		api_event_follow_write(stream, "event", id, json);
}

static void
api_event_follow_on_drain(struct http_exchange *exchange, void *arg)
{
	struct api_event_stream *stream = arg;
	OWN(buf) struct buf text = BUF_INIT;

	thread_on_loop();
	stream->is_full = false;
	if (!stream->n_dropped)
		return;
	buf_add_text(&text, "{\"n\":");
	buf_add_u64(&text, stream->n_dropped);
	buf_add_char(&text, '}');
	stream->n_dropped = 0;
	api_event_follow_write(stream, "dropped", NULL, buf_str(&text));
}

/* Something to write shows whether the client is still there, and keeps proxies from closing. */
static void
api_event_follow_on_beat(struct loop_timer *timer)
{
	struct api_event_stream *stream = list_owner(timer, struct api_event_stream, beat);

	thread_on_loop();
	http_answer_write(stream->exchange, STR(":\n\n"));
	loop_timer_start(stream->loop, &stream->beat, API_EVENT_BEAT_MS, api_event_follow_on_beat);
}

/* Who resumes gets all that is remembered behind what it saw; an id of somebody else's is none. */
static unsigned
api_event_follow_resume(
	const struct api_request *request, unsigned n, char ret[static ID_ULID_SIZE])
{
	struct str last = http_header(http_request_of(request->exchange), "last-event-id");

	ret[0] = 0;
	if (!id_is_ulid(last))
		return n;
	memcpy(ret, last.at, last.len);
	ret[last.len] = 0;
	return UINT32_MAX;
}

void
api_event_follow(struct api_request *request, struct org *org, unsigned n)
{
	static const struct http_header headers[] = {
		{STR("content-type"), STR("text/event-stream")},
		{STR("cache-control"), STR("no-store")},
	};
	struct api_event_stream *stream = mem_new(sizeof(*stream));
	char after[ID_ULID_SIZE];

	n = api_event_follow_resume(request, n, after);
	list_init(&stream->follow.link);
	stream->follow.on_event = api_event_follow_on_event;
	stream->exchange = request->exchange;
	stream->loop = request->api->domain->loop;
	stream->waiter.stop = api_event_follow_on_stop;
	list_push_back(&request->api->waiters, &stream->waiter.link);
	api_request_free(request);
	http_on_abort(stream->exchange, api_event_follow_on_abort, stream);
	http_on_drain(stream->exchange, api_event_follow_on_drain, stream);
	http_answer_begin(stream->exchange, 200, headers, 2);
	event_follow(org, &stream->follow, n, after);
	api_event_follow_on_beat(&stream->beat);
}
