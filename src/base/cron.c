/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cron.h"

#include <inttypes.h>

#include "base/civil.h"
#include "base/clock.h"

#define CRON_TEXT_MAX   256
#define CRON_DAYS_MAX   (8 * 366)
#define CRON_EVERY_MAX  (UINT64_C(366) * CIVIL_DAY_S * 1000)
#define CRON_TIME_MAX_S (INT64_C(1) << 40)
#define CRON_NONE       INT64_MAX

/* ---- reading ---- */

struct cron_field {
	const char *name;
	unsigned min, max;
	const char *words; /* three letters each, from `first` on; NULL for none */
	unsigned first;
};

enum { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, N_FIELDS };

static const struct cron_field cron_fields[N_FIELDS] = {
	{"minute", 0, 59, NULL, 0},
	{"hour", 0, 23, NULL, 0},
	{"day of month", 1, 31, NULL, 0},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1},
	{"day of week", 0, 7, "sunmontuewedthufrisat", 0},
};

static bool
cron_word(const struct cron_field *field, struct str text, unsigned *ret)
{
	if (!field->words || text.len != 3)
		return false;
	for (unsigned i = 0; field->words[i * 3]; i++)
		if (str_eq_case(text, str_n(field->words + (size_t)i * 3, 3))) {
			*ret = field->first + i;
			return true;
		}
	return false;
}

static int
cron_number(const struct cron_field *field, struct str text, unsigned *ret, struct err *err)
{
	uint64_t number;

	if (cron_word(field, text, ret))
		return 0;
	if (text.len > 9 || !str_to_u64(text, &number))
		return err_set(err, ERR_INVALID, "%s: \"%.*s\" is not a number%s", field->name,
			STR_ARG(text), field->words ? " or a name like mon or jan" : "");
	if (number < field->min || number > field->max)
		return err_set(err, ERR_INVALID, "%s: %" PRIu64 " is not between %u and %u",
			field->name, number, field->min, field->max);
	*ret = (unsigned)number;
	return 0;
}

/* "*", "5", "mon-fri" */
static int
cron_range(const struct cron_field *field, struct str text, unsigned *ret_from, unsigned *ret_to,
	struct err *err)
{
	struct str from = str_cut(&text, '-');
	int rc;

	if (str_eq(from, STR("*")) && !text.at) {
		*ret_from = field->min;
		*ret_to = field->max;
		return 0;
	}
	rc = cron_number(field, from, ret_from, err);
	*ret_to = *ret_from;
	if (rc == 0 && text.at)
		rc = cron_number(field, text, ret_to, err);
	if (rc == 0 && field == &cron_fields[FIELD_WEEKDAY] && *ret_to == 0 && *ret_from > 0)
		*ret_to = 7; /* fri-sun */
	if (rc == 0 && *ret_to < *ret_from)
		return err_set(err, ERR_INVALID, "%s: the range from %u to %u goes backwards",
			field->name, *ret_from, *ret_to);
	return rc;
}

/* A range with a step behind it, or without one. */
static int
cron_part(const struct cron_field *field, struct str part, uint64_t *bits, struct err *err)
{
	struct str range = str_cut(&part, '/');
	bool is_single = !str_eq(range, STR("*")) && !memchr(range.at, '-', range.len);
	unsigned from = 0, to = 0;
	uint64_t step = 1;
	int rc;

	if (!range.len)
		return err_set(err, ERR_INVALID, "%s: a part of the list is empty", field->name);
	rc = cron_range(field, range, &from, &to, err);
	if (rc < 0)
		return rc;
	if (part.at && is_single)
		return err_set(err, ERR_INVALID, "%s: a step needs * or a range before it, as */5",
			field->name);
	if (part.at && (part.len > 9 || !str_to_u64(part, &step) || !step || step > field->max))
		return err_set(err, ERR_INVALID, "%s: the step \"%.*s\" is not between 1 and %u",
			field->name, STR_ARG(part), field->max);
	for (uint64_t i = from; i <= to; i += step)
		*bits |= UINT64_C(1) << i;
	return 0;
}

static int
cron_field(const struct cron_field *field, struct str text, uint64_t *ret, struct err *err)
{
	uint64_t bits = 0;

	do {
		int rc = cron_part(field, str_cut(&text, ','), &bits, err);

		if (rc < 0)
			return rc;
	} while (text.at);
	*ret = bits;
	return 0;
}

static struct str
cron_next_word(struct str *text)
{
	size_t n = 0;

	*text = str_trim(*text);
	while (n < text->len && text->at[n] != ' ' && text->at[n] != '\t')
		n++;
	struct str word = str_n(text->at, n);

	*text = str_n(text->at + n, text->len - n);
	return word;
}

static bool
cron_has_star(struct str text)
{
	return memchr(text.at, '*', text.len);
}

static int
cron_parse_fields(struct str text, struct cron *ret, struct err *err)
{
	uint64_t bits[N_FIELDS];
	struct str words[N_FIELDS];

	for (size_t i = 0; i < N_FIELDS; i++) {
		words[i] = cron_next_word(&text);
		if (!words[i].len)
			return err_set(err, ERR_INVALID,
				"there are %zu fields, five are needed: minute, hour, day of "
				"month, "
				"month, day of week",
				i);
		int rc = cron_field(&cron_fields[i], words[i], &bits[i], err);

		if (rc < 0)
			return rc;
	}
	if (str_trim(text).len)
		return err_set(err, ERR_INVALID, "there are more than five fields");
	bits[FIELD_WEEKDAY] |= bits[FIELD_WEEKDAY] >> 7 & 1; /* 7 is Sunday too */
	*ret = (struct cron){
		.minutes = bits[FIELD_MINUTE],
		.hours = (uint32_t)bits[FIELD_HOUR],
		.days = (uint32_t)bits[FIELD_DAY],
		.months = (uint32_t)bits[FIELD_MONTH],
		.weekdays = (uint32_t)bits[FIELD_WEEKDAY] & 0x7f,
		.is_any_day = cron_has_star(words[FIELD_DAY]),
		.is_any_weekday = cron_has_star(words[FIELD_WEEKDAY]),
		.is_floating =
			cron_has_star(words[FIELD_MINUTE]) || cron_has_star(words[FIELD_HOUR]),
	};
	return 0;
}

static int
cron_parse_every(struct str text, struct cron *ret, struct err *err)
{
	uint64_t ms = 0;

	text = str_trim(text);
	if (!clock_parse_ms(text, &ms) || str_ends(text, STR("ms")) || ms < 1000 ||
		ms > CRON_EVERY_MAX)
		return err_set(err, ERR_INVALID,
			"@every: \"%.*s\" is not a number with s, m, h or d, at least 1s and at "
			"most 366d",
			STR_ARG(text));
	*ret = (struct cron){.every_ms = ms};
	return 0;
}

static struct str
cron_named(struct str name)
{
	static const struct {
		struct str name, text;
	} named[] = {
		{STR("@yearly"), STR("0 0 1 1 *")},
		{STR("@annually"), STR("0 0 1 1 *")},
		{STR("@monthly"), STR("0 0 1 * *")},
		{STR("@weekly"), STR("0 0 * * 0")},
		{STR("@daily"), STR("0 0 * * *")},
		{STR("@midnight"), STR("0 0 * * *")},
		{STR("@hourly"), STR("0 * * * *")},
	};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (str_eq(name, named[i].name))
			return named[i].text;
	return STR_NONE;
}

int
cron_parse(struct str text, struct cron *ret, struct err *err)
{
	struct str named;

	if (text.len > CRON_TEXT_MAX)
		return err_set(err, ERR_INVALID, "it has more than %d bytes", CRON_TEXT_MAX);
	if (!str_is_utf8(text))
		return err_set(err, ERR_INVALID, "it is not UTF-8");
	text = str_trim(text);
	if (!text.len || text.at[0] != '@')
		return cron_parse_fields(text, ret, err);
	if (str_starts(text, STR("@every ")))
		return cron_parse_every(str_n(text.at + 7, text.len - 7), ret, err);
	named = cron_named(text);
	if (!named.at)
		return err_set(err, ERR_INVALID,
			"\"%.*s\" is not @every, @hourly, @daily, @weekly, @monthly or @yearly",
			STR_ARG(text));
	return cron_parse_fields(named, ret, err);
}

/* ---- what comes next ---- */

/* As Vixie cron: with a * in one of them both must fit, else either. */
static bool
cron_has_day(const struct cron *cron, int64_t day)
{
	struct civil date = civil_of(day);
	bool fits_day = cron->days >> date.day & 1;
	bool fits_weekday = cron->weekdays >> civil_weekday(day) & 1;

	if (!(cron->months >> date.month & 1))
		return false;
	if (cron->is_any_day || cron->is_any_weekday)
		return fits_day && fits_weekday;
	return fits_day || fits_weekday;
}

/* The first minute of the day's table at or after `minute`, -1 for none. */
static int
cron_minute(const struct cron *cron, int minute)
{
	for (int hour = minute / 60, first = minute % 60; hour < 24; hour++, first = 0) {
		uint64_t rest = cron->minutes >> first;

		if (rest && cron->hours >> hour & 1)
			return hour * 60 + first + __builtin_ctzll(rest);
	}
	return -1;
}

/* The first local time that fits at or after from_s and before to_s. */
static int64_t
cron_local(const struct cron *cron, int64_t from_s, int64_t to_s)
{
	int64_t minutes = -civil_div(-from_s, 60);
	int64_t day = civil_div(minutes, 24 * 60);
	int minute = (int)(minutes - day * 24 * 60);

	for (; day * CIVIL_DAY_S < to_s; day++, minute = 0) {
		int found = cron_has_day(cron, day) ? cron_minute(cron, minute) : -1;
		int64_t local = day * CIVIL_DAY_S + found * 60;

		if (found >= 0)
			return local < to_s ? local : CRON_NONE;
	}
	return CRON_NONE;
}

/* The same within a time of one offset that began at begins_s: what the clock showed before it was
 * put back does not come again. */
static int64_t
cron_in(const struct cron *cron, const struct zone *zone, int64_t begins_s, int64_t from_s,
	int64_t to_s)
{
	int32_t offset = zone_offset(zone, from_s);
	int64_t local = from_s + offset, shown = begins_s + zone_offset(zone, begins_s - 1);

	if (!cron->is_floating && local < shown)
		local = shown;
	local = cron_local(cron, local, to_s + offset);
	return local == CRON_NONE ? CRON_NONE : local - offset;
}

/* Whether a fixed time lies in what was left out when the clock was put forward at `moment`. */
static bool
cron_is_in_gap(const struct cron *cron, const struct zone *zone, int64_t moment)
{
	int64_t from = moment + zone_offset(zone, moment - 1);
	int64_t to = moment + zone_offset(zone, moment);

	return !cron->is_floating && cron_local(cron, from, to) != CRON_NONE;
}

/* Goes from one change of the offset to the next. `begins` of the first stretch is not known, which
 * matters for a day behind it: so the way begins two days before. */
static int64_t
cron_search(const struct cron *cron, const struct zone *zone, int64_t after_s, int64_t limit_s)
{
	int64_t begins = after_s - 2 * CIVIL_DAY_S;

	while (begins < limit_s) {
		int64_t ends = zone_next_change(zone, begins);
		int64_t from = begins > after_s ? begins : after_s + 1;
		int64_t to = ends < limit_s ? ends : limit_s;

		if (begins > after_s && cron_is_in_gap(cron, zone, begins))
			return begins;
		int64_t found = from < to ? cron_in(cron, zone, begins, from, to) : CRON_NONE;

		if (found != CRON_NONE)
			return found;
		begins = to;
	}
	return CRON_NONE;
}

uint64_t
cron_next(const struct cron *cron, const struct zone *zone, uint64_t since_ms, uint64_t after_ms)
{
	int64_t after_s = (int64_t)(after_ms / 1000), found;

	if (cron->every_ms && after_ms < since_ms)
		return since_ms + cron->every_ms;
	if (cron->every_ms)
		return since_ms + ((after_ms - since_ms) / cron->every_ms + 1) * cron->every_ms;
	if (after_ms / 1000 > CRON_TIME_MAX_S)
		return 0;
	found = cron_search(cron, zone, after_s, after_s + (int64_t)CRON_DAYS_MAX * CIVIL_DAY_S);
	return found == CRON_NONE || found <= 0 ? 0 : (uint64_t)found * 1000;
}
