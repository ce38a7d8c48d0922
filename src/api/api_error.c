/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_error.h"

#include <stdio.h>

#include "base/log.h"
#include "base/own.h"

static bool
api_error_is_inner(int code)
{
	return code == ERR_SYSTEM || code == ERR_INTERNAL;
}

static void
api_error_member(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, ",\"%s\":", name);
	buf_add_json(out, str_of(value));
}

void
api_error_write(const struct err *err, const char *call_id, struct buf *out)
{
	const char *text = api_error_is_inner(err->code) || !err->text[0]
				   ? "the platform failed; its log has the reason"
				   : err->text;

	buf_printf(out, "{\"code\":\"%s\"", err_word(err->code));
	api_error_member(out, "message", text);
	if (err->field[0])
		api_error_member(out, "field", err->field);
	if (call_id)
		api_error_member(out, "call_id", call_id);
	buf_add_text(out, "}\n");
}

static void
api_error_log(const struct err *err, const struct http_exchange *exchange, const char *call_id)
{
	const struct http_request *http = http_request_of((struct http_exchange *)exchange);
	OWN(mem) char *path = str_dup(http->path);

	log_error("api.failed", "code=%s call=%s path=%s reason=%s", err_word(err->code),
		call_id ? call_id : "-", log_q(path), log_q(err->text));
}

/* Without a better guess a client that may come back does so after a second. */
static unsigned
api_error_retry_s(int status, unsigned retry_after_s)
{
	return retry_after_s == 0 && (status == 429 || status == 503) ? 1 : retry_after_s;
}

static void ON_LOOP
api_error_send(struct http_exchange *exchange, const struct err *err, const char *call_id,
	const char *allow, unsigned retry_after_s)
{
	OWN(buf) struct buf body = BUF_INIT;
	int status = err_http_status(err->code);
	struct http_header headers[6] = {{STR("content-type"), STR("application/json")},
		{STR("x-mayfly-error"), str_of(err_word(err->code))}};
	unsigned retry_s = api_error_retry_s(status, retry_after_s);
	char retry[16];
	size_t n = 2;

	if (api_error_is_inner(err->code))
		api_error_log(err, exchange, call_id);
	if (call_id)
		headers[n++] = (struct http_header){STR("x-call-id"), str_of(call_id)};
	if (allow)
		headers[n++] = (struct http_header){STR("allow"), str_of(allow)};
	if (status == 401)
		headers[n++] = (struct http_header){
			STR("www-authenticate"), STR("Bearer realm=\"mayfly\"")};
	snprintf(retry, sizeof(retry), "%u", retry_s);
	if (retry_s > 0)
		headers[n++] = (struct http_header){STR("retry-after"), str_of(retry)};
	api_error_write(err, call_id, &body);
	http_answer(exchange, status, headers, n, buf_str(&body));
}

void
api_error_answer(struct http_exchange *exchange, const struct err *err, const char *allow)
{
	api_error_send(exchange, err, NULL, allow, 0);
}

void
api_error_answer_call(struct http_exchange *exchange, const struct err *err, const char *call_id,
	unsigned retry_after_s)
{
	api_error_send(exchange, err, call_id, NULL, retry_after_s);
}
