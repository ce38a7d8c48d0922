/* SPDX-License-Identifier: Apache-2.0 */
/* An event as a request of the binary mode: HTTP protocol binding v1.0.2, section 3.1. */
#include <inttypes.h>

#include "base/base64.h"
#include "domain/event.h"
#include "domain/event_attribute.h"

/* Section 3.1.3.2: space, '"', '%' and all beyond printable ASCII are escaped. */
static void
write_escaped(struct str value, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = (uint8_t)value.at[i];

		if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
			buf_add_char(out, (char)c);
			continue;
		}
		buf_add_char(out, '%');
		buf_add_char(out, digits[c >> 4]);
		buf_add_char(out, digits[c & 15]);
	}
}

static void
write_header(const char *name, const json_t *value, struct buf *out)
{
	buf_printf(out, "ce-%s: ", name);
	if (json_is_string(value))
		write_escaped(str_n(json_string_value(value), json_string_length(value)), out);
	else if (json_is_boolean(value))
		buf_add_text(out, json_is_true(value) ? "true" : "false");
	else
		buf_printf(out, "%" PRId64, (int64_t)json_integer_value(value));
	buf_add_char(out, '\n');
}

/* What has another place in the binary mode: the body and its content type. */
static bool
is_header(const char *name)
{
	static const char *const others[] = {"data", "data_base64", "datacontenttype"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i], name) == 0)
			return false;
	return true;
}

/* A string is the text itself where the content type does not say JSON. */
static void
write_body(const json_t *json, bool is_json, struct buf *out)
{
	const json_t *data = json_object_get(json, "data");
	const json_t *coded = json_object_get(json, "data_base64");

	if (coded)
		must(base64_decode(str_of(json_string_value(coded)), out));
	else if (data && !is_json && json_is_string(data))
		buf_add(out, json_string_value(data), json_string_length(data));
	else if (data)
		json_write(data, out);
}

void
event_write_binary(const struct event *event, struct buf *headers, struct buf *body)
{
	const char *type = json_string_value(json_object_get(event->json, "datacontenttype"));
	const char *name;
	json_t *value;

	json_object_foreach (event->json, name, value)
		if (is_header(name) && !json_is_null(value))
			write_header(name, value, headers);
	/* Without one, data of the JSON format are JSON. */
	if (!type && json_object_get(event->json, "data"))
		type = "application/json";
	if (type)
		buf_printf(headers, "content-type: %s\n", type);
	write_body(event->json, type && event_attribute_is_json(str_of(type)), body);
}
