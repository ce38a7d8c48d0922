/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/trigger_inside.h"

void
trigger_plan_done(struct trigger_plan *plan)
{
	trigger_filter_free(plan->filter);
	if (plan->has_policy)
		delivery_policy_done(&plan->policy);
	json_decref(plan->document);
	*plan = (struct trigger_plan){0};
}

static int
read_order_key(const json_t *document, const char **ret, struct err *err)
{
	const char *path = NULL;
	int rc = json_get_str(
		document, "", "order_key", JSON_OPTIONAL, TRIGGER_PATH_MAX, &path, err);

	if (rc == 0 && path)
		rc = trigger_filter_check_path(path, "order_key", err);
	*ret = path;
	return rc;
}

static int
read_mode(const json_t *document, struct trigger_plan *plan, struct err *err)
{
	const char *mode = NULL;
	int rc = json_get_str(document, "", "mode", JSON_OPTIONAL, 16, &mode, err);

	plan->mode = EVENT_BINARY;
	if (rc < 0 || !mode)
		return rc;
	if (!plan->url)
		return err_field(err, ERR_INVALID, "mode", "mode is for a trigger with a url");
	if (strcmp(mode, "structured") == 0)
		plan->mode = EVENT_STRUCTURED;
	else if (strcmp(mode, "binary") != 0)
		return err_field(err, ERR_INVALID, "mode", "mode must be binary or structured");
	return 0;
}

static int
read_url(const json_t *document, struct trigger_plan *plan, struct err *err)
{
	struct err why = {0};
	int rc = json_get_str(document, "", "url", JSON_OPTIONAL, TRIGGER_URL_MAX, &plan->url, err);

	if (rc == 0 && plan->url && fetch_check_url(str_of(plan->url), &why) < 0)
		rc = err_field(err, ERR_INVALID, "url", "url: %s", why.text);
	return rc < 0 ? rc : read_mode(document, plan, err);
}

/* How many run at once and how many wait is the function's business. */
static int
read_policy(const json_t *document, struct trigger_plan *plan, struct err *err)
{
	static const char *const known[] = {"attempts", "backoff_ms", "backoff_max_ms", "max_age_s",
		"keep_result_s", "on_success", "on_failure", NULL};
	const json_t *queue = NULL;
	int rc = json_get_object(document, "", "queue", JSON_OPTIONAL, &queue, err);

	if (rc < 0 || !queue)
		return rc;
	rc = json_check_keys(queue, "queue", known, err);
	if (rc < 0)
		return rc;
	plan->has_policy = true;
	if (plan->url)
		delivery_policy_posts(&plan->policy);
	else
		delivery_policy_default(&plan->policy);
	plan->policy.is_of_trigger = true;
	rc = delivery_policy_read(queue, "queue", &plan->policy, err);
	if (rc == 0 && plan->url && delivery_policy_has_task(&plan->policy))
		return err_field(err, ERR_INVALID, "queue",
			"queue: who answers a task is a function, not a url");
	return rc;
}

static void
keep_member(const json_t *document, const char *key, json_t *ret)
{
	json_t *value = json_object_get(document, key);

	if (value && !json_is_null(value))
		json_object_set(ret, key, value);
}

static int
check_size(const json_t *document, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;

	json_write(document, &text);
	if (text.len > TRIGGER_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "a trigger must have at most %d KiB",
			TRIGGER_BYTES_MAX >> 10);
	return 0;
}

int
trigger_plan_read(const json_t *document, struct trigger_plan *ret, struct err *err)
{
	struct trigger_plan plan = {.document = json_object()};
	const json_t *filter = json_object_get(document, "filter");
	int rc = check_size(document, err);

	keep_member(document, "filter", plan.document);
	keep_member(document, "url", plan.document);
	keep_member(document, "mode", plan.document);
	keep_member(document, "order_key", plan.document);
	keep_member(document, "queue", plan.document);
	if (rc == 0)
		rc = trigger_filter_new(json_is_null(filter) ? NULL : filter, &plan.filter, err);
	if (rc == 0)
		rc = read_order_key(plan.document, &plan.order_key, err);
	if (rc == 0)
		rc = read_url(plan.document, &plan, err);
	if (rc == 0)
		rc = read_policy(plan.document, &plan, err);
	if (rc < 0) {
		trigger_plan_done(&plan);
		return rc;
	}
	*ret = plan;
	return 0;
}
