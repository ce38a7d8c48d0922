/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/event_known.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "store/rows.h"

#define FILTER_BITS  (1u << 24)
#define FILTER_BYTES (FILTER_BITS / 8)
#define FILTER_MARKS 4
#define FILTER_US    86400000000ull /* that one is filled */
#define LOAD_MS      86400000ull    /* as long as the store counts an event as known */
#define LOAD_ROWS    2000           /* in one question: others wait for the store too */

struct event_known {
	struct domain *domain; /* borrowed */
	uint64_t *young, *old; /* owned: the filters, allocated as they are used */
	uint64_t turned_us;    /* when young was begun, monotonic: clocks of the wall are set */
	bool is_loaded;
	/* while it is read from the store */
	struct store_message message;
	struct row_event last;         /* the next are behind it; texts below */
	char *last_source, *last_id;   /* owned */
	char *found_source, *found_id; /* owned: of the last of one question, while it is asked */
	uint64_t *hashes;              /* owned: what one question brought */
	unsigned n_hashes;
};

struct event_known *
event_known_new(struct domain *domain)
{
	struct event_known *known = mem_new(sizeof(*known));

	known->domain = domain;
	known->young = mem_new(FILTER_BYTES);
	known->old = mem_new(FILTER_BYTES);
	known->turned_us = clock_mono_us();
	return known;
}

void
event_known_free(struct event_known *known)
{
	if (!known)
		return;
	free(known->young);
	free(known->old);
	free(known->last_source);
	free(known->last_id);
	free(known->hashes);
	free(known);
}

bool
event_known_is_loaded(const struct event_known *known)
{
	return known->is_loaded;
}

/* ---- the filters ---- */

/* The parts are hashed apart, so that no text between them can be part of one; each hash is keyed,
 * and their sum tells as much as one of them. */
uint64_t
event_known_hash(const char *org, const char *source, const char *id)
{
	return map_hash(str_of(org)) + 3 * map_hash(str_of(source)) + 5 * map_hash(str_of(id));
}

static uint32_t
mark_of(uint64_t hash, unsigned i)
{
	return ((uint32_t)hash + i * ((uint32_t)(hash >> 32) | 1)) % FILTER_BITS;
}

static bool
filter_has(const uint64_t *filter, uint64_t hash)
{
	for (unsigned i = 0; i < FILTER_MARKS; i++) {
		uint32_t mark = mark_of(hash, i);

		if (!(filter[mark / 64] >> mark % 64 & 1))
			return false;
	}
	return true;
}

static void
filter_add(uint64_t *filter, uint64_t hash)
{
	for (unsigned i = 0; i < FILTER_MARKS; i++) {
		uint32_t mark = mark_of(hash, i);

		filter[mark / 64] |= 1ull << mark % 64;
	}
}

static void
turn(struct event_known *known)
{
	uint64_t now_us = clock_mono_us();

	if (now_us - known->turned_us < FILTER_US)
		return;
	free(known->old);
	known->old = known->young;
	known->young = mem_new(FILTER_BYTES);
	known->turned_us = now_us;
}

bool
event_known_add(struct event_known *known, uint64_t hash)
{
	bool may_be_known;

	turn(known);
	may_be_known =
		!known->is_loaded || filter_has(known->young, hash) || filter_has(known->old, hash);
	filter_add(known->young, hash);
	return may_be_known;
}

/* ---- what the store knew at the start ---- */

static bool
load_each(const struct row_event *row, void *arg)
{
	struct event_known *known = arg;

	known->hashes[known->n_hashes++] = event_known_hash(row->org, row->source, row->id);
	if (known->n_hashes == LOAD_ROWS) {
		known->last = *row;
		known->found_source = str_dup(str_of(row->source));
		known->found_id = str_dup(str_of(row->id));
	}
	return true;
}

static int
load_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct event_known *known = list_owner(message, struct event_known, message);
	int rc;

	thread_on_store();
	known->n_hashes = 0;
	rc = row_event_list(db, &known->last, LOAD_ROWS, load_each, known, err);
	free(known->last_source);
	free(known->last_id);
	known->last.source = known->last_source = take_ptr(&known->found_source);
	known->last.id = known->last_id = take_ptr(&known->found_id);
	return rc;
}

static void load_next(struct event_known *known) ON_LOOP;

/* A store that fails is asked for each event, and says what it has to say there. */
static void
load_done(struct store_message *message)
{
	struct event_known *known = list_owner(message, struct event_known, message);

	thread_on_loop();
	if (message->code < 0) {
		log_warn("event.known_not_loaded", "reason=%s", log_q(message->err.text));
		return;
	}
	for (unsigned i = 0; i < known->n_hashes; i++)
		filter_add(known->young, known->hashes[i]);
	known->is_loaded = known->n_hashes < LOAD_ROWS;
	if (!known->is_loaded && !known->domain->is_stopping)
		load_next(known);
}

static void
load_next(struct event_known *known)
{
	known->message = (struct store_message){.work = load_work, .done = load_done};
	store_ask(known->domain->store, &known->message);
}

void
event_known_load(struct event_known *known)
{
	known->hashes = mem_new(LOAD_ROWS * sizeof(*known->hashes));
	known->last = (struct row_event){
		.source = "", .id = "", .accepted_ms = clock_unix_ms() - LOAD_MS};
	load_next(known);
}
