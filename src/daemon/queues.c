/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/queues.h"

#include "base/id.h"
#include "base/own.h"
#include "base/path.h"
#include "domain/domain.h"
#include "domain/schedule.h"
#include "domain/trigger.h"

#define KEY_BYTES       32
#define TASK_ATTEMPTS   100 /* over about a day */
#define TASK_BACKOFF_MS 900000
#define KEY_FILE        "callback-key"
#define KEY_FILE_MAX    256

/* ---- the key ---- */

static int
key_make(const char *path, struct buf *ret, struct err *err)
{
	uint8_t bytes[KEY_BYTES];
	char hex[2 * KEY_BYTES + 1];

	id_random(bytes, sizeof(bytes));
	id_hex(bytes, sizeof(bytes), hex);
	buf_clear(ret);
	buf_add_text(ret, hex);
	return path_write(path, buf_str(ret), 0600, err);
}

static int
key_read(const char *data_dir, struct buf *ret, struct err *err)
{
	OWN(mem) char *path = path_join(data_dir, KEY_FILE);
	struct err missing = {0};
	int rc = path_read(path, KEY_FILE_MAX, ret, &missing);

	if (rc == ERR_NOT_FOUND)
		return key_make(path, ret, err);
	if (rc < 0) {
		*err = missing;
		return rc;
	}
	while (ret->len && ret->at[ret->len - 1] == '\n')
		buf_cut(ret, ret->len - 1);
	return 0;
}

/* ---- the parts ---- */

static int
open_bus(struct queues *queues, const struct config *config, struct domain *domain,
	struct amqp *amqp, struct err *err)
{
	const struct bus_config bus = {
		.loop = domain->loop,
		.store = domain->store,
		.amqp = amqp,
		.exchange = QUEUES_EXCHANGE,
		.memory_bytes = (unsigned)config->queue_memory_bytes,
	};

	return bus_find(str_of(config->bus))->open(&bus, &queues->bus, err);
}

static int
open_fetch(
	struct queues *queues, const struct config *config, struct domain *domain, struct err *err)
{
	struct fetch_config fetch = {.loop = domain->loop};
	OWN(egress_ranges) struct egress_ranges ranges = {0};
	const char **text;
	int rc;

	for (text = config->callback_private; text && *text; text++) {
		ranges.at = mem_grow(ranges.at, (ranges.n + 1) * sizeof(*ranges.at));
		rc = egress_range_parse(str_of(*text), &ranges.at[ranges.n], err);
		if (rc < 0)
			return err_set(err, ERR_INVALID, "callback_private: %s is no range", *text);
		ranges.n++;
	}
	fetch.ranges = ranges.at;
	fetch.n_ranges = ranges.n;
	return fetch_open(&fetch, &queues->fetch, err);
}

/* ---- what a delivery's source says of it, and hears ---- */

/* A task may wait for days: what answers it is patient while its cloud is away. */
static const struct delivery_policy *
policy_of_tasks(void)
{
	static struct delivery_policy policy;

	if (policy.attempts)
		return &policy;
	delivery_policy_posts(&policy);
	policy.attempts = TASK_ATTEMPTS;
	policy.backoff_max_ms = TASK_BACKOFF_MS;
	return &policy;
}

static const struct delivery_policy *
policy_of(struct domain *domain, const char *org, const char *origin, const char *source)
{
	thread_on_loop();
	if (strcmp(origin, "task") == 0)
		return policy_of_tasks();
	if (strcmp(origin, "schedule") == 0)
		return schedule_policy_of(domain, org, source);
	return strcmp(origin, "event") == 0 ? trigger_policy_of(domain, org, source) : NULL;
}

static void
on_ended(struct domain *domain, const char *org, const char *origin, const char *source,
	bool is_done)
{
	thread_on_loop();
	if (strcmp(origin, "event") == 0)
		trigger_settled(domain, org, source, is_done);
}

int
queues_open(struct queues *queues, const struct config *config, struct domain *domain,
	struct amqp *amqp, const struct queues_tasks *tasks, struct err *err)
{
	OWN(buf) struct buf key = BUF_INIT;
	struct delivery_config deliveries = {.max_length_org = config->queue_length_org,
		.emit = event_emit,
		.send = tasks->send,
		.task = tasks->task,
		.policy_of = policy_of,
		.ended = on_ended};
	int rc = key_read(config->data_dir, &key, err);

	if (rc < 0)
		return err_wrap(err, rc, "the key for callbacks");
	rc = open_bus(queues, config, domain, amqp, err);
	if (rc >= 0)
		rc = open_fetch(queues, config, domain, err);
	if (rc < 0)
		return rc;
	deliveries.bus = queues->bus;
	deliveries.fetch = queues->fetch;
	deliveries.hmac_key = buf_str(&key);
	return delivery_host_new(domain, &deliveries, &queues->deliveries, err);
}

void
queues_close(struct queues *queues)
{
	delivery_host_stop(queues->deliveries);
	if (queues->fetch)
		fetch_close(take_ptr(&queues->fetch));
	if (queues->bus)
		queues->bus->ops->close(take_ptr(&queues->bus));
}

void
queues_free(struct queues *queues)
{
	delivery_host_free(take_ptr(&queues->deliveries));
}
