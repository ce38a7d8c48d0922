/* SPDX-License-Identifier: Apache-2.0 */
#include "base/zone.h"

#include <errno.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/path.h"
#include "base/zone_rule.h"

#define ZONE_FOLDER     "/usr/share/zoneinfo"
#define ZONE_FILE_MAX   (256 << 10)
#define ZONE_NAME_MAX   63
#define ZONE_OFFSET_MAX (26 * 3600)        /* RFC 8536, section 3.2 */
#define ZONE_TIME_MAX   (INT64_C(1) << 48) /* beyond it nothing is reckoned with */
#define ZONE_HEAD_SIZE  44

struct zone {
	char name[ZONE_NAME_MAX + 1];
	int32_t first;    /* offset before the first change */
	size_t n;         /* changes */
	int64_t *at;      /* owned: when, ascending */
	int32_t *offsets; /* owned: from then on; never that of before */
	bool has_rule;
	struct zone_rule rule; /* behind rule_from */
	int64_t rule_from;
};

void
zone_free(struct zone *zone)
{
	if (!zone)
		return;
	free(zone->at);
	free(zone->offsets);
	free(zone);
}

OWN_DEFINE(zone, struct zone *, zone_free)

const char *
zone_name(const struct zone *zone)
{
	return zone->name;
}

struct zone *
zone_utc(void)
{
	struct zone *zone = mem_new(sizeof(*zone));

	memcpy(zone->name, "UTC", sizeof("UTC"));
	return zone;
}

/* ---- the file ---- */

/* One of the two blocks of data; views into the file. */
struct zone_block {
	uint32_t n_utc, n_std, n_leaps, n_times, n_types, n_chars;
	unsigned time_size;
	const uint8_t *times, *indexes, *types;
};

static uint32_t
read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t
read_time(const struct zone_block *block, size_t i)
{
	const uint8_t *at = block->times + i * block->time_size;

	if (block->time_size == 4)
		return (int32_t)read_u32(at);
	return (int64_t)((uint64_t)read_u32(at) << 32 | read_u32(at + 4));
}

static bool
take_bytes(struct str *file, uint64_t n, const uint8_t **ret)
{
	if (n > file->len)
		return false;
	*ret = (const uint8_t *)file->at;
	file->at += n;
	file->len -= n;
	return true;
}

/* Header and data of one block; *ret_version is 0 for the first version. */
static bool
take_block(struct str *file, unsigned time_size, uint8_t *ret_version, struct zone_block *ret)
{
	const uint8_t *head, *rest;

	if (!take_bytes(file, ZONE_HEAD_SIZE, &head) || memcmp(head, "TZif", 4) != 0)
		return false;
	*ret_version = head[4];
	*ret = (struct zone_block){
		.n_utc = read_u32(head + 20),
		.n_std = read_u32(head + 24),
		.n_leaps = read_u32(head + 28),
		.n_times = read_u32(head + 32),
		.n_types = read_u32(head + 36),
		.n_chars = read_u32(head + 40),
		.time_size = time_size,
	};
	return take_bytes(file, (uint64_t)ret->n_times * time_size, &ret->times) &&
	       take_bytes(file, ret->n_times, &ret->indexes) &&
	       take_bytes(file, (uint64_t)ret->n_types * 6, &ret->types) &&
	       take_bytes(file, ret->n_chars, &rest) &&
	       take_bytes(file, (uint64_t)ret->n_leaps * (time_size + 4), &rest) &&
	       take_bytes(file, ret->n_std, &rest) && take_bytes(file, ret->n_utc, &rest);
}

static bool
block_is_good(const struct zone_block *block)
{
	if (!block->n_types || block->n_types > 256)
		return false;
	for (uint32_t i = 0; i < block->n_types; i++) {
		int32_t offset = (int32_t)read_u32(block->types + i * 6);

		if (offset > ZONE_OFFSET_MAX || offset < -ZONE_OFFSET_MAX)
			return false;
	}
	for (uint32_t i = 0; i < block->n_times; i++)
		if (block->indexes[i] >= block->n_types ||
			(i && read_time(block, i) <= read_time(block, i - 1)))
			return false;
	return true;
}

static int32_t
block_offset(const struct zone_block *block, unsigned type)
{
	return (int32_t)read_u32(block->types + (size_t)type * 6);
}

/* Changes of the name or of what is called summer time alone are left out. */
static void
zone_take_changes(struct zone *zone, const struct zone_block *block)
{
	int32_t before = block_offset(block, 0);

	zone->first = before;
	zone->at = mem_new((block->n_times + 1) * sizeof(*zone->at));
	zone->offsets = mem_new((block->n_times + 1) * sizeof(*zone->offsets));
	zone->rule_from = block->n_times ? read_time(block, block->n_times - 1) : -ZONE_TIME_MAX;
	for (uint32_t i = 0; i < block->n_times; i++) {
		int32_t offset = block_offset(block, block->indexes[i]);

		if (offset == before)
			continue;
		zone->at[zone->n] = read_time(block, i);
		zone->offsets[zone->n++] = offset;
		before = offset;
	}
}

/* "\n<rule>\n", where the rule may be empty. */
static int
zone_take_footer(struct zone *zone, struct str file, struct err *err)
{
	struct str rule;

	if (!file.len || file.at[0] != '\n' || !memchr(file.at + 1, '\n', file.len - 1))
		return err_set(err, ERR_INVALID, "the end of the file is missing");
	file.at++;
	file.len--;
	rule = str_cut(&file, '\n');
	zone->has_rule = rule.len > 0;
	return rule.len ? zone_rule_parse(rule, &zone->rule, err) : 0;
}

int
zone_parse(const void *bytes, size_t size, struct zone **ret, struct err *err)
{
	OWN(zone) struct zone *zone = mem_new(sizeof(*zone));
	struct str file = str_n(bytes, size);
	struct zone_block block;
	uint8_t version;
	bool is_good = take_block(&file, 4, &version, &block);
	int rc = 0;

	if (is_good && version)
		is_good = take_block(&file, 8, &version, &block);
	if (!is_good || !block_is_good(&block))
		return err_set(err, ERR_INVALID, "it is not a file of time zones (TZif)");
	if (block.n_leaps)
		return err_set(err, ERR_INVALID, "its times count leap seconds");
	zone_take_changes(zone, &block);
	if (version)
		rc = zone_take_footer(zone, file, err);
	if (rc == 0)
		*ret = take_ptr(&zone);
	return rc;
}

/* ---- by name ---- */

static bool
name_has_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '+' || c == '-';
}

/* Parts with a slash between them, none of them empty, no dots. */
static bool
name_is_good(struct str name)
{
	if (!name.len || name.len > ZONE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		bool is_edge = i == 0 || i == name.len - 1 || name.at[i - 1] == '/';

		if (!name_has_char(name.at[i]) && (name.at[i] != '/' || is_edge))
			return false;
	}
	return true;
}

static int
zone_unknown(struct str name, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND,
		"there is no time zone %.*s; names are like Europe/Berlin or UTC",
		STR_ARG(name.len > ZONE_NAME_MAX ? str_n(name.at, ZONE_NAME_MAX) : name));
}

static int
zone_read(struct str name, struct buf *file, struct err *err)
{
	OWN(mem) char *path = mem_printf(ZONE_FOLDER "/%.*s", STR_ARG(name));
	struct err why = {0};
	int rc = path_read(path, ZONE_FILE_MAX, file, &why);

	if (rc == ERR_NOT_FOUND || why.sys == EISDIR || why.sys == ENOTDIR)
		return zone_unknown(name, err);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

int
zone_open(struct str name, struct zone **ret, struct err *err)
{
	OWN(buf) struct buf file = BUF_INIT;
	int rc;

	if (str_eq(name, STR("UTC"))) {
		*ret = zone_utc();
		return 0;
	}
	if (!name_is_good(name))
		return zone_unknown(name, err);
	rc = zone_read(name, &file, err);
	if (rc == 0)
		rc = zone_parse(file.at, file.len, ret, err);
	if (rc < 0)
		return rc == ERR_NOT_FOUND ? rc
					   : err_wrap(err, rc, "the time zone %.*s", STR_ARG(name));
	memcpy((*ret)->name, name.at, name.len);
	return 0;
}

/* ---- times ---- */

static int64_t
zone_clamp(int64_t unix_s)
{
	if (unix_s > ZONE_TIME_MAX)
		return ZONE_TIME_MAX;
	return unix_s < -ZONE_TIME_MAX ? -ZONE_TIME_MAX : unix_s;
}

/* How many changes there are at or before unix_s. */
static size_t
zone_count(const struct zone *zone, int64_t unix_s)
{
	size_t low = 0, high = zone->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (zone->at[middle] <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int32_t
zone_offset(const struct zone *zone, int64_t unix_s)
{
	size_t n;

	unix_s = zone_clamp(unix_s);
	if (zone->has_rule && unix_s >= zone->rule_from)
		return zone_rule_offset(&zone->rule, unix_s);
	n = zone_count(zone, unix_s);
	return n ? zone->offsets[n - 1] : zone->first;
}

/* At the last change of the file its own word and the rule's may differ. */
int64_t
zone_next_change(const struct zone *zone, int64_t unix_s)
{
	size_t n;

	unix_s = zone_clamp(unix_s);
	n = zone_count(zone, unix_s);
	if (n < zone->n && (!zone->has_rule || zone->at[n] < zone->rule_from))
		return zone->at[n];
	if (!zone->has_rule)
		return INT64_MAX;
	if (unix_s < zone->rule_from) {
		if (zone_offset(zone, zone->rule_from) != zone_offset(zone, zone->rule_from - 1))
			return zone->rule_from;
		unix_s = zone->rule_from;
	}
	return zone_rule_next(&zone->rule, unix_s);
}

int
zone_moments(const struct zone *zone, int64_t local_s, int64_t *ret_first, int64_t *ret_second)
{
	int64_t from = zone_clamp(local_s) - ZONE_OFFSET_MAX, to = from + 2 * ZONE_OFFSET_MAX;
	int64_t found[2], gap_end = to;
	int n = 0;

	local_s = zone_clamp(local_s);
	while (from <= to && n < 2) {
		int32_t offset = zone_offset(zone, from);
		int64_t next = zone_next_change(zone, from);
		int64_t moment = local_s - offset;

		if (moment >= from && moment < next)
			found[n++] = moment;
		else if (next <= to && moment >= next && local_s - zone_offset(zone, next) < next)
			gap_end = next;
		if (next > to)
			break;
		from = next;
	}
	*ret_first = n ? found[0] : gap_end;
	*ret_second = n ? found[n - 1] : gap_end;
	return n;
}
