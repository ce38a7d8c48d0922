/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_code - source on its way in and out: uploads, what an org may name, downloads.
 *
 * A source is a blob, found by its digest. A digest is no secret, so an org may name only what it
 * uploaded since the daemon started, or what one of its versions is made of: another's code
 * cannot be reached by knowing its digest. ON_LOOP.
 */
#ifndef MAYFLY_API_API_CODE_H
#define MAYFLY_API_API_CODE_H

#include "api/api_private.h"
#include "domain/function.h"

/* Stores bytes (ownership moves) for an org; done is called after they are durable. */
typedef void api_code_stored_fn(
	int code, const char *digest, uint64_t size_bytes, const struct err *err, void *arg);
void api_code_store(struct api *api, struct str org, char *bytes, size_t size,
	api_code_stored_fn *stored, void *arg) ON_LOOP;

bool api_code_may_use(const struct api *api, const struct org *org, struct str digest);

/* Forgets the uploads. */
void api_code_done(struct api *api);

#endif
