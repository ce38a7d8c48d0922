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
	delivery_policy_default(&plan->policy);
	plan->policy.is_of_trigger = true;
	return delivery_policy_read(queue, "queue", &plan->policy, err);
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
	keep_member(document, "order_key", plan.document);
	keep_member(document, "queue", plan.document);
	if (rc == 0)
		rc = trigger_filter_new(json_is_null(filter) ? NULL : filter, &plan.filter, err);
	if (rc == 0)
		rc = read_order_key(plan.document, &plan.order_key, err);
	if (rc == 0)
		rc = read_policy(plan.document, &plan, err);
	if (rc < 0) {
		trigger_plan_done(&plan);
		return rc;
	}
	*ret = plan;
	return 0;
}
