/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock - the two clocks, and times as people write them. Any process, any thread.
 */
#ifndef MAYFLY_BASE_CLOCK_H
#define MAYFLY_BASE_CLOCK_H

#include <stdint.h>

#include "base/str.h"

uint64_t clock_mono_us(void); /* monotonic microseconds: durations, deadlines */
uint64_t clock_unix_ms(void); /* wall clock, milliseconds since 1970 */

#define CLOCK_ISO_SIZE 25 /* "2026-11-21T12:30:00.123Z" and its NUL */
void clock_iso(uint64_t unix_ms, char ret[static CLOCK_ISO_SIZE]); /* RFC 3339, UTC */

/* "250ms", "30s", "5m", "2h", "1d"; false leaves *ret alone. */
bool clock_parse_ms(struct str text, uint64_t *ret);

#endif
