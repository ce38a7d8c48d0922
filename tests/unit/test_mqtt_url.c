/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "mqtt/mqtt_url.h"

static void
expect(const char *text, bool is_tls, const char *host, unsigned port, const char *authority,
	const char *path)
{
	struct mqtt_url url;
	struct err err = {0};

	if (mqtt_url_read(text, &url, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(url.is_tls, is_tls);
	assert_string_equal(url.host, host);
	assert_int_equal(url.port, port);
	assert_string_equal(url.authority, authority);
	assert_string_equal(url.path, path);
}

static void
a_url_says_where_a_broker_is(void **state)
{
	expect("wss://vcd.example/messaging/mqtt", true, "vcd.example", 443, "vcd.example",
		"/messaging/mqtt");
	expect("ws://h/", false, "h", 80, "h", "/");
	expect("ws://10.0.0.1:8080/a?b=c", false, "10.0.0.1", 8080, "10.0.0.1:8080", "/a?b=c");
	expect("wss://[::1]:5/x", true, "::1", 5, "[::1]:5", "/x");
	expect("wss://[fe80::1]/x", true, "fe80::1", 443, "[fe80::1]", "/x");
}

static void
what_is_no_such_url_is_refused(void **state)
{
	static const char *const wrong[] = {"", "h", "https://h/", "ws:/h/", "ws:///x", "ws://h",
		"ws://h:0/", "ws://h:65536/", "ws://h:x/", "ws://[::1/", "ws://[::1]5/", "ws://[]/",
		"ws://u@h/", "ws://u:p@h/", "ws://h/a b", "ws://h/a#b", "ws://h\r\nx/",
		"ws://h/\r\n", "ws://a,b/", "ws://h/\xc3\xa9"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct mqtt_url url;
		struct err err = {0};

		if (mqtt_url_read(wrong[i], &url, &err) != ERR_INVALID)
			fail_msg("%s is taken", wrong[i]);
		assert_true(err.text[0]);
	}
}

UNIT_TESTS(it(a_url_says_where_a_broker_is), it(what_is_no_such_url_is_refused))
