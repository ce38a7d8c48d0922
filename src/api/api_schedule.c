/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"
#include "domain/schedule.h"

/* The schedule that the path names; answers 404 and gives NULL where there is none. */
static struct schedule *
api_schedule_of(struct api_request *request) ON_LOOP
{
	struct org *org = api_request_org(request);
	struct schedule *schedule = org ? schedule_find(org, str_of(request->params[1])) : NULL;
	struct err err = {0};

	if (!org || schedule)
		return schedule;
	err_set(&err, ERR_NOT_FOUND, "org %s has no schedule %s", org->name, request->params[1]);
	api_answer_error(request, &err);
	return NULL;
}

static bool
api_schedule_each(struct schedule *schedule, void *arg)
{
	json_array_append_new(arg, schedule_json(schedule));
	return true;
}

void
api_schedule_list(struct api_request *request)
{
	const struct org *org = api_request_org(request);
	json_t *list;

	if (!org)
		return;
	list = json_array();
	schedule_each(org, api_schedule_each, list);
	api_answer_json(request, 200, json_pack("{s:o}", "schedules", list));
}

void
api_schedule_show(struct api_request *request)
{
	const struct schedule *schedule = api_schedule_of(request);

	if (schedule)
		api_answer_json(request, 200, schedule_json(schedule));
}

static void
api_schedule_on_put(
	int code, struct schedule *schedule, bool is_new, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0)
		api_answer_error(request, err);
	else
		api_answer_json(request, is_new ? 201 : 200, schedule_json(schedule));
}

void
api_schedule_put(struct api_request *request)
{
	static const char *const known[] = {"name", "function", "enabled", "zone", "cron", "every",
		"at", "payload", "missed", "queue", NULL};
	struct org *org = api_request_org(request);
	OWN(json) json_t *json = NULL;
	struct err err = {0};
	int rc;

	if (!org)
		return;
	rc = api_request_json(request, known, &json, &err);
	if (rc == 0)
		rc = schedule_put(request->api->domain, org, str_of(request->params[1]), json,
			api_schedule_on_put, request, &err);
	if (rc < 0)
		api_answer_error(request, &err);
}

void
api_schedule_delete(struct api_request *request)
{
	struct schedule *schedule = api_schedule_of(request);

	if (schedule)
		schedule_delete(schedule, api_answer_done, request);
}
