/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_error.h"

#include "base/log.h"
#include "base/own.h"

/* A client that is told to come back does so after this. */
#define API_ERROR_RETRY_S "1"

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

void
api_error_answer(struct http_exchange *exchange, const struct err *err, const char *call_id,
	const char *allow)
{
	OWN(buf) struct buf body = BUF_INIT;
	int status = err_http_status(err->code);
	struct http_header headers[6] = {{STR("content-type"), STR("application/json")},
		{STR("x-mayfly-error"), str_of(err_word(err->code))}};
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
	if (status == 429 || status == 503)
		headers[n++] = (struct http_header){STR("retry-after"), STR(API_ERROR_RETRY_S)};
	api_error_write(err, call_id, &body);
	http_answer(exchange, status, headers, n, buf_str(&body));
}
