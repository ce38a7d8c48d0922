/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procfile - files of /proc that a keeper reads after every call, kept open.
 *
 * Opening one costs twice what reading it does. What the kernel gives is always whole or refused: a
 * text that does not fit is a failure. mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_PROCFILE_H
#define MAYFLY_KEEPER_PROCFILE_H

#include "base/str.h"
#include "keeper/subject.h"

/* A descriptor of /proc/<main_pid>/<path>, or -1 with a verdict. */
__attribute__((format(printf, 3, 4))) int procfile_open(
	struct subject *subject, struct keeper_reply *reply, const char *path, ...);

/* All of it from its beginning, terminated. Its length, or -1 with errno: ENOSPC when it does not
 * fit. */
ssize_t procfile_read(int fd, char *ret, size_t size);

/* The value of the line "<key>:<blanks><value>" of a text of lines, or STR_NONE. */
struct str procfile_value(const char *text, const char *key);

/* Cuts one line off *rest: its key before the colon, its value behind colon and blanks. False at
 * the end. */
bool procfile_cut_line(struct str *rest, struct str *ret_key, struct str *ret_value);

#endif
