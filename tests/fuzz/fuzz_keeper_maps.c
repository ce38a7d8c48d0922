/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_keeper_maps - the parser of memory maps comes to an end on any bytes; what it takes are
 * whole pages, and a name gives no mapping of a file the look of one of the kernel's.
 */
#include "fuzz.h"

#include "base/err.h"
#include "keeper/maps.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str text = str_n(bytes, size);
	struct maps_range range, last = {0};

	for (;;) {
		struct str before = text;
		int rc = maps_next(&text, &range);

		if (rc <= 0) {
			must(rc == -1 || before.len == 0);
			break;
		}
		must(text.len < before.len);
		must(range.start < range.end);
		must(range.start % 4096 == 0 && range.end % 4096 == 0);
		must(maps_is_same_source(&range, &range));
		must(maps_is_same_source(&range, &last) == maps_is_same_source(&last, &range));
		last = range;
	}
	return 0;
}
