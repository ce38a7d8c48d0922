/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule_inside - what the files of schedule.h know of each other.
 *
 *	schedule_plan.c    the document: when, with what, what of missed runs
 *	schedule.c         those of an org: put, deleted, loaded, shown
 *	schedule_clock.c   all of them, by when they are due: runs are put
 *
 *	 WAITING ── planned time is here ──▶ PUTTING ── it is on disk: last_ms ──▶ WAITING, or PAST
 *	    ▲  └─ too late for it, and missed is "skip": passed over             (one-shot)
 *	    └──────────── refused: tried again ──────────┘
 *
 * A schedule that is disabled, past or broken is in no heap. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_SCHEDULE_INSIDE_H
#define MAYFLY_DOMAIN_SCHEDULE_INSIDE_H

#include "base/clock.h"
#include "domain/org.h"
#include "domain/schedule.h"
#include "store/rows.h"

#define SCHEDULE_LATE_MS 60000 /* later than that a run is missed */
#define SCHEDULE_MAX     1000  /* of one org */

enum schedule_kind { SCHEDULE_CRON, SCHEDULE_EVERY, SCHEDULE_AT };

struct schedule_plan {
	json_t *document; /* owned: as it was written, with its defaults */
	enum schedule_kind kind;
	struct cron cron;  /* CRON, EVERY */
	uint64_t at_ms;    /* AT */
	struct zone *zone; /* owned */
	bool is_made_up;   /* missed: "once" */
	bool has_policy;
	struct delivery_policy policy; /* owned */
};

struct schedule {
	struct org *org; /* borrowed */
	char name[64], function[64];
	bool is_enabled;
	struct schedule_plan plan;
	char broken[240];                /* why the stored document is not understood; "" */
	uint64_t created_ms, updated_ms; /* of the row */
	uint64_t since_ms;          /* since when it has been as it is: nothing before counts */
	uint64_t base_ms;           /* planned times up to it are over */
	uint64_t last_ms;           /* the planned time that was last put; 0 for none */
	char last_id[ID_ULID_SIZE]; /* of its delivery; "" */
	char failure[240];          /* why the last run could not be put; "" */
	bool is_putting, is_gone;   /* gone: freed when the put is over */
	uint64_t putting_ms;        /* the planned time that is being put */
	uint64_t wake_ms;
	size_t heap_at; /* place in the clock's heap, from 1; 0: in none */
};

/* ---- schedule_plan.c ---- */

/* What a user wrote; INVALID names the field. now_ms: a one-shot lies after it, unless `before`
 * (may be NULL) had the same time. */
int schedule_plan_read(const json_t *document, uint64_t now_ms, const struct schedule_plan *before,
	struct schedule_plan *ret, struct err *err);
/* The same of a document that was stored. */
int schedule_plan_restore(const json_t *document, struct schedule_plan *ret, struct err *err);
void schedule_plan_done(struct schedule_plan *plan);
/* Whether both come at the same times. */
bool schedule_plan_is_alike(const struct schedule_plan *a, const struct schedule_plan *b);
/* Planned times: the first after after_ms, and the last in (after_ms, now_ms]; 0 for none. */
uint64_t schedule_plan_next(const struct schedule_plan *plan, uint64_t since_ms, uint64_t after_ms);
uint64_t schedule_plan_latest(
	const struct schedule_plan *plan, uint64_t since_ms, uint64_t after_ms, uint64_t now_ms);

/* ---- schedule.c ---- */

/* Into its org, at the start; a document that is not understood is kept and says so. */
void schedule_add(struct domain *domain, const struct row_schedule *row);
/* The function left, its schedules with it. */
void schedule_function_gone(struct org *org, const char *function) ON_LOOP;
/* All of an org, when it is freed. */
void schedule_free_all(struct org *org);
void schedule_free(struct schedule *schedule);
/* Writes last_ms behind. */
void schedule_note(struct schedule *schedule) ON_LOOP;

/* ---- schedule_clock.c ---- */

struct schedule_clock {
	struct domain *domain; /* borrowed */
	struct loop_timer timer;
	struct schedule **heap; /* owned array of borrowed: the first is at 1 */
	size_t n, cap;
	bool is_running;
	int64_t skew_ms;          /* wall clock less monotonic clock, at the last look */
	uint64_t (*now_ms)(void); /* the wall clock */
};

/* Finds its next time; to be called after each change of it. */
void schedule_clock_place(struct schedule_clock *clock, struct schedule *schedule) ON_LOOP;
void schedule_clock_remove(struct schedule_clock *clock, struct schedule *schedule) ON_LOOP;
/* What the timer does. */
void schedule_clock_look(struct schedule_clock *clock) ON_LOOP;

#endif
