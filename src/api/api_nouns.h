/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_nouns - the functions behind the routes, one file per noun: api_org.c, api_token.c …
 *
 * Each answers its request exactly once (api_request.h). What they take and give is in
 * openapi.yaml. ON_LOOP.
 */
#ifndef MAYFLY_API_API_NOUNS_H
#define MAYFLY_API_API_NOUNS_H

#include "api/api_json.h"
#include "api/api_request.h"

void api_health_live(struct api_request *request) ON_LOOP;
void api_health_ready(struct api_request *request) ON_LOOP;
void api_health_version(struct api_request *request) ON_LOOP;
void api_openapi_show(struct api_request *request) ON_LOOP;
void api_metrics_show(struct api_request *request) ON_LOOP;
void api_runtime_list(struct api_request *request) ON_LOOP;
void api_limits_list(struct api_request *request) ON_LOOP;
void api_doctor_show(struct api_request *request) ON_LOOP;

void api_org_list(struct api_request *request) ON_LOOP;
void api_org_create(struct api_request *request) ON_LOOP;
void api_org_show(struct api_request *request) ON_LOOP;
void api_org_delete(struct api_request *request) ON_LOOP;

void api_token_self(struct api_request *request) ON_LOOP;
void api_token_list(struct api_request *request) ON_LOOP;
void api_token_create(struct api_request *request) ON_LOOP;
void api_token_delete(struct api_request *request) ON_LOOP;

void api_code_upload(struct api_request *request) ON_LOOP;
void api_code_download(struct api_request *request) ON_LOOP;

void api_function_list(struct api_request *request) ON_LOOP;
void api_function_create(struct api_request *request) ON_LOOP;
void api_function_show(struct api_request *request) ON_LOOP;
void api_function_put(struct api_request *request) ON_LOOP;
void api_function_delete(struct api_request *request) ON_LOOP;
void api_function_rollback(struct api_request *request) ON_LOOP;

void api_version_list(struct api_request *request) ON_LOOP;
void api_version_show(struct api_request *request) ON_LOOP;

void api_invoke_direct(struct api_request *request) ON_LOOP;
void api_invoke_direct_refused(struct api_request *request, const struct err *reason) ON_LOOP;
void api_call_list(struct api_request *request) ON_LOOP;
void api_call_show(struct api_request *request) ON_LOOP;
void api_call_cancel(struct api_request *request) ON_LOOP;
void api_call_logs(struct api_request *request) ON_LOOP;
void api_log_show(struct api_request *request) ON_LOOP;

void api_delivery_list(struct api_request *request) ON_LOOP;
void api_dead_list(struct api_request *request) ON_LOOP;
void api_dead_show(struct api_request *request) ON_LOOP;
void api_dead_delete(struct api_request *request) ON_LOOP;
void api_dead_purge(struct api_request *request) ON_LOOP;
void api_dead_redrive(struct api_request *request) ON_LOOP;
void api_dead_redrive_all(struct api_request *request) ON_LOOP;
void api_queue_list(struct api_request *request) ON_LOOP;
void api_callback_key_show(struct api_request *request) ON_LOOP;

void api_events_send(struct api_request *request) ON_LOOP;
void api_events_list(struct api_request *request) ON_LOOP;
/* The newest n, and then what comes, as a stream. */
void api_event_follow(struct api_request *request, struct org *org, unsigned n) ON_LOOP;

void api_trigger_list(struct api_request *request) ON_LOOP;
void api_trigger_show(struct api_request *request) ON_LOOP;
void api_trigger_put(struct api_request *request) ON_LOOP;
void api_trigger_delete(struct api_request *request) ON_LOOP;
/* Figures of an org's triggers, "" for all, as /metrics has them. */
void api_trigger_metrics(const struct domain *domain, const char *org, struct buf *out) ON_LOOP;

void api_schedule_list(struct api_request *request) ON_LOOP;
void api_schedule_show(struct api_request *request) ON_LOOP;
void api_schedule_put(struct api_request *request) ON_LOOP;
void api_schedule_delete(struct api_request *request) ON_LOOP;

/* A function and a version as JSON; with_values shows the environment's values. */
json_t *api_function_json(const struct function *function, bool with_values) ON_LOOP;
json_t *api_version_json(const struct version *version, bool with_values);

/* The version that the path names; answers 404 and gives NULL where there is none. */
struct version *api_version_of(struct api_request *request) ON_LOOP;

/* Appends the lines of a record's log to an array, as openapi.yaml's LogLine. */
void api_log_lines(const json_t *record, json_t *lines);

#endif
