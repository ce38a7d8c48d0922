/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack_check - what an entry of an archive may be called, and where its link may point.
 *
 * Pure functions over foreign bytes: no file is touched. A link's target may begin with ".." as
 * often as its folder is deep, and has none behind: so it stays inside whatever other links it
 * leads through, because each of them does.
 */
#ifndef MAYFLY_SANDBOX_UNPACK_CHECK_H
#define MAYFLY_SANDBOX_UNPACK_CHECK_H

#include "base/err.h"
#include "base/str.h"
#include "sandbox/unpack.h"

/* The path without "./" and slashes that say nothing, terminated; "" for the tree itself.
 * ERR_INVALID says what is wrong with it. */
int unpack_check_path(struct str path, char ret[static UNPACK_PATH_MAX + 1], struct err *err);

/* `path` comes from unpack_check_path(). */
int unpack_check_link(struct str path, struct str target, struct err *err);

/* For messages: at most 80 bytes of a foreign text, what cannot be printed as '?'. Static. */
const char *unpack_check_shown(struct str text);

#endif
