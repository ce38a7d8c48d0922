/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_json_check - api_json_check() takes what the document parser takes, and nothing that it
 * calls malformed; they differ where the latter bounds depth, numbers and repeated names.
 */
#include "fuzz.h"

#include "api/api_json_check.h"
#include "base/json.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str text = str_n(bytes, size);
	OWN(json) json_t *value = NULL;
	json_error_t error;
	size_t at = size + 1;
	bool is_good = api_json_check(text, &at);

	must(is_good || at <= size);
	if (memchr(bytes, 0, size)) { /* where the document parser sees an end */
		must(!is_good);
		return 0;
	}
	value = json_loadb((const char *)bytes, size,
		JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	if (value)
		must(is_good);
	else if (json_error_code(&error) == json_error_invalid_syntax ||
		 json_error_code(&error) == json_error_premature_end_of_input ||
		 json_error_code(&error) == json_error_end_of_input_expected)
		must(!is_good || memchr(bytes, '\\', size));
	return 0;
}
