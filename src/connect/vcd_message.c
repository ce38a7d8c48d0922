/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_message.h"

#include <inttypes.h>

#include "base/base64.h"

#define MESSAGE_PATH_MAX  8192
#define MESSAGE_VALUE_MAX 16384
#define MESSAGE_FORM_MAX  1000
#define MESSAGE_RIGHTS    10000

void
vcd_message_done(struct vcd_request *request)
{
	buf_done(&request->path);
	buf_done(&request->query);
	buf_done(&request->text);
	buf_done(&request->body);
	json_decref(request->rights);
	request->rights = NULL;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

/* A text of at most size - 1 bytes into an array; absent is "". */
static int
read_chars(const json_t *object, const char *key, enum json_flags flags, char *ret, size_t size,
	struct err *err)
{
	const char *text = "";
	int rc = json_get_str(object, "", key, flags, size - 1, &text, err);

	if (rc == 0)
		snprintf(ret, size, "%s", text);
	return rc;
}

/* ---- the line of the request ---- */

static int
read_method(const json_t *message, struct vcd_request *ret, struct err *err)
{
	int rc = read_chars(message, "method", JSON_NEEDED, ret->method, sizeof(ret->method), err);

	if (rc < 0)
		return rc;
	for (char *at = ret->method; *at; at++)
		*at = upper(*at);
	if (!http_is_token(str_of(ret->method)))
		return err_field(err, ERR_INVALID, "method", "method is not one of HTTP");
	return 0;
}

static bool
is_target(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 127)
			return false;
	return true;
}

/* The query is a field of its own; what stands behind a '?' in the path is one too. */
static int
read_target(const json_t *message, struct vcd_request *ret, struct err *err)
{
	const char *uri = "", *query = "";
	struct str rest, path;
	int rc = json_get_str(message, "", "requestUri", JSON_NEEDED, MESSAGE_PATH_MAX, &uri, err);

	if (rc == 0)
		rc = json_get_str(
			message, "", "queryString", JSON_OPTIONAL, MESSAGE_PATH_MAX, &query, err);
	if (rc < 0)
		return rc;
	rest = str_of(uri);
	path = str_cut(&rest, '?');
	if (!str_starts(path, STR("/")) || !is_target(path) || !is_target(rest) ||
		!is_target(str_of(query)))
		return err_field(err, ERR_INVALID, "requestUri", "requestUri is not a path");
	buf_add_str(&ret->path, path);
	buf_add_str(&ret->query, *query ? str_of(query) : rest);
	return 0;
}

/* ---- headers ---- */

static void
add_header_text(struct buf *text, const json_t *value)
{
	if (json_is_string(value))
		buf_add(text, json_string_value(value), json_string_length(value));
	else if (json_is_integer(value))
		buf_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static int
read_header(const char *name, const json_t *value, struct vcd_request *ret, struct err *err)
{
	struct http_header *header = &ret->headers[ret->n_headers];
	size_t from = ret->text.len, len = strlen(name);

	if (ret->n_headers == VCD_MESSAGE_HEADERS_MAX)
		return err_field(err, ERR_INVALID, "headers", "there are more than %d headers",
			VCD_MESSAGE_HEADERS_MAX);
	for (const char *at = name; *at; at++)
		buf_add_char(&ret->text, lower(*at));
	add_header_text(&ret->text, value);
	/* Places in the text until all of it is there: it moves as it grows. */
	header->name = str_n((char *)from, len);
	header->value = str_n((char *)(from + len), ret->text.len - from - len);
	ret->n_headers++;
	if (!http_is_token(str_of(name)) || len > 256)
		return err_field(err, ERR_INVALID, "headers", "a header has no proper name");
	if (header->value.len > MESSAGE_VALUE_MAX ||
		!http_is_value(str_n(ret->text.at + from + len, header->value.len)))
		return err_field(
			err, ERR_INVALID, "headers", "the header %s has no proper value", name);
	return 0;
}

static void
place_headers(struct vcd_request *ret)
{
	for (size_t i = 0; i < ret->n_headers; i++) {
		ret->headers[i].name.at = ret->text.at + (size_t)ret->headers[i].name.at;
		ret->headers[i].value.at = ret->text.at + (size_t)ret->headers[i].value.at;
	}
}

static int
read_headers(const json_t *message, struct vcd_request *ret, struct err *err)
{
	const json_t *headers = NULL;
	int rc = json_get_object(message, "", "headers", JSON_OPTIONAL, &headers, err);
	const char *name;
	json_t *value;

	if (rc < 0 || !headers)
		return rc;
	json_object_foreach ((json_t *)headers, name, value)
		if (rc == 0)
			rc = read_header(name, value, ret, err);
	place_headers(ret);
	return rc;
}

/* ---- the body ---- */

static void
add_form_text(struct buf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789*-._";

	for (; *text; text++) {
		if (strchr(plain, *text))
			buf_add_char(out, *text);
		else if (*text == ' ')
			buf_add_char(out, '+');
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
	}
}

static int
add_form_values(const char *name, const json_t *values, struct buf *out, struct err *err)
{
	const json_t *value;
	size_t i;

	if (!json_is_array(values) || json_array_size(values) > MESSAGE_FORM_MAX)
		return err_field(err, ERR_INVALID, "formData", "formData is not lists of texts");
	json_array_foreach (values, i, value) {
		if (!json_is_string(value))
			return err_field(
				err, ERR_INVALID, "formData", "formData is not lists of texts");
		if (out->len)
			buf_add_char(out, '&');
		add_form_text(out, name);
		buf_add_char(out, '=');
		add_form_text(out, json_string_value(value));
	}
	return 0;
}

/* vCD has read a form before it asks: then its fields are here and the body is empty. */
static int
read_form(const json_t *message, struct vcd_request *ret, struct err *err)
{
	const json_t *form = NULL;
	int rc = json_get_object(message, "", "formData", JSON_OPTIONAL, &form, err);
	const char *name;
	json_t *values;

	if (rc < 0 || !form)
		return rc;
	if (json_object_size(form) > MESSAGE_FORM_MAX)
		return err_field(err, ERR_INVALID, "formData", "formData has too many fields");
	json_object_foreach ((json_t *)form, name, values)
		if (rc == 0)
			rc = add_form_values(name, values, &ret->body, err);
	return rc;
}

static int
read_body(const json_t *message, struct vcd_request *ret, struct err *err)
{
	const char *body = "";
	int rc =
		json_get_str(message, "", "body", JSON_OPTIONAL, VCD_MESSAGE_BYTES_MAX, &body, err);

	if (rc < 0)
		return rc;
	if (!base64_decode(str_of(body), &ret->body))
		return err_field(err, ERR_INVALID, "body", "body is not base64");
	return *body ? 0 : read_form(message, ret, err);
}

/* ---- the whole ---- */

static int
read_http(const json_t *message, struct vcd_request *ret, struct err *err)
{
	bool is_request = true;
	int rc = json_get_bool(message, "", "request", JSON_OPTIONAL, &is_request, err);

	ret->is_response = !is_request;
	if (rc == 0)
		rc = read_method(message, ret, err);
	if (rc == 0)
		rc = read_target(message, ret, err);
	if (rc == 0)
		rc = read_chars(
			message, "scheme", JSON_OPTIONAL, ret->scheme, sizeof(ret->scheme), err);
	if (rc == 0)
		rc = read_chars(message, "protocol", JSON_OPTIONAL, ret->protocol,
			sizeof(ret->protocol), err);
	if (rc == 0)
		rc = read_chars(
			message, "remoteAddr", JSON_OPTIONAL, ret->peer, sizeof(ret->peer), err);
	if (rc == 0)
		rc = read_headers(message, ret, err);
	return rc == 0 ? read_body(message, ret, err) : rc;
}

static int
read_rights(const json_t *context, struct vcd_request *ret, struct err *err)
{
	const json_t *rights = NULL, *right;
	int rc = json_get_array(context, "", "rights", JSON_OPTIONAL, &rights, err);
	size_t i;

	if (rc < 0 || !rights)
		return rc;
	if (json_array_size(rights) > MESSAGE_RIGHTS)
		return err_field(err, ERR_INVALID, "rights", "there are too many rights");
	json_array_foreach (rights, i, right)
		if (!json_is_string(right))
			return err_field(err, ERR_INVALID, "rights", "a right is not a text");
	ret->rights = json_incref((json_t *)rights);
	return 0;
}

static int
read_context(const json_t *context, struct vcd_request *ret, struct err *err)
{
	int rc;

	if (!json_is_object(context))
		return err_set(err, ERR_INVALID, "the context of the caller is missing");
	rc = read_chars(context, "user", JSON_OPTIONAL, ret->user, sizeof(ret->user), err);
	if (rc == 0)
		rc = read_chars(context, "org", JSON_OPTIONAL, ret->org, sizeof(ret->org), err);
	return rc == 0 ? read_rights(context, ret, err) : rc;
}

int
vcd_message_take(
	const json_t *message, const json_t *context, struct vcd_request *ret, struct err *err)
{
	int rc = read_http(message, ret, err);

	return rc == 0 ? read_context(context, ret, err) : rc;
}

int
vcd_message_read(struct str bytes, struct vcd_request *ret, struct err *err)
{
	OWN(json) json_t *json = NULL;
	const json_t *message;
	int rc;

	*ret = (struct vcd_request){.path = BUF_INIT};
	if (bytes.len > VCD_MESSAGE_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "the message has more than %d bytes",
			VCD_MESSAGE_BYTES_MAX);
	rc = json_parse(bytes, &json, err);
	if (rc < 0)
		return rc;
	message = json_array_get(json, 0);
	if (!json_is_object(message))
		return err_set(err, ERR_INVALID, "an array with a message in it is needed");
	rc = read_chars(message, "id", JSON_NEEDED, ret->id, sizeof(ret->id), err);
	return rc == 0 ? vcd_message_take(message, json_array_get(json, 1), ret, err) : rc;
}

/* ---- the answer ---- */

static void
write_headers(const struct vcd_answer *answer, struct buf *out)
{
	for (size_t i = 0; i < answer->n_headers; i++) {
		if (str_eq_case(answer->headers[i].name, STR("content-length")))
			continue;
		buf_add_json(out, answer->headers[i].name);
		buf_add_char(out, ':');
		buf_add_json(out, answer->headers[i].value);
		buf_add_char(out, ',');
	}
	buf_printf(out, "\"Content-Length\":%zu", answer->body.len);
}

void
vcd_message_write_http(const struct vcd_answer *answer, struct buf *out)
{
	buf_printf(out, "\"statusCode\":%d,\"headers\":{", answer->status);
	write_headers(answer, out);
	buf_add_text(out, "},\"body\":\"");
	base64_encode(answer->body, out);
	buf_add_char(out, '"');
}

void
vcd_message_write(const struct vcd_answer *answer, struct buf *out)
{
	buf_add_text(out, "{\"id\":");
	buf_add_json(out, str_of(answer->id));
	buf_add_text(out, ",\"request\":false,");
	vcd_message_write_http(answer, out);
	buf_add_char(out, '}');
}
