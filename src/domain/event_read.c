/* SPDX-License-Identifier: Apache-2.0 */
/* CloudEvents as an HTTP request has them: HTTP protocol binding v1.0.2, section 3. */
#include <inttypes.h>

#include "base/base64.h"
#include "domain/event.h"
#include "domain/event_attribute.h"
#include "net/http.h"

/* ---- the value of a header: section 3.1.3.2 ---- */

/* A quoted string of RFC 7230, without its quotes and backslashes. */
static bool
unquote(struct str value, struct buf *out)
{
	if (value.len < 2 || value.at[value.len - 1] != '"')
		return false;
	for (size_t i = 1; i < value.len - 1; i++) {
		if (value.at[i] == '"')
			return false;
		if (value.at[i] == '\\' && ++i == value.len - 1)
			return false;
		buf_add_char(out, value.at[i]);
	}
	return true;
}

static int
decode_value(const char *name, struct str value, struct buf *out, struct err *err)
{
	OWN(buf) struct buf bare = BUF_INIT;

	if (value.len && value.at[0] == '"') {
		if (!unquote(value, &bare))
			return err_field(err, ERR_INVALID, name,
				"%s is not a whole quoted string (RFC 7230)", name);
		value = buf_str(&bare);
	}
	if (!http_percent_decode(value, false, out))
		return err_field(err, ERR_INVALID, name,
			"%s has a '%%' that is not followed by two hex digits of a character",
			name);
	if (!str_is_utf8(buf_str(out)))
		return err_field(err, ERR_INVALID, name, "%s is not UTF-8", name);
	return 0;
}

static int
add_attribute(json_t *json, struct str raw_name, struct str raw, struct err *err)
{
	OWN(mem) char *name = str_dup(raw_name);
	OWN(buf) struct buf value = BUF_INIT;
	int rc;

	if (!event_attribute_is_name(raw_name))
		return err_field(err, ERR_INVALID, name,
			"an attribute's name must be 1 to 20 of a-z and 0-9, %.40s is not", name);
	if (strcmp(name, "data") == 0 || strcmp(name, "datacontenttype") == 0)
		return err_field(err, ERR_INVALID, name, "%s is no header: it is the request's %s",
			name, name[4] ? "content-type" : "body");
	if (json_object_get(json, name))
		return err_field(err, ERR_INVALID, name, "%s is given twice", name);
	if (json_object_size(json) >= EVENT_ATTRIBUTES_MAX)
		return err_set(err, ERR_INVALID, "there are more than %d attributes",
			EVENT_ATTRIBUTES_MAX);
	rc = decode_value(name, raw, &value, err);
	if (rc == 0)
		json_object_set_new(json, name, json_stringn(value.at ? value.at : "", value.len));
	return rc;
}

/* ---- binary ---- */

static struct str
find_header(const struct http_header *headers, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(headers[i].name, str_of(name)))
			return headers[i].value;
	return STR_NONE;
}

static int
read_attributes(const struct http_header *headers, size_t n, struct str content_type, json_t *json,
	struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct str name = headers[i].name;
		int rc;

		if (!str_starts(name, STR("ce-")))
			continue;
		rc = add_attribute(json, str_n(name.at + 3, name.len - 3), headers[i].value, err);
		if (rc < 0)
			return rc;
	}
	if (!json_object_size(json))
		return err_field(err, ERR_INVALID, "specversion",
			"specversion is missing: an event has ce- headers, or the content type "
			"application/cloudevents+json");
	if (content_type.len)
		json_object_set_new(
			json, "datacontenttype", json_stringn(content_type.at, content_type.len));
	return 0;
}

/* A NUL is UTF-8, but no reader of JSON has to take it. */
static bool
is_text(struct str body)
{
	return str_is_utf8(body) && !memchr(body.at, '\0', body.len);
}

/* JSON stays JSON and text stays text, what else there is becomes base64. */
static int
read_data(struct str content_type, struct str body, json_t *json, struct err *err)
{
	OWN(buf) struct buf coded = BUF_INIT;

	if (event_attribute_is_json(content_type)) {
		json_t *data = NULL;
		int rc = json_parse_value(body, &data, err);

		if (rc < 0)
			return err_wrap(err, rc, "data");
		json_object_set_new(json, "data", data);
		return 0;
	}
	if (event_attribute_is_text(content_type) && is_text(body)) {
		json_object_set_new(json, "data", json_stringn(body.at, body.len));
		return 0;
	}
	base64_encode(body, &coded);
	json_object_set_new(json, "data_base64", json_stringn(coded.at, coded.len));
	return 0;
}

/* The attributes, then JSON data as they came: their numbers keep their digits. */
static void
write_text(const json_t *json, struct str body, struct buf *out)
{
	OWN(json) json_t *attributes = json_copy((json_t *)json);

	json_object_del(attributes, "data");
	json_write(attributes, out);
	buf_cut(out, out->len - 1);
	buf_add_text(out, ",\"data\":");
	buf_add_str(out, str_trim(body));
	buf_add_char(out, '}');
}

static int
read_binary(const struct http_header *headers, size_t n, struct str body, struct event *ret,
	struct err *err)
{
	struct str content_type = find_header(headers, n, "content-type");
	OWN(json) json_t *json = json_object();
	OWN(buf) struct buf text = BUF_INIT;
	int rc;

	if (body.len > EVENT_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "an event must have at most %d KiB",
			EVENT_BYTES_MAX >> 10);
	if (content_type.len && !str_is_utf8(content_type))
		return err_field(err, ERR_INVALID, "datacontenttype",
			"datacontenttype must be a media type like application/json");
	rc = read_attributes(headers, n, content_type, json, err);
	if (rc == 0 && body.len)
		rc = read_data(content_type, body, json, err);
	if (rc < 0)
		return rc;
	if (body.len && event_attribute_is_json(content_type))
		write_text(json, body, &text);
	return event_adopt(take_ptr(&json), buf_str(&text), ret, err);
}

/* ---- structured and batch ---- */

static int
read_structured(struct str body, struct event *ret, struct err *err)
{
	json_t *json = NULL;
	int rc;

	if (body.len > EVENT_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "an event must have at most %d KiB",
			EVENT_BYTES_MAX >> 10);
	rc = json_parse(body, &json, err);
	return rc < 0 ? rc : event_adopt(json, body, ret, err);
}

static int
read_batch(struct str body, struct event_list *ret, struct err *err)
{
	OWN(json) json_t *json = NULL;
	int rc = json_parse(body, &json, err);
	json_t *event;
	size_t i;

	if (rc < 0)
		return rc;
	if (!json_is_array(json))
		return err_set(err, ERR_INVALID, "a batch must be a JSON array of events");
	if (json_array_size(json) > EVENT_BATCH_MAX)
		return err_set(
			err, ERR_TOO_LARGE, "a batch must have at most %d events", EVENT_BATCH_MAX);
	ret->at = mem_new((json_array_size(json) + 1) * sizeof(*ret->at));
	json_array_foreach (json, i, event) {
		rc = event_adopt(json_incref(event), STR_NONE, &ret->at[i], err);
		if (rc < 0)
			return err_wrap(err, rc, "event %zu", i);
		ret->n++;
	}
	return 0;
}

static int
choose_mode(struct str content_type, enum event_mode *ret, struct err *err)
{
	struct str charset, media = event_attribute_media(content_type, &charset);

	*ret = EVENT_BINARY;
	if (media.len < 23 || !str_eq_case(str_n(media.at, 23), STR("application/cloudevents")))
		return 0;
	if (str_eq_case(media, STR("application/cloudevents+json")))
		*ret = EVENT_STRUCTURED;
	else if (str_eq_case(media, STR("application/cloudevents-batch+json")))
		*ret = EVENT_BATCH;
	else
		return err_set(err, ERR_MEDIA_TYPE,
			"of the formats of CloudEvents only JSON is read: "
			"application/cloudevents+json or application/cloudevents-batch+json");
	if (charset.len && !str_eq_case(charset, STR("utf-8")))
		return err_set(err, ERR_MEDIA_TYPE, "charset must be utf-8");
	return 0;
}

/* What the platform tells itself in an event, nobody else tells it. */
static int
check_own(const struct event *event, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach (event->json, name, value)
		if (str_starts(str_of(name), STR(EVENT_OWN)))
			return err_field(err, ERR_INVALID, name,
				"%s is mayfly's own: no event that is sent to it may have an "
				"attribute that begins with " EVENT_OWN,
				name);
	return 0;
}

static int
check_all_own(const struct event_list *list, enum event_mode mode, struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		int rc = check_own(&list->at[i], err);

		if (rc < 0)
			return mode == EVENT_BATCH ? err_wrap(err, rc, "event %zu", i) : rc;
	}
	return 0;
}

int
event_read(const struct http_header *headers, size_t n_headers, struct str body,
	enum event_mode *ret_mode, struct event_list *ret, struct err *err)
{
	OWN(event_list) struct event_list list = {0};
	enum event_mode mode = EVENT_BINARY;
	int rc = choose_mode(find_header(headers, n_headers, "content-type"), &mode, err);

	if (rc < 0)
		return rc;
	if (mode == EVENT_BATCH) {
		rc = read_batch(body, &list, err);
	} else {
		list.at = mem_new(sizeof(*list.at));
		rc = mode == EVENT_BINARY ? read_binary(headers, n_headers, body, list.at, err)
					  : read_structured(body, list.at, err);
		list.n = rc == 0;
	}
	if (rc == 0)
		rc = check_all_own(&list, mode, err);
	if (rc < 0)
		return rc;
	*ret_mode = mode;
	*ret = list;
	list = (struct event_list){0};
	return 0;
}
