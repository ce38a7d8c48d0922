/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/function_change.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/own.h"
#include "store/blob.h"

static int
change_check_source(struct function_change *change, struct err *err)
{
	OWN(fd) int fd = -1;
	uint64_t size;
	int rc = blob_open(change->store, change->version_row.source, &fd, &size, err);

	if (rc == ERR_NOT_FOUND)
		return err_field(err, ERR_INVALID, "code", "there is no source %s",
			change->version_row.source);
	return rc;
}

static int
change_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct function_change *change = list_owner(message, struct function_change, message);
	int rc = 0;

	thread_on_store();
	if (change->flags & FUNCTION_CHANGE_NEW_VERSION)
		rc = change_check_source(change, err);
	if (rc < 0)
		return rc;
	rc = change->flags & FUNCTION_CHANGE_NEW ? row_function_insert(db, &change->row, err)
						 : row_function_update(db, &change->row, err);
	if (rc < 0 || !change->version)
		return rc;
	return change->flags & FUNCTION_CHANGE_NEW_VERSION
		       ? row_version_insert(db, &change->version_row, err)
		       : row_version_update(db, &change->version_row, err);
}

static void
change_done(struct store_message *message)
{
	struct function_change *change = list_owner(message, struct function_change, message);
	struct version *version = change->version;

	thread_on_loop();
	change->stored(change);
	free(change->config);
	free(change->reason);
	free(change->build_log);
	free(change);
	if (version)
		version_release(version);
}

static void
change_function_row(const struct function *function, struct row_function *ret)
{
	uint32_t active = function->active ? function->active->number : function->wanted;

	*ret = (struct row_function){
		.active_version = active,
		.last_version = function->last_version,
		.created_ms = function->created_ms,
		.updated_ms = function->updated_ms,
	};
	snprintf(ret->org, sizeof(ret->org), "%s", function->org->name);
	snprintf(ret->name, sizeof(ret->name), "%s", function->name);
	snprintf(ret->route, sizeof(ret->route), "%s", function->route);
}

/* The version's texts may be replaced before the store has read them. */
static void
change_version_row(struct function_change *change)
{
	struct row_version *row = &change->version_row;

	version_row(change->version, row, &change->config);
	change->reason = str_dup(str_of(row->reason));
	change->build_log = str_dup(str_of(row->build_log));
	row->reason = change->reason;
	row->build_log = change->build_log;
}

struct function_change *
function_change_new(struct function *function, struct version *version, unsigned flags)
{
	struct function_change *change = mem_new(sizeof(*change));

	change->flags = flags;
	change->function = function;
	change->version = version;
	change->store = function->org->domain->store;
	change_function_row(function, &change->row);
	if (version) {
		version_hold(version);
		change_version_row(change);
	}
	change->message.work = change_work;
	change->message.done = change_done;
	return change;
}

void
function_change_ask(struct function_change *change)
{
	store_ask(change->store, &change->message);
}

/* ---- forgetting a version ---- */

struct forget {
	struct store_message message;
	char org[64], function[64];
	uint32_t number;
};

static int
forget_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct forget *forget = list_owner(message, struct forget, message);

	thread_on_store();
	return row_version_delete(db, forget->org, forget->function, forget->number, err);
}

/* A row that stays comes back at the next start, and is old enough to go then. */
static void
forget_done(struct store_message *message)
{
	OWN(mem) struct forget *forget = list_owner(message, struct forget, message);

	if (message->code < 0 && message->code != ERR_NOT_FOUND)
		log_warn("version.kept", "org=%s function=%s version=%" PRIu32 " reason=%s",
			forget->org, forget->function, forget->number, log_q(message->err.text));
}

void
function_change_forget(const struct version *version)
{
	struct forget *forget = mem_new(sizeof(*forget));

	snprintf(forget->org, sizeof(forget->org), "%s", version->function->org->name);
	snprintf(forget->function, sizeof(forget->function), "%s", version->function->name);
	forget->number = version->number;
	forget->message.work = forget_work;
	forget->message.done = forget_done;
	store_ask(version->function->org->domain->store, &forget->message);
}
