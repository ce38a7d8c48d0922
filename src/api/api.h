/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api - the HTTP face of mayfly: what daemon/ makes and hands to the server.
 *
 * Two roads part at the first bytes of the path: /api/org/{org}/{route...} goes to functions
 * (api_invoke.h), everything else to the control plane (api_routes.h). openapi.yaml is the truth
 * of what is asked and answered. Knows the domain's nouns; knows no socket, no sandbox, no SQL.
 * The daemon's process, ON_LOOP throughout.
 */
#ifndef MAYFLY_API_API_H
#define MAYFLY_API_API_H

#include "domain/domain.h"
#include "net/http_server.h"
#include "sandbox/doctor.h"

struct api;

struct api_config {
	struct domain *domain;                 /* borrowed */
	const struct doctor_finding *findings; /* borrowed: what the machine allows */
	size_t n_findings;
	bool is_metrics_open; /* /metrics needs no token */
	/* Clients that follow something, requests that wait for something; in all, of one org. */
	unsigned max_followers, max_followers_org, max_waits, max_waits_org;
	/* What the daemon is connected to, which only it knows: may be NULL. Findings are of the
	 * group DOCTOR_CONNECTION, and stand in /readyz too; figures are the provider's to see. */
	size_t (*look)(struct doctor_finding *ret, size_t n, void *arg);
	void (*write_metrics)(struct buf *out, void *arg);
	void *arg; /* borrowed */
};

int api_new(const struct api_config *config, struct api **ret, struct err *err);
void api_free(struct api *api);

/* What http_server_new() takes; valid as long as the api. */
const struct http_handler *api_handler(const struct api *api);

/* For the figures of /metrics; borrowed. */
void api_set_server(struct api *api, const struct http_server *server) ON_LOOP;

/* What /readyz says: ready while `why` is NULL, else 503 with that sentence (static). A new api is
 * not ready: it is starting. */
void api_set_ready(struct api *api, const char *why) ON_LOOP;

/* Ends what would wait for ever (streams of logs, waits for a state), so that a stop need not cut
 * it off. */
void api_stop(struct api *api) ON_LOOP;

#endif
