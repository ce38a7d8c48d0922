/* SPDX-License-Identifier: Apache-2.0 */
/*
 * package - a function's folder as a tar.gz that is the same bytes for the same content.
 *
 * Entries are sorted, owners and times are left out, modes are 0644 or 0755. What .mayflyignore
 * names stays behind (one fnmatch(3) pattern a line, matched against names and against paths from
 * the folder; '#' begins a comment); without that file: .git, node_modules, __pycache__, *.pyc,
 * .venv. Links are kept as links if they stay inside, else refused.
 */
#ifndef MAYFLY_CLI_PACKAGE_H
#define MAYFLY_CLI_PACKAGE_H

#include <stdio.h>

#include "base/err.h"

/* Writes the archive into `out` (a stream opened for reading and writing, rewound afterwards). */
int package_folder(const char *folder, FILE *out, struct err *err);

#endif
