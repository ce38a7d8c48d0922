/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/schedule_inside.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/own.h"
#include "domain/function.h"

#define CLOCK_LOOK_MS  5000     /* so often it is looked whether somebody set the clock */
#define CLOCK_AGAIN_MS 5000     /* behind a run that could not be put */
#define CLOCK_STEP_MS  2000     /* less is what a clock drifts */
#define CLOCK_BEAR_MS  10800000 /* put back further than that it had been wrong */

/* ---- the heap ---- */

static void
heap_set(struct schedule_clock *clock, size_t at, struct schedule *schedule)
{
	clock->heap[at] = schedule;
	schedule->heap_at = at;
}

static void
heap_rise(struct schedule_clock *clock, size_t at)
{
	struct schedule *schedule = clock->heap[at];

	for (; at > 1 && clock->heap[at / 2]->wake_ms > schedule->wake_ms; at /= 2)
		heap_set(clock, at, clock->heap[at / 2]);
	heap_set(clock, at, schedule);
}

static void
heap_sink(struct schedule_clock *clock, size_t at)
{
	struct schedule *schedule = clock->heap[at];

	for (size_t child; (child = at * 2) <= clock->n; at = child) {
		if (child < clock->n &&
			clock->heap[child + 1]->wake_ms < clock->heap[child]->wake_ms)
			child++;
		if (clock->heap[child]->wake_ms >= schedule->wake_ms)
			break;
		heap_set(clock, at, clock->heap[child]);
	}
	heap_set(clock, at, schedule);
}

static void
heap_add(struct schedule_clock *clock, struct schedule *schedule)
{
	if (clock->n + 1 >= clock->cap) {
		clock->cap = clock->cap ? clock->cap * 2 : 64;
		clock->heap = mem_grow(clock->heap, clock->cap * sizeof(*clock->heap));
	}
	heap_set(clock, ++clock->n, schedule);
	heap_rise(clock, clock->n);
}

static void
heap_remove(struct schedule_clock *clock, struct schedule *schedule)
{
	size_t at = schedule->heap_at;
	struct schedule *last = clock->heap[clock->n--];

	schedule->heap_at = 0;
	if (last == schedule)
		return;
	heap_set(clock, at, last);
	heap_rise(clock, at);
	heap_sink(clock, last->heap_at);
}

/* ---- the timer ---- */

static void clock_ring(struct loop_timer *timer);

static void
clock_arm(struct schedule_clock *clock) ON_LOOP
{
	uint64_t now_ms = clock->now_ms(), wake_ms = now_ms + CLOCK_LOOK_MS;

	if (!clock->is_running)
		return;
	if (!clock->n) {
		loop_timer_stop(&clock->timer);
		return;
	}
	if (clock->heap[1]->wake_ms < wake_ms)
		wake_ms = clock->heap[1]->wake_ms;
	loop_timer_start(clock->domain->loop, &clock->timer,
		wake_ms > now_ms ? wake_ms - now_ms : 0, clock_ring);
}

void
schedule_clock_remove(struct schedule_clock *clock, struct schedule *schedule)
{
	if (schedule->heap_at)
		heap_remove(clock, schedule);
}

static void
clock_wake_at(struct schedule_clock *clock, struct schedule *schedule, uint64_t wake_ms) ON_LOOP
{
	schedule->wake_ms = wake_ms;
	heap_add(clock, schedule);
	if (schedule->heap_at == 1)
		clock_arm(clock);
}

/* Where the clock went back a little, times that were put do not come again. Where it went back far
 * it had been wrong before, and is followed; and an interval begins anew. */
static void
clock_follow_back(struct schedule *schedule, uint64_t now_ms)
{
	bool is_interval = schedule->plan.kind == SCHEDULE_EVERY;

	if (schedule->plan.kind == SCHEDULE_AT ||
		schedule->base_ms <= now_ms + (is_interval ? 0 : CLOCK_BEAR_MS))
		return;
	schedule->base_ms = now_ms;
	if (is_interval)
		schedule->since_ms = now_ms;
}

void
schedule_clock_place(struct schedule_clock *clock, struct schedule *schedule)
{
	uint64_t next_ms;

	schedule_clock_remove(clock, schedule);
	if (!clock->is_running || !schedule->is_enabled || schedule->broken[0] ||
		schedule->is_putting)
		return;
	clock_follow_back(schedule, clock->now_ms());
	next_ms = schedule_plan_next(&schedule->plan, schedule->since_ms, schedule->base_ms);
	if (next_ms)
		clock_wake_at(clock, schedule, next_ms);
}

/* ---- a run ---- */

static void
run_refused(struct schedule *schedule, const struct err *err)
{
	if (strcmp(schedule->failure, err->text) != 0)
		log_warn("schedule.put_failed", "org=%s schedule=%s code=%s reason=%s",
			schedule->org->name, schedule->name, err_word(err->code), log_q(err->text));
	snprintf(schedule->failure, sizeof(schedule->failure), "%s", err->text);
}

static void
run_accepted(struct schedule *schedule, const struct delivery_accepted *accepted) ON_LOOP
{
	schedule->failure[0] = 0;
	schedule->last_ms = schedule->putting_ms;
	if (schedule->base_ms < schedule->putting_ms)
		schedule->base_ms = schedule->putting_ms;
	memcpy(schedule->last_id, accepted->id, sizeof(schedule->last_id));
	schedule_note(schedule);
}

static void
run_done(int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	struct schedule *schedule = arg;
	struct schedule_clock *clock;

	thread_on_loop();
	schedule->is_putting = false;
	if (schedule->is_gone) {
		schedule_free(schedule);
		return;
	}
	clock = schedule->org->domain->schedules;
	if (code == 0)
		run_accepted(schedule, accepted);
	else
		run_refused(schedule, err);
	if (code == 0)
		schedule_clock_place(clock, schedule);
	else if (clock->is_running && schedule->is_enabled)
		clock_wake_at(clock, schedule, clock->now_ms() + CLOCK_AGAIN_MS);
}

/* What the function gets. */
static void
run_body(const struct schedule *schedule, struct buf *out)
{
	json_t *payload = json_object_get(schedule->plan.document, "payload");
	char planned[CLOCK_ISO_SIZE];
	OWN(json) json_t *json = NULL;

	clock_iso(schedule->putting_ms, planned);
	json = json_pack("{s:s, s:s, s:o}", "schedule", schedule->name, "planned", planned,
		"payload", payload ? json_incref(payload) : json_null());
	json_write(json, out);
}

static void
run_put(struct schedule *schedule, struct function *function) ON_LOOP
{
	struct domain *domain = schedule->org->domain;
	OWN(mem)
	char *key = mem_printf("schedule/%s/%" PRIu64, schedule->name, schedule->putting_ms);
	OWN(buf) struct buf body = BUF_INIT;

	run_body(schedule, &body);
	const struct delivery_request request = {
		.function = function,
		.origin = "schedule",
		.source = schedule->name,
		.frame = FRAME_DIRECT,
		.method = STR(""),
		.path = STR(""),
		.head = STR(""),
		.body = buf_str(&body),
		.order_key = STR(""),
		.idempotency_key = str_of(key),
		.callback_url = STR(""),
		.policy = schedule->plan.has_policy ? &schedule->plan.policy : NULL,
	};

	delivery_put(domain->deliveries, &request, run_done, schedule);
}

static void
run_begin(struct schedule *schedule, uint64_t planned_ms) ON_LOOP
{
	struct function *function = function_find(schedule->org, str_of(schedule->function));
	struct err err = {0};

	schedule->is_putting = true;
	schedule->putting_ms = planned_ms;
	if (function) {
		run_put(schedule, function);
		return;
	}
	err_set(&err, ERR_NOT_FOUND, "there is no function %s", schedule->function);
	run_done(ERR_NOT_FOUND, NULL, &err, schedule);
}

static void
run_skip(struct schedule *schedule, uint64_t planned_ms, uint64_t now_ms)
{
	char planned[CLOCK_ISO_SIZE];

	clock_iso(planned_ms, planned);
	log_warn("schedule.missed", "org=%s schedule=%s planned=%s late_ms=%" PRIu64,
		schedule->org->name, schedule->name, planned, now_ms - planned_ms);
	schedule->base_ms = planned_ms;
}

/* Its time has come, or it is to be tried again: of all that is due the latest counts. */
static void
clock_run(struct schedule_clock *clock, struct schedule *schedule, uint64_t now_ms) ON_LOOP
{
	uint64_t planned_ms = schedule_plan_latest(
		&schedule->plan, schedule->since_ms, schedule->base_ms, now_ms);
	bool is_late = now_ms - planned_ms > SCHEDULE_LATE_MS;

	if (planned_ms && (!is_late || schedule->plan.is_made_up)) {
		run_begin(schedule, planned_ms);
		return;
	}
	if (planned_ms)
		run_skip(schedule, planned_ms, now_ms);
	schedule_clock_place(clock, schedule);
}

/* ---- the clock on the wall ---- */

static int64_t
clock_skew(const struct schedule_clock *clock)
{
	return (int64_t)clock->now_ms() - (int64_t)(clock_mono_us() / 1000);
}

static void
clock_place_all(struct schedule_clock *clock) ON_LOOP
{
	map_each (&clock->domain->orgs, org_entry) {
		const struct org *org = org_entry->value;

		map_each (&org->schedules, entry)
			schedule_clock_place(clock, entry->value);
	}
}

/* What was put forward makes things due; what was put back moves them. */
static void
clock_check(struct schedule_clock *clock) ON_LOOP
{
	int64_t skew_ms = clock_skew(clock), step_ms = skew_ms - clock->skew_ms;

	clock->skew_ms = skew_ms;
	if (step_ms < CLOCK_STEP_MS && step_ms > -CLOCK_STEP_MS)
		return;
	log_info("schedule.clock_set", "by_ms=%" PRId64, step_ms);
	clock_place_all(clock);
}

void
schedule_clock_look(struct schedule_clock *clock)
{
	uint64_t now_ms;

	clock_check(clock);
	now_ms = clock->now_ms();
	while (clock->n && clock->heap[1]->wake_ms <= now_ms) {
		struct schedule *schedule = clock->heap[1];

		heap_remove(clock, schedule);
		clock_run(clock, schedule, now_ms);
	}
	clock_arm(clock);
}

static void
clock_ring(struct loop_timer *timer)
{
	thread_on_loop();
	schedule_clock_look(list_owner(timer, struct schedule_clock, timer));
}

/* ---- its life ---- */

int
schedule_clock_new(struct domain *domain, struct schedule_clock **ret, struct err *err)
{
	struct schedule_clock *clock = mem_new(sizeof(*clock));

	clock->domain = domain;
	clock->now_ms = clock_unix_ms;
	*ret = clock;
	return 0;
}

void
schedule_clock_start(struct schedule_clock *clock)
{
	clock->is_running = true;
	clock->skew_ms = clock_skew(clock);
	clock_place_all(clock);
	clock_arm(clock);
}

void
schedule_clock_stop(struct schedule_clock *clock)
{
	if (!clock || !clock->is_running)
		return;
	clock->is_running = false;
	loop_timer_close(&clock->timer, NULL);
}

void
schedule_clock_free(struct schedule_clock *clock)
{
	if (!clock)
		return;
	free(clock->heap);
	free(clock);
}
