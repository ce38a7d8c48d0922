/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_json_check - whether bytes are one JSON text (RFC 8259), and nothing more.
 *
 * A direct call's body goes to the function as it came; this says beforehand that it can be read
 * there. It builds nothing, takes no memory and looks at each byte once. At most 512 levels.
 * Any thread. Fuzzed by fuzz_json_check, against the document parser.
 */
#ifndef MAYFLY_API_API_JSON_CHECK_H
#define MAYFLY_API_API_JSON_CHECK_H

#include "base/str.h"

/* False: *ret_at is the offset of the byte that breaks it (len when it ends too early). */
bool api_json_check(struct str text, size_t *ret_at);

#endif
