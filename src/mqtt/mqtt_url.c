/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/mqtt_url.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static int
url_invalid(struct err *err, const char *why)
{
	return err_set(err, ERR_INVALID, "%s; it is ws[s]://host[:port]/path", why);
}

/* Only what a name or an address is made of. */
static bool
url_is_host(struct str text, const char *more)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

	for (size_t i = 0; i < text.len; i++)
		if (!text.at[i] || (!strchr(plain, text.at[i]) && !strchr(more, text.at[i])))
			return false;
	return text.len > 0;
}

static bool
url_is_path(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] <= ' ' || text.at[i] > '~' || text.at[i] == '#')
			return false;
	return str_starts(text, STR("/"));
}

static bool
url_copy(struct str text, char *ret, size_t size)
{
	if (text.len >= size)
		return false;
	memcpy(ret, text.at, text.len);
	ret[text.len] = '\0';
	return true;
}

static int
url_read_host(struct str text, struct mqtt_url *ret, struct err *err)
{
	bool is_literal = str_starts(text, STR("["));
	struct str host, rest = text;
	uint64_t port = ret->is_tls ? 443 : 80;

	if (is_literal) {
		rest = str_n(text.at + 1, text.len - 1);
		if (!memchr(rest.at, ']', rest.len))
			return url_invalid(err, "the address has no end");
		host = str_cut(&rest, ']');
		if (rest.len && rest.at[0] != ':')
			return url_invalid(err, "no port behind the address");
		rest = rest.len ? str_n(rest.at + 1, rest.len - 1) : rest;
	} else {
		host = str_cut(&rest, ':');
	}
	if (rest.len && (!str_to_u64(rest, &port) || port < 1 || port > UINT16_MAX))
		return url_invalid(err, "the port is not a number from 1 to 65535");
	if (!url_is_host(host, is_literal ? ":." : ".-_"))
		return url_invalid(err, "the host cannot be read");
	if (!url_copy(host, ret->host, sizeof(ret->host)) ||
		!url_copy(text, ret->authority, sizeof(ret->authority)))
		return url_invalid(err, "the host is too long");
	ret->port = (uint16_t)port;
	return 0;
}

int
mqtt_url_read(const char *text, struct mqtt_url *ret, struct err *err)
{
	struct str rest = str_of(text), path;
	struct mqtt_url url = {.is_tls = str_starts(rest, STR("wss://"))};
	const char *slash;
	int rc;

	if (!url.is_tls && !str_starts(rest, STR("ws://")))
		return url_invalid(err, "it begins with neither wss:// nor ws://");
	rest = str_n(rest.at + 5 + url.is_tls, rest.len - 5 - url.is_tls);
	slash = rest.len ? memchr(rest.at, '/', rest.len) : NULL;
	if (!slash)
		return url_invalid(err, "it has no path");
	path = str_n(slash, rest.len - (size_t)(slash - rest.at));
	rest.len -= path.len;
	if (memchr(text, '@', strlen(text)))
		return url_invalid(err, "names and passwords are no part of it");
	if (!url_is_path(path) || !url_copy(path, url.path, sizeof(url.path)))
		return url_invalid(err, "the path cannot be read");
	rc = url_read_host(rest, &url, err);
	if (rc == 0)
		*ret = url;
	return rc;
}
