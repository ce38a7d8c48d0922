/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_envelope.h"

#include "base/base64.h"

/* jansson's own words quote the text where they found it wrong: a token may stand there. */
static int
parse_object(struct str text, const char *what, json_t **ret, struct err *err)
{
	if (json_parse(text, ret, NULL) < 0 || !json_is_object(*ret))
		return err_set(err, ERR_INVALID, "%s is not an object of JSON", what);
	return 0;
}

static int
read_request_id(const json_t *envelope, struct vcd_request *ret, struct err *err)
{
	const json_t *headers = NULL;
	const char *id = "";
	int rc = json_get_object(envelope, "", "headers", JSON_NEEDED, &headers, err);

	if (rc == 0)
		rc = json_get_str(headers, "headers", "requestId", JSON_NEEDED, sizeof(ret->id) - 1,
			&id, err);
	if (rc == 0 && !*id)
		rc = err_field(err, ERR_INVALID, "headers.requestId", "headers.requestId is empty");
	if (rc == 0)
		snprintf(ret->id, sizeof(ret->id), "%s", id);
	return rc;
}

static int
read_http_request(const json_t *envelope, json_t **ret, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;
	const char *encoded = "";
	int rc = json_get_str(
		envelope, "", "httpRequest", JSON_NEEDED, VCD_MESSAGE_BYTES_MAX, &encoded, err);

	if (rc < 0)
		return rc;
	if (!base64_decode(str_of(encoded), &text))
		return err_field(err, ERR_INVALID, "httpRequest", "httpRequest is not base64");
	rc = parse_object(buf_str(&text), "httpRequest", ret, err);
	if (text.len)
		explicit_bzero(text.at, text.len);
	return rc;
}

int
vcd_envelope_read(struct str bytes, struct vcd_request *ret, struct err *err)
{
	OWN(json) json_t *envelope = NULL;
	OWN(json) json_t *request = NULL;
	const json_t *message = NULL, *context = NULL;
	const char *type = "";
	int rc;

	*ret = (struct vcd_request){.path = BUF_INIT};
	if (bytes.len > VCD_MESSAGE_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "the message has more than %d bytes",
			VCD_MESSAGE_BYTES_MAX);
	rc = parse_object(bytes, "the message", &envelope, err);
	if (rc == 0)
		rc = json_get_str(envelope, "", "type", JSON_NEEDED, 64, &type, err);
	if (rc == 0 && strcmp(type, "API_REQUEST") != 0)
		rc = err_field(err, ERR_UNIMPLEMENTED, "type",
			"messages of another type than API_REQUEST are not taken");
	if (rc == 0)
		rc = read_request_id(envelope, ret, err);
	if (rc == 0)
		rc = read_http_request(envelope, &request, err);
	if (rc == 0)
		rc = json_get_object(request, "", "message", JSON_NEEDED, &message, err);
	if (rc == 0)
		rc = json_get_object(request, "", "securityContext", JSON_NEEDED, &context, err);
	return rc == 0 ? vcd_message_take(message, context, ret, err) : rc;
}

void
vcd_envelope_write(const struct vcd_answer *answer, struct buf *out)
{
	buf_add_text(out, "{\"type\":\"API_RESPONSE\",\"headers\":{\"requestId\":");
	buf_add_json(out, str_of(answer->id));
	buf_add_text(out, "},\"httpResponse\":{");
	vcd_message_write_http(answer, out);
	buf_add_text(out, "}}");
}
