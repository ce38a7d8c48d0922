/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/build_install.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/own.h"
#include "domain/build_plan.h"
#include "domain/function.h"

#define INSTALL_PROCESSES  256
#define INSTALL_FILES      1024
#define INSTALL_CPU_WEIGHT 50 /* half of what a call has */
#define HOSTS_MAX          32

static const struct domain *
install_domain(const struct version *version)
{
	return version->function->org->domain;
}

static void
add_variable(struct buf *init, const char *key, const char *value)
{
	buf_printf(init, "%s=%s", key, value);
	buf_add_char(init, '\0');
}

static void
write_init(const struct version *version, struct buf *init)
{
	const struct domain_config *config = &install_domain(version)->config;
	const char *const *command = version->language->build->command;

	for (size_t i = 0; command[i]; i++) {
		char key[40];

		snprintf(key, sizeof(key), "MAYFLY_COMMAND_%zu", i);
		add_variable(init, key, command[i]);
	}
	add_variable(init, "MAYFLY_REGISTRY", config->npm_registry);
	add_variable(init, "MAYFLY_INDEX", config->pip_index);
}

/* The registry of the language, and what the provider allows besides. */
struct hosts {
	char registry[280];
	const char *list[HOSTS_MAX + 1];
};

static int
list_hosts(const struct version *version, struct hosts *ret, struct err *err)
{
	const struct domain_config *config = &install_domain(version)->config;
	bool is_python = strcmp(version->language->family, "python") == 0;
	size_t n = 0;

	ret->list[n++] = ret->registry;
	for (size_t i = 0; config->build_hosts && config->build_hosts[i] && n < HOSTS_MAX; i++)
		ret->list[n++] = config->build_hosts[i];
	ret->list[n] = NULL;
	return build_plan_host(
		is_python ? config->pip_index : config->npm_registry, ret->registry, err);
}

/* Nothing of it is left behind, however this ends. */
static int
open_output(const struct version *version, int *ret, struct err *err)
{
	OWN(mem)
	char *path = mem_printf("%s/build-XXXXXX", install_domain(version)->config.data_dir);

	*ret = mkostemp(path, O_CLOEXEC);
	if (*ret < 0)
		return err_sys(err, "making a file for dependencies");
	unlink(path);
	return 0;
}

int
build_install_start(const struct version *version,
	void (*on_end)(const struct job_end *end, void *arg), void *arg, int *ret_output,
	struct job **ret, struct err *err)
{
	struct domain *domain = version->function->org->domain;
	const struct domain_config *config = &domain->config;
	OWN(buf) struct buf init = BUF_INIT;
	struct hosts hosts;
	struct job_spec spec = {
		.kind = SANDBOX_BUILD,
		.root = domain_root(domain, version->language->build->root),
		.tree = version->tree,
		.limits = {.memory_bytes = config->build_memory_bytes,
			.cpu_weight = INSTALL_CPU_WEIGHT,
			.processes = INSTALL_PROCESSES,
			.open_files = INSTALL_FILES,
			.tmp_bytes = config->build_bytes,
			.file_bytes = config->build_bytes},
		.deadline_ms = config->build_ms,
		.input = -1,
		.hosts = hosts.list,
		.on_end = on_end,
		.arg = arg,
	};
	int rc = list_hosts(version, &hosts, err);

	if (rc >= 0)
		rc = open_output(version, ret_output, err);
	if (rc < 0)
		return rc;
	write_init(version, &init);
	spec.init = buf_str(&init);
	spec.output = *ret_output;
	return job_start(domain, &spec, ret, err);
}
