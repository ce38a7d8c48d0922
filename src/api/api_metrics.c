/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_metrics - figures in the text format of Prometheus (version 0.0.4).
 *
 * The provider's token sees all; an org's token sees the rows of its own functions.
 */
#include "api/api_nouns.h"
#include "base/clock.h"
#include "domain/delivery.h"
#include "domain/pool.h"
#include "domain/record.h"
#include "domain/trigger.h"
#include "store/store.h"

static const char *const api_metrics_bounds[] = {"0.001", "0.002", "0.005", "0.01", "0.025", "0.05",
	"0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"};

struct api_metrics {
	struct buf out;  /* owned */
	const char *org; /* only its rows; "" for all */
};

static void
api_metrics_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
api_metrics_one(
	struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	api_metrics_head(out, name, type, help);
	buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* Microseconds as seconds. */
static void
api_metrics_seconds(struct buf *out, uint64_t us)
{
	buf_printf(out, "%llu.%06llu\n", (unsigned long long)(us / 1000000),
		(unsigned long long)(us % 1000000));
}

/* ---- calls, per function ---- */

static bool
api_metrics_sees(const struct api_metrics *metrics, const char *org)
{
	return !metrics->org[0] || strcmp(metrics->org, org) == 0;
}

static void
api_metrics_labels(struct buf *out, const char *name, const struct record_counter *counter)
{
	buf_printf(out, "%s{org=\"%s\",function=\"%s\"", name, counter->org, counter->function);
}

static void
api_metrics_classes(const struct record_counter *counter, void *arg)
{
	struct api_metrics *metrics = arg;

	if (!api_metrics_sees(metrics, counter->org))
		return;
	for (int hundred = 1; hundred < 6; hundred++) {
		if (!counter->n_by_class[hundred])
			continue;
		api_metrics_labels(&metrics->out, "mayfly_calls_total", counter);
		buf_printf(&metrics->out, ",class=\"%dxx\"} %llu\n", hundred,
			(unsigned long long)counter->n_by_class[hundred]);
	}
}

static uint64_t
api_metrics_n_calls(const struct record_counter *counter)
{
	return counter->wall_buckets[13];
}

static void
api_metrics_histogram(const struct record_counter *counter, void *arg)
{
	struct api_metrics *metrics = arg;
	struct buf *out = &metrics->out;

	if (!api_metrics_sees(metrics, counter->org))
		return;
	for (int i = 0; i < 14; i++) {
		api_metrics_labels(out, "mayfly_call_duration_seconds_bucket", counter);
		buf_printf(out, ",le=\"%s\"} %llu\n", api_metrics_bounds[i],
			(unsigned long long)counter->wall_buckets[i]);
	}
	api_metrics_labels(out, "mayfly_call_duration_seconds_sum", counter);
	buf_add_text(out, "} ");
	api_metrics_seconds(out, counter->wall_us);
	api_metrics_labels(out, "mayfly_call_duration_seconds_count", counter);
	buf_printf(out, "} %llu\n", (unsigned long long)api_metrics_n_calls(counter));
}

static void
api_metrics_cpu(const struct record_counter *counter, void *arg)
{
	struct api_metrics *metrics = arg;

	if (!api_metrics_sees(metrics, counter->org))
		return;
	api_metrics_labels(&metrics->out, "mayfly_call_cpu_seconds_total", counter);
	buf_add_text(&metrics->out, "} ");
	api_metrics_seconds(&metrics->out, counter->cpu_us);
}

static void
api_metrics_number(struct api_metrics *metrics, const char *name,
	const struct record_counter *counter, uint64_t value)
{
	if (!api_metrics_sees(metrics, counter->org))
		return;
	api_metrics_labels(&metrics->out, name, counter);
	buf_printf(&metrics->out, "} %llu\n", (unsigned long long)value);
}

static void
api_metrics_cold(const struct record_counter *counter, void *arg)
{
	api_metrics_number(arg, "mayfly_cold_starts_total", counter, counter->n_cold);
}

static void
api_metrics_bytes_in(const struct record_counter *counter, void *arg)
{
	api_metrics_number(arg, "mayfly_call_bytes_in_total", counter, counter->bytes_in);
}

static void
api_metrics_bytes_out(const struct record_counter *counter, void *arg)
{
	api_metrics_number(arg, "mayfly_call_bytes_out_total", counter, counter->bytes_out);
}

static void
api_metrics_egress(const struct record_counter *counter, void *arg)
{
	struct api_metrics *metrics = arg;
	const struct {
		const char *direction;
		uint64_t bytes;
	} rows[] = {{"in", counter->egress_in}, {"out", counter->egress_out}};

	if (!api_metrics_sees(metrics, counter->org))
		return;
	for (size_t i = 0; i < 2; i++) {
		api_metrics_labels(&metrics->out, "mayfly_egress_bytes_total", counter);
		buf_printf(&metrics->out, ",direction=\"%s\"} %llu\n", rows[i].direction,
			(unsigned long long)rows[i].bytes);
	}
}

static void
api_metrics_calls(struct api_metrics *metrics, const struct record_log *records) ON_LOOP
{
	static const struct {
		const char *name, *type, *help;
		void (*each)(const struct record_counter *counter, void *arg);
	} families[] = {
		{"mayfly_calls_total", "counter", "Finished calls, by class of their status.",
			api_metrics_classes},
		{"mayfly_call_duration_seconds", "histogram", "Wall time of calls.",
			api_metrics_histogram},
		{"mayfly_call_cpu_seconds_total", "counter", "CPU time of calls.", api_metrics_cpu},
		{"mayfly_cold_starts_total", "counter",
			"Calls that waited for an instance to start.", api_metrics_cold},
		{"mayfly_call_bytes_in_total", "counter", "Bytes of request bodies.",
			api_metrics_bytes_in},
		{"mayfly_call_bytes_out_total", "counter", "Bytes of answers.",
			api_metrics_bytes_out},
		{"mayfly_egress_bytes_total", "counter", "Bytes over the network of functions.",
			api_metrics_egress},
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		api_metrics_head(
			&metrics->out, families[i].name, families[i].type, families[i].help);
		record_each_counter(records, families[i].each, metrics);
	}
}

/* ---- instances, per function ---- */

static struct pool_stats
api_metrics_pool(const struct function *function)
{
	struct pool_stats sum = {0}, one;
	struct version *version;

	list_each (&function->versions, version, link) {
		if (!version->pool)
			continue;
		pool_stats(version->pool, &one);
		sum.n_starting += one.n_starting;
		sum.n_ready += one.n_ready;
		sum.n_idle += one.n_idle;
		sum.n_waiting += one.n_waiting;
		sum.n_running += one.n_running;
	}
	return sum;
}

static void
api_metrics_instances(const struct function *function, struct buf *out)
{
	struct pool_stats stats = api_metrics_pool(function);
	const struct {
		const char *state;
		unsigned n;
	} rows[] = {{"starting", stats.n_starting}, {"idle", stats.n_idle},
		{"busy", stats.n_ready - stats.n_idle}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		buf_printf(out, "mayfly_instances{org=\"%s\",function=\"%s\",state=\"%s\"} %u\n",
			function->org->name, function->name, rows[i].state, rows[i].n);
}

static void
api_metrics_waiting(const struct function *function, struct buf *out)
{
	buf_printf(out, "mayfly_calls_waiting{org=\"%s\",function=\"%s\"} %u\n",
		function->org->name, function->name, api_metrics_pool(function).n_waiting);
}

static void
api_metrics_running(const struct function *function, struct buf *out)
{
	buf_printf(out, "mayfly_calls_running{org=\"%s\",function=\"%s\"} %u\n",
		function->org->name, function->name, api_metrics_pool(function).n_running);
}

static void
api_metrics_starts(const struct function *function, struct buf *out)
{
	buf_printf(out, "mayfly_instance_starts_total{org=\"%s\",function=\"%s\"} %llu\n",
		function->org->name, function->name, (unsigned long long)function->n_starts);
}

static void
api_metrics_boot_failures(const struct function *function, struct buf *out)
{
	buf_printf(out, "mayfly_instance_boot_failures_total{org=\"%s\",function=\"%s\"} %llu\n",
		function->org->name, function->name, (unsigned long long)function->n_boot_failures);
}

/* ---- what became of instances after their calls, per function ---- */

static void
api_metrics_renewals(const struct function *function, struct buf *out)
{
	buf_printf(out, "mayfly_instance_renewals_total{org=\"%s\",function=\"%s\"} %llu\n",
		function->org->name, function->name,
		(unsigned long long)function->renewals->n_renewed);
}

static void
api_metrics_discards(const struct function *function, struct buf *out)
{
	for (int i = 0; i < RENEWAL_CAUSES; i++) {
		uint64_t n = function->renewals->n_discarded[i];

		if (n > 0)
			buf_printf(out,
				"mayfly_instance_discards_total{org=\"%s\",function=\"%s\","
				"cause=\"%s\"} %llu\n",
				function->org->name, function->name,
				renewal_cause_word((enum renewal_cause)i), (unsigned long long)n);
	}
}

/* ---- queues, per function ---- */

/* One figure of a queue. */
typedef uint64_t api_metrics_queue_fn(const struct delivery_stats *stats);

#define API_METRICS_QUEUE(figure)                                                                  \
	static uint64_t api_metrics_queue_##figure(const struct delivery_stats *stats)             \
	{                                                                                          \
		return stats->figure;                                                              \
	}
API_METRICS_QUEUE(n_queued)
API_METRICS_QUEUE(n_running)
API_METRICS_QUEUE(n_dead)
API_METRICS_QUEUE(n_accepted)
API_METRICS_QUEUE(n_done)
API_METRICS_QUEUE(n_retries)
API_METRICS_QUEUE(n_refused)
API_METRICS_QUEUE(n_circles)

static uint64_t
api_metrics_queue_age(const struct delivery_stats *stats)
{
	uint64_t oldest_ms = stats->oldest_ms, now_ms = clock_unix_ms();

	return oldest_ms && now_ms > oldest_ms ? (now_ms - oldest_ms) / 1000 : 0;
}

static void
api_metrics_queue_row(
	struct buf *out, const char *name, const char *org, const char *function, uint64_t value)
{
	buf_printf(out, "%s{org=\"%s\",function=\"%s\"} %llu\n", name, org, function,
		(unsigned long long)value);
}

/* Of each function, and of what the org sends to URLs. */
static void
api_metrics_queue_of(struct api_metrics *metrics, const struct org *org, const char *name,
	api_metrics_queue_fn *figure)
{
	const struct delivery_host *host = org->domain->deliveries;
	struct delivery_stats stats;

	thread_on_loop();
	map_each (&org->functions, entry) {
		const struct function *function = entry->value;

		delivery_stats(function, &stats);
		api_metrics_queue_row(
			&metrics->out, name, org->name, function->name, figure(&stats));
	}
	if (host && delivery_post_stats(host, org->name, &stats))
		api_metrics_queue_row(
			&metrics->out, name, org->name, DELIVERY_POSTS, figure(&stats));
}

static void
api_metrics_functions(struct api_metrics *metrics, const struct domain *domain,
	void (*each)(const struct function *function, struct buf *out))
{
	map_each (&domain->orgs, org_entry) {
		const struct org *org = org_entry->value;

		if (!api_metrics_sees(metrics, org->name))
			continue;
		map_each (&org->functions, entry)
			each(entry->value, &metrics->out);
	}
}

static void
api_metrics_states(struct api_metrics *metrics, const struct domain *domain)
{
	uint64_t n[FUNCTION_DELETING + 1] = {0};

	map_each (&domain->orgs, org_entry) {
		const struct org *org = org_entry->value;

		if (!api_metrics_sees(metrics, org->name))
			continue;
		map_each (&org->functions, entry)
			n[function_state(entry->value)]++;
	}
	api_metrics_head(&metrics->out, "mayfly_functions", "gauge", "Functions, by state.");
	for (int state = 0; state <= FUNCTION_DELETING; state++)
		buf_printf(&metrics->out, "mayfly_functions{state=\"%s\"} %llu\n",
			function_state_word((enum function_state)state),
			(unsigned long long)n[state]);
}

/* Rows of one family stand together, as the format asks. */
static void
api_metrics_domain(struct api_metrics *metrics, const struct domain *domain)
{
	api_metrics_states(metrics, domain);
	api_metrics_head(
		&metrics->out, "mayfly_instances", "gauge", "Instances, by function and state.");
	api_metrics_functions(metrics, domain, api_metrics_instances);
	api_metrics_head(
		&metrics->out, "mayfly_calls_waiting", "gauge", "Calls that wait for an instance.");
	api_metrics_functions(metrics, domain, api_metrics_waiting);
	api_metrics_head(&metrics->out, "mayfly_calls_running", "gauge", "Calls on an instance.");
	api_metrics_functions(metrics, domain, api_metrics_running);
	api_metrics_head(&metrics->out, "mayfly_instance_starts_total", "counter",
		"Instances that were started.");
	api_metrics_functions(metrics, domain, api_metrics_starts);
	api_metrics_head(&metrics->out, "mayfly_instance_boot_failures_total", "counter",
		"Instances that were started and did not become ready.");
	api_metrics_functions(metrics, domain, api_metrics_boot_failures);
	api_metrics_head(&metrics->out, "mayfly_instance_renewals_total", "counter",
		"Instances brought back after a call of isolation call.");
	api_metrics_functions(metrics, domain, api_metrics_renewals);
	api_metrics_head(&metrics->out, "mayfly_instance_discards_total", "counter",
		"Instances of isolation call that were discarded after a call, by cause.");
	api_metrics_functions(metrics, domain, api_metrics_discards);
}

static void
api_metrics_queues(struct api_metrics *metrics, const struct domain *domain)
{
	static const struct {
		const char *name, *type, *help;
		api_metrics_queue_fn *figure;
	} families[] = {
		{"mayfly_deliveries_queued", "gauge", "Durable calls that wait.",
			api_metrics_queue_n_queued},
		{"mayfly_deliveries_running", "gauge", "Durable calls that run.",
			api_metrics_queue_n_running},
		{"mayfly_dead_letters", "gauge", "Durable calls that are dead.",
			api_metrics_queue_n_dead},
		{"mayfly_delivery_oldest_seconds", "gauge",
			"Age of the oldest durable call that waits.", api_metrics_queue_age},
		{"mayfly_deliveries_accepted_total", "counter", "Durable calls that were accepted.",
			api_metrics_queue_n_accepted},
		{"mayfly_deliveries_done_total", "counter", "Durable calls that succeeded.",
			api_metrics_queue_n_done},
		{"mayfly_delivery_retries_total", "counter",
			"Attempts that failed and were followed by another.",
			api_metrics_queue_n_retries},
		{"mayfly_deliveries_refused_total", "counter",
			"Durable calls that were refused because a queue was full.",
			api_metrics_queue_n_refused},
		{"mayfly_delivery_circles_total", "counter",
			"Durable calls whose destinations were not told, since they went in a "
			"circle.",
			api_metrics_queue_n_circles},
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		api_metrics_head(
			&metrics->out, families[i].name, families[i].type, families[i].help);
		map_each (&domain->orgs, entry) {
			const struct org *org = entry->value;

			if (api_metrics_sees(metrics, org->name))
				api_metrics_queue_of(
					metrics, org, families[i].name, families[i].figure);
		}
	}
}

/* ---- the machine's, for the provider ---- */

static void
api_metrics_server(struct buf *out, const struct http_server *server) ON_LOOP
{
	struct http_stats stats;

	http_server_stats(server, &stats);
	api_metrics_one(out, "mayfly_http_connections_total", "counter", "Connections accepted.",
		stats.n_connections);
	api_metrics_one(out, "mayfly_http_connections", "gauge", "Connections open now.",
		stats.n_connections_open);
	api_metrics_one(
		out, "mayfly_http_requests_total", "counter", "Requests read.", stats.n_requests);
	api_metrics_one(out, "mayfly_http_malformed_total", "counter",
		"Requests that broke the protocol.", stats.n_malformed);
	api_metrics_one(out, "mayfly_http_slow_total", "counter",
		"Connections cut because the client was too slow.", stats.n_slow_cut);
	api_metrics_one(
		out, "mayfly_http_bytes_in_total", "counter", "Bytes received.", stats.bytes_in);
	api_metrics_one(
		out, "mayfly_http_bytes_out_total", "counter", "Bytes sent.", stats.bytes_out);
	api_metrics_one(out, "mayfly_http_body_memory_bytes", "gauge",
		"Memory held by request bodies.", stats.body_memory_bytes);
}

static void
api_metrics_store(struct buf *out, struct store *store)
{
	struct store_stats stats;

	store_stats(store, &stats);
	api_metrics_one(out, "mayfly_store_messages_total", "counter", "Requests to the store.",
		stats.n_messages);
	api_metrics_one(out, "mayfly_store_commits_total", "counter", "Transactions committed.",
		stats.n_commits);
	api_metrics_one(out, "mayfly_store_failures_total", "counter",
		"Requests to the store that failed.", stats.n_failed);
	api_metrics_one(out, "mayfly_store_waiting", "gauge", "Requests that wait for the store.",
		stats.n_waiting);
	api_metrics_head(
		out, "mayfly_store_commit_seconds", "gauge", "Duration of the last commit.");
	buf_add_text(out, "mayfly_store_commit_seconds ");
	api_metrics_seconds(out, stats.commit_us_last);
}

static void
api_metrics_records(struct buf *out, const struct record_log *records) ON_LOOP
{
	struct record_stats stats;

	record_stats(records, &stats);
	api_metrics_one(
		out, "mayfly_records_total", "counter", "Call records made.", stats.n_records);
	api_metrics_one(out, "mayfly_records_dropped_total", "counter",
		"Call records dropped because the store was behind.", stats.n_dropped);
	api_metrics_one(out, "mayfly_records_queue_bytes", "gauge",
		"Call records that wait for the store.", stats.queue_bytes);
}

/* From the answer's end to the instance being ready again, of all functions. */
static void
api_metrics_renewal_time(struct buf *out, const struct renewal_tally *tally)
{
	api_metrics_head(out, "mayfly_instance_renewal_seconds", "histogram",
		"Time to bring an instance back after a call.");
	for (int i = 0; i < RENEWAL_BUCKETS - 1; i++) {
		buf_add_text(out, "mayfly_instance_renewal_seconds_bucket{le=\"");
		buf_printf(out, "%.6f\"} %llu\n", renewal_bounds_us[i] / 1e6,
			(unsigned long long)tally->buckets[i]);
	}
	buf_printf(out, "mayfly_instance_renewal_seconds_bucket{le=\"+Inf\"} %llu\n",
		(unsigned long long)tally->n_renewed);
	buf_add_text(out, "mayfly_instance_renewal_seconds_sum ");
	api_metrics_seconds(out, tally->renewed_us);
	buf_printf(out, "mayfly_instance_renewal_seconds_count %llu\n",
		(unsigned long long)tally->n_renewed);
}

static void
api_metrics_limits(struct buf *out)
{
	api_metrics_head(out, "mayfly_limit_ceiling", "gauge", "Ceilings of a function's limits.");
	for (size_t i = 0; i < LIMITS_N; i++)
		buf_printf(out, "mayfly_limit_ceiling{limit=\"%s\"} %llu\n", limits_table[i].field,
			(unsigned long long)limits_table[i].ceiling);
}

static void
api_metrics_machine(struct buf *out, const struct api *api) ON_LOOP
{
	const struct domain *domain = api->domain;

	api_metrics_head(out, "mayfly_info", "gauge", "The version that runs.");
	buf_add_text(out, "mayfly_info{version=\"" MAYFLY_VERSION "\"} 1\n");
	api_metrics_one(out, "mayfly_ready", "gauge", "1 when /readyz says so.", !api->not_ready);
	api_metrics_head(
		out, "mayfly_start_time_seconds", "gauge", "Start, in seconds since 1970.");
	buf_printf(out, "mayfly_start_time_seconds %llu\n",
		(unsigned long long)(api->started_ms / 1000));
	api_metrics_one(out, "mayfly_orgs", "gauge", "Orgs.", domain->orgs.len);
	api_metrics_one(out, "mayfly_sandboxes", "gauge", "Sandboxes of instances and builds.",
		domain->n_instances);
	api_metrics_one(out, "mayfly_sandboxes_limit", "gauge", "Most sandboxes at one time.",
		domain->config.max_instances_total);
	api_metrics_one(out, "mayfly_starts", "gauge", "Instances that start and hold a slot.",
		domain->shares.n_slots_taken);
	api_metrics_one(out, "mayfly_starts_limit", "gauge", "Most instances that start at once.",
		domain->shares.n_slots);
	api_metrics_one(out, "mayfly_starts_waiting", "gauge",
		"Versions whose next instance waits for its turn.", domain->shares.n_wanting);
	api_metrics_one(out, "mayfly_calls_in_flight", "gauge", "Calls waiting and running.",
		domain->calls.len);
	api_metrics_one(out, "mayfly_queue_bytes", "gauge", "Bodies of waiting calls.",
		domain->queue_bytes);
	api_metrics_one(out, "mayfly_queue_bytes_limit", "gauge", "Most of them.",
		domain->config.queue_bytes);
	if (api->server)
		api_metrics_server(out, api->server);
	api_metrics_store(out, domain->store);
	api_metrics_records(out, domain->records);
	api_metrics_renewal_time(out, domain->renewals);
	api_metrics_limits(out);
}

static void
api_metrics_on_looked(void *arg)
{
	struct api_request *request = arg;
	const struct api *api = request->api;
	struct api_metrics metrics = {.out = BUF_INIT, .org = request->token.org};

	thread_on_loop();
	if (!metrics.org[0]) {
		api_metrics_machine(&metrics.out, api);
		if (api->write_metrics)
			api->write_metrics(&metrics.out, api->arg);
	}
	api_metrics_domain(&metrics, api->domain);
	api_metrics_queues(&metrics, api->domain);
	api_metrics_calls(&metrics, api->domain->records);
	api_trigger_metrics(api->domain, metrics.org, &metrics.out);
	api_answer_bytes(
		request, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&metrics.out));
	buf_done(&metrics.out);
}

/* What waits of a trigger is the store's to say. */
void
api_metrics_show(struct api_request *request)
{
	trigger_look(request->api->domain, request->token.org, api_metrics_on_looked, request);
}
