/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "api/api_json_check.h"
#include "api/api_routes.h"
#include "base/base64.h"

static char params[API_ROUTE_PARAMS][API_ROUTE_PARAM_SIZE];
static char allow[64];
static const struct api_route *found;

static int
find(const char *method, const char *path)
{
	return api_routes_find(str_of(method), str_of(path), &found, params, allow, sizeof(allow));
}

static void
a_path_gives_its_row_and_its_parameters(void **state)
{
	assert_int_equal(find("GET", "/healthz"), 0);
	assert_string_equal(found->path, "/healthz");
	assert_int_equal(found->right, API_OPEN);
	assert_int_equal(find("PUT", "/v1/orgs/acme/functions/hello"), 0);
	assert_string_equal(params[0], "acme");
	assert_string_equal(params[1], "hello");
	assert_int_equal(found->right, TOKEN_MAY_WRITE);
	assert_int_equal(find("GET", "/v1/orgs/acme/functions/hello/versions/3"), 0);
	assert_string_equal(params[2], "3");
}

static void
a_literal_segment_wins_over_nothing_else(void **state)
{
	assert_int_equal(find("GET", "/v1/orgs/calls/functions"), 0);
	assert_string_equal(found->path, "/v1/orgs/{org}/functions");
	assert_string_equal(params[0], "calls");
}

static void
parameters_are_decoded(void **state)
{
	assert_int_equal(find("GET", "/v1/orgs/%61cme"), 0);
	assert_string_equal(params[0], "acme");
	assert_int_equal(find("GET", "/v1/orgs/a%2Fb"), 0);
	assert_string_equal(params[0], "a/b");
	assert_int_equal(find("GET", "/v1/orgs/a%zz"), ERR_NOT_FOUND);
	assert_int_equal(find("GET", "/v1/orgs/a%00"), ERR_NOT_FOUND);
}

static void
what_is_nowhere_is_not_found(void **state)
{
	static const char *const paths[] = {"/", "", "/v1", "/v1/", "/v1/orgs/", "/v1/orgs//tokens",
		"/v1//orgs", "/healthz/", "//healthz", "/v1/orgs/a/functions/b/c", "healthz"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(find("GET", paths[i]), ERR_NOT_FOUND);
}

static void
a_parameter_longer_than_any_name_is_not_found(void **state)
{
	char path[256] = "/v1/orgs/";

	memset(path + 9, 'a', 200);
	assert_int_equal(find("GET", path), ERR_NOT_FOUND);
}

static void
another_method_is_told_which_there_are(void **state)
{
	assert_int_equal(find("PATCH", "/v1/orgs/a/functions/b"), ERR_METHOD);
	assert_string_equal(allow, "GET, HEAD, PUT, DELETE");
	assert_int_equal(find("get", "/healthz"), ERR_METHOD);
	assert_int_equal(find("POST", "/v1/orgs/a/functions/b/versions/1"), ERR_METHOD);
	assert_string_equal(allow, "GET, HEAD");
	assert_int_equal(find("HEAD", "/v1/orgs"), 0);
	assert_int_equal(find("HEAD", "/v1/orgs/a/code"), ERR_METHOD);
	assert_string_equal(allow, "POST");
}

static bool
check(const char *text)
{
	size_t at = 99;
	bool is_good = api_json_check(str_of(text), &at);

	assert_true(is_good || at <= strlen(text));
	return is_good;
}

static void
json_is_told_from_what_is_none(void **state)
{
	static const char *const good[] = {"1", "-0", "0.5e-10", "\"\"", " [ ] ", "{}", "null",
		"[1,[2,{\"a\":[]}],\"\\u00e9\\n\"]", "{\"a\":1,\"a\":2}", "true\n"};
	static const char *const bad[] = {"", " ", "01", "-", "1.", "1e", ".5", "+1", "tru",
		"truex", "\"", "\"\\x\"", "\"\\u12g4\"", "[1,]", "[,1]", "[1 2]", "{\"a\"}",
		"{\"a\":}", "{a:1}", "{\"a\":1,}", "1 1", "[", "]", "[}", "\"\x01\"", "\"\xff\"",
		"\xef\xbb\xbf[]", "'a'", "NaN", "/**/1"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(check(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(check(bad[i]));
}

static void
the_byte_that_breaks_json_is_named(void **state)
{
	size_t at = 0;

	assert_false(api_json_check(STR("[1,2,x]"), &at));
	assert_int_equal(at, 5);
	assert_false(api_json_check(STR("[1,2"), &at));
	assert_int_equal(at, 4);
	assert_false(api_json_check(STR("{} {}"), &at));
	assert_int_equal(at, 3);
}

static void
nesting_ends_somewhere(void **state)
{
	char deep[1100];
	size_t at;

	memset(deep, '[', 512);
	memset(deep + 512, ']', 512);
	assert_true(api_json_check(str_n(deep, 1024), &at));
	memset(deep, '[', 513);
	memset(deep + 513, ']', 513);
	assert_false(api_json_check(str_n(deep, 1026), &at));
}

static void
base64_is_read_strictly(void **state)
{
	static const struct {
		const char *text, *bytes;
	} good[] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg==", "foob"},
		{"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}, {"+/+/", "\xfb\xff\xbf"}};
	static const char *const bad[] = {"Z", "Zg",
		"Zg=", "Zg===", "Zh==", "Zm9=", "=Zg=", "Z===", "====", "Zm9v\n", " Zm9v", "Zm-_",
		"Zg==Zg=="};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		OWN(buf) struct buf out = BUF_INIT;

		assert_true(base64_decode(str_of(good[i].text), &out));
		assert_str(buf_str(&out), good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		OWN(buf) struct buf out = BUF_INIT;

		assert_false(base64_decode(str_of(bad[i]), &out));
	}
}

UNIT_TESTS(it(a_path_gives_its_row_and_its_parameters),
	it(a_literal_segment_wins_over_nothing_else), it(parameters_are_decoded),
	it(what_is_nowhere_is_not_found), it(a_parameter_longer_than_any_name_is_not_found),
	it(another_method_is_told_which_there_are), it(json_is_told_from_what_is_none),
	it(the_byte_that_breaks_json_is_named), it(nesting_ends_somewhere),
	it(base64_is_read_strictly))
