/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - what a request and an answer are, whatever version of HTTP carried them.
 *
 * Header names are lower case (RFC 9113 8.2), without a colon in front; values have no CR, LF or
 * NUL. Everything in a request is borrowed from its exchange.
 */
#ifndef MAYFLY_NET_HTTP_H
#define MAYFLY_NET_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct http_header {
	struct str name;  /* lower case */
	struct str value; /* trimmed, at most the limit of the header block */
};

struct http_request {
	struct str method;    /* a token, case kept: "GET" */
	struct str target;    /* as sent: "/api/org/a/b?x=1"; absolute form is reduced to this */
	struct str path;      /* target before '?', percent-encoding kept */
	struct str query;     /* behind '?', empty without one */
	struct str authority; /* Host or :authority */
	const char *scheme;   /* "http" or "https" */
	const char *version;  /* "HTTP/1.0", "HTTP/1.1" or "HTTP/2" */
	const char *peer;     /* address of the client without the port */
	const struct http_header *headers;
	size_t n_headers;
	struct str body; /* whole, once on_request runs */
};

/* First header of that (lower-case) name; STR_NONE without one. */
struct str http_header(const struct http_request *request, const char *name);

/* Token of RFC 9110 5.6.2; field value without CR, LF, NUL and other controls but TAB. */
bool http_is_token(struct str text);
bool http_is_value(struct str text);

/* Whether the eight bytes at `at` are neither below 0x20 nor above 0x7e: the highest bit of a byte
 * tells, once 1 was added to it or 0x20 was taken from it. */
static inline bool
http_are_plain(const char *at)
{
	uint64_t bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return ((bytes | (bytes + 0x0101010101010101) | (bytes - 0x2020202020202020)) &
		       0x8080808080808080) == 0;
}

/* "host" or "host:port" (RFC 3986 3.2, without user information), not empty. */
bool http_is_authority(struct str text);
bool http_has_port(struct str authority);

/* "OK" for 200; "" for a status without a registered phrase. */
const char *http_reason(int status);

/* Undoes percent-encoding, appended to out; false for a broken escape or an encoded NUL. With
 * `plus_is_space` as in a query. */
bool http_percent_decode(struct str text, bool plus_is_space, struct buf *out);

/* Whether "host" or "host:port" of a URL is this machine, by address or by the one name of it;
 * 127.example.com is another's. */
bool http_is_loopback(struct str host);

#endif
