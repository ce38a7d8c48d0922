/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/secret_file.h"

#include <stdlib.h>

#include "base/own.h"
#include "base/path.h"

enum { SECRET_FILE_MAX = 16384 }; /* tokens that are signed are long */

int
secret_file_read(const char *path, const char *key, char **ret, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;
	struct str rest;
	int rc = path[0] ? path_read(path, SECRET_FILE_MAX, &text, err) : 0;

	if (rc < 0)
		return err_wrap(err, rc, "%s", key);
	rest = buf_str(&text);
	*ret = str_dup(str_cut(&rest, '\n'));
	if (text.len)
		explicit_bzero(text.at, text.len);
	return 0;
}

void
secret_file_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}
