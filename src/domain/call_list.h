/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_list - the calls that are in flight, as JSON, for whoever looks for one to follow or cancel.
 *
 * Has the members that a record has too, and a `state`: "waiting" for an instance, or "running".
 * Goes through all calls of the domain: for people's questions, not for the road of a call.
 * ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_CALL_LIST_H
#define MAYFLY_DOMAIN_CALL_LIST_H

#include "base/json.h"
#include "domain/call.h"

/* The newest n of an org, or of one of its functions ("" for all), newest first. */
json_t *call_list(
	const struct domain *domain, struct str org, struct str function, size_t n) ON_LOOP;

json_t *call_list_json(const struct call *call) ON_LOOP;

#endif
