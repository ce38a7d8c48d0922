/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_unpack_check - paths and link targets of archives: what is taken stays inside the tree.
 *
 * Input: a path, a NUL, a link's target.
 */
#include "fuzz.h"

#include "sandbox/unpack_check.h"

/* How far below the tree a path ends, walked as the kernel does; false if it leaves. */
static bool
stays_inside(int depth, struct str path)
{
	if (path.len && path.at[0] == '/')
		return false;
	while (path.len) {
		struct str name = str_cut(&path, '/');

		if (str_eq(name, STR("..")))
			depth--;
		else if (name.len && !str_eq(name, STR(".")))
			depth++;
		if (depth < 0)
			return false;
	}
	return true;
}

static int
depth_of_folder(struct str path)
{
	int depth = 0;

	for (size_t i = 0; i < path.len; i++)
		depth += path.at[i] == '/';
	return depth;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str target = str_n(bytes, size);
	struct str raw = str_cut(&target, '\0');
	char path[UNPACK_PATH_MAX + 1];
	char again[UNPACK_PATH_MAX + 1];
	struct err err = {0};

	must(str_is_utf8(str_of(unpack_check_shown(raw))));
	if (unpack_check_path(raw, path, &err) < 0) {
		must(err.code == ERR_INVALID && err.text[0] && !strchr(err.text, '\n'));
		return 0;
	}
	must(strlen(path) <= raw.len && stays_inside(0, str_of(path)));
	must(!*path || (unpack_check_path(str_of(path), again, &err) == 0 && !strcmp(path, again)));
	if (unpack_check_link(str_of(path), target, &err) == 0)
		must(target.len && stays_inside(depth_of_folder(str_of(path)), target));
	return 0;
}
