/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_code.h"

#include "api/api_nouns.h"
#include "store/blob.h"

#define API_CODE_UPLOADS    10000 /* remembered, of all orgs together */
#define API_CODE_CHUNK      (128u << 10)
#define API_CODE_QUEUE_HIGH (256u << 10)

/* ---- what an org uploaded ---- */

struct api_upload {
	struct list link; /* in api.uploads_by_age */
	char key[64 + 1 + ID_SHA256_SIZE];
};

static struct str
api_code_key(struct api_upload *upload, struct str org, struct str digest)
{
	int len = snprintf(
		upload->key, sizeof(upload->key), "%.*s/%.*s", STR_ARG(org), STR_ARG(digest));

	return str_n(upload->key, (size_t)len);
}

static void
api_code_forget(struct api *api, struct api_upload *upload)
{
	map_remove(&api->uploads, str_of(upload->key));
	list_remove(&upload->link);
	free(upload);
}

static void
api_code_remember(struct api *api, struct str org, struct str digest)
{
	struct api_upload *upload = mem_new(sizeof(*upload));
	struct str key = api_code_key(upload, org, digest);
	struct api_upload *old = map_find(&api->uploads, key);

	if (old)
		api_code_forget(api, old);
	old = list_first(&api->uploads_by_age, struct api_upload, link);
	if (old && api->uploads.len >= API_CODE_UPLOADS)
		api_code_forget(api, old);
	map_put(&api->uploads, key, upload);
	list_push_back(&api->uploads_by_age, &upload->link);
}

static bool
api_code_is_in(const struct function *function, struct str digest)
{
	struct version *version;

	list_each (&function->versions, version, link)
		if (str_eq(str_of(version->source), digest))
			return true;
	return false;
}

bool
api_code_may_use(const struct api *api, const struct org *org, struct str digest)
{
	struct api_upload upload;

	if (map_find(&api->uploads, api_code_key(&upload, str_of(org->name), digest)))
		return true;
	map_each (&org->functions, entry)
		if (api_code_is_in(entry->value, digest))
			return true;
	return false;
}

void
api_code_done(struct api *api)
{
	struct api_upload *upload;

	list_each (&api->uploads_by_age, upload, link)
		free(upload);
	list_init(&api->uploads_by_age);
	map_done(&api->uploads);
}

/* ---- storing ---- */

struct api_code_message {
	struct store_message message;
	struct api *api; /* borrowed */
	char org[64];
	char *bytes; /* owned */
	size_t size;
	char digest[ID_SHA256_SIZE];
	api_code_stored_fn *stored;
	void *arg;
};

static int
api_code_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct api_code_message *put = list_owner(message, struct api_code_message, message);

	thread_on_store();
	return blob_put(db, str_n(put->bytes, put->size), put->digest, err);
}

static void
api_code_on_stored(struct store_message *message)
{
	struct api_code_message *put = list_owner(message, struct api_code_message, message);

	thread_on_loop();
	if (message->code == 0)
		api_code_remember(put->api, str_of(put->org), str_of(put->digest));
	put->stored(message->code, put->digest, put->size, &message->err, put->arg);
	free(put->bytes);
	free(put);
}

void
api_code_store(struct api *api, struct str org, char *bytes, size_t size,
	api_code_stored_fn *stored, void *arg)
{
	struct api_code_message *put = mem_new(sizeof(*put));

	must(org.len < sizeof(put->org));
	memcpy(put->org, org.at, org.len);
	put->message.work = api_code_work;
	put->message.done = api_code_on_stored;
	put->api = api;
	put->bytes = bytes;
	put->size = size;
	put->stored = stored;
	put->arg = arg;
	store_ask(api->domain->store, &put->message);
}

/* ---- POST …/code ---- */

static void
api_code_on_uploaded(
	int code, const char *digest, uint64_t size_bytes, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0)
		api_answer_error(request, err);
	else
		api_answer_json(request, 201,
			json_pack("{s:s, s:I}", "digest", digest, "size_bytes",
				(json_int_t)size_bytes));
}

void
api_code_upload(struct api_request *request)
{
	struct org *org = api_request_org(request);
	struct err err = {0};
	size_t size;
	char *bytes;

	if (!org)
		return;
	if (!http_request_of(request->exchange)->body.len) {
		err_set(&err, ERR_INVALID,
			"the body is empty: send the source, an archive or a file");
		api_answer_error(request, &err);
		return;
	}
	bytes = http_take_body(request->exchange, &size);
	api_code_store(request->api, str_of(org->name), bytes, size, api_code_on_uploaded, request);
}

/* ---- GET …/versions/{version}/code ---- */

struct api_code_download {
	struct http_exchange *exchange; /* borrowed */
	int fd;                         /* owned */
	uint64_t at, size;
};

static void
api_code_download_free(struct api_code_download *download)
{
	close(download->fd);
	free(download);
}

static void
api_code_on_abort(struct http_exchange *exchange, void *arg)
{
	thread_on_loop();
	api_code_download_free(arg);
}

/* Until the client has enough to take for now, or all. Reading is from the page cache or a local
 * disk, in bounded pieces. */
static void
api_code_send(struct api_code_download *download) ON_LOOP
{
	OWN(mem) char *bytes = mem_new(API_CODE_CHUNK);
	size_t n_queued = 0;

	while (download->at < download->size && n_queued <= API_CODE_QUEUE_HIGH) {
		ssize_t n = pread(download->fd, bytes, API_CODE_CHUNK, (off_t)download->at);

		if (n <= 0) {
			http_answer_cut(download->exchange);
			api_code_download_free(download);
			return;
		}
		download->at += (uint64_t)n;
		n_queued = http_answer_write(download->exchange, str_n(bytes, (size_t)n));
	}
	if (download->at < download->size)
		return;
	http_answer_end(download->exchange);
	api_code_download_free(download);
}

static void
api_code_on_drain(struct http_exchange *exchange, void *arg)
{
	thread_on_loop();
	api_code_send(arg);
}

static void
api_code_begin(
	struct api_request *request, const struct version *version, int fd, uint64_t size) ON_LOOP
{
	struct api_code_download *download = mem_new(sizeof(*download));
	OWN(mem)
	char *disposition = mem_printf(
		"attachment; filename=\"%s\"", version->filename[0] ? version->filename : "source");
	OWN(mem) char *etag = mem_printf("\"%s\"", version->source);
	const struct http_header headers[] = {
		{STR("content-type"), STR("application/octet-stream")},
		{STR("content-disposition"), str_of(disposition)},
		{STR("etag"), str_of(etag)},
	};

	download->exchange = request->exchange;
	download->fd = fd;
	download->size = size;
	api_request_free(request);
	http_on_abort(download->exchange, api_code_on_abort, download);
	http_on_drain(download->exchange, api_code_on_drain, download);
	http_answer_begin(download->exchange, 200, headers, 3);
	api_code_send(download);
}

void
api_code_download(struct api_request *request)
{
	const struct version *version = api_version_of(request);
	struct err err = {0};
	uint64_t size;
	int fd = -1;

	if (!version)
		return;
	if (blob_open(request->api->domain->store, version->source, &fd, &size, &err) < 0)
		api_answer_error(request, &err);
	else
		api_code_begin(request, version, fd, size);
}
