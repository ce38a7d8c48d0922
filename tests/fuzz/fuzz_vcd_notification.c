/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_vcd_notification - JSON or XML of vCloud Director's: what is taken has what an event needs,
 * and a type without slashes.
 */
#include "fuzz.h"

#include "connect/vcd_notification.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(json) json_t *event = NULL;
	const char *type;

	if (vcd_notification_read(str_n(bytes, size), "urn:vcloud:cell:1", &event, NULL) < 0)
		return 0;
	type = json_string_value(json_object_get(event, "type"));
	must(type && *type && !strchr(type, '/'));
	must(json_string_length(json_object_get(event, "id")) > 0);
	must(json_is_boolean(json_object_get(event, "operationsuccess")));
	must(json_is_object(json_object_get(event, "data")));
	return 0;
}
