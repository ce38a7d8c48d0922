/* SPDX-License-Identifier: Apache-2.0 */
#include "cell_client.h"

#include "base/base64.h"
#include "base/json.h"
#include "cell_read.h"
#include "net/http.h"
#include "net/http_client.h"

#define ANSWER_MAX    ((size_t)4 << 20)
#define TIMEOUT_MS    60000
#define BEARER_MAJOR  33 /* from here on a session is a bearer token */
#define CURRENT_MAJOR 36 /* from here on .../sessions/current is there */

struct cell {
	struct http_client *http; /* owned */
	char *user;               /* owned */
	char version[CELL_VERSION_SIZE];
	unsigned major;
	char *accept;        /* owned: the header's whole line */
	char *authorization; /* owned: the same; NULL before the login */
	char *session_path;  /* owned: what to delete at the end */
};

static void
cell_free(struct cell *cell)
{
	http_client_free(cell->http);
	free(cell->user);
	free(cell->accept);
	if (cell->authorization)
		explicit_bzero(cell->authorization, strlen(cell->authorization));
	free(cell->authorization);
	free(cell->session_path);
	free(cell);
}

OWN_DEFINE(cell_memory, struct cell *, cell_free)

/* ---- what a refusal means ---- */

static int
refusal_code(int status)
{
	switch (status) {
	case 401:
		return ERR_UNAUTHENTICATED;
	case 403:
		return ERR_FORBIDDEN;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
		return ERR_CONFLICT;
	case 429:
		return ERR_RATE;
	}
	return status >= 500 ? ERR_UNAVAILABLE : status >= 400 ? ERR_INVALID : ERR_SYSTEM;
}

static int
refuse(const struct cell *cell, const char *doing, const struct http_client_answer *answer,
	struct err *err)
{
	OWN(buf) struct buf said = BUF_INIT;
	int code = refusal_code(answer->status);

	cell_read_error(buf_str(&answer->body), &said);
	if (answer->status == 406)
		return err_set(err, ERR_INVALID,
			"vCloud Director does not speak version %s of its API; without --version "
			"one is chosen that it offers",
			cell->version);
	if (answer->status == 403)
		return err_set(err, code, "%s: %s may not%s%s", doing, cell->user,
			said.len ? ": " : "", said.len ? said.at : "");
	return err_set(err, code, "%s: vCloud Director answered with status %d%s%s", doing,
		answer->status, said.len ? ": " : "", said.len ? said.at : "");
}

/* One request; headers ends with NULL. */
static int
exchange(struct cell *cell, const char *method, const char *path, const char *const *headers,
	struct str body, struct http_client_answer *ret, struct err *err)
{
	int rc = http_client_send(cell->http, method, path, headers, body, TIMEOUT_MS, ret, err);

	/* A function's fault is the other thing that a timeout means. */
	return rc == ERR_TIMEOUT ? ERR_UNAVAILABLE : rc;
}

/* ---- log in ---- */

static int
check_wish(const struct cell_wish *wish, struct err *err)
{
	unsigned major, minor;
	struct str host = str_of(wish->url);
	bool is_https = str_starts(host, STR("https://"));

	if (!wish->url || !*wish->url)
		return err_field(err, ERR_INVALID, "--url", "vCloud Director's address is needed");
	if (!is_https && !str_starts(host, STR("http://")))
		return err_field(err, ERR_INVALID, "--url",
			"\"%s\" is no address like https://vcd.example", wish->url);
	host = str_n(host.at + (is_https ? 8 : 7), host.len - (is_https ? 8 : 7));
	if (host.len && host.at[host.len - 1] == '/')
		host.len--;
	if (!host.len || memchr(host.at, '/', host.len) || memchr(host.at, '@', host.len) ||
		memchr(host.at, '?', host.len) || memchr(host.at, '#', host.len))
		return err_field(err, ERR_INVALID, "--url", "takes a host and a port, no path");
	if (!is_https && !http_is_loopback(host))
		return err_field(err, ERR_INVALID, "--url",
			"a password goes over https, but to this machine");
	if (!wish->user || !strchr(wish->user, '@') || strchr(wish->user, ':'))
		return err_field(err, ERR_INVALID, "--user",
			"takes user and organisation, like administrator@System");
	if (wish->version && !cell_read_version(str_of(wish->version), &major, &minor))
		return err_field(err, ERR_INVALID, "--version", "is like 36.3");
	return 0;
}

static int
ask_version(struct cell *cell, struct err *err)
{
	struct http_client_answer answer = {0};
	int rc = exchange(cell, "GET", "/api/versions", NULL, STR_NONE, &answer, err);

	if (rc == 0 && answer.status != 200)
		rc = refuse(cell, "GET /api/versions", &answer, err);
	else if (rc == 0 && cell_read_versions(buf_str(&answer.body), cell->version, err) < 0)
		rc = err_wrap(err, ERR_SYSTEM, "GET /api/versions: no answer of vCloud Director's");
	http_client_answer_done(&answer);
	return rc;
}

static int
choose_version(struct cell *cell, const char *wished, struct err *err)
{
	unsigned minor;
	int rc = 0;

	if (wished)
		snprintf(cell->version, sizeof(cell->version), "%s", wished);
	else
		rc = ask_version(cell, err);
	if (rc < 0)
		return rc;
	must(cell_read_version(str_of(cell->version), &cell->major, &minor));
	cell->accept = mem_printf("Accept: application/*+xml;version=%s", cell->version);
	return 0;
}

/* The header's value, NULL without: answer->headers has "name: value\n" lines. */
static char *
find_header(const struct http_client_answer *answer, struct str name)
{
	struct str rest = buf_str(&answer->headers);

	while (rest.len) {
		struct str value = str_cut(&rest, '\n');

		if (str_eq(str_cut(&value, ':'), name) && str_trim(value).len)
			return str_dup(str_trim(value));
	}
	return NULL;
}

/* Where a session of 33.0 and later is ended: under its id, which the answer has. */
static char *
session_path(const struct cell *cell, struct str body)
{
	OWN(json) json_t *json = NULL;
	char uuid[CELL_UUID_SIZE];

	if (cell->major < BEARER_MAJOR)
		return str_dup(STR("/api/session"));
	if (json_parse(body, &json, NULL) == 0 &&
		cell_read_uuid(str_of(json_string_value(json_object_get(json, "id"))), uuid))
		return mem_printf("/cloudapi/1.0.0/sessions/urn:vcloud:session:%s", uuid);
	return cell->major >= CURRENT_MAJOR ? str_dup(STR("/cloudapi/1.0.0/sessions/current"))
					    : NULL;
}

static int
take_session(struct cell *cell, const struct http_client_answer *answer, struct err *err)
{
	bool is_bearer = cell->major >= BEARER_MAJOR;
	OWN(mem)
	char *token = find_header(answer,
		is_bearer ? STR("x-vmware-vcloud-access-token") : STR("x-vcloud-authorization"));

	if (answer->status == 401)
		return err_set(err, ERR_UNAUTHENTICATED,
			"vCloud Director does not take %s with this password for a system "
			"administrator",
			cell->user);
	if (answer->status / 100 != 2)
		return refuse(cell, "logging in", answer, err);
	if (!token)
		return err_set(err, ERR_SYSTEM, "logging in: the answer has no token");
	cell->authorization = is_bearer ? mem_printf("Authorization: Bearer %s", token)
					: mem_printf("x-vcloud-authorization: %s", token);
	cell->session_path = session_path(cell, buf_str(&answer->body));
	explicit_bzero(token, strlen(token));
	return 0;
}

static int
log_in(struct cell *cell, const char *password_file, struct err *err)
{
	OWN(buf) struct buf secret = BUF_INIT, password = BUF_INIT, header = BUF_INIT;
	bool is_bearer = cell->major >= BEARER_MAJOR;
	OWN(mem) char *accept = mem_printf("Accept: application/json;version=%s", cell->version);
	struct http_client_answer answer = {0};
	int rc = cell_password(password_file, cell->user, &password, err);

	if (rc < 0)
		return rc;
	buf_printf(&secret, "%s:", cell->user);
	buf_add_str(&secret, buf_str(&password));
	buf_add_text(&header, "Authorization: Basic ");
	base64_encode(buf_str(&secret), &header);
	const char *const headers[] = {header.at, is_bearer ? accept : cell->accept, NULL};

	rc = exchange(cell, "POST",
		is_bearer ? "/cloudapi/1.0.0/sessions/provider" : "/api/sessions", headers,
		STR_NONE, &answer, err);
	if (rc == 0)
		rc = take_session(cell, &answer, err);
	http_client_answer_done(&answer);
	explicit_bzero(secret.at, secret.len);
	explicit_bzero(password.at, password.len);
	explicit_bzero(header.at, header.len);
	return rc;
}

int
cell_open(const struct cell_wish *wish, struct cell **ret, struct err *err)
{
	OWN(cell_memory) struct cell *cell = NULL;
	int rc = check_wish(wish, err);

	if (rc < 0)
		return rc;
	cell = mem_new(sizeof(*cell));
	cell->user = str_dup(str_of(wish->user));
	rc = http_client_new(wish->url, NULL, &cell->http, err);
	if (rc < 0)
		return rc;
	http_client_restrict(cell->http, wish->ca_file, ANSWER_MAX);
	rc = choose_version(cell, wish->version, err);
	if (rc == 0)
		rc = log_in(cell, wish->password_file, err);
	if (rc == 0)
		*ret = take_ptr(&cell);
	return rc;
}

/* ---- ask, log out ---- */

int
cell_ask(struct cell *cell, const char *method, const char *path, const char *type, struct str body,
	struct buf *ret, struct err *err)
{
	OWN(mem) char *content = type ? mem_printf("Content-Type: %s", type) : NULL;
	OWN(mem) char *doing = mem_printf("%s %s", method, path);
	const char *const headers[] = {cell->accept, cell->authorization, content, NULL};
	struct http_client_answer answer = {0};
	int rc = exchange(cell, method, path, headers, body, &answer, err);

	if (rc == 0 && answer.status / 100 != 2)
		rc = refuse(cell, doing, &answer, err);
	else if (rc == 0 && ret)
		buf_add_str(ret, buf_str(&answer.body));
	http_client_answer_done(&answer);
	return rc;
}

void
cell_close(struct cell *cell)
{
	OWN(mem) char *json = mem_printf("Accept: application/json;version=%s", cell->version);
	const char *const headers[] = {
		cell->major >= BEARER_MAJOR ? json : cell->accept, cell->authorization, NULL};
	struct http_client_answer answer = {0};
	struct err err = {0};

	if (cell->session_path &&
		exchange(cell, "DELETE", cell->session_path, headers, STR_NONE, &answer, &err) ==
			0 &&
		answer.status >= 400)
		err_set(&err, ERR_SYSTEM, "status %d", answer.status);
	if (err.code)
		fprintf(stderr, "mayfly: the session was not ended: %s\n", err.text);
	http_client_answer_done(&answer);
	cell_free(cell);
}
