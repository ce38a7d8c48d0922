/* SPDX-License-Identifier: Apache-2.0 */
#include "event_unit.h"

#include "domain/event_attribute.h"
#include "domain/event_post.h"
#include "net/http.h"

struct request {
	struct http_header headers[80];
	size_t n;
	struct str body;
	enum event_mode mode;
	struct event_list list;
	struct err err;
};

static void
own_request(struct request *request)
{
	event_list_done(&request->list);
}

static void
header(struct request *request, const char *name, const char *value)
{
	request->headers[request->n++] = (struct http_header){str_of(name), str_of(value)};
}

static int
read_request(struct request *request)
{
	return event_read(request->headers, request->n, request->body, &request->mode,
		&request->list, &request->err);
}

/* A whole binary event, but for what is added. */
static struct request
binary(const char *name, const char *value)
{
	struct request request = {0};

	header(&request, "ce-specversion", "1.0");
	header(&request, "ce-id", "1234-1234-1234");
	header(&request, "ce-source", "/mycontext/subcontext");
	header(&request, "ce-type", "com.example.someevent");
	if (name)
		header(&request, name, value);
	return request;
}

static struct request
typed(const char *type, const char *body)
{
	struct request request = {0};

	header(&request, "content-type", type);
	request.body = str_of(body);
	return request;
}

static void
expect_json(const struct event *event, const char *text)
{
	OWN(json) json_t *wanted = event_json(text);
	OWN(json) json_t *written = NULL;
	struct err err = {0};

	assert_int_equal(json_parse(str_n(event->text, event->text_len), &written, &err), 0);
	assert_true(json_equal(wanted, written));
	assert_true(json_equal(wanted, event->json));
}

/* HTTP protocol binding v1.0.2, section 3.1.4. */
static void
the_example_of_the_binary_mode_is_read(void **state)
{
	OWN(request) struct request request = binary("ce-time", "2018-04-05T03:56:24Z");

	header(&request, "host", "webhook.example.com");
	header(&request, "content-type", "application/json; charset=utf-8");
	request.body = STR(" {\"a\": [1.10, 12345678901]}\n");
	assert_int_equal(read_request(&request), 0);
	assert_int_equal(request.mode, EVENT_BINARY);
	assert_int_equal(request.list.n, 1);
	expect_json(request.list.at, "{'specversion':'1.0','type':'com.example.someevent',"
				     "'time':'2018-04-05T03:56:24Z','id':'1234-1234-1234',"
				     "'source':'/mycontext/subcontext',"
				     "'datacontenttype':'application/json; charset=utf-8',"
				     "'data':{'a':[1.1,12345678901]}}");
	assert_string_equal(request.list.at->source, "/mycontext/subcontext");
	assert_null(request.list.at->subject);
	assert_non_null(strstr(request.list.at->text, "1.10"));
}

static void
the_example_of_the_structured_mode_is_read(void **state)
{
	OWN(mem)
	char *body = event_quoted("{'specversion':'1.0','type':'com.example.someevent',"
				  "'source':'/s','id':'1','subject':'sub','n':5,'b':true,"
				  "'unset':null,'data':{'x':0.1}}");
	OWN(request)
	struct request request = typed("Application/CloudEvents+JSON; charset=UTF-8", body);

	assert_int_equal(read_request(&request), 0);
	assert_int_equal(request.mode, EVENT_STRUCTURED);
	assert_string_equal(request.list.at->subject, "sub");
	assert_null(json_object_get(request.list.at->json, "unset"));
	assert_true(json_is_integer(json_object_get(request.list.at->json, "n")));
	assert_string_equal(request.list.at->text, body);
}

static void
a_batch_is_read_in_its_order_and_may_be_empty(void **state)
{
	OWN(mem)
	char *body = event_quoted("[{'specversion':'1.0','type':'t','source':'/s','id':'1'},"
				  "{'specversion':'1.0','type':'t','source':'/s','id':'2',"
				  "'data_base64':'AAE='}]");
	OWN(request)
	struct request request = typed("application/cloudevents-batch+json", body);
	OWN(request) struct request empty = typed("application/cloudevents-batch+json", "[]");

	assert_int_equal(read_request(&request), 0);
	assert_int_equal(request.mode, EVENT_BATCH);
	assert_int_equal(request.list.n, 2);
	assert_string_equal(request.list.at[1].id, "2");
	assert_int_equal(read_request(&empty), 0);
	assert_int_equal(empty.list.n, 0);
}

/* Section 3.1.3.2 of the binding; the euro sign and the smiley are its example. */
static void
values_of_headers_are_unquoted_and_unescaped_once(void **state)
{
	static const struct {
		const char *value, *subject;
	} rows[] = {
		{"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"%e2%82%ac", "\xe2\x82\xac"},
		{"\"a \\\"b\\\" %25\"", "a \"b\" %"},
		{"100%2525", "100%25"},
		{"\xe2\x82\xac", "\xe2\x82\xac"},
		{"a \"b\" c", "a \"b\" c"},
		{"a+b", "a+b"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(request) struct request request = binary("ce-subject", rows[i].value);

		assert_int_equal(read_request(&request), 0);
		assert_string_equal(request.list.at->subject, rows[i].subject);
	}
}

static void
broken_headers_name_the_attribute_and_the_rule(void **state)
{
	static const struct {
		const char *name, *value, *field, *rule;
	} rows[] = {
		{"ce-subject", "50%", "subject", "hex"},
		{"ce-subject", "%zz", "subject", "hex"},
		{"ce-subject", "a%00b", "subject", "hex"},
		{"ce-subject", "%E2%82", "subject", "UTF-8"},
		{"ce-subject", "%C0%80", "subject", "UTF-8"},
		{"ce-subject", "\xff", "subject", "UTF-8"},
		{"ce-subject", "\"open", "subject", "quoted"},
		{"ce-subject", "\"a\"b\"", "subject", "quoted"},
		{"ce-subject", "\"a\\\"", "subject", "quoted"},
		{"ce-subject", "\"", "subject", "quoted"},
		{"ce-subject", "\"\"", "subject", "empty"},
		{"ce-subject", "a%0Ab", "subject", "controls"},
		{"ce-subject", "%EF%BF%BF", "subject", "controls"},
		{"ce-id", "again", "id", "twice"},
		{"ce-time", "yesterday", "time", "RFC 3339"},
		{"ce-dataschema", "no-scheme", "dataschema", "URI"},
		{"ce-my-ext", "1", "my-ext", "a-z"},
		{"ce-my_ext", "1", "my_ext", "a-z"},
		{"ce-", "1", "", "a-z"},
		{"ce-abcdefghijklmnopqrstu", "1", "abcdefghijklmnopqrstu", "a-z"},
		{"ce-data", "1", "data", "body"},
		{"ce-datacontenttype", "a/b", "datacontenttype", "content-type"},
		{"content-type", "json", "datacontenttype", "media type"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(request) struct request request = binary(rows[i].name, rows[i].value);

		assert_int_equal(read_request(&request), ERR_INVALID);
		assert_string_equal(request.err.field, rows[i].field);
		if (!strstr(request.err.text, rows[i].rule))
			fail_msg("%s: %s", rows[i].value, request.err.text);
		assert_null(request.list.at);
	}
}

static void
what_is_missing_is_named(void **state)
{
	static const char *const names[] = {"ce-specversion", "ce-id", "ce-source", "ce-type"};

	for (size_t i = 0; i < 4; i++) {
		OWN(request) struct request request = binary(NULL, NULL);
		OWN(mem) char *sentence = mem_printf("%s is missing", names[i] + 3);

		request.headers[i].name = STR("x-other");
		assert_int_equal(read_request(&request), ERR_INVALID);
		assert_string_equal(request.err.field, names[i] + 3);
		assert_string_equal(request.err.text, sentence);
	}
	OWN(request) struct request none = typed("application/json", "{}");

	assert_int_equal(read_request(&none), ERR_INVALID);
	assert_non_null(strstr(none.err.text, "application/cloudevents+json"));
}

static void
data_of_the_binary_mode_keep_what_they_are(void **state)
{
	static const struct {
		const char *type, *body, *json;
	} rows[] = {
		{"application/json", "5", "'data':5"},
		{"application/vnd.acme+json", "\"x\"", "'data':'x'"},
		{"application/json", "null", "'data':null"},
		{"text/plain", "a b", "'data':'a b'"},
		{"application/xml", "<a/>", "'data':'<a/>'"},
		{"text/plain; charset=iso-8859-1", "a", "'data_base64':'YQ=='"},
		{"text/plain", "\xff", "'data_base64':'/w=='"},
		{"application/octet-stream", "a", "'data_base64':'YQ=='"},
		{NULL, "a", "'data_base64':'YQ=='"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(request)
		struct request request = binary(rows[i].type ? "content-type" : NULL, rows[i].type);
		OWN(mem) char *json = mem_printf("{%s}", rows[i].json);
		OWN(json) json_t *wanted = event_json(json);
		const char *key;
		json_t *value;

		request.body = str_of(rows[i].body);
		assert_int_equal(read_request(&request), 0);
		json_object_foreach (wanted, key, value)
			assert_true(json_equal(value, json_object_get(request.list.at->json, key)));
	}
}

static void
text_with_a_nul_is_bytes(void **state)
{
	OWN(request) struct request request = binary("content-type", "text/plain");

	request.body = str_n("a\0b", 3);
	assert_int_equal(read_request(&request), 0);
	assert_string_equal(
		json_string_value(json_object_get(request.list.at->json, "data_base64")), "YQBi");
}

static void
json_data_that_are_not_json_are_refused(void **state)
{
	OWN(request) struct request request = binary("content-type", "application/json");

	request.body = STR("{oops");
	assert_int_equal(read_request(&request), ERR_INVALID);
	assert_true(str_starts(str_of(request.err.text), STR("data: JSON, line 1")));
}

static void
broken_documents_name_the_event_the_attribute_and_the_rule(void **state)
{
	static const struct {
		const char *more, *field;
	} rows[] = {
		{"'specversion':'0.3','id':'1','source':'/s','type':'t'", "specversion"},
		{"'specversion':1.0,'id':'1','source':'/s','type':'t'", "specversion"},
		{"'specversion':'1.0','id':'','source':'/s','type':'t'", "id"},
		{"'specversion':'1.0','id':5,'source':'/s','type':'t'", "id"},
		{"'specversion':'1.0','id':null,'source':'/s','type':'t'", "id"},
		{"'specversion':'1.0','id':'1','source':'','type':'t'", "source"},
		{"'specversion':'1.0','id':'1','source':'a b','type':'t'", "source"},
		{"'specversion':'1.0','id':'1','source':'%2','type':'t'", "source"},
		{"'specversion':'1.0','id':'1','source':'/s'", "type"},
		{"'specversion':'1.0','id':'1','source':'/s','type':'t','Big':'x'", "Big"},
		{"'specversion':'1.0','id':'1','source':'/s','type':'t','x':{}", "x"},
		{"'specversion':'1.0','id':'1','source':'/s','type':'t','x':1.5", "x"},
		{"'specversion':'1.0','id':'1','source':'/s','type':'t','x':2147483648", "x"},
		{"'specversion':'1.0','id':'1','source':'/"
		 "s','type':'t','time':'2020-02-30T00:00:00Z'",
			"time"},
		{"'specversion':'1.0','id':'1','source':'/s','type':'t','data':1,"
		 "'data_base64':'AA=='",
			"data_base64"},
		{"'specversion':'1.0','id':'1','source':'/s','type':'t','data_base64':'A'",
			"data_base64"},
		{"'specversion':'1.0','id':'1','source':'/s','type':'t','dataschema':'/x'",
			"dataschema"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(mem)
		char *text = mem_printf("[{'specversion':'1.0','id':'1','source':'/s','type':'t'}"
					",{%s}]",
			rows[i].more);
		OWN(mem) char *body = event_quoted(text);
		OWN(request)
		struct request request = typed("application/cloudevents-batch+json", body);

		assert_int_equal(read_request(&request), ERR_INVALID);
		assert_string_equal(request.err.field, rows[i].field);
		assert_true(str_starts(str_of(request.err.text), STR("event 1: ")));
	}
}

static void
other_formats_and_charsets_are_refused_as_media_types(void **state)
{
	static const char *const types[] = {"application/cloudevents+xml",
		"application/cloudevents-batch+protobuf", "application/cloudevents",
		"application/cloudevents+json; charset=utf-16"};

	for (size_t i = 0; i < 4; i++) {
		OWN(request) struct request request = typed(types[i], "{}");

		assert_int_equal(read_request(&request), ERR_MEDIA_TYPE);
	}
}

static void
what_is_too_large_or_too_much_is_refused(void **state)
{
	OWN(buf) struct buf body = BUF_INIT, batch = BUF_INIT;
	OWN(request) struct request request = binary("content-type", "text/plain");
	OWN(request) struct request coded = binary(NULL, NULL);
	OWN(request) struct request many = binary(NULL, NULL);
	OWN(request) struct request hundred = typed("application/cloudevents-batch+json", "");
	char names[EVENT_ATTRIBUTES_MAX][16];

	memset(buf_room(&body, EVENT_BYTES_MAX + 1), 'x', EVENT_BYTES_MAX + 1);
	buf_grew(&body, EVENT_BYTES_MAX + 1);
	request.body = buf_str(&body);
	assert_int_equal(read_request(&request), ERR_TOO_LARGE);
	coded.body = str_n(body.at, EVENT_BYTES_MAX);
	assert_int_equal(read_request(&coded), ERR_TOO_LARGE);
	for (size_t i = 0; i < EVENT_ATTRIBUTES_MAX - 3; i++) {
		snprintf(names[i], sizeof(names[i]), "ce-x%zu", i);
		header(&many, names[i], "1");
	}
	assert_int_equal(read_request(&many), ERR_INVALID);
	many.n--;
	assert_int_equal(read_request(&many), 0);
	for (int i = 0; i <= EVENT_BATCH_MAX; i++)
		buf_printf(&batch, "%s{}", i ? "," : "[");
	buf_add_char(&batch, ']');
	hundred.body = buf_str(&batch);
	assert_int_equal(read_request(&hundred), ERR_TOO_LARGE);
}

static bool
is_same(const struct event *a, const struct event *b, const char *name)
{
	const json_t *one = json_object_get(a->json, name);
	const json_t *other = json_object_get(b->json, name);

	return one ? json_equal(one, other) : !other;
}

static void
what_is_written_binary_is_read_as_the_same_event(void **state)
{
	static const char *const events[] = {
		"'subject':'a % \\u20ac','n':-5,'b':false,'data':{'x':[1,2]}",
		"'datacontenttype':'text/plain','data':'plain \\u20ac'",
		"'datacontenttype':'application/octet-stream','data_base64':'AAH/'",
		"'dataref':'https://example.com/x','time':'2020-01-01T00:00:00.5+02:00'",
	};

	for (size_t i = 0; i < 4; i++) {
		OWN(event) struct event event = event_of("com.acme.x", events[i]);
		OWN(buf) struct buf headers = BUF_INIT, body = BUF_INIT;
		OWN(request) struct request request = {0};
		struct str rest;

		event_write_binary(&event, &headers, &body);
		rest = buf_str(&headers);
		while (rest.len) {
			struct str value = str_cut(&rest, '\n'), name = str_cut(&value, ':');

			assert_true(http_is_value(value) && http_is_token(name));
			request.headers[request.n++] = (struct http_header){name, str_trim(value)};
		}
		request.body = buf_str(&body);
		assert_int_equal(read_request(&request), 0);
		assert_string_equal(request.list.at->id, "1");
		assert_true(is_same(&event, request.list.at, "data"));
		assert_true(is_same(&event, request.list.at, "data_base64"));
		if (event.subject)
			assert_string_equal(request.list.at->subject, event.subject);
	}
}

static void
what_is_posted_has_nothing_of_ours_and_is_read_as_the_same_event(void **state)
{
	static const enum event_mode modes[] = {EVENT_BINARY, EVENT_STRUCTURED};

	for (size_t i = 0; i < 2; i++) {
		OWN(event)
		struct event event = event_of("com.acme.x",
			"'subject':'a','mayflyhops':3,'mayflyvia':'vcd','data':{'x':1}");
		OWN(buf) struct buf body = BUF_INIT;
		OWN(json) json_t *headers = event_post_write(&event, modes[i], &body);
		OWN(request) struct request request = {0};
		const char *name;
		json_t *value;

		json_object_foreach (headers, name, value)
			request.headers[request.n++] = (struct http_header){
				str_of(name), str_of(json_string_value(value))};
		request.body = buf_str(&body);
		assert_int_equal(read_request(&request), 0);
		assert_int_equal(request.mode, modes[i]);
		assert_null(json_object_get(request.list.at->json, "mayflyhops"));
		assert_null(json_object_get(request.list.at->json, "mayflyvia"));
		assert_true(is_same(&event, request.list.at, "data"));
		assert_true(is_same(&event, request.list.at, "subject"));
	}
}

static void
what_is_the_platforms_own_is_refused_from_outside(void **state)
{
	static const char one[] =
		"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\","
		"\"mayflyvia\":\"vcd\"}";
	OWN(mem) char *batch = mem_printf("[%s]", one);
	struct request rows[] = {
		typed("application/cloudevents+json", one),
		typed("application/cloudevents-batch+json", batch),
		binary("ce-mayflyvia", "vcd"),
	};

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(read_request(&rows[i]), ERR_INVALID);
		assert_string_equal(rows[i].err.field, "mayflyvia");
	}
}

static void
an_event_of_ours_keeps_every_rule(void **state)
{
	OWN(event) struct event event = {0};
	OWN(event) struct event wrong = {0};
	OWN(json) json_t *data = event_json("{'x':1}");
	struct err err = {0};

	assert_int_equal(
		event_make("/orgs/acme/functions/f", "com.acme.done", "a", data, &event, &err), 0);
	assert_true(id_is_ulid(str_of(event.id)));
	assert_non_null(event.time);
	assert_true(json_equal(json_object_get(event.json, "data"), data));
	assert_int_equal(event_make("/s", "", NULL, NULL, &wrong, &err), ERR_INVALID);
	assert_string_equal(err.field, "type");
	assert_null(wrong.json);
}

static void
times_are_those_of_rfc_3339(void **state)
{
	static const struct {
		const char *time;
		bool is_right;
	} rows[] = {{"2020-02-29T23:59:60Z", true}, {"2020-01-01t00:00:00.123456789+05:30", true},
		{"2020-01-01T00:00:00z", true}, {"2021-02-29T00:00:00Z", false},
		{"2020-13-01T00:00:00Z", false}, {"2020-01-01T24:00:00Z", false},
		{"2020-01-01T00:00:00", false}, {"2020-01-01T00:00:00.Z", false},
		{"2020-01-01 00:00:00Z", false}, {"2020-01-01T00:00Z", false},
		{"2020-01-01T00:00:00+0530", false}, {"2020-01-01T00:00:00Zx", false}, {"", false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(json) json_t *value = json_string(rows[i].time);

		assert_int_equal(event_attribute_check("time", value, NULL),
			rows[i].is_right ? 0 : ERR_INVALID);
	}
}

UNIT_TESTS(it(the_example_of_the_binary_mode_is_read),
	it(the_example_of_the_structured_mode_is_read),
	it(a_batch_is_read_in_its_order_and_may_be_empty),
	it(values_of_headers_are_unquoted_and_unescaped_once),
	it(broken_headers_name_the_attribute_and_the_rule), it(what_is_missing_is_named),
	it(data_of_the_binary_mode_keep_what_they_are), it(text_with_a_nul_is_bytes),
	it(json_data_that_are_not_json_are_refused),
	it(broken_documents_name_the_event_the_attribute_and_the_rule),
	it(other_formats_and_charsets_are_refused_as_media_types),
	it(what_is_too_large_or_too_much_is_refused),
	it(what_is_written_binary_is_read_as_the_same_event), it(an_event_of_ours_keeps_every_rule),
	it(times_are_those_of_rfc_3339),
	it(what_is_posted_has_nothing_of_ours_and_is_read_as_the_same_event),
	it(what_is_the_platforms_own_is_refused_from_outside))
