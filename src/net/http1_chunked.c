/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http1_chunked.h"

/* Extensions and trailers of one chunked body together: they cost reading and carry nothing. */
#define HTTP1_CHUNKED_OVERHEAD_MAX 4096
/* 15 hex digits cannot overflow 64 bits. */
#define HTTP1_CHUNKED_SIZE_DIGITS 15

void
http1_chunked_init(struct http1_chunked *chunked)
{
	*chunked = (struct http1_chunked){.state = HTTP1_CHUNKED_SIZE};
}

static int
http1_chunked_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
http1_chunked_size(struct http1_chunked *chunked, char c)
{
	int digit = http1_chunked_hex(c);

	if (digit >= 0) {
		chunked->left = chunked->left * 16 + (uint64_t)digit;
		return ++chunked->n_digits <= HTTP1_CHUNKED_SIZE_DIGITS;
	}
	if (chunked->n_digits == 0)
		return false;
	if (c == ';')
		chunked->state = HTTP1_CHUNKED_EXTENSION;
	else if (c == '\r')
		chunked->state = HTTP1_CHUNKED_SIZE_LF;
	else
		return false;
	return true;
}

static bool
http1_chunked_text(struct http1_chunked *chunked, char c, enum http1_chunked_state at_end)
{
	if (c == '\r')
		chunked->state = at_end;
	else if (!http_is_value(str_n(&c, 1)))
		return false;
	return ++chunked->n_overhead <= HTTP1_CHUNKED_OVERHEAD_MAX;
}

static bool
http1_chunked_trailer(struct http1_chunked *chunked, char c)
{
	bool is_first = chunked->state == HTTP1_CHUNKED_TRAILER;

	if (is_first && c == '\r') {
		chunked->state = HTTP1_CHUNKED_LAST_LF;
		return true;
	}
	if (!is_first && c == ':')
		chunked->state = HTTP1_CHUNKED_TRAILER_VALUE;
	else if (http_is_token(str_n(&c, 1)))
		chunked->state = HTTP1_CHUNKED_TRAILER_NAME;
	else
		return false;
	return ++chunked->n_overhead <= HTTP1_CHUNKED_OVERHEAD_MAX;
}

static bool
http1_chunked_expect(struct http1_chunked *chunked, bool is_right, enum http1_chunked_state next)
{
	chunked->state = next;
	return is_right;
}

/* One byte of framing; false where it cannot be right. */
static bool
http1_chunked_step(struct http1_chunked *chunked, char c)
{
	switch (chunked->state) {
	case HTTP1_CHUNKED_SIZE:
		return http1_chunked_size(chunked, c);
	case HTTP1_CHUNKED_EXTENSION:
		return http1_chunked_text(chunked, c, HTTP1_CHUNKED_SIZE_LF);
	case HTTP1_CHUNKED_SIZE_LF:
		chunked->n_digits = 0;
		return http1_chunked_expect(chunked, c == '\n',
			chunked->left ? HTTP1_CHUNKED_DATA : HTTP1_CHUNKED_TRAILER);
	case HTTP1_CHUNKED_DATA_CR:
		return http1_chunked_expect(chunked, c == '\r', HTTP1_CHUNKED_DATA_LF);
	case HTTP1_CHUNKED_DATA_LF:
		return http1_chunked_expect(chunked, c == '\n', HTTP1_CHUNKED_SIZE);
	case HTTP1_CHUNKED_TRAILER:
	case HTTP1_CHUNKED_TRAILER_NAME:
		return http1_chunked_trailer(chunked, c);
	case HTTP1_CHUNKED_TRAILER_VALUE:
		return http1_chunked_text(chunked, c, HTTP1_CHUNKED_TRAILER_LF);
	case HTTP1_CHUNKED_TRAILER_LF:
		return http1_chunked_expect(chunked, c == '\n', HTTP1_CHUNKED_TRAILER);
	case HTTP1_CHUNKED_LAST_LF:
		return http1_chunked_expect(chunked, c == '\n', HTTP1_CHUNKED_DONE);
	case HTTP1_CHUNKED_DATA:
	case HTTP1_CHUNKED_DONE:
		break;
	}
	return false;
}

int
http1_chunked_feed(struct http1_chunked *chunked, struct str bytes, size_t *ret_used,
	struct str *ret_data, struct err *err)
{
	size_t used = 0;

	*ret_data = STR_NONE;
	while (used < bytes.len && chunked->state != HTTP1_CHUNKED_DATA &&
		chunked->state != HTTP1_CHUNKED_DONE)
		if (!http1_chunked_step(chunked, bytes.at[used++]))
			return err_set(err, ERR_INVALID, "the chunked body is malformed");
	if (chunked->state == HTTP1_CHUNKED_DATA) {
		size_t n = bytes.len - used;

		if (n > chunked->left)
			n = (size_t)chunked->left;
		*ret_data = str_n(bytes.at + used, n);
		used += n;
		chunked->left -= n;
		if (chunked->left == 0)
			chunked->state = HTTP1_CHUNKED_DATA_CR;
	}
	*ret_used = used;
	return chunked->state == HTTP1_CHUNKED_DONE ? 1 : 0;
}
