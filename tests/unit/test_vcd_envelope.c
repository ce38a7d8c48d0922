/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/base64.h"
#include "connect/vcd_envelope.h"

#define MESSAGE                                                                                    \
	"{\"id\":\"another\",\"request\":true,\"method\":\"GET\",\"requestUri\":\"/api/org/a/b\"," \
	"\"queryString\":\"x=1\",\"headers\":{\"Accept\":\"*/*\"},\"body\":\"aGVsbG8=\"}"
#define CONTEXT                                                                                    \
	"{\"apiAccessToken\":\"secret\",\"user\":\"urn:vcloud:user:1\",\"org\":"                   \
	"\"urn:vcloud:org:2\",\"rights\":null,\"parameters\":{}}"

static void
write_envelope(const char *type, const char *headers, const char *inner, struct buf *out)
{
	buf_printf(out,
		"{\"type\":\"%s\",\"headers\":%s,\"linkApiBaseUrl\":\"https://c/api\","
		"\"httpRequest\":\"",
		type, headers);
	base64_encode(str_of(inner), out);
	buf_add_text(out, "\"}");
}

static void
a_request_is_read_whole(void **state)
{
	OWN(vcd_request) struct vcd_request request;
	OWN(buf) struct buf text = BUF_INIT;
	struct err err = {0};

	write_envelope("API_REQUEST", "{\"requestId\":\"r-1\",\"context\":{}}",
		"{\"message\":" MESSAGE ",\"securityContext\":" CONTEXT ",\"context\":{}}", &text);
	if (vcd_envelope_read(buf_str(&text), &request, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(request.id, "r-1");
	assert_string_equal(request.method, "GET");
	assert_str(buf_str(&request.path), "/api/org/a/b");
	assert_str(buf_str(&request.query), "x=1");
	assert_str(buf_str(&request.body), "hello");
	assert_string_equal(request.user, "urn:vcloud:user:1");
	assert_string_equal(request.org, "urn:vcloud:org:2");
	assert_null(request.rights);
	assert_int_equal(request.n_headers, 1);
}

static void
what_is_wrong_is_refused_with_the_id_and_without_its_text(void **state)
{
	static const struct {
		const char *type, *headers, *inner, *id, *why;
		int code;
	} table[] = {
		{"BEHAVIOR_INVOCATION", "{}", "", "",
			"messages of another type than API_REQUEST are not taken",
			ERR_UNIMPLEMENTED},
		{"API_REQUEST", "null", "", "", "headers is needed", ERR_INVALID},
		{"API_REQUEST", "{}", "", "", "headers.requestId is needed", ERR_INVALID},
		{"API_REQUEST", "{\"requestId\":\"\"}", "", "", "headers.requestId is empty",
			ERR_INVALID},
		{"API_REQUEST", "{\"requestId\":\"1\"}", "{\"apiAccessToken\":\"secret\",}", "1",
			"httpRequest is not an object of JSON", ERR_INVALID},
		{"API_REQUEST", "{\"requestId\":\"1\"}", "[1]", "1",
			"httpRequest is not an object of JSON", ERR_INVALID},
		{"API_REQUEST", "{\"requestId\":\"1\"}", "{\"message\":" MESSAGE "}", "1",
			"securityContext is needed", ERR_INVALID},
		{"API_REQUEST", "{\"requestId\":\"1\"}", "{\"securityContext\":" CONTEXT "}", "1",
			"message is needed", ERR_INVALID},
		{"API_REQUEST", "{\"requestId\":\"1\"}",
			"{\"message\":{},\"securityContext\":" CONTEXT "}", "1", "method is needed",
			ERR_INVALID},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OWN(vcd_request) struct vcd_request request;
		OWN(buf) struct buf text = BUF_INIT;
		struct err err = {0};

		write_envelope(table[i].type, table[i].headers, table[i].inner, &text);
		assert_int_equal(vcd_envelope_read(buf_str(&text), &request, &err), table[i].code);
		assert_string_equal(err.text, table[i].why);
		assert_string_equal(request.id, table[i].id);
	}
}

static void
what_is_no_envelope_is_refused(void **state)
{
	static const char *const wrong[] = {"", "[", "[]", "7", "{}", "{\"type\":7}",
		"{\"type\":\"API_REQUEST\",\"headers\":{\"requestId\":\"1\"},\"httpRequest\":7}",
		"{\"type\":\"API_REQUEST\",\"headers\":{\"requestId\":1},\"httpRequest\":\"\"}"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		OWN(vcd_request) struct vcd_request request;
		struct err err = {0};

		assert_int_equal(vcd_envelope_read(str_of(wrong[i]), &request, &err), ERR_INVALID);
		assert_true(err.text[0]);
	}
}

static void
an_answer_has_the_id_and_the_length(void **state)
{
	const struct http_header headers[] = {{STR("content-type"), STR("text/plain")}};
	const struct vcd_answer answer = {.id = "r\"1",
		.status = 201,
		.headers = headers,
		.n_headers = 1,
		.body = STR("hello")};
	OWN(buf) struct buf out = BUF_INIT;

	vcd_envelope_write(&answer, &out);
	assert_string_equal(out.at,
		"{\"type\":\"API_RESPONSE\",\"headers\":{\"requestId\":\"r\\\"1\"},"
		"\"httpResponse\":{\"statusCode\":201,\"headers\":{\"content-type\":"
		"\"text/plain\",\"Content-Length\":5},\"body\":\"aGVsbG8=\"}}");
}

UNIT_TESTS(it(a_request_is_read_whole),
	it(what_is_wrong_is_refused_with_the_id_and_without_its_text),
	it(what_is_no_envelope_is_refused), it(an_answer_has_the_id_and_the_length))
