/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_function_put.h"

#include "api/api_code.h"
#include "api/api_nouns.h"
#include "base/base64.h"
#include "runtime/language.h"

#define API_SOURCE_TEXT_BYTES (8u << 20)

const char *const api_function_keys[] = {"name", "route", "runtime", "handler", "code", "limits",
	"isolation", "mechanism", "concurrency", "min_instances", "max_instances", "idle_ms",
	"keep_on_disconnect", "description", "environment", "network", "queue", NULL};

/* ---- reading ---- */

static int
api_function_read_text(const json_t *json, const char *key, char *ret, size_t size, struct err *err)
{
	const char *text = NULL;
	int rc = json_get_str(json, "", key, JSON_OPTIONAL, size - 1, &text, err);

	if (rc == 0 && text)
		memcpy(ret, text, strlen(text) + 1);
	return rc;
}

/* A file of the source's top folder: it is written there as it is named here. */
static int
api_function_check_filename(const char *name, struct err *err)
{
	bool is_plain = name[0] && name[0] != '.' && name[0] != '-';

	for (const char *c = name; *c; c++)
		is_plain = is_plain && ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
					       (*c >= '0' && *c <= '9') || strchr("._-", *c));
	if (is_plain)
		return 0;
	return err_field(err, ERR_INVALID, "code.filename",
		"code.filename must be a name of letters, digits, '.', '_' and '-'");
}

static int
api_function_read_bytes(
	const char *inlined, const char *archive, struct api_function_wish *ret, struct err *err)
{
	ret->has_source = true;
	if (inlined)
		buf_add_text(&ret->source, inlined);
	else if (!base64_decode(str_of(archive), &ret->source))
		return err_field(err, ERR_INVALID, "code.archive", "code.archive must be base64");
	if (ret->source.len)
		return 0;
	return err_field(err, ERR_INVALID, inlined ? "code.inline" : "code.archive",
		"code.%s must not be empty", inlined ? "inline" : "archive");
}

static int
api_function_read_code(const json_t *json, struct api_function_wish *ret, struct err *err)
{
	static const char *const known[] = {"inline", "archive", "digest", "filename", NULL};
	const json_t *code = NULL;
	const char *inlined = NULL, *archive = NULL, *digest = NULL, *filename = NULL;
	int rc = json_get_object(json, "", "code", JSON_OPTIONAL, &code, err);

	if (rc < 0 || !code)
		return rc;
	rc = json_check_keys(code, "code", known, err);
	if (rc == 0)
		rc = json_get_str(code, "code", "inline", JSON_OPTIONAL, API_SOURCE_TEXT_BYTES,
			&inlined, err);
	if (rc == 0)
		rc = json_get_str(code, "code", "archive", JSON_OPTIONAL, API_SOURCE_TEXT_BYTES,
			&archive, err);
	if (rc == 0)
		rc = json_get_str(code, "code", "digest", JSON_OPTIONAL, 64, &digest, err);
	if (rc == 0)
		rc = json_get_str(code, "code", "filename", JSON_OPTIONAL,
			sizeof(ret->filename) - 1, &filename, err);
	if (rc == 0 && filename)
		rc = api_function_check_filename(filename, err);
	if (rc < 0)
		return rc;
	if (!!inlined + !!archive + !!digest != 1)
		return err_field(err, ERR_INVALID, "code",
			"code must have exactly one of inline, archive and digest");
	if (filename)
		memcpy(ret->filename, filename, strlen(filename) + 1);
	if (!digest)
		return api_function_read_bytes(inlined, archive, ret, err);
	if (!id_is_sha256(str_of(digest)))
		return err_field(err, ERR_INVALID, "code.digest",
			"code.digest must have 64 lower-case hex digits");
	memcpy(ret->digest, digest, strlen(digest) + 1);
	return 0;
}

/* The language is there, and inline code without a name gets the one that it looks for. */
static int
api_function_check_runtime(const json_t *json, struct api_function_wish *wish, struct err *err)
{
	const json_t *code = json_object_get(json, "code");
	const struct language *language = language_find(wish->runtime);

	if (!language)
		return err_field(err, ERR_INVALID, "runtime",
			"there is no runtime %s on this machine", wish->runtime);
	if (!json_object_get(code, "inline") || wish->filename[0])
		return 0;
	if (!language->file || !language->file[0])
		return err_field(err, ERR_INVALID, "code.filename",
			"code.filename is needed with inline code of this runtime");
	snprintf(wish->filename, sizeof(wish->filename), "%s", language->file);
	return 0;
}

int
api_function_wish_read(const struct domain *domain, const json_t *json,
	struct api_function_wish *ret, struct err *err)
{
	int rc;

	*ret = (struct api_function_wish){.source = BUF_INIT};
	version_config_default(domain, &ret->config);
	if (!json_is_object(json))
		return err_set(err, ERR_INVALID, "the body must be a JSON object");
	rc = json_check_keys(json, "", api_function_keys, err);
	if (rc == 0)
		rc = api_function_read_text(json, "name", ret->name, sizeof(ret->name), err);
	if (rc == 0)
		rc = api_function_read_text(json, "route", ret->route, sizeof(ret->route), err);
	if (rc == 0)
		rc = api_function_read_text(
			json, "runtime", ret->runtime, sizeof(ret->runtime), err);
	if (rc == 0)
		rc = api_function_read_text(
			json, "handler", ret->handler, sizeof(ret->handler), err);
	if (rc == 0)
		rc = api_function_read_code(json, ret, err);
	return rc < 0 ? rc : version_config_read(domain, json, "", &ret->config, err);
}

void
api_function_wish_done(struct api_function_wish *wish)
{
	buf_done(&wish->source);
	version_config_done(&wish->config);
}

/* ---- making it so ---- */

struct api_function_put {
	struct api_request *request;
	struct api_function_wish wish;
	unsigned flags;
	int status; /* of the answer when it went well */
};

static void
api_function_put_free(struct api_function_put *put)
{
	api_function_wish_done(&put->wish);
	free(put);
}

static void
api_function_put_fail(struct api_function_put *put, const struct err *err) ON_LOOP
{
	api_answer_error(put->request, err);
	api_function_put_free(put);
}

static void
api_function_on_put(int code, struct function *function, struct version *version,
	const struct err *err, void *arg)
{
	struct api_function_put *put = arg;

	thread_on_loop();
	if (code < 0) {
		api_function_put_fail(put, err);
		return;
	}
	api_function_answer_put(put->request, put->status, function);
	api_function_put_free(put);
}

/* The source is a durable blob: the org is asked for again, it may be gone by now. */
static void
api_function_put_start(struct api_function_put *put) ON_LOOP
{
	struct org *org = org_find(put->request->api->domain, str_of(put->request->params[0]));
	struct function_spec spec = {
		.name = str_of(put->wish.name),
		.route = str_of(put->wish.route),
		.runtime = str_of(put->wish.runtime),
		.handler = str_of(put->wish.handler),
		.filename = str_of(put->wish.filename),
		.config = put->wish.config,
	};
	struct err err = {0};

	if (!org || org->is_deleting) {
		err_set(&err, ERR_NOT_FOUND, "there is no org %s", put->request->params[0]);
		api_function_put_fail(put, &err);
		return;
	}
	memcpy(spec.source, put->wish.digest, sizeof(spec.source));
	if (function_find(org, spec.name))
		put->status = 200;
	function_put(org, &spec, put->flags, api_function_on_put, put);
}

static void
api_function_on_stored(
	int code, const char *digest, uint64_t size_bytes, const struct err *err, void *arg)
{
	struct api_function_put *put = arg;

	thread_on_loop();
	if (code < 0) {
		api_function_put_fail(put, err);
		return;
	}
	memcpy(put->wish.digest, digest, ID_SHA256_SIZE);
	api_function_put_start(put);
}

/* A handler is named in the way of its language: another language has its own default. */
static bool
api_function_keeps_handler(const struct version *newest, const struct api_function_wish *wish)
{
	const struct language *language = language_find(wish->runtime);

	return language && strcmp(language->name, newest->runtime) == 0;
}

/* What an update does not say stays as the newest version has it. */
static int
api_function_fill(struct api_function_put *put, const json_t *json, const struct function *old,
	struct err *err)
{
	struct api_function_wish *wish = &put->wish;
	const struct version *newest = old ? list_last(&old->versions, struct version, link) : NULL;

	if (newest && !wish->runtime[0])
		memcpy(wish->runtime, newest->runtime, sizeof(newest->runtime));
	if (newest && !json_object_get(json, "handler") && api_function_keeps_handler(newest, wish))
		memcpy(wish->handler, newest->handler, sizeof(newest->handler));
	if (newest && !wish->has_source && !wish->digest[0]) {
		memcpy(wish->digest, newest->source, sizeof(newest->source));
		memcpy(wish->filename, newest->filename, sizeof(newest->filename));
	}
	if (!wish->runtime[0])
		return err_field(err, ERR_INVALID, "runtime", "runtime is needed");
	if (!wish->has_source && !wish->digest[0])
		return err_field(err, ERR_INVALID, "code", "code is needed");
	return api_function_check_runtime(json, wish, err);
}

static int
api_function_check(struct api_function_put *put, const json_t *json, const struct org *org,
	struct err *err) ON_LOOP
{
	struct api_function_wish *wish = &put->wish;
	const struct function *old = function_find(org, str_of(wish->name));
	int rc = id_check_name(str_of(wish->name), "name", err);

	if (rc == 0)
		rc = api_function_match(put->request, old, err);
	if (rc == 0 && old && put->flags & FUNCTION_MUST_BE_NEW)
		rc = err_field(err, ERR_CONFLICT, "name", "org %s has a function %s already",
			org->name, wish->name);
	if (rc == 0)
		rc = api_function_fill(put, json, old, err);
	if (rc == 0 && wish->digest[0] &&
		!api_code_may_use(put->request->api, org, str_of(wish->digest)))
		rc = err_field(err, ERR_INVALID, "code.digest",
			"org %s has no code with this digest: upload it first", org->name);
	return rc;
}

/* `name` comes from the path (PUT), or from the document (POST, NULL here). */
static int
api_function_take(struct api_function_put *put, const char *name, struct err *err) ON_LOOP
{
	struct api_request *request = put->request;
	const struct org *org = org_find(request->api->domain, str_of(request->params[0]));
	struct api_function_wish *wish = &put->wish;
	OWN(json) json_t *json = NULL;
	int rc = api_request_json(request, api_function_keys, &json, err);

	if (rc == 0)
		rc = api_function_wish_read(request->api->domain, json, wish, err);
	if (rc < 0)
		return rc;
	if (name && wish->name[0] && strcmp(name, wish->name) != 0)
		return err_field(err, ERR_INVALID, "name", "name must be %s, as in the path", name);
	if (name)
		snprintf(wish->name, sizeof(wish->name), "%s", name);
	else if (!wish->name[0])
		return err_field(err, ERR_INVALID, "name", "name is needed");
	return api_function_check(put, json, org, err);
}

static void
api_function_begin(struct api_request *request, const char *name, unsigned flags) ON_LOOP
{
	struct api_function_put *put;
	struct err err = {0};
	size_t size;
	char *bytes;

	if (!api_request_org(request))
		return;
	put = mem_new(sizeof(*put));
	put->request = request;
	put->flags = flags;
	put->status = 201;
	if (api_function_take(put, name, &err) < 0) {
		api_function_put_fail(put, &err);
		return;
	}
	if (!put->wish.has_source) {
		api_function_put_start(put);
		return;
	}
	bytes = buf_take(&put->wish.source, &size);
	api_code_store(
		request->api, str_of(request->params[0]), bytes, size, api_function_on_stored, put);
}

void
api_function_create(struct api_request *request)
{
	api_function_begin(request, NULL, FUNCTION_MUST_BE_NEW);
}

void
api_function_put(struct api_request *request)
{
	api_function_begin(request, request->params[1], 0);
}
