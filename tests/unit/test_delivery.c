/* SPDX-License-Identifier: Apache-2.0 */
#include "call_kit.h"

#include <string.h>

#include "base/clock.h"
#include "domain/delivery.h"

/* A bus that the test plays: it keeps what was put, hands over what it is told to, and notes how
 * it was given back. It has a queue for the function, and one for posts. */
struct bus_queue {
	struct played *played; /* borrowed */
	struct bus_consumer consumer;
	unsigned credit;
	bool is_attached;
};

struct played {
	struct bus bus; /* first */
	struct bus_queue queue, posts;
	struct list all; /* of struct played_message */
	unsigned n_puts, n_settled, n_retried, n_withdrawn, n_dropped;
	int put_code; /* what a put is answered with */
	bool is_settling_held;
};

struct played_message {
	struct list link;
	struct bus_message message;
	struct row_delivery end; /* state QUEUED until it was settled */
	char *texts[8];          /* owned: copies of what the row points to */
	char message_text[240];  /* of its end */
	bool is_in_hand;
	void (*done)(void *arg, int code);
	void *arg;
};

static struct played *
played_of(const struct bus *bus)
{
	return (struct played *)bus;
}

static void
played_put(struct bus *bus, struct bus_put *put)
{
	struct played *played = played_of(bus);
	const struct row_delivery *row = &put->row;
	struct played_message *one;
	struct err err = {0};

	played->n_puts++;
	if (played->put_code < 0) {
		err_set(&err, played->put_code, "played");
		put->done(put, err.code, &err);
		return;
	}
	one = mem_new(sizeof(*one));
	one->message.row = *row;
	one->message.row.order_key = one->texts[0] = str_dup(str_of(row->order_key));
	one->message.row.idempotency_key = one->texts[1] = str_dup(str_of(row->idempotency_key));
	one->message.row.callback_url = one->texts[2] = str_dup(str_of(row->callback_url));
	one->message.row.method = one->texts[3] = str_dup(str_of(row->method));
	one->message.row.path = one->texts[4] = str_dup(str_of(row->path));
	one->message.row.head = str_n(one->texts[5] = str_dup(row->head), row->head.len);
	one->message.row.body = str_n(one->texts[6] = str_dup(row->body), row->body.len);
	one->message.row.message = one->message.row.headers = "";
	list_push_back(&played->all, &one->link);
	put->done(put, 0, NULL);
}

static struct bus_queue *
played_attach(struct bus *bus, const char *org, const char *function, unsigned credit,
	const struct bus_consumer *consumer)
{
	struct played *played = played_of(bus);
	struct bus_queue *queue =
		strcmp(function, DELIVERY_POSTS) == 0 ? &played->posts : &played->queue;

	assert_false(queue->is_attached);
	queue->played = played;
	queue->is_attached = true;
	queue->consumer = *consumer;
	queue->credit = credit;
	return queue;
}

static void
played_set_credit(struct bus_queue *queue, unsigned credit)
{
	queue->credit = credit;
}

static void
played_detach(struct bus_queue *queue)
{
	queue->is_attached = false;
}

static struct played_message *
played_message(struct bus_message *message)
{
	struct played_message *one = list_owner(message, struct played_message, message);

	assert_true(one->is_in_hand);
	one->is_in_hand = false;
	return one;
}

static void
played_settle(struct bus_queue *queue, struct bus_message *message, const struct row_delivery *row,
	void (*done)(void *arg, int code), void *arg)
{
	struct played *played = queue->played;
	struct played_message *one = played_message(message);

	assert_int_not_equal(row->state, ROW_DELIVERY_QUEUED);
	assert_int_equal(one->end.state, ROW_DELIVERY_QUEUED);
	one->end = *row;
	one->texts[7] = str_dup(row->result);
	one->end.result = str_n(one->texts[7], row->result.len);
	snprintf(one->message_text, sizeof(one->message_text), "%s", row->message);
	played->n_settled++;
	if (played->is_settling_held) {
		one->done = done;
		one->arg = arg;
		return;
	}
	done(arg, 0);
}

static void
played_retry(struct bus_queue *queue, struct bus_message *message, const struct row_delivery *row)
{
	struct played_message *one = played_message(message);

	queue->played->n_retried++;
	one->message.row.attempt = row->attempt;
	one->message.row.due_ms = row->due_ms;
}

static int
played_withdraw(struct bus *bus, const char *org, const char *function, const char *id)
{
	played_of(bus)->n_withdrawn++;
	return 0;
}

static void
played_stats(const struct bus *bus, const char *org, const char *function, struct bus_stats *ret)
{
	*ret = (struct bus_stats){.is_known = true};
}

static bool
played_is_up(const struct bus *bus)
{
	return true;
}

static void
played_drop(struct bus *bus, const char *org, const char *function)
{
	played_of(bus)->n_dropped++;
}

static const struct bus_ops played_ops = {
	.name = "played",
	.put = played_put,
	.attach = played_attach,
	.set_credit = played_set_credit,
	.detach = played_detach,
	.settle = played_settle,
	.retry = played_retry,
	.withdraw = played_withdraw,
	.drop = played_drop,
	.stats = played_stats,
	.is_up = played_is_up,
};

/* ---- the scene ---- */

struct scene {
	struct kit *kit;
	struct played played;
	struct fetch_host *fetch;
	struct delivery_host *host;
	struct delivery_accepted accepted; /* of the last put */
	int code;
	struct err err;
	/* Of what is sent to a URL that is not http: the last, and who waits for its answer. */
	char sent[256];
	void (*answer)(int status, const struct err *err, void *arg);
	void *answer_arg;
	unsigned n_sent;
};

static struct scene *the_scene;

static void
on_send(struct domain *domain, const char *org, const char *url, struct str body,
	void (*done)(int status, const struct err *err, void *arg), void *arg)
{
	struct scene *scene = the_scene;

	scene->n_sent++;
	snprintf(scene->sent, sizeof(scene->sent), "%s %s %.*s", org, url, STR_ARG(body));
	scene->answer = done;
	scene->answer_arg = arg;
}

/* What is sent is answered so. */
static void
answer(struct scene *scene, int status, int code, const char *text) ON_LOOP
{
	struct err err = {0};

	if (code)
		err_set(&err, code, "%s", text);
	scene->answer(status, code ? &err : NULL, scene->answer_arg);
}

static struct scene *
scene_new(void)
{
	struct scene *scene = mem_new(sizeof(*scene));
	struct delivery_config config = {
		.bus = &scene->played.bus,
		.hmac_key = STR("secret"),
		.max_length_org = 20,
		.send = on_send,
	};
	struct fetch_config fetch = {0};
	struct err err = {0};

	thread_on_loop();
	the_scene = scene;
	scene->kit = kit_new();
	scene->played.bus.ops = &played_ops;
	list_init(&scene->played.all);
	fetch.loop = scene->kit->loop;
	assert_int_equal(fetch_open(&fetch, &scene->fetch, &err), 0);
	config.fetch = scene->fetch;
	assert_int_equal(delivery_host_new(&scene->kit->domain, &config, &scene->host, &err), 0);
	scene->kit->version->config.queue.attempts = 3;
	scene->kit->version->config.queue.backoff_ms = 10;
	scene->kit->version->config.queue.concurrency = 2;
	scene->kit->version->config.queue.length = 10;
	delivery_host_start(scene->host);
	return scene;
}

static void
on_flushed(void *arg)
{
	*(bool *)arg = true;
}

/* What was asked of the store comes back before the host goes. */
static void
own_scene(struct scene **at)
{
	struct scene *scene = *at;
	struct played_message *one;
	struct map_entry *entry;
	bool is_flushed = false;

	thread_on_loop();
	delivery_host_stop(scene->host);
	fetch_close(scene->fetch);
	scene->kit->domain.is_stopping = true;
	while ((entry = map_next(&scene->kit->domain.calls, NULL)))
		call_cancel(entry->value);
	record_flush(scene->kit->domain.records, on_flushed, &is_flushed);
	kit_until(scene->kit, &is_flushed);
	delivery_host_free(scene->host);
	kit_free(scene->kit);
	list_each (&scene->played.all, one, link) {
		for (int i = 0; i < 8; i++)
			free(one->texts[i]);
		free(one);
	}
	free(scene);
}

static void
on_put(int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	struct scene *scene = arg;

	scene->code = code;
	if (accepted)
		scene->accepted = *accepted;
	if (err)
		scene->err = *err;
}

static int
put_request(struct scene *scene, struct delivery_request request) ON_LOOP
{
	request.function = scene->kit->function;
	request.origin = "async";
	scene->code = 1;
	delivery_put(scene->host, &request, on_put, scene);
	assert_int_not_equal(scene->code, 1);
	return scene->code;
}

static struct played_message *
put(struct scene *scene, const char *order_key) ON_LOOP
{
	struct delivery_request request = {.body = STR("1"), .order_key = str_of(order_key)};

	assert_int_equal(put_request(scene, request), 0);
	return list_last(&scene->played.all, struct played_message, link);
}

static void
hand_over(struct scene *scene, struct played_message *one) ON_LOOP
{
	bool is_post = strcmp(one->message.row.function, DELIVERY_POSTS) == 0;
	struct bus_queue *queue = is_post ? &scene->played.posts : &scene->played.queue;

	one->is_in_hand = true;
	queue->consumer.on_message(queue, &one->message, queue->consumer.arg);
}

static void
until(struct scene *scene, const unsigned *figure, unsigned n)
{
	uint64_t until_us = clock_mono_us() + 60000000;

	while (*figure < n) {
		assert_true(clock_mono_us() < until_us);
		kit_turn(scene->kit);
	}
	assert_int_equal(*figure, n);
}

static struct delivery_stats
stats_of(struct scene *scene) ON_LOOP
{
	struct delivery_stats stats;

	delivery_stats(scene->kit->function, &stats);
	return stats;
}

/* ---- acceptance ---- */

static void
what_is_wrong_is_refused_and_named_and_nothing_is_put(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	char key[DELIVERY_KEY_MAX + 2];

	thread_on_loop();
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(put_request(scene, (struct delivery_request){.order_key = str_of(key)}),
		ERR_INVALID);
	assert_string_equal(scene->err.field, "X-Mayfly-Order-Key");
	assert_int_equal(
		put_request(scene, (struct delivery_request){.idempotency_key = str_of(key)}),
		ERR_INVALID);
	assert_string_equal(scene->err.field, "Idempotency-Key");
	assert_int_equal(put_request(scene, (struct delivery_request){.order_key = STR("\xff")}),
		ERR_INVALID);
	assert_int_equal(
		put_request(scene, (struct delivery_request){.callback_url = STR("file:///x")}),
		ERR_INVALID);
	assert_string_equal(scene->err.field, "X-Callback-Url");
	assert_int_equal(
		put_request(scene, (struct delivery_request){.version = 7}), ERR_NOT_FOUND);
	scene->kit->version->config.limits.request_bytes = 1;
	assert_int_equal(
		put_request(scene, (struct delivery_request){.body = STR("22")}), ERR_TOO_LARGE);
	assert_int_equal(scene->played.n_puts, 0);
}

static void
a_full_queue_and_a_full_org_are_told_apart(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();

	thread_on_loop();
	for (int i = 0; i < 10; i++)
		put(scene, "");
	assert_int_equal(put_request(scene, (struct delivery_request){.body = STR("1")}), ERR_RATE);
	assert_non_null(strstr(scene->err.text, "queue.length"));
	scene->kit->version->config.queue.length = 1000;
	delivery_function_changed(scene->kit->function);
	for (int i = 0; i < 10; i++)
		put(scene, "");
	assert_int_equal(put_request(scene, (struct delivery_request){.body = STR("1")}), ERR_RATE);
	assert_non_null(strstr(scene->err.text, "queue_length_org"));
	assert_int_equal(stats_of(scene).n_queued, 20);
	assert_int_equal(stats_of(scene).n_refused, 2);
}

static void
what_the_bus_refuses_is_not_counted(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();

	thread_on_loop();
	scene->played.put_code = ERR_UNAVAILABLE;
	assert_int_equal(
		put_request(scene, (struct delivery_request){.body = STR("1")}), ERR_UNAVAILABLE);
	assert_int_equal(stats_of(scene).n_queued, 0);
	assert_int_equal(stats_of(scene).n_accepted, 0);
	delivery_host_stop(scene->host);
	scene->played.put_code = 0;
	assert_int_equal(
		put_request(scene, (struct delivery_request){.body = STR("1")}), ERR_UNAVAILABLE);
	assert_int_equal(scene->played.n_puts, 1);
}

/* ---- attempts ---- */

static void
an_answer_is_its_result(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *one;

	thread_on_loop();
	one = put(scene, "");
	hand_over(scene, one);
	until(scene, &scene->played.n_settled, 1);
	assert_int_equal(one->end.state, ROW_DELIVERY_DONE);
	assert_int_equal(one->end.status, 200);
	assert_string_equal(one->end.code, "ok");
	assert_str(one->end.result, "1");
	assert_int_equal(one->end.attempt, 1);
	assert_int_equal(stats_of(scene).n_done, 1);
	assert_int_equal(stats_of(scene).n_queued, 0);
	OWN(json) json_t *records = kit_records(scene->kit);
	const json_t *record = json_array_get(records, 0);
	assert_string_equal(json_string_value(json_object_get(record, "id")), one->message.row.id);
	assert_string_equal(json_string_value(json_object_get(record, "trigger")), "async");
}

static void
a_failure_is_tried_again_after_a_pause_until_it_is_dead(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *one;

	thread_on_loop();
	scene->kit->spawner->behaviour = FAKE_ERRS;
	one = put(scene, "");
	for (unsigned attempt = 1; attempt < 3; attempt++) {
		uint64_t before_ms = clock_unix_ms();

		hand_over(scene, one);
		until(scene, &scene->played.n_retried, attempt);
		assert_int_equal(one->message.row.attempt, attempt);
		assert_true(one->message.row.due_ms >= before_ms + 5);
	}
	hand_over(scene, one);
	until(scene, &scene->played.n_settled, 1);
	assert_int_equal(one->end.state, ROW_DELIVERY_DEAD);
	assert_string_equal(one->end.code, "function_error");
	assert_int_equal(one->end.attempt, 3);
	assert_int_equal(stats_of(scene).n_dead, 1);
	assert_int_equal(stats_of(scene).n_retries, 2);
}

static void
no_more_run_than_may_and_the_next_begins_when_one_ends(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *all[5];

	thread_on_loop();
	scene->kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 5; i++)
		hand_over(scene, all[i] = put(scene, ""));
	kit_wait_ms(scene->kit, 20);
	assert_int_equal(stats_of(scene).n_running, 2);
	assert_int_equal(stats_of(scene).n_queued, 3);
	assert_int_equal(scene->kit->function->n_calls, 2);
	call_cancel(call_find(&scene->kit->domain, STR("acme"), str_of(all[0]->message.row.id)));
	until(scene, &scene->played.n_settled, 1);
	assert_int_equal(all[0]->end.state, ROW_DELIVERY_CANCELLED);
	kit_wait_ms(scene->kit, 20);
	assert_int_equal(stats_of(scene).n_running, 2);
	assert_non_null(
		call_find(&scene->kit->domain, STR("acme"), str_of(all[2]->message.row.id)));
}

/* ---- order ---- */

static void
one_of_a_key_waits_for_the_one_before_it_until_that_is_on_disk(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *first, *second, *other;

	thread_on_loop();
	scene->played.is_settling_held = true;
	first = put(scene, "k");
	second = put(scene, "k");
	other = put(scene, "l");
	hand_over(scene, first);
	hand_over(scene, second);
	hand_over(scene, other);
	until(scene, &scene->played.n_settled, 2);
	kit_wait_ms(scene->kit, 20);
	assert_int_equal(first->end.state, ROW_DELIVERY_DONE);
	assert_int_equal(other->end.state, ROW_DELIVERY_DONE);
	assert_int_equal(second->end.state, ROW_DELIVERY_QUEUED);
	first->done(first->arg, 0);
	until(scene, &scene->played.n_settled, 3);
	assert_int_equal(second->end.state, ROW_DELIVERY_DONE);
	second->done(second->arg, 0);
	other->done(other->arg, 0);
	assert_int_equal(stats_of(scene).n_done, 3);
}

static void
one_of_a_key_that_fails_keeps_its_place_and_gives_others_room(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *first, *second;
	unsigned credit;

	thread_on_loop();
	scene->kit->version->config.queue.backoff_ms = 300;
	delivery_function_changed(scene->kit->function);
	credit = scene->played.queue.credit;
	scene->kit->spawner->behaviour = FAKE_ERRS;
	first = put(scene, "k");
	second = put(scene, "k");
	hand_over(scene, first);
	hand_over(scene, second);
	while (!stats_of(scene).n_retries)
		kit_turn(scene->kit);
	assert_int_equal(scene->played.n_retried, 0);
	assert_true(first->is_in_hand && second->is_in_hand);
	assert_true(scene->played.queue.credit >= credit + 2);
	scene->kit->spawner->behaviour = FAKE_ANSWERS;
	until(scene, &scene->played.n_settled, 2);
	assert_int_equal(first->end.attempt, 2);
	assert_int_equal(second->end.attempt, 1);
	assert_true(first->end.ended_ms <= second->end.ended_ms);
	kit_turn(scene->kit);
	assert_int_equal(scene->played.queue.credit, credit);
}

/* ---- waiting is not failing ---- */

static void
what_its_function_cannot_run_yet_waits_without_an_attempt(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct version *version = scene->kit->version;
	struct played_message *one;

	thread_on_loop();
	version->state = VERSION_INITIALIZING;
	one = put(scene, "");
	hand_over(scene, one);
	kit_wait_ms(scene->kit, 100);
	assert_int_equal(scene->kit->function->n_calls, 0);
	assert_int_equal(stats_of(scene).n_queued, 1);
	version->state = VERSION_READY;
	delivery_function_changed(scene->kit->function);
	until(scene, &scene->played.n_settled, 1);
	assert_int_equal(one->end.attempt, 1);
	assert_int_equal(one->end.state, ROW_DELIVERY_DONE);
}

static void
one_that_waits_too_long_is_dead_and_says_for_what(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *one;

	thread_on_loop();
	scene->kit->version->state = VERSION_INITIALIZING;
	one = put(scene, "");
	one->message.row.expires_ms = clock_unix_ms() + 50;
	hand_over(scene, one);
	until(scene, &scene->played.n_settled, 1);
	assert_int_equal(one->end.state, ROW_DELIVERY_DEAD);
	assert_string_equal(one->end.code, "not_ready");
	assert_int_equal(one->end.attempt, 0);
	scene->kit->version->state = VERSION_READY;
}

/* ---- cancelled ---- */

static void
on_cancelled(int code, const struct err *err, void *arg)
{
	struct scene *scene = arg;

	scene->code = code;
	if (err)
		scene->err = *err;
}

static void
what_is_in_hand_is_cancelled_when_that_is_on_disk(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *running, *behind;

	thread_on_loop();
	scene->kit->spawner->behaviour = FAKE_HOLDS;
	running = put(scene, "k");
	behind = put(scene, "k");
	hand_over(scene, running);
	hand_over(scene, behind);
	kit_wait_ms(scene->kit, 20);
	scene->played.is_settling_held = true;
	scene->code = 1;
	delivery_cancel(
		scene->host, STR("acme"), str_of(behind->message.row.id), on_cancelled, scene);
	assert_int_equal(scene->code, 1);
	assert_int_equal(behind->end.state, ROW_DELIVERY_CANCELLED);
	behind->done(behind->arg, 0);
	assert_int_equal(scene->code, 0);
	scene->played.is_settling_held = false;
	scene->code = 1;
	delivery_cancel(
		scene->host, STR("acme"), str_of(running->message.row.id), on_cancelled, scene);
	until(scene, &scene->played.n_settled, 2);
	assert_int_equal(scene->code, 0);
	assert_int_equal(running->end.state, ROW_DELIVERY_CANCELLED);
	assert_int_equal(stats_of(scene).n_queued, 0);
}

/* ---- the end of the daemon ---- */

static void
what_runs_when_the_daemon_stops_is_neither_settled_nor_tried_again(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *one;

	thread_on_loop();
	scene->kit->spawner->behaviour = FAKE_HOLDS;
	one = put(scene, "");
	hand_over(scene, one);
	kit_wait_ms(scene->kit, 20);
	delivery_host_stop(scene->host);
	scene->kit->domain.is_stopping = true;
	call_cancel(call_find(&scene->kit->domain, STR("acme"), str_of(one->message.row.id)));
	kit_wait_ms(scene->kit, 20);
	assert_int_equal(scene->played.n_settled + scene->played.n_retried, 0);
	assert_true(one->is_in_hand);
}

/* ---- posts ---- */

static int
post_code(struct scene *scene, struct delivery_post post) ON_LOOP
{
	if (!post.org)
		post.org = "acme";
	post.origin = "destination";
	post.source = "greet";
	scene->code = 1;
	delivery_post(scene->host, &post, on_put, scene);
	assert_int_not_equal(scene->code, 1);
	return scene->code;
}

static struct played_message *
post(struct scene *scene, const char *url, uint32_t hops) ON_LOOP
{
	struct delivery_post wanted = {.url = url, .body = STR("b"), .hops = hops};
	struct played_message *one;

	assert_int_equal(post_code(scene, wanted), 0);
	one = list_last(&scene->played.all, struct played_message, link);
	assert_string_equal(one->message.row.function, DELIVERY_POSTS);
	assert_string_equal(one->message.row.path, url);
	return one;
}

static void
a_post_with_a_wrong_url_a_broken_header_or_no_org_is_refused(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	static const char *const broken[] = {"a\nb", "a\r", "\x01"};

	thread_on_loop();
	assert_int_equal(
		post_code(scene, (struct delivery_post){.url = "http://u:p@a/"}), ERR_INVALID);
	assert_string_equal(scene->err.field, "url");
	for (size_t i = 0; i < 3; i++) {
		OWN(json) json_t *headers = json_pack("{s:s}", "X-A", broken[i]);

		assert_int_equal(post_code(scene, (struct delivery_post){.url = "http://a/",
							  .headers = headers}),
			ERR_INVALID);
		assert_string_equal(scene->err.field, "headers");
	}
	OWN(json) json_t *name = json_pack("{s:s}", "X-A: b\nX-C", "d");

	assert_int_equal(
		post_code(scene, (struct delivery_post){.url = "http://a/", .headers = name}),
		ERR_INVALID);
	assert_int_equal(
		post_code(scene, (struct delivery_post){.org = "none", .url = "http://a/"}),
		ERR_NOT_FOUND);
	assert_int_equal(scene->played.n_puts, 0);
}

static void
what_its_receiver_answers_decides_what_becomes_of_a_post(void **state)
{
	static const struct {
		int status, code;
		bool is_tried_again;
		uint8_t state;
		const char *word, *message;
	} rows[] = {
		{204, 0, false, ROW_DELIVERY_DONE, "ok", ""},
		{200, ERR_CONFLICT, false, ROW_DELIVERY_DONE, "ok", "said"},
		{404, 0, false, ROW_DELIVERY_DEAD, "receiver_error", "the receiver answered 404"},
		{302, 0, false, ROW_DELIVERY_DEAD, "receiver_error", "the receiver answered 302"},
		{0, ERR_FORBIDDEN, false, ROW_DELIVERY_DEAD, "forbidden", "said"},
		{0, ERR_INVALID, false, ROW_DELIVERY_DEAD, "invalid_argument", "said"},
		{500, 0, true, 0, NULL, NULL},
		{408, 0, true, 0, NULL, NULL},
		{425, 0, true, 0, NULL, NULL},
		{429, 0, true, 0, NULL, NULL},
		{0, ERR_UNAVAILABLE, true, 0, NULL, NULL},
		{0, ERR_TIMEOUT, true, 0, NULL, NULL},
	};
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct delivery_stats stats;
	struct played_message *one;

	thread_on_loop();
	for (unsigned i = 0, n_retried = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		one = post(scene, "played:here/x", 0);
		hand_over(scene, one);
		assert_int_equal(scene->n_sent, i + 1);
		assert_string_equal(scene->sent, "acme played:here/x b");
		answer(scene, rows[i].status, rows[i].code, "said");
		n_retried += rows[i].is_tried_again;
		assert_int_equal(scene->played.n_retried, n_retried);
		assert_int_equal(one->end.state, rows[i].state);
		assert_false(one->is_in_hand);
		if (rows[i].is_tried_again)
			continue;
		assert_string_equal(one->end.code, rows[i].word);
		assert_int_equal(one->end.status, rows[i].status);
		assert_string_equal(one->message_text, rows[i].message);
	}
	assert_true(delivery_post_stats(scene->host, "acme", &stats));
	assert_int_equal(stats.n_done, 2);
	assert_int_equal(stats.n_retries, 6);
}

static void
what_others_put_among_the_posts_is_not_sent(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *one;

	thread_on_loop();
	one = post(scene, "played:x", 0);
	snprintf(one->message.row.origin, sizeof(one->message.row.origin), "queue");
	one->message.is_foreign = true;
	hand_over(scene, one);
	assert_int_equal(scene->n_sent, 0);
	assert_int_equal(one->end.state, ROW_DELIVERY_DEAD);
	assert_string_equal(one->end.code, "forbidden");
}

static void
a_post_that_is_under_way_is_over_before_its_cancellation(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *one;

	thread_on_loop();
	one = post(scene, "played:x", 0);
	hand_over(scene, one);
	scene->code = 1;
	delivery_cancel(scene->host, STR("acme"), str_of(one->message.row.id), on_cancelled, scene);
	assert_int_equal(scene->code, 1);
	answer(scene, 503, 0, "");
	assert_int_equal(scene->code, 0);
	assert_int_equal(one->end.state, ROW_DELIVERY_CANCELLED);
	/* One that goes by HTTP is cut off. */
	one = post(scene, "http://192.0.2.1/", 0);
	hand_over(scene, one);
	scene->code = 1;
	delivery_cancel(scene->host, STR("acme"), str_of(one->message.row.id), on_cancelled, scene);
	assert_int_equal(scene->code, 0);
	assert_int_equal(one->end.state, ROW_DELIVERY_CANCELLED);
}

static void
a_cancellation_that_comes_too_late_is_a_conflict(void **state)
{
	static const struct {
		int status;
		uint8_t state;
	} rows[] = {{204, ROW_DELIVERY_DONE}, {503, ROW_DELIVERY_CANCELLED}};
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *one;

	thread_on_loop();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is_cancelled = rows[i].state == ROW_DELIVERY_CANCELLED;

		one = post(scene, "played:x", 0);
		hand_over(scene, one);
		scene->code = 1;
		delivery_cancel(
			scene->host, STR("acme"), str_of(one->message.row.id), on_cancelled, scene);
		answer(scene, rows[i].status, 0, "");
		assert_int_equal(one->end.state, rows[i].state);
		assert_int_equal(scene->code, is_cancelled ? 0 : ERR_CONFLICT);
		assert_true(is_cancelled || strstr(scene->err.text, "has ended"));
	}
}

static void
posts_go_with_their_org(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct played_message *sent, *asked, *one;
	struct org *org = org_find(&scene->kit->domain, STR("acme"));

	thread_on_loop();
	sent = post(scene, "played:x", 0);
	asked = post(scene, "http://192.0.2.1/", 0);
	hand_over(scene, sent);
	hand_over(scene, asked);
	map_remove(&scene->kit->domain.orgs, STR("acme"));
	delivery_org_gone(&scene->kit->domain, "acme");
	assert_int_equal(scene->played.n_dropped, 1);
	assert_false(scene->played.posts.is_attached);
	answer(scene, 200, 0, "");
	map_put(&scene->kit->domain.orgs, STR("acme"), org);
	one = post(scene, "played:y", 0);
	assert_true(scene->played.posts.is_attached);
	hand_over(scene, one);
	answer(scene, 200, 0, "");
	assert_int_equal(scene->played.n_settled, 1);
	assert_int_equal(one->end.state, ROW_DELIVERY_DONE);
}

static void
set_destination(struct scene *scene, enum delivery_destination_kind kind, const char *to)
{
	struct delivery_destinations *list = &scene->kit->version->config.queue.on_success;

	thread_on_loop();
	*list = (struct delivery_destinations){{{kind, str_dup(str_of(to))}}, 1};
	delivery_function_changed(scene->kit->function);
}

static void
the_end_is_put_behind_what_it_sets_off(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct delivery_request request = {
		.body = STR("1"), .callback_url = STR("http://192.0.2.1/back"), .hops = 3};
	struct played_message *one, *last;

	thread_on_loop();
	set_destination(scene, DELIVERY_TO_URL, "http://192.0.2.1/told");
	assert_int_equal(put_request(scene, request), 0);
	one = list_last(&scene->played.all, struct played_message, link);
	scene->played.is_settling_held = true;
	hand_over(scene, one);
	until(scene, &scene->played.n_settled, 1);
	assert_int_equal(scene->played.n_puts, 3);
	last = list_last(&scene->played.all, struct played_message, link);
	assert_string_equal(last->message.row.path, "http://192.0.2.1/back");
	assert_string_equal(last->message.row.origin, "callback");
	assert_string_equal(last->message.row.source, "hello");
	assert_int_equal(last->message.row.hops, 4);
	assert_non_null(strstr(last->message.row.idempotency_key, one->message.row.id));
	assert_non_null(strstr(last->message.row.head.at, "X-Call-Id"));
	one->done(one->arg, 0);
}

static void
what_goes_in_a_circle_ends_after_its_hops_and_says_so(void **state)
{
	__attribute__((cleanup(own_scene))) struct scene *scene = scene_new();
	struct delivery_request request = {.body = STR("1"), .hops = DELIVERY_HOPS_MAX - 1};
	struct played_message *one;

	thread_on_loop();
	set_destination(scene, DELIVERY_TO_FUNCTION, "hello");
	assert_int_equal(put_request(scene, request), 0);
	one = list_last(&scene->played.all, struct played_message, link);
	hand_over(scene, one);
	until(scene, &scene->played.n_settled, 1);
	assert_int_equal(scene->played.n_puts, 2);
	assert_string_equal(one->message_text, "");
	one = list_last(&scene->played.all, struct played_message, link);
	assert_int_equal(one->message.row.hops, DELIVERY_HOPS_MAX);
	hand_over(scene, one);
	until(scene, &scene->played.n_settled, 2);
	assert_int_equal(scene->played.n_puts, 2);
	assert_non_null(strstr(one->message_text, "it goes in a circle (16 hops)"));
	assert_int_equal(stats_of(scene).n_circles, 1);
}

UNIT_TESTS(it(what_is_wrong_is_refused_and_named_and_nothing_is_put),
	it(a_full_queue_and_a_full_org_are_told_apart), it(what_the_bus_refuses_is_not_counted),
	it(an_answer_is_its_result), it(a_failure_is_tried_again_after_a_pause_until_it_is_dead),
	it(no_more_run_than_may_and_the_next_begins_when_one_ends),
	it(one_of_a_key_waits_for_the_one_before_it_until_that_is_on_disk),
	it(one_of_a_key_that_fails_keeps_its_place_and_gives_others_room),
	it(what_its_function_cannot_run_yet_waits_without_an_attempt),
	it(one_that_waits_too_long_is_dead_and_says_for_what),
	it(what_is_in_hand_is_cancelled_when_that_is_on_disk),
	it(what_runs_when_the_daemon_stops_is_neither_settled_nor_tried_again),
	it(a_post_with_a_wrong_url_a_broken_header_or_no_org_is_refused),
	it(what_its_receiver_answers_decides_what_becomes_of_a_post),
	it(what_others_put_among_the_posts_is_not_sent),
	it(a_post_that_is_under_way_is_over_before_its_cancellation),
	it(a_cancellation_that_comes_too_late_is_a_conflict), it(posts_go_with_their_org),
	it(the_end_is_put_behind_what_it_sets_off),
	it(what_goes_in_a_circle_ends_after_its_hops_and_says_so))
