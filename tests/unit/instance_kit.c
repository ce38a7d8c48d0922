/* SPDX-License-Identifier: Apache-2.0 */
#include "instance_kit.h"

#include <string.h>

#include "unit.h"

static const struct root root = {.name = "test"};

static void
on_ready(struct instance *instance, void *arg)
{
	((struct kit *)arg)->n_ready++;
}

static void
on_room(struct instance *instance, void *arg)
{
	thread_on_loop();
	assert_int_equal(instance_state(instance), INSTANCE_READY);
	((struct kit *)arg)->n_rooms++;
}

static void
on_discarded(struct instance *instance, void *arg)
{
	thread_on_loop();
	assert_int_equal(instance_state(instance), INSTANCE_ENDING);
	((struct kit *)arg)->n_discarded++;
}

static void
on_unable(struct instance *instance, enum mechanism tried, enum renewal_cause cause,
	const char *why, void *arg)
{
	struct kit *kit = arg;

	kit->n_unable++;
	kit->tried = tried;
	kit->unable = cause;
	snprintf(kit->why, sizeof(kit->why), "%s", why);
}

static void
on_gone(struct instance *instance, const struct err *reason, struct str log, void *arg)
{
	struct kit *kit = arg;

	kit->n_gone++;
	kit->reason = *reason;
	buf_add_str(&kit->boot_log, log);
	kit->instance = NULL;
	kit->sandbox = NULL;
}

void
turn(struct kit *kit)
{
	for (int i = 0; i < 3; i++)
		uv_run(loop_uv(kit->loop), UV_RUN_NOWAIT);
}

struct instance_spec
spec_new(unsigned concurrency)
{
	return (struct instance_spec){
		.root = &root,
		.limits = {.memory_bytes = 64 << 20},
		.init = str_n("MAYFLY_HANDLER=a.b\0", 19),
		.concurrency = concurrency,
		.boot_ms = 60000,
		.answer_bytes = 1000000,
		.log_bytes = 100,
	};
}

struct kit *
kit_new(const struct instance_spec *spec)
{
	struct kit *kit = mem_new(sizeof(*kit));
	struct instance_events events = {.on_ready = on_ready,
		.on_room = on_room,
		.on_discarded = on_discarded,
		.on_unable = on_unable,
		.on_gone = on_gone,
		.arg = kit};
	struct err err = {0};

	thread_on_loop();
	kit->spawner = fake_spawner_new();
	assert_int_equal(loop_new(&kit->loop, &err), 0);
	assert_int_equal(
		instance_start(kit->loop, kit->spawner, spec, &events, &kit->instance, &err), 0);
	kit->sandbox = fake_last(kit->spawner);
	return kit;
}

struct kit *
kit_ready(unsigned concurrency)
{
	struct instance_spec spec = spec_new(concurrency);
	struct kit *kit = kit_new(&spec);

	fake_started(kit->sandbox);
	fake_send(kit->sandbox, FRAME_READY, 0, 0, STR_NONE);
	turn(kit);
	assert_int_equal(kit->n_ready, 1);
	return kit;
}

void
kit_free(struct kit *kit)
{
	fake_spawner_free(kit->spawner);
	assert_int_equal(kit->n_gone, 1);
	loop_free(kit->loop);
	buf_done(&kit->boot_log);
	free(kit);
}

static void
on_head(struct instance_call *call, int status, const struct http_header *headers, size_t n)
{
	struct told *told = list_owner(call, struct told, call);

	thread_on_loop();
	told->status = status;
	told->n_headers = (unsigned)n;
	told->n_whole += call->whole != NULL;
	if (told->abandons)
		instance_abandon(told->abandons);
}

static void
on_body(struct instance_call *call, struct str bytes)
{
	buf_add_str(&list_owner(call, struct told, call)->body, bytes);
}

static void
on_end(struct instance_call *call)
{
	struct told *told = list_owner(call, struct told, call);

	told->n_ends++;
	told->state_at_end = instance_state(told->instance);
	told->sandbox->usage.cpu_us += told->tail_us;
}

static void
on_failure(struct instance_call *call, const struct err *reason, struct str trace)
{
	struct told *told = list_owner(call, struct told, call);

	told->n_failures++;
	told->state_at_end = instance_state(told->instance);
	told->reason = *reason;
	buf_add_str(&told->trace, trace);
}

static void
on_measured(struct instance_call *call)
{
	struct told *told = list_owner(call, struct told, call);

	assert_int_equal(told->n_ends + told->n_failures, 1);
	assert_false(call->is_measure_due);
	told->n_measured++;
}

static void
on_log(struct instance_call *call, bool is_stderr, struct str bytes)
{
	struct told *told = list_owner(call, struct told, call);

	buf_add_text(&told->log, is_stderr ? "E:" : "O:");
	buf_add_str(&told->log, bytes);
}

void
send_call(struct kit *kit, struct told *told, struct str body)
{
	thread_on_loop();
	told->call.call_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
	told->call.trigger = FRAME_DIRECT;
	told->call.deadline_unix_ms = 123456789;
	told->call.body = body;
	told->call.on_head = on_head;
	told->call.on_body = on_body;
	told->call.on_end = on_end;
	told->call.on_failure = on_failure;
	told->call.on_log = on_log;
	told->call.on_measured = on_measured;
	told->sandbox = kit->sandbox;
	told->instance = kit->instance;
	instance_send(kit->instance, &told->call);
	turn(kit);
}

void
told_done(struct told *told)
{
	buf_done(&told->body);
	buf_done(&told->log);
	buf_done(&told->trace);
}

void
answer(struct kit *kit, const struct told *told, const char *head, struct str body)
{
	fake_answer(kit->sandbox, told->call.number, head, body);
	turn(kit);
}
