/* SPDX-License-Identifier: Apache-2.0 */
#include "amqp/amqp_url.h"

#include <string.h>

#include "base/str.h"

static int
url_invalid(struct err *err, const char *why)
{
	return err_field(err, ERR_INVALID, "amqp_url",
		"amqp_url: %s; it is amqp[s]://[user@]host[:port][/vhost]", why);
}

static int
url_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* A part without its %XX; false when it is wrong, empty, or too long. */
static bool
url_part(struct str text, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		int c = (unsigned char)text.at[i];

		if (c == '%') {
			if (text.len - i < 3 || url_digit(text.at[i + 1]) < 0 ||
				url_digit(text.at[i + 2]) < 0)
				return false;
			c = url_digit(text.at[i + 1]) * 16 + url_digit(text.at[i + 2]);
			i += 2;
		}
		if (c <= ' ' || c == 0x7f || n + 1 >= size)
			return false;
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return n > 0;
}

static int
url_read_host(struct str text, struct amqp_url *ret, struct err *err)
{
	struct str host = text;
	uint64_t port = ret->is_tls ? 5671 : 5672;

	if (str_starts(text, STR("["))) {
		text = str_n(text.at + 1, text.len - 1);
		if (!memchr(text.at, ']', text.len))
			return url_invalid(err, "the address has no end");
		host = str_cut(&text, ']');
		if (text.len && !str_starts(text, STR(":")))
			return url_invalid(err, "no port behind the address");
		text = text.len ? str_n(text.at + 1, text.len - 1) : text;
	} else {
		host = str_cut(&text, ':');
	}
	if (text.len && (!str_to_u64(text, &port) || port < 1 || port > UINT16_MAX))
		return url_invalid(err, "the port is not a number from 1 to 65535");
	if (!url_part(host, ret->host, sizeof(ret->host)))
		return url_invalid(err, "no host");
	ret->port = (uint16_t)port;
	return 0;
}

int
amqp_url_read(const char *text, struct amqp_url *ret, struct err *err)
{
	struct amqp_url url = {.user = "guest", .vhost = "/"};
	struct str rest = str_of(text), place, user;

	url.is_tls = str_starts(rest, STR("amqps://"));
	if (!url.is_tls && !str_starts(rest, STR("amqp://")))
		return url_invalid(err, "it begins with neither amqp:// nor amqps://");
	rest = str_n(rest.at + 7 + url.is_tls, rest.len - 7 - url.is_tls);
	place = str_cut(&rest, '/');
	if (rest.len && !url_part(rest, url.vhost, sizeof(url.vhost)))
		return url_invalid(err, "the virtual host cannot be read");
	if (memchr(place.at, '@', place.len)) {
		user = str_cut(&place, '@');
		if (memchr(user.at, ':', user.len))
			return url_invalid(err, "a password belongs into amqp_password_file");
		if (!url_part(user, url.user, sizeof(url.user)))
			return url_invalid(err, "the user cannot be read");
	}
	int rc = url_read_host(place, &url, err);

	if (rc == 0)
		*ret = url;
	return rc;
}
