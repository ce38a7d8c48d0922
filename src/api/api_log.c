/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_log - what functions printed: of finished calls, and live as server-sent events (HTML Living
 * Standard, 9.2).
 */
#include "api/api_nouns.h"
#include "base/clock.h"
#include "domain/record.h"

#define API_LOG_CALLS      20 /* of the newest, without ?n */
#define API_LOG_MAX_CALLS  1000
#define API_LOG_BEAT_MS    15000
#define API_LOG_QUEUE_HIGH (256u << 10)
#define API_LOG_LINE_BYTES (64u << 10)

/* ---- lines of finished calls ---- */

void
api_log_lines(const json_t *record, json_t *lines)
{
	const json_t *id = json_object_get(record, "id"), *line;
	size_t i;

	json_array_foreach (json_object_get(record, "log"), i, line) {
		const char *stream = json_string_value(json_object_get(line, "s"));
		json_int_t when_ms = json_integer_value(json_object_get(line, "t"));

		json_array_append_new(
			lines, json_pack("{s:o, s:O, s:s, s:O}", "time",
				       api_json_time((uint64_t)when_ms), "call_id", id, "stream",
				       stream && strcmp(stream, "err") == 0 ? "stderr" : "stdout",
				       "text", json_object_get(line, "m")));
	}
}

static void
api_log_on_list(int code, const json_t *json, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	json_t *lines;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	lines = json_array();
	for (size_t i = json_array_size(json); i > 0; i--)
		api_log_lines(json_array_get(json, i - 1), lines);
	api_answer_json(request, 200, json_pack("{s:o}", "lines", lines));
}

/* ---- following ---- */

struct api_log_stream {
	struct api_waiter waiter;
	struct record_follow follow;
	struct loop_timer beat;
	struct http_exchange *exchange; /* borrowed */
	struct loop *loop;              /* borrowed */
	uint64_t n_dropped;
	bool is_full;
};

static void
api_log_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct api_log_stream, beat));
}

static void
api_log_end(struct api_log_stream *stream) ON_LOOP
{
	list_remove(&stream->waiter.link);
	record_unfollow(&stream->follow);
	loop_timer_close(&stream->beat, api_log_closed);
}

static void
api_log_on_abort(struct http_exchange *exchange, void *arg)
{
	thread_on_loop();
	api_log_end(arg);
}

static void
api_log_on_stop(struct api_waiter *waiter)
{
	struct api_log_stream *stream = list_owner(waiter, struct api_log_stream, waiter);

	thread_on_loop();
	http_answer_end(stream->exchange);
	api_log_end(stream);
}

static void
api_log_event(struct api_log_stream *stream, const char *event, json_t *json /* stolen */) ON_LOOP
{
	OWN(json) json_t *stolen = json;
	OWN(buf) struct buf text = BUF_INIT;

	buf_printf(&text, "event: %s\ndata: ", event);
	json_write(stolen, &text);
	buf_add_text(&text, "\n\n");
	stream->is_full = http_answer_write(stream->exchange, buf_str(&text)) > API_LOG_QUEUE_HIGH;
}

/* A follower that is slower than the function misses lines, and is told how many. */
static bool
api_log_is_full(struct api_log_stream *stream)
{
	stream->n_dropped += stream->is_full;
	return stream->is_full;
}

static void
api_log_on_drain(struct http_exchange *exchange, void *arg)
{
	struct api_log_stream *stream = arg;

	thread_on_loop();
	stream->is_full = false;
	if (stream->n_dropped)
		api_log_event(
			stream, "dropped", json_pack("{s:I}", "n", (json_int_t)stream->n_dropped));
	stream->n_dropped = 0;
}

static void
api_log_on_line(struct record_follow *follow, const char *call_id, struct str function,
	bool is_stderr, struct str line, uint64_t when_ms)
{
	struct api_log_stream *stream = list_owner(follow, struct api_log_stream, follow);
	OWN(buf) struct buf text = BUF_INIT;

	thread_on_loop();
	if (api_log_is_full(stream))
		return;
	line.len = line.len < API_LOG_LINE_BYTES ? line.len : API_LOG_LINE_BYTES;
	while (line.len) {
		size_t step = str_utf8_step(line);

		if (step)
			buf_add(&text, line.at, step);
		else
			buf_add_text(&text, "\xef\xbf\xbd");
		step = step ? step : 1;
		line = str_n(line.at + step, line.len - step);
	}
	api_log_event(stream, "line",
		json_pack("{s:o, s:s, s:s%, s:s, s:s%}", "time", api_json_time(when_ms), "call_id",
			call_id, "function", function.at, function.len, "stream",
			is_stderr ? "stderr" : "stdout", "text", text.at ? text.at : "", text.len));
}

static void
api_log_on_record(struct record_follow *follow, const struct row_call *row)
{
	struct api_log_stream *stream = list_owner(follow, struct api_log_stream, follow);

	thread_on_loop();
	if (!api_log_is_full(stream))
		api_log_event(stream, "call", record_json(row, false));
}

/* Something to write shows whether the client is still there, and keeps proxies from closing. */
static void
api_log_on_beat(struct loop_timer *timer)
{
	struct api_log_stream *stream = list_owner(timer, struct api_log_stream, beat);

	thread_on_loop();
	http_answer_write(stream->exchange, STR(":\n\n"));
	loop_timer_start(stream->loop, &stream->beat, API_LOG_BEAT_MS, api_log_on_beat);
}

static void
api_log_follow(struct api_request *request) ON_LOOP
{
	static const struct http_header headers[] = {
		{STR("content-type"), STR("text/event-stream")},
		{STR("cache-control"), STR("no-store")},
	};
	struct api_log_stream *stream = mem_new(sizeof(*stream));
	struct record_log *records = request->api->domain->records;

	list_init(&stream->follow.link);
	memcpy(stream->follow.org, request->params[0], sizeof(stream->follow.org));
	memcpy(stream->follow.function, request->params[1], sizeof(stream->follow.function));
	stream->follow.on_line = api_log_on_line;
	stream->follow.on_record = api_log_on_record;
	stream->exchange = request->exchange;
	stream->loop = request->api->domain->loop;
	stream->waiter.stop = api_log_on_stop;
	list_push_back(&request->api->waiters, &stream->waiter.link);
	api_request_free(request);
	http_on_abort(stream->exchange, api_log_on_abort, stream);
	http_on_drain(stream->exchange, api_log_on_drain, stream);
	http_answer_begin(stream->exchange, 200, headers, 2);
	record_follow(records, &stream->follow);
	api_log_on_beat(&stream->beat);
}

/* ---- GET …/logs ---- */

struct api_log_query {
	bool is_following;
	uint64_t n, since_ms;
};

static int
api_log_read(struct api_request *request, struct api_log_query *ret, struct err *err)
{
	static const char *const known[] = {"follow", "n", "since", NULL};
	char since[16];
	bool has_since;
	int rc = api_query_check(request, known, err);

	if (rc == 0)
		rc = api_query_bool(request, "follow", &ret->is_following, err);
	if (rc == 0)
		rc = api_query_u64(request, "n", 1, API_LOG_MAX_CALLS, &ret->n, err);
	if (rc == 0)
		rc = api_query_str(request, "since", since, sizeof(since), &has_since, err);
	if (rc == 0 && has_since && !clock_parse_ms(str_of(since), &ret->since_ms))
		rc = err_field(
			err, ERR_INVALID, "since", "since must be a duration like 10m or 2h");
	return rc;
}

/* The lowest ULID of a millisecond: ten characters of time, then zeros. */
static void
api_log_first_id(uint64_t unix_ms, char ret[static ID_ULID_SIZE])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	memset(ret, '0', ID_ULID_SIZE - 1);
	ret[ID_ULID_SIZE - 1] = 0;
	for (int i = 9; i >= 0; i--, unix_ms >>= 5)
		ret[i] = digits[unix_ms & 31];
}

void
api_log_show(struct api_request *request)
{
	struct api_log_query wish = {.n = API_LOG_CALLS};
	char after[ID_ULID_SIZE];
	struct err err = {0};

	if (!api_request_function(request))
		return;
	if (api_log_read(request, &wish, &err) < 0) {
		api_answer_error(request, &err);
		return;
	}
	if (wish.is_following && str_eq(http_request_of(request->exchange)->method, STR("GET"))) {
		api_log_follow(request);
		return;
	}
	if (wish.since_ms)
		api_log_first_id(clock_unix_ms() - wish.since_ms, after);
	const struct row_call_query query = {
		.org = request->params[0],
		.function = request->params[1],
		.after = wish.since_ms ? after : NULL,
		.is_with_log = true,
		.n = (unsigned)wish.n,
	};

	record_list(request->api->domain->records, &query, api_log_on_list, request);
}
