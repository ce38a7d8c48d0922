/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/delivery_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "net/fetch.h"

#define HOUR_MS       3600000u
#define DAY_S         86400u
#define POST_ATTEMPTS 12
#define POSTS_AT_ONCE 16   /* of an org: slow receivers hold up nobody else's */
#define TYPE_MAX      256  /* of an event */
#define TARGET_MAX    2060 /* a URL, and the word before it */
#define FIELD_SIZE    sizeof(((struct err *)0)->field)
#define PREFIX_HTTP   STR("http://")
#define PREFIX_HTTPS  STR("https://")
#define PREFIX_EVENT  STR("event:")
#define PREFIX_CALLED STR("function:")
#define WORD_TASK     "vcd:task"

void
delivery_policy_default(struct delivery_policy *ret)
{
	*ret = (struct delivery_policy){
		.attempts = 5,
		.backoff_ms = 1000,
		.backoff_max_ms = 300000,
		.max_age_s = DAY_S,
		.concurrency = 10,
		.length = 10000,
		.keep_result_s = DAY_S,
	};
}

void
delivery_policy_posts(struct delivery_policy *ret)
{
	delivery_policy_default(ret);
	ret->attempts = POST_ATTEMPTS;
	ret->concurrency = POSTS_AT_ONCE;
	ret->length = UINT32_MAX;
}

/* ---- destinations ---- */

static void
destinations_done(struct delivery_destinations *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->at[i].to);
	list->n = 0;
}

static void
destinations_copy(const struct delivery_destinations *from, struct delivery_destinations *ret)
{
	*ret = (struct delivery_destinations){.n = from->n};
	for (size_t i = 0; i < from->n; i++)
		ret->at[i] = (struct delivery_destination){
			from->at[i].kind, str_dup(str_of(from->at[i].to))};
}

static void
field_of(const char *path, const char *key, char ret[static FIELD_SIZE])
{
	snprintf(ret, FIELD_SIZE, "%s%s%s", path, *path ? "." : "", key);
}

static bool
is_event_type(struct str type)
{
	if (!type.len || type.len > TYPE_MAX || !str_is_utf8(type))
		return false;
	for (size_t i = 0; i < type.len; i++)
		if ((unsigned char)type.at[i] <= ' ' || type.at[i] == 0x7f)
			return false;
	return true;
}

static int
destination_read(
	struct str text, const char *field, struct delivery_destination *ret, struct err *err)
{
	struct str rest = text;
	struct err why = {0};

	if (str_starts(text, PREFIX_HTTP) || str_starts(text, PREFIX_HTTPS)) {
		if (fetch_check_url(text, &why) < 0)
			return err_field(err, ERR_INVALID, field, "%s: %s", field, why.text);
		*ret = (struct delivery_destination){DELIVERY_TO_URL, str_dup(text)};
		return 0;
	}
	str_cut(&rest, ':');
	if (str_starts(text, PREFIX_CALLED)) {
		if (id_check_name(rest, field, &why) < 0)
			return err_field(err, ERR_INVALID, field, "%s: %s", field, why.text);
		*ret = (struct delivery_destination){DELIVERY_TO_FUNCTION, str_dup(rest)};
		return 0;
	}
	if (str_starts(text, PREFIX_EVENT) && is_event_type(rest)) {
		*ret = (struct delivery_destination){DELIVERY_TO_EVENT, str_dup(rest)};
		return 0;
	}
	return err_field(err, ERR_INVALID, field,
		"%s must have \"function:<name>\", \"event:<type>\" or a URL in it", field);
}

static int
task_read(struct str text, const char *field, bool is_success, struct delivery_destination *ret,
	struct err *err)
{
	static const char *const words[] = {
		WORD_TASK ":resume", WORD_TASK ":abort", WORD_TASK ":fail", WORD_TASK};
	size_t n = sizeof(words) / sizeof(words[0]);

	for (size_t i = 0; i < n - !is_success; i++) {
		if (!str_eq(text, str_of(words[i])))
			continue;
		*ret = (struct delivery_destination){DELIVERY_TO_TASK, str_dup(text)};
		return 0;
	}
	return err_field(err, ERR_INVALID, field,
		"%s may have %s\"" WORD_TASK ":resume\", \":abort\" or \":fail\" in it", field,
		is_success ? "\"" WORD_TASK "\", " : "");
}

/* Those that only some may have, too. */
static int
any_read(struct str text, const char *field, const char *key, bool is_of_trigger,
	struct delivery_destination *ret, struct err *err)
{
	if (!str_starts(text, STR(WORD_TASK)))
		return destination_read(text, field, ret, err);
	if (!is_of_trigger)
		return err_field(err, ERR_INVALID, field,
			"%s: only a trigger can answer tasks of vCloud Director", field);
	return task_read(text, field, strcmp(key, "on_success") == 0, ret, err);
}

const char *
delivery_policy_action(const struct delivery_destination *to)
{
	const char *action = to->to + strlen(WORD_TASK);

	must(to->kind == DELIVERY_TO_TASK);
	return *action ? action + 1 : action;
}

static bool
destinations_have_task(const struct delivery_destinations *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->at[i].kind == DELIVERY_TO_TASK)
			return true;
	return false;
}

bool
delivery_policy_has_task(const struct delivery_policy *policy)
{
	return destinations_have_task(&policy->on_success) ||
	       destinations_have_task(&policy->on_failure);
}

static int
destinations_read(const json_t *object, const char *path, const char *key, bool is_of_trigger,
	struct delivery_destinations *ret, struct err *err)
{
	struct delivery_destinations list = {.n = 0};
	const json_t *array = NULL, *item;
	char field[FIELD_SIZE];
	size_t i;
	int rc = json_get_array(object, path, key, JSON_OPTIONAL, &array, err);

	if (rc < 0 || !array)
		return rc;
	field_of(path, key, field);
	if (json_array_size(array) > DELIVERY_DESTINATIONS_MAX)
		return err_field(err, ERR_INVALID, field, "%s must have at most %d members", field,
			DELIVERY_DESTINATIONS_MAX);
	json_array_foreach (array, i, item) {
		struct str text = str_n(json_string_value(item), json_string_length(item));

		rc = !json_is_string(item) || text.len > TARGET_MAX || memchr(text.at, 0, text.len)
			     ? err_field(
				       err, ERR_INVALID, field, "%s must have strings in it", field)
			     : any_read(text, field, key, is_of_trigger, &list.at[list.n], err);
		if (rc < 0) {
			destinations_done(&list);
			return rc;
		}
		list.n++;
	}
	destinations_done(ret);
	*ret = list;
	return 0;
}

static json_t *
destinations_json(const struct delivery_destinations *list)
{
	static const char *const words[] = {
		[DELIVERY_TO_FUNCTION] = "function:",
		[DELIVERY_TO_EVENT] = "event:",
		[DELIVERY_TO_URL] = "",
		[DELIVERY_TO_TASK] = "",
	};
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++) {
		OWN(mem) char *text = mem_printf("%s%s", words[list->at[i].kind], list->at[i].to);

		json_array_append_new(array, json_string(text));
	}
	return array;
}

/* ---- as a whole ---- */

void
delivery_policy_done(struct delivery_policy *policy)
{
	destinations_done(&policy->on_success);
	destinations_done(&policy->on_failure);
}

void
delivery_policy_copy(const struct delivery_policy *from, struct delivery_policy *ret)
{
	*ret = *from;
	destinations_copy(&from->on_success, &ret->on_success);
	destinations_copy(&from->on_failure, &ret->on_failure);
}

struct number {
	const char *key;
	size_t offset;
	unsigned min, max;
};

static const struct number numbers[] = {
	{"attempts", offsetof(struct delivery_policy, attempts), 1, 100},
	{"backoff_ms", offsetof(struct delivery_policy, backoff_ms), 10, HOUR_MS},
	{"backoff_max_ms", offsetof(struct delivery_policy, backoff_max_ms), 10, 12 * HOUR_MS},
	{"max_age_s", offsetof(struct delivery_policy, max_age_s), 1, 14 * DAY_S},
	{"concurrency", offsetof(struct delivery_policy, concurrency), 1, 1000},
	{"length", offsetof(struct delivery_policy, length), 1, 1000000},
	{"keep_result_s", offsetof(struct delivery_policy, keep_result_s), 0, 14 * DAY_S},
};

enum { NUMBERS_N = sizeof(numbers) / sizeof(numbers[0]) };

static unsigned *
number_in(const struct delivery_policy *policy, const struct number *number)
{
	return (unsigned *)((char *)policy + number->offset);
}

static int
numbers_read(
	const json_t *object, const char *path, struct delivery_policy *policy, struct err *err)
{
	for (size_t i = 0; i < NUMBERS_N; i++) {
		unsigned *place = number_in(policy, &numbers[i]);
		uint64_t value = *place;
		int rc = json_get_u64(object, path, numbers[i].key, JSON_OPTIONAL, numbers[i].min,
			numbers[i].max, &value, err);

		if (rc < 0)
			return rc;
		*place = (unsigned)value;
	}
	return 0;
}

static inline void
own_policy(struct delivery_policy *policy)
{
	delivery_policy_done(policy);
}

int
delivery_policy_read(
	const json_t *object, const char *path, struct delivery_policy *ret, struct err *err)
{
	static const char *const known[] = {"attempts", "backoff_ms", "backoff_max_ms", "max_age_s",
		"concurrency", "length", "keep_result_s", "on_success", "on_failure", NULL};
	OWN(policy) struct delivery_policy policy;
	struct delivery_policy old = *ret;
	char field[FIELD_SIZE];
	int rc;

	delivery_policy_copy(ret, &policy);
	rc = json_check_keys(object, path, known, err);
	if (rc >= 0)
		rc = numbers_read(object, path, &policy, err);
	if (rc >= 0 && policy.backoff_max_ms < policy.backoff_ms) {
		field_of(path, "backoff_max_ms", field);
		rc = err_field(err, ERR_INVALID, field, "%s must be at least backoff_ms (%u)",
			field, policy.backoff_ms);
	}
	if (rc >= 0)
		rc = destinations_read(
			object, path, "on_success", policy.is_of_trigger, &policy.on_success, err);
	if (rc >= 0)
		rc = destinations_read(
			object, path, "on_failure", policy.is_of_trigger, &policy.on_failure, err);
	if (rc < 0)
		return rc;
	*ret = policy;
	policy = old;
	return 0;
}

json_t *
delivery_policy_json(const struct delivery_policy *policy)
{
	json_t *object = json_object();

	for (size_t i = 0; i < NUMBERS_N; i++)
		json_object_set_new(object, numbers[i].key,
			json_integer((json_int_t)*number_in(policy, &numbers[i])));
	json_object_set_new(object, "on_success", destinations_json(&policy->on_success));
	json_object_set_new(object, "on_failure", destinations_json(&policy->on_failure));
	return object;
}

/* ---- back-off ---- */

uint64_t
delivery_policy_backoff(const struct delivery_policy *policy, unsigned attempt)
{
	uint64_t most = policy->backoff_ms, jitter;

	for (unsigned i = 1; i < attempt && most < policy->backoff_max_ms; i++)
		most *= 2;
	if (most > policy->backoff_max_ms)
		most = policy->backoff_max_ms;
	id_random(&jitter, sizeof(jitter));
	return most - jitter % (most / 2 + 1);
}
