/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/build.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/build_install.h"
#include "domain/build_lane.h"
#include "domain/build_plan.h"
#include "domain/build_reason.h"
#include "domain/function.h"
#include "domain/job.h"
#include "domain/pool.h"
#include "domain/shelf.h"
#include "store/blob.h"
#include "store/rows.h"

#define SHORT_STEPS_AT_ONCE 4
#define DEPS_ENTRIES        200000

enum build_state {
	BUILD_WAITING,
	BUILD_UNPACKING,
	BUILD_FINDING,
	BUILD_JOINED,
	BUILD_QUEUED,
	BUILD_INSTALLING,
	BUILD_STORING,
	BUILD_PLACING,
	BUILD_PROBING,
	BUILD_DONE,
};

struct build {
	struct list link;          /* in queue.builds until it is DONE */
	struct build_queue *queue; /* borrowed */
	struct version *version;   /* held until it is DONE */
	enum build_state state;
	struct build_turn turn;
	struct shelf_wait wait;
	struct build_plan plan;
	struct job *job; /* borrowed, while INSTALLING */
	int output;      /* owned: the packed dependencies, -1 */
	unsigned n_refs; /* its life in the queue, its messages, its job */
	uint64_t started_us;
};

struct build_queue {
	struct domain *domain;    /* borrowed */
	struct build_lane quick;  /* unpacking, the cache, the first instance */
	struct build_lane slow;   /* installing */
	struct list builds;       /* of struct build */
	struct build_stats stats; /* its sums */
};

/* What is asked of the store. */
struct build_question {
	struct store_message message;
	struct build *build; /* referenced */
	char key[ID_SHA256_SIZE], org[64], deps[ID_SHA256_SIZE];
	int output;         /* borrowed from the build */
	uint64_t size_most; /* bytes */
};

static void build_step_unpack(struct build_turn *turn);
static void build_step_find(struct build *build) ON_LOOP;
static void build_step_install(struct build_turn *turn);
static void build_step_place(struct build *build) ON_LOOP;
static void build_step_probe(struct build *build) ON_LOOP;

static struct domain *
build_domain(const struct build *build)
{
	return build->queue->domain;
}

static const char *
build_org(const struct build *build)
{
	return build->version->function->org->name;
}

/* What has been ready before is only brought back to the disk. */
static bool
build_is_return(const struct build *build)
{
	return build->version->ready_ms != 0;
}

/* ---- end ---- */

static void
build_unref(struct build *build)
{
	if (--build->n_refs)
		return;
	own_fd(&build->output);
	free(build);
}

/* Those that waited for the same dependencies look into the cache again. */
static void
build_wake_joined(struct build_queue *queue, const char *key) ON_LOOP
{
	struct build *build;

	list_each (&queue->builds, build, link)
		if (build->state == BUILD_JOINED && strcmp(build->plan.key, key) == 0)
			build_step_find(build);
}

/* Gives back all that it holds, from any state; what is still under way finds it DONE. */
static void
build_done(struct build *build) ON_LOOP
{
	enum build_state state = build->state;
	struct version *version = build->version;
	struct domain *domain = build_domain(build);

	build->state = BUILD_DONE;
	if (state == BUILD_UNPACKING)
		shelf_leave(domain, version->tree, &build->wait);
	else if (state == BUILD_PLACING)
		shelf_leave(domain, version->deps, &build->wait);
	if (build->job)
		job_stop(build->job);
	version->build = NULL;
	list_remove(&build->link);
	build_lane_leave(&build->turn);
	if (state == BUILD_QUEUED || state == BUILD_INSTALLING || state == BUILD_STORING)
		build_wake_joined(build->queue, build->plan.key);
	build_unref(build);
	version_release(version);
}

static void
build_set_text(char **text, char *taken)
{
	free(*text);
	*text = taken;
}

static void
build_settle(struct build *build, enum version_state state) ON_LOOP
{
	struct version *version = build->version;
	uint64_t ms = (clock_mono_us() - build->started_us) / 1000;

	version->state = state;
	if (state == VERSION_READY && !version->ready_ms)
		version->ready_ms = clock_unix_ms();
	if (state == VERSION_READY) {
		build->queue->stats.n_ready++;
		log_info("version.ready", "org=%s function=%s version=%" PRIu32 " ms=%" PRIu64,
			build_org(build), version->function->name, version->number, ms);
	} else {
		build->queue->stats.n_failed++;
		log_info("version.failed",
			"org=%s function=%s version=%" PRIu32 " ms=%" PRIu64 " reason=%s",
			build_org(build), version->function->name, version->number, ms,
			log_q(version->reason));
	}
	version_hold(version);
	build_done(build);
	function_settled(version);
	version_release(version);
}

/* Takes the reason. */
static void
build_fail(struct build *build, char *reason) ON_LOOP
{
	build_set_text(&build->version->reason, reason);
	build_settle(build, VERSION_FAILED);
}

/* What the platform failed in, and what was ready before, stays in the store as it is. */
static void
build_fail_err(struct build *build, const struct err *err) ON_LOOP
{
	build->version->is_retried =
		build_is_return(build) || err_blame(err->code) == ERR_BLAME_PLATFORM;
	build_fail(build, build_reason_text(str_of(err->text)));
}

/* ---- start ---- */

void
build_start(struct version *version)
{
	struct domain *domain = version->function->org->domain;
	struct build *build = mem_new(sizeof(*build));

	must(!version->build && version->state == VERSION_INITIALIZING);
	version->is_retried = false;
	build->queue = domain->builds;
	build->version = version;
	build->output = -1;
	build->n_refs = 1;
	build->started_us = clock_mono_us();
	list_init(&build->turn.link);
	list_init(&build->wait.link);
	version->build = build;
	version_hold(version);
	list_push_back(&domain->builds->builds, &build->link);
	build_lane_enter(&domain->builds->quick, build_org(build), &build->turn, build_step_unpack);
}

void
build_cancel(struct version *version)
{
	build_done(version->build);
}

void
build_cancel_all(struct build_queue *queue)
{
	struct build *build;

	while ((build = list_first(&queue->builds, struct build, link)))
		build_done(build);
}

/* ---- the source becomes a tree ---- */

static void
build_step_plan(struct build *build) ON_LOOP
{
	struct version *version = build->version;

	if (build_is_return(build)) {
		if (version->deps[0])
			build_step_place(build);
		else
			build_step_probe(build);
		return;
	}
	build_plan_read(version, shelf_report(build_domain(build), version->tree), &build->plan);
	if (!build->plan.manifest)
		build_step_probe(build);
	else if (!version->language->build)
		build_fail(build,
			mem_printf("%s asks for dependencies, and there is no installer for %s "
				   "on this host",
				build->plan.manifest, version->runtime));
	else
		build_step_find(build);
}

static void
build_on_tree(struct shelf_wait *wait, int code, const struct err *err)
{
	struct build *build = list_owner(wait, struct build, wait);

	thread_on_loop();
	if (code < 0)
		build_fail_err(build, err);
	else
		build_step_plan(build);
}

static void
build_step_unpack(struct build_turn *turn)
{
	struct build *build = list_owner(turn, struct build, turn);
	struct version *version = build->version;
	struct shelf_source source = {
		.blob = version->source,
		.filename = version->filename,
		.is_report_needed = !build_is_return(build) && build_plan_is_report_needed(version),
	};

	thread_on_loop();
	if (!version->language) {
		build_fail(
			build, mem_printf("the runtime %s is not on this host", version->runtime));
		return;
	}
	if (!version->tree[0]) {
		shelf_name(version->source, version->filename, version->tree);
		shelf_hold(build_domain(build), version->tree);
	}
	build->state = BUILD_UNPACKING;
	build->wait.done = build_on_tree;
	if (shelf_need(build_domain(build), version->tree, &source, &build->wait))
		build_step_plan(build);
}

/* ---- the cache ---- */

static void
build_ask(struct build *build,
	int (*work)(struct store_db *db, struct store_message *message, struct err *err),
	void (*done)(struct store_message *message)) ON_LOOP
{
	struct build_question *question = mem_new(sizeof(*question));

	build->n_refs++;
	question->build = build;
	memcpy(question->key, build->plan.key, sizeof(question->key));
	snprintf(question->org, sizeof(question->org), "%s", build_org(build));
	question->output = build->output;
	question->size_most = build_domain(build)->config.build_bytes;
	question->message.work = work;
	question->message.done = done;
	store_ask(build_domain(build)->store, &question->message);
}

/* What is used is young again. */
static int
build_find_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct build_question *question = list_owner(message, struct build_question, message);
	int rc;

	thread_on_store();
	rc = row_build_find(db, question->key, question->deps, err);
	if (rc < 0)
		return rc;
	return row_build_put(
		db, question->key, question->org, question->deps, clock_unix_ms(), err);
}

static void
build_set_deps(struct build *build, const char *deps) ON_LOOP
{
	struct version *version = build->version;

	shelf_hold(build_domain(build), deps);
	shelf_release(build_domain(build), version->deps);
	snprintf(version->deps, sizeof(version->deps), "%s", deps);
}

static bool
build_is_installing(const struct build_queue *queue, const char *key)
{
	struct build *build;

	list_each (&queue->builds, build, link) {
		bool is_at_it = build->state == BUILD_QUEUED || build->state == BUILD_INSTALLING ||
				build->state == BUILD_STORING;

		if (is_at_it && strcmp(build->plan.key, key) == 0)
			return true;
	}
	return false;
}

static void
build_step_queue(struct build *build) ON_LOOP
{
	build_lane_leave(&build->turn);
	if (build_is_installing(build->queue, build->plan.key)) {
		build->state = BUILD_JOINED;
		return;
	}
	build->state = BUILD_QUEUED;
	build_lane_enter(&build->queue->slow, build_org(build), &build->turn, build_step_install);
}

static void
build_on_found(struct store_message *message)
{
	OWN(mem)
	struct build_question *question = list_owner(message, struct build_question, message);
	struct build *build = question->build;

	thread_on_loop();
	if (build->state != BUILD_FINDING) {
		must(build->state == BUILD_DONE);
	} else if (message->code == ERR_NOT_FOUND) {
		build_step_queue(build);
	} else if (message->code < 0) {
		build_fail_err(build, &message->err);
	} else {
		build->queue->stats.n_cached++;
		build_set_deps(build, question->deps);
		build_step_place(build);
	}
	build_unref(build);
}

static void
build_step_find(struct build *build)
{
	build->state = BUILD_FINDING;
	build_ask(build, build_find_work, build_on_found);
}

/* ---- installing ---- */

static int
build_store_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct build_question *question = list_owner(message, struct build_question, message);
	uint64_t size;
	int rc;

	thread_on_store();
	if (lseek(question->output, 0, SEEK_SET) < 0)
		return err_sys(err, "rewinding the dependencies");
	rc = blob_put_fd(db, question->output, question->size_most, question->deps, &size, err);
	if (rc < 0)
		return err_wrap(err, rc, "storing the dependencies");
	return row_build_put(
		db, question->key, question->org, question->deps, clock_unix_ms(), err);
}

static void
build_on_quick_again(struct build_turn *turn)
{
	thread_on_loop();
	build_step_place(list_owner(turn, struct build, turn));
}

static void
build_on_stored(struct store_message *message)
{
	OWN(mem)
	struct build_question *question = list_owner(message, struct build_question, message);
	struct build *build = question->build;

	thread_on_loop();
	if (build->state != BUILD_STORING) {
		must(build->state == BUILD_DONE);
	} else if (message->code < 0) {
		build_fail_err(build, &message->err);
	} else {
		build->queue->stats.n_installed++;
		build_set_deps(build, question->deps);
		build->state = BUILD_WAITING;
		build_lane_leave(&build->turn);
		build_wake_joined(build->queue, build->plan.key);
		build_lane_enter(
			&build->queue->quick, build_org(build), &build->turn, build_on_quick_again);
	}
	build_unref(build);
}

static void
build_on_installed(const struct job_end *end, void *arg)
{
	struct build *build = arg;
	char *reason;

	thread_on_loop();
	build->job = NULL;
	if (build->state == BUILD_INSTALLING && end->failure.code < 0) {
		build_fail_err(build, &end->failure);
	} else if (build->state == BUILD_INSTALLING) {
		build_set_text(&build->version->build_log, build_reason_text(end->printed));
		reason = build_reason(&build_domain(build)->config, build->plan.manifest, end);
		if (reason) {
			build_fail(build, reason);
		} else {
			build->state = BUILD_STORING;
			build_ask(build, build_store_work, build_on_stored);
		}
	}
	build_unref(build);
}

static void
build_step_install(struct build_turn *turn)
{
	struct build *build = list_owner(turn, struct build, turn);
	struct err err = {0};
	int rc;

	thread_on_loop();
	build->state = BUILD_INSTALLING;
	rc = build_install_start(
		build->version, build_on_installed, build, &build->output, &build->job, &err);
	if (rc < 0)
		build_fail_err(build, &err);
	else
		build->n_refs++;
}

/* ---- the dependencies become a tree ---- */

static void
build_on_placed(struct shelf_wait *wait, int code, const struct err *err)
{
	struct build *build = list_owner(wait, struct build, wait);
	struct err why;

	thread_on_loop();
	if (code < 0) {
		why = *err;
		err_wrap(&why, code, "the dependencies");
		build_fail_err(build, &why);
	} else {
		build_step_probe(build);
	}
}

static void
build_step_place(struct build *build)
{
	struct version *version = build->version;
	struct shelf_source source = {
		.blob = version->deps,
		.filename = "",
		.bytes = build_domain(build)->config.build_bytes,
		.entries = DEPS_ENTRIES,
	};

	build->state = BUILD_PLACING;
	build->wait.done = build_on_placed;
	if (shelf_need(build_domain(build), version->deps, &source, &build->wait))
		build_step_probe(build);
}

/* ---- the handler is loaded ---- */

static void
build_add_boot_log(struct version *version, struct str printed)
{
	OWN(mem) char *text = build_reason_text(printed);
	const char *before = version->build_log;

	if (*text)
		build_set_text(&version->build_log,
			mem_printf("%s%s%s", before, *before ? "\n" : "", text));
}

static void
build_on_probed(int code, const struct err *reason, struct str log, void *arg)
{
	struct version *version = arg;
	struct build *build = version->build;

	thread_on_loop();
	if (!build || build->state != BUILD_PROBING)
		return;
	if (code < 0) {
		build_add_boot_log(version, log);
		build_fail_err(build, reason);
	} else {
		build_settle(build, VERSION_READY);
	}
}

static void
build_step_probe(struct build *build)
{
	build->state = BUILD_PROBING;
	if (build_is_return(build))
		build_settle(build, VERSION_READY);
	else
		pool_probe(build->version->pool, build_on_probed, build->version);
}

/* ---- the queue ---- */

struct build_queue *
build_queue_new(struct domain *domain)
{
	struct build_queue *queue = mem_new(sizeof(*queue));

	queue->domain = domain;
	build_lane_init(&queue->quick, SHORT_STEPS_AT_ONCE);
	build_lane_init(&queue->slow, domain->config.n_builds);
	list_init(&queue->builds);
	return queue;
}

void
build_queue_free(struct build_queue *queue)
{
	if (!queue)
		return;
	must(list_is_empty(&queue->builds));
	build_lane_done(&queue->quick);
	build_lane_done(&queue->slow);
	free(queue);
}

void
build_stats(const struct build_queue *queue, struct build_stats *ret)
{
	struct build *build;

	*ret = queue->stats;
	list_each (&queue->builds, build, link)
		ret->n_active++;
	ret->n_installs = queue->slow.n_running;
}
