/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>

#include "base/path.h"
#include "cli.h"
#include "screen.h"

#define CONF_MAX    (64 * 1024)
#define TOKEN_MAX   512
#define DEFAULT_URL "http://127.0.0.1:8080"
#define DEFAULT_ORG "default"
#define BOOTSTRAP   "/var/lib/mayfly/bootstrap-token"

static int
read_token(const char *path, char **ret, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;
	int rc = path_read(path, TOKEN_MAX, &text, err);

	if (rc < 0)
		return rc;
	struct str token = buf_str(&text);

	while (token.len && strchr("\r\n \t", token.at[token.len - 1]))
		token.len--;
	if (!token.len)
		return err_set(err, ERR_INVALID, "%s holds no token", path);
	free(*ret);
	*ret = str_dup(token);
	return 0;
}

static void
fill(char **where, const char *value)
{
	if (!*where && value && *value)
		*where = str_dup(str_of(value));
}

static int
take_line(struct cli *cli, struct str line, unsigned number, struct err *err)
{
	struct str rest = line, key = str_trim(str_cut(&rest, '='));
	OWN(mem) char *value = str_dup(str_trim(rest));

	if (!key.len || key.at[0] == '#')
		return 0;
	if (str_eq(key, STR("url")))
		fill(&cli->url, value);
	else if (str_eq(key, STR("org")))
		fill(&cli->org, value);
	else if (str_eq(key, STR("token")))
		fill(&cli->token, value);
	else
		return err_set(err, ERR_INVALID, "client.conf line %u: unknown key '%.*s'", number,
			STR_ARG(key));
	return 0;
}

static int
take_file(struct cli *cli, struct err *err)
{
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
	OWN(mem)
	char *path = config && *config ? mem_printf("%s/mayfly/client.conf", config)
				       : mem_printf("%s/.config/mayfly/client.conf",
						 home ? home : "/nonexistent");
	OWN(buf) struct buf text = BUF_INIT;

	if (access(path, F_OK) < 0)
		return 0;
	int rc = path_read(path, CONF_MAX, &text, err);
	struct str rest = buf_str(&text);

	for (unsigned number = 1; rc == 0 && rest.len; number++)
		rc = take_line(cli, str_cut(&rest, '\n'), number, err);
	return rc < 0 ? err_wrap(err, rc, "reading %s", path) : 0;
}

int
cli_context_fill(struct cli *cli, struct err *err)
{
	fill(&cli->url, getenv("MAYFLY_URL"));
	fill(&cli->org, getenv("MAYFLY_ORG"));
	fill(&cli->token, getenv("MAYFLY_TOKEN"));
	int rc = take_file(cli, err);

	if (rc < 0)
		return rc;
	fill(&cli->url, DEFAULT_URL);
	fill(&cli->org, DEFAULT_ORG);
	const char *data_dir = getenv("MAYFLY_DATA_DIR");
	OWN(mem)
	char *bootstrap =
		data_dir ? path_join(data_dir, "bootstrap-token") : str_dup(STR(BOOTSTRAP));

	/* Only for a daemon on this machine: a token must not travel to a host that it is not of.
	 */
	if (!cli->token &&
		(strstr(cli->url, "//127.0.0.1") || strstr(cli->url, "//localhost") ||
			strstr(cli->url, "//[::1]")) &&
		access(bootstrap, R_OK) == 0)
		rc = read_token(bootstrap, &cli->token, err);
	return rc;
}

void
cli_context_done(struct cli *cli)
{
	http_client_free(cli->client);
	free(cli->url);
	free(cli->org);
	free(cli->token);
}

static void
replace(char **where, const char *value)
{
	free(*where);
	*where = str_dup(str_of(value));
}

int
cli_option(struct cli *cli, int argc, char **argv, const char *short_options,
	const struct option *options, struct err *err)
{
	const struct cli_command *command = cli_command_find(argv[0]);

	opterr = 0;
	for (;;) {
		int option = getopt_long(argc, argv, short_options, options, NULL);
		int rc = 0;

		switch (option) {
		case 1001:
			replace(&cli->url, optarg);
			break;
		case 1002:
			replace(&cli->org, optarg);
			break;
		case 1003:
			rc = read_token(optarg, &cli->token, err);
			break;
		case 1004:
			cli->is_json = true;
			screen_pass();
			break;
		case 'h':
			printf("%s", command->help);
			return CLI_HELP;
		case '?':
			return err_set(err, ERR_INVALID,
				"unknown option or missing value: %s (mayfly %s --help tells)",
				argv[optind - 1], argv[0]);
		default:
			return option == -1 ? CLI_END : option;
		}
		if (rc < 0)
			return rc;
	}
}

int
cli_operands(int argc, char **argv, int n, const char *what, struct err *err)
{
	if (argc - optind == n)
		return 0;
	return err_set(
		err, ERR_INVALID, "%s needs %s (mayfly %s --help tells)", argv[0], what, argv[0]);
}
