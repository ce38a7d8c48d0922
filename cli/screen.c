/* SPDX-License-Identifier: Apache-2.0 */
#include "screen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

/* ---- what is shown ---- */

size_t
screen_control(struct str text)
{
	unsigned char first = text.len ? (unsigned char)text.at[0] : ' ';
	unsigned char second = text.len > 1 ? (unsigned char)text.at[1] : 0;
	unsigned char third = text.len > 2 ? (unsigned char)text.at[2] : 0;

	if (first < 0x20 || first == 0x7F)
		return 1;
	if (first < 0x80)
		return 0;
	if (!str_utf8_step(text))
		return 1;
	if (first == 0xC2 && second < 0xA0)
		return 2;
	if (first == 0xE2 && second == 0x80 && third >= 0xAA && third <= 0xAE)
		return 3;
	return first == 0xE2 && second == 0x81 && third >= 0xA6 && third <= 0xA9 ? 3 : 0;
}

static void
add_escape(struct str control, struct buf *out)
{
	unsigned char last = (unsigned char)control.at[control.len - 1];
	unsigned high = control.len == 3 ? 0x2000 + ((unsigned)control.at[1] & 0x3F) * 64 : 0;

	if (control.len == 1)
		buf_printf(out, "\\x%02x", last);
	else
		buf_printf(out, "\\u%04x", control.len == 2 ? last : high + (last & 0x3F));
}

void
screen_add(struct str text, struct buf *out)
{
	while (text.len) {
		size_t n = screen_control(text);

		if (n && *text.at != '\n' && *text.at != '\t')
			add_escape(str_n(text.at, n), out);
		else
			buf_add(out, text.at, n = n ? n : str_utf8_step(text));
		text = str_n(text.at + n, text.len - n);
	}
}

/* ---- streams ---- */

struct screen {
	int fd;
	bool is_passing;
	char held[4]; /* the beginning of a character whose end is to come */
	size_t n_held;
};

static struct screen screens[] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};

/* Without the character at its end that is cut off. */
static size_t
screen_whole(struct str text)
{
	for (size_t i = 1; i <= 3 && i <= text.len; i++) {
		unsigned char c = (unsigned char)text.at[text.len - i];
		size_t size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;

		if ((c & 0xC0) != 0x80)
			return size > i ? text.len - i : text.len;
	}
	return text.len;
}

static bool
screen_send(int fd, struct str text)
{
	while (text.len) {
		ssize_t n = write(fd, text.at, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text = str_n(text.at + n, text.len - (size_t)n);
	}
	return true;
}

static ssize_t
screen_write(void *arg, const char *bytes, size_t len)
{
	struct screen *screen = arg;
	OWN(buf) struct buf text = BUF_INIT;
	OWN(buf) struct buf out = BUF_INIT;

	if (screen->is_passing)
		return screen_send(screen->fd, str_n(bytes, len)) ? (ssize_t)len : 0;
	buf_add(&text, screen->held, screen->n_held);
	buf_add(&text, bytes, len);
	size_t whole = screen_whole(buf_str(&text));

	screen->n_held = text.len - whole;
	memcpy(screen->held, text.at + whole, screen->n_held);
	screen_add(str_n(text.at, whole), &out);
	return screen_send(screen->fd, buf_str(&out)) ? (ssize_t)len : 0;
}

static void
screen_put_before(FILE **stream, struct screen *screen, int buffering)
{
	static const cookie_io_functions_t functions = {.write = screen_write};
	FILE *shown = isatty(screen->fd) ? fopencookie(screen, "w", functions) : NULL;

	if (!shown)
		return;
	setvbuf(shown, NULL, buffering, BUFSIZ);
	*stream = shown;
}

void
screen_open(void)
{
	screen_put_before(&stdout, &screens[0], _IOLBF);
	screen_put_before(&stderr, &screens[1], _IONBF);
}

void
screen_pass(void)
{
	screens[0].is_passing = true;
}

void
screen_erase_line(void)
{
	fflush(stderr);
	if (isatty(STDERR_FILENO))
		screen_send(STDERR_FILENO, STR("\r\033[K"));
}
