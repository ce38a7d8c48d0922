/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_mf_json - libmayfly's JSON: what it takes jansson takes too, and every view is inside.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "mf_inside.h"

static void
walk(struct mf_json json, const char *start, const char *end)
{
	const struct mf_json none = {NULL, NULL};
	struct mf_json key = none;
	size_t n = 0, size;
	char *text;

	must(json.at >= start && json.end <= end && json.at < json.end);
	text = mf_json_dup(json, &size);
	must(!text || strlen(text) <= size);
	must(!text || mf_is_utf8(text, size));
	free(text);
	mf_json_number(json, 0);
	for (struct mf_json at = mf_json_next(json, none, &key); at.at;
		at = mf_json_next(json, at, &key), n++) {
		walk(at, json.at, json.end);
		if (key.at)
			walk(key, json.at, json.end);
		key = none;
	}
	must(n == mf_json_count(json));
	mf_json_get(json, "a");
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(json) json_t *other = NULL;
	struct mf_json json = mf_json_parse((const char *)bytes, size);
	json_error_t error;

	if (!json.at)
		return 0;
	walk(json, (const char *)bytes, (const char *)bytes + size);
	/* jansson refuses what this takes for a number or a character that it cannot hold. */
	other = json_loadb((const char *)bytes, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	must(other || json_error_code(&error) == json_error_numeric_overflow ||
		memmem(bytes, size, "\\u", 2));
	return 0;
}
