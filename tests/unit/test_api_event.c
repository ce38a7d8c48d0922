/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "api/api_event.h"
#include "base/json.h"

struct event_case {
	struct http_header headers[8];
	size_t n_headers;
	const char *query, *proxy, *authority;
};

/* The event of a request, read back; the caller decrefs it. */
static json_t *
event_of(const struct event_case *one)
{
	const struct http_request http = {
		.method = STR("POST"),
		.path = STR("/api/org/acme/hello/a%20b"),
		.query = str_of(one->query),
		.authority = str_of(one->authority ? one->authority : "api.example.org:8080"),
		.scheme = "http",
		.version = "HTTP/1.1",
		.peer = "192.0.2.1",
		.headers = one->headers,
		.n_headers = one->n_headers,
	};
	const struct api_event event = {
		.http = &http,
		.org = STR("acme"),
		.function = STR("hello"),
		.proxy = str_of(one->proxy),
		.call_id = "01J9ZZ3N9V0M0Q4T7Y1C2B3D4E",
		.time = "21/Nov/2026:12:30:00 +0000",
		.unix_ms = 1795264200123,
	};
	OWN(buf) struct buf text = BUF_INIT;
	struct err err = {0};
	json_t *json = NULL;

	api_event_write(&event, &text);
	if (json_parse(buf_str(&text), &json, &err) < 0)
		fail_msg("%s: %s", err.text, text.at);
	return json;
}

static const char *
text_at(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void
an_event_says_what_was_asked(void **state)
{
	struct event_case one = {.headers = {{STR("user-agent"), STR("curl/8")}},
		.n_headers = 1,
		.query = "a=1",
		.proxy = "a b"};
	OWN(json) json_t *event = event_of(&one);
	const json_t *context = json_object_get(event, "requestContext");
	const json_t *http = json_object_get(context, "http");

	assert_string_equal(text_at(event, "version"), "2.0");
	assert_string_equal(text_at(event, "routeKey"), "$default");
	assert_string_equal(text_at(event, "rawPath"), "/api/org/acme/hello/a%20b");
	assert_string_equal(text_at(event, "rawQueryString"), "a=1");
	assert_string_equal(text_at(json_object_get(event, "pathParameters"), "proxy"), "a b");
	assert_string_equal(text_at(context, "accountId"), "acme");
	assert_string_equal(text_at(context, "apiId"), "hello");
	assert_string_equal(text_at(context, "domainName"), "api.example.org");
	assert_string_equal(text_at(context, "requestId"), "01J9ZZ3N9V0M0Q4T7Y1C2B3D4E");
	assert_string_equal(text_at(context, "stage"), "$default");
	assert_int_equal(json_integer_value(json_object_get(context, "timeEpoch")), 1795264200123);
	assert_string_equal(text_at(http, "method"), "POST");
	assert_string_equal(text_at(http, "path"), "/api/org/acme/hello/a%20b");
	assert_string_equal(text_at(http, "protocol"), "HTTP/1.1");
	assert_string_equal(text_at(http, "sourceIp"), "192.0.2.1");
	assert_string_equal(text_at(http, "userAgent"), "curl/8");
}

static void
what_is_not_there_is_left_out(void **state)
{
	struct event_case one = {.query = "", .proxy = ""};
	OWN(json) json_t *event = event_of(&one);

	assert_null(json_object_get(event, "cookies"));
	assert_null(json_object_get(event, "queryStringParameters"));
	assert_null(json_object_get(event, "pathParameters"));
	assert_null(json_object_get(event, "body"));
	assert_int_equal(json_object_size(json_object_get(event, "headers")), 0);
}

static void
headers_of_one_name_are_joined_and_cookies_stand_apart(void **state)
{
	struct event_case one = {
		.headers = {{STR("x-a"), STR("1")}, {STR("cookie"), STR("a=1; b=2")},
			{STR("accept"), STR("*/*")}, {STR("x-a"), STR("2")},
			{STR("cookie"), STR("c=3;")}, {STR("x-a"), STR("")}},
		.n_headers = 6,
		.query = "",
		.proxy = ""};
	OWN(json) json_t *event = event_of(&one);
	const json_t *headers = json_object_get(event, "headers");
	const json_t *cookies = json_object_get(event, "cookies");

	assert_int_equal(json_object_size(headers), 2);
	assert_string_equal(text_at(headers, "x-a"), "1,2,");
	assert_string_equal(text_at(headers, "accept"), "*/*");
	assert_int_equal(json_array_size(cookies), 3);
	assert_string_equal(json_string_value(json_array_get(cookies, 0)), "a=1");
	assert_string_equal(json_string_value(json_array_get(cookies, 1)), "b=2");
	assert_string_equal(json_string_value(json_array_get(cookies, 2)), "c=3");
}

static void
parameters_are_decoded_and_those_of_one_name_joined_in_order(void **state)
{
	struct event_case one = {
		.query = "b=2&a=x%20y+z&b=1&c&%C3%A9=%e2%82%ac&=nameless&&b=&d=%zz", .proxy = ""};
	OWN(json) json_t *event = event_of(&one);
	const json_t *query = json_object_get(event, "queryStringParameters");

	assert_int_equal(json_object_size(query), 5);
	assert_string_equal(text_at(query, "a"), "x y z");
	assert_string_equal(text_at(query, "b"), "2,1,");
	assert_string_equal(text_at(query, "c"), "");
	assert_string_equal(text_at(query, "\xc3\xa9"), "\xe2\x82\xac");
	assert_string_equal(text_at(query, "d"), "%zz");
}

static void
bytes_that_are_no_text_become_replacement_characters(void **state)
{
	struct event_case one = {.headers = {{STR("x-a"), STR("a\xff\"\\b")}},
		.n_headers = 1,
		.query = "a=%ff",
		.proxy = "\xc0\xaf"};
	OWN(json) json_t *event = event_of(&one);

	assert_string_equal(
		text_at(json_object_get(event, "headers"), "x-a"), "a\xef\xbf\xbd\"\\b");
	assert_string_equal(
		text_at(json_object_get(event, "queryStringParameters"), "a"), "\xef\xbf\xbd");
	assert_string_equal(text_at(json_object_get(event, "pathParameters"), "proxy"),
		"\xef\xbf\xbd\xef\xbf\xbd");
}

static void
the_domain_has_no_port(void **state)
{
	static const struct {
		const char *authority, *domain;
	} rows[] = {{"a.example", "a.example"}, {"a.example:80", "a.example"}, {"[::1]", "[::1]"},
		{"[::1]:8080", "[::1]"}, {"", ""}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct event_case one = {.query = "", .proxy = "", .authority = rows[i].authority};
		OWN(json) json_t *event = event_of(&one);

		assert_string_equal(text_at(json_object_get(event, "requestContext"), "domainName"),
			rows[i].domain);
	}
}

static void
the_time_is_written_anew_each_second(void **state)
{
	struct api_event_clock clock = {0};

	assert_string_equal(api_event_time(&clock, 1795264200999), "21/Nov/2026:12:30:00 +0000");
	assert_string_equal(api_event_time(&clock, 1795264201000), "21/Nov/2026:12:30:01 +0000");
	assert_string_equal(api_event_time(&clock, 0), "01/Jan/1970:00:00:00 +0000");
}

UNIT_TESTS(it(an_event_says_what_was_asked), it(what_is_not_there_is_left_out),
	it(headers_of_one_name_are_joined_and_cookies_stand_apart),
	it(parameters_are_decoded_and_those_of_one_name_joined_in_order),
	it(bytes_that_are_no_text_become_replacement_characters), it(the_domain_has_no_port),
	it(the_time_is_written_anew_each_second))
