/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/call.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/own.h"
#include "domain/call_log.h"
#include "domain/pool.h"
#include "domain/record.h"

enum { CALL_PATH_BYTES = 512, CALL_LOG_SLACK_BYTES = 16 * 1024 };

enum call_state { CALL_ADMITTED, CALL_WAITING, CALL_RUNNING, CALL_ANSWERING, CALL_DONE, CALL_N };

struct call {
	struct domain *domain;     /* borrowed */
	struct function *function; /* borrowed: lives while n_calls is not 0 */
	struct version *version;   /* held; NULL when there is none that could serve */
	enum call_state state;
	bool is_admitted; /* counted, found by its id, watched */
	bool is_left;     /* nobody waits for the answer */
	enum frame_trigger trigger;
	const char *origin; /* static; NULL for what the trigger says */
	struct call_events events;
	char id[ID_ULID_SIZE];
	char method[16];
	char *path; /* owned */
	char *head; /* owned while it waits */
	size_t head_len;
	char *body; /* owned until it is sent */
	size_t body_len;
	struct pool_place place;
	struct watchdog_entry watch;
	struct instance_call run;
	struct call_log log;
	uint64_t started_ms;           /* wall clock */
	uint64_t admitted_us, sent_us; /* monotonic; sent_us 0 while it waits */
	int status;                    /* the function's, 0 before its answer */
	uint64_t bytes_out;
	struct call_figures figures; /* from here on: when it is over, for its record */
	struct err reason;           /* code 0 when it went well */
};

/* The arrows of call.h's diagram. */
static const bool call_arrows[CALL_N][CALL_N] = {
	[CALL_ADMITTED] = {[CALL_WAITING] = true, [CALL_RUNNING] = true, [CALL_DONE] = true},
	[CALL_WAITING] = {[CALL_RUNNING] = true, [CALL_DONE] = true},
	[CALL_RUNNING] = {[CALL_ANSWERING] = true, [CALL_DONE] = true},
	[CALL_ANSWERING] = {[CALL_DONE] = true},
};

static void
call_go(struct call *call, enum call_state to)
{
	must(call_arrows[call->state][to]);
	call->state = to;
}

static void call_done(struct call *call, const struct err *reason, struct str trace) ON_LOOP;

/* ---- log ---- */

static void ON_LOOP
call_on_line(bool is_stderr, struct str line, void *arg)
{
	struct call *call = arg;

	record_line(call->domain->records, call->function->org->name, call->function->name,
		call->id, is_stderr, line);
}

static void
call_on_log(struct instance_call *run, bool is_stderr, struct str bytes)
{
	struct call *call = list_owner(run, struct call, run);

	call_log_add(&call->log, is_stderr, bytes, call_on_line, call);
}

/* ---- admit ---- */

/* Why a version cannot serve, or 0. */
static int
call_check_version(const struct version *version, struct err *err)
{
	if (version && version->state == VERSION_READY)
		return 0;
	if (version && version->state == VERSION_FAILED)
		return err_set(err, ERR_FUNCTION_FAILED, "version %u could not be made ready: %s",
			version->number, version->reason);
	return err_set(err, ERR_NOT_READY, "the function is not ready yet");
}

/* Without an active version, the newest says why. */
static struct version *
call_choose_version(const struct call_request *request)
{
	const struct function *function = request->function;

	if (request->version)
		return request->version;
	return function->active ? function->active
				: list_last(&function->versions, struct version, link);
}

static int
call_check(const struct call *call, const struct err *refusal, struct err *err)
{
	int rc;

	if (call->domain->is_stopping)
		return err_set(err, ERR_UNAVAILABLE, "mayfly is stopping");
	if (call->function->is_deleting)
		return err_set(err, ERR_NOT_READY, "the function is being deleted");
	rc = call_check_version(call->version, err);
	if (rc < 0)
		return rc;
	if (refusal) {
		*err = *refusal;
		return refusal->code;
	}
	if (call->body_len > call->version->config.limits.request_bytes)
		return err_set(err, ERR_TOO_LARGE,
			"the body has %zu bytes, the function takes %llu", call->body_len,
			(unsigned long long)call->version->config.limits.request_bytes);
	return 0;
}

static void call_on_deadline(struct watchdog_entry *entry) ON_LOOP;
static uint64_t call_watch_cpu(struct watchdog_entry *entry) ON_LOOP;
static void call_on_cpu(struct watchdog_entry *entry) ON_LOOP;

static int ON_LOOP
call_step_admit(struct call *call, const struct err *refusal, struct err *err)
{
	int rc = call_check(call, refusal, err);

	if (rc < 0)
		return rc;
	call->is_admitted = true;
	call->function->n_calls++;
	map_put(&call->domain->calls, str_n(call->id, sizeof(call->id) - 1), call);
	call->log.max_bytes = 2 * call->version->config.limits.log_bytes + CALL_LOG_SLACK_BYTES;
	call->watch.on_deadline = call_on_deadline;
	call->watch.cpu_us = call_watch_cpu;
	call->watch.on_cpu = call_on_cpu;
	watchdog_entry_init(&call->watch);
	return 0;
}

/* ---- place ---- */

static void call_step_run(struct call *call, struct str head) ON_LOOP;

static void ON_LOOP
call_on_placed(struct pool_place *place)
{
	struct call *call = list_owner(place, struct call, place);

	call_step_run(call, str_n(call->head, call->head_len));
}

static void ON_LOOP
call_on_refused(struct pool_place *place, const struct err *reason)
{
	call_done(list_owner(place, struct call, place), reason, STR_NONE);
}

static int ON_LOOP
call_step_place(struct call *call, struct str head, struct err *err)
{
	int rc;

	call->place.body_len = call->body_len;
	call->place.on_placed = call_on_placed;
	call->place.on_refused = call_on_refused;
	rc = pool_place(call->version->pool, &call->place, err);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		call_step_run(call, head);
		return 0;
	}
	call_go(call, CALL_WAITING);
	watchdog_wait(pool_watchdog(call->version->pool), &call->watch, call->admitted_us);
	call->head = str_dup(head);
	call->head_len = head.len;
	return 0;
}

/* ---- run ---- */

static void
call_on_head(struct instance_call *run, int status, const struct http_header *headers, size_t n)
{
	struct call *call = list_owner(run, struct call, run);

	call_go(call, CALL_ANSWERING);
	call->status = status;
	if (!call->is_left)
		call->events.on_head(call, status, headers, n, call->events.arg);
}

static void
call_on_body(struct instance_call *run, struct str bytes)
{
	struct call *call = list_owner(run, struct call, run);

	call->bytes_out += bytes.len;
	if (!call->is_left)
		call->events.on_body(call, bytes, call->events.arg);
}

static void call_leave_record(struct call *call) ON_LOOP;

static void
call_on_measured(struct instance_call *run)
{
	struct call *call = list_owner(run, struct call, run);

	thread_on_loop();
	call->figures.cpu_us = run->measure.cpu_us;
	call_leave_record(call);
}

static void ON_LOOP
call_on_end(struct instance_call *run)
{
	call_done(list_owner(run, struct call, run), NULL, STR_NONE);
}

static void ON_LOOP
call_on_failure(struct instance_call *run, const struct err *reason, struct str trace)
{
	call_done(list_owner(run, struct call, run), reason, trace);
}

static void
call_step_run(struct call *call, struct str head)
{
	struct instance_call *run = &call->run;

	call_go(call, CALL_RUNNING);
	call->sent_us = clock_mono_us();
	run->call_id = call->id;
	run->trigger = call->trigger;
	run->deadline_unix_ms = call->started_ms + (call->sent_us - call->admitted_us) / 1000 +
				call->version->config.limits.timeout_ms;
	run->head = head;
	run->body = str_n(call->body, call->body_len);
	run->on_head = call_on_head;
	run->on_body = call_on_body;
	run->on_end = call_on_end;
	run->on_failure = call_on_failure;
	run->on_log = call_on_log;
	run->on_measured = call_on_measured;
	watchdog_run(pool_watchdog(call->version->pool), &call->watch, call->sent_us);
	instance_send(call->place.instance, run);
	free(take_ptr(&call->head));
	free(take_ptr(&call->body));
}

/* ---- done ---- */

static void
call_write_figures(const struct call *call, const struct err *reason, struct call_figures *ret)
{
	uint64_t now_us = clock_mono_us();

	*ret = (struct call_figures){
		.queue_us = (call->sent_us ? call->sent_us : now_us) - call->admitted_us,
		.wall_us = call->sent_us ? now_us - call->sent_us : 0,
		.cpu_us = call->run.measure.cpu_us,
		.memory_peak_bytes = call->run.measure.memory_peak_bytes,
		.bytes_in = call->body_len,
		.bytes_out = call->bytes_out,
		.egress_in = call->run.measure.egress.in,
		.egress_out = call->run.measure.egress.out,
		.version = call->version ? call->version->number : 0,
		.is_cold = call->place.is_cold,
	};
	if (!reason)
		return;
	if (call->is_admitted && !call->sent_us && pool_is_why(call->version->pool, reason->code))
		ret->retry_after_s = pool_retry_after_s(call->version->pool);
	else if (reason->code == ERR_NOT_READY || reason->code == ERR_UNAVAILABLE)
		ret->retry_after_s = 1;
}

static void ON_LOOP
call_tell(struct call *call, const struct err *reason, struct str trace,
	const struct call_figures *figures)
{
	if (call->is_left)
		return;
	if (reason)
		call->events.on_failure(call, reason, trace, figures, call->events.arg);
	else
		call->events.on_end(call, figures, call->events.arg);
}

static const char *
call_trigger(const struct call *call)
{
	if (call->origin)
		return call->origin;
	return call->trigger == FRAME_HTTP ? "http" : "direct";
}

static void ON_LOOP
call_record(struct call *call, const struct err *reason, const struct call_figures *figures)
{
	struct row_call row;

	memcpy(row.id, call->id, sizeof(row.id));
	memcpy(row.org, call->function->org->name, sizeof(row.org));
	memcpy(row.function, call->function->name, sizeof(row.function));
	memcpy(row.method, call->method, sizeof(row.method));
	strncpy(row.trigger, call_trigger(call), sizeof(row.trigger) - 1);
	row.trigger[sizeof(row.trigger) - 1] = '\0';
	strncpy(row.code, err_word(reason ? reason->code : 0), sizeof(row.code) - 1);
	row.code[sizeof(row.code) - 1] = '\0';
	row.path = call->path;
	row.message = reason ? reason->text : "";
	row.status =
		(uint16_t)(call->status || !reason ? call->status : err_http_status(reason->code));
	row.version = figures->version;
	row.started_ms = call->started_ms;
	row.queue_us = figures->queue_us;
	row.wall_us = figures->wall_us;
	row.cpu_us = figures->cpu_us;
	row.memory_peak_bytes = figures->memory_peak_bytes;
	row.bytes_in = figures->bytes_in;
	row.bytes_out = figures->bytes_out;
	row.egress_in = figures->egress_in;
	row.egress_out = figures->egress_out;
	row.is_cold = figures->is_cold;
	row.is_log_truncated = call->run.is_log_truncated || call->log.is_truncated;
	row.log = call->log.lines.len > 0 ? call->log.lines.at : "";
	record_add(call->domain->records, &row);
	record_meter(call->domain->records, &row,
		call->version ? call->version->config.limits.memory_mib : 0);
	record_egress(call->domain->records, &row, call->run.measure.egress_loading.in,
		call->run.measure.egress_loading.out);
	if (call->events.on_record && !call->is_left)
		call->events.on_record(&row, call->events.arg);
}

static void ON_LOOP
call_free(struct call *call)
{
	struct version *version = call->version;
	bool is_admitted = call->is_admitted;

	free(call->path);
	free(call->head);
	free(call->body);
	call_log_done(&call->log);
	if (is_admitted)
		call->function->n_calls--;
	free(call);
	if (version)
		version_release(version);
}

static void
call_leave_record(struct call *call)
{
	call_record(call, call->reason.code < 0 ? &call->reason : NULL, &call->figures);
	call_free(call);
}

/* From any state: gives back what was taken. The answer is handed over first, and the call counts
 * until everything of it is back. Its record may wait for the end of the turn. */
static void
call_done(struct call *call, const struct err *reason, struct str trace)
{
	call_go(call, CALL_DONE);
	instance_abandon(&call->run);
	if (call->is_admitted) {
		watchdog_remove(&call->watch);
		map_remove(&call->domain->calls, str_n(call->id, sizeof(call->id) - 1));
	}
	call_write_figures(call, reason, &call->figures);
	if (reason)
		call->reason = *reason;
	call_tell(call, reason, trace, &call->figures);
	call->place.cpu_us = call->run.measure.cpu_us;
	pool_give_back(&call->place);
	call_log_end(&call->log, call_on_line, call);
	if (trace.len > 0)
		call_log_add(&call->log, true, trace, call_on_line, call);
	call_log_end(&call->log, call_on_line, call);
	if (!call->run.is_measure_due)
		call_leave_record(call);
}

/* ---- what ends it early ---- */

static void
call_on_deadline(struct watchdog_entry *entry)
{
	struct call *call = list_owner(entry, struct call, watch);
	struct err err = {0};

	if (call->state == CALL_WAITING)
		pool_explain_wait(call->version->pool, clock_mono_us() - call->admitted_us, &err);
	else
		err_set(&err, ERR_TIMEOUT, "the function did not finish its answer within %llu ms",
			(unsigned long long)call->version->config.limits.timeout_ms);
	call_done(call, &err, STR_NONE);
}

static uint64_t
call_watch_cpu(struct watchdog_entry *entry)
{
	return instance_call_cpu_us(&list_owner(entry, struct call, watch)->run);
}

static void
call_on_cpu(struct watchdog_entry *entry)
{
	struct call *call = list_owner(entry, struct call, watch);
	struct err err = {0};

	err_set(&err, ERR_CPU_EXCEEDED, "the function used more than its %llu ms of CPU time",
		(unsigned long long)call->version->config.limits.cpu_ms);
	call_done(call, &err, STR_NONE);
}

void
call_leave(struct call *call)
{
	struct err err = {0};

	call->is_left = true;
	if (call->version->config.is_kept_on_disconnect) {
		instance_pause(&call->run, false);
		return;
	}
	err_set(&err, ERR_CANCELLED, "the client went away");
	call_done(call, &err, STR_NONE);
}

void
call_cancel(struct call *call)
{
	struct err err = {0};

	if (call->domain->is_stopping)
		err_set(&err, ERR_UNAVAILABLE, "mayfly is stopping");
	else
		err_set(&err, ERR_CANCELLED, "the call was cancelled");
	call_done(call, &err, STR_NONE);
}

void
call_pause(struct call *call, bool is_paused)
{
	instance_pause(&call->run, is_paused);
}

/* ---- start ---- */

static struct call *
call_new(struct domain *domain, struct call_request *request, const struct call_events *events)
{
	struct call *call = mem_new(sizeof(*call));
	struct str path = request->path;

	call->domain = domain;
	call->function = request->function;
	call->version = call_choose_version(request);
	call->events = *events;
	call->trigger = request->trigger;
	call->origin = request->origin;
	memcpy(call->id, request->id, sizeof(call->id));
	if (request->method.len < sizeof(call->method) && request->method.len > 0)
		memcpy(call->method, request->method.at, request->method.len);
	path = str_cut(&path, '?');
	if (path.len > CALL_PATH_BYTES)
		path.len = CALL_PATH_BYTES;
	call->path = str_dup(str_is_utf8(path) ? path : STR("?"));
	call->body = take_ptr(&request->body);
	call->body_len = request->body_len;
	call->started_ms = clock_unix_ms();
	call->admitted_us = clock_mono_us();
	list_init(&call->run.link);
	return call;
}

struct call *
call_start(struct domain *domain, struct call_request *request, const struct call_events *events)
{
	struct call *call = call_new(domain, request, events);
	struct err err = {0};
	int rc;

	if (call->version)
		version_hold(call->version);
	rc = call_step_admit(call, request->refusal, &err);
	if (rc == 0)
		rc = call_step_place(call, request->head, &err);
	if (rc < 0) {
		call_done(call, &err, STR_NONE);
		return NULL;
	}
	return call;
}

struct call *
call_find(const struct domain *domain, struct str org, struct str id)
{
	struct call *call = map_find(&domain->calls, id);

	return call && str_eq(str_of(call->function->org->name), org) ? call : NULL;
}

const char *
call_id(const struct call *call)
{
	return call->id;
}

void
call_see(const struct call *call, struct call_seen *ret)
{
	*ret = (struct call_seen){
		.function = call->function,
		.version = call->version,
		.trigger = call_trigger(call),
		.method = call->method,
		.path = call->path,
		.started_ms = call->started_ms,
		.is_waiting = call->state == CALL_WAITING,
	};
}

const struct str *
call_whole(const struct call *call)
{
	return call->run.whole;
}
