/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_org.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/own.h"
#include "net/http.h"

#define ORG_PREFIX   STR("/api/org/")
#define ORG_URN      STR("urn:vcloud:org:")
#define ORG_TEXT_MAX 255

static bool
is_uuid_char(char c, size_t at)
{
	if (at == 8 || at == 13 || at == 18 || at == 23)
		return c == '-';
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static void
lower(struct str text, char *ret)
{
	for (size_t i = 0; i < text.len; i++)
		ret[i] = text.at[i] >= 'A' && text.at[i] <= 'Z' ? (char)(text.at[i] + 32)
								: text.at[i];
	ret[text.len] = 0;
}

bool
vcd_org_uuid(struct str text, char ret[static VCD_UUID_SIZE])
{
	struct str urn = ORG_URN;

	if (text.len > urn.len && str_eq_case(str_n(text.at, urn.len), urn))
		text = str_n(text.at + urn.len, text.len - urn.len);
	if (text.len != VCD_UUID_SIZE - 1)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!is_uuid_char(text.at[i], i))
			return false;
	lower(text, ret);
	return true;
}

/* ---- the map ---- */

void
vcd_org_map_done(struct vcd_org_map *map)
{
	map_each (&map->names, entry)
		free(entry->value);
	map_done(&map->names);
}

static int
map_read_one(struct str pair, struct vcd_org_map *map, struct err *err)
{
	struct str from = str_trim(str_cut(&pair, '=')), to = str_trim(pair);
	char key[ORG_TEXT_MAX + 1];

	if (!from.len || from.len > ORG_TEXT_MAX)
		return err_set(err, ERR_INVALID,
			"\"%.*s\" is not like <UUID or name in vCloud Director>=<org>",
			STR_ARG(from));
	if (id_check_name(to, "org", err) < 0)
		return err_wrap(err, ERR_INVALID, "%.*s", STR_ARG(from));
	if (!vcd_org_uuid(from, key))
		lower(from, key);
	if (map_find(&map->names, str_of(key)))
		return err_set(err, ERR_INVALID, "%s is there twice", key);
	map_put(&map->names, str_of(key), str_dup(to));
	return 0;
}

int
vcd_org_map_read(struct str text, struct vcd_org_map *ret, struct err *err)
{
	*ret = (struct vcd_org_map){.names = MAP_INIT};
	while (str_trim(text).len) {
		int rc = map_read_one(str_cut(&text, ','), ret, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

const char *
vcd_org_of(const struct vcd_org_map *map, struct str urn)
{
	char key[VCD_UUID_SIZE];
	const char *org = vcd_org_uuid(urn, key) ? map_find(&map->names, str_of(key)) : NULL;

	return org ? org : "";
}

/* ---- paths ---- */

/* A name that is not in the map is mayfly's own. */
static const char *
org_by_name(const struct vcd_org_map *map, struct str name)
{
	char key[ORG_TEXT_MAX + 1];

	if (name.len > ORG_TEXT_MAX)
		return "";
	lower(name, key);
	const char *org = map_find(&map->names, str_of(key));

	return org ? org : "";
}

int
vcd_org_path(const struct vcd_org_map *map, struct str path, char ret_org[static 64],
	struct str *ret_route, struct err *err)
{
	struct str prefix = ORG_PREFIX, rest, name;
	OWN(buf) struct buf decoded = BUF_INIT;
	char uuid[VCD_UUID_SIZE];
	const char *org;

	ret_org[0] = 0;
	if (!str_starts(path, prefix))
		return err_set(err, ERR_NOT_FOUND, "the path does not begin with /api/org/");
	rest = str_n(path.at + prefix.len, path.len - prefix.len);
	name = str_cut(&rest, '/');
	if (!name.len || !http_percent_decode(name, false, &decoded))
		return err_set(err, ERR_NOT_FOUND, "the path names no org");
	name = buf_str(&decoded);
	*ret_route = rest;
	if (vcd_org_uuid(name, uuid))
		org = vcd_org_of(map, name);
	else
		org = org_by_name(map, name);
	if (*org)
		snprintf(ret_org, 64, "%s", org);
	else if (!vcd_org_uuid(name, uuid) && id_check_name(name, "org", NULL) == 0)
		snprintf(ret_org, 64, "%.*s", STR_ARG(name));
	return 0;
}
