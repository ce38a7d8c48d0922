/* SPDX-License-Identifier: Apache-2.0 */
#include "base/zone_rule.h"

#include "base/civil.h"

#define RULE_YEARS_MAX 3 /* behind the year asked about: a change may be shifted over its end */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
take_char(struct str *text, char c)
{
	if (!text->len || text->at[0] != c)
		return false;
	text->at++;
	text->len--;
	return true;
}

static bool
take_number(struct str *text, unsigned min, unsigned max, unsigned *ret)
{
	unsigned number = 0;
	size_t n = 0;

	while (n < text->len && n < 4 && is_digit(text->at[n]))
		number = number * 10 + (unsigned)(text->at[n++] - '0');
	if (!n || number < min || number > max)
		return false;
	text->at += n;
	text->len -= n;
	*ret = number;
	return true;
}

/* "CET", "<+0330>": what it is called does not matter here. */
static bool
take_name(struct str *text)
{
	bool is_quoted = take_char(text, '<');
	size_t n = 0;

	while (n < text->len &&
		(is_letter(text->at[n]) ||
			(is_quoted && (is_digit(text->at[n]) || text->at[n] == '+' ||
					      text->at[n] == '-'))))
		n++;
	text->at += n;
	text->len -= n;
	return n >= 3 && (!is_quoted || take_char(text, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool
take_time(struct str *text, unsigned max_hours, int32_t *ret)
{
	bool is_negative = take_char(text, '-');
	unsigned hours, minutes = 0, seconds = 0;
	int32_t total;

	if (!is_negative)
		take_char(text, '+');
	if (!take_number(text, 0, max_hours, &hours))
		return false;
	if (take_char(text, ':')) {
		if (!take_number(text, 0, 59, &minutes))
			return false;
		if (take_char(text, ':') && !take_number(text, 0, 59, &seconds))
			return false;
	}
	total = (int32_t)(hours * 3600 + minutes * 60 + seconds);
	*ret = is_negative ? -total : total;
	return true;
}

static bool
take_weekday(struct str *text, struct zone_rule_change *ret)
{
	ret->kind = ZONE_RULE_WEEKDAY;
	return take_number(text, 1, 12, &ret->month) && take_char(text, '.') &&
	       take_number(text, 1, 5, &ret->week) && take_char(text, '.') &&
	       take_number(text, 0, 6, &ret->day);
}

static bool
take_day(struct str *text, struct zone_rule_change *ret)
{
	if (take_char(text, 'M'))
		return take_weekday(text, ret);
	if (take_char(text, 'J')) {
		ret->kind = ZONE_RULE_JULIAN;
		return take_number(text, 1, 365, &ret->day);
	}
	ret->kind = ZONE_RULE_ZERO_DAY;
	return take_number(text, 0, 365, &ret->day);
}

static bool
take_change(struct str *text, struct zone_rule_change *ret)
{
	ret->time_s = 2 * 3600;
	return take_char(text, ',') && take_day(text, ret) &&
	       (!take_char(text, '/') || take_time(text, 167, &ret->time_s));
}

/* POSIX counts offsets to the west. */
static bool
take_offset(struct str *text, int32_t *ret)
{
	int32_t west;

	if (!take_time(text, 24, &west))
		return false;
	*ret = -west;
	return true;
}

static bool
take_summer(struct str *text, struct zone_rule *rule)
{
	rule->has_summer = true;
	rule->summer = rule->standard + 3600;
	if (!take_name(text))
		return false;
	if (text->len && text->at[0] != ',' && !take_offset(text, &rule->summer))
		return false;
	return take_change(text, &rule->to_summer) && take_change(text, &rule->to_standard);
}

int
zone_rule_parse(struct str text, struct zone_rule *ret, struct err *err)
{
	struct zone_rule rule = {0};
	bool is_good = take_name(&text) && take_offset(&text, &rule.standard);

	if (is_good && text.len)
		is_good = take_summer(&text, &rule);
	if (!is_good || text.len)
		return err_set(err, ERR_INVALID, "the rule at the end of the file is malformed");
	*ret = rule;
	return 0;
}

/* ---- times ---- */

static int64_t
change_weekday(const struct zone_rule_change *change, int64_t year)
{
	int64_t first = civil_days((struct civil){year, change->month, 1});
	unsigned day = (change->day + 7 - civil_weekday(first)) % 7 + (change->week - 1) * 7;

	while (day >= civil_month_days(year, change->month))
		day -= 7;
	return first + day;
}

/* Seconds since 1970 as the clock shows them just before the change. */
static int64_t
change_local(const struct zone_rule_change *change, int64_t year)
{
	int64_t day = civil_days((struct civil){year, 1, 1});

	switch (change->kind) {
	case ZONE_RULE_WEEKDAY:
		day = change_weekday(change, year);
		break;
	case ZONE_RULE_JULIAN:
		day += change->day - 1 + (civil_is_leap(year) && change->day > 59);
		break;
	case ZONE_RULE_ZERO_DAY:
		day += change->day;
		break;
	}
	return day * CIVIL_DAY_S + change->time_s;
}

static int64_t
rule_summer_begins(const struct zone_rule *rule, int64_t year)
{
	return change_local(&rule->to_summer, year) - rule->standard;
}

static int64_t
rule_summer_ends(const struct zone_rule *rule, int64_t year)
{
	return change_local(&rule->to_standard, year) - rule->summer;
}

static int64_t
rule_year(const struct zone_rule *rule, int64_t unix_s)
{
	return civil_of(civil_div(unix_s + rule->standard, CIVIL_DAY_S)).year;
}

int32_t
zone_rule_offset(const struct zone_rule *rule, int64_t unix_s)
{
	int64_t year, begins, ends;
	bool is_summer;

	if (!rule->has_summer)
		return rule->standard;
	year = rule_year(rule, unix_s);
	begins = rule_summer_begins(rule, year);
	ends = rule_summer_ends(rule, year);
	if (begins < ends)
		is_summer = unix_s >= begins && unix_s < ends;
	else
		is_summer = unix_s >= begins || unix_s < ends;
	return is_summer ? rule->summer : rule->standard;
}

/* The beginning of a year is looked at too: where summer time lasts over it, the rule of the next
 * year may begin with something else. */
static int64_t
rule_year_begins(const struct zone_rule *rule, int64_t year)
{
	return civil_days((struct civil){year, 1, 1}) * CIVIL_DAY_S - rule->standard;
}

int64_t
zone_rule_next(const struct zone_rule *rule, int64_t unix_s)
{
	int64_t from = rule_year(rule, unix_s), next = INT64_MAX;

	if (!rule->has_summer)
		return INT64_MAX;
	for (int64_t year = from; year <= from + RULE_YEARS_MAX && next == INT64_MAX; year++) {
		const int64_t moments[] = {rule_year_begins(rule, year),
			rule_summer_begins(rule, year), rule_summer_ends(rule, year)};

		for (size_t i = 0; i < 3; i++)
			if (moments[i] > unix_s && moments[i] < next &&
				zone_rule_offset(rule, moments[i]) !=
					zone_rule_offset(rule, moments[i] - 1))
				next = moments[i];
	}
	return next;
}
