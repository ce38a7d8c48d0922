/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "net/http.h"

#define SESSION_TIMEOUT_MS   30000
#define SESSION_ANSWER_BYTES (64u << 10)
#define SESSION_AGAIN_MS     60000
#define SESSION_REFUSED_MS   600000 /* vCloud Director may lock an account that fails often */
#define SESSION_CLOUDAPI     33     /* first major version of the API that has it */
#define SESSION_PROVIDER_ORG STR("System")

struct vcd_session {
	struct vcd_session_config config; /* texts owned */
	bool is_cloudapi, is_stopping, is_logging_in;
	bool is_good, is_known;
	char *token; /* owned; NULL without a session */
	struct err why;
	uint64_t refused_until_us;
	struct list waiting; /* of struct vcd_ask */
	struct loop_timer turn;
	struct fetch login;
	char *texts[3]; /* owned: of the login */
	const char *headers[3];
};

/* ---- texts that are secret ---- */

static void
secret_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void
secrets_free(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		secret_free(take_ptr(&texts[i]));
}

/* ---- settings ---- */

static unsigned
version_major(const char *api_version)
{
	return (unsigned)strtoul(api_version, NULL, 10);
}

/* "36.0", "39.0.0-alpha". */
static bool
is_version(struct str text)
{
	struct str rest = text;
	struct str major = str_cut(&rest, '.');
	uint64_t number;

	if (!str_to_u64(major, &number) || number > 999 || !rest.len || rest.len > 16)
		return false;
	for (size_t i = 0; i < rest.len; i++)
		if (!strchr("0123456789.-abcdefghijklmnopqrstuvwxyz", rest.at[i]) || !rest.at[i])
			return false;
	return rest.at[0] >= '0' && rest.at[0] <= '9';
}

static bool
is_user(struct str text)
{
	struct str org = text;
	struct str name = str_cut(&org, '@');

	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < ' ' || text.at[i] == ':')
			return false;
	return name.len && org.len;
}

int
vcd_session_check(const char *url, const char *user, const char *api_version, struct err *err)
{
	struct str host = str_of(url);
	struct err why = {0};

	if (fetch_check_url(host, &why) < 0)
		return err_field(err, ERR_INVALID, "vcd_url", "vcd_url: %s", why.text);
	str_cut(&host, '/');
	str_cut(&host, '/');
	if (strpbrk(host.at, "/?#"))
		return err_field(err, ERR_INVALID, "vcd_url",
			"vcd_url must end with the host or the port, as https://vcd.example");
	if (!str_starts(str_of(url), STR("https:")) && !http_is_loopback(host))
		return err_field(err, ERR_INVALID, "vcd_url",
			"vcd_url: a password goes over https, but to this machine");
	if (!is_user(str_of(user)))
		return err_field(err, ERR_INVALID, "vcd_user",
			"vcd_user must be <user>@<org>, as admin@System");
	if (!is_version(str_of(api_version)))
		return err_field(err, ERR_INVALID, "vcd_api_version",
			"vcd_api_version must be like 36.0; it is '%s'", api_version);
	return 0;
}

/* ---- what waits ---- */

static void
ask_end(struct vcd_ask *ask, int status, const struct err *err) ON_LOOP
{
	list_remove(&ask->link);
	secrets_free(ask->texts, sizeof(ask->texts) / sizeof(ask->texts[0]));
	ask->done(ask, status, err);
}

/* Those that wait now: what is asked meanwhile waits for itself. */
static void
end_waiting(struct vcd_session *session, const struct err *why) ON_LOOP
{
	struct err err = *why;
	struct list now;
	struct vcd_ask *ask;

	list_init(&now);
	while ((ask = list_first(&session->waiting, struct vcd_ask, link))) {
		list_remove(&ask->link);
		list_push_back(&now, &ask->link);
	}
	while ((ask = list_first(&now, struct vcd_ask, link)))
		ask_end(ask, 0, &err);
}

static void on_turn(struct loop_timer *timer);

static void
take_turn(struct vcd_session *session) ON_LOOP
{
	loop_timer_start(session->config.loop, &session->turn, 0, on_turn);
}

/* ---- one request ---- */

static void
forget_token(struct vcd_session *session)
{
	secret_free(take_ptr(&session->token));
}

/* Was it sent with the token that is kept? */
static bool
is_of_session(const struct vcd_ask *ask)
{
	const char *token = ask->session->token;

	return token && str_ends(str_of(ask->texts[1]), str_of(token));
}

static void
on_answer(struct fetch *fetch, int status, const struct err *err)
{
	struct vcd_ask *ask = list_owner(fetch, struct vcd_ask, fetch);
	struct vcd_session *session = ask->session;

	thread_on_loop();
	buf_done(&fetch->answer_headers);
	if (status == 401 && !ask->is_again && !session->is_stopping) {
		buf_done(&fetch->answer);
		if (is_of_session(ask))
			forget_token(session);
		ask->is_again = true;
		list_push_back(&session->waiting, &ask->link);
		take_turn(session);
		return;
	}
	ask->answer = fetch->answer;
	fetch->answer = BUF_INIT;
	ask_end(ask, status, err);
}

static void
ask_send(struct vcd_ask *ask) ON_LOOP
{
	struct vcd_session *session = ask->session;
	const struct vcd_session_config *config = &session->config;

	secrets_free(ask->texts, sizeof(ask->texts) / sizeof(ask->texts[0]));
	ask->texts[0] = mem_printf("%s%s", config->url, ask->path);
	ask->texts[1] = mem_printf("%s%s",
		session->is_cloudapi ? "Authorization: Bearer " : "x-vcloud-authorization: ",
		session->token);
	ask->texts[2] = mem_printf("Accept: application/*+xml;version=%s", config->api_version);
	ask->texts[3] =
		ask->content_type ? mem_printf("Content-Type: %s", ask->content_type) : NULL;
	memcpy(ask->headers, &ask->texts[1], 3 * sizeof(ask->headers[0]));
	ask->headers[3] = NULL;
	ask->fetch = (struct fetch){
		.method = ask->method,
		.url = ask->texts[0],
		.headers = ask->headers,
		.body = ask->body,
		.timeout_ms = SESSION_TIMEOUT_MS,
		.answer_bytes = SESSION_ANSWER_BYTES,
		.is_trusted = true,
		.ca_file = config->ca_file,
		.done = on_answer,
	};
	fetch_start(config->fetch, &ask->fetch);
}

void
vcd_session_ask(struct vcd_session *session, struct vcd_ask *ask)
{
	ask->session = session;
	ask->answer = BUF_INIT;
	ask->is_again = false;
	memset(ask->texts, 0, sizeof(ask->texts));
	list_init(&ask->link);
	list_push_back(&session->waiting, &ask->link);
	take_turn(session);
}

/* ---- logging in ---- */

static struct str
header_of(const struct fetch *fetch, struct str name)
{
	struct str rest = buf_str(&fetch->answer_headers);

	while (rest.len) {
		struct str line = str_cut(&rest, '\n');

		if (str_eq(str_cut(&line, ':'), name))
			return str_trim(line);
	}
	return STR_NONE;
}

static int
login_read(struct vcd_session *session, int status, struct err *err)
{
	struct str token = header_of(&session->login, session->is_cloudapi
							      ? STR("x-vmware-vcloud-access-token")
							      : STR("x-vcloud-authorization"));

	if (status == 401 || status == 403)
		return err_set(err, ERR_UNAVAILABLE,
			"vCloud Director refuses the user or the password (%d)", status);
	if (status == 406)
		return err_set(err, ERR_UNAVAILABLE,
			"vCloud Director does not speak version %s of its API (406)",
			session->config.api_version);
	if (status / 100 != 2)
		return err_set(err, ERR_UNAVAILABLE,
			"vCloud Director answers %d to who wants a session", status);
	if (!token.len)
		return err_set(err, ERR_UNAVAILABLE,
			"vCloud Director gives no token with its session (%d)", status);
	session->token = str_dup(token);
	return 0;
}

/* The state changes seldom; a line for each change. */
static void
login_note(struct vcd_session *session, int rc, const struct err *err)
{
	bool is_new = !session->is_known || session->is_good != (rc == 0) ||
		      (rc < 0 && strcmp(session->why.text, err->text) != 0);

	session->is_known = true;
	session->is_good = rc == 0;
	session->why = rc < 0 ? *err : (struct err){0};
	if (!is_new)
		return;
	if (rc == 0)
		log_info("vcd.session", "url=%s version=%s", log_q(session->config.url),
			session->config.api_version);
	else
		log_warn("vcd.session_failed", "url=%s reason=%s", log_q(session->config.url),
			log_q(err->text));
}

static void
on_login(struct fetch *fetch, int status, const struct err *err)
{
	struct vcd_session *session = list_owner(fetch, struct vcd_session, login);
	struct err why = err ? *err : (struct err){0};
	int rc;

	thread_on_loop();
	session->is_logging_in = false;
	rc = err ? err->code : login_read(session, status, &why);
	buf_clear(&fetch->answer);
	explicit_bzero(fetch->answer_headers.base, fetch->answer_headers.cap);
	fetch_done(fetch);
	secrets_free(session->texts, sizeof(session->texts) / sizeof(session->texts[0]));
	if (session->is_stopping)
		return;
	login_note(session, rc, &why);
	if (rc == 0) {
		take_turn(session);
		return;
	}
	if (status == 401 || status == 403)
		session->refused_until_us = clock_mono_us() + SESSION_REFUSED_MS * 1000ull;
	loop_timer_start(session->config.loop, &session->turn, SESSION_AGAIN_MS, on_turn);
	end_waiting(session, &why);
}

static bool
is_provider(const char *user)
{
	struct str org = str_of(user);

	str_cut(&org, '@');
	return str_eq_case(org, SESSION_PROVIDER_ORG);
}

static void
login_start(struct vcd_session *session) ON_LOOP
{
	const struct vcd_session_config *config = &session->config;
	OWN(buf) struct buf basic = BUF_INIT;
	OWN(buf) struct buf coded = BUF_INIT;
	const char *path = !session->is_cloudapi       ? "/api/sessions"
			   : is_provider(config->user) ? "/cloudapi/1.0.0/sessions/provider"
						       : "/cloudapi/1.0.0/sessions";

	buf_printf(&basic, "%s:%s", config->user, config->password);
	base64_encode(buf_str(&basic), &coded);
	session->texts[0] = mem_printf("%s%s", config->url, path);
	session->texts[1] = mem_printf("Authorization: Basic %s", coded.at);
	session->texts[2] = mem_printf("Accept: application/%s;version=%s",
		session->is_cloudapi ? "json" : "*+xml", config->api_version);
	explicit_bzero(basic.at, basic.len);
	explicit_bzero(coded.at, coded.len);
	memcpy(session->headers, &session->texts[1], 2 * sizeof(session->headers[0]));
	session->headers[2] = NULL;
	session->login = (struct fetch){
		.method = "POST",
		.url = session->texts[0],
		.headers = session->headers,
		.timeout_ms = SESSION_TIMEOUT_MS,
		.answer_bytes = SESSION_ANSWER_BYTES,
		.is_trusted = true,
		.ca_file = config->ca_file,
		.done = on_login,
	};
	session->is_logging_in = true;
	fetch_start(config->fetch, &session->login);
}

static void
on_turn(struct loop_timer *timer)
{
	struct vcd_session *session = list_owner(timer, struct vcd_session, turn);
	struct vcd_ask *ask;

	thread_on_loop();
	if (session->is_logging_in)
		return;
	if (!session->token && clock_mono_us() < session->refused_until_us) {
		loop_timer_start(session->config.loop, &session->turn, SESSION_AGAIN_MS, on_turn);
		end_waiting(session, &session->why);
		return;
	}
	if (!session->token) {
		login_start(session);
		return;
	}
	while ((ask = list_first(&session->waiting, struct vcd_ask, link))) {
		list_remove(&ask->link);
		ask_send(ask);
	}
}

void
vcd_session_begin(struct vcd_session *session)
{
	if (!session->token && !session->is_stopping)
		take_turn(session);
}

/* ---- its life ---- */

struct vcd_session *
vcd_session_new(const struct vcd_session_config *config)
{
	struct vcd_session *session = mem_new(sizeof(*session));
	struct vcd_session_config *copy = &session->config;

	*copy = *config;
	copy->url = str_dup(str_of(config->url));
	copy->user = str_dup(str_of(config->user));
	copy->password = str_dup(str_of(config->password));
	copy->ca_file =
		config->ca_file && *config->ca_file ? str_dup(str_of(config->ca_file)) : NULL;
	copy->api_version = str_dup(str_of(config->api_version));
	session->is_cloudapi = version_major(copy->api_version) >= SESSION_CLOUDAPI;
	list_init(&session->waiting);
	return session;
}

void
vcd_session_stop(struct vcd_session *session)
{
	if (!session || session->is_stopping)
		return;
	session->is_stopping = true;
	err_set(&session->why, ERR_UNAVAILABLE, "mayfly is stopping");
	loop_timer_stop(&session->turn);
	end_waiting(session, &session->why);
}

static void
session_closed(struct loop_timer *timer)
{
	struct vcd_session *session = list_owner(timer, struct vcd_session, turn);
	struct vcd_session_config *config = &session->config;

	forget_token(session);
	secret_free((char *)config->password);
	free((char *)config->url);
	free((char *)config->user);
	free((char *)config->ca_file);
	free((char *)config->api_version);
	free(session);
}

void
vcd_session_free(struct vcd_session *session)
{
	if (!session)
		return;
	vcd_session_stop(session);
	loop_timer_close(&session->turn, session_closed);
}

/* ---- how it is ---- */

bool
vcd_session_is_good(const struct vcd_session *session, char why[static 160])
{
	if (!session->is_known)
		snprintf(why, 160, "it was not asked for a session yet");
	else if (session->is_good)
		snprintf(why, 160, "vCloud Director has taken the credentials");
	else
		snprintf(why, 160, "%.159s", session->why.text);
	return session->is_good;
}

bool
vcd_session_is_known(const struct vcd_session *session)
{
	return session->is_known;
}
