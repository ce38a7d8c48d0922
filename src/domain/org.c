/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/org.h"

#include "base/clock.h"
#include "base/own.h"
#include "domain/event.h"
#include "domain/function.h"
#include "domain/schedule_inside.h"
#include "domain/token.h"
#include "domain/trigger_inside.h"
#include "store/rows.h"

struct org *
org_find(const struct domain *domain, struct str name)
{
	return map_find(&domain->orgs, name);
}

struct org *
org_add(struct domain *domain, const char *name, uint64_t created_ms)
{
	struct org *org = mem_new(sizeof(*org));

	snprintf(org->name, sizeof(org->name), "%s", name);
	org->created_ms = created_ms;
	org->functions = MAP_INIT;
	org->routes = MAP_INIT;
	org->schedules = MAP_INIT;
	org->triggers = MAP_INIT;
	org->trigger_index = trigger_index_new();
	org->events = event_log_new();
	event_line_init(&org->event_line);
	org->domain = domain;
	map_put(&domain->orgs, str_of(org->name), org);
	return org;
}

static void
org_drop(struct org *org)
{
	map_done(&org->functions);
	map_done(&org->routes);
	schedule_free_all(org);
	trigger_free_all(org);
	event_log_free(org->events);
	free(org);
}

void
org_hold(struct org *org)
{
	org->n_leaving++;
}

void
org_release(struct org *org)
{
	org->n_leaving--;
	org_settle(org);
}

void
org_settle(struct org *org)
{
	if (org->is_deleting && !org->n_leaving && !org->functions.len)
		org_drop(org);
}

void
org_free(struct org *org)
{
	map_each (&org->functions, entry)
		function_free(entry->value);
	org_drop(org);
}

/* ---- changes ---- */

struct org_change {
	struct store_message message;
	struct domain *domain; /* borrowed */
	struct org *org;       /* borrowed: that is deleted */
	struct row_org row;
	org_done_fn *done;
	void *arg; /* borrowed */
};

static struct org_change *
org_change_new(struct domain *domain, struct str name, org_done_fn *done, void *arg)
{
	struct org_change *change = mem_new(sizeof(*change));

	change->domain = domain;
	snprintf(change->row.name, sizeof(change->row.name), "%.*s", STR_ARG(name));
	change->row.created_ms = clock_unix_ms();
	change->row.settings = "{}";
	change->done = done;
	change->arg = arg;
	return change;
}

static void
org_change_tell(struct org_change *change) ON_LOOP
{
	int code = change->message.code;

	change->done(code, code < 0 ? &change->message.err : NULL, change->arg);
}

/* ---- create ---- */

static int
create_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct org_change *change = list_owner(message, struct org_change, message);
	int rc;

	thread_on_store();
	rc = row_org_insert(db, &change->row, err);
	if (rc == ERR_CONFLICT)
		return err_field(
			err, ERR_CONFLICT, "name", "there is an org %s already", change->row.name);
	return rc;
}

static void
create_done(struct store_message *message)
{
	OWN(mem) struct org_change *change = list_owner(message, struct org_change, message);

	thread_on_loop();
	if (message->code >= 0)
		org_add(change->domain, change->row.name, change->row.created_ms);
	org_change_tell(change);
}

void
org_create(struct domain *domain, struct str name, org_done_fn *done, void *arg)
{
	struct org_change *change;
	struct err err = {0};
	int rc = id_check_name(name, "name", &err);

	if (rc < 0) {
		done(rc, &err, arg);
		return;
	}
	change = org_change_new(domain, name, done, arg);
	change->message.work = create_work;
	change->message.done = create_done;
	store_ask(domain->store, &change->message);
}

/* ---- delete ---- */

static int
delete_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct org_change *change = list_owner(message, struct org_change, message);
	int rc;

	thread_on_store();
	rc = row_org_delete(db, change->row.name, err);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* A function that is being deleted by itself is in neither map. */
static void
org_leave(struct org *org) ON_LOOP
{
	struct map functions = org->functions;

	org->functions = MAP_INIT;
	map_done(&org->routes);
	org->n_leaving++; /* so that it outlives its functions here */
	map_each (&functions, entry)
		function_leave(entry->value);
	map_done(&functions);
	delivery_org_gone(org->domain, org->name);
	org->n_leaving--;
	token_forget_org(org->domain, org->name);
	org_settle(org);
}

static void
delete_done(struct store_message *message)
{
	OWN(mem) struct org_change *change = list_owner(message, struct org_change, message);
	struct org *org = change->org;

	thread_on_loop();
	if (message->code >= 0) {
		org_leave(org);
	} else if (!org_find(change->domain, str_of(org->name))) {
		org->is_deleting = false;
		map_put(&change->domain->orgs, str_of(org->name), org);
	}
	org_change_tell(change);
}

void
org_delete(struct org *org, org_done_fn *done, void *arg)
{
	struct org_change *change = org_change_new(org->domain, str_of(org->name), done, arg);

	must(!org->is_deleting);
	org->is_deleting = true;
	map_remove(&org->domain->orgs, str_of(org->name));
	change->org = org;
	change->message.work = delete_work;
	change->message.done = delete_done;
	store_ask(org->domain->store, &change->message);
}
