/* SPDX-License-Identifier: Apache-2.0 */
#include "lambda_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX  (64u << 10)
#define READ_SIZE (64u << 10)

static void
eat(struct mf_bytes *bytes, size_t n)
{
	bytes->size -= n;
	memmove(bytes->at, bytes->at + n, bytes->size);
}

/* One line without its CRLF, terminated in place; NULL while it is not whole. *ret_size counts
 * what it takes from the bytes. */
static char *
line_of(struct mf_bytes *bytes, size_t *ret_size)
{
	char *end = bytes->size ? memchr(bytes->at, '\n', bytes->size) : NULL;

	if (!end)
		return NULL;
	*ret_size = (size_t)(end - bytes->at) + 1;
	if (end > bytes->at && end[-1] == '\r')
		end--;
	*end = '\0';
	return bytes->at;
}

static void
keep_header(struct mf_bytes *lines, char *line)
{
	char *colon = strchr(line, ':');

	if (!colon)
		return;
	for (char *at = line; at < colon; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at | 0x20) : *at;
	mf_bytes_add(lines, line, (size_t)(colon - line) + 1);
	mf_bytes_print(lines, colon + 1 + strspn(colon + 1, " \t"));
	mf_bytes_print(lines, "\n");
}

bool
lambda_http_header(const struct mf_bytes *lines, const char *name, char *ret, size_t size)
{
	size_t n = strlen(name);

	for (const char *at = lines->size ? lines->at : NULL; at && *at;) {
		const char *end = strchr(at, '\n');

		if (strncmp(at, name, n) == 0 && at[n] == ':') {
			snprintf(ret, size, "%.*s", (int)(end - at - (long)n - 1), at + n + 1);
			return true;
		}
		at = end ? end + 1 : NULL;
	}
	return false;
}

static bool
begin_body(struct lambda_http *http)
{
	char value[64];

	http->left = 0;
	http->is_in_trailers = false;
	http->is_chunked =
		lambda_http_header(&http->headers, "transfer-encoding", value, sizeof(value));
	if (http->is_chunked && strcasecmp(value, "chunked") != 0)
		return false;
	if (!http->is_chunked &&
		lambda_http_header(&http->headers, "content-length", value, sizeof(value))) {
		if (!*value || value[strspn(value, "0123456789")] || strlen(value) > 9)
			return false;
		http->left = strtoull(value, NULL, 10);
	}
	http->is_last |= lambda_http_header(&http->headers, "connection", value, sizeof(value)) &&
			 strcasecmp(value, "close") == 0;
	/* curl asks before it sends more than a mebibyte. */
	if (lambda_http_header(&http->headers, "expect", value, sizeof(value)))
		mf_bytes_print(&http->out, "HTTP/1.1 100 Continue\r\n\r\n");
	http->state = http->is_chunked || http->left ? LAMBDA_BODY : LAMBDA_READY;
	return http->left <= LAMBDA_BODY_MAX;
}

static bool
begin_request(struct lambda_http *http, char *line)
{
	int minor;

	if (sscanf(line, "%15s %511s HTTP/1.%d", http->method, http->path, &minor) != 3)
		return false;
	http->is_last = minor == 0;
	http->headers.size = http->body.size = http->trailers.size = 0;
	return true;
}

/* Gives false for what is no head; *ret_more while there may be more to do. */
static bool
step_head(struct lambda_http *http, bool *ret_more)
{
	size_t size, taken = 0;
	char *blank = http->in.size ? memmem(http->in.at, http->in.size, "\r\n\r\n", 4) : NULL;
	bool is_first = true;

	*ret_more = blank != NULL;
	if (!blank)
		return http->in.size <= HEAD_MAX;
	taken = (size_t)(blank - http->in.at) + 4;
	for (;;) {
		char *line = line_of(&http->in, &size);

		if (is_first && !begin_request(http, line))
			return false;
		if (!*line)
			break;
		if (!is_first)
			keep_header(&http->headers, line);
		is_first = false;
		eat(&http->in, size);
		taken -= size;
	}
	eat(&http->in, taken);
	return begin_body(http);
}

static bool
take_some(struct lambda_http *http, bool *ret_more)
{
	size_t n = http->in.size < http->left ? http->in.size : (size_t)http->left;

	if (http->body.size + n > LAMBDA_BODY_MAX)
		return false;
	mf_bytes_add(&http->body, http->in.at, n);
	eat(&http->in, n);
	http->left -= n;
	*ret_more = n > 0;
	return true;
}

/* The line before a chunk, the empty one behind it, or a trailer. */
static bool
step_chunk_line(struct lambda_http *http, bool *ret_more)
{
	size_t size;
	char *line = line_of(&http->in, &size), *end;

	*ret_more = line != NULL;
	if (!line)
		return http->in.size <= HEAD_MAX;
	if (http->is_in_trailers && !*line) {
		http->state = LAMBDA_READY;
	} else if (http->is_in_trailers) {
		keep_header(&http->trailers, line);
	} else if (*line) {
		http->left = strtoull(line, &end, 16);
		if (end == line || http->left > LAMBDA_BODY_MAX || *line == '-')
			return false;
		http->is_in_trailers = http->left == 0;
	}
	eat(&http->in, size);
	return true;
}

static bool
step_body(struct lambda_http *http, bool *ret_more)
{
	bool is_right;

	if (http->is_chunked && !http->left)
		return step_chunk_line(http, ret_more);
	is_right = take_some(http, ret_more);
	if (!http->is_chunked && !http->left)
		http->state = LAMBDA_READY;
	return is_right;
}

static bool
step_all(struct lambda_http *http)
{
	bool has_more = true, is_right = true;

	while (has_more && is_right && http->state < LAMBDA_READY) {
		if (http->state == LAMBDA_HEAD)
			is_right = step_head(http, &has_more);
		else
			is_right = step_body(http, &has_more);
	}
	if (!is_right)
		http->state = LAMBDA_CLOSED;
	return is_right;
}

bool
lambda_http_read(struct lambda_http *http)
{
	char bytes[READ_SIZE];
	ssize_t n = recv(http->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		http->state = LAMBDA_CLOSED;
		return false;
	}
	mf_bytes_add(&http->in, bytes, (size_t)n);
	return step_all(http);
}

void
lambda_http_go_on(struct lambda_http *http)
{
	step_all(http);
}

void
lambda_http_answer(
	struct lambda_http *http, int status, const char *headers, const void *body, size_t size)
{
	char head[128];

	snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\ncontent-length: %zu\r\n", status,
		status < 300 ? "OK" : "Refused", size);
	mf_bytes_print(&http->out, head);
	mf_bytes_print(&http->out, headers);
	if (http->is_last)
		mf_bytes_print(&http->out, "connection: close\r\n");
	mf_bytes_print(&http->out, "\r\n");
	mf_bytes_add(&http->out, body, size);
	http->state = LAMBDA_HEAD;
	http->body.size = 0;
}

bool
lambda_http_write(struct lambda_http *http)
{
	while (http->out.size) {
		ssize_t n =
			send(http->fd, http->out.at, http->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0)
			return false;
		eat(&http->out, (size_t)n);
	}
	return !(http->is_last && http->state == LAMBDA_HEAD && http->method[0]);
}

void
lambda_http_done(struct lambda_http *http)
{
	static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	/* No port is left in TIME_WAIT, unless the client has yet to read what was sent. */
	if (!http->is_last)
		setsockopt(http->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(http->fd);
	mf_bytes_done(&http->in);
	mf_bytes_done(&http->out);
	mf_bytes_done(&http->headers);
	mf_bytes_done(&http->body);
	mf_bytes_done(&http->trailers);
}
