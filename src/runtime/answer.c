/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/answer.h"

static const char *const answer_hop_by_hop[] = {
	"connection",
	"keep-alive",
	"proxy-authenticate",
	"proxy-authorization",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	NULL,
};

static bool
answer_is_hop_by_hop(struct str name)
{
	for (size_t i = 0; answer_hop_by_hop[i]; i++)
		if (str_eq(name, str_of(answer_hop_by_hop[i])))
			return true;
	return false;
}

static int
answer_parse_status(struct str line, struct answer *ret, struct err *err)
{
	uint64_t status = 0;

	if (line.len != 3 || !str_to_u64(line, &status))
		return err_set(err, ERR_ANSWER_INVALID,
			"the function's status is \"%.*s\", not a number of three digits",
			line.len < 40 ? (int)line.len : 40, line.at);
	if (status < 200 || status > 599)
		return err_set(err, ERR_ANSWER_INVALID,
			"the function's status is %.*s, it must be from 200 to 599", STR_ARG(line));
	ret->status = (int)status;
	return 0;
}

static void
answer_lower(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] |= 0x20;
}

static int
answer_parse_header(char *line, size_t len, struct answer *ret, struct err *err)
{
	char *colon = memchr(line, ':', len);
	struct str name = str_n(line, colon ? (size_t)(colon - line) : len);
	struct str value;
	int shown = name.len < 60 ? (int)name.len : 60;

	if (!colon || !http_is_token(name))
		return err_set(err, ERR_ANSWER_INVALID,
			"the function's answer has a header with the invalid name \"%.*s\"", shown,
			line);
	answer_lower(line, name.len);
	value = str_trim(str_n(colon + 1, len - name.len - 1));
	if (!http_is_value(value))
		return err_set(err, ERR_ANSWER_INVALID,
			"the function's header \"%.*s\" has a control character in its value",
			shown, line);
	if (answer_is_hop_by_hop(name))
		return err_set(err, ERR_ANSWER_INVALID,
			"the function's answer has the header \"%.*s\", which belongs to the "
			"connection "
			"and not to the function",
			shown, line);
	if (str_eq(name, STR("content-length")))
		return 0;
	if (ret->n == ANSWER_HEADERS)
		return err_set(err, ERR_ANSWER_INVALID,
			"the function's answer has more than %d headers", ANSWER_HEADERS);
	ret->headers[ret->n++] = (struct http_header){name, value};
	return 0;
}

int
answer_parse(char *text, size_t len, struct answer *ret, struct err *err)
{
	char *at = text, *end = text + len;
	bool is_first = true;

	ret->status = 0;
	ret->n = 0;
	if (len > ANSWER_HEAD_BYTES)
		return err_set(err, ERR_ANSWER_INVALID,
			"the head of the function's answer has %zu bytes, at most %d are allowed",
			len, ANSWER_HEAD_BYTES);
	if (len == 0 || end[-1] != '\n')
		return err_set(err, ERR_ANSWER_INVALID,
			"the head of the function's answer does not end with its last line");
	while (at < end) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)(stop - at);
		int rc = is_first ? answer_parse_status(str_n(at, n), ret, err)
				  : answer_parse_header(at, n, ret, err);

		if (rc < 0)
			return rc;
		is_first = false;
		at = stop + 1;
	}
	return 0;
}
