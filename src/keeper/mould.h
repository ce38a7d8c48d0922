/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mould - a fork of the subject as it was at the snapshot, which never runs: its memory is the
 * snapshot.
 *
 * Pages that nobody has written since stand in the machine once, for the subject, its mould, and
 * the template that both may come from; what is written is copied by the kernel then. So a snapshot
 * costs page tables, and its time does not depend on how much memory the program has.
 *
 * It is a child of the subject that sends no signal when it ends: an ordinary wait does not see it.
 * It stands stopped by its tracer, and dies with it. A call sees it and has its user: it may kill
 * it, send it signals, set its limits, its rank, its process group. Then the sandbox is spoilt, for
 * the next call could read there what this one wrote. A program that keeps mappings from its
 * children (MADV_DONTFORK) has no mould.
 *
 * mayfly-keeper; the subject is stopped.
 */
#ifndef MAYFLY_KEEPER_MOULD_H
#define MAYFLY_KEEPER_MOULD_H

#include "base/str.h"
#include "keeper/subject.h"

/* `maps`: what /proc says of the subject's mappings. 0; 1: it cannot have one; -1 with a verdict.
 * Runs a batch. */
int mould_make(struct subject *subject, struct str maps, struct keeper_reply *reply);

/* Its number, as the keeper sees it; 0 without one. */
pid_t mould_pid(void);

/* Whether nobody has done anything to it, or there is none: 0, or -1 with a verdict. */
int mould_check(struct keeper_reply *reply);

/* Copies memory of the snapshot. 0, or -1 with a verdict. */
int mould_read(uint64_t at, void *ret, size_t size, struct keeper_reply *reply);

#endif
