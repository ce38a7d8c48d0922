/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone - a time zone of the tz database, read from its TZif file (RFC 8536, versions 1 to 4).
 *
 * Times behind the file's last transition follow its footer (POSIX TZ string with the extensions of
 * RFC 8536 §3.3.1). Names are "Area/City" as in tzdata, never a path. The file is parsed as foreign
 * bytes. Pure after zone_open(), any thread.
 */
#ifndef MAYFLY_BASE_ZONE_H
#define MAYFLY_BASE_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct zone;

int zone_open(struct str name, struct zone **ret, struct err *err); /* NOT_FOUND, INVALID */
int zone_parse(const void *bytes, size_t size, struct zone **ret, struct err *err);
struct zone *zone_utc(void);
void zone_free(struct zone *zone);
const char *zone_name(const struct zone *zone);

/* Seconds east of Greenwich at that moment. */
int32_t zone_offset(const struct zone *zone, int64_t unix_s);
/* The first moment after unix_s at which the offset changes, INT64_MAX if there is none. */
int64_t zone_next_change(const struct zone *zone, int64_t unix_s);
/* The moments with this local time (seconds as if it were UTC): none in a gap, two where the clock
 * was put back; *ret_first <= *ret_second. Gives how many; in a gap both are its end. */
int zone_moments(const struct zone *zone, int64_t local_s, int64_t *ret_first, int64_t *ret_second);

#endif
