/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_session - vCloud Director's REST API with the provider's credentials.
 *
 *	 asked ─▶ no token ─▶ logging in ─ token ─▶ sent ─ 401, once ─▶ no token
 *	              ▲          └─ failed ─▶ all that wait fail ─┐
 *	              └────── after a minute, ten when it was refused
 *
 * From version 33.0 of the API on the session is one of its cloudapi, before that of /api/sessions
 * (pyvcloud's client.py does the same). One session serves all requests; it is made when the first
 * is asked, and ends at vCloud Director when nobody uses it. Password and token leave this file in
 * headers to `url` alone: no redirect is followed, and nothing of them is logged. A password that
 *is refused is not tried again and again, since that locks the account. Knows no task and no
 *function. ON_LOOP.
 */
#ifndef MAYFLY_CONNECT_VCD_SESSION_H
#define MAYFLY_CONNECT_VCD_SESSION_H

#include "net/fetch.h"
#include "net/loop.h"

struct vcd_session;

struct vcd_session_config {
	struct loop *loop;        /* borrowed */
	struct fetch_host *fetch; /* borrowed: closed behind vcd_session_stop() */
	const char *url;          /* https://vcd.example */
	const char *user, *password;
	const char *ca_file;     /* NULL for the system's */
	const char *api_version; /* "36.0" */
};
/* What config says of them; INVALID names the setting. */
int vcd_session_check(const char *url, const char *user, const char *api_version, struct err *err);

/* Copies what it is told. */
struct vcd_session *vcd_session_new(const struct vcd_session_config *config) ON_LOOP;
/* What waits for a session ends with UNAVAILABLE; what is on its way ends with its answer, or with
 * the host of fetches. Nothing is asked afterwards. */
void vcd_session_stop(struct vcd_session *session) ON_LOOP;
/* Behind fetch_close(). */
void vcd_session_free(struct vcd_session *session) ON_LOOP;

struct vcd_ask {
	const char *method, *path; /* "/api/…" */
	const char *content_type;  /* NULL without a body */
	struct str body;
	/* An HTTP status; or 0 and an error: UNAVAILABLE and TIMEOUT pass. Exactly once, never
	 * before vcd_session_ask() returned; `answer` is the caller's to release. */
	void (*done)(struct vcd_ask *ask, int status, const struct err *err);
	struct buf answer; /* owned: at most 64 KiB */
	/* private */
	struct list link;
	struct vcd_session *session;
	struct fetch fetch;
	char *texts[4]; /* owned: URL and headers */
	const char *headers[4];
	bool is_again;
};
/* All of it is borrowed until done. */
void vcd_session_ask(struct vcd_session *session, struct vcd_ask *ask) ON_LOOP;

/* Logs in, where that has not been done. */
void vcd_session_begin(struct vcd_session *session) ON_LOOP;
/* Whether vCloud Director took the credentials when it was asked last, as a sentence without
 * them. */
bool vcd_session_is_good(const struct vcd_session *session, char why[static 160]);
/* It was asked, whatever it said. */
bool vcd_session_is_known(const struct vcd_session *session);

#endif
