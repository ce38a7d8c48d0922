/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "base/own.h"

#define HTTP_CLIENT_CONNECT_MS  5000L
#define HTTP_CLIENT_SILENT_S    45L
#define HTTP_CLIENT_HEADERS_MAX ((size_t)256 * 1024)
#define HTTP_CLIENT_ERROR_MAX   ((size_t)64 * 1024)

struct http_client {
	CURL *curl;                /* owned: keeps the connection between requests */
	char *base_url;            /* owned, without a slash at its end */
	char *authorization;       /* owned: the header's whole line; NULL without a token */
	char *ca_file;             /* owned; NULL for the system's authorities */
	size_t max_body;           /* 0 for any */
	bool is_direct;            /* without a proxy */
	char why[CURL_ERROR_SIZE]; /* what libcurl says of a failure */
};

/* One request's parts, while libcurl calls back. */
struct http_client_run {
	struct http_client_answer *answer; /* borrowed */
	FILE *body;                        /* borrowed; NULL if the body is in memory */
	void (*on_progress)(size_t sent, size_t total, void *arg);
	bool (*on_bytes)(struct str bytes, void *arg);
	void *arg;           /* borrowed */
	struct buf *refusal; /* borrowed: the body of an answer other than 2xx */
	CURL *curl;          /* borrowed */
	size_t sent, total, max_body;
	bool is_ended; /* on_bytes had enough */
	bool is_large; /* the body has more than max_body bytes */
};

int
http_client_new(const char *base_url, const char *token, struct http_client **ret, struct err *err)
{
	struct http_client *client;
	size_t len = strlen(base_url);

	if (strncmp(base_url, "http://", 7) != 0 && strncmp(base_url, "https://", 8) != 0)
		return err_set(err, ERR_INVALID,
			"\"%s\" is not the address of a server, like http://127.0.0.1:8080",
			base_url);
	while (len && base_url[len - 1] == '/')
		len--;
	client = mem_new(sizeof(*client));
	client->curl = curl_easy_init();
	must(client->curl);
	client->base_url = str_dup(str_n(base_url, len));
	if (token)
		client->authorization = mem_printf("Authorization: Bearer %s", token);
	*ret = client;
	return 0;
}

void
http_client_free(struct http_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	free(client->base_url);
	free(client->authorization);
	free(client->ca_file);
	free(client);
}

void
http_client_restrict(struct http_client *client, const char *ca_file, size_t max_body)
{
	free(client->ca_file);
	client->ca_file = ca_file ? str_dup(str_of(ca_file)) : NULL;
	client->max_body = max_body;
	client->is_direct = strncmp(client->base_url, "http://", 7) == 0;
}

void
http_client_answer_done(struct http_client_answer *answer)
{
	buf_done(&answer->headers);
	buf_done(&answer->body);
}

/* ---- callbacks of libcurl ---- */

/* A status line begins the headers anew: those of a 100 are not of the answer. */
static size_t
http_client_on_header(char *at, size_t one, size_t n, void *arg)
{
	struct http_client_run *run = arg;
	struct str value = str_trim(str_n(at, n));
	struct buf *headers = &run->answer->headers;
	struct str name;

	while (value.len && (value.at[value.len - 1] == '\n' || value.at[value.len - 1] == '\r'))
		value.len--;
	if (str_starts(value, STR("HTTP/"))) {
		buf_clear(headers);
		return n;
	}
	if (value.len == 0)
		return n;
	if (headers->len + n > HTTP_CLIENT_HEADERS_MAX)
		return 0;
	name = str_cut(&value, ':');
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];

		buf_add_char(headers, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
	buf_add_text(headers, ": ");
	buf_add_str(headers, str_trim(value));
	buf_add_char(headers, '\n');
	return n;
}

static size_t
http_client_on_body(char *at, size_t one, size_t n, void *arg)
{
	struct http_client_run *run = arg;

	run->is_large = run->max_body && run->answer->body.len + n > run->max_body;
	if (run->is_large)
		return 0;
	buf_add(&run->answer->body, at, n);
	return n;
}

static size_t
http_client_on_stream(char *at, size_t one, size_t n, void *arg)
{
	struct http_client_run *run = arg;
	long status = 0;

	curl_easy_getinfo(run->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 != 2) {
		if (run->refusal && run->refusal->len + n <= HTTP_CLIENT_ERROR_MAX)
			buf_add(run->refusal, at, n);
		return n;
	}
	if (run->on_bytes(str_n(at, n), run->arg))
		return n;
	run->is_ended = true;
	return 0;
}

static size_t
http_client_on_read(char *at, size_t one, size_t size, void *arg)
{
	struct http_client_run *run = arg;
	size_t n = fread(at, 1, size, run->body);

	if (n == 0 && ferror(run->body))
		return CURL_READFUNC_ABORT;
	run->sent += n;
	if (run->on_progress)
		run->on_progress(run->sent, run->total, run->arg);
	return n;
}

/* The answer to a request may come before its body is sent, on a connection that then closes;
 * another try sends the file from its beginning. */
static int
http_client_on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_client_run *run = arg;

	if (fseeko(run->body, offset, origin) < 0)
		return CURL_SEEKFUNC_FAIL;
	run->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* ---- requests ---- */

/* Without a type of the caller's libcurl would call every body a form. */
static struct curl_slist *
http_client_headers(struct http_client *client, const char *const *headers)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	bool has_type = false;

	if (client->authorization)
		list = curl_slist_append(list, client->authorization);
	for (size_t i = 0; headers && headers[i]; i++) {
		list = curl_slist_append(list, headers[i]);
		has_type = has_type || strncasecmp(headers[i], "content-type:", 13) == 0;
	}
	if (!has_type)
		list = curl_slist_append(list, "Content-Type:");
	must(list);
	return list;
}

static void
http_client_prepare(struct http_client *client, const char *method, const char *url,
	struct curl_slist *headers, unsigned timeout_ms)
{
	CURL *curl = client->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, HTTP_CLIENT_CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "mayfly/" MAYFLY_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->why);
	curl_easy_setopt(curl, CURLOPT_NOBODY, (long)(strcmp(method, "HEAD") == 0));
	if (client->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
	if (client->is_direct)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	client->why[0] = '\0';
}

static int
http_client_fail(struct http_client *client, CURLcode code, struct err *err)
{
	const char *why = client->why[0] ? client->why : curl_easy_strerror(code);

	if (code == CURLE_OPERATION_TIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "%s: %s", client->base_url, why);
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return err_set(err, ERR_SYSTEM, "%s: its certificate is not trusted: %s",
			client->base_url, why);
	if (code == CURLE_SSL_CACERT_BADFILE)
		return err_set(err, ERR_INVALID, "%s: %s", client->ca_file, why);
	return err_set(err, ERR_UNAVAILABLE, "%s: %s", client->base_url, why);
}

/* Performs what is prepared, and gives the status. */
static int
http_client_perform(
	struct http_client *client, struct http_client_run *run, int *ret_status, struct err *err)
{
	long status = 0;
	CURLcode code;

	run->curl = client->curl;
	run->max_body = client->max_body;
	curl_easy_setopt(client->curl, CURLOPT_HEADERFUNCTION, http_client_on_header);
	curl_easy_setopt(client->curl, CURLOPT_HEADERDATA, run);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, run);
	code = curl_easy_perform(client->curl);
	if (run->is_large)
		return err_set(err, ERR_SYSTEM, "%s: an answer of more than %zu bytes",
			client->base_url, run->max_body);
	if (code != CURLE_OK && !run->is_ended)
		return http_client_fail(client, code, err);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	*ret_status = (int)status;
	return 0;
}

static int
http_client_exchange(struct http_client *client, const char *method, const char *path,
	const char *const *headers, struct str body, unsigned timeout_ms,
	struct http_client_run *run, struct err *err)
{
	OWN(mem) char *url = mem_printf("%s%s", client->base_url, path);
	struct curl_slist *list = http_client_headers(client, headers);
	int rc;

	http_client_prepare(client, method, url, list, timeout_ms);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, http_client_on_body);
	if (run->body) {
		curl_easy_setopt(client->curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(client->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)run->total);
		curl_easy_setopt(client->curl, CURLOPT_READFUNCTION, http_client_on_read);
		curl_easy_setopt(client->curl, CURLOPT_READDATA, run);
		curl_easy_setopt(client->curl, CURLOPT_SEEKFUNCTION, http_client_on_seek);
		curl_easy_setopt(client->curl, CURLOPT_SEEKDATA, run);
	} else if (body.len) {
		curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
		curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body.at);
	} else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
		curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
		curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, "");
	}
	rc = http_client_perform(client, run, &run->answer->status, err);
	curl_slist_free_all(list);
	return rc;
}

static int
http_client_answer(struct http_client *client, const char *method, const char *path,
	const char *const *headers, struct str body, unsigned timeout_ms,
	struct http_client_run *run, struct http_client_answer *ret, struct err *err)
{
	struct http_client_answer answer = {0, BUF_INIT, BUF_INIT};
	int rc;

	run->answer = &answer;
	rc = http_client_exchange(client, method, path, headers, body, timeout_ms, run, err);
	if (rc < 0) {
		http_client_answer_done(&answer);
		return rc;
	}
	*ret = answer;
	return 0;
}

int
http_client_send(struct http_client *client, const char *method, const char *path,
	const char *const *headers, struct str body, unsigned timeout_ms,
	struct http_client_answer *ret, struct err *err)
{
	struct http_client_run run = {0};

	return http_client_answer(client, method, path, headers, body, timeout_ms, &run, ret, err);
}

int
http_client_upload(struct http_client *client, const char *method, const char *path,
	const char *const *headers, FILE *body, size_t size,
	void (*on_progress)(size_t sent, size_t total, void *arg), void *arg,
	struct http_client_answer *ret, struct err *err)
{
	struct http_client_run run = {
		.body = body,
		.on_progress = on_progress,
		.arg = arg,
		.total = size,
	};

	return http_client_answer(client, method, path, headers, STR_NONE, 0, &run, ret, err);
}

int
http_client_stream(struct http_client *client, const char *path, const char *const *headers,
	int *ret_status, bool (*on_bytes)(struct str bytes, void *arg), void *arg,
	struct buf *error_body, struct err *err)
{
	struct http_client_answer answer = {0, BUF_INIT, BUF_INIT};
	OWN(mem) char *url = mem_printf("%s%s", client->base_url, path);
	struct curl_slist *list = http_client_headers(client, headers);
	struct http_client_run run = {
		.answer = &answer,
		.on_bytes = on_bytes,
		.arg = arg,
		.refusal = error_body,
	};
	int rc;

	http_client_prepare(client, "GET", url, list, 0);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, http_client_on_stream);
	curl_easy_setopt(client->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(client->curl, CURLOPT_LOW_SPEED_TIME, HTTP_CLIENT_SILENT_S);
	rc = http_client_perform(client, &run, ret_status, err);
	curl_slist_free_all(list);
	http_client_answer_done(&answer);
	return rc;
}
