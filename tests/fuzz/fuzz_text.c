/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_text - any bytes can be told in JSON: what buf_add_json() writes is one JSON string, and
 * the same bytes when they are UTF-8.
 */
#include "fuzz.h"

#include "base/json.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str text = str_n(bytes, size);
	OWN(buf) struct buf quoted = BUF_INIT;
	OWN(json) json_t *value = NULL;

	buf_add_json(&quoted, text);
	value = json_loadb(quoted.at, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	must(json_is_string(value));
	if (str_is_utf8(text))
		must(str_eq(str_n(json_string_value(value), json_string_length(value)), text));
	return 0;
}
