/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/version_config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

#define IDLE_MS_MAX        3600000
#define VARIABLES_MAX      100
#define VARIABLE_KEY_MAX   128
#define VARIABLE_VALUE_MAX (32 * 1024)
#define ENVIRONMENT_MAX    (64 * 1024)
#define VARIABLE_RESERVED  "MAYFLY_"
#define DESCRIPTION_MAX    255
#define WORD_MAX           32

static const char *const isolation_words[] = {
	[VERSION_ISOLATION_CALL] = "call",
	[VERSION_ISOLATION_INSTANCE] = "instance",
};

/* ---- as a whole ---- */

void
version_config_default(const struct domain *domain, struct version_config *ret)
{
	*ret = (struct version_config){
		.isolation = VERSION_ISOLATION_CALL,
		.mechanism = MECHANISM_AUTO,
		.concurrency = 1,
		.max_instances = 16,
		.idle_ms = domain->config.idle_ms,
	};
	if (ret->max_instances > domain->config.max_instances)
		ret->max_instances = domain->config.max_instances;
	limits_default(&ret->limits);
	delivery_policy_default(&ret->queue);
}

static void
environment_done(struct version_config *config)
{
	for (size_t i = 0; i < config->n_environment; i++) {
		free(config->environment[i].key);
		free(config->environment[i].value);
	}
	free(config->environment);
	config->environment = NULL;
	config->n_environment = 0;
}

void
version_config_done(struct version_config *config)
{
	environment_done(config);
	network_done(&config->network);
	delivery_policy_done(&config->queue);
}

static void
environment_add(struct version_config *config, const char *key, const char *value)
{
	size_t n = config->n_environment++;

	config->environment =
		mem_grow(config->environment, config->n_environment * sizeof(*config->environment));
	config->environment[n].key = str_dup(str_of(key));
	config->environment[n].value = str_dup(str_of(value));
}

void
version_config_copy(const struct version_config *from, struct version_config *ret)
{
	*ret = *from;
	ret->environment = NULL;
	ret->n_environment = 0;
	for (size_t i = 0; i < from->n_environment; i++)
		environment_add(ret, from->environment[i].key, from->environment[i].value);
	network_copy(&from->network, &ret->network);
	delivery_policy_copy(&from->queue, &ret->queue);
}

/* ---- reading ---- */

static void
field_of(const char *path, const char *key, char ret[static sizeof(((struct err *)0)->field)])
{
	snprintf(ret, sizeof(((struct err *)0)->field), "%s%s%s", path, *path ? "." : "", key);
}

static bool
is_variable_name(const char *key)
{
	if (!isalpha((unsigned char)*key) && *key != '_')
		return false;
	for (; *key; key++)
		if (!isalnum((unsigned char)*key) && *key != '_')
			return false;
	return true;
}

/* The rule that a variable breaks, NULL if none. */
static const char *
variable_fault(const char *key, const json_t *value)
{
	if (!is_variable_name(key))
		return "is no name of a variable: letters, digits and '_', no digit first";
	if (strlen(key) > VARIABLE_KEY_MAX)
		return "has a name of more than 128 bytes";
	if (str_starts(str_of(key), STR(VARIABLE_RESERVED)))
		return "begins with MAYFLY_, which is mayfly's own";
	if (!json_is_string(value))
		return "must be a string";
	if (json_string_length(value) > VARIABLE_VALUE_MAX)
		return "has more than 32 KiB";
	if (strlen(json_string_value(value)) != json_string_length(value))
		return "has a NUL in it";
	return NULL;
}

static int
read_environment(
	const json_t *object, const char *field, struct version_config *config, struct err *err)
{
	size_t total = 0;
	const char *key;
	json_t *value;

	environment_done(config);
	if (json_object_size(object) > VARIABLES_MAX)
		return err_field(err, ERR_INVALID, field, "%s has more than %d variables", field,
			VARIABLES_MAX);
	json_object_foreach ((json_t *)object, key, value) {
		const char *fault = variable_fault(key, value);

		if (fault)
			return err_field(
				err, ERR_INVALID, field, "%s: '%.60s' %s", field, key, fault);
		total += strlen(key) + json_string_length(value) + 2;
		environment_add(config, key, json_string_value(value));
	}
	if (total > ENVIRONMENT_MAX)
		return err_field(err, ERR_INVALID, field, "%s has more than 64 KiB in all", field);
	return 0;
}

static int
read_isolation(
	const json_t *object, const char *path, struct version_config *config, struct err *err)
{
	const char *word = NULL;
	char field[sizeof(err->field)];
	int rc = json_get_str(object, path, "isolation", JSON_OPTIONAL, WORD_MAX, &word, err);

	if (rc < 0 || !word)
		return rc;
	for (int i = VERSION_ISOLATION_CALL; i <= VERSION_ISOLATION_INSTANCE; i++) {
		if (strcmp(word, isolation_words[i]) != 0)
			continue;
		config->isolation = (enum version_isolation)i;
		return 0;
	}
	field_of(path, "isolation", field);
	return err_field(err, ERR_INVALID, field, "%s must be \"call\" or \"instance\"", field);
}

static int
read_mechanism(
	const json_t *object, const char *path, struct version_config *config, struct err *err)
{
	const char *word = NULL;
	char field[sizeof(err->field)];
	int rc = json_get_str(object, path, "mechanism", JSON_OPTIONAL, WORD_MAX, &word, err);

	if (rc < 0 || !word || mechanism_of_word(str_of(word), &config->mechanism))
		return rc;
	field_of(path, "mechanism", field);
	return err_field(err, ERR_INVALID, field,
		"%s must be \"auto\", \"rollback\", \"fork\" or \"once\"", field);
}

/* Members that do not go together. */
static int
check_together(const struct version_config *config, const char *path, struct err *err)
{
	bool is_call = config->isolation == VERSION_ISOLATION_CALL;
	char field[sizeof(err->field)];

	if (is_call && config->concurrency > 1) {
		field_of(path, "concurrency", field);
		return err_field(
			err, ERR_INVALID, field, "%s must be 1 with isolation call", field);
	}
	if (!is_call && config->mechanism != MECHANISM_AUTO) {
		field_of(path, "mechanism", field);
		return err_field(
			err, ERR_INVALID, field, "%s goes with isolation call only", field);
	}
	if (config->min_instances > config->max_instances) {
		field_of(path, "min_instances", field);
		return err_field(err, ERR_INVALID, field, "%s must be at most max_instances (%u)",
			field, config->max_instances);
	}
	return 0;
}

static int
read_unsigned(const json_t *object, const char *path, const char *key, unsigned min, unsigned max,
	unsigned *ret, struct err *err)
{
	uint64_t number = *ret;
	int rc = json_get_u64(object, path, key, JSON_OPTIONAL, min, max, &number, err);

	if (rc >= 0)
		*ret = (unsigned)number;
	return rc;
}

static int
read_numbers(const struct domain *domain, const json_t *object, const char *path,
	struct version_config *config, struct err *err)
{
	int rc = read_unsigned(object, path, "concurrency", 1, domain->config.max_concurrency,
		&config->concurrency, err);

	if (rc >= 0)
		rc = read_unsigned(object, path, "max_instances", 1, domain->config.max_instances,
			&config->max_instances, err);
	if (rc >= 0)
		rc = read_unsigned(object, path, "min_instances", 0, domain->config.max_instances,
			&config->min_instances, err);
	if (rc >= 0)
		rc = read_unsigned(object, path, "idle_ms", 0, IDLE_MS_MAX, &config->idle_ms, err);
	if (rc >= 0)
		rc = json_get_bool(object, path, "keep_on_disconnect", JSON_OPTIONAL,
			&config->is_kept_on_disconnect, err);
	return rc;
}

static int
read_description(
	const json_t *object, const char *path, struct version_config *config, struct err *err)
{
	const char *text = NULL;
	int rc = json_get_str(
		object, path, "description", JSON_OPTIONAL, DESCRIPTION_MAX, &text, err);

	if (rc >= 0 && text)
		snprintf(config->description, sizeof(config->description), "%s", text);
	return rc;
}

static int
read_objects(const json_t *object, const char *path, struct version_config *config, struct err *err)
{
	const json_t *limits = NULL, *environment = NULL, *network = NULL, *queue = NULL;
	char field[sizeof(err->field)];
	int rc = json_get_object(object, path, "limits", JSON_OPTIONAL, &limits, err);

	if (rc >= 0)
		rc = json_get_object(object, path, "environment", JSON_OPTIONAL, &environment, err);
	if (rc >= 0)
		rc = json_get_object(object, path, "network", JSON_OPTIONAL, &network, err);
	if (rc >= 0)
		rc = json_get_object(object, path, "queue", JSON_OPTIONAL, &queue, err);
	if (rc >= 0 && limits) {
		field_of(path, "limits", field);
		rc = limits_read(limits, field, &config->limits, err);
	}
	if (rc >= 0 && environment) {
		field_of(path, "environment", field);
		rc = read_environment(environment, field, config, err);
	}
	if (rc >= 0 && network) {
		field_of(path, "network", field);
		rc = network_read(network, field, &config->network, err);
	}
	if (rc >= 0 && queue) {
		field_of(path, "queue", field);
		rc = delivery_policy_read(queue, field, &config->queue, err);
	}
	return rc;
}

static inline void
own_config(struct version_config *config)
{
	version_config_done(config);
}

int
version_config_read(const struct domain *domain, const json_t *object, const char *path,
	struct version_config *ret, struct err *err)
{
	OWN(config) struct version_config config;
	struct version_config old = *ret;
	int rc;

	version_config_copy(ret, &config);
	rc = read_isolation(object, path, &config, err);
	if (rc >= 0)
		rc = read_mechanism(object, path, &config, err);
	if (rc >= 0)
		rc = read_numbers(domain, object, path, &config, err);
	if (rc >= 0)
		rc = read_description(object, path, &config, err);
	if (rc >= 0)
		rc = read_objects(object, path, &config, err);
	if (rc >= 0)
		rc = check_together(&config, path, err);
	if (rc < 0)
		return rc;
	*ret = config;
	config = old;
	return 0;
}

static void
cut_down(json_t *object, const char *key, json_int_t max)
{
	const json_t *member = json_object_get(object, key);

	if (json_is_integer(member) && json_integer_value(member) > max)
		json_object_set_new(object, key, json_integer(max));
}

int
version_config_restore(
	const struct domain *domain, const char *text, struct version_config *ret, struct err *err)
{
	OWN(json) json_t *object = NULL;
	int rc = json_parse(str_of(text), &object, err);

	if (rc < 0)
		return rc;
	/* A version from before there was isolation `call` stays what it was. */
	if (!json_object_get(object, "isolation"))
		json_object_set_new(object, "isolation",
			json_string(isolation_words[VERSION_ISOLATION_INSTANCE]));
	cut_down(object, "concurrency", domain->config.max_concurrency);
	cut_down(object, "max_instances", domain->config.max_instances);
	cut_down(object, "min_instances", domain->config.max_instances);
	cut_down(object, "idle_ms", IDLE_MS_MAX);
	limits_restore(json_object_get(object, "limits"), &ret->limits);
	json_object_del(object, "limits");
	return version_config_read(domain, object, "", ret, err);
}

/* ---- writing ---- */

const char *
version_isolation_word(enum version_isolation isolation)
{
	return isolation_words[isolation];
}

static json_t *
environment_json(const struct version_config *config, bool is_with_values)
{
	json_t *object = json_object();

	for (size_t i = 0; i < config->n_environment; i++) {
		const struct version_variable *variable = &config->environment[i];

		json_object_set_new(object, variable->key,
			is_with_values ? json_string(variable->value) : json_null());
	}
	return object;
}

json_t *
version_config_json(const struct version_config *config, bool is_with_values)
{
	json_t *object = json_object();

	json_object_set_new(object, "limits", limits_json(&config->limits));
	json_object_set_new(object, "isolation", json_string(isolation_words[config->isolation]));
	json_object_set_new(object, "mechanism", json_string(mechanism_word(config->mechanism)));
	json_object_set_new(object, "concurrency", json_integer(config->concurrency));
	json_object_set_new(object, "min_instances", json_integer(config->min_instances));
	json_object_set_new(object, "max_instances", json_integer(config->max_instances));
	json_object_set_new(object, "idle_ms", json_integer(config->idle_ms));
	json_object_set_new(
		object, "keep_on_disconnect", json_boolean(config->is_kept_on_disconnect));
	json_object_set_new(object, "description", json_string(config->description));
	json_object_set_new(object, "environment", environment_json(config, is_with_values));
	json_object_set_new(object, "network", network_json(&config->network));
	json_object_set_new(object, "queue", delivery_policy_json(&config->queue));
	return object;
}
