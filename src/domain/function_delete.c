/* SPDX-License-Identifier: Apache-2.0 */
/* delete: not found at once, gone when the last call is over. */
#include "domain/function.h"

#include "base/own.h"
#include "store/rows.h"

struct function_deletion {
	struct store_message message;
	struct function *function; /* borrowed: it goes when this is done */
	char org[64], name[64];
	function_done_fn *done;
	void *arg; /* borrowed */
};

static int
delete_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct function_deletion *deletion = list_owner(message, struct function_deletion, message);
	int rc;

	thread_on_store();
	rc = row_function_delete(db, deletion->org, deletion->name, err);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* The store kept it: it is there again, unless its name or route is another's by now. */
static void
delete_undo(struct function *function) ON_LOOP
{
	struct org *org = function->org;

	if (org->is_deleting || function_find(org, str_of(function->name)) ||
		map_find(&org->routes, str_of(function->route))) {
		function_leave(function);
		return;
	}
	function->is_deleting = false;
	map_put(&org->functions, str_of(function->name), function);
	map_put(&org->routes, str_of(function->route), function);
	function_changed(function, false);
}

static void
delete_done(struct store_message *message)
{
	OWN(mem)
	struct function_deletion *deletion = list_owner(message, struct function_deletion, message);

	thread_on_loop();
	if (message->code < 0)
		delete_undo(deletion->function);
	else
		function_leave(deletion->function);
	deletion->done(
		message->code, NULL, NULL, message->code < 0 ? &message->err : NULL, deletion->arg);
}

void
function_delete(struct function *function, function_done_fn *done, void *arg)
{
	struct function_deletion *deletion = mem_new(sizeof(*deletion));
	struct org *org = function->org;

	must(!function->is_deleting);
	function->is_deleting = true;
	map_remove(&org->functions, str_of(function->name));
	map_remove(&org->routes, str_of(function->route));
	deletion->function = function;
	snprintf(deletion->org, sizeof(deletion->org), "%s", org->name);
	snprintf(deletion->name, sizeof(deletion->name), "%s", function->name);
	deletion->done = done;
	deletion->arg = arg;
	deletion->message.work = delete_work;
	deletion->message.done = delete_done;
	store_ask(org->domain->store, &deletion->message);
	function_changed(function, false);
}
