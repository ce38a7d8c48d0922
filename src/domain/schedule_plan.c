/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/schedule_inside.h"

#include "base/civil.h"
#include "base/own.h"

#define PLAN_TEXT_MAX  256
#define PLAN_AT_MAX_MS UINT64_C(253402300799000) /* the end of 9999 */

void
schedule_plan_done(struct schedule_plan *plan)
{
	json_decref(plan->document);
	zone_free(plan->zone);
	if (plan->has_policy)
		delivery_policy_done(&plan->policy);
	*plan = (struct schedule_plan){0};
}

static inline void
own_plan(struct schedule_plan *plan)
{
	schedule_plan_done(plan);
}

/* ---- "at": RFC 3339, section 5.6; without an offset it is the zone's time ---- */

static bool
take_digits(struct str *text, size_t n, unsigned min, unsigned max, unsigned *ret)
{
	uint64_t number;

	if (text->len < n || !str_to_u64(str_n(text->at, n), &number) || number < min ||
		number > max)
		return false;
	*text = str_n(text->at + n, text->len - n);
	*ret = (unsigned)number;
	return true;
}

static bool
take_one(struct str *text, const char *any)
{
	if (!text->len || !text->at[0] || !strchr(any, text->at[0]))
		return false;
	*text = str_n(text->at + 1, text->len - 1);
	return true;
}

static bool
take_date(struct str *text, int64_t *ret_s)
{
	unsigned year, month, day, hour, minute, second;

	if (!take_digits(text, 4, 1970, 9999, &year) || !take_one(text, "-") ||
		!take_digits(text, 2, 1, 12, &month) || !take_one(text, "-") ||
		!take_digits(text, 2, 1, civil_month_days(year, month), &day) ||
		!take_one(text, "Tt ") || !take_digits(text, 2, 0, 23, &hour) ||
		!take_one(text, ":") || !take_digits(text, 2, 0, 59, &minute) ||
		!take_one(text, ":") || !take_digits(text, 2, 0, 59, &second))
		return false;
	*ret_s = civil_days((struct civil){year, month, day}) * CIVIL_DAY_S + hour * 3600 +
		 minute * 60 + second;
	return true;
}

static void
take_fraction(struct str *text, unsigned *ret_ms)
{
	unsigned scale = 100, digit;

	*ret_ms = 0;
	if (text->len < 2 || !take_one(text, "."))
		return;
	for (; take_digits(text, 1, 0, 9, &digit); scale /= 10)
		*ret_ms += digit * scale;
}

/* "Z", "+02:00"; false where there is none, which *ret_is_there tells from a bad one. */
static bool
take_offset(struct str *text, int64_t *ret_s, bool *ret_is_there)
{
	unsigned hours, minutes;
	int sign = text->len && text->at[0] == '-' ? -1 : 1;

	*ret_s = 0;
	*ret_is_there = text->len > 0;
	if (!text->len || take_one(text, "Zz"))
		return true;
	if (!take_one(text, "+-") || !take_digits(text, 2, 0, 23, &hours) || !take_one(text, ":") ||
		!take_digits(text, 2, 0, 59, &minutes))
		return false;
	*ret_s = sign * (int64_t)(hours * 3600 + minutes * 60);
	return true;
}

static bool
plan_parse_time(struct str text, const struct zone *zone, uint64_t *ret_ms)
{
	int64_t local_s, offset_s, moment_s, second_s;
	unsigned ms;
	bool has_offset;

	if (!take_date(&text, &local_s))
		return false;
	take_fraction(&text, &ms);
	if (!take_offset(&text, &offset_s, &has_offset) || text.len)
		return false;
	moment_s = local_s - offset_s;
	if (!has_offset)
		zone_moments(zone, local_s, &moment_s, &second_s);
	if (moment_s < 0)
		return false;
	*ret_ms = (uint64_t)moment_s * 1000 + ms;
	return true;
}

/* ---- reading ---- */

static int
read_at(const char *text, struct schedule_plan *plan, struct err *err)
{
	plan->kind = SCHEDULE_AT;
	if (!plan_parse_time(str_of(text), plan->zone, &plan->at_ms) ||
		plan->at_ms > PLAN_AT_MAX_MS)
		return err_field(err, ERR_INVALID, "at",
			"at must be a time like 2027-01-01T00:00:00Z, without Z in the zone's "
			"time");
	return 0;
}

/* The entry's own complaint, behind the name of the field that it stands in. */
static int
read_cron(struct str text, const char *field, struct schedule_plan *plan, struct err *err)
{
	struct err why = {0};

	if (cron_parse(text, &plan->cron, &why) < 0)
		return err_field(err, ERR_INVALID, field, "%s: %s", field, why.text);
	plan->kind = plan->cron.every_ms ? SCHEDULE_EVERY : SCHEDULE_CRON;
	return 0;
}

static int
read_every(const char *text, struct schedule_plan *plan, struct err *err)
{
	OWN(mem) char *entry = mem_printf("@every %s", text);
	struct err why = {0};

	if (cron_parse(str_of(entry), &plan->cron, &why) < 0)
		return err_field(err, ERR_INVALID, "every",
			"every must be like 90s, 5m, 2h or 1d, at least 1s and at most 366d");
	plan->kind = SCHEDULE_EVERY;
	return 0;
}

static int
read_when(const json_t *document, struct schedule_plan *plan, struct err *err)
{
	const char *cron = NULL, *every = NULL, *at = NULL;
	int rc = json_get_str(document, "", "cron", JSON_OPTIONAL, PLAN_TEXT_MAX, &cron, err);

	if (rc == 0)
		rc = json_get_str(document, "", "every", JSON_OPTIONAL, 32, &every, err);
	if (rc == 0)
		rc = json_get_str(document, "", "at", JSON_OPTIONAL, 64, &at, err);
	if (rc < 0)
		return rc;
	if (!!cron + !!every + !!at != 1)
		return err_field(err, ERR_INVALID, "cron", "one of cron, every and at is needed");
	if (at)
		return read_at(at, plan, err);
	return cron ? read_cron(str_of(cron), "cron", plan, err) : read_every(every, plan, err);
}

static int
read_zone(const json_t *document, struct schedule_plan *plan, struct err *err)
{
	const char *name = "UTC";
	struct err why = {0};
	int rc = json_get_str(document, "", "zone", JSON_OPTIONAL, 63, &name, err);

	if (rc == 0 && zone_open(str_of(name), &plan->zone, &why) < 0)
		rc = err_field(err, ERR_INVALID, "zone", "%s", why.text);
	return rc;
}

/* A time that comes once is made up for unless one says otherwise. */
static int
read_missed(const json_t *document, struct schedule_plan *plan, struct err *err)
{
	const char *word = plan->kind == SCHEDULE_AT ? "once" : "skip";
	int rc = json_get_str(document, "", "missed", JSON_OPTIONAL, 8, &word, err);

	plan->is_made_up = strcmp(word, "once") == 0;
	if (rc == 0 && !plan->is_made_up && strcmp(word, "skip") != 0)
		rc = err_field(err, ERR_INVALID, "missed", "missed must be skip or once");
	return rc;
}

static int
read_policy(const json_t *document, struct schedule_plan *plan, struct err *err)
{
	const json_t *queue = NULL;
	int rc = json_get_object(document, "", "queue", JSON_OPTIONAL, &queue, err);

	if (rc < 0 || !queue)
		return rc;
	delivery_policy_default(&plan->policy);
	plan->has_policy = true;
	return delivery_policy_read(queue, "queue", &plan->policy, err);
}

/* What was written, and what it means where nothing was. */
static json_t *
plan_document(const json_t *document, const struct schedule_plan *plan)
{
	static const char *const kept[] = {"cron", "every", "at", "payload", "queue"};
	json_t *json = json_pack("{s:s, s:s}", "zone", zone_name(plan->zone), "missed",
		plan->is_made_up ? "once" : "skip");

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		json_t *value = json_object_get(document, kept[i]);

		if (value && !json_is_null(value))
			json_object_set_new(json, kept[i], json_deep_copy(value));
	}
	return json;
}

int
schedule_plan_restore(const json_t *document, struct schedule_plan *ret, struct err *err)
{
	OWN(plan) struct schedule_plan plan = {0};
	int rc = read_zone(document, &plan, err);

	if (rc == 0)
		rc = read_when(document, &plan, err);
	if (rc == 0)
		rc = read_missed(document, &plan, err);
	if (rc == 0)
		rc = read_policy(document, &plan, err);
	if (rc < 0)
		return rc;
	plan.document = plan_document(document, &plan);
	*ret = plan;
	plan = (struct schedule_plan){0};
	return 0;
}

/* Somebody who writes the same again, after it was, says nothing new. */
static bool
plan_is_past(const struct schedule_plan *plan, uint64_t now_ms, const struct schedule_plan *before)
{
	if (plan->kind != SCHEDULE_AT || plan->at_ms > now_ms)
		return false;
	return !before || !before->document || !schedule_plan_is_alike(plan, before);
}

int
schedule_plan_read(const json_t *document, uint64_t now_ms, const struct schedule_plan *before,
	struct schedule_plan *ret, struct err *err)
{
	int rc = schedule_plan_restore(document, ret, err);

	if (rc < 0)
		return rc;
	if (plan_is_past(ret, now_ms, before))
		rc = err_field(err, ERR_INVALID, "at", "at lies in the past");
	else if (ret->kind == SCHEDULE_CRON && !schedule_plan_next(ret, now_ms, now_ms))
		rc = err_field(err, ERR_INVALID, "cron", "cron: no such day comes in eight years");
	if (rc < 0)
		schedule_plan_done(ret);
	return rc;
}

bool
schedule_plan_is_alike(const struct schedule_plan *a, const struct schedule_plan *b)
{
	static const char *const keys[] = {"zone", "cron", "every", "at"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const json_t *x = json_object_get(a->document, keys[i]);
		const json_t *y = json_object_get(b->document, keys[i]);

		if (!!x != !!y || (x && !json_equal(x, y)))
			return false;
	}
	return true;
}

/* ---- times ---- */

uint64_t
schedule_plan_next(const struct schedule_plan *plan, uint64_t since_ms, uint64_t after_ms)
{
	if (plan->kind == SCHEDULE_AT)
		return plan->at_ms > after_ms ? plan->at_ms : 0;
	return cron_next(&plan->cron, plan->zone, since_ms, after_ms);
}

static uint64_t
plan_latest_every(uint64_t every_ms, uint64_t since_ms, uint64_t now_ms)
{
	return now_ms < since_ms ? 0 : since_ms + (now_ms - since_ms) / every_ms * every_ms;
}

/* Looks back a little first, so that what was due each minute for a month is not gone through. */
static uint64_t
plan_latest_cron(const struct schedule_plan *plan, uint64_t after_ms, uint64_t now_ms)
{
	uint64_t found = 0;

	for (uint64_t back_ms = 60000; !found; back_ms *= 2) {
		bool is_all = back_ms >= now_ms - after_ms;
		uint64_t from_ms = is_all ? after_ms : now_ms - back_ms;
		uint64_t next_ms;

		while ((next_ms = cron_next(&plan->cron, plan->zone, 0, from_ms)) &&
			next_ms <= now_ms)
			found = from_ms = next_ms;
		if (is_all)
			break;
	}
	return found;
}

uint64_t
schedule_plan_latest(
	const struct schedule_plan *plan, uint64_t since_ms, uint64_t after_ms, uint64_t now_ms)
{
	uint64_t latest_ms = plan->at_ms;

	if (now_ms <= after_ms)
		return 0;
	if (plan->kind == SCHEDULE_EVERY)
		latest_ms = plan_latest_every(plan->cron.every_ms, since_ms, now_ms);
	else if (plan->kind == SCHEDULE_CRON)
		latest_ms = plan_latest_cron(plan, after_ms, now_ms);
	if (plan->kind == SCHEDULE_EVERY && latest_ms == since_ms)
		return 0;
	return latest_ms > after_ms && latest_ms <= now_ms ? latest_ms : 0;
}
