/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_invoke - calls over HTTP: by an org's route, and directly.
 *
 *	 exchange ─▶ function_route() ─▶ event head ─▶ call_start() … on_head ─▶ HELD
 *	                                                  on_end in the same turn: one whole answer
 *	                                 HELD ─▶ end of the turn: STREAMING ─▶ on_body … on_end
 *
 * An answer that comes whole is sent whole, with its length; one that takes longer is streamed. A
 * client that leaves ends the call, one that is slow holds the function back. Every answer has
 * X-Call-Id, and one that the function did not choose X-Mayfly-Error with the word of its code.
 * The road of every call: no lock, no store, no parsing of the body. ON_LOOP.
 */
#ifndef MAYFLY_API_API_INVOKE_H
#define MAYFLY_API_API_INVOKE_H

#include "api/api_private.h"

/* True for /api/org/…: the three below are for those only. */
bool api_invoke_is_route(const struct http_request *http);
void api_invoke_head(struct api *api, struct http_exchange *exchange) ON_LOOP;
void api_invoke_run(struct api *api, struct http_exchange *exchange) ON_LOOP;

/* A call whose body the server does not take ends at once, with an answer and a record. */
void api_invoke_refused(
	struct api *api, struct http_exchange *exchange, const struct err *reason) ON_LOOP;

/* Frees what is kept for reuse. */
void api_invoke_done(struct api *api);

#endif
