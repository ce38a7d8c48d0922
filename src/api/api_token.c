/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"
#include "base/clock.h"

#define API_TOKEN_MAX_MS (10ull * 365 * 24 * 3600 * 1000)

static json_t *
api_token_json(const struct token *token)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", token->id, "org",
		token->org, "role", token_role_word(token->role), "name", token->name, "prefix",
		token->prefix, "created_at", api_json_time(token->created_ms), "expires_at",
		api_json_time(token->expires_ms), "last_used_at",
		api_json_time(token->last_used_ms));
}

/* /v1/tokens are the provider's, /v1/orgs/{org}/tokens an org's. */
static bool
api_token_is_provider(const struct api_request *request)
{
	return strncmp(request->route->path, "/v1/tokens", 10) == 0;
}

static struct str
api_token_org(const struct api_request *request)
{
	return api_token_is_provider(request) ? STR("") : str_of(request->params[0]);
}

static bool
api_token_has_org(struct api_request *request) ON_LOOP
{
	return api_token_is_provider(request) || api_request_org(request);
}

void
api_token_self(struct api_request *request)
{
	api_answer_json(request, 200, api_token_json(&request->token));
}

/* ---- list ---- */

static bool
api_token_each(const struct token *token, void *arg)
{
	json_array_append_new(arg, api_token_json(token));
	return true;
}

void
api_token_list(struct api_request *request)
{
	json_t *list;

	if (!api_token_has_org(request))
		return;
	list = json_array();
	token_each(request->api->domain, api_token_org(request), api_token_each, list);
	api_answer_json(request, 200, json_pack("{s:o}", "tokens", list));
}

/* ---- create ---- */

static void
api_token_on_created(
	int code, const struct token *token, const char *secret, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	json_t *json;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	json = api_token_json(token);
	json_object_set_new(json, "secret", json_string(secret));
	api_answer_json(request, 201, json);
}

struct api_token_wish {
	const char *name; /* borrowed from the document */
	enum token_role role;
	uint64_t expires_ms;
};

static int
api_token_read(const json_t *json, struct api_token_wish *ret, struct err *err)
{
	const char *role = NULL, *expires = NULL;
	uint64_t ms = 0;
	int rc = json_get_str(json, "", "name", JSON_NEEDED, 63, &ret->name, err);

	if (rc == 0)
		rc = json_get_str(json, "", "role", JSON_NEEDED, 16, &role, err);
	if (rc == 0)
		rc = json_get_str(json, "", "expires_in", JSON_OPTIONAL, 16, &expires, err);
	if (rc < 0)
		return rc;
	if (!ret->name[0])
		return err_field(err, ERR_INVALID, "name", "name must not be empty");
	if (!token_role_parse(str_of(role), &ret->role))
		return err_field(err, ERR_INVALID, "role",
			"role must be viewer, invoker, developer or admin");
	if (!expires)
		return 0;
	if (!clock_parse_ms(str_of(expires), &ms) || !ms || ms > API_TOKEN_MAX_MS)
		return err_field(err, ERR_INVALID, "expires_in",
			"expires_in must be a duration like 12h or 90d, at most ten years");
	ret->expires_ms = clock_unix_ms() + ms;
	return 0;
}

void
api_token_create(struct api_request *request)
{
	static const char *const known[] = {"name", "role", "expires_in", NULL};
	OWN(json) json_t *json = NULL;
	struct api_token_wish wish = {0};
	struct err err = {0};
	int rc;

	if (!api_token_has_org(request))
		return;
	rc = api_request_json(request, known, &json, &err);
	if (rc == 0)
		rc = api_token_read(json, &wish, &err);
	if (rc < 0) {
		api_answer_error(request, &err);
		return;
	}
	token_create(request->api->domain, api_token_org(request), wish.role, str_of(wish.name),
		wish.expires_ms, api_token_on_created, request);
}

/* ---- revoke ---- */

static void
api_token_on_revoked(
	int code, const struct token *token, const char *secret, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0)
		api_answer_error(request, err);
	else
		api_answer_empty(request);
}

void
api_token_delete(struct api_request *request)
{
	const char *id = request->params[api_token_is_provider(request) ? 0 : 1];

	if (!api_token_has_org(request))
		return;
	token_revoke(request->api->domain, str_of(id), api_token_org(request), api_token_on_revoked,
		request);
}
