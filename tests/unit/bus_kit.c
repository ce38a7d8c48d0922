/* SPDX-License-Identifier: Apache-2.0 */
#include "bus_kit.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "amqp/amqp.h"
#include "amqp/amqp_frame.h"
#include "base/clock.h"
#include "store/rows.h"
#include "store/store_db.h"
#include "store_kit.h"

#define WAIT_US 60000000

static void
ok(struct bus_kit *kit, int rc)
{
	if (rc < 0)
		print_error("%s: %s\n", err_word(rc), kit->err.text);
	assert_true(rc >= 0);
}

static void
turn(struct bus_kit *kit)
{
	uv_run(loop_uv(kit->loop), UV_RUN_NOWAIT);
}

/* ---- open and close ---- */

static int
insert_org(struct store_db *db, void *arg, struct err *err)
{
	struct row_org org = {.settings = "{}"};

	thread_on_store();
	snprintf(org.name, sizeof(org.name), "%s", ((struct bus_kit *)arg)->org);
	return row_org_insert(db, &org, err);
}

static int
delete_org(struct store_db *db, void *arg, struct err *err)
{
	thread_on_store();
	return row_org_delete(db, ((struct bus_kit *)arg)->org, err);
}

void
bus_kit_add_org(struct bus_kit *kit)
{
	ok(kit, store_ask_and_wait(kit->store, insert_org, kit, &kit->err));
}

void
bus_kit_remove_org(struct bus_kit *kit)
{
	ok(kit, store_ask_and_wait(kit->store, delete_org, kit, &kit->err));
}

static int
set_refusing(struct store_db *db, void *arg, struct err *err)
{
	static const char on[] = "CREATE TABLE IF NOT EXISTS filler (bytes BLOB);"
				 "CREATE TEMP TRIGGER refuse BEFORE UPDATE ON main.delivery"
				 " BEGIN INSERT INTO filler VALUES (zeroblob(4000000)); END;"
				 "PRAGMA max_page_count = 1;"; /* no more than there are */
	static const char off[] = "DROP TRIGGER refuse; PRAGMA max_page_count = 1000000;";
	const bool *is_refusing = arg;

	thread_on_store();
	return store_sqlite_exec(db->sqlite, *is_refusing ? on : off, err);
}

void
bus_kit_refuse(struct bus_kit *kit, bool is_refusing)
{
	ok(kit, store_ask_and_wait(kit->store, set_refusing, &is_refusing, &kit->err));
}

static void
open_store(struct bus_kit *kit)
{
	struct store_config config = {
		.data_dir = kit->folder, .post = store_kit_post, .arg = kit->loop};

	ok(kit, store_open(&config, &kit->store, &kit->err));
}

/* tests/scenario/rabbitmq.py runs the broker, one for the whole program. */
static void
open_amqp(struct bus_kit *kit)
{
	const char *port = getenv("MAYFLY_TEST_AMQP_PORT");
	const char *libexec = getenv("MAYFLY_AMQP_LIBEXEC");
	OWN(mem) char *url = mem_printf("amqp://mayfly@127.0.0.1:%s/", port ? port : "");
	OWN(mem) char *program = path_join(libexec ? libexec : "", "mayfly-amqp");
	struct amqp_config config = {
		.loop = kit->loop, .url = url, .password = getenv("MAYFLY_TEST_AMQP_PASSWORD")};

	thread_on_loop();
	ok(kit, peer_process_start(program, AMQP_LANES, 0, 0, &config.process, &kit->err));
	ok(kit, amqp_open(&config, &kit->amqp, &kit->err));
}

static bool
is_amqp_up(void *arg)
{
	return amqp_is_up(((struct bus_kit *)arg)->amqp);
}

static void
on_amqp_closed(void *arg)
{
	((struct bus_kit *)arg)->is_amqp_closed = true;
}

static bool
is_amqp_closed(void *arg)
{
	return ((struct bus_kit *)arg)->is_amqp_closed;
}

static void
close_amqp(struct bus_kit *kit)
{
	if (!kit->amqp)
		return;
	thread_on_loop();
	amqp_close(kit->amqp, on_amqp_closed, kit);
	bus_kit_wait(kit, is_amqp_closed, kit);
}

static void
open_bus(struct bus_kit *kit)
{
	const char *name = getenv("MAYFLY_TEST_BUS");
	struct bus_config config = {
		.loop = kit->loop,
		.store = kit->store,
		.exchange = "mayfly",
		.memory_bytes = kit->memory_bytes ? kit->memory_bytes : 64 << 20,
	};

	kit->ops = bus_find(str_of(name ? name : "embedded"));
	assert_non_null(kit->ops);
	if (kit->ops == &bus_rabbitmq && !kit->amqp)
		open_amqp(kit);
	config.amqp = kit->amqp;
	ok(kit, kit->ops->open(&config, &kit->bus, &kit->err));
	if (kit->amqp)
		bus_kit_wait(kit, is_amqp_up, kit);
}

struct bus_kit *
bus_kit_open(unsigned memory_bytes)
{
	struct bus_kit *kit = mem_new(sizeof(*kit));
	char id[ID_ULID_SIZE];

	kit->folder = unit_folder();
	kit->memory_bytes = memory_bytes;
	id_ulid(id);
	for (unsigned i = 0; i < ID_ULID_SIZE; i++)
		kit->org[i] = id[i] >= 'A' ? id[i] - 'A' + 'a' : id[i];
	ok(kit, loop_new(&kit->loop, &kit->err));
	open_store(kit);
	bus_kit_add_org(kit);
	open_bus(kit);
	return kit;
}

static void
shut(struct bus_kit *kit)
{
	kit->ops->close(kit->bus);
	store_close(kit->store);
	for (unsigned i = 0; i < 20; i++)
		turn(kit);
}

void
bus_kit_close(struct bus_kit *kit)
{
	shut(kit);
	close_amqp(kit);
	loop_free(kit->loop);
	own_folder(&kit->folder);
	free(kit);
}

void
bus_kit_reopen(struct bus_kit *kit)
{
	shut(kit);
	open_store(kit);
	open_bus(kit);
}

void
bus_kit_wait(struct bus_kit *kit, bool (*is_done)(void *arg), void *arg)
{
	uint64_t until_us = clock_mono_us() + WAIT_US;

	while (!is_done(arg)) {
		assert_true(clock_mono_us() < until_us);
		turn(kit);
		if (!is_done(arg))
			poll(&(struct pollfd){uv_backend_fd(loop_uv(kit->loop)), POLLIN, 0}, 1, 1);
	}
}

static bool
is_over(void *arg)
{
	return clock_mono_us() >= *(uint64_t *)arg;
}

void
bus_kit_rest(struct bus_kit *kit, unsigned ms)
{
	uint64_t until_us = clock_mono_us() + ms * 1000ull;

	bus_kit_wait(kit, is_over, &until_us);
}

/* ---- putting ---- */

void
bus_kit_id(unsigned number, char ret[static ID_ULID_SIZE])
{
	snprintf(ret, ID_ULID_SIZE, "01J%023u", number);
}

unsigned
bus_kit_number(const char *id)
{
	return strtoul(id + 3, NULL, 10);
}

static void
on_put(struct bus_put *at, int code, const struct err *err)
{
	struct bus_kit_put *put = list_owner(at, struct bus_kit_put, put);

	assert_false(put->is_done);
	put->is_done = true;
	put->code = code;
	if (code < 0)
		put->err = *err;
}

void
bus_kit_put_init(
	struct bus_kit *kit, struct bus_kit_put *put, const char *function, unsigned number)
{
	struct row_delivery *row = &put->put.row;

	memset(put, 0, sizeof(*put));
	put->put.done = on_put;
	snprintf(put->body, sizeof(put->body), "message %u", number);
	bus_kit_id(number, row->id);
	snprintf(row->org, sizeof(row->org), "%s", kit->org);
	snprintf(row->function, sizeof(row->function), "%s", function);
	snprintf(row->origin, sizeof(row->origin), "async");
	row->created_ms = row->due_ms = clock_unix_ms();
	row->expires_ms = row->created_ms + 86400000;
	row->order_key = row->idempotency_key = row->callback_url = "";
	row->method = "POST";
	row->path = "/";
	row->head = STR("{}");
	row->body = str_of(put->body);
	row->message = row->headers = "";
}

void
bus_kit_put_send(struct bus_kit *kit, struct bus_kit_put *put)
{
	kit->ops->put(kit->bus, &put->put);
}

static bool
is_put(void *arg)
{
	return ((struct bus_kit_put *)arg)->is_done;
}

int
bus_kit_put_wait(struct bus_kit *kit, struct bus_kit_put *put)
{
	bus_kit_wait(kit, is_put, put);
	return put->code;
}

void
bus_kit_put(struct bus_kit *kit, const char *function, unsigned number)
{
	bus_kit_put_range(kit, function, number, number);
}

void
bus_kit_put_range(struct bus_kit *kit, const char *function, unsigned from, unsigned to)
{
	unsigned n = to - from + 1;
	OWN(mem) struct bus_kit_put *puts = mem_new(n * sizeof(*puts));

	for (unsigned i = 0; i < n; i++) {
		bus_kit_put_init(kit, &puts[i], function, from + i);
		bus_kit_put_send(kit, &puts[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		if (bus_kit_put_wait(kit, &puts[i]) < 0)
			print_error("put %u: %s\n", from + i, puts[i].err.text);
		assert_int_equal(puts[i].code, 0);
	}
}

/* ---- taking ---- */

static void
on_message(struct bus_queue *queue, struct bus_message *message, void *arg)
{
	struct bus_kit_taker *taker = arg;
	unsigned i = taker->n_taken++;

	assert_true(i < BUS_KIT_TAKEN_MAX);
	taker->queue = queue;
	taker->taken[i] = message;
	taker->numbers[i] = bus_kit_number(message->row.id);
	if (++taker->n_in_hand > taker->n_most)
		taker->n_most = taker->n_in_hand;
	if (taker->is_settling)
		bus_kit_settle_later(taker, i);
	if (taker->detach_at == taker->n_taken)
		bus_kit_taker_detach(taker);
}

struct bus_kit_taker *
bus_kit_take(struct bus_kit *kit, const char *function, unsigned credit)
{
	struct bus_kit_taker *taker = mem_new(sizeof(*taker));
	struct bus_consumer consumer = {.on_message = on_message, .arg = taker};

	taker->kit = kit;
	taker->queue = kit->ops->attach(kit->bus, kit->org, function, credit, &consumer);
	assert_non_null(taker->queue);
	return taker;
}

void
bus_kit_taker_detach(struct bus_kit_taker *taker)
{
	taker->kit->ops->detach(taker->queue);
	memset(taker->taken, 0, sizeof(taker->taken));
	taker->n_in_hand = 0;
}

void
bus_kit_taker_free(struct bus_kit_taker *taker)
{
	free(taker);
}

struct coming {
	struct bus_kit_taker *taker;
	unsigned n;
};

static bool
have_come(void *arg)
{
	struct coming *coming = arg;

	return coming->taker->n_taken >= coming->n;
}

void
bus_kit_taker_wait(struct bus_kit_taker *taker, unsigned n)
{
	struct coming coming = {taker, n};

	bus_kit_wait(taker->kit, have_come, &coming);
	assert_int_equal(taker->n_taken, n);
}

char *
bus_kit_taker_text(const struct bus_kit_taker *taker)
{
	struct buf text = BUF_INIT;

	buf_add_text(&text, "");
	for (unsigned i = 0; i < taker->n_taken; i++)
		if (taker->taken[i])
			buf_printf(&text, "%s%u", text.len ? " " : "",
				bus_kit_number(taker->taken[i]->row.id));
	buf_room(&text, 1)[0] = '\0';
	return buf_take(&text, NULL);
}

static struct bus_message *
give_back(struct bus_kit_taker *taker, unsigned i)
{
	struct bus_message *message = taker->taken[i];

	assert_non_null(message);
	taker->taken[i] = NULL;
	taker->n_in_hand--;
	return message;
}

static struct row_delivery
row_done(const struct bus_message *message)
{
	struct row_delivery row = message->row;

	row.state = ROW_DELIVERY_DONE;
	row.attempt++;
	row.ended_ms = clock_unix_ms();
	row.status = 200;
	snprintf(row.code, sizeof(row.code), "ok");
	row.message = "";
	row.headers = "{}";
	row.result = STR("answer");
	return row;
}

static void
on_settled(void *arg, int code)
{
	int *result = arg;

	assert_int_equal(*result, 1);
	*result = code;
}

static bool
is_settled(void *arg)
{
	return *(int *)arg != 1;
}

void
bus_kit_settle(struct bus_kit_taker *taker, unsigned i)
{
	struct bus_message *message = give_back(taker, i);
	struct row_delivery row = row_done(message);
	int result = 1;

	taker->kit->ops->settle(taker->queue, message, &row, on_settled, &result);
	bus_kit_wait(taker->kit, is_settled, &result);
	assert_int_equal(result, 0);
}

void
bus_kit_settle_later(struct bus_kit_taker *taker, unsigned i)
{
	struct bus_message *message = give_back(taker, i);
	struct row_delivery row = row_done(message);

	taker->kit->ops->settle(taker->queue, message, &row, NULL, NULL);
}

void
bus_kit_retry(struct bus_kit_taker *taker, unsigned i, unsigned after_ms)
{
	struct bus_message *message = give_back(taker, i);
	struct row_delivery row = message->row;

	row.attempt++;
	row.due_ms = clock_unix_ms() + after_ms;
	row.status = 500;
	snprintf(row.code, sizeof(row.code), "function_error");
	row.message = "it failed";
	taker->kit->ops->retry(taker->queue, message, &row);
}

struct bus_stats
bus_kit_stats(struct bus_kit *kit, const char *function)
{
	struct bus_stats stats;

	kit->ops->stats(kit->bus, function ? kit->org : "", function ? function : "", &stats);
	return stats;
}

struct counting {
	struct bus_kit *kit;
	const char *function;
	uint64_t n_waiting, n_in_hand;
};

static bool
has_stats(void *arg)
{
	struct counting *counting = arg;
	struct bus_stats stats = bus_kit_stats(counting->kit, counting->function);

	return stats.is_known && stats.n_waiting == counting->n_waiting &&
	       stats.n_in_hand == counting->n_in_hand;
}

void
bus_kit_expect_stats(
	struct bus_kit *kit, const char *function, uint64_t n_waiting, uint64_t n_in_hand)
{
	struct counting counting = {kit, function, n_waiting, n_in_hand};

	bus_kit_wait(kit, has_stats, &counting);
}

/* ---- what the store says ---- */

struct finding {
	struct bus_kit *kit;
	char id[ID_ULID_SIZE];
	int state;
};

static void
on_found(const struct row_delivery *row, void *arg)
{
	((struct finding *)arg)->state = row->state;
}

static int
find_state(struct store_db *db, void *arg, struct err *err)
{
	struct finding *finding = arg;

	thread_on_store();
	return row_delivery_find(db, finding->kit->org, finding->id, on_found, finding, err);
}

struct expecting {
	struct finding finding;
	enum row_delivery_state want;
};

static bool
has_state(void *arg)
{
	struct expecting *expecting = arg;
	struct bus_kit *kit = expecting->finding.kit;

	ok(kit, store_ask_and_wait(kit->store, find_state, &expecting->finding, &kit->err));
	return expecting->finding.state == (int)expecting->want;
}

void
bus_kit_expect_state(struct bus_kit *kit, unsigned number, enum row_delivery_state state)
{
	struct expecting expecting = {{.kit = kit}, state};

	bus_kit_id(number, expecting.finding.id);
	bus_kit_wait(kit, has_state, &expecting);
}
