/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell_filter - the URL pattern that leads requests for a function to mayfly.
 *
 * A pattern is a regular expression of Java's that fits the whole path. vCloud Director asks its
 * extension services before itself: a pattern that fits /api/org/{id} takes that from it. So a
 * function gets a pattern of its own, and no route of which vCloud Director itself has resources
 * below /api/org/{id}. Pure, one thread.
 */
#ifndef MAYFLY_CLI_CELL_FILTER_H
#define MAYFLY_CLI_CELL_FILTER_H

#include "base/buf.h"
#include "base/err.h"

/* "pscoe/hello" → "/api/org/pscoe/hello(/.*)?", "*" for any org. The caller frees *ret. CONFLICT
 * for a route of vCloud Director's own. */
int cell_filter_of(const char *function, char **ret, struct err *err);
/* 1 to 1024 bytes of text without control characters. */
int cell_filter_check(const char *pattern, struct err *err);

#endif
