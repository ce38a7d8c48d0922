/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_file - a password or a token that a setting names the file of.
 *
 * Read before the daemon gives up its rights, so that the file may be root's alone.
 */
#ifndef MAYFLY_DAEMON_SECRET_FILE_H
#define MAYFLY_DAEMON_SECRET_FILE_H

#include "base/err.h"

/* The file's first line; "" where there is no path. `key` is the setting's name, for the error. */
int secret_file_read(const char *path, const char *key, char **ret, struct err *err);
/* Frees it, and leaves nothing of it in memory. NULL is fine. */
void secret_file_free(char *secret);

#endif
