/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cell_read - any answer of a cell's: what is read of it can be printed, a version is two
 * numbers, a UUID has its length.
 */
#include "fuzz.h"

#include "cell_read.h"

static void
check_printable(struct str text)
{
	must(str_is_utf8(text));
	for (size_t i = 0; i < text.len; i++)
		must((unsigned char)text.at[i] >= 0x20 && text.at[i] != 0x7F);
}

static void
check_records(struct str body)
{
	static const char *const attributes[] = {"name", "href", "urlPattern", NULL};
	OWN(json) json_t *array = json_array();
	char uuid[CELL_UUID_SIZE];
	uint64_t total;
	json_t *record, *value;
	const char *key;
	size_t i;

	if (cell_read_records(body, "ApiFilterRecord", attributes, array, &total, NULL) < 0)
		return;
	json_array_foreach (array, i, record) {
		json_object_foreach (record, key, value) {
			must(json_is_string(value));
			struct str text =
				str_n(json_string_value(value), json_string_length(value));

			check_printable(text);
			if (cell_read_uuid(text, uuid))
				must(strlen(uuid) == CELL_UUID_SIZE - 1);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str body = str_n(bytes, size);
	OWN(buf) struct buf message = BUF_INIT;
	char version[CELL_VERSION_SIZE], uuid[CELL_UUID_SIZE];
	unsigned major, minor;

	check_records(body);
	if (cell_read_versions(body, version, NULL) == 0)
		must(cell_read_version(str_of(version), &major, &minor));
	cell_read_error(body, &message);
	must(message.len <= 150);
	check_printable(buf_str(&message));
	if (cell_read_uuid(body, uuid))
		must(strlen(uuid) == CELL_UUID_SIZE - 1);
	return 0;
}
