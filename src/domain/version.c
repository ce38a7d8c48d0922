/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/version.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/build.h"
#include "domain/function.h"
#include "domain/pool.h"
#include "domain/shelf.h"
#include "store/rows.h"

static const char *const state_words[] = {
	[VERSION_INITIALIZING] = "initializing",
	[VERSION_READY] = "ready",
	[VERSION_FAILED] = "failed",
};

const char *
version_state_word(enum version_state state)
{
	return state_words[state];
}

/* ---- mechanism ---- */

enum {
	VERSION_UNABLE_MS = 60000,
	VERSION_UNABLE_MAX = 3,    /* failures by chance in that time */
	VERSION_RETRY_MS = 300000, /* a machine that was too busy has recovered */
};

static uint64_t
version_now_ms(void)
{
	return clock_mono_us() / 1000;
}

void
version_choose_mechanism(struct version *version)
{
	enum mechanism wish = version->config.mechanism;
	enum mechanism best = wish == MECHANISM_AUTO ? MECHANISM_ROLLBACK : wish;

	version->mechanism = MECHANISM_NONE;
	version->mechanism_reason[0] = '\0';
	version->n_unable = 0;
	version->retry_ms = 0;
	if (version->config.isolation == VERSION_ISOLATION_INSTANCE || !version->language)
		return;
	version->mechanism = mechanism_choose(version->language, wish);
	if (version->mechanism != best)
		snprintf(version->mechanism_reason, sizeof(version->mechanism_reason), "%s: %.150s",
			mechanism_word(best), mechanism_obstacle(version->language, best));
}

enum mechanism
version_mechanism(struct version *version)
{
	if (version->retry_ms != 0 && version_now_ms() >= version->retry_ms)
		version_choose_mechanism(version);
	return version->mechanism;
}

/* What a program is, and not what it happened to do when it was looked at. */
static bool
version_is_by_nature(enum renewal_cause cause)
{
	return cause == RENEWAL_CAUSE_NONE || cause == (enum renewal_cause)KEEPER_CAUSE_SHARED ||
	       cause == (enum renewal_cause)KEEPER_CAUSE_LAYOUT ||
	       cause == (enum renewal_cause)KEEPER_CAUSE_THREADS;
}

/* Whether it is to be tried again at once. */
static bool
version_tries_again(struct version *version)
{
	uint64_t now_ms = version_now_ms();

	if (now_ms - version->unable_ms > VERSION_UNABLE_MS) {
		version->unable_ms = now_ms;
		version->n_unable = 0;
	}
	if (++version->n_unable < VERSION_UNABLE_MAX)
		return true;
	version->retry_ms = now_ms + VERSION_RETRY_MS;
	return false;
}

void
version_mechanism_failed(
	struct version *version, enum mechanism tried, enum renewal_cause cause, const char *why)
{
	if (version->mechanism != tried ||
		(!version_is_by_nature(cause) && version_tries_again(version)))
		return;
	version->mechanism = mechanism_after(version->language, tried);
	version->n_unable = 0;
	snprintf(version->mechanism_reason, sizeof(version->mechanism_reason), "%s: %.170s",
		mechanism_word(tried), why);
	log_info("version.mechanism", "org=%s function=%s version=%u mechanism=%s reason=%s",
		version->function->org->name, version->function->name, version->number,
		mechanism_word(version->mechanism), log_q(version->mechanism_reason));
}

/* ---- life ---- */

struct version *
version_new(struct function *function, uint32_t number)
{
	struct version *version = mem_new(sizeof(*version));

	version->function = function;
	version->number = number;
	version->reason = str_dup(STR(""));
	version->build_log = str_dup(STR(""));
	list_push_back(&function->versions, &version->link);
	return version;
}

void
version_row(const struct version *version, struct row_version *ret, char **ret_config)
{
	OWN(json) json_t *config = version_config_json(&version->config, true);
	struct buf text = BUF_INIT;

	*ret = (struct row_version){
		.number = version->number,
		.reason = version->reason,
		.build_log = version->build_log,
		.created_ms = version->created_ms,
		.ready_ms = version->ready_ms,
	};
	snprintf(ret->org, sizeof(ret->org), "%s", version->function->org->name);
	snprintf(ret->function, sizeof(ret->function), "%s", version->function->name);
	snprintf(ret->state, sizeof(ret->state), "%s", version_state_word(version->state));
	memcpy(ret->runtime, version->runtime, sizeof(ret->runtime));
	memcpy(ret->handler, version->handler, sizeof(ret->handler));
	memcpy(ret->source, version->source, sizeof(ret->source));
	memcpy(ret->filename, version->filename, sizeof(ret->filename));
	memcpy(ret->tree, version->tree, sizeof(ret->tree));
	memcpy(ret->deps, version->deps, sizeof(ret->deps));
	json_write(config, &text);
	*ret_config = buf_take(&text, NULL);
	ret->config = *ret_config;
}

void
version_free(struct version *version)
{
	list_remove(&version->link);
	version_config_done(&version->config);
	free(version->reason);
	free(version->build_log);
	free(version);
}

/* Nobody holds it: its instances end, and what only it used is taken from the disk. */
static void
version_go(struct version *version) ON_LOOP
{
	struct function *function = version->function;

	pool_free(version->pool);
	shelf_release(function->org->domain, version->tree);
	shelf_release(function->org->domain, version->deps);
	version_free(version);
	function_settle(function);
}

void
version_hold(struct version *version)
{
	version->n_users++;
}

void
version_release(struct version *version)
{
	must(version->n_users);
	if (--version->n_users == 0 && version->is_dropped)
		version_go(version);
}

void
version_drop(struct version *version)
{
	must(!version->is_dropped);
	version->is_dropped = true;
	list_remove(&version->link);
	list_push_back(&version->function->dropped, &version->link);
	version_hold(version);
	if (version->build)
		build_cancel(version);
	if (version->pool)
		pool_retire(version->pool);
	version_release(version);
}
