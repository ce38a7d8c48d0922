/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_plan - which dependencies a source asks for, and what decides about them.
 *
 * Reads the report of mayfly-unpack (sandbox/unpack.h), which tells of a tenant's files: what it
 * cannot make sense of is installed, and the installer says what is wrong. Pure.
 */
#ifndef MAYFLY_DOMAIN_BUILD_PLAN_H
#define MAYFLY_DOMAIN_BUILD_PLAN_H

#include "domain/domain.h"
#include "domain/version.h"

struct build_plan {
	const char *manifest; /* static: the file that asks for dependencies; NULL if none does */
	char key[ID_SHA256_SIZE]; /* of the cache: all that the result depends on */
};

void build_plan_read(const struct version *version, struct str report, struct build_plan *ret);

/* Whether a source for this language can ask for dependencies at all. */
bool build_plan_is_report_needed(const struct version *version);

/* "host:port" of an http or https URL. */
int build_plan_host(const char *url, char ret[static 280], struct err *err);

#endif
