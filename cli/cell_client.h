/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell_client - a session of a system administrator with a cell of vCloud Director.
 *
 * Knows how one logs in and out (Basic credentials and x-vcloud-authorization before version 33.0
 * of the API, a bearer token from then on), which version to speak, and what a refusal means.
 * The password comes from a file, the environment or a terminal; it is in no argument, message or
 * error, and goes to another machine over https only. Knows no service. One thread.
 */
#ifndef MAYFLY_CLI_CELL_CLIENT_H
#define MAYFLY_CLI_CELL_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"

struct cell_wish {
	const char *url, *user;              /* needed; user is like administrator@System */
	const char *password_file, *ca_file; /* NULL without */
	const char *version;                 /* NULL: asked of the cell */
};

struct cell;
/* Logs in. UNAUTHENTICATED: user or password; INVALID names what is wrong in the wish. */
int cell_open(const struct cell_wish *wish, struct cell **ret, struct err *err);
/* Logs out. That it failed is said on stderr and changes nothing. */
void cell_close(struct cell *cell);

OWN_DEFINE(cell, struct cell *, cell_close)

/* path begins with /api/. type: of the body, NULL without one. A status of 400 and more becomes an
 * error with what the cell says; the body of the answer is appended to *ret (may be NULL). */
int cell_ask(struct cell *cell, const char *method, const char *path, const char *type,
	struct str body, struct buf *ret, struct err *err);

/* ---- cell_password.c ---- */

/* Appends the first line of the file, $MAYFLY_VCD_PASSWORD, or what is typed without echo. */
int cell_password(const char *file, const char *user, struct buf *out, struct err *err);

#endif
