/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "amqp/amqp_url.h"

static void
expect(const char *text, bool is_tls, const char *user, const char *host, unsigned port,
	const char *vhost)
{
	struct amqp_url url;
	struct err err = {0};

	assert_int_equal(amqp_url_read(text, &url, &err), 0);
	assert_int_equal(url.is_tls, is_tls);
	assert_string_equal(url.user, user);
	assert_string_equal(url.host, host);
	assert_int_equal(url.port, port);
	assert_string_equal(url.vhost, vhost);
}

static void
a_url_says_where_a_broker_is(void **state)
{
	expect("amqp://h", false, "guest", "h", 5672, "/");
	expect("amqp://h/", false, "guest", "h", 5672, "/");
	expect("amqps://u@h", true, "u", "h", 5671, "/");
	expect("amqps://u@h:1/v", true, "u", "h", 1, "v");
	expect("amqp://a%40b@h:65535/%2fx", false, "a@b", "h", 65535, "/x");
	expect("amqp://[::1]:5/a/b", false, "guest", "::1", 5, "a/b");
	expect("amqp://[::1]", false, "guest", "::1", 5672, "/");
}

static void
what_is_no_such_url_is_refused_with_its_setting(void **state)
{
	static const char *const wrong[] = {"", "h", "http://h", "amqp:/h", "amqp://", "amqp:///v",
		"amqp://@h", "amqp://h:0", "amqp://h:65536", "amqp://h:x", "amqp://[::1",
		"amqp://[::1]5", "amqp://[]", "amqp://u%4@h", "amqp://h/%zz", "amqp://a b@h",
		"amqp://h/%00"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct amqp_url url = {.port = 7};
		struct err err = {0};

		if (amqp_url_read(wrong[i], &url, &err) != ERR_INVALID)
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_string_equal(err.field, "amqp_url");
		assert_int_equal(url.port, 7);
	}
}

static void
a_password_in_a_url_is_refused_and_not_repeated(void **state)
{
	struct amqp_url url;
	struct err err = {0};

	assert_int_equal(amqp_url_read("amqp://u:secret@h", &url, &err), ERR_INVALID);
	assert_non_null(strstr(err.text, "amqp_password_file"));
	assert_null(strstr(err.text, "secret"));
}

UNIT_TESTS(it(a_url_says_where_a_broker_is), it(what_is_no_such_url_is_refused_with_its_setting),
	it(a_password_in_a_url_is_refused_and_not_repeated))
