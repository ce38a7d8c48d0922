/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path - files and folders, and where mayfly's own parts are. Any process, any thread.
 */
#ifndef MAYFLY_BASE_PATH_H
#define MAYFLY_BASE_PATH_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* "a/b" from "a" and "b", on the heap; freed by the caller. */
char *path_join(const char *folder, const char *name);

/* mkdir -p; existing folders keep their mode. */
int path_make(const char *folder, mode_t mode, struct err *err);

/* rm -r without following symlinks; absent is fine. */
int path_remove(const char *path, struct err *err);

/* A whole file of at most max bytes, appended. ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_SYSTEM. */
int path_read(const char *path, size_t max, struct buf *out, struct err *err);

/* Writes aside, fsyncs, renames over, fsyncs the folder: after it returns the file is durable. */
int path_write(const char *path, struct str bytes, mode_t mode, struct err *err);

/* Folder of mayfly-daemon, mayfly-spawner, mayfly-init …: $MAYFLY_LIBEXEC, or the folder of the
 * running program if mayfly-spawner is there (a build tree), or ../libexec/mayfly. Static. */
const char *path_libexec(void);

/* Folder of runtimes/ and openapi.yaml: $MAYFLY_SHARE, or the program's folder if it has
 * runtimes/, or share/mayfly of the same prefix. Static. */
const char *path_share(void);

#endif
