/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf - the trees that are unpacked on disk, and who uses them.
 *
 *	 shelf_need()            blob opened             the sandbox is gone
 *	 UNKNOWN ─────▶ OPENING ─────────────▶ UNPACKING ───────────▶ THERE ──last
 *shelf_release()──┐ ▲               └─────── failed ───────┴──▶ UNKNOWN ▼
 *	    └────────────────────────────── taken from the disk ◀───────────────────────────
 *REMOVING
 *
 * A tree is made once, however many ask for it at the same time, and taken from the disk when
 * nobody holds it. The name of a tree says what is in it, so one that is there needs no check.
 * A tree of code has a report (sandbox/unpack.h), which is not kept on disk: whoever needs it of a
 * tree that was made in an earlier life of the daemon unpacks it again.
 * Knows no version. ON_LOOP. Invariant: a tree that is not held is in no state but REMOVING.
 */
#ifndef MAYFLY_DOMAIN_SHELF_H
#define MAYFLY_DOMAIN_SHELF_H

#include "domain/domain.h"

struct shelf_source {
	const char *blob;     /* an archive, or a file */
	const char *filename; /* of a single file; "" for an archive */
	uint64_t bytes;       /* most when unpacked; 0 for the usual */
	uint32_t entries;     /* most files and folders; 0 for the usual */
	bool is_report_needed;
};

/* The name of the tree that a source becomes. */
void shelf_name(const char *blob, const char *filename, char ret[static ID_SHA256_SIZE]);

/* "" is no tree and fine. */
void shelf_hold(struct domain *domain, const char *name) ON_LOOP;
void shelf_release(struct domain *domain, const char *name) ON_LOOP;

bool shelf_has(const struct domain *domain, const char *name) ON_LOOP;
/* For who needed it, when the tree is there; not kept for later. */
struct str shelf_report(const struct domain *domain, const char *name) ON_LOOP;

/* Stands inside its owner. */
struct shelf_wait {
	struct list link; /* list_init() before */
	void (*done)(struct shelf_wait *wait, int code, const struct err *err);
};

/* Sees to it that a tree that is held is there: true when it is; else done() is called. ERR_INVALID
 * and ERR_TOO_LARGE are the source's fault, everything else is the platform's. */
bool shelf_need(struct domain *domain, const char *name, const struct shelf_source *source,
	struct shelf_wait *wait) ON_LOOP;
/* done() will not be called. What nobody waits for is ended. Harmless twice. */
void shelf_leave(struct domain *domain, const char *name, struct shelf_wait *wait) ON_LOOP;

/* Removes from the disk what nobody holds: after the start, when all that is used is held. */
void shelf_sweep(struct domain *domain) ON_LOOP;

/* Forgets all; nothing is taken from the disk. */
void shelf_free(struct domain *domain);

#endif
