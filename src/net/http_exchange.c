/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_exchange.h"

#include "net/http_server_inside.h"

/* A body buffer up to this size stays for the connection's next request. */
#define HTTP_BODY_KEEP 4096

/* ---- inside ---- */

static void
http_exchange_release_body(struct http_exchange *exchange)
{
	exchange->server->stats.body_memory_bytes -= exchange->body_counted;
	exchange->body_counted = 0;
}

void
http_exchange_reset(struct http_exchange *exchange)
{
	http_exchange_release_body(exchange);
	if (exchange->body.cap > HTTP_BODY_KEEP)
		buf_done(&exchange->body);
	else
		buf_clear(&exchange->body);
	exchange->state = HTTP_EXCHANGE_NEW;
	exchange->is_bodiless = exchange->wants_drain = false;
	exchange->body_limit = exchange->server->limits.body_bytes;
	exchange->user = NULL;
	exchange->on_abort = NULL;
	exchange->on_drain = NULL;
}

void
http_exchange_done(struct http_exchange *exchange)
{
	http_exchange_release_body(exchange);
	buf_done(&exchange->body);
}

void
http_exchange_head(struct http_exchange *exchange)
{
	const struct http_handler *handler = &exchange->server->handler;

	exchange->state = HTTP_EXCHANGE_OPEN;
	exchange->server->stats.n_requests++;
	if (handler->on_head)
		handler->on_head(exchange, handler->arg);
}

void
http_exchange_request(struct http_exchange *exchange)
{
	const struct http_handler *handler = &exchange->server->handler;

	exchange->request.body = buf_str(&exchange->body);
	handler->on_request(exchange, handler->arg);
}

bool
http_exchange_refused(struct http_exchange *exchange, const struct err *reason)
{
	const struct http_handler *handler = &exchange->server->handler;

	if (handler->on_refused)
		handler->on_refused(exchange, reason, handler->arg);
	return exchange->state != HTTP_EXCHANGE_OPEN;
}

bool
http_exchange_is_open(const struct http_exchange *exchange)
{
	return exchange->state == HTTP_EXCHANGE_OPEN || exchange->state == HTTP_EXCHANGE_STREAMING;
}

void
http_exchange_abort(struct http_exchange *exchange)
{
	if (!http_exchange_is_open(exchange))
		return;
	exchange->state = HTTP_EXCHANGE_DEAD;
	if (exchange->on_abort)
		exchange->on_abort(exchange, exchange->abort_arg);
}

void
http_exchange_drained(struct http_exchange *exchange, size_t n)
{
	if (!exchange->wants_drain || n > HTTP_QUEUE_LOW ||
		exchange->state != HTTP_EXCHANGE_STREAMING)
		return;
	exchange->wants_drain = false;
	if (exchange->on_drain)
		exchange->on_drain(exchange, exchange->drain_arg);
}

int
http_exchange_check_length(const struct http_exchange *exchange, uint64_t length, struct err *err)
{
	if (length > exchange->body_limit)
		return err_set(err, ERR_TOO_LARGE, "the request body has more than %zu bytes",
			exchange->body_limit);
	return 0;
}

/* The memory counted is what is allocated: a body may be half as long. */
int
http_exchange_add_body(struct http_exchange *exchange, struct str bytes, struct err *err)
{
	struct http_server *server = exchange->server;
	int rc = http_exchange_check_length(exchange, exchange->body.len + bytes.len, err);

	if (rc < 0)
		return rc;
	if (server->stats.body_memory_bytes + bytes.len > server->limits.body_memory_bytes)
		return err_set(err, ERR_UNAVAILABLE,
			"the memory for request bodies is used up, try again");
	buf_add_str(&exchange->body, bytes);
	server->stats.body_memory_bytes += exchange->body.cap - exchange->body_counted;
	exchange->body_counted = exchange->body.cap;
	return 0;
}

/* RFC 9110 7.6.1 and the three that the server writes itself. */
static bool
http_exchange_is_own(struct str name)
{
	switch (name.len) {
	case 2:
		return str_eq(name, STR("te"));
	case 4:
		return str_eq(name, STR("date"));
	case 7:
		return str_eq(name, STR("upgrade")) || str_eq(name, STR("trailer"));
	case 10:
		return str_eq(name, STR("connection")) || str_eq(name, STR("keep-alive"));
	case 14:
		return str_eq(name, STR("content-length"));
	case 16:
		return str_eq(name, STR("proxy-connection"));
	case 17:
		return str_eq(name, STR("transfer-encoding"));
	}
	return false;
}

bool
http_exchange_may_send(const struct http_header *header)
{
	return http_is_token(header->name) && http_is_value(header->value) &&
	       !http_exchange_is_own(header->name);
}

size_t
http_exchange_error_headers(int code, struct http_header ret[static HTTP_ERROR_HEADERS])
{
	ret[0] = (struct http_header){STR("content-type"), STR("application/json")};
	ret[1] = (struct http_header){STR("x-mayfly-error"), str_of(err_word(code))};
	ret[2] = (struct http_header){STR("retry-after"), STR("1")};
	return err_http_status(code) == 503 ? 3 : 2;
}

void
http_exchange_write_error(struct http_server *server, int code, const char *text, struct buf *out)
{
	if (server->handler.write_error) {
		server->handler.write_error(code, text, out, server->handler.arg);
		return;
	}
	buf_printf(out, "{\"code\":\"%s\",\"message\":", err_word(code));
	buf_add_json(out, str_of(text));
	buf_add_text(out, "}\n");
}

/* ---- for the handler ---- */

const struct http_request *
http_request_of(struct http_exchange *exchange)
{
	return &exchange->request;
}

void
http_set_user(struct http_exchange *exchange, void *user)
{
	exchange->user = user;
}

void *
http_user(struct http_exchange *exchange)
{
	return exchange->user;
}

bool
http_is_bodiless(const struct http_exchange *exchange)
{
	return exchange->is_bodiless;
}

void
http_limit_body(struct http_exchange *exchange, size_t bytes)
{
	exchange->body_limit = bytes;
}

char *
http_take_body(struct http_exchange *exchange, size_t *ret_len)
{
	char *bytes = NULL;

	*ret_len = 0;
	if (exchange->body.len > 0)
		bytes = buf_take(&exchange->body, ret_len);
	exchange->request.body = STR_NONE;
	return bytes;
}

void
http_on_abort(
	struct http_exchange *exchange, void (*on_abort)(struct http_exchange *, void *), void *arg)
{
	exchange->on_abort = on_abort;
	exchange->abort_arg = arg;
}

void
http_on_drain(
	struct http_exchange *exchange, void (*on_drain)(struct http_exchange *, void *), void *arg)
{
	exchange->on_drain = on_drain;
	exchange->drain_arg = arg;
}

static int
http_status_of(int status)
{
	return status < 200 || status > 599 ? 500 : status;
}

void
http_answer(struct http_exchange *exchange, int status, const struct http_header *headers,
	size_t n_headers, struct str body)
{
	must(exchange->state == HTTP_EXCHANGE_OPEN);
	exchange->state = HTTP_EXCHANGE_ANSWERED;
	exchange->ops->answer(exchange, http_status_of(status), headers, n_headers, body);
}

void
http_answer_begin(struct http_exchange *exchange, int status, const struct http_header *headers,
	size_t n_headers)
{
	must(exchange->state == HTTP_EXCHANGE_OPEN);
	exchange->state = HTTP_EXCHANGE_STREAMING;
	exchange->ops->begin(exchange, http_status_of(status), headers, n_headers);
}

size_t
http_answer_write(struct http_exchange *exchange, struct str bytes)
{
	size_t n;

	must(exchange->state == HTTP_EXCHANGE_STREAMING);
	n = exchange->ops->write(exchange, bytes);
	exchange->wants_drain = n > HTTP_QUEUE_LOW;
	return n;
}

void
http_answer_end(struct http_exchange *exchange)
{
	must(exchange->state == HTTP_EXCHANGE_STREAMING);
	exchange->state = HTTP_EXCHANGE_ANSWERED;
	exchange->ops->end(exchange);
}

void
http_answer_cut(struct http_exchange *exchange)
{
	must(exchange->state == HTTP_EXCHANGE_STREAMING);
	exchange->state = HTTP_EXCHANGE_ANSWERED;
	exchange->ops->cut(exchange);
}
