/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_report - what sandbox/doctor.h found, and the limits that the daemon itself keeps, for a
 * person, a program, or the log at start.
 */
#ifndef MAYFLY_DAEMON_DOCTOR_REPORT_H
#define MAYFLY_DAEMON_DOCTOR_REPORT_H

#include <stdio.h>

#include "sandbox/doctor.h"

#define DOCTOR_REPORT_MAX 64

struct doctor_report {
	struct doctor_finding findings[DOCTOR_REPORT_MAX];
	size_t n;
};

void doctor_report_make(struct doctor_report *ret);
/* After language_scan(): what serves each family of languages on this machine. */
void doctor_report_add_mechanisms(struct doctor_report *report);

/* The first finding that is needed and not there; NULL when all are. */
const struct doctor_finding *doctor_report_missing(const struct doctor_report *report);

void doctor_report_print(const struct doctor_report *report, FILE *out);
void doctor_report_print_json(const struct doctor_report *report, FILE *out);

/* One line for each that is not there: limit.unavailable, protection.unavailable … */
void doctor_report_log(const struct doctor_report *report);

#endif
