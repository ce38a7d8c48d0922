/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_event.h"

#include <time.h>

#include "base/own.h"

const char *
api_event_time(struct api_event_clock *clock, uint64_t unix_ms)
{
	time_t second = (time_t)(unix_ms / 1000);
	struct tm when;

	if (clock->second != (uint64_t)second || !clock->text[0]) {
		gmtime_r(&second, &when);
		strftime(clock->text, sizeof(clock->text), "%d/%b/%Y:%H:%M:%S +0000", &when);
		clock->second = (uint64_t)second;
	}
	return clock->text;
}

static void
api_event_member(struct buf *out, struct str name_with_quotes, struct str value)
{
	buf_add_str(out, name_with_quotes);
	buf_add_json(out, value);
}

/* ---- headers and cookies ---- */

static bool
api_event_is_cookie(const struct http_header *header)
{
	return str_eq(header->name, STR("cookie"));
}

/* Who asks, as vCloud Director says it. */
static bool
api_event_is_identity(struct str name)
{
	return str_starts(name, STR("x-vcloud-")) &&
	       (str_eq(name, STR("x-vcloud-user")) || str_eq(name, STR("x-vcloud-org")) ||
		       str_eq(name, STR("x-vcloud-rights")));
}

static bool
api_event_is_repeat(const struct http_request *http, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (str_eq(http->headers[j].name, http->headers[i].name))
			return true;
	return false;
}

/* The values of one name, in order, joined by commas. */
static void
api_event_values(const struct http_request *http, size_t i, struct buf *out)
{
	OWN(buf) struct buf joined = BUF_INIT;

	for (size_t j = i + 1; j < http->n_headers; j++) {
		if (!str_eq(http->headers[j].name, http->headers[i].name))
			continue;
		if (!joined.len)
			buf_add_str(&joined, http->headers[i].value);
		buf_add_char(&joined, ',');
		buf_add_str(&joined, http->headers[j].value);
	}
	buf_add_json(out, joined.len ? buf_str(&joined) : http->headers[i].value);
}

static void
api_event_headers(const struct api_event *event, struct buf *out)
{
	const struct http_request *http = event->http;
	size_t n = 0;

	buf_add_text(out, ",\"headers\":{");
	for (size_t i = 0; i < http->n_headers; i++) {
		if (api_event_is_cookie(&http->headers[i]) || api_event_is_repeat(http, i))
			continue;
		if (!event->has_identity && api_event_is_identity(http->headers[i].name))
			continue;
		buf_add_text(out, n++ ? "," : "");
		buf_add_json(out, http->headers[i].name);
		buf_add_char(out, ':');
		api_event_values(http, i, out);
	}
	buf_add_char(out, '}');
}

/* RFC 6265 4.2.1: pairs separated by "; ". */
static void
api_event_cookies(const struct http_request *http, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < http->n_headers; i++) {
		struct str rest = http->headers[i].value;

		while (api_event_is_cookie(&http->headers[i]) && rest.len) {
			struct str pair = str_trim(str_cut(&rest, ';'));

			if (!pair.len)
				continue;
			buf_add_text(out, n++ ? "," : ",\"cookies\":[");
			buf_add_json(out, pair);
		}
	}
	if (n)
		buf_add_char(out, ']');
}

/* ---- the query ---- */

struct api_event_parameter {
	size_t name_at, name_len, value_at, value_len; /* in the decoded text */
	size_t order;
};

static size_t
api_event_decode(struct str raw, struct buf *text)
{
	size_t at = text->len;

	if (!http_percent_decode(raw, true, text)) {
		buf_cut(text, at);
		buf_add_str(text, raw);
	}
	return text->len - at;
}

static size_t
api_event_split(struct str query, struct buf *text, struct api_event_parameter *parameters)
{
	size_t n = 0;

	while (query.len) {
		struct str value = str_cut(&query, '&');
		struct str name = str_cut(&value, '=');
		struct api_event_parameter *one = &parameters[n];

		if (!name.len)
			continue;
		one->order = n++;
		one->name_at = text->len;
		one->name_len = api_event_decode(name, text);
		one->value_at = text->len;
		one->value_len = api_event_decode(value, text);
	}
	return n;
}

static struct str
api_event_name(const struct api_event_parameter *parameter, const char *text)
{
	return str_n(text + parameter->name_at, parameter->name_len);
}

static int
api_event_compare(const void *a, const void *b, void *text)
{
	const struct api_event_parameter *left = a, *right = b;
	int order = str_compare(api_event_name(left, text), api_event_name(right, text));

	return order ? order : (left->order > right->order) - (left->order < right->order);
}

/* Sorted, so that equal names stand together: a query of thousands of parameters must not cost the
 * square of their number. */
static void
api_event_query(struct str query, struct buf *out)
{
	size_t most = query.len / 2 + 1;
	OWN(mem) struct api_event_parameter *parameters = mem_new(most * sizeof(*parameters));
	OWN(buf) struct buf text = BUF_INIT;
	OWN(buf) struct buf value = BUF_INIT;
	size_t n = api_event_split(query, &text, parameters);

	if (n > 1)
		qsort_r(parameters, n, sizeof(*parameters), api_event_compare, text.at);
	buf_add_text(out, n ? ",\"queryStringParameters\":{" : "");
	for (size_t i = 0; i < n; i++) {
		struct str name = api_event_name(&parameters[i], text.at);
		bool has_more =
			i + 1 < n && str_eq(name, api_event_name(&parameters[i + 1], text.at));

		buf_add(&value, text.at + parameters[i].value_at, parameters[i].value_len);
		if (has_more) {
			buf_add_char(&value, ',');
			continue;
		}
		buf_add_json(out, name);
		buf_add_char(out, ':');
		buf_add_json(out, buf_str(&value));
		buf_add_char(out, i + 1 < n ? ',' : '}');
		buf_clear(&value);
	}
}

/* ---- the whole ---- */

/* The authority without its port: "api.example.org", "[::1]". */
static struct str
api_event_domain(struct str authority)
{
	const char *colon = authority.len ? memrchr(authority.at, ':', authority.len) : NULL;

	if (colon && !memchr(colon, ']', authority.len - (size_t)(colon - authority.at)))
		authority.len = (size_t)(colon - authority.at);
	return authority;
}

static void
api_event_context(const struct api_event *event, struct buf *out)
{
	const struct http_request *http = event->http;

	api_event_member(out, STR(",\"requestContext\":{\"accountId\":"), event->org);
	api_event_member(out, STR(",\"apiId\":"), event->function);
	api_event_member(out, STR(",\"domainName\":"), api_event_domain(http->authority));
	api_event_member(out, STR(",\"http\":{\"method\":"), http->method);
	api_event_member(out, STR(",\"path\":"), http->path);
	api_event_member(out, STR(",\"protocol\":"), str_of(http->version));
	api_event_member(out, STR(",\"sourceIp\":"), str_of(http->peer));
	api_event_member(out, STR(",\"userAgent\":"), http_header(http, "user-agent"));
	api_event_member(out, STR("},\"requestId\":"), str_of(event->call_id));
	buf_add_text(out, ",\"routeKey\":\"$default\",\"stage\":\"$default\",\"time\":\"");
	buf_add_text(out, event->time);
	buf_add_text(out, "\",\"timeEpoch\":");
	buf_add_u64(out, event->unix_ms);
	buf_add_char(out, '}');
}

void
api_event_write(const struct api_event *event, struct buf *out)
{
	const struct http_request *http = event->http;

	buf_room(out, 1024);
	api_event_member(out, STR("{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":"),
		http->path);
	api_event_member(out, STR(",\"rawQueryString\":"), http->query);
	api_event_cookies(http, out);
	api_event_headers(event, out);
	if (http->query.len)
		api_event_query(http->query, out);
	if (event->proxy.len) {
		api_event_member(out, STR(",\"pathParameters\":{\"proxy\":"), event->proxy);
		buf_add_char(out, '}');
	}
	api_event_context(event, out);
	buf_add_char(out, '}');
}
