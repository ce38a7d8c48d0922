/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_event - event_read(): header lines "name: value" up to an empty line, then the body. What it
 * accepts keeps the rules, and is read as the same event when it is written again.
 */
#include "fuzz.h"

#include "domain/event.h"
#include "domain/event_post.h"
#include "net/http.h"

#define HEADERS 100

struct message {
	struct http_header headers[HEADERS];
	size_t n;
	struct str body;
};

static void
add_headers(struct message *message, struct str lines)
{
	while (lines.len && message->n < HEADERS) {
		struct str value = str_cut(&lines, '\n'), name = str_cut(&value, ':');

		value = str_trim(value);
		if (http_is_token(name) && http_is_value(value))
			message->headers[message->n++] = (struct http_header){name, value};
	}
}

static void
check_text(const struct event *event)
{
	OWN(json) json_t *json = NULL;

	must(event->text_len <= EVENT_BYTES_MAX);
	must(json_parse(str_n(event->text, event->text_len), &json, NULL) == 0);
	must(strcmp(json_string_value(json_object_get(json, "id")), event->id) == 0);
}

/* Nothing in an event is a header of its own, and what is posted is an event. */
static void
check_post(const struct event *event)
{
	OWN(buf) struct buf body = BUF_INIT, document = BUF_INIT;
	OWN(json) json_t *headers = event_post_write(event, EVENT_BINARY, &body);
	OWN(json) json_t *typed = event_post_write(event, EVENT_STRUCTURED, &document);
	const struct http_header type = {STR("content-type"),
		str_of(json_string_value(json_object_get(typed, "content-type")))};
	OWN(event_list) struct event_list again = {0};
	enum event_mode mode;
	const char *name;
	json_t *value;

	json_object_foreach (headers, name, value) {
		OWN(mem) char *line = mem_printf("%s: %s", name, json_string_value(value));

		must(fetch_header_is_sound(str_of(line)));
	}
	must(event_read(&type, 1, buf_str(&document), &mode, &again, NULL) == 0);
	must(mode == EVENT_STRUCTURED && strcmp(again.at->id, event->id) == 0);
}

static void
check_event(const struct event *event)
{
	OWN(buf) struct buf headers = BUF_INIT, body = BUF_INIT;
	OWN(event_list) struct event_list again = {0};
	struct message message = {0};
	enum event_mode mode;

	must(event->id[0] && event->source[0] && event->type[0]);
	check_text(event);
	check_post(event);
	event_write_binary(event, &headers, &body);
	add_headers(&message, buf_str(&headers));
	if (body.len > EVENT_BYTES_MAX / 2)
		return; /* base64 may be too large for what JSON had room for */
	must(event_read(message.headers, message.n, buf_str(&body), &mode, &again, NULL) == 0);
	must(mode == EVENT_BINARY && again.n == 1);
	must(strcmp(again.at->id, event->id) == 0 && strcmp(again.at->type, event->type) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str rest = str_n(bytes, size);
	OWN(event_list) struct event_list list = {0};
	struct message message = {0};
	struct err err = {0};
	enum event_mode mode;
	const char *end = size ? memmem(rest.at, rest.len, "\n\n", 2) : NULL;
	int rc;

	add_headers(&message, end ? str_n(rest.at, (size_t)(end - rest.at)) : rest);
	if (end)
		message.body = str_n(end + 2, size - (size_t)(end + 2 - rest.at));
	rc = event_read(message.headers, message.n, message.body, &mode, &list, &err);
	must(rc == err.code);
	if (rc < 0)
		must(!list.at && err.text[0]);
	for (size_t i = 0; i < list.n; i++)
		check_event(&list.at[i]);
	return 0;
}
