/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_org - which org and route a path of vCloud Director's means: /api/org/{org}/{route}.
 *
 * {org} is a name, a UUID, or a URN "urn:vcloud:org:<UUID>". Names are mayfly's own where the map
 * does not say otherwise; a UUID means nothing without the map. Pure, any thread.
 */
#ifndef MAYFLY_CONNECT_VCD_ORG_H
#define MAYFLY_CONNECT_VCD_ORG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"

/* vCD's orgs by UUID and by name → mayfly's. */
struct vcd_org_map {
	struct map names; /* lower case → name, owned */
};
/* "<UUID or name>=<org>, …"; INVALID names what is wrong. To be released in either case. */
int vcd_org_map_read(struct str text, struct vcd_org_map *ret, struct err *err);
void vcd_org_map_done(struct vcd_org_map *map);

/* Of a URN or a UUID: the UUID, lower case. False for anything else. */
#define VCD_UUID_SIZE 37
bool vcd_org_uuid(struct str text, char ret[static VCD_UUID_SIZE]);

/* Mayfly's org of an encoded path, "" when it cannot be told; *ret_route is what is behind it,
 * without a slash in front, encoded. NOT_FOUND for a path of another form. */
int vcd_org_path(const struct vcd_org_map *map, struct str path, char ret_org[static 64],
	struct str *ret_route, struct err *err);
/* The same of the caller's URN; "" when it is not in the map. */
const char *vcd_org_of(const struct vcd_org_map *map, struct str urn);

#endif
