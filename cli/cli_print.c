/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <time.h>
#include <wchar.h>

#include "base/clock.h"
#include "cli.h"
#include "screen.h"

void
cli_print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

/* ---- tables ---- */

struct cli_table {
	size_t n_columns, n_cells;
	char **cells; /* owned, each owned; titles first */
};

static void
add_row(struct cli_table *table, const char *const *cells)
{
	table->cells =
		mem_grow(table->cells, (table->n_cells + table->n_columns) * sizeof(*table->cells));
	for (size_t i = 0; i < table->n_columns; i++) {
		OWN(buf) struct buf shown = BUF_INIT;

		/* As it will stand there, so that columns fit. */
		if (isatty(STDOUT_FILENO))
			screen_add(str_of(cells[i]), &shown);
		else
			buf_add_str(&shown, str_of(cells[i]));
		table->cells[table->n_cells++] = str_dup(buf_str(&shown));
	}
}

struct cli_table *
cli_table_new(const char *const *titles)
{
	struct cli_table *table = mem_new(sizeof(*table));

	while (titles[table->n_columns])
		table->n_columns++;
	add_row(table, titles);
	return table;
}

void
cli_table_add(struct cli_table *table, const char *const *cells)
{
	add_row(table, cells);
}

/* Columns on a terminal: UTF-8 continuation bytes take none. */
static size_t
width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xC0) != 0x80;
	return n;
}

void
cli_table_print(struct cli_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns, widest = 0;
		bool is_last = column + 1 == table->n_columns;

		for (size_t j = column; j < table->n_cells; j += table->n_columns) {
			size_t width = width_of(table->cells[j]);

			widest = width > widest ? width : widest;
		}
		printf("%s", table->cells[i]);
		for (size_t pad = width_of(table->cells[i]); !is_last && pad < widest + 2; pad++)
			putchar(' ');
		if (is_last)
			putchar('\n');
	}
	cli_table_free(table);
}

void
cli_table_free(struct cli_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

/* ---- values ---- */

/* Eight results live at a time, enough for the arguments of one printf. */
static char *
scratch(size_t *ret_size)
{
	static char texts[8][512];
	static unsigned turn;

	*ret_size = sizeof(texts[0]);
	return texts[turn++ % 8];
}

const char *
cli_text(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	size_t size;

	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_true(value))
		return "yes";
	if (json_is_false(value))
		return "no";
	if (!json_is_integer(value))
		return "";
	char *text = scratch(&size);

	snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return text;
}

const char *
cli_bytes(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double number = (double)bytes;
	unsigned unit = 0;
	size_t size;
	char *text = scratch(&size);

	for (; number >= 1024 && unit < 4; unit++)
		number /= 1024;
	snprintf(text, size, unit ? "%.1f %s" : "%.0f %s", number, units[unit]);
	return text;
}

const char *
cli_micros(uint64_t us)
{
	size_t size;
	char *text = scratch(&size);

	if (us < 1000)
		snprintf(text, size, "%u µs", (unsigned)us);
	else if (us < 1000000)
		snprintf(text, size, "%.1f ms", (double)us / 1e3);
	else
		snprintf(text, size, "%.2f s", (double)us / 1e6);
	return text;
}

const char *
cli_ago(const char *iso)
{
	struct tm when = {0};
	size_t size;
	char *text = scratch(&size);

	if (!strptime(iso, "%Y-%m-%dT%H:%M:%S", &when))
		return iso;
	int64_t s = (int64_t)(clock_unix_ms() / 1000) - timegm(&when);

	if (s < 60)
		snprintf(text, size, "%d s ago", (int)(s < 0 ? 0 : s));
	else if (s < 3600)
		snprintf(text, size, "%d min ago", (int)(s / 60));
	else if (s < 86400)
		snprintf(text, size, "%d h ago", (int)(s / 3600));
	else
		snprintf(text, size, "%d d ago", (int)(s / 86400));
	return text;
}

/* ---- progress ---- */

static bool is_line_open;

bool
cli_is_terminal(void)
{
	return isatty(STDERR_FILENO);
}

void
cli_progress(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	screen_erase_line();
	vfprintf(stderr, format, args);
	if (!cli_is_terminal())
		fputc('\n', stderr);
	is_line_open = cli_is_terminal();
	fflush(stderr);
	va_end(args);
}

void
cli_progress_end(void)
{
	if (is_line_open)
		fputc('\n', stderr);
	is_line_open = false;
}
