/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_vcd_envelope - a request of vCloud Director's over MQTT, as it comes or as what lies in the
 * envelope: what is taken has an id, a method and a path, and its answer is JSON with the id.
 */
#include "fuzz.h"

#include "base/base64.h"
#include "base/own.h"
#include "connect/vcd_envelope.h"

static void
check_answer(const struct vcd_request *request)
{
	const struct vcd_answer answer = {.id = request->id,
		.status = 200,
		.headers = request->headers,
		.n_headers = request->n_headers,
		.body = buf_str(&request->body)};
	OWN(buf) struct buf out = BUF_INIT;
	OWN(json) json_t *json = NULL;

	vcd_envelope_write(&answer, &out);
	/* Headers that are there twice make no JSON that is read here. */
	if (json_parse(buf_str(&out), &json, NULL) == 0)
		must(strcmp(json_string_value(
				    json_object_get(json_object_get(json, "headers"), "requestId")),
			     request->id) == 0);
}

static void
check_envelope(struct str bytes)
{
	OWN(vcd_request) struct vcd_request request;
	struct err err = {0};

	if (vcd_envelope_read(bytes, &request, &err) < 0) {
		must(err.code && err.text[0]);
		return;
	}
	must(request.id[0] && request.method[0]);
	must(request.path.len && request.path.at[0] == '/');
	check_answer(&request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(buf) struct buf wrapped = BUF_INIT;

	check_envelope(str_n(bytes, size));
	buf_add_text(&wrapped, "{\"type\":\"API_REQUEST\",\"headers\":{\"requestId\":\"1\"},"
			       "\"httpRequest\":\"");
	base64_encode(str_n(bytes, size), &wrapped);
	buf_add_text(&wrapped, "\"}");
	check_envelope(buf_str(&wrapped));
	return 0;
}
