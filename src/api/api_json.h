/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_json - the few pieces of JSON that several nouns write. Any thread.
 */
#ifndef MAYFLY_API_API_JSON_H
#define MAYFLY_API_API_JSON_H

#include "base/json.h"

/* "2026-11-21T12:30:00.123Z", or null for 0. */
json_t *api_json_time(uint64_t unix_ms);

/* Sorts an array of objects by the text of one member. */
void api_json_sort(json_t *array, const char *key);

#endif
