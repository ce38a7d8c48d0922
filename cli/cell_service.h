/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell_service - an extension service of vCloud Director's, and its API filters.
 *
 * A service is known by its namespace, of which there is one. It has a name, the exchange and the
 * routing key that requests are published with, a priority among services (0 to 100, 100 first),
 * and filters: patterns of paths. Speaks through cell_client.h. One thread.
 */
#ifndef MAYFLY_CLI_CELL_SERVICE_H
#define MAYFLY_CLI_CELL_SERVICE_H

#include "base/json.h"
#include "cell_client.h"

struct cell_service {
	const char *name, *namespace, *exchange, *routing_key; /* borrowed */
	unsigned priority;
	bool is_enabled, is_authorized;
};

/* Names the flag that breaks a rule. */
int cell_service_check(const struct cell_service *service, struct err *err);

/* *ret is the service with that namespace, NULL where there is none: strings "name", "namespace",
 * "exchange", "routingKey", "priority", "enabled", "isAuthorizationEnabled", "href"; owned by the
 * caller. */
int cell_service_find(struct cell *cell, const char *namespace, json_t **ret, struct err *err);
/* What was found, as a struct that borrows from it. */
struct cell_service cell_service_of(const json_t *record);

/* filters: an array of patterns. */
int cell_service_create(struct cell *cell, const struct cell_service *service,
	const json_t *filters, struct err *err);
/* Everything but the filters becomes as `service` says. */
int cell_service_change(struct cell *cell, const json_t *record, const struct cell_service *service,
	struct err *err);
/* It must not be enabled. */
int cell_service_delete(struct cell *cell, const json_t *record, struct err *err);

/* An array of objects with the strings "urlPattern" and "href"; owned by the caller. */
int cell_service_filters(struct cell *cell, const json_t *record, json_t **ret, struct err *err);
int cell_service_add_filter(
	struct cell *cell, const json_t *record, const char *pattern, struct err *err);
int cell_service_remove_filter(struct cell *cell, const json_t *filter, struct err *err);

#endif
