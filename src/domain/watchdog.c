/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/watchdog.h"

#include "base/clock.h"

static void watchdog_on_timer(struct loop_timer *timer) ON_LOOP;

void
watchdog_init(struct watchdog *watchdog, struct loop *loop)
{
	*watchdog = (struct watchdog){.timer = {.loop = loop}};
	list_init(&watchdog->waits);
	list_init(&watchdog->deadlines);
	list_init(&watchdog->runs);
	list_init(&watchdog->suspects);
}

void
watchdog_limit(struct watchdog *watchdog, const struct watchdog_limits *limits)
{
	must(limits->wait_us > 0 && limits->deadline_us > 0 && limits->n_cpus > 0);
	watchdog->limits = *limits;
}

void
watchdog_close(struct watchdog *watchdog, void (*closed)(struct loop_timer *timer))
{
	must(list_is_empty(&watchdog->waits) && list_is_empty(&watchdog->deadlines));
	must(list_is_empty(&watchdog->runs) && list_is_empty(&watchdog->suspects));
	loop_timer_close(&watchdog->timer, closed);
}

/* ---- the timer ---- */

/* A timer that rings too early costs one look; it is only ever moved to ring earlier. */
static void ON_LOOP
watchdog_arm(struct watchdog *watchdog, uint64_t at_us, uint64_t now_us)
{
	uint64_t after_us = at_us > now_us ? at_us - now_us : 0;

	if (watchdog->timer_us != 0 && watchdog->timer_us <= at_us)
		return;
	watchdog->timer_us = at_us;
	loop_timer_start(
		watchdog->timer.loop, &watchdog->timer, after_us / 1000 + 1, watchdog_on_timer);
}

static void
watchdog_tell_deadlines(struct list *entries, uint64_t now_us)
{
	struct watchdog_entry *entry;

	while ((entry = list_first(entries, struct watchdog_entry, deadline_link))) {
		if (entry->deadline_us > now_us)
			return;
		list_remove(&entry->deadline_link);
		entry->on_deadline(entry);
	}
}

/* The next look is when the rest of the budget can be used up, and not before a millisecond. */
static void
watchdog_look(struct watchdog *watchdog, struct watchdog_entry *entry, uint64_t now_us)
{
	uint64_t used_us = entry->cpu_us(entry);
	uint64_t rest_us;

	if (used_us > watchdog->limits.cpu_us) {
		list_remove(&entry->cpu_link);
		entry->on_cpu(entry);
		return;
	}
	rest_us = (watchdog->limits.cpu_us - used_us) / watchdog->limits.n_cpus;
	entry->cpu_check_us = now_us + (rest_us > 1000 ? rest_us : 1000);
}

static void
watchdog_tell_cpu(struct watchdog *watchdog, uint64_t now_us)
{
	struct list looked_at;
	struct watchdog_entry *entry;

	while ((entry = list_first(&watchdog->runs, struct watchdog_entry, cpu_link)) &&
		entry->cpu_check_us <= now_us) {
		list_remove(&entry->cpu_link);
		list_push_back(&watchdog->suspects, &entry->cpu_link);
	}
	list_init(&looked_at);
	while ((entry = list_first(&watchdog->suspects, struct watchdog_entry, cpu_link))) {
		list_remove(&entry->cpu_link);
		list_push_back(&looked_at, &entry->cpu_link);
		if (entry->cpu_check_us <= now_us)
			watchdog_look(watchdog, entry, now_us);
	}
	while ((entry = list_first(&looked_at, struct watchdog_entry, cpu_link))) {
		list_remove(&entry->cpu_link);
		list_push_back(&watchdog->suspects, &entry->cpu_link);
	}
}

static void ON_LOOP
watchdog_arm_next(struct watchdog *watchdog, uint64_t now_us)
{
	struct watchdog_entry *entry;

	entry = list_first(&watchdog->waits, struct watchdog_entry, deadline_link);
	if (entry)
		watchdog_arm(watchdog, entry->deadline_us, now_us);
	entry = list_first(&watchdog->deadlines, struct watchdog_entry, deadline_link);
	if (entry)
		watchdog_arm(watchdog, entry->deadline_us, now_us);
	entry = list_first(&watchdog->runs, struct watchdog_entry, cpu_link);
	if (entry)
		watchdog_arm(watchdog, entry->cpu_check_us, now_us);
	list_each (&watchdog->suspects, entry, cpu_link)
		watchdog_arm(watchdog, entry->cpu_check_us, now_us);
}

static void
watchdog_on_timer(struct loop_timer *timer)
{
	struct watchdog *watchdog = list_owner(timer, struct watchdog, timer);
	uint64_t now_us = clock_mono_us();

	thread_on_loop();
	watchdog->timer_us = 0;
	watchdog_tell_deadlines(&watchdog->waits, now_us);
	watchdog_tell_deadlines(&watchdog->deadlines, now_us);
	watchdog_tell_cpu(watchdog, now_us);
	watchdog_arm_next(watchdog, now_us);
}

/* ---- entries ---- */

void
watchdog_entry_init(struct watchdog_entry *entry)
{
	list_init(&entry->deadline_link);
	list_init(&entry->cpu_link);
}

void
watchdog_wait(struct watchdog *watchdog, struct watchdog_entry *entry, uint64_t now_us)
{
	must(watchdog->limits.wait_us > 0);
	entry->deadline_us = now_us + watchdog->limits.wait_us;
	list_push_back(&watchdog->waits, &entry->deadline_link);
	watchdog_arm(watchdog, entry->deadline_us, now_us);
}

void
watchdog_run(struct watchdog *watchdog, struct watchdog_entry *entry, uint64_t now_us)
{
	must(watchdog->limits.deadline_us > 0);
	list_remove(&entry->deadline_link);
	entry->deadline_us = now_us + watchdog->limits.deadline_us;
	list_push_back(&watchdog->deadlines, &entry->deadline_link);
	watchdog_arm(watchdog, entry->deadline_us, now_us);
	entry->cpu_check_us = now_us + watchdog->limits.cpu_us / watchdog->limits.n_cpus;
	list_push_back(&watchdog->runs, &entry->cpu_link);
	watchdog_arm(watchdog, entry->cpu_check_us, now_us);
}

void
watchdog_remove(struct watchdog_entry *entry)
{
	list_remove(&entry->deadline_link);
	list_remove(&entry->cpu_link);
}
