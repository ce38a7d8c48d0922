/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "cli.h"

#define ASK_TIMEOUT_MS 120000

int
cli_client(struct cli *cli, struct http_client **ret, struct err *err)
{
	if (!cli->client) {
		int rc = http_client_new(cli->url, cli->token, &cli->client, err);

		if (rc < 0)
			return err_wrap(err, rc, "connecting to %s", cli->url);
	}
	*ret = cli->client;
	return 0;
}

int
cli_error(int status, struct str body, struct err *err)
{
	OWN(json) json_t *document = json_loadb(body.at ? body.at : "", body.len, 0, NULL);
	const char *word = json_string_value(json_object_get(document, "code"));
	const char *message = json_string_value(json_object_get(document, "message"));
	const char *field = json_string_value(json_object_get(document, "field"));
	const char *call_id = json_string_value(json_object_get(document, "call_id"));
	int code = word ? err_from_word(word) : 0;

	if (!code)
		code = status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
	if (!message)
		return err_set(err, code, "the daemon answered with status %d", status);
	if (call_id)
		return err_set(err, code, "%s [%s, call %s]", message, err_word(code), call_id);
	return field ? err_field(err, code, field, "%s", message)
		     : err_set(err, code, "%s", message);
}

int
cli_ask(struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret,
	struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	OWN(buf) struct buf text = BUF_INIT;
	struct http_client_answer answer = {0};
	struct http_client *client = NULL;
	int rc = cli_client(cli, &client, err);

	if (rc < 0)
		return rc;
	if (body)
		json_write(body, &text);
	rc = http_client_send(client, method, path, body ? headers : NULL, buf_str(&text),
		ASK_TIMEOUT_MS, &answer, err);
	if (rc == 0 && answer.status >= 400)
		rc = cli_error(answer.status, buf_str(&answer.body), err);
	else if (rc == 0 && ret && answer.body.len)
		rc = json_parse(buf_str(&answer.body), ret, err);
	http_client_answer_done(&answer);
	return rc;
}

static void
add_encoded(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr("-._~", c) || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z'))
			buf_add_char(out, *text);
		else
			buf_printf(out, "%%%02X", c);
	}
}

char *
cli_path(const char *format, ...)
{
	struct buf out = BUF_INIT;
	va_list args;

	va_start(args, format);
	for (const char *at = format; *at; at++) {
		if (at[0] == '%' && at[1] == 's') {
			add_encoded(&out, va_arg(args, const char *));
			at++;
		} else {
			buf_add_char(&out, *at);
		}
	}
	va_end(args);
	return buf_take(&out, NULL);
}
