/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/domain_load.h"

#include <inttypes.h>

#include "base/log.h"
#include "domain/function.h"
#include "domain/pool.h"
#include "domain/schedule_inside.h"
#include "domain/token.h"
#include "domain/trigger_inside.h"
#include "store/rows.h"

static bool
load_org(const struct row_org *row, void *arg)
{
	org_add(arg, row->name, row->created_ms);
	return true;
}

static bool
load_token(const struct row_token *row, void *arg)
{
	token_add(arg, row);
	return true;
}

/* `wanted` is the version that served, until domain_resume() lets it serve. */
static bool
load_function(const struct row_function *row, void *arg)
{
	struct org *org = org_find(arg, str_of(row->org));
	struct function *function = function_add(org, row->name, row->route);

	function->is_stored = true;
	function->wanted = row->active_version;
	function->newest = row->active_version;
	function->last_version = row->last_version;
	function->created_ms = row->created_ms;
	function->updated_ms = row->updated_ms;
	return true;
}

static enum version_state
load_state(const char *word)
{
	if (strcmp(word, version_state_word(VERSION_READY)) == 0)
		return VERSION_READY;
	return strcmp(word, version_state_word(VERSION_FAILED)) == 0 ? VERSION_FAILED
								     : VERSION_INITIALIZING;
}

/* A configuration that cannot be read any more becomes the usual one: the function is not lost. */
static void
load_config(const struct domain *domain, const struct row_version *row, struct version *version)
{
	struct err err = {0};

	version_config_default(domain, &version->config);
	if (version_config_restore(domain, row->config, &version->config, &err) < 0)
		log_error("version.config_unread",
			"org=%s function=%s version=%" PRIu32 " reason=%s", row->org, row->function,
			row->number, log_q(err.text));
}

static void
load_text(char **text, const char *from)
{
	free(*text);
	*text = str_dup(str_of(from));
}

static bool
load_version(const struct row_version *row, void *arg)
{
	struct org *org = org_find(arg, str_of(row->org));
	struct function *function = function_find(org, str_of(row->function));
	struct version *version = version_new(function, row->number);

	version->state = load_state(row->state);
	version->language = language_find(row->runtime);
	memcpy(version->runtime, row->runtime, sizeof(version->runtime));
	memcpy(version->handler, row->handler, sizeof(version->handler));
	memcpy(version->source, row->source, sizeof(version->source));
	memcpy(version->filename, row->filename, sizeof(version->filename));
	memcpy(version->tree, row->tree, sizeof(version->tree));
	memcpy(version->deps, row->deps, sizeof(version->deps));
	load_text(&version->reason, row->reason);
	load_text(&version->build_log, row->build_log);
	version->created_ms = row->created_ms;
	version->ready_ms = row->ready_ms;
	load_config(arg, row, version);
	version_choose_mechanism(version);
	/* A ready version above the one that serves is one that was rolled back from. */
	if (version->state == VERSION_READY && version->number > function->newest)
		function->newest = version->number;
	return true;
}

static bool
load_trigger(const struct row_trigger *row, void *arg)
{
	trigger_add(arg, row);
	return true;
}

static bool
load_schedule(const struct row_schedule *row, void *arg)
{
	schedule_add(arg, row);
	return true;
}

static int
load_work(struct store_db *db, void *arg, struct err *err)
{
	int rc;

	thread_on_store();
	rc = row_org_list(db, load_org, arg, err);
	if (rc >= 0)
		rc = row_token_list(db, load_token, arg, err);
	if (rc >= 0)
		rc = row_function_list(db, load_function, arg, err);
	if (rc >= 0)
		rc = row_version_list(db, load_version, arg, err);
	if (rc >= 0)
		rc = row_trigger_list(db, load_trigger, arg, err);
	if (rc >= 0)
		rc = row_schedule_list(db, load_schedule, arg, err);
	return rc;
}

int
domain_load(struct domain *domain, struct err *err)
{
	int rc = store_ask_and_wait(domain->store, load_work, domain, err);

	return rc < 0 ? err_wrap(err, rc, "reading the registry") : 0;
}
