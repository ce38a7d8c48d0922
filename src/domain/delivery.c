/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/delivery.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/delivery_inside.h"
#include "domain/org.h"

#define ORG_LENGTH_MAX 100000

/* ---- orgs and queues ---- */

struct delivery_org *
delivery_org_of(struct delivery_host *host, const char *name)
{
	struct str key = str_of(name);
	struct delivery_org *org = map_find(&host->orgs, key);

	if (org)
		return org;
	org = mem_new(sizeof(*org));
	snprintf(org->name, sizeof(org->name), "%.*s", STR_ARG(key));
	map_put(&host->orgs, key, org);
	return org;
}

static struct str
queue_key(const char *org, const char *function, char ret[static DELIVERY_QUEUE_KEY])
{
	return str_n(ret, (size_t)snprintf(ret, DELIVERY_QUEUE_KEY, "%s/%s", org, function));
}

struct delivery_queue *
delivery_queue_find(const struct delivery_host *host, const char *org, const char *function)
{
	char key[DELIVERY_QUEUE_KEY];

	return map_find(&host->queues, queue_key(org, function, key));
}

/* The active version's; of a function that never served, the newest's. */
static void
queue_read_policy(struct delivery_queue *queue)
{
	const struct version *version = NULL;

	if (queue->function)
		version = queue->function->active
				  ? queue->function->active
				  : list_last(&queue->function->versions, struct version, link);
	if (!version)
		return;
	delivery_policy_done(&queue->policy);
	delivery_policy_copy(&version->config.queue, &queue->policy);
}

static void
queue_attach(struct delivery_queue *queue) ON_LOOP
{
	const struct bus_consumer consumer = {delivery_on_message, queue};
	struct delivery_host *host = queue->host;

	if (queue->bus || !host->is_started || host->is_stopping)
		return;
	queue->credit = 2 * queue->policy.concurrency;
	queue->bus = host->bus->ops->attach(
		host->bus, queue->org->name, queue->function_name, queue->credit, &consumer);
}

struct delivery_queue *
delivery_queue_of(struct delivery_host *host, const char *org, const char *function)
{
	struct delivery_queue *queue = delivery_queue_find(host, org, function);
	const struct org *owner = org_find(host->domain, str_of(org));
	char key[DELIVERY_QUEUE_KEY];

	if (queue) {
		queue_attach(queue);
		return queue;
	}
	queue = mem_new(sizeof(*queue));
	queue->host = host;
	queue->org = delivery_org_of(host, org);
	snprintf(queue->function_name, sizeof(queue->function_name), "%s", function);
	queue->is_posts = strcmp(function, DELIVERY_POSTS) == 0;
	queue->function = owner ? function_find(owner, str_of(function)) : NULL;
	list_init(&queue->ready);
	list_init(&queue->held);
	if (queue->is_posts)
		delivery_policy_posts(&queue->policy);
	else
		delivery_policy_default(&queue->policy);
	queue_read_policy(queue);
	map_put(&host->queues, queue_key(org, function, key), queue);
	host->n_left++;
	queue_attach(queue);
	return queue;
}

static void
on_queue_closed(struct loop_timer *timer)
{
	struct delivery_queue *queue = list_owner(timer, struct delivery_queue, timer);
	struct delivery_host *host = queue->host;

	delivery_policy_done(&queue->policy);
	map_done(&queue->keys);
	free(queue);
	delivery_queue_closed(host);
}

/* The queue of a function that is gone goes when nothing waits in it any more, that of posts when
 * its org is gone too. */
static void
queue_settle(struct delivery_queue *queue) ON_LOOP
{
	struct delivery_host *host = queue->host;
	bool is_kept = queue->function ||
		       (queue->is_posts && org_find(host->domain, str_of(queue->org->name)));
	char key[DELIVERY_QUEUE_KEY];

	if (is_kept || queue->n_open > 0 || queue->n_in_hand || host->is_over)
		return;
	if (queue->bus)
		host->bus->ops->detach(take_ptr(&queue->bus));
	map_remove(&host->queues, queue_key(queue->org->name, queue->function_name, key));
	loop_timer_close(&queue->timer, on_queue_closed);
}

void
delivery_count_ended(struct delivery_queue *queue)
{
	queue->n_open--;
	queue->org->n_open--;
	queue_settle(queue);
}

/* ---- functions come and go ---- */

void
delivery_function_changed(struct function *function)
{
	struct delivery_host *host = function->org->domain->deliveries;
	struct delivery_queue *queue;

	if (!host || !host->is_started || function->is_deleting)
		return;
	queue = delivery_queue_of(host, function->org->name, function->name);
	queue->function = function;
	queue_read_policy(queue);
	queue_attach(queue);
	delivery_queue_resume(queue);
}

/* Of an org that goes nothing stays. */
static void
queue_drop(struct delivery_queue *queue) ON_LOOP
{
	struct bus *bus = queue->host->bus;

	delivery_queue_let_go(queue);
	bus->ops->drop(bus, queue->org->name, queue->function_name);
	queue->org->n_open -= queue->n_open;
	queue->n_open = 0;
}

/* What waits may still find a function of that name. */
void
delivery_function_gone(struct function *function)
{
	struct delivery_host *host = function->org->domain->deliveries;
	struct delivery_queue *queue;

	if (!host)
		return;
	queue = delivery_queue_find(host, function->org->name, function->name);
	if (!queue || queue->function != function)
		return;
	queue->function = NULL;
	if (function->org->is_deleting) {
		queue_drop(queue);
	} else {
		delivery_queue_resume(queue);
	}
	queue_settle(queue);
}

void
delivery_org_gone(struct domain *domain, const char *org)
{
	struct delivery_host *host = domain->deliveries;
	struct delivery_queue *queue = host ? delivery_queue_find(host, org, DELIVERY_POSTS) : NULL;

	if (!queue)
		return;
	queue_drop(queue);
	queue_settle(queue);
}

/* ---- figures ---- */

/* The oldest of what waits is in the bus or in hand. */
static uint64_t
oldest_of(const struct delivery_queue *queue)
{
	const struct bus *bus = queue->host->bus;
	struct bus_stats stats = {0};
	struct delivery *delivery;

	bus->ops->stats(bus, queue->org->name, queue->function_name, &stats);
	uint64_t oldest_ms = stats.n_waiting ? stats.oldest_ms : 0;

	map_each (&queue->host->in_hand, entry) {
		delivery = entry->value;
		if (delivery->queue != queue || delivery->state >= DELIVERY_ENDING ||
			delivery->state == DELIVERY_RUNNING)
			continue;
		if (!oldest_ms || delivery->message->row.created_ms < oldest_ms)
			oldest_ms = delivery->message->row.created_ms;
	}
	return oldest_ms;
}

static void
stats_of(const struct delivery_queue *queue, struct delivery_stats *ret) ON_LOOP
{
	int64_t n_queued = queue->n_open - (int64_t)queue->n_running;

	*ret = (struct delivery_stats){
		.n_queued = n_queued > 0 ? (uint64_t)n_queued : 0,
		.n_running = queue->n_running,
		.n_dead = queue->n_dead,
		.oldest_ms = n_queued > 0 ? oldest_of(queue) : 0,
		.n_accepted = queue->n_accepted,
		.n_done = queue->n_done,
		.n_retries = queue->n_retries,
		.n_refused = queue->n_refused,
		.n_circles = queue->n_circles,
	};
}

void
delivery_stats(const struct function *function, struct delivery_stats *ret)
{
	const struct delivery_host *host = function->org->domain->deliveries;
	const struct delivery_queue *queue =
		host ? delivery_queue_find(host, function->org->name, function->name) : NULL;

	*ret = (struct delivery_stats){0};
	if (queue)
		stats_of(queue, ret);
}

bool
delivery_post_stats(const struct delivery_host *host, const char *org, struct delivery_stats *ret)
{
	const struct delivery_queue *queue = delivery_queue_find(host, org, DELIVERY_POSTS);

	*ret = (struct delivery_stats){0};
	if (queue)
		stats_of(queue, ret);
	return queue != NULL;
}

bool
delivery_has_tasks(const struct delivery_host *host)
{
	return host->config.task && host->config.send;
}

const char *
delivery_bus(const struct delivery_host *host, bool *ret_is_up)
{
	*ret_is_up = host->bus->ops->is_up(host->bus);
	return host->bus->ops->name;
}

/* ---- life ---- */

int
delivery_host_new(struct domain *domain, const struct delivery_config *config,
	struct delivery_host **ret, struct err *err)
{
	struct delivery_host *host;

	if (!config->hmac_key.len || config->hmac_key.len >= DELIVERY_KEY_SIZE)
		return err_set(err, ERR_INVALID, "the key for callbacks must have 1 to %d bytes",
			DELIVERY_KEY_SIZE - 1);
	host = mem_new(sizeof(*host));
	host->domain = domain;
	host->bus = config->bus;
	host->fetch = config->fetch;
	host->config = *config;
	host->config.hmac_key = STR_NONE;
	if (!host->config.max_length_org)
		host->config.max_length_org = ORG_LENGTH_MAX;
	memcpy(host->key, config->hmac_key.at, config->hmac_key.len);
	host->queues = host->orgs = host->in_hand = host->waits = MAP_INIT;
	host->n_left = 1;
	domain->deliveries = host;
	*ret = host;
	return 0;
}

/* What is queued, of functions that are gone too. */
struct delivery_starting {
	struct store_message message;
	struct delivery_host *host;        /* borrowed */
	struct row_delivery_count *counts; /* owned */
	size_t n;
};

static bool
starting_each(const struct row_delivery_count *count, void *arg)
{
	struct delivery_starting *starting = arg;

	starting->counts =
		mem_grow(starting->counts, (starting->n + 1) * sizeof(*starting->counts));
	starting->counts[starting->n++] = *count;
	return true;
}

static int
starting_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct delivery_starting *starting = list_owner(message, struct delivery_starting, message);

	thread_on_store();
	return row_delivery_count(db, starting_each, starting, err);
}

static void
starting_done(struct store_message *message)
{
	struct delivery_starting *starting = list_owner(message, struct delivery_starting, message);
	struct delivery_host *host = starting->host;

	thread_on_loop();
	if (message->code < 0)
		log_error("delivery.not_counted", "reason=%s", log_q(message->err.text));
	for (size_t i = 0; i < starting->n && !host->is_over; i++) {
		const struct row_delivery_count *count = &starting->counts[i];
		struct delivery_queue *queue = delivery_queue_of(host, count->org, count->function);

		queue->n_open += (int64_t)count->n;
		queue->org->n_open += (int64_t)count->n;
	}
	free(starting->counts);
	free(starting);
}

void
delivery_host_start(struct delivery_host *host)
{
	struct delivery_starting *starting = mem_new(sizeof(*starting));

	host->started_ms = clock_unix_ms();
	host->is_started = true;
	starting->host = host;
	starting->message.work = starting_work;
	starting->message.done = starting_done;
	store_ask(host->domain->store, &starting->message);
	delivery_count_dead(host);
	delivery_trim_start(host);
	map_each (&host->domain->orgs, org_entry) {
		const struct org *org = org_entry->value;

		map_each (&org->functions, entry)
			delivery_function_changed(entry->value);
	}
}

void
delivery_host_stop(struct delivery_host *host)
{
	if (!host || host->is_stopping)
		return;
	host->is_stopping = true;
	loop_timer_stop(&host->trim_timer);
	map_each (&host->queues, entry)
		loop_timer_stop(&((struct delivery_queue *)entry->value)->timer);
}

void
delivery_queue_closed(struct delivery_host *host)
{
	if (--host->n_left)
		return;
	map_each (&host->orgs, entry)
		free(entry->value);
	map_done(&host->orgs);
	free(host);
}

static void
on_trim_closed(struct loop_timer *timer)
{
	delivery_queue_closed(list_owner(timer, struct delivery_host, trim_timer));
}

void
delivery_host_free(struct delivery_host *host)
{
	struct map_entry *entry;

	if (!host)
		return;
	thread_on_loop();
	host->is_over = true;
	host->domain->deliveries = NULL;
	while ((entry = map_next(&host->in_hand, NULL)))
		delivery_forget(entry->value);
	map_done(&host->in_hand);
	map_done(&host->waits);
	map_each (&host->queues, one)
		loop_timer_close(&((struct delivery_queue *)one->value)->timer, on_queue_closed);
	map_done(&host->queues);
	loop_timer_close(&host->trim_timer, on_trim_closed);
}
