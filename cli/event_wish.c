/* SPDX-License-Identifier: Apache-2.0 */
#include "event_wish.h"

#include "base/id.h"
#include "base/path.h"

#define FILE_MAX   (4u << 20)
#define TIMEOUT_MS 120000

void
event_wish_done(struct event_wish *wish)
{
	json_decref(wish->extensions);
}

static int
take_attribute(struct event_wish *wish, const char *text, struct err *err)
{
	struct str value = str_of(text), name = str_cut(&value, '=');
	OWN(mem) char *key = str_dup(name);

	if (!value.at || !name.len)
		return err_field(
			err, ERR_INVALID, "attribute", "-a takes NAME=VALUE, '%s' is not", text);
	if (!wish->extensions)
		wish->extensions = json_object();
	if (json_object_set_new(wish->extensions, key, json_stringn(value.at, value.len)) < 0)
		return err_field(err, ERR_INVALID, "attribute", "%s is not UTF-8", key);
	return 0;
}

bool
event_wish_take(struct event_wish *wish, int option, int *ret_code, struct err *err)
{
	*ret_code = 0;
	switch (option) {
	case 't':
		wish->type = optarg;
		return true;
	case 's':
		wish->source = optarg;
		return true;
	case 'u':
		wish->subject = optarg;
		return true;
	case 'i':
		wish->id = optarg;
		return true;
	case 'd':
		wish->data = optarg;
		return true;
	case 'f':
		wish->file = optarg;
		return true;
	case 2:
		wish->file = "-";
		return true;
	case 'a':
		*ret_code = take_attribute(wish, optarg, err);
		return true;
	default:
		return false;
	}
}

/* ---- reading ---- */

static int
read_stdin(struct buf *out, struct err *err)
{
	size_t n;

	while ((n = fread(buf_room(out, 65536), 1, 65536, stdin)) > 0) {
		buf_grew(out, n);
		if (out->len > FILE_MAX)
			return err_set(
				err, ERR_TOO_LARGE, "stdin holds more than %u bytes", FILE_MAX);
	}
	return ferror(stdin) ? err_sys(err, "reading stdin") : 0;
}

static int
read_file(const char *path, struct buf *out, struct err *err)
{
	return strcmp(path, "-") == 0 ? read_stdin(out, err) : path_read(path, FILE_MAX, out, err);
}

/* JSON where it is JSON, else the text itself. */
static int
add_data(const struct event_wish *wish, json_t *event, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;
	json_t *data = NULL;
	int rc = 0;

	if (!wish->data)
		return 0;
	if (wish->data[0] == '@')
		rc = read_file(wish->data + 1, &text, err);
	else
		buf_add_text(&text, wish->data);
	if (rc < 0)
		return rc;
	if (json_parse_value(buf_str(&text), &data, NULL) == 0) {
		json_object_set_new(event, "datacontenttype", json_string("application/json"));
	} else {
		data = json_stringn(text.at ? text.at : "", text.len);
		json_object_set_new(event, "datacontenttype", json_string("text/plain"));
	}
	if (json_object_set_new(event, "data", data) < 0)
		return err_field(err, ERR_INVALID, "data", "data is neither JSON nor UTF-8 text");
	return 0;
}

static int
make(const struct event_wish *wish, json_t **ret, struct err *err)
{
	char id[ID_ULID_SIZE];
	OWN(json) json_t *event = NULL;
	int rc;

	if (!wish->type)
		return err_field(
			err, ERR_INVALID, "type", "--type is needed, or -f with the whole event");
	id_ulid(id);
	event = json_pack("{s:s, s:s, s:s, s:s, s:s*}", "specversion", "1.0", "id",
		wish->id ? wish->id : id, "source", wish->source ? wish->source : "/cli", "type",
		wish->type, "subject", wish->subject);
	if (!event)
		return err_set(err, ERR_INVALID, "an attribute is not UTF-8");
	if (wish->extensions)
		json_object_update_missing(event, wish->extensions);
	rc = add_data(wish, event, err);
	if (rc == 0)
		*ret = take_ptr(&event);
	return rc;
}

static int
write_body(const struct event_wish *wish, struct buf *out, struct err *err)
{
	OWN(json) json_t *event = NULL;
	int rc;

	if (wish->file)
		return read_file(wish->file, out, err);
	rc = make(wish, &event, err);
	if (rc == 0)
		json_write(event, out);
	return rc;
}

/* What begins with '[' can only be a batch. */
static const char *
type_of(const struct buf *body)
{
	size_t n = body->at ? strspn(body->at, " \t\r\n") : 0;

	return n < body->len && body->at[n] == '['
		       ? "Content-Type: application/cloudevents-batch+json"
		       : "Content-Type: application/cloudevents+json";
}

int
event_wish_send(struct cli *cli, const struct event_wish *wish, const char *query, json_t **ret,
	struct err *err)
{
	OWN(mem) char *events = cli_path("/v1/orgs/%s/events", cli->org);
	OWN(mem) char *path = mem_printf("%s%s", events, query);
	OWN(buf) struct buf body = BUF_INIT;
	struct http_client_answer answer = {0};
	struct http_client *client = NULL;
	int rc = write_body(wish, &body, err);

	if (rc == 0)
		rc = cli_client(cli, &client, err);
	if (rc < 0)
		return rc;
	const char *headers[] = {type_of(&body), NULL};

	rc = http_client_send(
		client, "POST", path, headers, buf_str(&body), TIMEOUT_MS, &answer, err);
	if (rc == 0 && answer.status >= 400)
		rc = cli_error(answer.status, buf_str(&answer.body), err);
	else if (rc == 0)
		rc = json_parse(buf_str(&answer.body), ret, err);
	http_client_answer_done(&answer);
	return rc;
}
