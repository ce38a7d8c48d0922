/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_json - json_parse(): what it accepts it can write, and reads again as the same document.
 */
#include "fuzz.h"

#include "base/json.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(json) json_t *value = NULL;
	OWN(json) json_t *again = NULL;
	OWN(buf) struct buf text = BUF_INIT;
	struct err err = {0};

	if (json_parse(str_n(bytes, size), &value, &err) < 0) {
		must(err.code == ERR_INVALID && err.text[0]);
		return 0;
	}
	must(err.code == 0);
	json_write(value, &text);
	must(str_is_utf8(buf_str(&text)));
	must(json_parse(buf_str(&text), &again, &err) == 0);
	must(json_equal(value, again));
	return 0;
}
