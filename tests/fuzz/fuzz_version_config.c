/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_version_config - version_config_read(): what it accepts keeps every rule, and is read again
 * as the same configuration; what it refuses changes nothing.
 */
#include "fuzz.h"

#include "domain/version.h"

static void
check_rules(const struct domain *domain, const struct version_config *config)
{
	must(config->concurrency >= 1 && config->concurrency <= domain->config.max_concurrency);
	must(config->max_instances >= 1 && config->max_instances <= domain->config.max_instances);
	must(config->min_instances <= config->max_instances);
	must(config->isolation == VERSION_ISOLATION_INSTANCE || config->concurrency == 1);
	must(config->isolation == VERSION_ISOLATION_CALL || config->mechanism == MECHANISM_AUTO);
	must(config->n_environment <= 100);
	for (size_t i = 0; i < LIMITS_N; i++) {
		const struct limits_rule *rule = &limits_table[i];
		uint64_t number;

		memcpy(&number, (const char *)&config->limits + rule->offset, sizeof(number));
		must(number >= rule->floor && number <= rule->ceiling);
	}
	for (size_t i = 0; i < config->n_environment; i++) {
		must(!strchr(config->environment[i].key, '='));
		must(strncmp(config->environment[i].key, "MAYFLY_", 7) != 0);
	}
}

/* A NUL-terminated copy for what reads texts of the store. */
static void
check_restore(const struct domain *domain, struct str text)
{
	OWN(mem) char *copy = str_dup(text);
	struct version_config config;
	struct err err = {0};

	version_config_default(domain, &config);
	if (version_config_restore(domain, copy, &config, &err) == 0)
		check_rules(domain, &config);
	version_config_done(&config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct domain domain = {0};
	struct version_config config, again;
	OWN(json) json_t *object = NULL;
	OWN(json) json_t *before = NULL;
	OWN(json) json_t *after = NULL;
	struct err err = {0};
	int rc;

	domain_config_default(&domain.config);
	check_restore(&domain, str_n(bytes, size));
	if (json_parse(str_n(bytes, size), &object, &err) < 0)
		return 0;
	version_config_default(&domain, &config);
	version_config_default(&domain, &again);
	before = version_config_json(&config, true);
	rc = version_config_read(&domain, object, "", &config, &err);
	must(rc == err.code);
	check_rules(&domain, &config);
	after = version_config_json(&config, true);
	if (rc < 0)
		must(json_equal(before, after) && err.text[0]);
	else
		must(version_config_read(&domain, after, "", &again, &err) == 0);
	version_config_done(&config);
	version_config_done(&again);
	return 0;
}
