/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_trigger - which events go to which function or URL.
 */
#include "api/api_nouns.h"
#include "base/clock.h"
#include "domain/trigger.h"

/* The trigger that the path names; answers 404 and gives NULL where there is none. */
static struct trigger *
api_trigger_of(struct api_request *request) ON_LOOP
{
	struct org *org = api_request_org(request);
	struct trigger *trigger;
	struct err err = {0};

	if (!org)
		return NULL;
	trigger = trigger_find(org, str_of(request->params[1]));
	if (trigger)
		return trigger;
	err_set(&err, ERR_NOT_FOUND, "org %s has no trigger %s", org->name, request->params[1]);
	api_answer_error(request, &err);
	return NULL;
}

/* ---- list and show: with what waits now, which the store knows ---- */

static bool
api_trigger_each(struct trigger *trigger, void *arg)
{
	json_array_append_new(arg, trigger_json(trigger));
	return true;
}

static void
api_trigger_list_on_looked(void *arg)
{
	struct api_request *request = arg;
	struct org *org;
	json_t *list;

	thread_on_loop();
	org = api_request_org(request);
	if (!org)
		return;
	list = json_array();
	trigger_each(org, api_trigger_each, list);
	api_answer_json(request, 200, json_pack("{s:o}", "triggers", list));
}

void
api_trigger_list(struct api_request *request)
{
	const struct org *org = api_request_org(request);

	if (org)
		trigger_look(request->api->domain, org->name, api_trigger_list_on_looked, request);
}

static void
api_trigger_show_on_looked(void *arg)
{
	struct api_request *request = arg;
	const struct trigger *trigger;

	thread_on_loop();
	trigger = api_trigger_of(request);
	if (trigger)
		api_answer_json(request, 200, trigger_json(trigger));
}

void
api_trigger_show(struct api_request *request)
{
	if (api_trigger_of(request))
		trigger_look(request->api->domain, request->params[0], api_trigger_show_on_looked,
			request);
}

/* ---- put and delete ---- */

static void
api_trigger_on_put(int code, struct trigger *trigger, bool is_new, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0)
		api_answer_error(request, err);
	else
		api_answer_json(request, is_new ? 201 : 200, trigger_json(trigger));
}

void
api_trigger_put(struct api_request *request)
{
	static const char *const known[] = {
		"name", "function", "url", "mode", "enabled", "filter", "order_key", "queue", NULL};
	struct org *org = api_request_org(request);
	OWN(json) json_t *json = NULL;
	struct err err = {0};
	int rc;

	if (!org)
		return;
	rc = api_request_json(request, known, &json, &err);
	if (rc == 0)
		rc = trigger_put(request->api->domain, org, str_of(request->params[1]), json,
			api_trigger_on_put, request, &err);
	if (rc < 0)
		api_answer_error(request, &err);
}

void
api_trigger_delete(struct api_request *request)
{
	struct trigger *trigger = api_trigger_of(request);

	if (trigger)
		trigger_delete(trigger, api_answer_done, request);
}

/* ---- /metrics ---- */

struct api_trigger_family {
	const char *name, *type, *help;
	double (*value)(const struct trigger_figures *figures);
};

struct api_trigger_metrics {
	const struct api_trigger_family *family;
	const char *org;
	struct buf *out;
};

static double
api_trigger_matched(const struct trigger_figures *figures)
{
	return (double)figures->n_matched;
}

static double
api_trigger_delivered(const struct trigger_figures *figures)
{
	return (double)figures->n_delivered;
}

static double
api_trigger_failed(const struct trigger_figures *figures)
{
	return (double)figures->n_failed;
}

static double
api_trigger_waiting(const struct trigger_figures *figures)
{
	return (double)figures->n_waiting;
}

static double
api_trigger_lag(const struct trigger_figures *figures)
{
	uint64_t now_ms = clock_unix_ms();

	return figures->oldest_ms && figures->oldest_ms < now_ms
		       ? (double)(now_ms - figures->oldest_ms) / 1000
		       : 0;
}

static const struct api_trigger_family api_trigger_families[] = {
	{"mayfly_trigger_matched_total", "counter", "Events that became a delivery.",
		api_trigger_matched},
	{"mayfly_trigger_delivered_total", "counter", "Deliveries that ended well.",
		api_trigger_delivered},
	{"mayfly_trigger_failed_total", "counter", "Deliveries that are dead.", api_trigger_failed},
	{"mayfly_trigger_waiting", "gauge", "Deliveries that are not over.", api_trigger_waiting},
	{"mayfly_trigger_lag_seconds", "gauge", "Age of the oldest delivery that is not over.",
		api_trigger_lag},
};

static bool
api_trigger_metric(struct trigger *trigger, void *arg)
{
	const struct api_trigger_metrics *metrics = arg;
	struct trigger_figures figures;

	trigger_figures(trigger, &figures);
	buf_printf(metrics->out, "%s{org=\"%s\",trigger=\"%s\"} %.15g\n", metrics->family->name,
		metrics->org, figures.name, metrics->family->value(&figures));
	return true;
}

void
api_trigger_metrics(const struct domain *domain, const char *org_name, struct buf *out)
{
	struct api_trigger_metrics metrics = {.out = out};

	for (size_t i = 0; i < sizeof(api_trigger_families) / sizeof(api_trigger_families[0]);
		i++) {
		metrics.family = &api_trigger_families[i];
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics.family->name,
			metrics.family->help, metrics.family->name, metrics.family->type);
		map_each (&domain->orgs, entry) {
			const struct org *org = entry->value;

			if (*org_name && strcmp(org_name, org->name) != 0)
				continue;
			metrics.org = org->name;
			trigger_each(org, api_trigger_metric, &metrics);
		}
	}
}
