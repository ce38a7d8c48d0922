/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_event_follow - what an org accepts, live (api_sse.h).
 * Each has an id, so that a client that lost the connection goes on with Last-Event-ID; the stream
 * begins with one, for a client that loses it before the first event.
 */
#include "api/api_nouns.h"
#include "api/api_sse.h"
#include "domain/event.h"

struct api_event_stream {
	struct api_sse sse;
	struct event_follow follow;
};

static void
api_event_follow_on_end(struct api_sse *sse)
{
	thread_on_loop();
	event_unfollow(&list_owner(sse, struct api_event_stream, sse)->follow);
}

static void
api_event_follow_on_event(struct event_follow *follow, const char *id, struct str json)
{
	struct api_event_stream *stream = list_owner(follow, struct api_event_stream, follow);

	thread_on_loop();
	if (api_sse_has_room(&stream->sse))
		api_sse_write(&stream->sse, id, "event", json);
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
	struct api_event_stream *stream = mem_new(sizeof(*stream));
	char after[ID_ULID_SIZE], now[ID_ULID_SIZE];

	n = api_event_follow_resume(request, n, after);
	list_init(&stream->follow.link);
	stream->follow.on_event = api_event_follow_on_event;
	stream->sse.on_end = api_event_follow_on_end;
	stream->sse.owner = stream;
	if (!api_sse_begin(&stream->sse, request))
		return;
	if (!after[0]) {
		id_ulid(now);
		api_sse_position(&stream->sse, now);
	}
	event_follow(org, &stream->follow, n, after);
}
