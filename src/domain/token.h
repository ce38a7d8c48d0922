/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token - who may do what: a secret that belongs to an org and a role. ON_LOOP.
 *
 * A secret is "mf_" and 43 characters of base64url (256 random bits); the store has its SHA-256
 * only, and it is shown once. The provider's tokens have no org and may do everything.
 */
#ifndef MAYFLY_DOMAIN_TOKEN_H
#define MAYFLY_DOMAIN_TOKEN_H

#include "domain/domain.h"

#define TOKEN_SECRET_SIZE 47 /* with its NUL */

enum token_role { TOKEN_VIEWER, TOKEN_INVOKER, TOKEN_DEVELOPER, TOKEN_ADMIN };

/* What a route asks for. viewer: READ; invoker: READ CALL; developer: READ CALL WRITE; admin of an
 * org: these and TOKENS; admin without an org (the provider): PROVIDER too, in every org. */
enum token_right {
	TOKEN_MAY_READ,
	TOKEN_MAY_CALL,
	TOKEN_MAY_WRITE,
	TOKEN_MAY_TOKENS,
	TOKEN_MAY_PROVIDER
};

struct token {
	char id[ID_ULID_SIZE];
	char org[64]; /* "" for the provider's */
	enum token_role role;
	char name[64];
	char prefix[16];
	char secret_sha256[ID_SHA256_SIZE];
	uint64_t created_ms, expires_ms, last_used_ms;
};

const char *token_role_word(enum token_role role);
bool token_role_parse(struct str word, enum token_role *ret);

/* The token of a secret, NULL if there is none or it expired. Notes its use (behind). */
struct token *token_check(struct domain *domain, struct str secret) ON_LOOP;

/* The token with this secret_sha256 is there still and has not expired. */
bool token_is_valid(const struct domain *domain, const char *secret_sha256) ON_LOOP;

/* Whether it may do `right` in `org` ("" for what belongs to no org). Another org's things are
 * ERR_NOT_FOUND, what its role does not allow is ERR_FORBIDDEN, 0 else. */
int token_may(const struct token *token, enum token_right right, struct str org, struct err *err);

typedef void token_done_fn(
	int code, const struct token *token, const char *secret, const struct err *err, void *arg);
void token_create(struct domain *domain, struct str org, enum token_role role, struct str name,
	uint64_t expires_ms, token_done_fn *done, void *arg) ON_LOOP;
void token_revoke(struct domain *domain, struct str id, struct str org, token_done_fn *done,
	void *arg) ON_LOOP;
/* Tokens of an org ("" the provider's), by id. */
void token_each(const struct domain *domain, struct str org,
	bool (*each)(const struct token *token, void *arg), void *arg) ON_LOOP;

/* Before the loop runs: where there is no provider token yet, makes one and writes it to
 * <data_dir>/bootstrap-token, mode 0600. Gives whether it did. */
int token_bootstrap(struct domain *domain, bool *ret_made, struct err *err);

/* ---- for this room ---- */

/* A token of the store, into domain.tokens. */
struct row_token;
void token_add(struct domain *domain, const struct row_token *row);
/* The org was deleted in the store, its tokens with it. */
void token_forget_org(struct domain *domain, const char *org);
/* At the end of the process. */
void token_free_all(struct domain *domain);

#endif
