/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_rabbitmq_store - the rows beside the messages: what waits when the daemon starts, what an
 * unknown message is, how one ended.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bus/bus_rabbitmq.h"

#define RABBIT_PAGE          1000
#define RABBIT_CANCELLED_FOR (24 * 3600000ull) /* kept until its key is forgotten */
#define RABBIT_AGAIN_MS      1000

/* ---- asking ---- */

void
bus_rabbit_ask(struct rabbit *bus, struct store_message *message)
{
	bus->n_asked++;
	store_ask(bus->store, message);
}

void
bus_rabbit_ask_again(struct rabbit *bus)
{
	struct store_message *message;

	while ((message = list_first(&bus->again, struct store_message, link))) {
		list_remove(&message->link);
		store_ask(bus->store, message);
	}
}

static void
rabbit_on_again(struct loop_timer *timer)
{
	thread_on_loop();
	bus_rabbit_ask_again(list_owner(timer, struct rabbit, again_timer));
}

bool
bus_rabbit_answered(struct rabbit *bus, struct store_message *message)
{
	bool is_refused = message->code == ERR_UNAVAILABLE || message->code == ERR_SYSTEM ||
			  message->code == ERR_INTERNAL;

	if (!is_refused || bus->is_closing)
		return true;
	if (list_is_empty(&bus->again))
		loop_timer_start(bus->loop, &bus->again_timer, RABBIT_AGAIN_MS, rabbit_on_again);
	list_push_back(&bus->again, &message->link);
	return false;
}

/* ---- what waits ---- */

struct rabbit_loaded {
	char id[ID_ULID_SIZE], org[64], function[64];
	uint64_t created_ms, due_ms, expires_ms;
	uint32_t attempt;
};

struct rabbit_load {
	struct store_message message;
	struct rabbit *bus;                /* borrowed */
	struct rabbit_loaded *rows, *last; /* owned; of the page that is read */
	size_t n, cap;
	struct row_delivery_count *queues; /* owned */
	size_t n_queues;
	unsigned n_page;
};

static bool
rabbit_load_queue(const struct row_delivery_count *count, void *arg)
{
	struct rabbit_load *load = arg;

	load->queues = mem_grow(load->queues, (load->n_queues + 1) * sizeof(*load->queues));
	load->queues[load->n_queues++] = *count;
	return true;
}

static bool
rabbit_load_row(const struct row_delivery *row, void *arg)
{
	struct rabbit_load *load = arg;
	struct rabbit_loaded *loaded;

	if (load->n == load->cap) {
		load->cap = load->cap ? 2 * load->cap : 256;
		load->rows = mem_grow(load->rows, load->cap * sizeof(*load->rows));
	}
	loaded = &load->rows[load->n++];
	memcpy(loaded->id, row->id, sizeof(loaded->id));
	memcpy(loaded->org, row->org, sizeof(loaded->org));
	memcpy(loaded->function, row->function, sizeof(loaded->function));
	loaded->created_ms = row->created_ms;
	loaded->due_ms = row->due_ms;
	loaded->expires_ms = row->expires_ms;
	loaded->attempt = row->attempt;
	load->n_page++;
	return true;
}

static int
rabbit_load_pages(struct store_db *db, struct rabbit_load *load,
	const struct row_delivery_count *queue, struct err *err) ON_STORE
{
	char after[ID_ULID_SIZE] = "";
	uint64_t after_due_ms = 0;

	do {
		int rc;

		load->n_page = 0;
		rc = row_delivery_next(db, queue->org, queue->function, after_due_ms, after,
			INT64_MAX, RABBIT_PAGE, rabbit_load_row, load, err);
		if (rc < 0)
			return rc;
		if (load->n_page) {
			after_due_ms = load->rows[load->n - 1].due_ms;
			memcpy(after, load->rows[load->n - 1].id, sizeof(after));
		}
	} while (load->n_page == RABBIT_PAGE);
	return 0;
}

static int
rabbit_load_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_load *load = list_owner(message, struct rabbit_load, message);
	int rc;

	thread_on_store();
	load->n = load->n_queues = 0;
	rc = row_delivery_count(db, rabbit_load_queue, load, err);
	for (size_t i = 0; rc == 0 && i < load->n_queues; i++)
		rc = rabbit_load_pages(db, load, &load->queues[i], err);
	return rc;
}

static void
rabbit_load_done(struct store_message *message)
{
	struct rabbit_load *load = list_owner(message, struct rabbit_load, message);
	struct rabbit *bus = load->bus;
	struct rabbit_item *item;

	thread_on_loop();
	if (!bus_rabbit_answered(bus, message))
		return;
	for (size_t i = 0; message->code == 0 && !bus->is_closing && i < load->n; i++) {
		const struct rabbit_loaded *loaded = &load->rows[i];
		struct row_delivery row = {.created_ms = loaded->created_ms,
			.due_ms = loaded->due_ms,
			.expires_ms = loaded->expires_ms,
			.attempt = loaded->attempt};

		if (map_find(&bus->items, str_of(loaded->id)))
			continue;
		memcpy(row.id, loaded->id, sizeof(row.id));
		item = bus_rabbit_item_new(
			bus_rabbit_queue(bus, loaded->org, loaded->function), &row, 0);
		item->is_promised = true;
		bus_rabbit_item_wait(item);
	}
	free(load->rows);
	free(load->queues);
	free(load);
	bus_rabbit_release(bus);
}

void
bus_rabbit_load(struct rabbit *bus)
{
	struct rabbit_load *load = mem_new(sizeof(*load));

	load->bus = bus;
	load->message.work = rabbit_load_work;
	load->message.done = rabbit_load_done;
	bus_rabbit_ask(bus, &load->message);
}

/* ---- what is not known here ---- */

struct rabbit_check {
	struct store_message message;
	struct rabbit *bus;       /* borrowed */
	struct rabbit_item *item; /* borrowed; NULL when it has gone meanwhile */
	struct row_delivery row;  /* without a payload; its order key is owned */
	bool is_foreign, is_known;
	char function[64]; /* of the row that is known */
	uint8_t state;
	uint32_t attempt;
	uint64_t due_ms;
};

static void
rabbit_check_found(const struct row_delivery *row, void *arg)
{
	struct rabbit_check *check = arg;

	check->is_known = true;
	memcpy(check->function, row->function, sizeof(check->function));
	check->state = row->state;
	check->attempt = row->attempt;
	check->due_ms = row->due_ms;
}

/* Only what is somebody else's gets a row. */
static int
rabbit_check_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_check *check = list_owner(message, struct rabbit_check, message);
	char known[ID_ULID_SIZE];
	int rc;

	thread_on_store();
	check->is_known = false;
	rc = row_delivery_find(db, check->row.org, check->row.id, rabbit_check_found, check, err);
	if (rc != ERR_NOT_FOUND || !check->is_foreign)
		return rc;
	return row_delivery_insert(db, &check->row, 0, known, err);
}

static bool
rabbit_check_is_over(const struct rabbit_check *check, int code)
{
	return code < 0 ||
	       (check->is_known && (check->state != ROW_DELIVERY_QUEUED ||
					   strcmp(check->function, check->row.function)));
}

static void
rabbit_check_judge(struct rabbit_check *check, struct rabbit_item *item, int code) ON_LOOP
{
	item->holder = NULL;
	/* It has ended, its org is gone, or it is not what it says. */
	if (rabbit_check_is_over(check, code)) {
		bus_rabbit_item_ack(item);
		bus_rabbit_item_free(item);
		return;
	}
	if (check->is_known) {
		item->attempt = check->attempt;
		item->due_ms = check->due_ms;
		item->message->is_foreign = false;
	}
	bus_rabbit_item_count(item, true);
	bus_rabbit_item_ready(item);
}

static void
rabbit_check_done(struct store_message *message)
{
	struct rabbit_check *check = list_owner(message, struct rabbit_check, message);
	struct rabbit *bus = check->bus;

	thread_on_loop();
	if (!bus_rabbit_answered(bus, message))
		return;
	if (check->item)
		rabbit_check_judge(check, check->item, message->code);
	free((char *)check->row.order_key);
	free(check);
	bus_rabbit_release(bus);
}

void
bus_rabbit_check(struct rabbit_item *item)
{
	struct rabbit_check *check = mem_new(sizeof(*check));
	struct row_delivery *row = &check->row;

	check->bus = item->bus;
	check->item = item;
	check->is_foreign = item->message->is_foreign;
	item->holder = &check->item;
	item->state = RABBIT_CHECKING;
	*row = item->message->row;
	/* A copy: the item may go before the answer. */
	row->order_key = str_dup(str_of(row->order_key));
	row->path = row->method = row->idempotency_key = row->callback_url = "";
	row->head = row->body = row->result = STR("");
	row->message = row->headers = "";
	check->message.work = rabbit_check_work;
	check->message.done = rabbit_check_done;
	bus_rabbit_ask(item->bus, &check->message);
}

/* ---- how it went ---- */

struct rabbit_write {
	struct store_message message;
	struct rabbit *bus;       /* borrowed */
	struct rabbit_item *item; /* borrowed; NULL for a retry, or when it has gone */
	struct row_delivery row;  /* its texts are owned: `texts` */
	char *texts;
	void (*done)(void *arg, int code);
	void *arg; /* borrowed */
};

/* A dead one is shown, and may be put again: it keeps what it carried. */
static int
rabbit_write_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_write *write = list_owner(message, struct rabbit_write, message);
	int rc;

	thread_on_store();
	rc = row_delivery_update(db, &write->row, err);
	if (rc == 0 && write->row.state == ROW_DELIVERY_DEAD)
		rc = row_delivery_keep(db, &write->row, err);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static void
rabbit_write_done(struct store_message *message)
{
	struct rabbit_write *write = list_owner(message, struct rabbit_write, message);
	struct rabbit_item *item = write->item;
	struct rabbit *bus = write->bus;

	thread_on_loop();
	/* That it is to come again may go missing, and must not be said when it has ended. */
	if (item && !bus_rabbit_answered(bus, message))
		return;
	if (item) {
		item->holder = NULL;
		if (message->code == 0)
			bus_rabbit_item_ack(item);
		else if (item->source && item->source == item->queue->source)
			amqp_reject(item->source, item->tag, true);
		bus_rabbit_item_free(item);
	}
	if (write->done)
		write->done(write->arg, message->code);
	free(write->texts);
	free(write);
	bus_rabbit_release(bus);
}

static struct str
rabbit_copy(char **at, struct str text)
{
	char *copy = *at;

	if (text.len)
		memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	*at += text.len + 1;
	return str_n(copy, text.len);
}

static void
rabbit_write_send(struct rabbit *bus, struct rabbit_item *item, const struct row_delivery *row,
	void (*done)(void *arg, int code), void *arg) ON_LOOP
{
	struct rabbit_write *write = mem_new(sizeof(*write));
	bool is_dead = row->state == ROW_DELIVERY_DEAD;
	struct str message = str_of(row->message ? row->message : ""),
		   headers = str_of(row->headers ? row->headers : ""),
		   head = is_dead ? row->head : STR(""), body = is_dead ? row->body : STR("");
	char *at = mem_new(message.len + headers.len + row->result.len + head.len + body.len + 5);

	write->texts = at;
	write->row = *row;
	write->row.message = rabbit_copy(&at, message).at;
	write->row.headers = rabbit_copy(&at, headers).at;
	write->row.result = rabbit_copy(&at, row->result);
	write->row.head = rabbit_copy(&at, head);
	write->row.body = rabbit_copy(&at, body);
	write->bus = bus;
	write->item = item;
	write->done = done;
	write->arg = arg;
	if (item)
		item->holder = &write->item;
	write->message.work = rabbit_write_work;
	write->message.done = rabbit_write_done;
	bus_rabbit_ask(bus, &write->message);
}

void
bus_rabbit_write_end(struct rabbit_item *item, const struct row_delivery *row,
	void (*done)(void *arg, int code), void *arg)
{
	struct row_delivery end = *row;

	end.head = item->message->row.head;
	end.body = item->message->row.body;
	item->state = RABBIT_WRITING;
	rabbit_write_send(item->bus, item, &end, done, arg);
}

void
bus_rabbit_write_retry(struct rabbit *bus, const struct row_delivery *row)
{
	rabbit_write_send(bus, NULL, row, NULL, NULL);
}

/* ---- withdrawing ---- */

struct rabbit_leave {
	struct store_message message;
	struct rabbit *bus;       /* borrowed */
	struct rabbit_item *item; /* borrowed; NULL when it has gone meanwhile */
	char org[64], id[ID_ULID_SIZE];
	struct store_db *db; /* borrowed while work() runs */
	struct err *err;     /* the same */
	int code;
};

static void
rabbit_leave_found(const struct row_delivery *row, void *arg)
{
	struct rabbit_leave *leave = arg;
	struct row_delivery gone = *row;

	thread_on_store();
	if (row->state != ROW_DELIVERY_QUEUED)
		return;
	gone.state = ROW_DELIVERY_CANCELLED;
	gone.ended_ms = clock_unix_ms();
	gone.due_ms = gone.ended_ms + RABBIT_CANCELLED_FOR;
	snprintf(gone.code, sizeof(gone.code), "%s", err_word(ERR_CANCELLED));
	leave->code = row_delivery_update(leave->db, &gone, leave->err);
}

static int
rabbit_leave_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_leave *leave = list_owner(message, struct rabbit_leave, message);
	int rc;

	thread_on_store();
	leave->db = db;
	leave->err = err;
	leave->code = 0;
	rc = row_delivery_find(db, leave->org, leave->id, rabbit_leave_found, leave, err);
	return rc < 0 ? rc : leave->code;
}

static void
rabbit_leave_done(struct store_message *message)
{
	struct rabbit_leave *leave = list_owner(message, struct rabbit_leave, message);
	struct rabbit *bus = leave->bus;

	thread_on_loop();
	if (!bus_rabbit_answered(bus, message))
		return;
	if (leave->item) {
		leave->item->holder = NULL;
		bus_rabbit_item_ack(leave->item);
		bus_rabbit_item_free(leave->item);
	}
	free(leave);
	bus_rabbit_release(bus);
}

void
bus_rabbit_cancel(struct rabbit_item *item)
{
	struct rabbit_leave *leave = mem_new(sizeof(*leave));

	leave->bus = item->bus;
	leave->item = item;
	item->holder = &leave->item;
	snprintf(leave->org, sizeof(leave->org), "%s", item->queue->org);
	snprintf(leave->id, sizeof(leave->id), "%s", item->id);
	leave->message.work = rabbit_leave_work;
	leave->message.done = rabbit_leave_done;
	bus_rabbit_ask(item->bus, &leave->message);
}
