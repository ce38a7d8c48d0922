/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/version.h"

#include <ctype.h>
#include <stdlib.h>

#include "domain/build.h"
#include "domain/function.h"
#include "domain/pool.h"
#include "domain/shelf.h"
#include "store/rows.h"

#define IDLE_MS_MAX        3600000
#define VARIABLES_MAX      100
#define VARIABLE_KEY_MAX   128
#define VARIABLE_VALUE_MAX (32 * 1024)
#define ENVIRONMENT_MAX    (64 * 1024)
#define VARIABLE_RESERVED  "MAYFLY_"
#define ISOLATION_INSTANCE "instance"
#define DESCRIPTION_MAX    255

static const char *const state_words[] = {
	[VERSION_INITIALIZING] = "initializing",
	[VERSION_READY] = "ready",
	[VERSION_FAILED] = "failed",
};

const char *
version_state_word(enum version_state state)
{
	return state_words[state];
}

/* ---- configuration ---- */

void
version_config_default(const struct domain *domain, struct version_config *ret)
{
	*ret = (struct version_config){
		.isolation = VERSION_ISOLATION_INSTANCE,
		.concurrency = 1,
		.max_instances = 16,
		.idle_ms = domain->config.idle_ms,
	};
	if (ret->max_instances > domain->config.max_instances)
		ret->max_instances = domain->config.max_instances;
	limits_default(&ret->limits);
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
}

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
read_isolation(const json_t *object, const char *path, struct err *err)
{
	const char *word = NULL;
	char field[sizeof(err->field)];
	int rc = json_get_str(object, path, "isolation", JSON_OPTIONAL, 32, &word, err);

	if (rc < 0 || !word || strcmp(word, ISOLATION_INSTANCE) == 0)
		return rc;
	field_of(path, "isolation", field);
	return err_field(err, ERR_INVALID, field, "%s must be \"instance\"", field);
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
	const json_t *limits = NULL, *environment = NULL;
	char field[sizeof(err->field)];
	int rc = json_get_object(object, path, "limits", JSON_OPTIONAL, &limits, err);

	if (rc >= 0)
		rc = json_get_object(object, path, "environment", JSON_OPTIONAL, &environment, err);
	if (rc >= 0 && limits) {
		field_of(path, "limits", field);
		rc = limits_read(limits, field, &config->limits, err);
	}
	if (rc >= 0 && environment) {
		field_of(path, "environment", field);
		rc = read_environment(environment, field, config, err);
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
	rc = read_isolation(object, path, err);
	if (rc >= 0)
		rc = read_numbers(domain, object, path, &config, err);
	if (rc >= 0)
		rc = read_description(object, path, &config, err);
	if (rc >= 0)
		rc = read_objects(object, path, &config, err);
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
	cut_down(object, "concurrency", domain->config.max_concurrency);
	cut_down(object, "max_instances", domain->config.max_instances);
	cut_down(object, "idle_ms", IDLE_MS_MAX);
	limits_restore(json_object_get(object, "limits"), &ret->limits);
	json_object_del(object, "limits");
	return version_config_read(domain, object, "", ret, err);
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
	json_object_set_new(object, "isolation", json_string(ISOLATION_INSTANCE));
	json_object_set_new(object, "concurrency", json_integer(config->concurrency));
	json_object_set_new(object, "max_instances", json_integer(config->max_instances));
	json_object_set_new(object, "idle_ms", json_integer(config->idle_ms));
	json_object_set_new(
		object, "keep_on_disconnect", json_boolean(config->is_kept_on_disconnect));
	json_object_set_new(object, "description", json_string(config->description));
	json_object_set_new(object, "environment", environment_json(config, is_with_values));
	return object;
}

/* ---- life ---- */

struct version *
version_new(struct function *function, uint32_t number)
{
	struct version *version = mem_new(sizeof(*version));

	version->function = function;
	version->number = number;
	version->reason = str_dup(STR(""));
	version->build_log = str_dup(STR(""));
	list_push_back(&function->versions, &version->link);
	return version;
}

void
version_row(const struct version *version, struct row_version *ret, char **ret_config)
{
	OWN(json) json_t *config = version_config_json(&version->config, true);
	struct buf text = BUF_INIT;

	*ret = (struct row_version){
		.number = version->number,
		.reason = version->reason,
		.build_log = version->build_log,
		.created_ms = version->created_ms,
		.ready_ms = version->ready_ms,
	};
	snprintf(ret->org, sizeof(ret->org), "%s", version->function->org->name);
	snprintf(ret->function, sizeof(ret->function), "%s", version->function->name);
	snprintf(ret->state, sizeof(ret->state), "%s", version_state_word(version->state));
	memcpy(ret->runtime, version->runtime, sizeof(ret->runtime));
	memcpy(ret->handler, version->handler, sizeof(ret->handler));
	memcpy(ret->source, version->source, sizeof(ret->source));
	memcpy(ret->filename, version->filename, sizeof(ret->filename));
	memcpy(ret->tree, version->tree, sizeof(ret->tree));
	memcpy(ret->deps, version->deps, sizeof(ret->deps));
	json_write(config, &text);
	*ret_config = buf_take(&text, NULL);
	ret->config = *ret_config;
}

void
version_free(struct version *version)
{
	list_remove(&version->link);
	version_config_done(&version->config);
	free(version->reason);
	free(version->build_log);
	free(version);
}

/* Nobody holds it: its instances end, and what only it used is taken from the disk. */
static void
version_go(struct version *version) ON_LOOP
{
	struct function *function = version->function;

	pool_free(version->pool);
	shelf_release(function->org->domain, version->tree);
	shelf_release(function->org->domain, version->deps);
	version_free(version);
	function_settle(function);
}

void
version_hold(struct version *version)
{
	version->n_users++;
}

void
version_release(struct version *version)
{
	must(version->n_users);
	if (--version->n_users == 0 && version->is_dropped)
		version_go(version);
}

void
version_drop(struct version *version)
{
	must(!version->is_dropped);
	version->is_dropped = true;
	list_remove(&version->link);
	list_push_back(&version->function->dropped, &version->link);
	version_hold(version);
	if (version->build)
		build_cancel(version);
	if (version->pool)
		pool_retire(version->pool);
	version_release(version);
}
