/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/build_reason.h"

#include <inttypes.h>
#include <signal.h>

#include "base/buf.h"
#include "base/own.h"

#define REASON_LINES 8
#define REASON_BYTES 1200

/* Bytes of the escape sequence that text begins with (ECMA-48, 5.4), 0 if it begins with none. */
static size_t
escape_step(struct str text)
{
	size_t n = 2;

	if (text.len < 2 || text.at[0] != 0x1b)
		return 0;
	if (text.at[1] != '[')
		return 2;
	while (n < text.len && (text.at[n] < '@' || text.at[n] > '~'))
		n++;
	return n < text.len ? n + 1 : n;
}

char *
build_reason_text(struct str rest)
{
	OWN(buf) struct buf text = BUF_INIT;
	struct str kept;

	buf_room(&text, rest.len + 1);
	while (rest.len) {
		size_t n = escape_step(rest);
		unsigned char c = (unsigned char)rest.at[0];

		if (!n) {
			n = str_utf8_step(rest);
			if (n == 0)
				buf_add_text(&text, "\xef\xbf\xbd");
			else if (c >= ' ' || c == '\n' || c == '\t')
				buf_add(&text, rest.at, n);
			n = n ? n : 1;
		}
		rest = str_n(rest.at + n, rest.len - n);
	}
	kept = buf_str(&text);
	while (kept.len && strchr(" \t\n", kept.at[kept.len - 1]))
		kept.len--;
	while (kept.len && kept.at[0] == '\n')
		kept = str_n(kept.at + 1, kept.len - 1);
	return str_dup(kept);
}

/* The last lines of a text that ends with one that says something. */
static struct str
last_lines(struct str text)
{
	unsigned n_lines = 0;
	size_t from;

	for (from = text.len; from > 0; from--) {
		if (text.at[from - 1] == '\n' && ++n_lines == REASON_LINES)
			break;
		if (text.len - from >= REASON_BYTES && text.at[from - 1] == '\n')
			break;
	}
	return str_n(text.at + from, text.len - from);
}

static bool
says(const char *text, const char *what)
{
	return strstr(text, what) != NULL;
}

/* What mayfly knows better than the installer. */
static char *
headline(const struct domain_config *config, const char *manifest, const struct job_end *end,
	const char *text)
{
	if (end->is_over_deadline)
		return mem_printf("installing the dependencies of %s took more than %u s", manifest,
			config->build_ms / 1000);
	if (end->usage.n_oom_kills)
		return mem_printf("the build used more than its %" PRIu64 " MiB of memory",
			config->build_memory_bytes >> 20);
	if (says(text, "ENOSPC") || says(text, "No space left on device") ||
		end->status == -SIGXFSZ || says(text, "EFBIG"))
		return mem_printf("the dependencies of %s need more than %" PRIu64 " MiB", manifest,
			config->build_bytes >> 20);
	if (end->refused[0])
		return mem_printf("the dependencies of %s cannot be installed: a build may not "
				  "reach %s",
			manifest, end->refused);
	if (end->status < 0)
		return mem_printf("installing the dependencies of %s was ended by signal %d",
			manifest, -end->status);
	return mem_printf("installing the dependencies of %s failed", manifest);
}

char *
build_reason(const struct domain_config *config, const char *manifest, const struct job_end *end)
{
	OWN(mem) char *text = build_reason_text(end->printed);
	OWN(mem) char *head = NULL;
	struct str tail;

	if (end->status == 0 && !end->is_over_deadline)
		return NULL;
	head = headline(config, manifest, end, text);
	tail = last_lines(str_of(text));
	return tail.len ? mem_printf("%s:\n%.*s", head, STR_ARG(tail)) : str_dup(str_of(head));
}
