/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_base64 - reads base64 (RFC 4648 section 4), strictly: padding needed, no other byte. Any
 * thread.
 */
#ifndef MAYFLY_API_API_BASE64_H
#define MAYFLY_API_API_BASE64_H

#include "base/buf.h"

/* Appends what it means; false for what is not base64. */
bool api_base64_decode(struct str text, struct buf *out);

#endif
