/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard - what mayfly-keeper itself may do: no capability but the one to trace, no new one, and the
 * system calls that its work consists of.
 *
 * mayfly-keeper, once, before it looks at its subject.
 */
#ifndef MAYFLY_KEEPER_GUARD_H
#define MAYFLY_KEEPER_GUARD_H

#include "base/err.h"

int guard_shut(struct err *err);

#endif
