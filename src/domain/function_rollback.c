/* SPDX-License-Identifier: Apache-2.0 */
/* rollback: a version that is ready serves again. */
#include "domain/function.h"

#include <inttypes.h>

#include "domain/build.h"
#include "domain/function_change.h"
#include "domain/shelf.h"

static struct version *
ready_before(const struct function *function, uint32_t number)
{
	struct version *found = NULL;
	struct version *version;

	list_each (&function->versions, version, link)
		if (version->number < number && version->state == VERSION_READY)
			found = version;
	return found;
}

static int
choose_version(
	const struct function *function, uint32_t number, struct version **ret, struct err *err)
{
	uint32_t active = function->active ? function->active->number : 0;

	*ret = number ? function_version(function, number) : ready_before(function, active);
	if (!*ret && number)
		return err_field(err, ERR_NOT_FOUND, "version", "%s has no version %" PRIu32,
			function->name, number);
	if (!*ret)
		return err_field(err, ERR_NOT_FOUND, "version",
			"%s has no ready version before %" PRIu32, function->name, active);
	if ((*ret)->state != VERSION_READY)
		return err_field(err, ERR_CONFLICT, "version",
			"version %" PRIu32 " of %s is %s and cannot serve", number, function->name,
			version_state_word((*ret)->state));
	return 0;
}

/* A later decision stands: what is undone is only this one. */
static void
rollback_stored(struct function_change *change) ON_LOOP
{
	struct function *function = change->function;
	int code = change->message.code;

	if (code < 0 && function->active == change->version && change->before &&
		!change->before->is_dropped && !function->is_deleting) {
		function_switch(function, change->before);
		function_changed(function, false);
	}
	if (code < 0)
		change->done(code, NULL, NULL, &change->message.err, change->arg);
	else
		change->done(0, function, change->version, NULL, change->arg);
	if (change->before)
		version_release(change->before);
}

/* What is not on disk any more is brought back, and serves then. */
static void
rollback_switch(struct function *function, struct version *version) ON_LOOP
{
	struct domain *domain = function->org->domain;

	function->newest = function->last_version;
	if (shelf_has(domain, version->tree) && shelf_has(domain, version->deps)) {
		function->wanted = 0;
		function_switch(function, version);
		return;
	}
	function->wanted = version->number;
	version->state = VERSION_INITIALIZING;
	build_start(version);
}

void
function_rollback(struct function *function, uint32_t number, function_done_fn *done, void *arg)
{
	struct version *before = function->active;
	struct function_change *change;
	struct version *version;
	struct err err = {0};
	int rc = choose_version(function, number, &version, &err);

	if (rc < 0) {
		done(rc, NULL, NULL, &err, arg);
		return;
	}
	rollback_switch(function, version);
	change = function_change_new(function, version, 0);
	change->before = before;
	if (before)
		version_hold(before);
	change->stored = rollback_stored;
	change->done = done;
	change->arg = arg;
	function_change_ask(change);
	function_changed(function, false);
}
