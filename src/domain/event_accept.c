/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_accept - from an event to its deliveries.
 *
 *	 may one be known? ─no─▶ a delivery per trigger ── all on disk ──▶ noted ──▶ done
 *	       │ yes               ▲  └─ one refused ──▶ done, nothing noted
 *	       └─▶ is it? (store) ─┘
 *
 * A turn of the loop matches as many events as event_turn.h has room for.
 * Deliveries are put as many at a time as have a MiB; when they are on disk the next ones are.
 * What is certainly new (event_known.h) is not looked for in the store.
 * The deliveries come first: a crash before the note leaves an event that its sender, which heard
 * nothing, sends again, and whose deliveries are told by their idempotency keys. The other way
 * round it would be known, and lost.
 */
#include "domain/event.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/event_known.h"
#include "domain/event_post.h"
#include "domain/event_turn.h"
#include "domain/function.h"
#include "domain/trigger_inside.h"

#define KNOWN_MS 86400000ull
#define TRIM_N   3 /* old ones that go for each new one, so that none pile up */

/* In the deliveries of one request that are on their way to the disk. An event of 256 KiB that is
 * for 10,000 triggers would be 2.5 GiB, a batch of them more. */
#define PUT_BYTES     (1u << 20)
#define PUT_OWN_BYTES 1024

struct accepting {
	struct store_message message;
	struct domain *domain; /* borrowed */
	struct org *org;       /* borrowed, held */
	struct event_list list;
	bool *is_known; /* owned: of each event */
	bool *is_asked; /* owned: the same, whether the store must tell */
	uint64_t now_ms;
	struct event_turn turn;
	size_t n_matched;  /* events whose triggers were looked for */
	char (*names)[64]; /* owned: of the triggers that the last of them is for */
	size_t n_names, cap_names, next_name;
	unsigned n_pending; /* deliveries whose answer is to come */
	size_t n_bytes;     /* in them */
	bool is_putting;
	struct event_accepted accepted;
	int code; /* of the first delivery that was refused */
	struct err err;
	event_accept_fn *done;
	void *arg; /* borrowed */
};

static void
accept_free(struct accepting *accepting) ON_LOOP
{
	event_list_done(&accepting->list);
	free(accepting->is_known);
	free(accepting->is_asked);
	free(accepting->names);
	org_release(accepting->org);
	free(accepting);
}

static void
accept_end(struct accepting *accepting, int code, const struct err *err) ON_LOOP
{
	accepting->done(code < 0 ? code : 0, code < 0 ? NULL : &accepting->accepted,
		code < 0 ? err : NULL, accepting->arg);
	accept_free(accepting);
}

/* ---- noted ---- */

static int
note_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct accepting *accepting = list_owner(message, struct accepting, message);
	uint64_t since_ms = accepting->now_ms - KNOWN_MS;
	unsigned n_removed;

	thread_on_store();
	for (size_t i = 0; i < accepting->list.n; i++) {
		const struct event *event = &accepting->list.at[i];
		int rc;

		if (accepting->is_known[i])
			continue;
		rc = row_event_insert(db, accepting->org->name, event->source, event->id,
			accepting->now_ms, since_ms, err);
		if (rc == ERR_CONFLICT)
			accepting->is_known[i] = true;
		else if (rc < 0)
			return rc;
	}
	return row_event_trim(db, since_ms, TRIM_N * (unsigned)accepting->list.n, &n_removed, err);
}

static void
note_done(struct store_message *message)
{
	struct accepting *accepting = list_owner(message, struct accepting, message);

	thread_on_loop();
	for (size_t i = 0; message->code >= 0 && i < accepting->list.n; i++) {
		if (accepting->is_known[i])
			accepting->accepted.n_known++;
		else if (!accepting->org->is_deleting)
			event_log_add(accepting->org->events, &accepting->list.at[i]);
	}
	accept_end(accepting, message->code, &message->err);
}

static void
note(struct accepting *accepting) ON_LOOP
{
	accepting->message = (struct store_message){.work = note_work, .done = note_done};
	store_ask(accepting->domain->store, &accepting->message);
}

/* ---- put ---- */

struct putting {
	struct accepting *accepting; /* borrowed */
	const struct event *event;   /* borrowed */
	char trigger[64];
};

/* Of a delivery under way: its body is copied, and so are its texts. */
static size_t
put_bytes(const struct putting *putting)
{
	return putting->event->text_len + PUT_OWN_BYTES;
}

static void put_more(struct accepting *accepting) ON_LOOP;

static void
put_over(struct accepting *accepting) ON_LOOP
{
	if (accepting->code == 0 && accepting->domain->is_stopping)
		accepting->code = err_set(&accepting->err, ERR_UNAVAILABLE, "mayfly is stopping");
	if (accepting->code < 0)
		accept_end(accepting, accepting->code, &accepting->err);
	else
		note(accepting);
}

static void
put_done(int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	OWN(mem) struct putting *putting = arg;
	struct accepting *accepting = putting->accepting;
	struct trigger *trigger = trigger_find(accepting->org, str_of(putting->trigger));

	thread_on_loop();
	if (code >= 0 && !accepted->is_known) {
		accepting->accepted.n_deliveries++;
		if (trigger)
			trigger->n_matched++;
	} else if (code < 0 && code != ERR_NOT_FOUND && accepting->code == 0) {
		accepting->code = code;
		accepting->err = *err;
		err_wrap(&accepting->err, code, "trigger %s", putting->trigger);
	}
	accepting->n_pending--;
	accepting->n_bytes -= put_bytes(putting);
	put_more(accepting);
}

/* What a value is too long for, its digest stands for. */
static void
order_key(const struct trigger *trigger, const struct event *event, char ret[static 129])
{
	const json_t *value = trigger->plan.order_key
				      ? trigger_filter_find(event, trigger->plan.order_key)
				      : NULL;
	char room[32];
	struct str text = trigger_filter_text(value, room);

	if (text.len > 128)
		id_sha256(text, ret);
	else
		snprintf(ret, 129, "%.*s", STR_ARG(text));
}

/* The same event for the same trigger has the same key, whoever sends it how often. */
static void
known_key(const struct trigger *trigger, const struct event *event, char ret[static 80])
{
	OWN(buf) struct buf text = BUF_INIT;
	char digest[ID_SHA256_SIZE];

	buf_printf(&text, "%s %zu %s %s", trigger->name, strlen(event->source), event->source,
		event->id);
	id_sha256(buf_str(&text), digest);
	snprintf(ret, 80, "event/%s", digest);
}

static uint32_t
hops_of(const struct event *event)
{
	json_int_t hops = json_integer_value(json_object_get(event->json, EVENT_HOPS));

	return hops > 0 ? (uint32_t)hops : 0;
}

/* Posts of all triggers wait in one queue: the order of one is not that of another. */
static void
post_order_key(const struct trigger *trigger, const char *order, char ret[static 129])
{
	char digest[ID_SHA256_SIZE];

	if (!order[0] || strlen(trigger->name) + 1 + strlen(order) <= 128) {
		snprintf(ret, 129, "%s%s%s", order[0] ? trigger->name : "", order[0] ? "/" : "",
			order);
		return;
	}
	id_sha256(str_of(order), digest);
	snprintf(ret, 129, "%s/%s", trigger->name, digest);
}

static void
put_to_url(const struct trigger *trigger, struct putting *putting) ON_LOOP
{
	const struct event *event = putting->event;
	OWN(buf) struct buf body = BUF_INIT;
	OWN(json) json_t *headers = event_post_write(event, trigger->plan.mode, &body);
	char key[80], order[129], post_order[129];

	known_key(trigger, event, key);
	order_key(trigger, event, order);
	post_order_key(trigger, order, post_order);
	const struct delivery_post post = {
		.org = trigger->org->name,
		.url = trigger->plan.url,
		.headers = headers,
		.body = buf_str(&body),
		.origin = "event",
		.source = trigger->name,
		.order_key = str_of(post_order),
		.idempotency_key = str_of(key),
		.hops = hops_of(event),
		.policy = trigger->plan.has_policy ? &trigger->plan.policy : NULL,
	};

	delivery_post(trigger->org->domain->deliveries, &post, put_done, putting);
}

static void
put_to_function(
	const struct trigger *trigger, struct function *function, struct putting *putting) ON_LOOP
{
	const struct event *event = putting->event;
	char key[80], order[129];

	known_key(trigger, event, key);
	order_key(trigger, event, order);
	const struct delivery_request request = {
		.function = function,
		.origin = "event",
		.source = trigger->name,
		.frame = FRAME_DIRECT,
		.method = STR(""),
		.path = STR(""),
		.head = STR(""),
		.body = str_n(event->text, event->text_len),
		.order_key = str_of(order),
		.idempotency_key = str_of(key),
		.callback_url = STR(""),
		.hops = hops_of(event),
		.policy = trigger->plan.has_policy ? &trigger->plan.policy : NULL,
	};

	delivery_put(trigger->org->domain->deliveries, &request, put_done, putting);
}

/* Of what it is for it keeps the name: a trigger may be gone when its turn comes. */
static void
put_match(struct trigger *trigger, void *arg)
{
	struct accepting *accepting = arg;

	if (accepting->n_names == accepting->cap_names) {
		accepting->cap_names = accepting->cap_names ? accepting->cap_names * 2 : 8;
		accepting->names = mem_grow(
			accepting->names, accepting->cap_names * sizeof(*accepting->names));
	}
	memcpy(accepting->names[accepting->n_names++], trigger->name, sizeof(trigger->name));
}

/* The next event that is not known, and which triggers it is for; false behind the last, and where
 * it waits for its turn. */
static bool
put_next_event(struct accepting *accepting) ON_LOOP
{
	struct org *org = accepting->org;
	struct event_turns *turns = accepting->domain->event_turns;

	accepting->n_names = accepting->next_name = 0;
	while (accepting->n_matched < accepting->list.n &&
		accepting->is_known[accepting->n_matched])
		accepting->n_matched++;
	if (accepting->n_matched == accepting->list.n)
		return false;
	if (!event_turn_take(turns, &org->event_line, &accepting->turn))
		return false;
	event_turn_spent(turns, trigger_match(org, &accepting->list.at[accepting->n_matched++],
					put_match, accepting));
	return true;
}

static void
put_one(struct accepting *accepting, const char *name) ON_LOOP
{
	struct trigger *trigger = trigger_find(accepting->org, str_of(name));
	struct function *function =
		trigger ? function_find(trigger->org, str_of(trigger->function)) : NULL;
	struct putting *putting;

	if (!trigger || (!function && !trigger->plan.url))
		return;
	putting = mem_new(sizeof(*putting));
	putting->accepting = accepting;
	putting->event = &accepting->list.at[accepting->n_matched - 1];
	memcpy(putting->trigger, trigger->name, sizeof(putting->trigger));
	accepting->n_pending++;
	accepting->n_bytes += put_bytes(putting);
	if (trigger->plan.url)
		put_to_url(trigger, putting);
	else
		put_to_function(trigger, function, putting);
}

/* As much as may be under way; the answers come back here. */
static void
put_more(struct accepting *accepting)
{
	if (accepting->is_putting)
		return;
	accepting->is_putting = true;
	while (accepting->code == 0 && !accepting->domain->is_stopping &&
		!event_turn_is_waiting(&accepting->turn) && accepting->n_bytes < PUT_BYTES) {
		if (accepting->next_name < accepting->n_names)
			put_one(accepting, accepting->names[accepting->next_name++]);
		else if (!put_next_event(accepting))
			break;
	}
	accepting->is_putting = false;
	if (!accepting->n_pending && !event_turn_is_waiting(&accepting->turn))
		put_over(accepting);
}

/* The org may have been deleted since the last turn. */
static void
put_turn(struct event_turn *turn)
{
	struct accepting *accepting = list_owner(turn, struct accepting, turn);

	thread_on_loop();
	if (accepting->code == 0 && accepting->org->is_deleting)
		accepting->code = err_set(
			&accepting->err, ERR_NOT_FOUND, "there is no org %s", accepting->org->name);
	put_more(accepting);
}

/* ---- known ---- */

/* Twice in one batch is once, too. */
static bool
is_repeated(const struct event_list *list, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(list->at[i].id, list->at[at].id) == 0 &&
			strcmp(list->at[i].source, list->at[at].source) == 0)
			return true;
	return false;
}

static int
ask_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct accepting *accepting = list_owner(message, struct accepting, message);
	int rc = 0;

	thread_on_store();
	for (size_t i = 0; rc == 0 && i < accepting->list.n; i++) {
		const struct event *event = &accepting->list.at[i];

		if (accepting->is_asked[i])
			rc = row_event_is_known(db, accepting->org->name, event->source, event->id,
				accepting->now_ms - KNOWN_MS, &accepting->is_known[i], err);
	}
	return rc;
}

static void
ask_done(struct store_message *message)
{
	struct accepting *accepting = list_owner(message, struct accepting, message);

	thread_on_loop();
	if (message->code >= 0 && accepting->org->is_deleting)
		message->code = err_set(
			&message->err, ERR_NOT_FOUND, "there is no org %s", accepting->org->name);
	if (message->code < 0)
		accept_end(accepting, message->code, &message->err);
	else
		put_more(accepting);
}

/* True when the store must be asked about some. */
static bool
look(struct accepting *accepting) ON_LOOP
{
	struct event_known *known = accepting->domain->events_known;
	bool any = false;

	for (size_t i = 0; i < accepting->list.n; i++) {
		const struct event *event = &accepting->list.at[i];

		accepting->is_known[i] = is_repeated(&accepting->list, i);
		accepting->is_asked[i] =
			!accepting->is_known[i] &&
			event_known_add(known,
				event_known_hash(accepting->org->name, event->source, event->id));
		any |= accepting->is_asked[i];
	}
	return any;
}

static struct accepting *
accepting_new(struct domain *domain, struct org *org, struct event_list *list) ON_LOOP
{
	struct accepting *accepting = mem_new(sizeof(*accepting));

	org_hold(org);
	accepting->domain = domain;
	accepting->org = org;
	accepting->list = *list;
	*list = (struct event_list){0};
	accepting->is_known = mem_new((accepting->list.n + 1) * sizeof(bool));
	accepting->is_asked = mem_new((accepting->list.n + 1) * sizeof(bool));
	accepting->now_ms = clock_unix_ms();
	accepting->turn.run = put_turn;
	list_init(&accepting->turn.link);
	accepting->accepted.n_events = (unsigned)accepting->list.n;
	return accepting;
}

void
event_accept(struct domain *domain, struct org *org, struct event_list *list, event_accept_fn *done,
	void *arg)
{
	struct accepting *accepting = accepting_new(domain, org, list);
	struct err err = {0};

	accepting->done = done;
	accepting->arg = arg;
	if (domain->is_stopping || !domain->deliveries) {
		err_set(&err, ERR_UNAVAILABLE, "mayfly is stopping");
		accept_end(accepting, ERR_UNAVAILABLE, &err);
		return;
	}
	if (!look(accepting)) {
		put_more(accepting);
		return;
	}
	accepting->message = (struct store_message){.work = ask_work, .done = ask_done};
	store_ask(domain->store, &accepting->message);
}

/* ---- of our own ---- */

struct emitting {
	void (*done)(int code, const struct err *err, void *arg);
	void *arg; /* borrowed */
};

static void
emit_done(int code, const struct event_accepted *accepted, const struct err *err, void *arg)
{
	OWN(mem) struct emitting *emitting = arg;

	thread_on_loop();
	emitting->done(code, err, emitting->arg);
}

static json_t *
emit_json(const struct delivery_event *event)
{
	char time[CLOCK_ISO_SIZE];

	clock_iso(clock_unix_ms(), time);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s*, s:O*}", "specversion", "1.0",
		"id", event->id, "source", event->source, "type", event->type, "time", time,
		"datacontenttype", "application/json", EVENT_HOPS, (int)event->hops, "subject",
		event->subject && event->subject[0] ? event->subject : NULL, "data", event->data);
}

void
event_emit(struct domain *domain, const char *org_name, const struct delivery_event *event,
	void (*done)(int code, const struct err *err, void *arg), void *arg)
{
	struct org *org = org_find(domain, str_of(org_name));
	struct event_list list = {0};
	struct emitting *emitting;
	struct err err = {0};
	json_t *json = emit_json(event);
	int rc;

	list.at = mem_new(sizeof(*list.at));
	if (!org || !json) {
		json_decref(json);
		rc = org ? err_set(&err, ERR_INVALID, "an event must be UTF-8")
			 : err_set(&err, ERR_NOT_FOUND, "there is no org %s", org_name);
	} else {
		rc = event_adopt(json, STR_NONE, list.at, &err);
		list.n = rc == 0;
	}
	if (rc < 0) {
		event_list_done(&list);
		done(rc, &err, arg);
		return;
	}
	emitting = mem_new(sizeof(*emitting));
	emitting->done = done;
	emitting->arg = arg;
	event_accept(domain, org, &list, emit_done, emitting);
}
