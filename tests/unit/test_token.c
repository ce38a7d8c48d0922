/* SPDX-License-Identifier: Apache-2.0 */
#include "domain_kit.h"

#include <sys/stat.h>

#include "base/clock.h"

struct made {
	struct kit *kit;
	char secret[TOKEN_SECRET_SIZE], id[ID_ULID_SIZE];
};

static void
on_made(int code, const struct token *token, const char *secret, const struct err *err, void *arg)
{
	struct made *made = arg;

	kit_told(code, NULL, NULL, err, made->kit);
	if (token && secret) {
		snprintf(made->secret, sizeof(made->secret), "%s", secret);
		memcpy(made->id, token->id, sizeof(made->id));
	}
}

static struct made
make(struct kit *kit, const char *org, enum token_role role, uint64_t expires_ms) ON_LOOP
{
	struct made made = {.kit = kit};

	kit->is_told = false;
	token_create(&kit->domain, str_of(org), role, STR("test"), expires_ms, on_made, &made);
	kit_await(kit);
	return made;
}

static void
a_secret_gives_its_token_and_nothing_else_does(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct made made = make(kit, "acme", TOKEN_DEVELOPER, 0);
	struct token *token = token_check(&kit->domain, str_of(made.secret));

	assert_int_equal(kit->code, 0);
	assert_int_equal(strlen(made.secret), TOKEN_SECRET_SIZE - 1);
	assert_memory_equal(made.secret, "mf_", 3);
	assert_non_null(token);
	assert_string_equal(token->org, "acme");
	assert_int_equal(token->role, TOKEN_DEVELOPER);
	assert_memory_equal(token->prefix, made.secret, strlen(token->prefix));
	assert_true(strlen(token->prefix) < 12);
	made.secret[10] ^= 1;
	assert_null(token_check(&kit->domain, str_of(made.secret)));
	assert_null(token_check(&kit->domain, STR("")));
	assert_null(token_check(&kit->domain, str_of(token->secret_sha256)));
}

static void
the_store_has_the_digest_of_a_secret_only(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct made made = make(kit, "acme", TOKEN_VIEWER, 0);
	char digest[ID_SHA256_SIZE];
	OWN(mem) char *sql = NULL;

	id_sha256(str_of(made.secret), digest);
	sql = mem_printf("SELECT count(*) FROM token WHERE secret_sha256 = '%s'", digest);
	assert_int_equal(kit_count(kit, sql), 1);
}

static void
a_token_is_there_after_a_restart(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct made made = make(kit, "acme", TOKEN_INVOKER, 0);
	struct token *token;

	kit_reopen(kit);
	token = token_check(&kit->domain, str_of(made.secret));
	assert_non_null(token);
	assert_string_equal(token->org, "acme");
	assert_int_equal(token->role, TOKEN_INVOKER);
	assert_string_equal(token->name, "test");
}

static void
an_expired_token_is_none(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct made made = make(kit, "acme", TOKEN_VIEWER, clock_unix_ms() + 3600000);
	struct token *token = token_check(&kit->domain, str_of(made.secret));

	assert_non_null(token);
	token->expires_ms = clock_unix_ms() - 1;
	assert_null(token_check(&kit->domain, str_of(made.secret)));
	make(kit, "acme", TOKEN_VIEWER, 1);
	assert_int_equal(kit->code, ERR_INVALID);
	assert_string_equal(kit->err.field, "expires_at");
}

static void
a_revoked_token_is_none_at_once_and_for_ever(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct made made = make(kit, "acme", TOKEN_VIEWER, 0);

	token_revoke(&kit->domain, str_of(made.id), STR("other"), on_made, &made);
	assert_int_equal(kit->code, ERR_NOT_FOUND);
	kit->is_told = false;
	token_revoke(&kit->domain, str_of(made.id), STR("acme"), on_made, &made);
	assert_null(token_check(&kit->domain, str_of(made.secret)));
	kit_await(kit);
	assert_int_equal(kit->code, 0);
	kit_reopen(kit);
	assert_null(token_check(&kit->domain, str_of(made.secret)));
}

static void
a_token_of_an_org_that_is_not_there_is_refused(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	make(kit, "nobody", TOKEN_VIEWER, 0);
	assert_int_equal(kit->code, ERR_NOT_FOUND);
}

static void
use_is_noted_at_most_once_a_minute(void **state)
{
	static const char sql[] = "SELECT count(*) FROM token WHERE last_used_ms > 0";
	OWN(kit) struct kit *kit = kit_open();
	struct made made = make(kit, "acme", TOKEN_VIEWER, 0);
	struct token *token = token_check(&kit->domain, str_of(made.secret));
	uint64_t first_ms = token->last_used_ms;

	assert_true(first_ms > 0);
	token->last_used_ms -= 30000;
	token_check(&kit->domain, str_of(made.secret));
	assert_int_equal(token->last_used_ms, first_ms - 30000);
	token->last_used_ms -= 40000;
	token_check(&kit->domain, str_of(made.secret));
	assert_true(token->last_used_ms >= first_ms);
	for (unsigned i = 0; i < 500 && !kit_count(kit, sql); i++)
		kit_turn(kit, 1);
	assert_int_equal(kit_count(kit, sql), 1);
}

static const int R = TOKEN_MAY_READ, C = TOKEN_MAY_CALL, W = TOKEN_MAY_WRITE, T = TOKEN_MAY_TOKENS,
		 P = TOKEN_MAY_PROVIDER;

static void
rights_follow_role_and_org(void **state)
{
	const struct {
		const char *org;
		enum token_role role;
		int right;
		const char *where;
		int code;
	} cases[] = {
		{"acme", TOKEN_VIEWER, R, "acme", 0},
		{"acme", TOKEN_VIEWER, C, "acme", ERR_FORBIDDEN},
		{"acme", TOKEN_INVOKER, R, "acme", 0},
		{"acme", TOKEN_INVOKER, C, "acme", 0},
		{"acme", TOKEN_INVOKER, W, "acme", ERR_FORBIDDEN},
		{"acme", TOKEN_DEVELOPER, C, "acme", 0},
		{"acme", TOKEN_DEVELOPER, W, "acme", 0},
		{"acme", TOKEN_DEVELOPER, T, "acme", ERR_FORBIDDEN},
		{"acme", TOKEN_ADMIN, T, "acme", 0},
		{"acme", TOKEN_ADMIN, P, "acme", ERR_FORBIDDEN},
		{"acme", TOKEN_ADMIN, P, "", ERR_FORBIDDEN},
		{"acme", TOKEN_VIEWER, R, "", 0},
		{"acme", TOKEN_ADMIN, R, "other", ERR_NOT_FOUND},
		{"acme", TOKEN_ADMIN, W, "other", ERR_NOT_FOUND},
		{"acme", TOKEN_ADMIN, R, "acme2", ERR_NOT_FOUND},
		{"", TOKEN_ADMIN, P, "", 0},
		{"", TOKEN_ADMIN, P, "acme", 0},
		{"", TOKEN_ADMIN, W, "acme", 0},
		{"", TOKEN_ADMIN, T, "", 0},
		{"", TOKEN_VIEWER, R, "acme", 0},
		{"", TOKEN_VIEWER, W, "acme", ERR_FORBIDDEN},
		{"", TOKEN_DEVELOPER, P, "", ERR_FORBIDDEN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct token token = {.role = cases[i].role};
		struct err err = {0};

		snprintf(token.org, sizeof(token.org), "%s", cases[i].org);
		assert_int_equal(token_may(&token, (enum token_right)cases[i].right,
					 str_of(cases[i].where), &err),
			cases[i].code);
		assert_int_equal(err.code, cases[i].code);
	}
}

static void
roles_have_words(void **state)
{
	enum token_role role = TOKEN_ADMIN;

	for (int i = TOKEN_VIEWER; i <= TOKEN_ADMIN; i++) {
		assert_true(token_role_parse(str_of(token_role_word((enum token_role)i)), &role));
		assert_int_equal(role, i);
	}
	assert_false(token_role_parse(STR("root"), &role));
}

static void
the_first_start_writes_a_token_that_only_its_owner_reads(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *path = path_join(kit->folder, "bootstrap-token");
	OWN(buf) struct buf text = BUF_INIT;
	struct stat st;
	bool is_made = false;

	assert_int_equal(token_bootstrap(&kit->domain, &is_made, &kit->err), 0);
	assert_true(is_made);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(path_read(path, 100, &text, &kit->err), 0);
	assert_int_equal(text.len, TOKEN_SECRET_SIZE);
	kit_reopen(kit);
	struct token *token = token_check(&kit->domain, str_n(text.at, text.len - 1));

	assert_non_null(token);
	assert_int_equal(token_may(token, TOKEN_MAY_PROVIDER, STR("acme"), &kit->err), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(token_bootstrap(&kit->domain, &is_made, &kit->err), 0);
	assert_false(is_made);
	assert_int_equal(access(path, F_OK), -1);
}

static void
a_bootstrap_that_cannot_write_its_file_makes_no_token(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	bool is_made = true;

	kit->domain.config.data_dir = "/nowhere/at/all";
	assert_true(token_bootstrap(&kit->domain, &is_made, &kit->err) < 0);
	assert_false(is_made);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM token"), 0);
	kit->domain.config.data_dir = kit->folder;
}

struct seen {
	char ids[4][ID_ULID_SIZE];
	unsigned n, n_most;
};

static bool
on_each(const struct token *token, void *arg)
{
	struct seen *seen = arg;

	memcpy(seen->ids[seen->n++], token->id, ID_ULID_SIZE);
	return seen->n < seen->n_most;
}

static void
tokens_of_an_org_are_listed_by_id(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct seen seen = {.n_most = 4};

	make(kit, "acme", TOKEN_VIEWER, 0);
	make(kit, "", TOKEN_VIEWER, 0);
	make(kit, "acme", TOKEN_VIEWER, 0);
	token_each(&kit->domain, STR("acme"), on_each, &seen);
	assert_int_equal(seen.n, 2);
	assert_true(strcmp(seen.ids[0], seen.ids[1]) < 0);
	seen = (struct seen){.n_most = 1};
	token_each(&kit->domain, STR("acme"), on_each, &seen);
	assert_int_equal(seen.n, 1);
	seen = (struct seen){.n_most = 4};
	token_each(&kit->domain, STR(""), on_each, &seen);
	assert_int_equal(seen.n, 1);
}

static void
tokens_go_with_their_org(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct made made = make(kit, "acme", TOKEN_ADMIN, 0);

	kit->is_told = false;
	org_delete(kit_org(kit, "acme"), kit_org_told, kit);
	kit_await(kit);
	assert_null(token_check(&kit->domain, str_of(made.secret)));
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM token"), 0);
}

UNIT_TESTS(it(a_secret_gives_its_token_and_nothing_else_does),
	it(the_store_has_the_digest_of_a_secret_only), it(a_token_is_there_after_a_restart),
	it(an_expired_token_is_none), it(a_revoked_token_is_none_at_once_and_for_ever),
	it(a_token_of_an_org_that_is_not_there_is_refused), it(use_is_noted_at_most_once_a_minute),
	it(rights_follow_role_and_org), it(roles_have_words),
	it(the_first_start_writes_a_token_that_only_its_owner_reads),
	it(a_bootstrap_that_cannot_write_its_file_makes_no_token),
	it(tokens_of_an_org_are_listed_by_id), it(tokens_go_with_their_org))
