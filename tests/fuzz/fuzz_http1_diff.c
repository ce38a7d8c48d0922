/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http1_diff - our parser beside llhttp, the one of Node.js: a request that we take and llhttp
 * refuses, or whose body has another length there, is a finding. The other way round is not: ours
 * is meant to be the stricter one.
 *
 * Differences that are intended, and where the comparison ends:
 *  - llhttp knows a list of methods, ours takes any token
 *  - llhttp stops reading HTTP behind a request that asks for another protocol (Upgrade), ours
 *    does not change protocols and overlooks the wish
 *  - characters in chunk extensions: llhttp wants tokens and quoted strings, ours any text, which
 *    it skips; both end them at CR LF alone
 *  - trailers: llhttp obeys them as if they were headers, ours drops them
 *  - tabs around the values of headers that say how long a body is: white space by RFC 9110 5.5,
 *    which llhttp knows as spaces only
 */
#include "fuzz.h"

#include <llhttp.h>
#include <string.h>

#include "base/own.h"
#include "net/http1_chunked.h"
#include "net/http1_parse.h"

#define FUZZ_MESSAGES 16

static const struct http1_limits fuzz_limits = {
	.block_bytes = 16384,
	.target_bytes = 8192,
	.n_headers = 100,
};

/* Requests read to their end, and the length of each one's body. */
struct fuzz_seen {
	size_t n;
	uint64_t body_bytes[FUZZ_MESSAGES];
	bool is_other; /* something of the list above */
};

/* ---- ours ---- */

static bool
fuzz_llhttp_knows(struct str method)
{
	static const char *const methods[] = {
#define FUZZ_METHOD(number, name, text) #text,
		HTTP_METHOD_MAP(FUZZ_METHOD)
#undef FUZZ_METHOD
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (str_eq(method, str_of(methods[i])))
			return true;
	return false;
}

static void
fuzz_note_other(const struct http1_head *head, struct fuzz_seen *seen)
{
	struct http_request request = {.headers = head->headers, .n_headers = head->n_fields};

	if (!fuzz_llhttp_knows(head->method) || http_header(&request, "upgrade").at ||
		memchr(head->bytes.at, '\t', head->bytes.len))
		seen->is_other = true;
}

/* The body's length; -1 where it is malformed or not complete. */
static int64_t
fuzz_our_body(const struct http1_head *head, struct str *rest, struct fuzz_seen *seen)
{
	struct http1_chunked chunked;
	struct err err = {0};
	int64_t total = 0;
	int rc = 0;

	if (head->body != HTTP1_BODY_CHUNKED) {
		if (head->content_length > rest->len)
			return -1;
		*rest = str_n(
			rest->at + head->content_length, rest->len - (size_t)head->content_length);
		return (int64_t)head->content_length;
	}
	http1_chunked_init(&chunked);
	while (rc == 0) {
		struct str data;
		size_t used;

		if (rest->len == 0)
			return -1;
		rc = http1_chunked_feed(&chunked, *rest, &used, &data, &err);
		if (rc < 0)
			return -1;
		*rest = str_n(rest->at + used, rest->len - used);
		total += (int64_t)data.len;
	}
	if (chunked.n_overhead)
		seen->is_other = true;
	return total;
}

static void
fuzz_ours(struct str rest, struct fuzz_seen *seen)
{
	struct http1_head head;
	struct err err = {0};
	bool is_kept = true;

	http1_head_init(&head, &fuzz_limits);
	while (is_kept && !seen->is_other && seen->n < FUZZ_MESSAGES) {
		size_t used = 0;
		int64_t body;

		if (http1_head_feed(&head, rest, &used, &err) != 1)
			break;
		rest = str_n(rest.at + used, rest.len - used);
		fuzz_note_other(&head, seen);
		body = fuzz_our_body(&head, &rest, seen);
		if (body < 0 || seen->is_other)
			break;
		seen->body_bytes[seen->n++] = (uint64_t)body;
		is_kept = head.is_keep_alive;
		http1_head_reset(&head);
	}
	http1_head_done(&head);
}

/* ---- theirs ---- */

struct fuzz_theirs {
	llhttp_t parser;
	struct fuzz_seen seen;
	uint64_t body_bytes;
};

static int
fuzz_on_begin(llhttp_t *parser)
{
	((struct fuzz_theirs *)parser->data)->body_bytes = 0;
	return 0;
}

static int
fuzz_on_body(llhttp_t *parser, const char *at, size_t n)
{
	((struct fuzz_theirs *)parser->data)->body_bytes += n;
	return 0;
}

static int
fuzz_on_complete(llhttp_t *parser)
{
	struct fuzz_theirs *theirs = parser->data;

	if (theirs->seen.n < FUZZ_MESSAGES)
		theirs->seen.body_bytes[theirs->seen.n++] = theirs->body_bytes;
	return 0;
}

static void
fuzz_read_theirs(struct str text, struct fuzz_theirs *theirs)
{
	llhttp_settings_t settings;

	llhttp_settings_init(&settings);
	settings.on_message_begin = fuzz_on_begin;
	settings.on_body = fuzz_on_body;
	settings.on_message_complete = fuzz_on_complete;
	llhttp_init(&theirs->parser, HTTP_REQUEST, &settings);
	theirs->parser.data = theirs;
	llhttp_execute(&theirs->parser, text.at, text.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_theirs theirs = {.body_bytes = 0};
	struct fuzz_seen ours = {.n = 0};
	struct str text = str_n(size ? (const char *)bytes : "", size);

	fuzz_ours(text, &ours);
	fuzz_read_theirs(text, &theirs);
	for (size_t i = 0; i < ours.n; i++) {
		must(i < theirs.seen.n);
		must(ours.body_bytes[i] == theirs.seen.body_bytes[i]);
	}
	return 0;
}
