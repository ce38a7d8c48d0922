/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_install - the sandbox in which an installer puts a version's dependencies together.
 *
 * It sees the source, a folder in memory and the registry of its language; what it makes comes
 * back packed, as a file without a name. Knows no cache and no step. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_BUILD_INSTALL_H
#define MAYFLY_DOMAIN_BUILD_INSTALL_H

#include "domain/job.h"
#include "domain/version.h"

/* The version's language has a build. *ret_output is what the dependencies are packed into; the
 * caller closes it, also after an error. An error means that on_end is never called. */
int build_install_start(const struct version *version,
	void (*on_end)(const struct job_end *end, void *arg), void *arg, int *ret_output,
	struct job **ret, struct err *err) ON_LOOP;

#endif
