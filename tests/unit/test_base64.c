/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/base64.h"

static void
bytes_of_every_length_become_what_the_rfc_says_and_back(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfb", "//77"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(buf) struct buf text = BUF_INIT, bytes = BUF_INIT;

		base64_encode(str_of(rows[i].bytes), &text);
		assert_str(buf_str(&text), rows[i].text);
		assert_true(base64_decode(buf_str(&text), &bytes));
		assert_str(buf_str(&bytes), rows[i].bytes);
	}
}

static void
what_is_not_strict_base64_is_refused(void **state)
{
	static const char *const texts[] = {
		"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v Zm9v", "Zm9v\n", "====", "Z===", "Zm-_"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		OWN(buf) struct buf out = BUF_INIT;

		assert_false(base64_decode(str_of(texts[i]), &out));
	}
}

UNIT_TESTS(it(bytes_of_every_length_become_what_the_rfc_says_and_back),
	it(what_is_not_strict_base64_is_refused))
