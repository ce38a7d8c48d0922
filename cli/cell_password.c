/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <termios.h>

#include "base/path.h"
#include "cell_client.h"

#define PASSWORD_MAX      1024
#define PASSWORD_VARIABLE "MAYFLY_VCD_PASSWORD"

static int
from_file(const char *file, struct buf *out, struct err *err)
{
	int rc = path_read(file, PASSWORD_MAX, out, err);
	const char *end;

	if (rc < 0)
		return rc;
	end = memchr(out->at ? out->at : "", '\n', out->len);
	if (end)
		buf_cut(out, (size_t)(end - out->at));
	if (out->len && out->at[out->len - 1] == '\r')
		buf_cut(out, out->len - 1);
	return out->len ? 0 : err_set(err, ERR_INVALID, "%s holds no password", file);
}

/* Reads a line. The terminal gives no signals meanwhile, which would leave it without echo. */
static int
type_line(struct buf *out, struct err *err)
{
	char c;

	while (out->len < PASSWORD_MAX && read(STDIN_FILENO, &c, 1) == 1 && c != '\n') {
		if (c == '\x03')
			return err_set(err, ERR_CANCELLED, "no password was typed");
		buf_add_char(out, c);
	}
	return out->len ? 0 : err_set(err, ERR_INVALID, "no password was typed");
}

static int
from_terminal(const char *user, struct buf *out, struct err *err)
{
	struct termios was, quiet;
	int rc;

	if (tcgetattr(STDIN_FILENO, &was) < 0)
		return err_set(err, ERR_INVALID,
			"no password: --password-file, $" PASSWORD_VARIABLE " or a terminal");
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	/* Before the prompt: what answers it must neither be seen nor be flushed. */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fprintf(stderr, "password of %s: ", user);
	rc = type_line(out, err);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	fputc('\n', stderr);
	return rc;
}

int
cell_password(const char *file, const char *user, struct buf *out, struct err *err)
{
	const char *variable = getenv(PASSWORD_VARIABLE);

	if (file)
		return from_file(file, out, err);
	if (variable && *variable) {
		buf_add_text(out, variable);
		return 0;
	}
	return from_terminal(user, out, err);
}
