/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_log - what functions printed: of finished calls, and live (api_sse.h).
 */
#include "api/api_nouns.h"
#include "api/api_sse.h"
#include "base/clock.h"
#include "domain/record.h"

#define API_LOG_CALLS      20 /* of the newest, without ?n */
#define API_LOG_MAX_CALLS  1000
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
	struct api_sse sse;
	struct record_follow follow;
};

static void
api_log_on_end(struct api_sse *sse)
{
	thread_on_loop();
	record_unfollow(&list_owner(sse, struct api_log_stream, sse)->follow);
}

static void
api_log_event(struct api_log_stream *stream, const char *event, json_t *json /* stolen */) ON_LOOP
{
	OWN(json) json_t *stolen = json;
	OWN(buf) struct buf text = BUF_INIT;

	json_write(stolen, &text);
	api_sse_write(&stream->sse, NULL, event, buf_str(&text));
}

static void
api_log_on_line(struct record_follow *follow, const char *call_id, struct str function,
	bool is_stderr, struct str line, uint64_t when_ms)
{
	struct api_log_stream *stream = list_owner(follow, struct api_log_stream, follow);
	OWN(buf) struct buf text = BUF_INIT;

	thread_on_loop();
	if (!api_sse_has_room(&stream->sse))
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
	if (api_sse_has_room(&stream->sse))
		api_log_event(stream, "call", record_json(row, false));
}

static void
api_log_follow(struct api_request *request) ON_LOOP
{
	struct api_log_stream *stream = mem_new(sizeof(*stream));
	struct record_log *records = request->api->domain->records;

	list_init(&stream->follow.link);
	memcpy(stream->follow.org, request->params[0], sizeof(stream->follow.org));
	memcpy(stream->follow.function, request->params[1], sizeof(stream->follow.function));
	stream->follow.on_line = api_log_on_line;
	stream->follow.on_record = api_log_on_record;
	stream->sse.on_end = api_log_on_end;
	stream->sse.owner = stream;
	if (api_sse_begin(&stream->sse, request))
		record_follow(records, &stream->follow);
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
