/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/unpack_report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/own.h"
#include "sandbox/unpack.h"

OWN_DEFINE(sha256, struct id_sha256 *, id_sha256_free)

static const char *const manifests[] = {UNPACK_MANIFESTS, NULL};

static bool
has_text(const char *name)
{
	return strcmp(name, "package.json") == 0 || strcmp(name, "requirements.txt") == 0;
}

/* Keeps the bytes as long as there are few enough to be a text. */
static int
read_file(int fd, const char *name, struct buf *text, uint64_t *ret_size,
	char ret_digest[static ID_SHA256_SIZE], struct err *err)
{
	OWN(sha256) struct id_sha256 *sum = id_sha256_new();
	char bytes[16384];
	uint64_t size = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		id_sha256_add(sum, bytes, (size_t)n);
		size += (uint64_t)n;
		if (size <= UNPACK_TEXT_MAX)
			buf_add(text, bytes, (size_t)n);
	}
	if (n < 0)
		return err_sys(err, "reading %s", name);
	id_sha256_end(take_ptr(&sum), ret_digest);
	*ret_size = size;
	return 0;
}

/* Names that are links or folders are none of a build's business. */
static int
report_file(int tree, const char *name, struct buf *out, struct err *err)
{
	OWN(fd) int fd = openat(tree, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	OWN(buf) struct buf text = BUF_INIT;
	char digest[ID_SHA256_SIZE];
	struct stat st;
	uint64_t size;
	int rc;

	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "opening %s", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	rc = read_file(fd, name, &text, &size, digest, err);
	if (rc < 0)
		return rc;
	buf_printf(out, "file %s %s %" PRIu64 "\n", name, digest, size);
	if (!has_text(name) || size > UNPACK_TEXT_MAX)
		return 0;
	buf_printf(out, "text %s %" PRIu64 "\n", name, size);
	buf_add_str(out, buf_str(&text));
	buf_add_char(out, '\n');
	return 0;
}

int
unpack_report(int tree, struct buf *out, struct err *err)
{
	struct stat st;
	int rc = 0;

	for (size_t i = 0; rc == 0 && manifests[i]; i++)
		rc = report_file(tree, manifests[i], out, err);
	if (rc == 0 && fstatat(tree, "node_modules", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISDIR(st.st_mode))
		buf_add_text(out, "folder node_modules\n");
	return rc;
}
