/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli - what every command of `mayfly` shares: where the daemon is, who asks, how answers print.
 *
 * A command is `int cmd_x(struct cli *cli, int argc, char **argv, struct err *err)`; argv[0] is
 * its own name. It gives 0 or an error code; main prints the error once and turns the code into
 * the exit status (err_exit_code()). Results go to stdout, progress and errors to stderr. With
 * --json a command prints one JSON document and nothing else on stdout.
 *
 * Speaks HTTP to the daemon and knows nothing else of it. One thread.
 */
#ifndef MAYFLY_CLI_CLI_H
#define MAYFLY_CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>

#include "base/json.h"
#include "net/http_client.h"

struct cli {
	char *url;   /* owned: "http://127.0.0.1:8080" */
	char *token; /* owned, NULL without one */
	char *org;   /* owned */
	bool is_json;
	struct http_client *client; /* owned, made on first use */
};

struct cli_command {
	const char *name;
	const char *group;   /* heading in `mayfly help` */
	const char *summary; /* one line */
	const char *help;    /* usage, options, examples */
	int (*run)(struct cli *cli, int argc, char **argv, struct err *err);
};
extern const struct cli_command cli_commands[]; /* ends with a NULL name */
const struct cli_command *cli_command_find(const char *name);

/* ---- cli_context.c: from flags, environment, file ---- */

/* Fills what the flags left open: $MAYFLY_URL, $MAYFLY_TOKEN, $MAYFLY_ORG, then
 * ~/.config/mayfly/client.conf (`url = …`), then the defaults; the token at last from the
 * bootstrap file of a daemon on this machine, where it is readable. */
int cli_context_fill(struct cli *cli, struct err *err);
void cli_context_done(struct cli *cli);

/* Flags that every command has (--url --org --token-file --json --help). */
#define CLI_OPTIONS                                                                                \
	{"url", required_argument, NULL, 1001}, {"org", required_argument, NULL, 1002},            \
		{"token-file", required_argument, NULL, 1003}, {"json", no_argument, NULL, 1004},  \
	{                                                                                          \
		"help", no_argument, NULL, 'h'                                                     \
	}

/* getopt_long with these handled inside: gives the next option of the command's own, CLI_END at the
 * end, CLI_HELP when help was printed (the command returns 0), or an error code. */
enum { CLI_END = -1000, CLI_HELP = -1001 };
int cli_option(struct cli *cli, int argc, char **argv, const char *short_options,
	const struct option *options, struct err *err);

/* The operands left by cli_option: exactly `n`, else ERR_INVALID naming the command. */
int cli_operands(int argc, char **argv, int n, const char *what, struct err *err);

/* ---- cli_ask.c: one request, one JSON answer ---- */

/* path: percent-encoded, built with cli_path(). body may be NULL. The answer's document goes to
 * *ret (owned by the caller; may be NULL where it does not matter). A status of 400 and more
 * becomes the error that the daemon named. */
int cli_ask(struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret,
	struct err *err);
int cli_client(struct cli *cli, struct http_client **ret, struct err *err);

/* Turns an answer's error document into *err; text is the status line where there is none. */
int cli_error(int status, struct str body, struct err *err);

/* printf for paths: each %s is percent-encoded. The caller frees. */
char *cli_path(const char *format, ...);

/* ---- cli_follow.c: server-sent events ---- */

struct cli_follow {
	const char *path;
	/* The stream has begun, for the first time or again. An error code ends it like one of the
	 * stream's. NULL: nothing is to be done. */
	int (*on_begin)(bool is_again, void *arg, struct err *err);
	void (*on_event)(struct str name, struct str data, void *arg); /* data is one line */
	void *arg;                                                     /* borrowed */
};
/* Until stdout is closed or the daemon refuses it. A connection that is lost is made again, with
 * back-off and a word on stderr, and goes on behind the last event that had an id. The first
 * connection is tried once. */
int cli_follow(struct cli *cli, const struct cli_follow *follow, struct err *err);

/* ---- cli_print.c ---- */
void cli_print_json(const json_t *value);

/* Columns padded to their widest cell; the last is not padded. Cells are copied. */
struct cli_table;
struct cli_table *cli_table_new(const char *const *titles /* NULL-terminated */);
void cli_table_add(struct cli_table *table, const char *const *cells);
void cli_table_print(struct cli_table *table); /* and frees it */
void cli_table_free(struct cli_table *table);

const char *cli_text(const json_t *object, const char *key); /* "" without; static per call of 8 */
const char *cli_bytes(uint64_t bytes);                       /* "1.5 MiB" */
const char *cli_micros(uint64_t us);                         /* "850 µs", "12.3 ms", "4.20 s" */
const char *cli_ago(const char *iso);                        /* "3 min ago" */
bool cli_is_terminal(void);                                  /* stderr is one: progress may move */
void cli_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_progress_end(void);

#endif
