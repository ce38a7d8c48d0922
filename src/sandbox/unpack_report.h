/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack_report - what mayfly-unpack tells about the tree that it made (unpack.h has the format).
 */
#ifndef MAYFLY_SANDBOX_UNPACK_REPORT_H
#define MAYFLY_SANDBOX_UNPACK_REPORT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the report on the tree that the descriptor leads to. */
int unpack_report(int tree, struct buf *out, struct err *err);

#endif
