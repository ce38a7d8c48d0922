/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/doctor_report.h"

#include "base/json.h"
#include "base/log.h"

static const char *const doctor_groups[] = {
	[DOCTOR_PROTECTION] = "protection",
	[DOCTOR_LIMIT] = "limit",
	[DOCTOR_MECHANISM] = "mechanism",
};

void
doctor_report_make(struct doctor_report *ret)
{
	ret->n = doctor_examine(ret->findings, DOCTOR_REPORT_MAX);
	must(ret->n <= DOCTOR_REPORT_MAX);
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
