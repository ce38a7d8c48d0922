/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "mayfly.h"
#include "mf_inside.h"

bool
mf_call_parse(const struct mf_frame *frame, struct mf_call *ret)
{
	size_t size = frame->head.size;

	if (size < sizeof(ret->start))
		return false;
	memcpy(&ret->start, frame->payload, sizeof(ret->start));
	size -= sizeof(ret->start);
	if (ret->start.head_size > size)
		return false;
	ret->head = frame->payload + sizeof(ret->start);
	ret->head_size = ret->start.head_size;
	ret->body = ret->head + ret->head_size;
	ret->body_size = size - ret->head_size;
	return true;
}

static bool
has_prefix(const char *text, const char *prefix)
{
	return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* Content types whose bytes are text, if they are UTF-8. */
static bool
is_text_type(const char *type)
{
	static const char *const names[] = {"json", "xml", "javascript", "x-www-form-urlencoded",
		"x-ndjson", "graphql", "yaml", "toml", "sql", NULL};
	size_t n = strcspn(type, "; ");

	if (has_prefix(type, "text/"))
		return true;
	if ((n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0) ||
		(n > 4 && strncasecmp(type + n - 4, "+xml", 4) == 0))
		return true;
	for (size_t i = 0; names[i] && has_prefix(type, "application/"); i++) {
		if (n == 12 + strlen(names[i]) && has_prefix(type + 12, names[i]))
			return true;
	}
	return false;
}

static bool
is_text_body(const struct mf_call *call)
{
	struct mf_json event = mf_json_parse(call->head, call->head_size);
	struct mf_json type = mf_json_get(mf_json_get(event, "headers"), "content-type");
	char text[128];

	if (mf_json_kind(type) == MF_JSON_STRING &&
		(mf_json_text(type, text, sizeof(text)) >= sizeof(text) || !is_text_type(text)))
		return false;
	return mf_is_utf8(call->body, call->body_size);
}

void
mf_call_event(const struct mf_call *call, struct mf_bytes *out)
{
	size_t size = call->head_size;
	bool is_text;

	if (call->start.trigger == FRAME_DIRECT) {
		if (call->body_size)
			mf_bytes_add(out, call->body, call->body_size);
		else
			mf_bytes_print(out, "null");
		return;
	}
	while (size && call->head[size - 1] != '}')
		size--;
	is_text = is_text_body(call);
	mf_bytes_add(out, call->head, size ? size - 1 : 0);
	if (call->body_size) {
		mf_bytes_print(out, ",\"body\":");
		if (is_text) {
			mf_bytes_print_json(out, call->body, call->body_size);
		} else {
			mf_bytes_print(out, "\"");
			mf_bytes_add_base64(out, call->body, call->body_size);
			mf_bytes_print(out, "\"");
		}
	}
	mf_bytes_print(out, is_text ? ",\"isBase64Encoded\":false}" : ",\"isBase64Encoded\":true}");
}

/* ---- the request of a handler ---- */

static char *
text_of(struct mf_json json)
{
	char *text = mf_json_dup(json, NULL);

	if (!text) {
		text = mf_memory(NULL, 1);
		text[0] = '\0';
	}
	return text;
}

void
mf_request_init(struct mf_request *request, const struct mf_call *call)
{
	struct mf_json http;

	memset(request, 0, sizeof(*request));
	request->start = call->start;
	memcpy(request->call_id, call->start.call_id, sizeof(call->start.call_id));
	request->is_direct = call->start.trigger == FRAME_DIRECT;
	mf_bytes_add(&request->head, call->head, call->head_size);
	mf_bytes_add(&request->body, call->body, call->body_size);
	if (request->is_direct)
		request->event = mf_json_parse(request->body.at, request->body.size);
	else
		request->event = mf_json_parse(request->head.at, request->head.size);
	http = mf_json_get(mf_json_get(request->event, "requestContext"), "http");
	request->method =
		text_of(request->is_direct ? request->event : mf_json_get(http, "method"));
	request->path = text_of(
		request->is_direct ? request->event : mf_json_get(request->event, "rawPath"));
	request->query =
		text_of(request->is_direct ? request->event
					   : mf_json_get(request->event, "rawQueryString"));
	if (request->is_direct)
		*request->method = *request->path = *request->query = '\0';
}

void
mf_request_done(struct mf_request *request)
{
	while (request->texts) {
		struct mf_text *next = request->texts->next;

		free(request->texts);
		request->texts = next;
	}
	free(request->method);
	free(request->path);
	free(request->query);
	mf_bytes_done(&request->head);
	mf_bytes_done(&request->body);
}

/* Room for a text that lives as long as the request. */
static char *
new_text(struct mf_request *request, size_t size)
{
	struct mf_text *text = mf_memory(NULL, sizeof(*text) + size + 1);

	text->next = request->texts;
	request->texts = text;
	return text->text;
}

bool
mf_is_direct(const struct mf_request *request)
{
	return request->is_direct;
}

const char *
mf_method(const struct mf_request *request)
{
	return request->method;
}

const char *
mf_path(const struct mf_request *request)
{
	return request->path;
}

const char *
mf_query_string(const struct mf_request *request)
{
	return request->query;
}

const char *
mf_header(struct mf_request *request, const char *name)
{
	struct mf_json headers, key;
	char lower[128], found[128];
	size_t n = strlen(name);

	if (request->is_direct || n >= sizeof(lower))
		return NULL;
	for (size_t i = 0; i <= n; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
	headers = mf_json_get(request->event, "headers");
	for (struct mf_json at = mf_json_next(headers, (struct mf_json){NULL, NULL}, &key); at.at;
		at = mf_json_next(headers, at, &key)) {
		char *text;
		size_t size = (size_t)(at.end - at.at);

		if (mf_json_text(key, found, sizeof(found)) != n || strcasecmp(found, lower) != 0)
			continue;
		text = new_text(request, size);
		mf_json_text(at, text, size);
		return text;
	}
	return NULL;
}

static int
hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded (WHATWG URL): '+' is a space, %XX a byte. */
static char *
decode(struct mf_request *request, const char *text, size_t size)
{
	char *decoded = new_text(request, size), *out = decoded;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '%' && i + 2 < size && hex_of(text[i + 1]) >= 0 &&
			hex_of(text[i + 2]) >= 0) {
			*out++ = (char)(hex_of(text[i + 1]) * 16 + hex_of(text[i + 2]));
			i += 2;
		} else {
			*out++ = text[i] == '+' ? ' ' : text[i];
		}
	}
	*out = '\0';
	return decoded;
}

const char *
mf_query(struct mf_request *request, const char *name)
{
	const char *at = request->query;

	while (*at) {
		size_t size = strcspn(at, "&");
		const char *equals = memchr(at, '=', size);
		size_t n = equals ? (size_t)(equals - at) : size;

		if (strcmp(decode(request, at, n), name) == 0)
			return equals ? decode(request, equals + 1, size - n - 1) : "";
		at += size + (at[size] == '&');
	}
	return NULL;
}

const void *
mf_body(const struct mf_request *request, size_t *ret_size)
{
	if (ret_size)
		*ret_size = request->body.size;
	return request->body.at;
}

const char *
mf_call_id(const struct mf_request *request)
{
	return request->call_id;
}

int64_t
mf_remaining_ms(const struct mf_request *request)
{
	struct timespec now;
	int64_t left;

	clock_gettime(CLOCK_REALTIME, &now);
	left = (int64_t)request->start.deadline_unix_ms - (int64_t)now.tv_sec * 1000 -
	       now.tv_nsec / 1000000;
	return left > 0 ? left : 0;
}

const uint8_t *
mf_random(const struct mf_request *request)
{
	return request->start.random;
}

struct mf_json
mf_event(const struct mf_request *request)
{
	return request->event;
}
