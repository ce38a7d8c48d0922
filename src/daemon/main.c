/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-daemon - reads its settings, then is what they say.
 */
#include <stdlib.h>

#include "daemon/connections.h"
#include "daemon/daemon.h"
#include "daemon/doctor_report.h"
#include "runtime/language.h"

static int
main_doctor(const struct config *config)
{
	static struct doctor_report report;
	struct err err = {0};

	doctor_report_make(&report);
	if (language_scan(config->runtime_folders, &err) == 0)
		doctor_report_add_mechanisms(&report);
	else
		fprintf(stderr, "mayfly-daemon: looking for runtimes: %s\n", err.text);
	connections_try(config, &report);
	if (config->is_json)
		doctor_report_print_json(&report, stdout);
	else
		doctor_report_print(&report, stdout);
	return doctor_report_missing(&report) ? 1 : 0;
}

/* Names are resolved on threads of libuv, half of them; one whose servers are silent holds one for
 * as long as the resolver is patient. Both can be set from outside. */
static void
main_prepare_resolver(void)
{
	setenv("UV_THREADPOOL_SIZE", "32", 0);
	setenv("RES_OPTIONS", "timeout:2 attempts:2", 0);
}

static int
main_run(const struct config *config)
{
	struct log_config log;

	if (config->is_help) {
		config_help(stdout);
		return 0;
	}
	if (config->is_version) {
		puts("mayfly " MAYFLY_VERSION);
		return 0;
	}
	config_log(config, &log);
	log_setup(&log);
	if (config->is_doctor)
		return main_doctor(config);
	if (config->is_check) {
		puts("the settings are good");
		return 0;
	}
	main_prepare_resolver();
	return daemon_main(config);
}

int
main(int argc, char **argv)
{
	struct config config;
	struct err err = {0};
	int code;

	if (config_read(&config, argc, argv, &err) == 0) {
		code = main_run(&config);
	} else {
		fprintf(stderr, "mayfly-daemon: %s\n", err.text);
		code = err_exit_code(err.code);
	}
	config_done(&config);
	return code;
}
