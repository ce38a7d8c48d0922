/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/token.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/path.h"
#include "domain/org.h"
#include "store/rows.h"

#define SECRET_BYTES   32
#define SECRET_MARK    "mf_"
#define PREFIX_CHARS   9 /* of the secret: the mark and six that tell tokens apart */
#define NOTE_EVERY_MS  60000
#define BOOTSTRAP_FILE "bootstrap-token"

/* ---- words and rights ---- */

static const char *const role_words[] = {
	[TOKEN_VIEWER] = "viewer",
	[TOKEN_INVOKER] = "invoker",
	[TOKEN_DEVELOPER] = "developer",
	[TOKEN_ADMIN] = "admin",
};
#define N_ROLES (sizeof(role_words) / sizeof(role_words[0]))

const char *
token_role_word(enum token_role role)
{
	return role_words[role];
}

bool
token_role_parse(struct str word, enum token_role *ret)
{
	for (size_t i = 0; i < N_ROLES; i++) {
		if (!str_eq(word, str_of(role_words[i])))
			continue;
		*ret = (enum token_role)i;
		return true;
	}
	return false;
}

/* Each right has a role that is the least to have it. */
static enum token_role
role_needed(enum token_right right)
{
	switch (right) {
	case TOKEN_MAY_READ:
		return TOKEN_VIEWER;
	case TOKEN_MAY_CALL:
		return TOKEN_INVOKER;
	case TOKEN_MAY_WRITE:
		return TOKEN_DEVELOPER;
	case TOKEN_MAY_TOKENS:
	case TOKEN_MAY_PROVIDER:
		break;
	}
	return TOKEN_ADMIN;
}

int
token_may(const struct token *token, enum token_right right, struct str org, struct err *err)
{
	bool is_provider = !token->org[0];

	if (org.len && !is_provider && !str_eq(org, str_of(token->org)))
		return err_set(err, ERR_NOT_FOUND, "there is no org %.*s", STR_ARG(org));
	if (right == TOKEN_MAY_PROVIDER && !is_provider)
		return err_set(err, ERR_FORBIDDEN, "only the provider may do this");
	if (token->role < role_needed(right))
		return err_set(err, ERR_FORBIDDEN, "the role %s does not allow this, %s does",
			token_role_word(token->role), token_role_word(role_needed(right)));
	return 0;
}

/* ---- secrets ---- */

/* RFC 4648, section 5, without padding. */
static void
secret_encode(const uint8_t bytes[static SECRET_BYTES], char *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned n_bits = 0;

	for (size_t i = 0; i < SECRET_BYTES; i++) {
		bits = bits << 8 | bytes[i];
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			*ret++ = digits[bits >> (n_bits - 6) & 63];
	}
	if (n_bits)
		*ret++ = digits[bits << (6 - n_bits) & 63];
	*ret = '\0';
}

static void
secret_new(char ret[static TOKEN_SECRET_SIZE])
{
	uint8_t bytes[SECRET_BYTES];

	id_random(bytes, sizeof(bytes));
	memcpy(ret, SECRET_MARK, strlen(SECRET_MARK));
	secret_encode(bytes, ret + strlen(SECRET_MARK));
	explicit_bzero(bytes, sizeof(bytes));
}

static void
token_row(struct str org, enum token_role role, struct str name, uint64_t expires_ms,
	const char *secret, struct row_token *ret)
{
	*ret = (struct row_token){.created_ms = clock_unix_ms(), .expires_ms = expires_ms};
	id_ulid(ret->id);
	snprintf(ret->org, sizeof(ret->org), "%.*s", STR_ARG(org));
	snprintf(ret->role, sizeof(ret->role), "%s", token_role_word(role));
	snprintf(ret->name, sizeof(ret->name), "%.*s", STR_ARG(name));
	snprintf(ret->prefix, sizeof(ret->prefix), "%.*s", PREFIX_CHARS, secret);
	id_sha256(str_of(secret), ret->secret_sha256);
}

/* ---- the map ---- */

/* A role that a newer mayfly wrote is the least here. */
void
token_add(struct domain *domain, const struct row_token *row)
{
	struct token *token = mem_new(sizeof(*token));

	memcpy(token->id, row->id, sizeof(token->id));
	memcpy(token->org, row->org, sizeof(token->org));
	memcpy(token->name, row->name, sizeof(token->name));
	memcpy(token->prefix, row->prefix, sizeof(token->prefix));
	memcpy(token->secret_sha256, row->secret_sha256, sizeof(token->secret_sha256));
	if (!token_role_parse(str_of(row->role), &token->role))
		token->role = TOKEN_VIEWER;
	token->created_ms = row->created_ms;
	token->expires_ms = row->expires_ms;
	token->last_used_ms = row->last_used_ms;
	map_put(&domain->tokens, str_of(token->secret_sha256), token);
}

static struct token *
token_by_id(const struct domain *domain, struct str id)
{
	map_each (&domain->tokens, entry) {
		struct token *token = entry->value;

		if (str_eq(str_of(token->id), id))
			return token;
	}
	return NULL;
}

static void
token_forget(struct domain *domain, struct token *token)
{
	map_remove(&domain->tokens, str_of(token->secret_sha256));
	free(token);
}

static struct token *
token_of_org(const struct domain *domain, const char *org)
{
	map_each (&domain->tokens, entry) {
		struct token *token = entry->value;

		if (strcmp(token->org, org) == 0)
			return token;
	}
	return NULL;
}

void
token_forget_org(struct domain *domain, const char *org)
{
	struct token *token;

	while ((token = token_of_org(domain, org)))
		token_forget(domain, token);
}

void
token_free_all(struct domain *domain)
{
	map_each (&domain->tokens, entry)
		free(entry->value);
	map_done(&domain->tokens);
}

static int
compare_ids(const void *a, const void *b)
{
	const struct token *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

void
token_each(const struct domain *domain, struct str org,
	bool (*each)(const struct token *token, void *arg), void *arg)
{
	OWN(mem)
	const struct token **found = mem_new((domain->tokens.len + 1) * sizeof(*found));
	size_t n = 0;

	map_each (&domain->tokens, entry) {
		const struct token *token = entry->value;

		if (str_eq(str_of(token->org), org))
			found[n++] = token;
	}
	qsort(found, n, sizeof(*found), compare_ids);
	for (size_t i = 0; i < n && each(found[i], arg); i++)
		;
}

/* ---- check ---- */

struct token_note {
	struct store_message message;
	char id[ID_ULID_SIZE];
	uint64_t when_ms;
};

static int
note_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct token_note *note = list_owner(message, struct token_note, message);

	thread_on_store();
	return row_token_used(db, note->id, note->when_ms, err);
}

/* It may have been revoked meanwhile; and when it was used last is nothing to fail for. */
static void
note_done(struct store_message *message)
{
	free(list_owner(message, struct token_note, message));
}

static void
token_note(struct domain *domain, struct token *token, uint64_t now_ms) ON_LOOP
{
	struct token_note *note;

	if (now_ms < token->last_used_ms + NOTE_EVERY_MS)
		return;
	token->last_used_ms = now_ms;
	note = mem_new(sizeof(*note));
	memcpy(note->id, token->id, sizeof(note->id));
	note->when_ms = now_ms;
	note->message.work = note_work;
	note->message.done = note_done;
	note->message.is_lazy = true;
	store_ask(domain->store, &note->message);
}

struct token *
token_check(struct domain *domain, struct str secret)
{
	uint64_t now_ms = clock_unix_ms();
	char digest[ID_SHA256_SIZE];
	struct token *token;

	if (secret.len != TOKEN_SECRET_SIZE - 1 || !str_starts(secret, STR(SECRET_MARK)))
		return NULL;
	id_sha256(secret, digest);
	token = map_find(&domain->tokens, str_of(digest));
	if (!token || (token->expires_ms && token->expires_ms <= now_ms))
		return NULL;
	token_note(domain, token, now_ms);
	return token;
}

bool
token_is_valid(const struct domain *domain, const char *secret_sha256)
{
	const struct token *token = map_find(&domain->tokens, str_of(secret_sha256));

	return token && (!token->expires_ms || token->expires_ms > clock_unix_ms());
}

/* ---- create and revoke ---- */

struct token_change {
	struct store_message message;
	struct domain *domain; /* borrowed */
	struct row_token row;
	char secret[TOKEN_SECRET_SIZE];
	token_done_fn *done;
	void *arg; /* borrowed */
};

static void
token_refuse(token_done_fn *done, void *arg, const struct err *err)
{
	done(err->code, NULL, NULL, err, arg);
}

static int
create_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct token_change *change = list_owner(message, struct token_change, message);

	thread_on_store();
	return row_token_insert(db, &change->row, err);
}

static void
create_done(struct store_message *message)
{
	OWN(mem) struct token_change *change = list_owner(message, struct token_change, message);
	const struct token *token;

	thread_on_loop();
	if (message->code < 0) {
		token_refuse(change->done, change->arg, &message->err);
		return;
	}
	token_add(change->domain, &change->row);
	token = map_find(&change->domain->tokens, str_of(change->row.secret_sha256));
	change->done(0, token, change->secret, NULL, change->arg);
	explicit_bzero(change->secret, sizeof(change->secret));
}

static int
check_new(const struct domain *domain, struct str org, struct str name, uint64_t expires_ms,
	struct err *err)
{
	if (org.len && !org_find(domain, org))
		return err_set(err, ERR_NOT_FOUND, "there is no org %.*s", STR_ARG(org));
	if (name.len > sizeof(((struct token *)0)->name) - 1)
		return err_field(err, ERR_INVALID, "name", "name has more than 63 bytes");
	if (!str_is_utf8(name) || memchr(name.len ? name.at : "", '\0', name.len))
		return err_field(err, ERR_INVALID, "name", "name is not UTF-8 text");
	if (expires_ms && expires_ms <= clock_unix_ms())
		return err_field(
			err, ERR_INVALID, "expires_at", "expires_at must be in the future");
	return 0;
}

void
token_create(struct domain *domain, struct str org, enum token_role role, struct str name,
	uint64_t expires_ms, token_done_fn *done, void *arg)
{
	struct token_change *change;
	struct err err = {0};

	if (check_new(domain, org, name, expires_ms, &err) < 0) {
		token_refuse(done, arg, &err);
		return;
	}
	change = mem_new(sizeof(*change));
	change->domain = domain;
	secret_new(change->secret);
	token_row(org, role, name, expires_ms, change->secret, &change->row);
	change->done = done;
	change->arg = arg;
	change->message.work = create_work;
	change->message.done = create_done;
	store_ask(domain->store, &change->message);
}

static int
revoke_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct token_change *change = list_owner(message, struct token_change, message);
	int rc;

	thread_on_store();
	rc = row_token_delete(db, change->row.id, err);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* What the store kept is valid again. */
static void
revoke_done(struct store_message *message)
{
	OWN(mem) struct token_change *change = list_owner(message, struct token_change, message);

	thread_on_loop();
	if (message->code < 0) {
		token_add(change->domain, &change->row);
		token_refuse(change->done, change->arg, &message->err);
		return;
	}
	change->done(0, NULL, NULL, NULL, change->arg);
}

static void
row_of_token(const struct token *token, struct row_token *ret)
{
	*ret = (struct row_token){
		.created_ms = token->created_ms,
		.expires_ms = token->expires_ms,
		.last_used_ms = token->last_used_ms,
	};
	memcpy(ret->id, token->id, sizeof(ret->id));
	memcpy(ret->org, token->org, sizeof(ret->org));
	memcpy(ret->name, token->name, sizeof(ret->name));
	memcpy(ret->prefix, token->prefix, sizeof(ret->prefix));
	memcpy(ret->secret_sha256, token->secret_sha256, sizeof(ret->secret_sha256));
	snprintf(ret->role, sizeof(ret->role), "%s", token_role_word(token->role));
}

/* Not valid any more from here on, whatever the store takes. */
void
token_revoke(struct domain *domain, struct str id, struct str org, token_done_fn *done, void *arg)
{
	struct token *token = token_by_id(domain, id);
	struct token_change *change;
	struct err err = {0};

	if (!token || !str_eq(str_of(token->org), org)) {
		err_set(&err, ERR_NOT_FOUND, "there is no token %.*s", STR_ARG(id));
		token_refuse(done, arg, &err);
		return;
	}
	change = mem_new(sizeof(*change));
	change->domain = domain;
	row_of_token(token, &change->row);
	token_forget(domain, token);
	change->done = done;
	change->arg = arg;
	change->message.work = revoke_work;
	change->message.done = revoke_done;
	store_ask(domain->store, &change->message);
}

/* ---- bootstrap ---- */

static bool
has_provider_admin(const struct domain *domain)
{
	uint64_t now_ms = clock_unix_ms();

	map_each (&domain->tokens, entry) {
		const struct token *token = entry->value;

		if (!token->org[0] && token->role == TOKEN_ADMIN &&
			(!token->expires_ms || token->expires_ms > now_ms))
			return true;
	}
	return false;
}

static int
bootstrap_work(struct store_db *db, void *arg, struct err *err)
{
	thread_on_store();
	return row_token_insert(db, arg, err);
}

/* The file comes first: what is in the store without a file nobody could ever use. */
int
token_bootstrap(struct domain *domain, bool *ret_made, struct err *err)
{
	OWN(mem) char *path = path_join(domain->config.data_dir, BOOTSTRAP_FILE);
	char secret[TOKEN_SECRET_SIZE + 1];
	struct row_token row;
	int rc;

	*ret_made = false;
	if (has_provider_admin(domain))
		return 0;
	secret_new(secret);
	token_row(STR(""), TOKEN_ADMIN, STR("bootstrap"), 0, secret, &row);
	secret[TOKEN_SECRET_SIZE - 1] = '\n';
	rc = path_write(path, str_n(secret, TOKEN_SECRET_SIZE), 0600, err);
	explicit_bzero(secret, sizeof(secret));
	if (rc >= 0)
		rc = store_ask_and_wait(domain->store, bootstrap_work, &row, err);
	if (rc < 0)
		return err_wrap(err, rc, "making the first token");
	token_add(domain, &row);
	*ret_made = true;
	return 0;
}
