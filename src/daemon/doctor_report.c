/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/doctor_report.h"

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "runtime/mechanism.h"

static const char *const doctor_groups[] = {
	[DOCTOR_PROTECTION] = "protection",
	[DOCTOR_LIMIT] = "limit",
	[DOCTOR_MECHANISM] = "mechanism",
	[DOCTOR_CONNECTION] = "connection",
};

/* Limits that need no kernel's help: the daemon counts for itself. */
static const struct doctor_finding doctor_own[] = {
	{"limit.wall_time", DOCTOR_LIMIT, true, true, "a timer of the daemon for each call"},
	{"limit.request", DOCTOR_LIMIT, true, true, "the server takes no larger body"},
	{"limit.answer", DOCTOR_LIMIT, true, true, "the daemon counts what the function sends"},
	{"limit.log", DOCTOR_LIMIT, true, true, "the daemon counts what the function prints"},
};
#define DOCTOR_OWN (sizeof(doctor_own) / sizeof(*doctor_own))

/* The daemon ends the call, but somebody has to measure it. */
static struct doctor_finding
doctor_report_cpu_time(const struct doctor_finding *meter)
{
	struct doctor_finding finding = {
		.name = "limit.cpu_time", .group = DOCTOR_LIMIT, .is_there = meter->is_there};

	snprintf(finding.why, sizeof(finding.why), "%s%.120s",
		meter->is_there ? "the daemon reads " : "not measured: ", meter->why);
	return finding;
}

static void
doctor_report_insert(
	struct doctor_report *report, size_t at, const struct doctor_finding *findings, size_t n)
{
	must(report->n + n <= DOCTOR_REPORT_MAX);
	memmove(&report->findings[at + n], &report->findings[at],
		(report->n - at) * sizeof(*findings));
	memcpy(&report->findings[at], findings, n * sizeof(*findings));
	report->n += n;
}

void
doctor_report_make(struct doctor_report *ret)
{
	size_t at = 0;

	ret->n = doctor_examine(ret->findings, DOCTOR_REPORT_MAX);
	while (at < ret->n && ret->findings[at].group != DOCTOR_MECHANISM)
		at++;
	doctor_report_insert(ret, at, doctor_own, DOCTOR_OWN);
	for (size_t i = 0; i < at; i++) {
		struct doctor_finding cpu_time;

		if (strcmp(ret->findings[i].name, "meter.cpu") != 0)
			continue;
		cpu_time = doctor_report_cpu_time(&ret->findings[i]);
		doctor_report_insert(ret, at, &cpu_time, 1);
		break;
	}
}

void
doctor_report_add_mechanisms(struct doctor_report *report)
{
	mechanism_examine(report->findings, report->n);
	report->n = mechanism_explain(report->findings, report->n, DOCTOR_REPORT_MAX);
}

const struct doctor_finding *
doctor_report_missing(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->n; i++)
		if (report->findings[i].is_needed && !report->findings[i].is_there)
			return &report->findings[i];
	return NULL;
}

void
doctor_report_print(const struct doctor_report *report, FILE *out)
{
	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		if (i == 0 || finding->group != report->findings[i - 1].group)
			fprintf(out, "%s%ss\n", i ? "\n" : "", doctor_groups[finding->group]);
		fprintf(out, "  %-4s %-24s %s%s\n",
			finding->is_there    ? "yes"
			: finding->is_needed ? "NO"
					     : "no",
			finding->name, finding->why,
			finding->is_needed && !finding->is_there ? " (needed)" : "");
	}
}

void
doctor_report_print_json(const struct doctor_report *report, FILE *out)
{
	OWN(json) json_t *list = json_array();

	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_finding *finding = &report->findings[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b, s:b, s:s}", "name", finding->name, "group",
				      doctor_groups[finding->group], "available", finding->is_there,
				      "needed", finding->is_needed, "why", finding->why));
	}
	json_dumpf(list, out, JSON_INDENT(2));
	fputc('\n', out);
}

void
doctor_report_log(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->n; i++) {
		const struct doctor_finding *finding = &report->findings[i];
		OWN(mem) char *event = mem_printf("%s.unavailable", doctor_groups[finding->group]);

		if (!finding->is_there)
			log_event(finding->group == DOCTOR_MECHANISM ? LOG_INFO : LOG_WARN, event,
				"name=%s why=%s", finding->name, log_q(finding->why));
	}
}
