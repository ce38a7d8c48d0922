/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http1_parse.h"

#include <stdlib.h>

/* The request line's method, spaces and version beside the target. */
#define HTTP1_LINE_EXTRA 64
#define HTTP1_METHOD_MAX 32

void
http1_head_init(struct http1_head *head, const struct http1_limits *limits)
{
	*head = (struct http1_head){.limits = *limits};
}

void
http1_head_reset(struct http1_head *head)
{
	buf_clear(&head->bytes);
	head->n_fields = 0;
	head->line = 0;
	head->n_blank = 0;
	head->has_first = false;
}

void
http1_head_done(struct http1_head *head)
{
	buf_done(&head->bytes);
	free(head->fields);
	free(head->headers);
}

bool
http1_head_is_begun(const struct http1_head *head)
{
	return head->bytes.len > 0 || head->n_blank > 0;
}

/* ---- bytes to lines ---- */

/* Bytes that stand for themselves in a head: all but controls, DEL excluded; TAB is left to where
 * the line is read. */
static const bool http1_plain[256] = {
	['\t'] = 1,
	[0x20 ... 0x7e] = 1,
	[0x80 ... 0xff] = 1,
};

/* Copies bytes up to and with the line's end. 1: the line is complete; 0: more is needed. */
static int
http1_take_line(struct http1_head *head, struct str bytes, size_t *ret_used, struct err *err)
{
	char before = head->bytes.len > head->line ? head->bytes.at[head->bytes.len - 1] : '\0';
	size_t n = 0;

	for (; n < bytes.len; n++) {
		char c = bytes.at[n];

		if (before != '\r' && bytes.len - n >= 8 && http_are_plain(bytes.at + n)) {
			before = c;
			n += 7;
			continue;
		}
		if (http1_plain[(unsigned char)c] && before != '\r') {
			before = c;
			continue;
		}
		if (c == '\n' && before == '\r') {
			buf_add(&head->bytes, bytes.at, n + 1);
			*ret_used = n + 1;
			return 1;
		}
		if (c != '\r' || before == '\r')
			return err_set(err, ERR_INVALID,
				"the request head has a bare CR, a bare LF or a control character");
		before = c;
	}
	buf_add(&head->bytes, bytes.at, n);
	*ret_used = n;
	return 0;
}

static int
http1_check_size(const struct http1_head *head, struct err *err)
{
	size_t line = head->bytes.len - head->line;

	if (!head->has_first && line > head->limits.target_bytes + HTTP1_LINE_EXTRA)
		return err_set(err, ERR_URI_TOO_LONG, "the request target has more than %zu bytes",
			head->limits.target_bytes);
	if (head->bytes.len > head->limits.block_bytes)
		return err_set(err, ERR_HEADERS_TOO_LARGE,
			"the request head has more than %zu bytes", head->limits.block_bytes);
	return 0;
}

/* ---- the request line ---- */

static int
http1_parse_version(struct http1_head *head, struct str version, struct err *err)
{
	if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 || version.at[5] < '0' ||
		version.at[5] > '9' || version.at[6] != '.' || version.at[7] < '0' ||
		version.at[7] > '9')
		return err_set(err, ERR_INVALID, "the request line does not end in HTTP/1.1");
	if (version.at[5] != '1' || version.at[7] > '1')
		return err_set(err, ERR_VERSION, "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken");
	head->minor = (unsigned)(version.at[7] - '0');
	return 0;
}

/* Visible US-ASCII without '#': a fragment is never sent. */
static bool
http1_is_target(struct str target)
{
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.at[i];

		if (c <= 0x20 || c >= 0x7f || c == '#')
			return false;
	}
	return target.len > 0;
}

static struct http1_field
http1_field_of(const struct http1_head *head, struct str name, struct str value)
{
	return (struct http1_field){
		.name = (uint32_t)(name.at - head->bytes.at),
		.name_len = (uint32_t)name.len,
		.value = (uint32_t)(value.at - head->bytes.at),
		.value_len = (uint32_t)value.len,
	};
}

static int
http1_parse_first(struct http1_head *head, struct str line, struct err *err)
{
	struct str rest = line;
	struct str method = str_cut(&rest, ' ');
	struct str target = str_cut(&rest, ' ');
	int rc;

	if (!http_is_token(method) || !http1_is_target(target))
		return err_set(err, ERR_INVALID, "the request line is malformed");
	rc = http1_parse_version(head, rest, err);
	if (rc < 0)
		return rc;
	if (method.len > HTTP1_METHOD_MAX)
		return err_set(err, ERR_UNIMPLEMENTED, "the method's name is too long");
	if (target.len > head->limits.target_bytes)
		return err_set(err, ERR_URI_TOO_LONG, "the request target has more than %zu bytes",
			head->limits.target_bytes);
	head->first = http1_field_of(head, method, target);
	head->has_first = true;
	return 0;
}

/* ---- header fields ---- */

static const unsigned char http1_lower[256] = {
	['!'] = '!',
	['#'] = '#',
	['$'] = '$',
	['%'] = '%',
	['&'] = '&',
	['\''] = '\'',
	['*'] = '*',
	['+'] = '+',
	['-'] = '-',
	['.'] = '.',
	['^'] = '^',
	['_'] = '_',
	['`'] = '`',
	['|'] = '|',
	['~'] = '~',
	['0'] = '0',
	['1'] = '1',
	['2'] = '2',
	['3'] = '3',
	['4'] = '4',
	['5'] = '5',
	['6'] = '6',
	['7'] = '7',
	['8'] = '8',
	['9'] = '9',
	['A'] = 'a',
	['B'] = 'b',
	['C'] = 'c',
	['D'] = 'd',
	['E'] = 'e',
	['F'] = 'f',
	['G'] = 'g',
	['H'] = 'h',
	['I'] = 'i',
	['J'] = 'j',
	['K'] = 'k',
	['L'] = 'l',
	['M'] = 'm',
	['N'] = 'n',
	['O'] = 'o',
	['P'] = 'p',
	['Q'] = 'q',
	['R'] = 'r',
	['S'] = 's',
	['T'] = 't',
	['U'] = 'u',
	['V'] = 'v',
	['W'] = 'w',
	['X'] = 'x',
	['Y'] = 'y',
	['Z'] = 'z',
	['a'] = 'a',
	['b'] = 'b',
	['c'] = 'c',
	['d'] = 'd',
	['e'] = 'e',
	['f'] = 'f',
	['g'] = 'g',
	['h'] = 'h',
	['i'] = 'i',
	['j'] = 'j',
	['k'] = 'k',
	['l'] = 'l',
	['m'] = 'm',
	['n'] = 'n',
	['o'] = 'o',
	['p'] = 'p',
	['q'] = 'q',
	['r'] = 'r',
	['s'] = 's',
	['t'] = 't',
	['u'] = 'u',
	['v'] = 'v',
	['w'] = 'w',
	['x'] = 'x',
	['y'] = 'y',
	['z'] = 'z',
};

/* Length of the token that the line begins with, which becomes lower case in place. */
static size_t
http1_lower_name(char *line, size_t len)
{
	size_t n = 0;

	while (n < len && http1_lower[(unsigned char)line[n]]) {
		line[n] = (char)http1_lower[(unsigned char)line[n]];
		n++;
	}
	return n;
}

static int
http1_parse_field(struct http1_head *head, char *line, size_t len, struct err *err)
{
	size_t n = http1_lower_name(line, len);
	struct str value;

	if (n == 0 && (line[0] == ' ' || line[0] == '\t'))
		return err_set(err, ERR_INVALID, "a header line begins with white space");
	if (n == 0 || n == len || line[n] != ':')
		return err_set(
			err, ERR_INVALID, "a header line has no valid name before its colon");
	if (head->n_fields == head->limits.n_headers)
		return err_set(err, ERR_HEADERS_TOO_LARGE, "the request has more than %u headers",
			head->limits.n_headers);
	if (head->n_fields == head->fields_cap) {
		head->fields_cap = head->fields_cap ? head->fields_cap * 2 : 16;
		head->fields = mem_grow(head->fields, head->fields_cap * sizeof(head->fields[0]));
		head->headers =
			mem_grow(head->headers, head->fields_cap * sizeof(head->headers[0]));
	}
	value = str_trim(str_n(line + n + 1, len - n - 1));
	head->fields[head->n_fields++] = http1_field_of(head, str_n(line, n), value);
	return 0;
}

/* ---- the complete head ---- */

/* Which headers were met that may stand only once. */
struct http1_seen {
	bool host, length, coding;
};

static int
http1_take_length(
	struct http1_head *head, struct http1_seen *seen, struct str value, struct err *err)
{
	if (seen->length)
		return err_set(err, ERR_INVALID, "the request has two Content-Length headers");
	seen->length = true;
	if (!str_to_u64(value, &head->content_length))
		return err_set(err, ERR_INVALID, "Content-Length is not a decimal number");
	head->body = head->content_length ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
	return 0;
}

static int
http1_take_coding(
	struct http1_head *head, struct http1_seen *seen, struct str value, struct err *err)
{
	if (seen->coding)
		return err_set(err, ERR_INVALID, "the request has two Transfer-Encoding headers");
	if (head->minor == 0)
		return err_set(err, ERR_INVALID, "HTTP/1.0 has no Transfer-Encoding");
	seen->coding = true;
	if (value.len == 0)
		return err_set(err, ERR_INVALID, "Transfer-Encoding is empty");
	if (!str_eq_case(value, STR("chunked")))
		return err_set(err, ERR_UNIMPLEMENTED, "the only Transfer-Encoding is chunked");
	return 0;
}

static void
http1_take_connection(struct http1_head *head, struct str value)
{
	while (value.len) {
		struct str option = str_trim(str_cut(&value, ','));

		if (str_eq_case(option, STR("close")))
			head->is_keep_alive = false;
		else if (head->minor == 0 && str_eq_case(option, STR("keep-alive")))
			head->is_keep_alive = true;
	}
}

static int
http1_take_expect(struct http1_head *head, struct str value, struct err *err)
{
	if (head->minor == 0)
		return 0;
	if (!str_eq_case(value, STR("100-continue")))
		return err_set(err, ERR_EXPECTATION, "the only expectation met is 100-continue");
	head->expects_continue = true;
	return 0;
}

static int
http1_take_host(struct http1_head *head, struct http1_seen *seen, struct str value, struct err *err)
{
	if (seen->host)
		return err_set(err, ERR_INVALID, "the request has two Host headers");
	seen->host = true;
	if (!http_is_authority(value))
		return err_set(err, ERR_INVALID, "Host is not a name with an optional port");
	head->authority = value;
	return 0;
}

static int
http1_take_header(struct http1_head *head, struct http1_seen *seen,
	const struct http_header *header, struct err *err)
{
	switch (header->name.len) {
	case 4:
		if (memcmp(header->name.at, "host", 4) == 0)
			return http1_take_host(head, seen, header->value, err);
		break;
	case 6:
		if (memcmp(header->name.at, "expect", 6) == 0)
			return http1_take_expect(head, header->value, err);
		break;
	case 10:
		if (memcmp(header->name.at, "connection", 10) == 0)
			http1_take_connection(head, header->value);
		break;
	case 14:
		if (memcmp(header->name.at, "content-length", 14) == 0)
			return http1_take_length(head, seen, header->value, err);
		break;
	case 17:
		if (memcmp(header->name.at, "transfer-encoding", 17) == 0)
			return http1_take_coding(head, seen, header->value, err);
		break;
	}
	return 0;
}

/* "http://host/path" (RFC 9112 3.2.2): its host replaces what Host says. */
static int
http1_take_absolute(struct http1_head *head, struct err *err)
{
	struct str rest = head->target;
	size_t n = 0;
	size_t scheme = str_eq_case(str_n(rest.at, rest.len < 7 ? rest.len : 7), STR("http://")) ? 7
			: str_eq_case(str_n(rest.at, rest.len < 8 ? rest.len : 8), STR("https://"))
				? 8
				: 0;

	if (scheme == 0)
		return err_set(err, ERR_INVALID, "the request target does not begin with a slash");
	rest = str_n(rest.at + scheme, rest.len - scheme);
	while (n < rest.len && rest.at[n] != '/' && rest.at[n] != '?')
		n++;
	head->authority = str_n(rest.at, n);
	if (!http_is_authority(head->authority))
		return err_set(err, ERR_INVALID, "the request target has no valid host");
	head->target = str_n(rest.at + n, rest.len - n);
	head->is_absolute = true;
	if (n == rest.len)
		head->target = STR("/");
	else if (rest.at[n] == '?')
		return err_set(err, ERR_INVALID, "the request target has no path");
	return 0;
}

/* "host:port" alone (RFC 9112 3.2.3). */
static int
http1_take_connect(struct http1_head *head, struct err *err)
{
	if (!head->limits.takes_connect)
		return err_set(err, ERR_METHOD, "this server is no proxy");
	if (!http_is_authority(head->target) || !http_has_port(head->target))
		return err_set(err, ERR_INVALID, "the request target is not a host with a port");
	head->authority = head->target;
	head->path = head->query = STR_NONE;
	return 0;
}

static int
http1_take_target(struct http1_head *head, struct err *err)
{
	int rc = 0;

	if (str_eq(head->method, STR("CONNECT")))
		return http1_take_connect(head, err);
	if (head->target.at[0] != '/' &&
		!(str_eq(head->target, STR("*")) && str_eq(head->method, STR("OPTIONS"))))
		rc = http1_take_absolute(head, err);
	head->query = head->target;
	head->path = str_cut(&head->query, '?');
	return rc;
}

static int
http1_finish(struct http1_head *head, struct err *err)
{
	struct http1_seen seen = {false};
	const char *at = head->bytes.at;
	int rc;

	head->method = str_n(at + head->first.name, head->first.name_len);
	head->target = str_n(at + head->first.value, head->first.value_len);
	head->authority = STR_NONE;
	head->body = HTTP1_BODY_NONE;
	head->content_length = 0;
	head->is_keep_alive = head->minor > 0;
	head->expects_continue = false;
	head->is_absolute = false;
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http1_field *field = &head->fields[i];

		head->headers[i].name = str_n(at + field->name, field->name_len);
		head->headers[i].value = str_n(at + field->value, field->value_len);
		rc = http1_take_header(head, &seen, &head->headers[i], err);
		if (rc < 0)
			return rc;
	}
	if (seen.length && seen.coding)
		return err_set(err, ERR_INVALID,
			"the request has both Content-Length and Transfer-Encoding");
	if (seen.coding)
		head->body = HTTP1_BODY_CHUNKED;
	if (!seen.host && head->minor > 0)
		return err_set(err, ERR_INVALID, "the request has no Host header");
	rc = http1_take_target(head, err);
	return rc < 0 ? rc : 1;
}

/* One line, its CR LF in it. RFC 9112 2.2 asks to overlook an empty line before the request. */
static int
http1_parse_line(struct http1_head *head, struct err *err)
{
	char *line = head->bytes.at + head->line;
	size_t len = head->bytes.len - head->line - 2;
	int rc;

	if (!head->has_first && len == 0) {
		if (head->n_blank++ > 0)
			return err_set(err, ERR_INVALID, "the request begins with empty lines");
		buf_clear(&head->bytes);
		return 0;
	}
	if (!head->has_first)
		rc = http1_parse_first(head, str_n(line, len), err);
	else if (len)
		rc = http1_parse_field(head, line, len, err);
	else
		rc = http1_finish(head, err);
	head->line = head->bytes.len;
	return rc;
}

/* A piece longer than what the head may still grow is not copied whole. */
static struct str
http1_bounded(const struct http1_head *head, struct str bytes)
{
	size_t room = head->limits.block_bytes + 1 - head->bytes.len;

	return str_n(bytes.at, bytes.len < room ? bytes.len : room);
}

int
http1_head_feed(struct http1_head *head, struct str bytes, size_t *ret_used, struct err *err)
{
	size_t used = 0;
	bool is_line;
	int rc = 0;

	while (rc == 0 && used < bytes.len) {
		struct str rest = str_n(bytes.at + used, bytes.len - used);
		size_t n = 0;

		rc = http1_take_line(head, http1_bounded(head, rest), &n, err);
		used += n;
		if (rc < 0)
			return rc;
		is_line = rc == 1;
		rc = http1_check_size(head, err);
		if (rc == 0 && is_line)
			rc = http1_parse_line(head, err);
	}
	*ret_used = used;
	return rc;
}
