/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_dead - what became of those that are dead: tried again, deleted, or too old; and what
 * ended well long ago.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/delivery_inside.h"
#include "domain/org.h"

#define PURGE_ROWS 500 /* in one message, so that others are not kept waiting */

/* ---- how many ---- */

struct dead_count {
	struct store_message message;
	struct delivery_host *host;        /* borrowed */
	struct row_delivery_count *counts; /* owned */
	size_t n;
};

static bool
count_each(const struct row_delivery_count *count, void *arg)
{
	struct dead_count *all = arg;

	all->counts = mem_grow(all->counts, (all->n + 1) * sizeof(*all->counts));
	all->counts[all->n++] = *count;
	return true;
}

static int
count_work(struct store_db *db, struct store_message *message, struct err *err)
{
	thread_on_store();
	return row_delivery_count_dead(
		db, count_each, list_owner(message, struct dead_count, message), err);
}

static void
count_done(struct store_message *message)
{
	struct dead_count *all = list_owner(message, struct dead_count, message);
	struct delivery_host *host = all->host;

	thread_on_loop();
	if (message->code >= 0 && !host->is_over) {
		map_each (&host->queues, entry)
			((struct delivery_queue *)entry->value)->n_dead = 0;
		for (size_t i = 0; i < all->n; i++) {
			struct delivery_queue *queue = delivery_queue_find(
				host, all->counts[i].org, all->counts[i].function);

			if (queue)
				queue->n_dead = all->counts[i].n;
		}
	}
	free(all->counts);
	free(all);
}

void
delivery_count_dead(struct delivery_host *host)
{
	struct dead_count *all = mem_new(sizeof(*all));

	all->host = host;
	all->message.work = count_work;
	all->message.done = count_done;
	store_ask(host->domain->store, &all->message);
}

/* ---- what is too old ---- */

struct dead_trim {
	struct store_message message;
	struct delivery_host *host; /* borrowed */
	unsigned n_removed;
};

static int
trim_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct dead_trim *trim = list_owner(message, struct dead_trim, message);

	thread_on_store();
	return row_delivery_trim(db, clock_unix_ms(), DELIVERY_TRIM_ROWS, &trim->n_removed, err);
}

static void trim_ask(struct loop_timer *timer);

static void
trim_done(struct store_message *message)
{
	struct dead_trim *trim = list_owner(message, struct dead_trim, message);
	struct delivery_host *host = trim->host;
	unsigned n_removed = trim->n_removed;

	thread_on_loop();
	if (message->code < 0)
		log_warn("delivery.trim_failed", "reason=%s", log_q(message->err.text));
	free(trim);
	if (host->is_over || host->is_stopping)
		return;
	if (n_removed)
		delivery_count_dead(host);
	loop_timer_start(host->domain->loop, &host->trim_timer,
		n_removed < DELIVERY_TRIM_ROWS ? DELIVERY_TRIM_MS : 0, trim_ask);
}

static void
trim_ask(struct loop_timer *timer)
{
	struct dead_trim *trim = mem_new(sizeof(*trim));

	thread_on_loop();
	trim->host = list_owner(timer, struct delivery_host, trim_timer);
	trim->message.work = trim_work;
	trim->message.done = trim_done;
	trim->message.is_lazy = true;
	store_ask(trim->host->domain->store, &trim->message);
}

void
delivery_trim_start(struct delivery_host *host)
{
	loop_timer_start(host->domain->loop, &host->trim_timer, DELIVERY_TRIM_MS, trim_ask);
}

/* ---- deleted ---- */

struct dead_delete {
	struct store_message message;
	struct delivery_host *host; /* borrowed */
	char org[64], function[64], id[ID_ULID_SIZE];
	unsigned n, n_all;
	void (*done)(int code, const struct err *err, void *arg);
	void (*purged)(int code, unsigned n, void *arg);
	void *arg; /* borrowed */
};

static struct dead_delete *
delete_new(struct delivery_host *host, struct str org)
{
	struct dead_delete *deletion = mem_new(sizeof(*deletion));

	deletion->host = host;
	snprintf(deletion->org, sizeof(deletion->org), "%.*s", STR_ARG(org));
	return deletion;
}

static int
delete_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct dead_delete *deletion = list_owner(message, struct dead_delete, message);

	thread_on_store();
	return row_delivery_delete(db, deletion->org, deletion->id, err);
}

static void
delete_done(struct store_message *message)
{
	struct dead_delete *deletion = list_owner(message, struct dead_delete, message);
	struct err err = message->err;

	thread_on_loop();
	if (message->code == ERR_NOT_FOUND)
		err_set(&err, ERR_NOT_FOUND, "there is no dead letter %s", deletion->id);
	if (message->code >= 0 && !deletion->host->is_over)
		delivery_count_dead(deletion->host);
	if (deletion->done)
		deletion->done(message->code, message->code < 0 ? &err : NULL, deletion->arg);
	free(deletion);
}

void
delivery_delete(struct delivery_host *host, struct str org, struct str id,
	void (*done)(int code, const struct err *err, void *arg), void *arg)
{
	struct dead_delete *deletion = delete_new(host, org);

	snprintf(deletion->id, sizeof(deletion->id), "%.*s", STR_ARG(id));
	deletion->done = done;
	deletion->arg = arg;
	deletion->message.work = delete_work;
	deletion->message.done = delete_done;
	store_ask(host->domain->store, &deletion->message);
}

static int
purge_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct dead_delete *deletion = list_owner(message, struct dead_delete, message);

	thread_on_store();
	return row_delivery_purge(db, deletion->org,
		deletion->function[0] ? deletion->function : NULL, PURGE_ROWS, &deletion->n, err);
}

static void
purge_done(struct store_message *message)
{
	struct dead_delete *deletion = list_owner(message, struct dead_delete, message);

	thread_on_loop();
	deletion->n_all += message->code < 0 ? 0 : deletion->n;
	if (message->code >= 0 && deletion->n == PURGE_ROWS && !deletion->host->is_over) {
		store_ask(deletion->host->domain->store, &deletion->message);
		return;
	}
	if (!deletion->host->is_over)
		delivery_count_dead(deletion->host);
	deletion->purged(message->code, deletion->n_all, deletion->arg);
	free(deletion);
}

void
delivery_purge(struct delivery_host *host, struct str org, struct str function,
	void (*done)(int code, unsigned n, void *arg), void *arg)
{
	struct dead_delete *deletion = delete_new(host, org);

	snprintf(deletion->function, sizeof(deletion->function), "%.*s", STR_ARG(function));
	deletion->purged = done;
	deletion->arg = arg;
	deletion->message.work = purge_work;
	deletion->message.done = purge_done;
	store_ask(host->domain->store, &deletion->message);
}

/* ---- tried again ---- */

struct dead_redrive {
	struct store_message message;
	struct delivery_host *host; /* borrowed */
	char org[64], id[ID_ULID_SIZE];
	char function[64], to[64]; /* `to` "" for the same */
	uint32_t version;
	struct row_delivery row;
	char *copies; /* owned: texts and bytes of the row */
	delivery_put_fn *done;
	void *arg; /* borrowed */
};

static struct str
keep_bytes(char **at, struct str bytes)
{
	struct str copy = str_n(*at, bytes.len);

	if (bytes.len)
		memcpy(*at, bytes.at, bytes.len);
	(*at)[bytes.len] = '\0';
	*at += bytes.len + 1;
	return copy;
}

static void
redrive_found(const struct row_delivery *row, void *arg)
{
	struct dead_redrive *redrive = arg;
	struct row_delivery *mine = &redrive->row;
	size_t size = strlen(row->order_key) + strlen(row->callback_url) + strlen(row->method) +
		      strlen(row->path) + row->head.len + row->body.len + 6;
	char *at = redrive->copies = mem_grow(NULL, size);

	*mine = *row;
	mine->order_key = keep_bytes(&at, str_of(row->order_key)).at;
	mine->callback_url = keep_bytes(&at, str_of(row->callback_url)).at;
	mine->method = keep_bytes(&at, str_of(row->method)).at;
	mine->path = keep_bytes(&at, str_of(row->path)).at;
	mine->head = keep_bytes(&at, row->head);
	mine->body = keep_bytes(&at, row->body);
}

static int
redrive_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct dead_redrive *redrive = list_owner(message, struct dead_redrive, message);

	thread_on_store();
	return row_delivery_find(db, redrive->org, redrive->id, redrive_found, redrive, err);
}

static void
redrive_end(struct dead_redrive *redrive, int code, const struct delivery_accepted *accepted,
	const struct err *err) ON_LOOP
{
	redrive->done(code, accepted, err, redrive->arg);
	free(redrive->copies);
	free(redrive);
}

static void
redrive_on_put(int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	struct dead_redrive *redrive = arg;

	thread_on_loop();
	if (code >= 0)
		delivery_delete(
			redrive->host, str_of(redrive->org), str_of(redrive->id), NULL, NULL);
	redrive_end(redrive, code, accepted, err);
}

/* Its key: who asks twice because the first answer was lost makes one post of it. */
static void
redrive_post(struct dead_redrive *redrive) ON_LOOP
{
	OWN(mem) char *key = mem_printf("redrive/%s", redrive->id);
	const struct row_delivery *row = &redrive->row;
	OWN(json)
	json_t *headers = row->head.len ? json_loadb(row->head.at, row->head.len, 0, NULL) : NULL;
	const struct delivery_post post = {
		.org = redrive->org,
		.url = row->path,
		.headers = headers,
		.body = row->body,
		.origin = "redrive",
		.source = row->source,
		.order_key = str_of(row->order_key),
		.idempotency_key = str_of(key),
		.hops = row->hops,
		.frame = (enum frame_trigger)row->frame,
	};

	delivery_post(redrive->host, &post, redrive_on_put, redrive);
}

/* The same for a call. */
static void
redrive_put(struct dead_redrive *redrive, struct function *function) ON_LOOP
{
	OWN(mem) char *key = mem_printf("redrive/%s", redrive->id);
	const struct row_delivery *row = &redrive->row;
	const struct delivery_request request = {
		.function = function,
		.version = redrive->version,
		.origin = "redrive",
		.source = row->source,
		.frame = (enum frame_trigger)row->frame,
		.method = str_of(row->method),
		.path = str_of(row->path),
		.head = row->head,
		.body = row->body,
		.order_key = str_of(row->order_key),
		.idempotency_key = str_of(key),
		.callback_url = str_of(row->callback_url),
		.hops = row->hops,
	};

	delivery_put(redrive->host, &request, redrive_on_put, redrive);
}

static bool
is_post(const struct row_delivery *row)
{
	return strcmp(row->function, DELIVERY_POSTS) == 0;
}

/* A post goes where it was to go, and what others put into the broker was to go nowhere. */
static int
check_post(const struct dead_redrive *redrive, struct err *err)
{
	if (redrive->to[0] || redrive->version)
		return err_field(err, ERR_CONFLICT, redrive->to[0] ? "function" : "version",
			"%s is a post: it goes to its URL again, to no function", redrive->id);
	if (strcmp(redrive->row.origin, "queue") == 0)
		return err_set(err, ERR_CONFLICT, "%s was not put by mayfly, and is not sent",
			redrive->id);
	return 0;
}

static void
redrive_done(struct store_message *message)
{
	struct dead_redrive *redrive = list_owner(message, struct dead_redrive, message);
	struct domain *domain = redrive->host->domain;
	const struct org *org = org_find(domain, str_of(redrive->org));
	const char *name = redrive->to[0] ? redrive->to : redrive->row.function;
	struct function *function = org ? function_find(org, str_of(name)) : NULL;
	bool to_url = is_post(&redrive->row);
	struct err err = message->err;
	int rc = message->code;

	thread_on_loop();
	if (rc == ERR_NOT_FOUND || (rc >= 0 && redrive->row.state != ROW_DELIVERY_DEAD))
		rc = err_set(&err, ERR_NOT_FOUND, "there is no dead letter %s", redrive->id);
	else if (rc >= 0 && to_url)
		rc = check_post(redrive, &err);
	else if (rc >= 0 && !function)
		rc = err_field(&err, ERR_NOT_FOUND, "function",
			"there is no function %s (any more); give another", name);
	if (rc < 0)
		redrive_end(redrive, rc, NULL, &err);
	else if (to_url)
		redrive_post(redrive);
	else
		redrive_put(redrive, function);
}

void
delivery_redrive(struct delivery_host *host, struct str org, struct str id, struct function *to,
	uint32_t version, delivery_put_fn *done, void *arg)
{
	struct dead_redrive *redrive = mem_new(sizeof(*redrive));

	redrive->host = host;
	snprintf(redrive->org, sizeof(redrive->org), "%.*s", STR_ARG(org));
	snprintf(redrive->id, sizeof(redrive->id), "%.*s", STR_ARG(id));
	if (to)
		snprintf(redrive->to, sizeof(redrive->to), "%s", to->name);
	redrive->version = version;
	redrive->done = done;
	redrive->arg = arg;
	redrive->message.work = redrive_work;
	redrive->message.done = redrive_done;
	store_ask(host->domain->store, &redrive->message);
}

/* ---- all of them ---- */

struct dead_all {
	struct store_message message;
	struct delivery_host *host; /* borrowed */
	char org[64], function[64], to[64];
	uint32_t version;
	char (*ids)[ID_ULID_SIZE]; /* owned: those that were dead when it was asked */
	size_t n_ids, n_room, at;
	char last[ID_ULID_SIZE]; /* that was listed */
	unsigned n_page;
	unsigned n;
	void (*done)(int code, unsigned n, const struct err *err, void *arg);
	void *arg; /* borrowed */
};

static bool
all_each(const struct row_delivery *row, void *arg)
{
	struct dead_all *all = arg;

	/* The list goes on from the last id of a page, whatever that is. */
	memcpy(all->last, row->id, sizeof(all->last));
	all->n_page++;
	if (is_post(row) && (all->to[0] || all->version))
		return true;
	if (all->n_ids == all->n_room) {
		all->n_room = all->n_room ? 2 * all->n_room : 64;
		all->ids = mem_grow(all->ids, all->n_room * sizeof(*all->ids));
	}
	memcpy(all->ids[all->n_ids++], row->id, ID_ULID_SIZE);
	return true;
}

static int
all_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct dead_all *all = list_owner(message, struct dead_all, message);
	struct row_delivery_query query = {
		.org = all->org,
		.function = all->function[0] ? all->function : NULL,
		.state = ROW_DELIVERY_DEAD,
		.n = 1000,
	};
	char before[ID_ULID_SIZE];
	int rc;

	thread_on_store();
	all->last[0] = '\0';
	all->n_ids = 0;
	do {
		memcpy(before, all->last, sizeof(before));
		query.before = before[0] ? before : NULL;
		all->n_page = 0;
		rc = row_delivery_list(db, &query, all_each, all, err);
	} while (rc >= 0 && all->n_page == query.n);
	return rc;
}

static void
all_end(struct dead_all *all, int code, const struct err *err) ON_LOOP
{
	all->done(code, all->n, err, all->arg);
	free(all->ids);
	free(all);
}

static void all_next(struct dead_all *all) ON_LOOP;

/* One that somebody else took meanwhile does not stop it. */
static void
all_on_one(int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	struct dead_all *all = arg;

	thread_on_loop();
	if (code < 0 && (code != ERR_NOT_FOUND || err->field[0])) {
		all_end(all, all->n ? 0 : code, err);
		return;
	}
	all->n += code >= 0;
	all_next(all);
}

static void
all_next(struct dead_all *all)
{
	const struct org *org = org_find(all->host->domain, str_of(all->org));
	struct function *to = org && all->to[0] ? function_find(org, str_of(all->to)) : NULL;

	if (all->at == all->n_ids || all->host->is_over) {
		all_end(all, 0, NULL);
		return;
	}
	all->at++;
	delivery_redrive(all->host, str_of(all->org), str_of(all->ids[all->n_ids - all->at]), to,
		all->version, all_on_one, all);
}

static void
all_done(struct store_message *message)
{
	struct dead_all *all = list_owner(message, struct dead_all, message);

	thread_on_loop();
	if (message->code < 0)
		all_end(all, message->code, &message->err);
	else
		all_next(all);
}

void
delivery_redrive_all(struct delivery_host *host, struct str org, struct str function,
	struct function *to, uint32_t version,
	void (*done)(int code, unsigned n, const struct err *err, void *arg), void *arg)
{
	struct dead_all *all = mem_new(sizeof(*all));

	all->host = host;
	snprintf(all->org, sizeof(all->org), "%.*s", STR_ARG(org));
	snprintf(all->function, sizeof(all->function), "%.*s", STR_ARG(function));
	if (to)
		snprintf(all->to, sizeof(all->to), "%s", to->name);
	all->version = version;
	all->done = done;
	all->arg = arg;
	all->message.work = all_work;
	all->message.done = all_done;
	store_ask(host->domain->store, &all->message);
}
