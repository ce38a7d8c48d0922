/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_call - a request becomes a call, and what the call answers goes back to who asked.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/own.h"
#include "connect/vcd_inside.h"
#include "domain/call.h"
#include "domain/org.h"

#define ANSWER_BYTES_MAX (8u << 20) /* a broker holds it whole, and once more as base64 */
#define IDENTITY_HEADERS 3

struct vcd_call {
	struct vcd *vcd;   /* borrowed: outlives its calls */
	struct call *call; /* NULL when it is over */
	char id[VCD_MESSAGE_ID_SIZE], call_id[ID_ULID_SIZE];
	struct vcd_return to;
	struct loop_timer timer; /* as long as vCD waits */
	int status;
	struct http_header headers[VCD_MESSAGE_HEADERS_MAX]; /* into `text` */
	size_t n_headers;
	char *text; /* owned */
	struct buf body;
};

void
vcd_call_return_done(struct vcd_return *to)
{
	free(to->exchange);
	free(to->key);
	free(to->correlation);
	*to = (struct vcd_return){0};
}

/* ---- what goes back ---- */

static void
send_error(struct vcd *vcd, const char *id, const char *call_id, const struct vcd_return *to,
	const struct err *err) ON_LOOP
{
	OWN(json)
	json_t *json = json_pack("{s:s, s:s}", "code", err_word(err->code), "message", err->text);
	const struct http_header headers[] = {
		{STR("content-type"), STR("application/json")},
		{STR("x-mayfly-error"), str_of(err_word(err->code))},
		{STR("x-call-id"), str_of(call_id ? call_id : "")},
	};
	OWN(buf) struct buf body = BUF_INIT;

	must(json);
	if (call_id)
		json_object_set_new(json, "call_id", json_string(call_id));
	json_write(json, &body);
	const struct vcd_answer answer = {.id = id,
		.status = err_http_status(err->code),
		.headers = headers,
		.n_headers = call_id ? 3 : 2,
		.body = buf_str(&body)};

	to->send(vcd, to, &answer);
}

void
vcd_call_refuse(struct vcd *vcd, const char *id, const struct vcd_return *to, const struct err *err)
{
	send_error(vcd, id, NULL, to, err);
}

/* ---- the end ---- */

static void
call_freed(struct loop_timer *timer)
{
	struct vcd_call *call = list_owner(timer, struct vcd_call, timer);

	vcd_call_return_done(&call->to);
	buf_done(&call->body);
	free(call->text);
	free(call);
}

static void
call_over(struct vcd_call *call) ON_LOOP
{
	call->call = NULL;
	call->vcd->stats.n_calls--;
	loop_timer_close(&call->timer, call_freed);
}

static void
call_fail(struct vcd_call *call, const struct err *err) ON_LOOP
{
	send_error(call->vcd, call->id, call->call_id, &call->to, err);
	call_over(call);
}

/* ---- what the function says ---- */

static void
on_head(struct call *one, int status, const struct http_header *headers, size_t n, void *arg)
{
	struct vcd_call *call = arg;
	size_t size = 1;
	char *at;

	n = n > VCD_MESSAGE_HEADERS_MAX - 1 ? VCD_MESSAGE_HEADERS_MAX - 1 : n;
	for (size_t i = 0; i < n; i++)
		size += headers[i].name.len + headers[i].value.len;
	call->status = status;
	call->text = at = mem_new(size);
	for (size_t i = 0; i < n; i++) {
		struct http_header *copy = &call->headers[i];

		copy->name = str_n(at, headers[i].name.len);
		at = (char *)mempcpy(at, headers[i].name.at, headers[i].name.len);
		copy->value = str_n(at, headers[i].value.len);
		at = (char *)mempcpy(at, headers[i].value.at, headers[i].value.len);
	}
	call->headers[n] =
		(struct http_header){STR("x-call-id"), str_n(call->call_id, ID_ULID_SIZE - 1)};
	call->n_headers = n + 1;
}

static void
on_body(struct call *one, struct str bytes, void *arg)
{
	struct vcd_call *call = arg;

	if (call->body.len <= ANSWER_BYTES_MAX)
		buf_add_str(&call->body, bytes);
}

static void
on_end(struct call *one, const struct call_figures *figures, void *arg)
{
	struct vcd_call *call = arg;
	const struct vcd_answer answer = {.id = call->id,
		.status = call->status,
		.headers = call->headers,
		.n_headers = call->n_headers,
		.body = buf_str(&call->body)};
	struct err err = {0};

	thread_on_loop();
	if (call->body.len > ANSWER_BYTES_MAX) {
		call->vcd->stats.n_failed++;
		err_set(&err, ERR_ANSWER_TOO_LARGE, "the answer has more than %u bytes",
			ANSWER_BYTES_MAX);
		call_fail(call, &err);
		return;
	}
	call->vcd->stats.n_answered++;
	call->to.send(call->vcd, &call->to, &answer);
	call_over(call);
}

static void
on_failure(struct call *one, const struct err *reason, struct str trace,
	const struct call_figures *figures, void *arg)
{
	struct vcd_call *call = arg;

	thread_on_loop();
	call->vcd->stats.n_failed++;
	call_fail(call, reason);
}

static void
on_late(struct loop_timer *timer)
{
	struct vcd_call *call = list_owner(timer, struct vcd_call, timer);
	struct err err = {0};

	thread_on_loop();
	call->vcd->stats.n_timeouts++;
	call_leave(call->call);
	err_set(&err, ERR_TIMEOUT, "no answer within the %u ms that vCloud Director waits",
		call->vcd->config.timeout_ms);
	call_fail(call, &err);
}

/* ---- the call ---- */

static struct function *
find_function(const struct vcd *vcd, const struct vcd_request *request, struct buf *route,
	struct str *ret_rest, struct err *err) ON_LOOP
{
	struct function *function = NULL;
	const struct org *org = NULL;
	struct str path = STR_NONE;
	char name[64] = "";

	if (vcd_org_path(&vcd->orgs, buf_str(&request->path), name, &path, NULL) == 0 &&
		http_percent_decode(path, false, route))
		org = org_find(vcd->config.domain, str_of(name));
	if (org && !org->is_deleting)
		function = function_route(org, buf_str(route), ret_rest);
	if (!function)
		err_set(err, ERR_NOT_FOUND, "there is no function at this path");
	return function;
}

/* Who asks is what vCD knows, not what the client says; and what the client logged in at vCD with
 * is for vCD alone: whoever has it is that user there. */
static bool
is_kept_back(struct str name)
{
	static const char *const names[] = {"authorization", "cookie", "x-vcloud-authorization",
		"x-vmware-vcloud-access-token"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(name, str_of(names[i])))
			return true;
	return str_starts(name, STR("x-vcloud-user")) || str_starts(name, STR("x-vcloud-org")) ||
	       str_starts(name, STR("x-vcloud-rights"));
}

static void
write_rights(const json_t *rights, struct buf *out)
{
	const json_t *right;
	size_t i;

	json_array_foreach (rights, i, right)
		buf_printf(out, "%s%s", i ? "," : "", json_string_value(right));
}

static size_t
call_headers(const struct vcd_request *request, struct str rights, struct http_header *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < request->n_headers; i++)
		if (!is_kept_back(request->headers[i].name))
			ret[n++] = request->headers[i];
	ret[n++] = (struct http_header){STR("x-vcloud-user"), str_of(request->user)};
	ret[n++] = (struct http_header){STR("x-vcloud-org"), str_of(request->org)};
	ret[n++] = (struct http_header){STR("x-vcloud-rights"), rights};
	return n;
}

static void
write_event(const struct vcd_call *call, const struct vcd_request *request,
	const struct function *function, struct str rest, struct buf *out) ON_LOOP
{
	struct http_header headers[VCD_MESSAGE_HEADERS_MAX + IDENTITY_HEADERS];
	OWN(buf) struct buf rights = BUF_INIT;
	OWN(buf) struct buf target = BUF_INIT;
	struct http_request http = {
		.method = str_of(request->method),
		.path = buf_str(&request->path),
		.query = buf_str(&request->query),
		.scheme = request->scheme[0] ? request->scheme : "https",
		.version = request->protocol[0] ? request->protocol : "HTTP/1.1",
		.peer = request->peer,
		.headers = headers,
		.body = buf_str(&request->body),
	};

	write_rights(request->rights, &rights);
	buf_printf(&target, "%.*s%s%.*s", STR_ARG(http.path), http.query.len ? "?" : "",
		STR_ARG(http.query));
	http.target = buf_str(&target);
	http.n_headers = call_headers(request, buf_str(&rights), headers);
	http.authority = http_header(&http, "host");
	call->vcd->config.write_event(&http, function,
		rest.len ? str_n(rest.at + 1, rest.len - 1) : STR_NONE, call->call_id, out);
}

static struct vcd_call *
call_new(struct vcd *vcd, const struct vcd_request *request, struct vcd_return *to) ON_LOOP
{
	struct vcd_call *call = mem_new(sizeof(*call));

	call->vcd = vcd;
	memcpy(call->id, request->id, sizeof(call->id));
	id_ulid(call->call_id);
	call->to = *to;
	*to = (struct vcd_return){0};
	vcd->stats.n_calls++;
	loop_timer_start(vcd->config.domain->loop, &call->timer, vcd->config.timeout_ms, on_late);
	return call;
}

static void
call_run(struct vcd_call *call, struct vcd_request *request, struct function *function,
	struct str rest) ON_LOOP
{
	const struct call_events events = {.on_head = on_head,
		.on_body = on_body,
		.on_end = on_end,
		.on_failure = on_failure,
		.arg = call};
	struct call_request one = {.function = function,
		.trigger = FRAME_HTTP,
		.method = str_of(request->method),
		.path = buf_str(&request->path)};
	OWN(buf) struct buf head = BUF_INIT;
	struct call *started;

	write_event(call, request, function, rest, &head);
	memcpy(one.id, call->call_id, sizeof(one.id));
	one.head = buf_str(&head);
	one.body = buf_take(&request->body, &one.body_len);
	started = call_start(call->vcd->config.domain, &one, &events);
	if (started)
		call->call = started;
}

void
vcd_call_begin(struct vcd *vcd, struct vcd_request *request, struct vcd_return *to)
{
	OWN(buf) struct buf route = BUF_INIT;
	struct str rest = STR_NONE;
	struct err err = {0};
	struct function *function = find_function(vcd, request, &route, &rest, &err);

	if (function) {
		call_run(call_new(vcd, request, to), request, function, rest);
		return;
	}
	vcd->stats.n_refused++;
	vcd_call_refuse(vcd, request->id, to, &err);
}
