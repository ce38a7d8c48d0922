/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/event_post.h"

static bool
is_ours(const char *name)
{
	return str_starts(str_of(name), STR(EVENT_OWN));
}

static bool
has_ours(const json_t *json)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)json, name, value)
		if (is_ours(name))
			return true;
	return false;
}

static json_t *
without_ours(const json_t *json)
{
	json_t *copy = json_copy((json_t *)json), *value;
	const char *name;
	void *next;

	json_object_foreach_safe(copy, next, name, value) if (is_ours(name))
		json_object_del(copy, name);
	return copy;
}

/* As it came, where nothing of ours is in it: numbers keep their digits. */
static json_t *
write_structured(const struct event *event, struct buf *body)
{
	if (has_ours(event->json)) {
		OWN(json) json_t *copy = without_ours(event->json);

		json_write(copy, body);
	} else {
		buf_add(body, event->text, event->text_len);
	}
	return json_pack("{s:s}", "content-type", "application/cloudevents+json");
}

static json_t *
write_binary(const struct event *event, struct buf *body)
{
	OWN(buf) struct buf lines = BUF_INIT;
	json_t *headers = json_object();
	struct str rest;

	event_write_binary(event, &lines, body);
	rest = buf_str(&lines);
	while (rest.len) {
		struct str value = str_cut(&rest, '\n');
		OWN(mem) char *name = str_dup(str_cut(&value, ':'));

		value = str_trim(value);
		if (!str_starts(str_of(name), STR("ce-" EVENT_OWN)))
			json_object_set_new(headers, name, json_stringn(value.at, value.len));
	}
	return headers;
}

json_t *
event_post_write(const struct event *event, enum event_mode mode, struct buf *body)
{
	return mode == EVENT_STRUCTURED ? write_structured(event, body) : write_binary(event, body);
}
