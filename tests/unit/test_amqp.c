/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_amqp - the daemon's side, mayfly-amqp and a real broker, which is killed and comes back.
 */
#include "amqp_kit.h"

#include <dirent.h>

#include "amqp/amqp_inside.h"

/* ---- a queue with what was put there and what came ---- */

struct heap {
	struct amqp_kit *kit;
	char queue[64];
	struct amqp_consumer *consumer;
	unsigned n_put, n_failed, n_came, n_again;
	uint8_t *confirmed, *came; /* owned; by number */
	bool is_keeping;           /* does not acknowledge */
	uint64_t kept[64];
	unsigned n_kept;
	struct err failed;
};

struct put {
	struct amqp_publish publish;
	struct heap *heap;
	unsigned number;
	char body[16];
};

static void
heap_on_put(struct amqp_publish *publish, int code, const struct err *err)
{
	struct put *put = list_owner(publish, struct put, publish);

	if (code == 0)
		put->heap->confirmed[put->number] = 1;
	else {
		put->heap->failed = *err;
		put->heap->n_failed++;
	}
	put->heap->n_put++;
	free(put);
}

static void
heap_put(struct heap *heap, unsigned number) ON_LOOP
{
	struct put *put = mem_new(sizeof(*put));

	put->heap = heap;
	put->number = number;
	snprintf(put->body, sizeof(put->body), "%u", number);
	put->publish.message = (struct amqp_message){.routing_key = str_of(heap->queue),
		.body = str_of(put->body),
		.is_persistent = true};
	put->publish.is_mandatory = true;
	put->publish.done = heap_on_put;
	amqp_publish(heap->kit->amqp, &put->publish);
}

static void
heap_on_message(struct amqp_consumer *consumer, const struct amqp_message *message, void *arg)
{
	struct heap *heap = arg;
	uint64_t number = 0;

	thread_on_loop();
	assert_true(str_to_u64(message->body, &number));
	heap->n_came += !heap->came[number];
	heap->n_again += heap->came[number];
	heap->came[number] = 1;
	if (heap->is_keeping)
		heap->kept[heap->n_kept++] = message->tag;
	else
		amqp_ack(consumer, message->tag);
}

static void
heap_open(struct heap *heap, struct amqp_kit *kit, const char *name, unsigned n) ON_LOOP
{
	struct amqp_queue queue = {.is_quorum = true, .is_durable = true};

	*heap = (struct heap){.kit = kit};
	snprintf(heap->queue, sizeof(heap->queue), "test.%s.%d", name, (int)getpid());
	heap->confirmed = mem_new(n);
	heap->came = mem_new(n);
	queue.name = heap->queue;
	amqp_declare_queue(kit->amqp, &queue);
}

static void
heap_done(struct heap *heap) ON_LOOP
{
	amqp_delete_queue(heap->kit->amqp, heap->queue);
	free(heap->confirmed);
	free(heap->came);
}

/* ---- publishing and consuming ---- */

struct seen {
	bool is_there;
	char text[512];
};

static void
see(struct amqp_consumer *consumer, const struct amqp_message *message, void *arg)
{
	struct seen *seen = arg;

	thread_on_loop();
	seen->is_there = true;
	snprintf(seen->text, sizeof(seen->text),
		"%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|a=%.*s|n=%zu|%d|%d", STR_ARG(message->body),
		STR_ARG(message->routing_key), STR_ARG(message->content_type),
		STR_ARG(message->correlation_id), STR_ARG(message->reply_to),
		STR_ARG(message->message_id), STR_ARG(message->type),
		STR_ARG(amqp_message_header(message, "a")), message->n_headers,
		message->is_persistent, message->priority);
	amqp_ack(consumer, message->tag);
}

static void
count_put(struct amqp_publish *publish, int code, const struct err *err)
{
	publish->frame = code == 0 ? publish : NULL;
}

static void
a_message_arrives_with_its_properties(void **state)
{
	struct amqp_header header = {STR("a"), STR("grüezi")};
	struct amqp_publish publish = {.done = count_put, .is_mandatory = true};
	struct amqp_kit kit;
	struct heap heap;
	struct seen seen = {0};

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "properties", 1);
	publish.message = (struct amqp_message){.routing_key = str_of(heap.queue),
		.body = STR("hello"),
		.content_type = STR("text/plain"),
		.correlation_id = STR("corr"),
		.reply_to = STR("back"),
		.message_id = STR("m1"),
		.type = STR("t"),
		.headers = &header,
		.n_headers = 1,
		.is_persistent = true};
	amqp_consume(kit.amqp, heap.queue, 1, see, &seen);
	amqp_publish(kit.amqp, &publish);
	amqp_kit_wait(kit.loop, publish.frame && seen.is_there);
	assert_non_null(strstr(seen.text, "|text/plain|corr|back|m1|t|a=grüezi|n=1|1|0"));
	assert_int_equal(strncmp(seen.text, "hello|test.", 11), 0);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

static void
what_no_queue_takes_is_told_of_the_right_message(void **state)
{
	struct amqp_kit kit;
	struct heap heap, nowhere = {0};

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "mandatory", 100);
	nowhere = heap;
	snprintf(nowhere.queue, sizeof(nowhere.queue), "test.nowhere");
	nowhere.confirmed = mem_new(100);
	for (unsigned i = 0; i < 100; i++)
		heap_put(i % 2 ? &nowhere : &heap, i);
	amqp_kit_wait(kit.loop, heap.n_put == 50 && nowhere.n_put == 50);
	assert_int_equal(heap.n_failed, 0);
	assert_int_equal(nowhere.n_failed, 50);
	assert_int_equal(nowhere.failed.code, ERR_NOT_FOUND);
	free(nowhere.confirmed);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

static void
no_more_come_than_the_prefetch_and_what_is_not_acknowledged_comes_again(void **state)
{
	struct amqp_kit kit;
	struct heap heap;

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "prefetch", 50);
	heap.is_keeping = true;
	for (unsigned i = 0; i < 50; i++)
		heap_put(&heap, i);
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 7, heap_on_message, &heap);
	amqp_kit_wait(kit.loop, heap.n_put == 50 && heap.n_came == 7);
	for (int i = 0; i < 200; i++)
		amqp_kit_turn(kit.loop);
	assert_int_equal(heap.n_kept, 7);
	amqp_set_prefetch(heap.consumer, 9);
	amqp_kit_wait(kit.loop, heap.n_kept == 16);
	amqp_ack(heap.consumer, heap.kept[0]);
	amqp_ack(heap.consumer, heap.kept[0]);
	amqp_cancel(heap.consumer);
	heap.is_keeping = false;
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 10, heap_on_message, &heap);
	amqp_kit_wait(kit.loop, heap.n_came == 50 && heap.n_again == 15);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

static void
a_tag_of_a_consumer_that_is_gone_acknowledges_nothing(void **state)
{
	struct amqp_kit kit;
	struct heap heap, other;
	uint64_t old;

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "gone", 3);
	heap_open(&other, &kit, "other", 1);
	heap.is_keeping = true;
	for (unsigned i = 0; i < 3; i++)
		heap_put(&heap, i);
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 3, heap_on_message, &heap);
	amqp_kit_wait(kit.loop, heap.n_kept == 3);
	old = heap.kept[0];
	amqp_cancel(heap.consumer);
	/* Takes the former's place, so that the next has another channel, with the same numbers. */
	other.consumer = amqp_consume(kit.amqp, other.queue, 1, heap_on_message, &other);
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 3, heap_on_message, &heap);
	amqp_kit_wait(kit.loop, heap.n_kept == 6);
	amqp_ack(heap.consumer, old);
	amqp_cancel(heap.consumer);
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 3, heap_on_message, &heap);
	amqp_kit_wait(kit.loop, heap.n_kept == 9);
	heap_done(&other);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

static void
count_came(void *arg, int code, uint64_t n_messages, uint64_t n_consumers)
{
	int64_t *ret = arg;

	*ret = code < 0 ? code : (int64_t)n_messages;
}

static void
a_queue_is_counted_and_one_that_is_not_there_is_said_to_be(void **state)
{
	int64_t n = INT64_MIN, none = INT64_MIN;
	struct amqp_kit kit;
	struct heap heap;

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "count", 5);
	for (unsigned i = 0; i < 5; i++)
		heap_put(&heap, i);
	amqp_kit_wait(kit.loop, heap.n_put == 5);
	amqp_count(kit.amqp, "test.there.is.none", count_came, &none);
	for (int i = 0; i < 50 && n != 5; i++) {
		n = INT64_MIN;
		amqp_count(kit.amqp, heap.queue, count_came, &n);
		amqp_kit_wait(kit.loop, n != INT64_MIN);
	}
	assert_int_equal(n, 5);
	assert_int_equal(none, ERR_NOT_FOUND);
	assert_true(amqp_is_up(kit.amqp));
	heap_done(&heap);
	amqp_kit_close(&kit);
}

/* ---- what a broker refuses ---- */

static void
a_queue_of_that_name_with_other_arguments_is_told_once(void **state)
{
	struct amqp_queue other = {.is_durable = true};
	struct amqp_kit kit;
	struct heap heap;

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "refused", 3);
	other.name = heap.queue;
	amqp_declare_queue(kit.amqp, &other);
	amqp_declare_queue(kit.amqp, &other);
	amqp_kit_wait(kit.loop, kit.n_refused);
	heap_put(&heap, 0);
	amqp_kit_wait(kit.loop, heap.n_put == 1);
	assert_int_equal(heap.n_failed, 0);
	assert_int_equal(kit.n_refused, 1);
	assert_non_null(strstr(kit.refused, "PRECONDITION_FAILED"));
	assert_non_null(strstr(kit.refused, heap.queue));
	assert_int_equal(kit.n_down, 0);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

static void
a_wrong_password_is_told_and_tried_again(void **state)
{
	const struct amqp_kit_wish wish = {.password = "not this one"};
	struct amqp_kit kit;

	thread_on_loop();
	amqp_kit_open(&kit, &wish);
	amqp_kit_wait(kit.loop, kit.n_down);
	assert_int_equal(kit.down.code, ERR_FORBIDDEN);
	assert_non_null(strstr(kit.down.text, "ACCESS_REFUSED"));
	assert_false(amqp_is_up(kit.amqp));
	assert_non_null(strstr(amqp_trouble(kit.amqp), "ACCESS_REFUSED"));
	amqp_kit_wait(kit.loop, kit.amqp->lanes[0].peer.back_off_ms >= 2000);
	amqp_kit_close(&kit);
}

static void
an_exchange_that_is_not_there_fails_the_publish_and_the_next_goes_on(void **state)
{
	struct amqp_kit kit;
	struct heap heap, wrong;
	struct put *put = mem_new(sizeof(*put));

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "exchange", 3);
	wrong = heap;
	put->heap = &wrong;
	put->publish.message =
		(struct amqp_message){.exchange = STR("test.no.exchange"), .routing_key = STR("x")};
	put->publish.done = heap_on_put;
	amqp_publish(kit.amqp, &put->publish);
	amqp_kit_wait(kit.loop, wrong.n_put == 1);
	assert_int_equal(wrong.failed.code, ERR_NOT_FOUND);
	amqp_kit_wait(kit.loop, amqp_is_up(kit.amqp));
	heap_put(&heap, 0);
	amqp_kit_wait(kit.loop, heap.n_put == 1);
	assert_int_equal(heap.n_failed, 0);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

static void
without_a_connection_a_publish_is_refused_at_once(void **state)
{
	const struct amqp_kit_wish wish = {.url = "amqp://mayfly@127.0.0.1:1/"};
	struct amqp_kit kit;
	struct heap heap;

	thread_on_loop();
	amqp_kit_open(&kit, &wish);
	heap_open(&heap, &kit, "refused", 3);
	heap_put(&heap, 0);
	assert_int_equal(heap.n_failed, 1);
	assert_int_equal(heap.failed.code, ERR_UNAVAILABLE);
	amqp_kit_wait(kit.loop, kit.n_down);
	assert_non_null(strstr(kit.down.text, "127.0.0.1:1"));
	heap_done(&heap);
	amqp_kit_close(&kit);
}

static void
a_broker_without_disk_is_told_and_emptied_but_not_filled(void **state)
{
	const struct amqp_kit_wish wish = {.unconfirmed_ms = 500};
	struct amqp_kit kit;
	struct heap heap;

	thread_on_loop();
	amqp_kit_open(&kit, &wish);
	amqp_kit_wait(kit.loop, amqp_is_up(kit.amqp));
	heap_open(&heap, &kit, "alarm", 30);
	for (unsigned i = 0; i < 10; i++)
		heap_put(&heap, i);
	amqp_kit_wait(kit.loop, heap.n_put == 10);
	amqp_kit_order("alarm");
	heap_put(&heap, 10);
	amqp_kit_wait(kit.loop, kit.blocked[0]);
	assert_non_null(strstr(kit.blocked, "low on disk"));
	amqp_kit_wait(kit.loop, heap.n_put == 11);
	assert_int_equal(heap.failed.code, ERR_UNAVAILABLE);
	heap_put(&heap, 11);
	assert_int_equal(heap.n_failed, 2);
	assert_non_null(strstr(heap.failed.text, "low on disk"));
	assert_true(amqp_is_up(kit.amqp));
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 5, heap_on_message, &heap);
	amqp_kit_wait(kit.loop, heap.n_came == 10);
	amqp_kit_order("no_alarm");
	amqp_kit_wait(kit.loop, !kit.blocked[0]);
	heap_put(&heap, 12);
	amqp_kit_wait(kit.loop, heap.confirmed[12] && heap.came[12]);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

/* ---- TLS ---- */

static void
open_tls(struct amqp_kit *kit, const char *host, const char *ca_file) ON_LOOP
{
	OWN(mem)
	char *url = mem_printf(
		"amqps://mayfly@%s:%s/", host, amqp_kit_env("MAYFLY_TEST_AMQP_TLS_PORT"));
	const struct amqp_kit_wish wish = {.url = url, .ca_file = ca_file};

	amqp_kit_open(kit, &wish);
	amqp_kit_wait(kit->loop, kit->n_down || kit->n_up);
}

static void
over_tls_the_authority_and_the_name_are_checked(void **state)
{
	const char *ca_file = amqp_kit_env("MAYFLY_TEST_AMQP_CA");
	struct amqp_kit kit;

	thread_on_loop();
	open_tls(&kit, "localhost", ca_file);
	assert_int_equal(kit.n_up, 1);
	amqp_kit_close(&kit);
	open_tls(&kit, "127.0.0.1", ca_file);
	assert_int_equal(kit.n_up, 0);
	assert_non_null(strstr(kit.down.text, "hostname"));
	amqp_kit_close(&kit);
	open_tls(&kit, "localhost", NULL);
	assert_int_equal(kit.n_up, 0);
	assert_non_null(strstr(kit.down.text, "cert verification failed"));
	amqp_kit_close(&kit);
}

/* ---- what dies ---- */

/* Children of `parent`; gives how many. */
static unsigned
children_of(pid_t parent, pid_t ret[8])
{
	OWN(dir) DIR *folder = opendir("/proc");
	struct dirent *entry;
	unsigned n = 0;

	while ((entry = readdir(folder))) {
		OWN(mem) char *path = mem_printf("/proc/%s/stat", entry->d_name);
		OWN(buf) struct buf text = BUF_INIT;
		int ppid;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
			path_read(path, 4096, &text, NULL) < 0)
			continue;
		if (sscanf(strrchr(text.at, ')'), ") %*c %d", &ppid) == 1 && ppid == parent &&
			n < 8)
			ret[n++] = atoi(entry->d_name);
	}
	return n;
}

static void
its_processes_have_no_rights(void **state)
{
	pid_t lanes[8];
	struct amqp_kit kit;

	thread_on_loop();
	amqp_kit_open_up(&kit);
	assert_int_equal(children_of(kit.process.pid, lanes), AMQP_LANES);
	for (unsigned i = 0; i < AMQP_LANES; i++) {
		OWN(mem) char *path = mem_printf("/proc/%d/status", (int)lanes[i]);
		OWN(buf) struct buf text = BUF_INIT;

		assert_int_equal(path_read(path, 65536, &text, NULL), 0);
		assert_non_null(strstr(text.at, "\nNoNewPrivs:\t1\n"));
		assert_non_null(strstr(text.at, "\nSeccomp:\t2\n"));
		assert_non_null(strstr(text.at, "\nCapPrm:\t0000000000000000\n"));
		assert_non_null(strstr(text.at, "\nCapEff:\t0000000000000000\n"));
		assert_non_null(strstr(text.at, "\nThreads:\t1\n"));
	}
	amqp_kit_close(&kit);
}

static bool
all_came(const struct heap *heap, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (heap->confirmed[i] && !heap->came[i])
			return false;
	return true;
}

static void
a_process_that_dies_is_started_again_and_nothing_confirmed_is_lost(void **state)
{
	pid_t lanes[8];
	struct amqp_kit kit;
	struct heap heap;

	thread_on_loop();
	amqp_kit_open_up(&kit);
	heap_open(&heap, &kit, "process", 2000);
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 50, heap_on_message, &heap);
	for (unsigned i = 0; i < 1000; i++)
		heap_put(&heap, i);
	amqp_kit_wait(kit.loop, heap.n_came > 100);
	assert_int_equal(children_of(kit.process.pid, lanes), AMQP_LANES);
	for (unsigned i = 0; i < AMQP_LANES; i++)
		assert_int_equal(kill(lanes[i], SIGKILL), 0);
	amqp_kit_wait(kit.loop, kit.n_down && amqp_is_up(kit.amqp));
	for (unsigned i = 1000; i < 2000; i++)
		heap_put(&heap, i);
	amqp_kit_wait(kit.loop, heap.n_put == 2000 && all_came(&heap, 2000));
	assert_int_equal(heap.n_failed, 0);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

/* Some more, as long as not too many wait. */
static void
pump(struct heap *heap, unsigned *next, unsigned n) ON_LOOP
{
	for (unsigned i = 0; i < 50 && *next < n && *next - heap->n_put < 1000; i++)
		heap_put(heap, (*next)++);
	amqp_kit_turn(heap->kit->loop);
}

static void
a_broker_that_is_killed_and_comes_back_loses_nothing_confirmed(void **state)
{
	enum { N = 6000 };
	const struct amqp_kit_wish wish = {.unconfirmed_ms = 120000};
	struct amqp_kit kit;
	struct heap heap;
	unsigned next = 0;

	thread_on_loop();
	amqp_kit_open(&kit, &wish);
	amqp_kit_wait(kit.loop, amqp_is_up(kit.amqp));
	heap_open(&heap, &kit, "broker", N);
	heap_put(&heap, next++);
	amqp_kit_wait(kit.loop, heap.n_put == 1);
	heap.consumer = amqp_consume(kit.amqp, heap.queue, 100, heap_on_message, &heap);
	amqp_kit_order("settle");
	for (unsigned round = 1; round <= 2; round++) {
		unsigned n_had = heap.n_came;

		while (heap.n_came < n_had + 500)
			pump(&heap, &next, N);
		amqp_kit_order("kill");
		for (int i = 0; i < 20; i++)
			pump(&heap, &next, N);
		amqp_kit_wait(kit.loop, !amqp_is_up(kit.amqp));
		amqp_kit_order("start");
		amqp_kit_wait(kit.loop, amqp_is_up(kit.amqp));
	}
	while (next < N)
		pump(&heap, &next, N);
	amqp_kit_wait(kit.loop, heap.n_put == N && all_came(&heap, N));
	/* What was given up or refused while it was away may have come or not. */
	print_message("of %u, %u not confirmed, %u came, %u more than once\n", N, heap.n_failed,
		heap.n_came, heap.n_again);
	assert_true(heap.n_failed < N / 2);
	heap_done(&heap);
	amqp_kit_close(&kit);
}

UNIT_TESTS(it(a_message_arrives_with_its_properties),
	it(what_no_queue_takes_is_told_of_the_right_message),
	it(no_more_come_than_the_prefetch_and_what_is_not_acknowledged_comes_again),
	it(a_tag_of_a_consumer_that_is_gone_acknowledges_nothing),
	it(a_queue_is_counted_and_one_that_is_not_there_is_said_to_be),
	it(a_queue_of_that_name_with_other_arguments_is_told_once),
	it(a_wrong_password_is_told_and_tried_again),
	it(an_exchange_that_is_not_there_fails_the_publish_and_the_next_goes_on),
	it(without_a_connection_a_publish_is_refused_at_once),
	it(a_broker_without_disk_is_told_and_emptied_but_not_filled),
	it(over_tls_the_authority_and_the_name_are_checked), it(its_processes_have_no_rights),
	it(a_process_that_dies_is_started_again_and_nothing_confirmed_is_lost),
	it(a_broker_that_is_killed_and_comes_back_loses_nothing_confirmed))
