/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json - jansson with our errors: typed, bounded reads of a control-plane document.
 *
 * Every read names the field by its path; a wrong type, an unknown key or a number out of range
 * becomes ERR_INVALID with that field. jansson is strict (RFC 8259); duplicates are refused.
 * Never on the path of a call. Any thread; a document belongs to one thread at a time.
 */
#ifndef MAYFLY_BASE_JSON_H
#define MAYFLY_BASE_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"

OWN_DEFINE(json, json_t *, json_decref)

/* A document of at most 64 levels; the error says line and column. Caller decrefs *ret. */
int json_parse(struct str text, json_t **ret, struct err *err);
/* The same for any value, not only an object or an array. */
int json_parse_value(struct str text, json_t **ret, struct err *err);

/* Compact text of a value, appended. */
void json_write(const json_t *value, struct buf *out);

/* Reads a member of `object`. `path` is what the user wrote to get to object ("" at the top).
 * Absent or null: found is false (where given), *ret stays, and that is no error unless
 * `JSON_NEEDED` is set. Strings are borrowed from the document. */
enum json_flags { JSON_OPTIONAL = 0, JSON_NEEDED = 1 };

int json_get_str(const json_t *object, const char *path, const char *key, enum json_flags flags,
	size_t max_len, const char **ret, struct err *err);
int json_get_u64(const json_t *object, const char *path, const char *key, enum json_flags flags,
	uint64_t min, uint64_t max, uint64_t *ret, struct err *err);
int json_get_bool(const json_t *object, const char *path, const char *key, enum json_flags flags,
	bool *ret, struct err *err);
int json_get_object(const json_t *object, const char *path, const char *key, enum json_flags flags,
	const json_t **ret, struct err *err);
int json_get_array(const json_t *object, const char *path, const char *key, enum json_flags flags,
	const json_t **ret, struct err *err);

/* ERR_INVALID for the first key of `object` that is not in the NULL-terminated list. */
int json_check_keys(
	const json_t *object, const char *path, const char *const *known, struct err *err);

#endif
