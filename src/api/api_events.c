/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_events - CloudEvents that come in, those that came last, and whom they would reach.
 */
#include "api/api_nouns.h"
#include "domain/trigger.h"

#define API_EVENTS_LISTED  20
#define API_EVENTS_EXPLAIN 20000 /* pairs of event and trigger in one dry run */

/* ---- POST …/events ---- */

static void
api_events_on_accepted(
	int code, const struct event_accepted *accepted, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	api_answer_json(request, 202,
		json_pack("{s:i, s:i, s:i}", "accepted",
			(int)(accepted->n_events - accepted->n_known), "known",
			(int)accepted->n_known, "deliveries", (int)accepted->n_deliveries));
}

static json_t *
api_events_explain_one(struct org *org, const struct event *event)
{
	return json_pack("{s:s, s:s, s:s, s:o}", "id", event->id, "source", event->source, "type",
		event->type, "triggers", trigger_explain(org, event));
}

static void
api_events_explain(
	struct api_request *request, struct org *org, const struct event_list *list) ON_LOOP
{
	struct err err = {0};
	json_t *events;

	if (list->n * org->triggers.len > API_EVENTS_EXPLAIN) {
		err_set(&err, ERR_TOO_LARGE,
			"a dry run takes at most %d events times triggers of the org",
			API_EVENTS_EXPLAIN);
		api_answer_error(request, &err);
		return;
	}
	events = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(events, api_events_explain_one(org, &list->at[i]));
	api_answer_json(request, 200, json_pack("{s:o}", "events", events));
}

void
api_events_send(struct api_request *request)
{
	static const char *const known[] = {"dry_run", NULL};
	const struct http_request *http = http_request_of(request->exchange);
	OWN(event_list) struct event_list list = {0};
	struct org *org = api_request_org(request);
	bool is_dry_run = false;
	enum event_mode mode;
	struct err err = {0};
	int rc;

	if (!org)
		return;
	rc = api_query_check(request, known, &err);
	if (rc == 0)
		rc = api_query_bool(request, "dry_run", &is_dry_run, &err);
	if (rc == 0)
		rc = event_read(http->headers, http->n_headers, http->body, &mode, &list, &err);
	if (rc < 0)
		api_answer_error(request, &err);
	else if (is_dry_run)
		api_events_explain(request, org, &list);
	else
		event_accept(request->api->domain, org, &list, api_events_on_accepted, request);
}

/* ---- GET …/events ---- */

struct api_events_list {
	struct event_follow follow;
	json_t *events;
};

static void
api_events_on_event(struct event_follow *follow, const char *id, struct str json)
{
	struct api_events_list *list = list_owner(follow, struct api_events_list, follow);
	json_t *event = NULL;

	if (json_parse(json, &event, NULL) == 0)
		json_array_append_new(list->events, event);
}

void
api_events_list(struct api_request *request)
{
	static const char *const known[] = {"follow", "n", NULL};
	struct api_events_list list = {.follow.on_event = api_events_on_event};
	struct org *org = api_request_org(request);
	uint64_t n = API_EVENTS_LISTED;
	bool is_following = false;
	struct err err = {0};
	int rc;

	if (!org)
		return;
	rc = api_query_check(request, known, &err);
	if (rc == 0)
		rc = api_query_bool(request, "follow", &is_following, &err);
	if (rc == 0)
		rc = api_query_u64(request, "n", 0, 100, &n, &err);
	if (rc < 0) {
		api_answer_error(request, &err);
		return;
	}
	if (is_following && str_eq(http_request_of(request->exchange)->method, STR("GET"))) {
		api_event_follow(request, org, (unsigned)n);
		return;
	}
	list_init(&list.follow.link);
	list.events = json_array();
	event_follow(org, &list.follow, (unsigned)n, "");
	event_unfollow(&list.follow);
	api_answer_json(request, 200, json_pack("{s:o}", "events", list.events));
}
