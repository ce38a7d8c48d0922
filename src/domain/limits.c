/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What a sandbox is told in 32 bits must fit. */
#define LIMITS_HIGHEST UINT32_MAX

#define X(name, number, lowest, highest, words)                                                    \
	{.field = #name,                                                                           \
		.text = words,                                                                     \
		.value = number,                                                                   \
		.floor = lowest,                                                                   \
		.ceiling = highest,                                                                \
		.offset = offsetof(struct limits, name)},
struct limits_rule limits_table[LIMITS_N] = {LIMITS(X)};
#undef X

static uint64_t *
limits_at(struct limits *limits, const struct limits_rule *rule)
{
	return (uint64_t *)((char *)limits + rule->offset);
}

static struct limits_rule *
limits_find(const char *field)
{
	for (size_t i = 0; i < LIMITS_N; i++)
		if (strcmp(limits_table[i].field, field) == 0)
			return &limits_table[i];
	return NULL;
}

static int
limits_refuse(const char *path, const struct limits_rule *rule, bool is_number, struct err *err)
{
	char field[sizeof(err->field)];

	snprintf(field, sizeof(field), "%s%s%s", path, *path ? "." : "", rule->field);
	return err_field(err, ERR_INVALID, field, "%s must be %sbetween %" PRIu64 " and %" PRIu64,
		field, is_number ? "" : "a whole number ", rule->floor, rule->ceiling);
}

/* A default above a ceiling that came down comes down with it. */
static int
limits_set_ceiling(struct limits_rule *rule, uint64_t number, struct err *err)
{
	if (number < rule->floor || number > LIMITS_HIGHEST)
		return err_field(err, ERR_INVALID, rule->field,
			"the ceiling of %s must be between %" PRIu64 " and %" PRIu64, rule->field,
			rule->floor, (uint64_t)LIMITS_HIGHEST);
	rule->ceiling = number;
	if (rule->value > number)
		rule->value = number;
	return 0;
}

static int
limits_set_value(struct limits_rule *rule, uint64_t number, struct err *err)
{
	if (number < rule->floor || number > rule->ceiling)
		return err_field(err, ERR_INVALID, rule->field,
			"the default of %s must be between %" PRIu64 " and %" PRIu64, rule->field,
			rule->floor, rule->ceiling);
	rule->value = number;
	return 0;
}

int
limits_configure(const char *field, const char *what, uint64_t number, struct err *err)
{
	struct limits_rule *rule = limits_find(field);

	if (!rule)
		return err_field(err, ERR_INVALID, field, "there is no limit %s", field);
	if (strcmp(what, "ceiling") == 0)
		return limits_set_ceiling(rule, number, err);
	if (strcmp(what, "value") == 0)
		return limits_set_value(rule, number, err);
	return err_field(err, ERR_INVALID, field,
		"a limit has a value and a ceiling to configure, no '%s'", what);
}

void
limits_default(struct limits *ret)
{
	for (size_t i = 0; i < LIMITS_N; i++)
		*limits_at(ret, &limits_table[i]) = limits_table[i].value;
}

static int
limits_read_one(const json_t *object, const char *path, const struct limits_rule *rule,
	struct limits *limits, struct err *err)
{
	const json_t *member = json_object_get(object, rule->field);
	json_int_t number = json_integer_value(member);

	if (!member || json_is_null(member))
		return 0;
	if (!json_is_integer(member) || number < 0 || (uint64_t)number < rule->floor ||
		(uint64_t)number > rule->ceiling)
		return limits_refuse(path, rule, json_is_integer(member), err);
	*limits_at(limits, rule) = (uint64_t)number;
	return 0;
}

int
limits_read(const json_t *object, const char *path, struct limits *ret, struct err *err)
{
	const char *known[LIMITS_N + 1] = {NULL};
	struct limits limits = *ret;
	int rc;

	for (size_t i = 0; i < LIMITS_N; i++)
		known[i] = limits_table[i].field;
	rc = json_check_keys(object, path, known, err);
	for (size_t i = 0; rc == 0 && i < LIMITS_N; i++)
		rc = limits_read_one(object, path, &limits_table[i], &limits, err);
	if (rc == 0)
		*ret = limits;
	return rc;
}

void
limits_restore(const json_t *object, struct limits *ret)
{
	for (size_t i = 0; i < LIMITS_N; i++) {
		const struct limits_rule *rule = &limits_table[i];
		const json_t *member = json_object_get(object, rule->field);
		json_int_t number = json_integer_value(member);

		if (!json_is_integer(member))
			continue;
		if (number < 0 || (uint64_t)number < rule->floor)
			*limits_at(ret, rule) = rule->floor;
		else if ((uint64_t)number > rule->ceiling)
			*limits_at(ret, rule) = rule->ceiling;
		else
			*limits_at(ret, rule) = (uint64_t)number;
	}
}

json_t *
limits_json(const struct limits *limits)
{
	json_t *object = json_object();

	for (size_t i = 0; i < LIMITS_N; i++) {
		const struct limits_rule *rule = &limits_table[i];
		uint64_t number = *(const uint64_t *)((const char *)limits + rule->offset);

		json_object_set_new(object, rule->field, json_integer((json_int_t)number));
	}
	return object;
}
