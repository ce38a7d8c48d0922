/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "domain/record_inside.h"

/* A question on its way to the store and back, with copies of what it asks for. */
struct record_ask {
	struct store_message message;
	struct row_call_query query; /* its texts stand below; `org` is always set */
	char org[64], function[64], code[32], before[ID_ULID_SIZE], after[ID_ULID_SIZE];
	char id[ID_ULID_SIZE]; /* of one record, "" for a list */
	json_t *json;          /* owned: the answer */
	record_done_fn *done;
	void *arg; /* borrowed */
};

/* ---- a record as JSON ---- */

static json_t *
record_json_log(const char *log)
{
	struct str rest = str_of(log);
	json_t *lines = json_array();

	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		json_t *value = json_loadb(line.at, line.len, 0, NULL);

		if (value)
			json_array_append_new(lines, value);
	}
	return lines;
}

/* Where no cgroup could be made nothing was measured, and that is not zero: whatever ran and was
 * measured used some memory and some time. */
static json_t *
record_json_measured(const struct row_call *row, uint64_t figure)
{
	return row->wall_us > 0 && figure == 0 ? json_null() : json_integer((json_int_t)figure);
}

json_t *
record_json(const struct row_call *row, bool is_with_log)
{
	char started[CLOCK_ISO_SIZE];
	json_t *json;

	clock_iso(row->started_ms, started);
	json = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:s, s:s, s:s}", "id", row->id,
		"org", row->org, "function", row->function, "version", (int)row->version, "trigger",
		row->trigger, "method", row->method, "path", row->path, "status", (int)row->status,
		"code", row->code, "message", row->message, "started_at", started);
	/* Text that is not UTF-8, which the store does not promise. */
	if (!json)
		return json_pack("{s:s, s:s, s:s}", "id", row->id, "org", row->org, "function",
			row->function);
	json_object_set_new(json, "queue_us", json_integer((json_int_t)row->queue_us));
	json_object_set_new(json, "wall_us", json_integer((json_int_t)row->wall_us));
	json_object_set_new(json, "cpu_us", record_json_measured(row, row->cpu_us));
	json_object_set_new(
		json, "memory_peak_bytes", record_json_measured(row, row->memory_peak_bytes));
	json_object_set_new(json, "bytes_in", json_integer((json_int_t)row->bytes_in));
	json_object_set_new(json, "bytes_out", json_integer((json_int_t)row->bytes_out));
	json_object_set_new(json, "egress_bytes_in", json_integer((json_int_t)row->egress_in));
	json_object_set_new(json, "egress_bytes_out", json_integer((json_int_t)row->egress_out));
	json_object_set_new(json, "cold", json_boolean(row->is_cold));
	json_object_set_new(json, "log_truncated", json_boolean(row->is_log_truncated));
	if (is_with_log && row->log)
		json_object_set_new(json, "log", record_json_log(row->log));
	return json;
}

/* ---- on the store's thread ---- */

static bool
record_ask_each(const struct row_call *row, void *arg)
{
	struct record_ask *ask = arg;

	json_array_append_new(ask->json, record_json(row, ask->query.is_with_log));
	return true;
}

static int ON_STORE
record_ask_list(struct store_db *db, struct store_message *message, struct err *err)
{
	struct record_ask *ask = list_owner(message, struct record_ask, message);

	thread_on_store();
	ask->json = json_array();
	return row_call_list(db, &ask->query, record_ask_each, ask, err);
}

static void
record_ask_found(const struct row_call *row, void *arg)
{
	struct record_ask *ask = arg;

	ask->json = record_json(row, true);
}

static int ON_STORE
record_ask_one(struct store_db *db, struct store_message *message, struct err *err)
{
	struct record_ask *ask = list_owner(message, struct record_ask, message);

	thread_on_store();
	return row_call_find(db, ask->org, ask->id, record_ask_found, ask, err);
}

/* ---- on the loop ---- */

static void
record_ask_done(struct store_message *message)
{
	struct record_ask *ask = list_owner(message, struct record_ask, message);

	ask->done(message->code, message->code < 0 ? NULL : ask->json, &message->err, ask->arg);
	json_decref(ask->json);
	free(ask);
}

static void
record_ask_copy(char *to, size_t size, const char *from, const char **ret)
{
	*ret = NULL;
	if (!from)
		return;
	strncpy(to, from, size - 1);
	*ret = to;
}

static struct record_ask *
record_ask_new(record_done_fn *done, void *arg)
{
	struct record_ask *ask = mem_new(sizeof(*ask));

	ask->message.done = record_ask_done;
	ask->done = done;
	ask->arg = arg;
	return ask;
}

void
record_list(
	struct record_log *log, const struct row_call_query *query, record_done_fn *done, void *arg)
{
	struct record_ask *ask = record_ask_new(done, arg);
	struct row_call_query *mine = &ask->query;

	*mine = *query;
	record_ask_copy(ask->org, sizeof(ask->org), query->org, &mine->org);
	record_ask_copy(ask->function, sizeof(ask->function), query->function, &mine->function);
	record_ask_copy(ask->code, sizeof(ask->code), query->code, &mine->code);
	record_ask_copy(ask->before, sizeof(ask->before), query->before, &mine->before);
	record_ask_copy(ask->after, sizeof(ask->after), query->after, &mine->after);
	ask->message.work = record_ask_list;
	record_send_all(log);
	store_ask(log->domain->store, &ask->message);
}

void
record_get(struct record_log *log, struct str org, struct str id, record_done_fn *done, void *arg)
{
	struct record_ask *ask = record_ask_new(done, arg);

	memcpy(ask->org, org.at, org.len < sizeof(ask->org) ? org.len : sizeof(ask->org) - 1);
	memcpy(ask->id, id.at, id.len < sizeof(ask->id) ? id.len : sizeof(ask->id) - 1);
	ask->message.work = record_ask_one;
	record_send_all(log);
	store_ask(log->domain->store, &ask->message);
}
