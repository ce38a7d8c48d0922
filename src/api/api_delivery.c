/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_delivery - durable calls: what waits, runs and ended; the dead; the queues.
 */
#include "api/api_nouns.h"
#include "domain/delivery.h"

#define API_DELIVERY_PAGE     50
#define API_DELIVERY_MAX_PAGE 1000

static struct delivery_host *
api_delivery_host(const struct api_request *request)
{
	return request->api->domain->deliveries;
}

/* ---- lists ---- */

static int
api_delivery_state(const char *word, struct err *err)
{
	static const char *const words[] = {"queued", "done", "dead", "cancelled"};

	for (int i = 0; i < 4; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	return err_field(err, ERR_INVALID, "state",
		"state must be queued, running, done, dead or cancelled");
}

struct api_delivery_filter {
	char function[API_ROUTE_PARAM_SIZE], before[ID_ULID_SIZE], state[16];
	uint64_t n;
	bool has_state;
};

static int
api_delivery_read_filter(struct api_request *request, const char *const *known,
	struct api_delivery_filter *ret, struct err *err)
{
	bool has_before, is_found;
	int rc = api_query_check(request, known, err);

	if (rc == 0)
		rc = api_query_str(
			request, "function", ret->function, sizeof(ret->function), &is_found, err);
	if (rc == 0)
		rc = api_query_str(
			request, "state", ret->state, sizeof(ret->state), &ret->has_state, err);
	if (rc == 0)
		rc = api_query_str(
			request, "before", ret->before, sizeof(ret->before), &has_before, err);
	if (rc == 0)
		rc = api_query_u64(request, "n", 1, API_DELIVERY_MAX_PAGE, &ret->n, err);
	if (rc == 0 && has_before && !id_is_ulid(str_of(ret->before)))
		rc = err_field(err, ERR_INVALID, "before", "before must be the id of a call");
	return rc;
}

/* A page that is full may have another behind it, from its last id on. */
static void
api_delivery_on_list(int code, const json_t *json, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	uint64_t n = (uintptr_t)request->user;
	json_t *list, *last;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	list = json_object_get(json, "deliveries");
	last = json_array_get(list, n - 1);
	api_answer_json(request, 200,
		json_pack("{s:O, s:s?}", "deliveries", list, "next",
			last ? json_string_value(json_object_get(last, "id")) : NULL));
}

static void
api_delivery_list_by(
	struct api_request *request, const struct api_delivery_filter *filter, int state) ON_LOOP
{
	const struct row_delivery_query query = {
		.org = request->params[0],
		.function = filter->function[0] ? filter->function : NULL,
		.before = filter->before[0] ? filter->before : NULL,
		.state = state,
		.n = (unsigned)filter->n,
	};

	request->user = (void *)(uintptr_t)filter->n;
	delivery_list(api_delivery_host(request), &query, api_delivery_on_list, request);
}

void
api_delivery_list(struct api_request *request)
{
	static const char *const known[] = {"function", "state", "before", "n", NULL};
	struct api_delivery_filter filter = {.n = API_DELIVERY_PAGE};
	struct err err = {0};
	int state = -1;

	if (!api_request_org(request))
		return;
	if (api_delivery_read_filter(request, known, &filter, &err) < 0) {
		api_answer_error(request, &err);
		return;
	}
	if (strcmp(filter.state, "running") == 0) {
		request->user = (void *)(uintptr_t)UINT32_MAX;
		delivery_list_running(api_delivery_host(request), str_of(request->params[0]),
			str_of(filter.function), (unsigned)filter.n, api_delivery_on_list, request);
		return;
	}
	if (filter.has_state && (state = api_delivery_state(filter.state, &err)) < 0)
		api_answer_error(request, &err);
	else
		api_delivery_list_by(request, &filter, state);
}

void
api_dead_list(struct api_request *request)
{
	static const char *const known[] = {"function", "before", "n", NULL};
	struct api_delivery_filter filter = {.n = API_DELIVERY_PAGE};
	struct err err = {0};

	if (!api_request_org(request))
		return;
	if (api_delivery_read_filter(request, known, &filter, &err) < 0)
		api_answer_error(request, &err);
	else
		api_delivery_list_by(request, &filter, ROW_DELIVERY_DEAD);
}

/* ---- one that is dead ---- */

static void
api_dead_refuse(struct api_request *request) ON_LOOP
{
	struct err err = {0};

	err_set(&err, ERR_NOT_FOUND, "there is no dead letter %s", request->params[1]);
	api_answer_error(request, &err);
}

static bool
api_dead_has_id(struct api_request *request) ON_LOOP
{
	if (!api_request_org(request))
		return false;
	if (id_is_ulid(str_of(request->params[1])))
		return true;
	api_dead_refuse(request);
	return false;
}

/* ---- what a caller proved itself with is for the function alone, not for who looks at the dead
 * ---- */

#define API_DEAD_HIDDEN "(hidden)"

static void
api_dead_hide_headers(json_t *headers)
{
	static const char *const names[] = {
		"authorization", "proxy-authorization", "x-api-key", "x-auth-token"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(headers, names[i]))
			json_object_set_new(headers, names[i], json_string(API_DEAD_HIDDEN));
}

/* Their names stay. */
static void
api_dead_hide_cookies(json_t *cookies)
{
	json_t *cookie;
	size_t i;

	json_array_foreach (cookies, i, cookie) {
		struct str rest = str_of(json_string_value(cookie));
		struct str name = str_cut(&rest, '=');

		json_array_set_new(
			cookies, i, json_sprintf("%.*s=" API_DEAD_HIDDEN, STR_ARG(name)));
	}
}

static json_t *
api_dead_json(const json_t *json)
{
	json_t *letter = json_copy((json_t *)json);
	json_t *payload = json_deep_copy(json_object_get(json, "payload"));
	json_t *head = json_object_get(payload, "head");

	api_dead_hide_headers(json_object_get(head, "headers"));
	api_dead_hide_cookies(json_object_get(head, "cookies"));
	json_object_set_new(letter, "payload", payload);
	return letter;
}

static void
api_dead_on_found(int code, const json_t *json, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code == ERR_NOT_FOUND ||
		(json && strcmp(json_string_value(json_object_get(json, "state")), "dead") != 0))
		api_dead_refuse(request);
	else if (code < 0)
		api_answer_error(request, err);
	else
		api_answer_json(request, 200, api_dead_json(json));
}

void
api_dead_show(struct api_request *request)
{
	if (api_dead_has_id(request))
		delivery_get(api_delivery_host(request), str_of(request->params[0]),
			str_of(request->params[1]), 0, api_dead_on_found, request);
}

void
api_dead_delete(struct api_request *request)
{
	if (api_dead_has_id(request))
		delivery_delete(api_delivery_host(request), str_of(request->params[0]),
			str_of(request->params[1]), api_answer_done, request);
}

static void
api_dead_on_purged(int code, unsigned n, void *arg)
{
	struct api_request *request = arg;
	struct err err = {0};

	thread_on_loop();
	if (code < 0) {
		err_set(&err, code, "purging stopped behind %u", n);
		api_answer_error(request, &err);
		return;
	}
	api_answer_json(request, 200, json_pack("{s:i}", "purged", (int)n));
}

/* The one parameter that a purge and a redrive of all have. */
static bool
api_dead_read_function(struct api_request *request, char ret[static API_ROUTE_PARAM_SIZE]) ON_LOOP
{
	static const char *const known[] = {"function", NULL};
	struct err err = {0};
	bool is_found;

	ret[0] = '\0';
	if (!api_request_org(request))
		return false;
	if (api_query_check(request, known, &err) == 0 &&
		api_query_str(request, "function", ret, API_ROUTE_PARAM_SIZE, &is_found, &err) == 0)
		return true;
	api_answer_error(request, &err);
	return false;
}

void
api_dead_purge(struct api_request *request)
{
	char function[API_ROUTE_PARAM_SIZE];

	if (api_dead_read_function(request, function))
		delivery_purge(api_delivery_host(request), str_of(request->params[0]),
			str_of(function), api_dead_on_purged, request);
}

/* ---- tried again ---- */

struct api_dead_target {
	struct function *function; /* NULL: the same */
	uint64_t version;          /* 0: the active one */
};

static int
api_dead_read_target(struct api_request *request, struct api_dead_target *ret, struct err *err)
{
	static const char *const known[] = {"function", "version", NULL};
	const struct org *org = org_find(request->api->domain, str_of(request->params[0]));
	OWN(json) json_t *json = NULL;
	const char *name = NULL;
	int rc;

	if (!http_request_of(request->exchange)->body.len)
		return 0;
	rc = api_request_json(request, known, &json, err);
	if (rc == 0)
		rc = json_get_u64(
			json, "", "version", JSON_OPTIONAL, 1, UINT32_MAX, &ret->version, err);
	if (rc == 0)
		rc = json_get_str(json, "", "function", JSON_OPTIONAL, 63, &name, err);
	if (rc < 0 || !name)
		return rc;
	ret->function = function_find(org, str_of(name));
	if (!ret->function)
		return err_field(
			err, ERR_NOT_FOUND, "function", "there is no function %.63s", name);
	return 0;
}

static void
api_dead_on_redriven(
	int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	api_request_header(request, "x-call-id", str_of(accepted->id));
	api_answer_json(request, 202,
		json_pack("{s:s, s:s, s:b}", "id", accepted->id, "state", "queued", "known",
			accepted->is_known));
}

void
api_dead_redrive(struct api_request *request)
{
	struct api_dead_target target = {0};
	struct err err = {0};

	if (!api_dead_has_id(request))
		return;
	if (api_dead_read_target(request, &target, &err) < 0)
		api_answer_error(request, &err);
	else
		delivery_redrive(api_delivery_host(request), str_of(request->params[0]),
			str_of(request->params[1]), target.function, (uint32_t)target.version,
			api_dead_on_redriven, request);
}

static void
api_dead_on_all_redriven(int code, unsigned n, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	api_answer_json(request, 200,
		json_pack("{s:i, s:s?}", "redriven", (int)n, "stopped_by", err ? err->text : NULL));
}

void
api_dead_redrive_all(struct api_request *request)
{
	struct api_dead_target target = {0};
	char function[API_ROUTE_PARAM_SIZE];
	struct err err = {0};

	if (!api_dead_read_function(request, function))
		return;
	if (api_dead_read_target(request, &target, &err) < 0)
		api_answer_error(request, &err);
	else
		delivery_redrive_all(api_delivery_host(request), str_of(request->params[0]),
			str_of(function), target.function, (uint32_t)target.version,
			api_dead_on_all_redriven, request);
}

/* ---- queues ---- */

static json_t *
api_queue_json(const char *name, const struct delivery_stats *stats)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I}", "function", name,
		"queued", (json_int_t)stats->n_queued, "running", (json_int_t)stats->n_running,
		"dead", (json_int_t)stats->n_dead, "oldest_at", api_json_time(stats->oldest_ms),
		"accepted", (json_int_t)stats->n_accepted, "done", (json_int_t)stats->n_done,
		"retries", (json_int_t)stats->n_retries, "refused", (json_int_t)stats->n_refused,
		"circles", (json_int_t)stats->n_circles);
}

static json_t *
api_queue_all(const struct delivery_host *host, const struct org *org) ON_LOOP
{
	json_t *list = json_array();
	struct delivery_stats stats;

	map_each (&org->functions, entry) {
		const struct function *function = entry->value;

		if (function->is_deleting)
			continue;
		delivery_stats(function, &stats);
		json_array_append_new(list, api_queue_json(function->name, &stats));
	}
	if (delivery_post_stats(host, org->name, &stats))
		json_array_append_new(list, api_queue_json(DELIVERY_POSTS, &stats));
	api_json_sort(list, "function");
	return list;
}

void
api_queue_list(struct api_request *request)
{
	const struct org *org = api_request_org(request);
	const char *name;
	json_t *list;
	bool is_up;

	if (!org)
		return;
	list = api_queue_all(api_delivery_host(request), org);
	name = delivery_bus(api_delivery_host(request), &is_up);
	api_answer_json(request, 200,
		json_pack("{s:{s:s, s:b}, s:o}", "bus", "name", name, "up", is_up, "queues", list));
}

void
api_callback_key_show(struct api_request *request)
{
	char key[DELIVERY_KEY_SIZE];

	if (!api_request_org(request))
		return;
	delivery_callback_key(api_delivery_host(request), str_of(request->params[0]), key);
	api_answer_json(request, 200,
		json_pack("{s:s, s:s, s:s}", "key", key, "algorithm", "HMAC-SHA256", "header",
			"X-Mayfly-Signature"));
}
