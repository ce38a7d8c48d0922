/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_reason - why dependencies could not be installed, in words for a developer. Pure.
 */
#ifndef MAYFLY_DOMAIN_BUILD_REASON_H
#define MAYFLY_DOMAIN_BUILD_REASON_H

#include "domain/domain.h"
#include "domain/job.h"

/* What a program printed as text that may go into JSON: UTF-8, without escape sequences and
 * controls but for tabs and line ends, and without empty lines at its ends. On the heap. */
char *build_reason_text(struct str printed);

/* NULL if the installation went well (there was a sandbox for it); else a sentence, and the
 * installer's last lines. */
char *build_reason(
	const struct domain_config *config, const char *manifest, const struct job_end *end);

#endif
