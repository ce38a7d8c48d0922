/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/own.h"
#include "base/path.h"
#include "daemon/connections.h"
#include "daemon/doctor_report.h"
#include "daemon/listeners.h"
#include "daemon/lock.h"
#include "daemon/notify.h"
#include "daemon/privileges.h"
#include "daemon/queues.h"
#include "daemon/rabbitmq.h"
#include "daemon/vcd_front.h"
#include "daemon/vcd_link.h"
#include "domain/org.h"
#include "domain/schedule.h"
#include "domain/token.h"
#include "runtime/language.h"

#define DAEMON_FIRST_ORG "default"
#define DAEMON_LOST_MS   2000 /* for answering when the spawner is gone */

enum daemon_state { DAEMON_STARTING, DAEMON_READY, DAEMON_DRAINING, DAEMON_STOPPING };

struct daemon {
	const struct config *config; /* borrowed */
	enum daemon_state state;
	int exit_code;
	/* made as root */
	int lock; /* owned */
	struct privileges privileges;
	struct doctor_report report;
	struct root *roots; /* owned */
	size_t n_roots;
	struct listeners listeners;
	struct spawner *spawner; /* owned */
	struct rabbitmq rabbitmq;
	struct vcd_link vcd_link;
	/* made afterwards */
	struct loop *loop;          /* owned */
	struct store *store;        /* owned */
	struct egress_host *egress; /* owned */
	struct domain domain;
	struct queues queues;
	bool is_domain_open, is_new; /* is_new: this data folder had no token yet */
	struct vcd_front front;
	struct connections connections;
	struct api *api;            /* owned */
	struct http_server *server; /* owned */
	struct loop_watch *watch;   /* owned: of the spawner's socket */
	uv_signal_t signals[3];
	struct loop_timer drain;
	struct loop_message first_turn;
	uint64_t stop_us; /* when stopping began */
};

/* ---- as root ---- */

/* Each connection, sandbox and listener is a descriptor. */
static void
daemon_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* When memory runs out, sandboxes go first (sandbox/enclose.c says so of them); the spawner
 * inherits this. Without the right to it, it stays as it is. */
static void
daemon_go_last(void)
{
	OWN(fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-900", 4) != 4)
		log_debug("daemon.oom_score", "reason=%s", log_q(strerror(errno)));
}

static int
daemon_examine(struct daemon *daemon, struct err *err)
{
	const struct doctor_finding *missing;

	doctor_report_make(&daemon->report);
	doctor_report_log(&daemon->report);
	missing = doctor_report_missing(&daemon->report);
	if (!missing)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "%s is needed: %s", missing->name, missing->why);
}

static int
daemon_make_roots(struct daemon *daemon, struct err *err)
{
	const struct config *config = daemon->config;
	const struct root_plan *plans;
	int rc = language_scan(config->runtime_folders, err);

	if (rc < 0)
		return err_wrap(err, rc, "looking for runtimes");
	doctor_report_add_mechanisms(&daemon->report);
	plans = language_roots(&daemon->n_roots);
	daemon->roots = mem_new((daemon->n_roots + 1) * sizeof(*daemon->roots));
	rc = root_prepare(config->data_dir, plans, daemon->n_roots, daemon->roots, err);
	return rc < 0 ? err_wrap(err, rc, "making the runtimes' root file systems") : 0;
}

static int
daemon_start_spawner(struct daemon *daemon, struct err *err)
{
	const struct spawner_config config = {
		.data_dir = daemon->config->data_dir,
		.roots = daemon->roots,
		.n_roots = daemon->n_roots,
		.cgroup_parent = daemon->config->cgroup_parent,
		.n_sandboxes = daemon->config->max_sandboxes,
		.uid_base = daemon->config->uid_base,
	};

	return spawner_start(&config, &daemon->spawner, err);
}

static int
daemon_begin(struct daemon *daemon, struct err *err)
{
	const struct config *config = daemon->config;
	int rc = privileges_find(config->user, &daemon->privileges, err);

	if (rc == 0)
		rc = privileges_make_folder(&daemon->privileges, config->data_dir, err);
	if (rc == 0)
		rc = lock_take(config->data_dir, &daemon->lock, err);
	if (rc == 0)
		rc = daemon_examine(daemon, err);
	if (rc == 0)
		rc = daemon_make_roots(daemon, err);
	if (rc == 0)
		rc = listeners_bind(config, &daemon->listeners, err);
	if (rc == 0)
		rc = daemon_start_spawner(daemon, err);
	if (rc == 0)
		rc = rabbitmq_start(&daemon->rabbitmq, config, &daemon->privileges, err);
	if (rc == 0)
		rc = vcd_link_start(&daemon->vcd_link, config, &daemon->privileges, err);
	if (rc == 0)
		rc = vcd_front_start(&daemon->front, config, err);
	if (rc == 0)
		rc = privileges_drop(&daemon->privileges, err);
	return rc;
}

/* ---- the end ---- */

static unsigned
daemon_grace_left_ms(const struct daemon *daemon)
{
	unsigned grace_ms = daemon->exit_code ? DAEMON_LOST_MS : daemon->config->grace_ms;
	uint64_t used_ms = (clock_mono_us() - daemon->stop_us) / 1000;

	return used_ms < grace_ms ? grace_ms - (unsigned)used_ms : 0;
}

static void
daemon_on_domain_stopped(void *arg)
{
	struct daemon *daemon = arg;

	thread_on_loop();
	loop_stop(daemon->loop);
}

static void
daemon_on_server_stopped(void *arg)
{
	struct daemon *daemon = arg;

	thread_on_loop();
	domain_stop(
		&daemon->domain, daemon_grace_left_ms(daemon), daemon_on_domain_stopped, daemon);
}

static void
daemon_close(struct daemon *daemon) ON_LOOP
{
	if (daemon->state == DAEMON_STOPPING)
		return;
	daemon->state = DAEMON_STOPPING;
	daemon->stop_us = clock_mono_us();
	vcd_front_stop(&daemon->front);
	schedule_clock_stop(daemon->domain.schedules);
	delivery_host_stop(daemon->queues.deliveries);
	loop_timer_stop(&daemon->drain);
	api_stop(daemon->api);
	http_server_stop(
		daemon->server, daemon_grace_left_ms(daemon), daemon_on_server_stopped, daemon);
}

static void
daemon_on_drained(struct loop_timer *timer)
{
	thread_on_loop();
	daemon_close(list_owner(timer, struct daemon, drain));
}

static void
daemon_stop(struct daemon *daemon, const char *why) ON_LOOP
{
	log_info("daemon.stopping", "why=%s grace_ms=%u calls=%zu", why, daemon->config->grace_ms,
		daemon->domain.calls.len);
	notify_manager("STOPPING=1");
	daemon->state = DAEMON_DRAINING;
	api_set_ready(daemon->api, "stopping");
	if (daemon->config->drain_ms)
		loop_timer_start(
			daemon->loop, &daemon->drain, daemon->config->drain_ms, daemon_on_drained);
	else
		daemon_close(daemon);
}

static void
daemon_on_signal(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;
	struct err err = {0};

	thread_on_loop();
	if (number == SIGHUP) {
		if (!daemon->listeners.tls)
			log_info("tls.not_used", "signal=SIGHUP");
		else if (tls_context_reload(daemon->listeners.tls, &err) < 0)
			log_error("tls.reload_failed", "reason=%s", log_q(err.text));
		else
			log_info("tls.reloaded", "certificate=%s",
				log_q(daemon->config->tls_certificate));
		return;
	}
	if (daemon->state <= DAEMON_READY) {
		daemon_stop(daemon, number == SIGTERM ? "SIGTERM" : "SIGINT");
		return;
	}
	log_warn("daemon.cut", "calls=%zu", daemon->domain.calls.len);
	_exit(1);
}

/* Its end closed every sandbox with it: what runs fails, and the service manager starts anew. */
static void
daemon_on_spawner_lost(void *arg)
{
	struct daemon *daemon = arg;

	thread_on_loop();
	log_error("daemon.spawner_lost", "calls=%zu", daemon->domain.calls.len);
	loop_watch_want(daemon->watch, 0);
	daemon->exit_code = 1;
	api_set_ready(daemon->api, "the spawner is lost");
	daemon_close(daemon);
}

/* ---- afterwards ---- */

struct daemon_batch {
	struct loop_message message;
	struct list done; /* of struct store_message */
};

static void
daemon_on_batch(struct loop_message *message)
{
	struct daemon_batch *batch = list_owner(message, struct daemon_batch, message);

	while (!list_is_empty(&batch->done)) {
		struct store_message *one = list_first(&batch->done, struct store_message, link);

		list_remove(&one->link);
		one->done(one);
	}
	free(batch);
}

/* The store's thread hands back what it committed. */
static void
daemon_post(struct list *messages, void *arg)
{
	struct daemon *daemon = arg;
	struct daemon_batch *batch = mem_new(sizeof(*batch));

	batch->message.run = daemon_on_batch;
	list_init(&batch->done);
	while (!list_is_empty(messages)) {
		struct store_message *one = list_first(messages, struct store_message, link);

		list_remove(&one->link);
		list_push_back(&batch->done, &one->link);
	}
	loop_post(daemon->loop, &batch->message);
}

static void
daemon_on_spawner(struct loop_watch *watch, int uv_events, void *arg)
{
	struct daemon *daemon = arg;

	thread_on_loop();
	spawner_on_readable(daemon->spawner);
}

static void
daemon_send_task(struct domain *domain, const char *org, const char *url, struct str body,
	void (*done)(int status, const struct err *err, void *arg), void *arg)
{
	struct daemon *daemon = list_owner(domain, struct daemon, domain);

	thread_on_loop();
	vcd_task_send(&daemon->front.tasks, org, url, body, done, arg);
}

static int
daemon_open_domain(struct daemon *daemon, struct err *err) ON_LOOP
{
	const struct store_config config = {
		.data_dir = daemon->config->data_dir, .post = daemon_post, .arg = daemon};
	static const struct queues_tasks tasks = {vcd_task_post, daemon_send_task}, no_tasks;
	struct egress_settings egress;
	int rc = store_open(&config, &daemon->store, err);

	if (rc < 0)
		return err_wrap(err, rc, "opening the store");
	config_egress(daemon->config, &egress);
	rc = egress_host_new(daemon->loop, &egress, &daemon->egress, err);
	if (rc < 0)
		return err_wrap(err, rc, "egress_private");
	config_domain(daemon->config, &daemon->domain.config);
	daemon->domain.loop = daemon->loop;
	daemon->domain.store = daemon->store;
	daemon->domain.spawner = daemon->spawner;
	daemon->domain.roots = daemon->roots;
	daemon->domain.n_roots = daemon->n_roots;
	daemon->domain.egress = daemon->egress;
	daemon->is_domain_open = true;
	rc = domain_open(&daemon->domain, err);
	if (rc < 0)
		return err_wrap(err, rc, "loading the registry");
	rc = rabbitmq_open(&daemon->rabbitmq, daemon->config, daemon->loop, err);
	if (rc < 0)
		return err_wrap(err, rc, "opening the connection to RabbitMQ");
	rc = queues_open(&daemon->queues, daemon->config, &daemon->domain, daemon->rabbitmq.amqp,
		daemon->config->vcd_url[0] ? &tasks : &no_tasks, err);
	if (rc < 0)
		return err_wrap(err, rc, "opening the queues");
	rc = vcd_link_open(&daemon->vcd_link, daemon->config, daemon->loop, err);
	if (rc == 0)
		rc = vcd_front_open_session(
			&daemon->front, daemon->config, daemon->loop, daemon->queues.fetch, err);
	if (rc == 0)
		rc = vcd_front_open(&daemon->front, daemon->config, &daemon->domain,
			daemon->rabbitmq.amqp, daemon->vcd_link.mqtt, err);
	if (rc < 0)
		return err_wrap(err, rc, "opening vCloud Director's front door");
	return token_bootstrap(&daemon->domain, &daemon->is_new, err);
}

static int
daemon_open_http(struct daemon *daemon, struct err *err) ON_LOOP
{
	const struct api_config config = {
		.domain = &daemon->domain,
		.findings = daemon->report.findings,
		.n_findings = daemon->report.n,
		.is_metrics_open = strcmp(daemon->config->metrics, "open") == 0,
		.max_followers = daemon->config->followers,
		.max_followers_org = daemon->config->followers_org,
		.max_waits = daemon->config->waits,
		.max_waits_org = daemon->config->waits_org,
		.look = connections_look,
		.write_metrics = connections_write_metrics,
		.arg = &daemon->connections,
	};
	struct http_limits limits;
	int rc;

	daemon->connections = (struct connections){.amqp = daemon->rabbitmq.amqp,
		.mqtt = daemon->vcd_link.mqtt,
		.front = &daemon->front};
	rc = api_new(&config, &daemon->api, err);

	if (rc < 0)
		return rc;
	config_http(daemon->config, &limits);
	rc = http_server_new(daemon->loop, &limits, api_handler(daemon->api), &daemon->server, err);
	if (rc < 0)
		return rc;
	api_set_server(daemon->api, daemon->server);
	return listeners_listen(&daemon->listeners, daemon->server, err);
}

static int
daemon_watch(struct daemon *daemon, struct err *err) ON_LOOP
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		must(uv_signal_init(loop_uv(daemon->loop), &daemon->signals[i]) == 0);
		daemon->signals[i].data = daemon;
		must(uv_signal_start(&daemon->signals[i], daemon_on_signal, numbers[i]) == 0);
	}
	spawner_on_lost(daemon->spawner, daemon_on_spawner_lost, daemon);
	int rc = loop_watch_new(daemon->loop, spawner_fd(daemon->spawner), daemon_on_spawner,
		daemon, &daemon->watch, err);

	if (rc == 0)
		loop_watch_want(daemon->watch, UV_READABLE);
	return rc;
}

/* ---- ready ---- */

static void
daemon_say_ready(struct daemon *daemon) ON_LOOP
{
	const struct listeners *listeners = &daemon->listeners;
	OWN(mem)
	char *line = mem_printf("READY=1 listen=%s%s%s\n", listeners->clear_names,
		listeners->tls ? " tls_listen=" : "", listeners->tls_names);

	if (daemon->state != DAEMON_STARTING)
		return;
	daemon->state = DAEMON_READY;
	api_set_ready(daemon->api, NULL);
	log_info("daemon.ready", "listen=%s tls_listen=%s data_dir=%s version=" MAYFLY_VERSION,
		listeners->clear_names[0] ? listeners->clear_names : "-",
		listeners->tls ? listeners->tls_names : "-", log_q(daemon->config->data_dir));
	notify_manager("READY=1\nSTATUS=answering");
	notify_ready_fd(daemon->config->ready_fd, line);
}

static void
daemon_on_first_org(int code, const struct err *err, void *arg)
{
	thread_on_loop();
	if (code < 0 && code != ERR_CONFLICT)
		log_error("org.create_failed", "org=" DAEMON_FIRST_ORG " reason=%s",
			log_q(err->text));
	daemon_say_ready(arg);
}

/* A new data folder gets an org, so that the first function can be deployed right away. */
static void
daemon_on_first_turn(struct loop_message *message)
{
	struct daemon *daemon = list_owner(message, struct daemon, first_turn);

	thread_on_loop();
	domain_resume(&daemon->domain);
	delivery_host_start(daemon->queues.deliveries);
	schedule_clock_start(daemon->domain.schedules);
	if (daemon->is_new)
		org_create(&daemon->domain, STR(DAEMON_FIRST_ORG), daemon_on_first_org, daemon);
	else
		daemon_say_ready(daemon);
}

static int
daemon_open(struct daemon *daemon, struct err *err)
{
	int rc = loop_new(&daemon->loop, err);

	thread_on_loop();
	if (rc == 0)
		rc = daemon_open_domain(daemon, err);
	if (rc == 0)
		rc = daemon_open_http(daemon, err);
	if (rc == 0)
		rc = daemon_watch(daemon, err);
	return rc;
}

/* What the store hands back while it closes is still owed to whoever asked, and what the spawner
 * tells of its last sandboxes too: the domain goes behind both. */
static void
daemon_done(struct daemon *daemon)
{
	thread_on_loop();
	http_server_free(daemon->server);
	vcd_front_close(&daemon->front);
	queues_close(&daemon->queues);
	rabbitmq_close(&daemon->rabbitmq);
	vcd_link_close(&daemon->vcd_link);
	if (daemon->store) {
		store_close(daemon->store);
		loop_stop(daemon->loop);
		loop_run(daemon->loop);
	}
	queues_free(&daemon->queues);
	vcd_front_free(&daemon->front);
	api_free(daemon->api);
	if (daemon->watch)
		loop_watch_free(daemon->watch);
	if (daemon->spawner)
		spawner_free(daemon->spawner);
	if (daemon->is_domain_open)
		domain_free(&daemon->domain);
	egress_host_free(daemon->egress);
	loop_free(daemon->loop);
	listeners_done(&daemon->listeners);
	free(daemon->roots);
	own_fd(&daemon->lock);
}

int
daemon_main(const struct config *config)
{
	struct daemon *daemon = mem_new(sizeof(*daemon));
	struct err err = {0};
	int rc;

	daemon->config = config;
	daemon->lock = -1;
	signal(SIGPIPE, SIG_IGN);
	daemon_raise_files();
	daemon_go_last();
	rc = daemon_begin(daemon, &err);
	if (rc == 0)
		rc = daemon_open(daemon, &err);
	if (rc == 0) {
		daemon->first_turn.run = daemon_on_first_turn;
		loop_post(daemon->loop, &daemon->first_turn);
		loop_run(daemon->loop);
		log_info("daemon.stopped", "code=%d", daemon->exit_code);
	} else {
		log_error("daemon.failed", "code=%s reason=%s", err_word(rc), log_q(err.text));
		daemon->exit_code = err_exit_code(rc);
	}
	rc = daemon->exit_code;
	daemon_done(daemon);
	free(daemon);
	return rc;
}
