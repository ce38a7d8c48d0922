/* SPDX-License-Identifier: Apache-2.0 */
#include "lambda_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JSON_HEAD "200\ncontent-type:application/json\n"

static const char prelude_end[8];

static void
send_invalid(struct mf_channel *channel, uint64_t call, const char *why)
{
	mf_channel_error(channel, FRAME_ERROR, call, "InvalidAnswer", why, "");
}

/* A header's value as text: strings as they are, other values as JSON writes them. */
static char *
value_of(struct mf_json json)
{
	char *text = mf_json_dup(json, NULL);
	size_t size = (size_t)(json.end - json.at);

	if (text)
		return text;
	text = mf_memory(NULL, size + 1);
	memcpy(text, json.at, size);
	text[size] = '\0';
	return text;
}

static bool
add_one(struct mf_bytes *head, const char *name, struct mf_json value)
{
	char *text = value_of(value);
	bool is_header = mf_head_add(head, name, text);

	free(text);
	return is_header;
}

static bool
add_headers(struct mf_bytes *head, struct mf_json headers, bool *has_type)
{
	struct mf_json key;
	bool is_right = true;

	for (struct mf_json at = mf_json_next(headers, (struct mf_json){NULL, NULL}, &key);
		at.at && is_right; at = mf_json_next(headers, at, &key)) {
		char *name = mf_json_dup(key, NULL);

		*has_type |= strcasecmp(name, "content-type") == 0;
		if (mf_json_kind(at) != MF_JSON_NULL)
			is_right = add_one(head, name, at);
		free(name);
	}
	return is_right;
}

/* statusCode, headers and cookies as a head; false with a reason. */
static bool
make_head(struct mf_json answer, struct mf_bytes *head, bool *has_type, const char **ret_reason)
{
	struct mf_json cookies = mf_json_get(answer, "cookies");
	struct mf_json code = mf_json_get(answer, "statusCode");
	double status = mf_json_number(code, 200);
	char text[16];

	*has_type = false;
	if (mf_json_kind(code) == MF_JSON_STRING) {
		mf_json_text(code, text, sizeof(text));
		status = strtod(text, NULL);
	}
	*ret_reason = "statusCode is not 200 to 599";
	if (!(status >= 200 && status <= 599) || status != (int)status)
		return false;
	snprintf(text, sizeof(text), "%03d\n", (int)status);
	mf_bytes_print(head, text);
	*ret_reason = "a header has a name or a value that cannot be sent";
	if (!add_headers(head, mf_json_get(answer, "headers"), has_type))
		return false;
	for (struct mf_json at = mf_json_next(cookies, (struct mf_json){NULL, NULL}, NULL); at.at;
		at = mf_json_next(cookies, at, NULL)) {
		if (!add_one(head, "set-cookie", at))
			return false;
	}
	return true;
}

/* The bytes of `body`; its usual type. */
static const char *
make_body(struct mf_json answer, struct mf_bytes *body)
{
	struct mf_json given = mf_json_get(answer, "body");
	bool is_base64 = mf_json_is_true(mf_json_get(answer, "isBase64Encoded"));
	size_t size;
	char *text = mf_json_dup(given, &size);

	if (!text) {
		if (given.at && mf_json_kind(given) != MF_JSON_NULL)
			mf_bytes_add(body, given.at, (size_t)(given.end - given.at));
		return "application/json";
	}
	if (is_base64 && !mf_bytes_add_from_base64(body, text, size))
		is_base64 = false;
	if (!is_base64) {
		body->size = 0;
		mf_bytes_add(body, text, size);
	}
	free(text);
	return is_base64 ? "application/octet-stream" : "text/plain; charset=utf-8";
}

static void
send_structured(struct mf_channel *channel, uint64_t call, struct mf_json answer)
{
	struct mf_bytes head = {0}, body = {0};
	const char *type = make_body(answer, &body), *reason;
	bool has_type;

	if (!make_head(answer, &head, &has_type, &reason)) {
		send_invalid(channel, call, reason);
	} else {
		if (!has_type && body.size)
			mf_head_add(&head, "content-type", type);
		mf_channel_answer(channel, call, &head, body.at, body.size);
	}
	mf_bytes_done(&head);
	mf_bytes_done(&body);
}

static void
send_plain(
	struct mf_channel *channel, uint64_t call, const char *type, const char *bytes, size_t size)
{
	struct mf_bytes head = {0};

	mf_bytes_print(&head, "200\n");
	mf_head_add(&head, "content-type", type);
	mf_channel_answer(channel, call, &head, bytes, size);
	mf_bytes_done(&head);
}

static void
send_direct(struct mf_channel *channel, uint64_t call, struct mf_json json, const char *body,
	size_t size)
{
	struct mf_bytes text = {0};

	if (json.at)
		mf_bytes_add(&text, json.at, (size_t)(json.end - json.at));
	else if (size)
		mf_bytes_print_json(&text, body, size);
	else
		mf_bytes_print(&text, "null");
	send_plain(channel, call, "application/json", text.at, text.size);
	mf_bytes_done(&text);
}

void
lambda_answer_send(
	struct mf_channel *channel, const struct lambda_call *call, const char *body, size_t size)
{
	struct mf_json json = mf_json_parse(body, size);
	char *text;
	size_t length;

	if (call->is_direct) {
		send_direct(channel, call->number, json, body, size);
	} else if (mf_json_get(json, "statusCode").at) {
		send_structured(channel, call->number, json);
	} else if ((text = mf_json_dup(json, &length))) {
		send_plain(channel, call->number, "text/plain; charset=utf-8", text, length);
		free(text);
	} else if (json.at) {
		send_plain(channel, call->number, "application/json", body, size);
	} else {
		send_plain(channel, call->number,
			mf_is_utf8(body, size) ? "text/plain; charset=utf-8"
					       : "application/octet-stream",
			body, size);
	}
}

/* ---- streamed ---- */

static size_t
send_prelude(struct mf_channel *channel, struct lambda_call *call, const char *bytes, size_t size,
	bool *ret_is_over)
{
	const char *end = memmem(bytes, size, prelude_end, sizeof(prelude_end));
	struct mf_bytes head = {0};
	const char *reason = "the prelude of the stream is not JSON";
	struct mf_json json;
	bool has_type;

	if (!end)
		return 0;
	json = mf_json_parse(bytes, (size_t)(end - bytes));
	if (mf_json_kind(json) != MF_JSON_OBJECT || !make_head(json, &head, &has_type, &reason)) {
		send_invalid(channel, call->number, reason);
		*ret_is_over = true;
	} else {
		if (!has_type)
			mf_head_add(&head, "content-type", "application/octet-stream");
		mf_channel_send(channel, FRAME_ANSWER_HEAD, 0, call->number, head.at, head.size);
		call->has_head = true;
	}
	mf_bytes_done(&head);
	return (size_t)(end - bytes) + sizeof(prelude_end);
}

static void
send_usual_head(struct mf_channel *channel, struct lambda_call *call, const char *type)
{
	struct mf_bytes head = {0};

	mf_bytes_print(&head, "200\n");
	if (!mf_head_add(&head, "content-type", *type ? type : "application/octet-stream"))
		mf_head_add(&head, "content-type", "application/octet-stream");
	mf_channel_send(channel, FRAME_ANSWER_HEAD, 0, call->number, head.at, head.size);
	call->has_head = true;
	mf_bytes_done(&head);
}

size_t
lambda_answer_stream(struct mf_channel *channel, struct lambda_call *call, const char *type,
	const char *bytes, size_t size, bool *ret_is_over)
{
	size_t taken = 0;

	*ret_is_over = false;
	if (call->is_direct || !size)
		return 0; /* JSON goes whole, when all of it is there */
	call->has_prelude =
		strncmp(type, "application/vnd.awslambda.http-integration-response", 51) == 0;
	if (!call->has_head && call->has_prelude)
		taken = send_prelude(channel, call, bytes, size, ret_is_over);
	else if (!call->has_head)
		send_usual_head(channel, call, type);
	if (!call->has_head)
		return taken;
	if (size > taken)
		mf_channel_send(
			channel, FRAME_ANSWER_BODY, 0, call->number, bytes + taken, size - taken);
	return size;
}

void
lambda_answer_stream_end(struct mf_channel *channel, struct lambda_call *call)
{
	if (!call->has_head && call->has_prelude) {
		send_invalid(channel, call->number, "the stream ended in its prelude");
		return;
	}
	if (!call->has_head)
		send_usual_head(channel, call, "");
	mf_channel_send(channel, FRAME_ANSWER_END, 0, call->number, NULL, 0);
}

/* ---- errors ---- */

static void
join_trace(struct mf_json trace, struct mf_bytes *out)
{
	for (struct mf_json at = mf_json_next(trace, (struct mf_json){NULL, NULL}, NULL); at.at;
		at = mf_json_next(trace, at, NULL)) {
		char *line = value_of(at);

		if (out->size)
			mf_bytes_print(out, "\n");
		mf_bytes_print(out, line);
		free(line);
	}
}

void
lambda_answer_error(struct mf_channel *channel, enum frame_kind kind, uint64_t call,
	const char *type, const char *body, size_t size)
{
	struct mf_json json = mf_json_parse(body, size);
	struct mf_bytes trace = {0};
	char *name = mf_json_dup(mf_json_get(json, "errorType"), NULL);
	char *message = mf_json_dup(mf_json_get(json, "errorMessage"), NULL);

	mf_bytes_print(&trace, "");
	join_trace(mf_json_get(json, "stackTrace"), &trace);
	mf_channel_error(channel, kind, call,
		name && *name ? name
		: *type       ? type
			      : "Error",
		message ? message : "the runtime gave an error without a message", trace.at);
	mf_bytes_done(&trace);
	free(name);
	free(message);
}
