/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_vcd_message - a request of vCloud Director's: what is taken has a method, a path and headers
 * that HTTP can carry, its path names an org or not, and an answer to it is JSON with its id.
 */
#include "fuzz.h"

#include "base/id.h"
#include "base/own.h"
#include "connect/vcd_message.h"
#include "connect/vcd_org.h"

static void
check_headers(const struct vcd_request *request)
{
	for (size_t i = 0; i < request->n_headers; i++) {
		must(http_is_token(request->headers[i].name));
		must(http_is_value(request->headers[i].value));
	}
}

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
	struct err err;

	vcd_message_write(&answer, &out);
	if (json_parse(buf_str(&out), &json, &err) == 0)
		must(strcmp(json_string_value(json_object_get(json, "id")), request->id) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct vcd_org_map map = {.names = MAP_INIT};
	OWN(vcd_request) struct vcd_request request;
	struct str route;
	char org[64];

	if (vcd_message_read(str_n(bytes, size), &request, NULL) < 0)
		return 0;
	must(request.method[0] && request.path.len && request.path.at[0] == '/');
	check_headers(&request);
	check_answer(&request);
	if (vcd_org_path(&map, buf_str(&request.path), org, &route, NULL) == 0)
		must(!org[0] || id_check_name(str_of(org), "org", NULL) == 0);
	return 0;
}
