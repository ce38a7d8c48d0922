/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_put - acceptance: what a delivery must keep to, and its way into the bus.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/own.h"
#include "domain/delivery_inside.h"
#include "domain/org.h"

#define PATH_BYTES 512 /* of a function's: what is behind that is cut off */

struct delivery_putting {
	struct bus_put put;
	struct delivery_queue *queue; /* borrowed */
	delivery_put_fn *done;
	void *arg;    /* borrowed */
	char *copies; /* owned: all its texts and bytes */
};

static int
check_key(struct str key, const char *field, struct err *err)
{
	if (key.len > DELIVERY_KEY_MAX)
		return err_field(err, ERR_INVALID, field, "%s must have at most %d bytes", field,
			DELIVERY_KEY_MAX);
	if (!str_is_utf8(key) || (key.len && memchr(key.at, 0, key.len)))
		return err_field(err, ERR_INVALID, field, "%s is not UTF-8", field);
	return 0;
}

static int
check_url(struct str url, struct err *err)
{
	struct err why = {0};

	if (!url.len || fetch_check_url(url, &why) == 0)
		return 0;
	return err_field(err, ERR_INVALID, "X-Callback-Url", "X-Callback-Url: %s", why.text);
}

static int
check_room(const struct delivery_queue *queue, struct err *err)
{
	const struct delivery_host *host = queue->host;

	if (queue->n_open - (int64_t)queue->n_running >= (int64_t)queue->policy.length)
		return err_set(err, ERR_RATE,
			"the queue of %s is full: %u calls wait (queue.length)",
			queue->function_name, queue->policy.length);
	if (queue->org->n_open >= (int64_t)host->config.max_length_org)
		return err_set(err, ERR_RATE,
			"the queues of %s are full: %u calls wait in all (queue_length_org)",
			queue->org->name, host->config.max_length_org);
	return 0;
}

static int
check_size(const struct delivery_request *request, struct err *err)
{
	const struct function *function = request->function;
	const struct version *version =
		request->version ? function_version(function, request->version) : NULL;

	if (request->version && !version)
		return err_field(err, ERR_NOT_FOUND, "version", "%s has no version %u",
			function->name, (unsigned)request->version);
	if (!version)
		version = function->active ? function->active
					   : list_last(&function->versions, struct version, link);
	if (version && request->body.len > version->config.limits.request_bytes)
		return err_set(err, ERR_TOO_LARGE,
			"the body has %zu bytes, the function takes %llu", request->body.len,
			(unsigned long long)version->config.limits.request_bytes);
	return 0;
}

static int
check_request(
	const struct delivery_queue *queue, const struct delivery_request *request, struct err *err)
{
	int rc;

	if (queue->host->is_stopping || !queue->host->is_started)
		return err_set(err, ERR_UNAVAILABLE, "mayfly is %s",
			queue->host->is_stopping ? "stopping" : "starting");
	if (request->function && request->function->is_deleting)
		return err_set(err, ERR_NOT_FOUND, "the function is being deleted");
	rc = check_key(request->order_key, "X-Mayfly-Order-Key", err);
	if (rc == 0)
		rc = check_key(request->idempotency_key, "Idempotency-Key", err);
	if (rc == 0)
		rc = check_url(request->callback_url, err);
	if (rc == 0 && request->function)
		rc = check_size(request, err);
	if (rc == 0)
		rc = check_room(queue, err);
	return rc;
}

static void
put_done(struct bus_put *put, int code, const struct err *err)
{
	struct delivery_putting *putting = list_owner(put, struct delivery_putting, put);
	struct delivery_accepted accepted = {.is_known = code == ERR_CONFLICT};

	thread_on_loop();
	if (code < 0)
		delivery_count_ended(putting->queue);
	else
		putting->queue->n_accepted++;
	memcpy(accepted.id, put->row.id, sizeof(accepted.id));
	if (accepted.is_known)
		code = 0;
	putting->done(code, code < 0 ? NULL : &accepted, code < 0 ? err : NULL, putting->arg);
	free(putting->copies);
	free(putting);
}

static struct str
copy_bytes(char **at, struct str bytes)
{
	struct str copy = str_n(*at, bytes.len);

	if (bytes.len)
		memcpy(*at, bytes.at, bytes.len);
	(*at)[bytes.len] = '\0';
	*at += bytes.len + 1;
	return copy;
}

/* For the record; a post's is its URL, all of it. */
static struct str
path_of(const struct delivery_request *request)
{
	struct str path = request->path;

	if (!request->function)
		return path;
	path = str_cut(&path, '?');
	if (path.len > PATH_BYTES)
		path.len = PATH_BYTES;
	return str_is_utf8(path) ? path : STR("?");
}

static void
putting_copy(struct delivery_putting *putting, const struct delivery_request *request)
{
	struct str path = path_of(request);
	struct row_delivery *row = &putting->put.row;
	size_t size;
	char *at;

	size = request->order_key.len + request->idempotency_key.len + request->callback_url.len +
	       request->method.len + path.len + request->head.len + request->body.len + 7;
	putting->copies = at = mem_grow(NULL, size);
	row->order_key = copy_bytes(&at, request->order_key).at;
	row->idempotency_key = copy_bytes(&at, request->idempotency_key).at;
	row->callback_url = copy_bytes(&at, request->callback_url).at;
	row->method = copy_bytes(&at, request->method).at;
	row->path = copy_bytes(&at, path).at;
	row->head = copy_bytes(&at, request->head);
	row->body = copy_bytes(&at, request->body);
	row->message = row->headers = "";
}

static struct delivery_putting *
putting_new(struct delivery_queue *queue, const struct delivery_request *request)
{
	struct delivery_putting *putting = mem_new(sizeof(*putting));
	const struct delivery_policy *policy = request->policy ? request->policy : &queue->policy;
	struct row_delivery *row = &putting->put.row;

	putting->queue = queue;
	if (request->id)
		memcpy(row->id, request->id, sizeof(row->id));
	else
		id_ulid(row->id);
	snprintf(row->org, sizeof(row->org), "%s", queue->org->name);
	snprintf(row->function, sizeof(row->function), "%s", queue->function_name);
	snprintf(row->origin, sizeof(row->origin), "%s", request->origin);
	snprintf(row->source, sizeof(row->source), "%s", request->source ? request->source : "");
	row->version = request->version;
	row->frame = (uint8_t)request->frame;
	row->hops = request->hops;
	row->created_ms = clock_unix_ms();
	row->due_ms = request->due_ms > row->created_ms ? request->due_ms : row->created_ms;
	row->expires_ms = row->due_ms + policy->max_age_s * 1000ull;
	putting_copy(putting, request);
	return putting;
}

void
delivery_accept(struct delivery_queue *queue, const struct delivery_request *request,
	delivery_put_fn *done, void *arg)
{
	struct delivery_host *host = queue->host;
	struct delivery_putting *putting;
	struct err err = {0};
	int rc = check_request(queue, request, &err);

	if (rc < 0) {
		queue->n_refused += rc == ERR_RATE;
		done(rc, NULL, &err, arg);
		return;
	}
	putting = putting_new(queue, request);
	putting->done = done;
	putting->arg = arg;
	putting->put.done = put_done;
	queue->n_open++;
	queue->org->n_open++;
	host->bus->ops->put(host->bus, &putting->put);
}

void
delivery_put(struct delivery_host *host, const struct delivery_request *request,
	delivery_put_fn *done, void *arg)
{
	const struct function *function = request->function;

	delivery_accept(
		delivery_queue_of(host, function->org->name, function->name), request, done, arg);
}
