/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_function_put - reads what a function shall be, and makes it so: POST and PUT.
 *
 *	 body ─▶ wish (validated) ─▶ source: decoded and stored, or a digest ─▶ function_put() ─▶
 *answer
 *
 * The reading half is a pure function of the document, so that it can be fuzzed. ON_LOOP.
 */
#ifndef MAYFLY_API_API_FUNCTION_PUT_H
#define MAYFLY_API_API_FUNCTION_PUT_H

#include "api/api_request.h"

struct api_function_wish {
	char name[64], route[256], runtime[32], handler[256], filename[128];
	char digest[ID_SHA256_SIZE]; /* "" when `source` has the bytes, or nothing was said */
	bool has_source;
	struct buf source;            /* owned */
	struct version_config config; /* owned */
};

extern const char *const api_function_keys[]; /* NULL-terminated: members of the body */

/* What can be judged without a registry: types, ranges, encodings. `domain` gives defaults and
 * ceilings. On failure too, api_function_wish_done() frees. */
int api_function_wish_read(const struct domain *domain, const json_t *json,
	struct api_function_wish *ret, struct err *err);
void api_function_wish_done(struct api_function_wish *wish);

/* In api_function.c: If-Match and If-None-Match against what is there (NULL for nothing), and the
 * answer to a change. */
int api_function_match(
	struct api_request *request, const struct function *function, struct err *err) ON_LOOP;
void api_function_answer_put(
	struct api_request *request, int status, const struct function *function) ON_LOOP;

#endif
