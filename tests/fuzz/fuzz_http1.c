/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http1 - the parser of HTTP/1.x: the same requests wherever the bytes are cut, and nothing in
 * them that a head may not have. The first byte says where they are cut.
 */
#include "fuzz.h"

#include <string.h>

#include "base/own.h"
#include "net/http1_chunked.h"
#include "net/http1_parse.h"

static const struct http1_limits fuzz_limits = {
	.block_bytes = 2048,
	.target_bytes = 256,
	.n_headers = 16,
};

static void
fuzz_add(struct buf *out, struct str text)
{
	buf_add_str(out, text);
	buf_add_char(out, '\n');
}

/* What the head says, as text that can be compared. */
static void
fuzz_describe(const struct http1_head *head, struct buf *out)
{
	must(http_is_token(head->method));
	must(head->path.len && (head->path.at[0] == '/' || str_eq(head->path, STR("*"))));
	must(head->minor == 0 || http_is_authority(head->authority));
	fuzz_add(out, head->method);
	fuzz_add(out, head->target);
	fuzz_add(out, head->path);
	fuzz_add(out, head->query);
	fuzz_add(out, head->authority);
	buf_printf(out, "%u %d %llu %d %d\n", head->minor, head->body,
		(unsigned long long)head->content_length, head->is_keep_alive,
		head->expects_continue);
	for (size_t i = 0; i < head->n_fields; i++) {
		must(http_is_token(head->headers[i].name));
		must(http_is_value(head->headers[i].value));
		must(str_eq(head->headers[i].value, str_trim(head->headers[i].value)));
		fuzz_add(out, head->headers[i].name);
		fuzz_add(out, head->headers[i].value);
	}
}

struct fuzz_reader {
	struct http1_head head;
	struct http1_chunked chunked;
	uint64_t left;
	bool is_in_body;
	struct buf out; /* all that was read */
};

static int
fuzz_read_body(struct fuzz_reader *reader, struct str bytes, size_t *ret_used, struct err *err)
{
	struct str data = STR_NONE;
	int rc;

	if (reader->head.body == HTTP1_BODY_CHUNKED) {
		rc = http1_chunked_feed(&reader->chunked, bytes, ret_used, &data, err);
		if (rc < 0)
			return rc;
		must(data.len <= *ret_used);
	} else {
		*ret_used = bytes.len < reader->left ? bytes.len : (size_t)reader->left;
		data = str_n(bytes.at, *ret_used);
		reader->left -= *ret_used;
		rc = reader->left == 0;
	}
	buf_add_str(&reader->out, data);
	if (rc == 1) {
		buf_add_text(&reader->out, "\nend\n");
		reader->is_in_body = false;
		http1_head_reset(&reader->head);
	}
	return 0;
}

static int
fuzz_read_head(struct fuzz_reader *reader, struct str bytes, size_t *ret_used, struct err *err)
{
	int rc = http1_head_feed(&reader->head, bytes, ret_used, err);

	if (rc <= 0)
		return rc;
	fuzz_describe(&reader->head, &reader->out);
	reader->left = reader->head.content_length;
	reader->is_in_body = reader->head.body != HTTP1_BODY_NONE;
	http1_chunked_init(&reader->chunked);
	if (!reader->is_in_body)
		http1_head_reset(&reader->head);
	return 0;
}

/* Reads everything in pieces; what was read is in `out`, and whether the rest was refused. Which of
 * several faults is met first may depend on the pieces. */
static void
fuzz_read(struct str bytes, size_t step, struct buf *out)
{
	struct fuzz_reader reader = {.is_in_body = false};
	struct err err = {0};
	size_t at = 0;
	int rc = 0;

	http1_head_init(&reader.head, &fuzz_limits);
	while (rc == 0 && at < bytes.len) {
		size_t n = bytes.len - at < step ? bytes.len - at : step;
		struct str piece = str_n(bytes.at + at, n);
		size_t used = 0;

		rc = reader.is_in_body ? fuzz_read_body(&reader, piece, &used, &err)
				       : fuzz_read_head(&reader, piece, &used, &err);
		must(rc < 0 || (used > 0 && used <= n));
		must(rc == 0 || (err.code == rc && err.text[0]));
		at += used;
	}
	*out = reader.out;
	buf_add_text(out, rc < 0 ? "refused\n" : "taken\n");
	http1_head_done(&reader.head);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(buf) struct buf whole = BUF_INIT;
	OWN(buf) struct buf pieces = BUF_INIT;
	struct str text;

	if (size < 2)
		return 0;
	text = str_n(bytes + 1, size - 1);
	fuzz_read(text, text.len, &whole);
	fuzz_read(text, bytes[0] % 16 + 1u, &pieces);
	must(str_eq(buf_str(&whole), buf_str(&pieces)));
	return 0;
}
