/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64 - bytes as text (RFC 4648 section 4), read strictly: padding needed, no other byte. Any
 * process, any thread.
 */
#ifndef MAYFLY_BASE_BASE64_H
#define MAYFLY_BASE_BASE64_H

#include "base/buf.h"

/* Appends what it means; false for what is not base64. */
bool base64_decode(struct str text, struct buf *out);
void base64_encode(struct str bytes, struct buf *out); /* appended */

#endif
