/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "connect/vcd_message.h"
#include "connect/vcd_org.h"

#define CONTEXT                                                                                    \
	"{\"user\":\"urn:vcloud:user:7a1\",\"org\":\"urn:vcloud:org:"                              \
	"9aee1e76-55b2-4d2f-9d1e-0a2b3c4d5e6f\",\"rights\":[\"urn:vcloud:right:1\","               \
	"\"urn:vcloud:right:2\"]}"

#define MESSAGE                                                                                    \
	"{\"id\":\"req-1\",\"request\":true,\"method\":\"post\",\"requestUri\":\"/api/org/"        \
	"9aee/hello%20x\",\"queryString\":\"a=1&b=2\",\"protocol\":\"HTTP/1.1\",\"scheme\":"       \
	"\"https\",\"remoteAddr\":\"10.0.0.9\",\"remotePort\":51234,\"localAddr\":\"10.0.0.1\","   \
	"\"localPort\":443,\"headers\":{\"Accept\":\"application/*+json;version=31.0\","           \
	"\"Content-Type\":\"text/plain\",\"X-Length\":17},\"body\":\"aGVsbG8=\","                  \
	"\"statusCode\":0}"

static int
taken(const char *text, struct vcd_request *ret, struct err *err)
{
	*err = (struct err){0};
	return vcd_message_read(str_of(text), ret, err);
}

static void
a_request_is_read_whole(void **state)
{
	OWN(vcd_request) struct vcd_request request;
	struct err err;

	if (taken("[" MESSAGE "," CONTEXT ",{\"more\":1}]", &request, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(request.id, "req-1");
	assert_false(request.is_response);
	assert_string_equal(request.method, "POST");
	assert_str(buf_str(&request.path), "/api/org/9aee/hello%20x");
	assert_str(buf_str(&request.query), "a=1&b=2");
	assert_string_equal(request.scheme, "https");
	assert_string_equal(request.protocol, "HTTP/1.1");
	assert_string_equal(request.peer, "10.0.0.9");
	assert_str(buf_str(&request.body), "hello");
	assert_string_equal(request.user, "urn:vcloud:user:7a1");
	assert_string_equal(request.org, "urn:vcloud:org:9aee1e76-55b2-4d2f-9d1e-0a2b3c4d5e6f");
	assert_int_equal(json_array_size(request.rights), 2);
	assert_int_equal(request.n_headers, 3);
	assert_str(request.headers[0].name, "accept");
	assert_str(request.headers[0].value, "application/*+json;version=31.0");
	assert_str(request.headers[1].name, "content-type");
	assert_str(request.headers[2].name, "x-length");
	assert_str(request.headers[2].value, "17");
}

static void
little_is_enough(void **state)
{
	OWN(vcd_request) struct vcd_request request;
	struct err err;

	assert_int_equal(taken("[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/a?b\","
			       "\"queryString\":null,\"body\":null},{\"rights\":null}]",
				 &request, &err),
		0);
	assert_str(buf_str(&request.path), "/a");
	assert_str(buf_str(&request.query), "b");
	assert_int_equal(request.body.len, 0);
	assert_null(request.rights);
	assert_string_equal(request.org, "");
}

static void
a_form_that_was_taken_apart_is_put_together(void **state)
{
	OWN(vcd_request) struct vcd_request request;
	struct err err;

	assert_int_equal(
		taken("[{\"id\":\"1\",\"method\":\"POST\",\"requestUri\":\"/a\",\"formData\":"
		      "{\"name\":[\"Ada L\",\"x&y\"],\"\\u00fc\":[\"=\"]}},{}]",
			&request, &err),
		0);
	assert_str(buf_str(&request.body), "name=Ada+L&name=x%26y&%C3%BC=%3D");
}

static void
an_answer_of_the_cell_is_told_from_a_request(void **state)
{
	OWN(vcd_request) struct vcd_request request;
	struct err err;

	assert_int_equal(taken("[{\"id\":\"1\",\"request\":false,\"method\":\"GET\",\"requestUri\":"
			       "\"/a\"},{}]",
				 &request, &err),
		0);
	assert_true(request.is_response);
}

static void
what_is_wrong_is_refused_with_the_id_where_there_is_one(void **state)
{
	static const struct {
		const char *text, *id, *why;
	} table[] = {
		{"{", "", NULL},
		{"{}", "", "an array with a message in it is needed"},
		{"[]", "", "an array with a message in it is needed"},
		{"[1]", "", "an array with a message in it is needed"},
		{"[{}]", "", "id is needed"},
		{"[{\"id\":7}]", "", NULL},
		{"[{\"id\":\"1\",\"method\":\"G T\",\"requestUri\":\"/\"},{}]", "1",
			"method is not one of HTTP"},
		{"[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"a\"},{}]", "1",
			"requestUri is not a path"},
		{"[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/a\\r\\nb\"},{}]", "1",
			"requestUri is not a path"},
		{"[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/\",\"headers\":{\"a "
		 "b\":\"\"}},"
		 "{}]",
			"1", "a header has no proper name"},
		{"[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/\",\"headers\":{\"a\":"
		 "\"x\\ny\"}},{}]",
			"1", "the header a has no proper value"},
		{"[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/\",\"body\":\"*\"},{}]", "1",
			"body is not base64"},
		{"[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/\"}]", "1",
			"the context of the caller is missing"},
		{"[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/\"},{\"rights\":[1]}]", "1",
			"a right is not a text"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OWN(vcd_request) struct vcd_request request;
		struct err err;

		if (taken(table[i].text, &request, &err) != ERR_INVALID)
			fail_msg("%s is taken", table[i].text);
		assert_string_equal(request.id, table[i].id);
		if (table[i].why)
			assert_string_equal(err.text, table[i].why);
	}
}

static void
more_headers_than_a_hundred_are_refused(void **state)
{
	OWN(vcd_request) struct vcd_request request;
	OWN(buf) struct buf text = BUF_INIT;
	struct err err;

	buf_add_text(&text, "[{\"id\":\"1\",\"method\":\"GET\",\"requestUri\":\"/\",\"headers\":{");
	for (unsigned i = 0; i <= VCD_MESSAGE_HEADERS_MAX; i++)
		buf_printf(&text, "%s\"h%u\":\"v\"", i ? "," : "", i);
	buf_add_text(&text, "}},{}]");
	assert_int_equal(taken(text.at, &request, &err), ERR_INVALID);
	assert_string_equal(err.field, "headers");
}

static void
an_answer_is_written_as_one_object(void **state)
{
	const struct http_header headers[] = {
		{STR("content-type"), STR("text/\"plain\"")}, {STR("content-length"), STR("999")}};
	const struct vcd_answer answer = {.id = "req-1",
		.status = 201,
		.headers = headers,
		.n_headers = 2,
		.body = STR("hello")};
	OWN(buf) struct buf out = BUF_INIT;

	vcd_message_write(&answer, &out);
	assert_string_equal(out.at,
		"{\"id\":\"req-1\",\"request\":false,\"statusCode\":201,\"headers\":{"
		"\"content-type\":\"text/\\\"plain\\\"\",\"Content-Length\":5},\"body\":"
		"\"aGVsbG8=\"}");
}

/* ---- orgs ---- */

#define UUID "9aee1e76-55b2-4d2f-9d1e-0a2b3c4d5e6f"

static void
own_org_map(struct vcd_org_map *map)
{
	vcd_org_map_done(map);
}

static void
a_path_names_its_org_in_three_ways(void **state)
{
	static const struct {
		const char *path, *org, *route;
	} table[] = {
		{"/api/org/" UUID "/hello", "acme", "hello"},
		{"/api/org/9AEE1E76-55B2-4D2F-9D1E-0A2B3C4D5E6F/hello/x", "acme", "hello/x"},
		{"/api/org/urn:vcloud:org:" UUID "/hello", "acme", "hello"},
		{"/api/org/urn%3Avcloud%3aorg%3A" UUID "/hello", "acme", "hello"},
		{"/api/org/PSCoE/hello", "pscoe-1", "hello"},
		{"/api/org/shop/hello%20x", "shop", "hello%20x"},
		{"/api/org/shop", "shop", ""},
		{"/api/org/00000000-55b2-4d2f-9d1e-0a2b3c4d5e6f/hello", "", "hello"},
		{"/api/org/Not%20one/hello", "", "hello"},
	};
	__attribute__((cleanup(own_org_map))) struct vcd_org_map map;
	struct err err = {0};

	assert_int_equal(vcd_org_map_read(STR(UUID "=acme, pscoe = pscoe-1"), &map, &err), 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct str route;
		char org[64];

		assert_int_equal(vcd_org_path(&map, str_of(table[i].path), org, &route, &err), 0);
		assert_string_equal(org, table[i].org);
		assert_str(route, table[i].route);
	}
	assert_string_equal(vcd_org_of(&map, STR("urn:vcloud:org:" UUID)), "acme");
	assert_string_equal(vcd_org_of(&map, STR("urn:vcloud:user:1")), "");
}

static void
another_path_is_not_found(void **state)
{
	static const char *const paths[] = {
		"", "/", "/api/org", "/api/org/", "/api/org//x", "/api/orgs/a/b", "/api/org/%zz/b"};
	__attribute__((cleanup(own_org_map))) struct vcd_org_map map = {.names = MAP_INIT};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct str route;
		char org[64];

		assert_int_equal(
			vcd_org_path(&map, str_of(paths[i]), org, &route, NULL), ERR_NOT_FOUND);
	}
}

static void
a_map_that_is_wrong_says_why(void **state)
{
	static const char *const wrong[] = {"=a", "a", "a=", "a=B", "a=b,a=c", "a=b,,"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		__attribute__((cleanup(own_org_map))) struct vcd_org_map map;
		struct err err = {0};

		assert_int_equal(vcd_org_map_read(str_of(wrong[i]), &map, &err), ERR_INVALID);
		assert_true(err.text[0]);
	}
}

UNIT_TESTS(it(a_request_is_read_whole), it(little_is_enough),
	it(a_form_that_was_taken_apart_is_put_together),
	it(an_answer_of_the_cell_is_told_from_a_request),
	it(what_is_wrong_is_refused_with_the_id_where_there_is_one),
	it(more_headers_than_a_hundred_are_refused), it(an_answer_is_written_as_one_object),
	it(a_path_names_its_org_in_three_ways), it(another_path_is_not_found),
	it(a_map_that_is_wrong_says_why))
