/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/unpack_check.h"

const char *
unpack_check_shown(struct str text)
{
	static char shown[84];
	size_t n = 0;

	while (text.len && n < 77) {
		size_t step = str_utf8_step(text);
		bool is_plain = step > 1 || (step == 1 && text.at[0] >= ' ' && text.at[0] != 0x7f);

		if (!step)
			step = 1;
		if (is_plain)
			memcpy(shown + n, text.at, step);
		else
			shown[n] = '?';
		n += is_plain ? step : 1;
		text = str_n(text.at + step, text.len - step);
	}
	memcpy(shown + n, text.len ? "…" : "", text.len ? 4 : 1);
	return shown;
}

static int
refuse(struct err *err, struct str path, const char *why)
{
	return err_set(err, ERR_INVALID, "%s: %s", unpack_check_shown(path), why);
}

static bool
has_control(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
			return true;
	}
	return false;
}

static int
check_text(struct str text, struct err *err)
{
	if (text.len > UNPACK_PATH_MAX)
		return refuse(err, text, "the path is too long");
	if (!str_is_utf8(text))
		return refuse(err, text, "the name is not UTF-8");
	if (has_control(text))
		return refuse(err, text, "the name has control characters");
	return 0;
}

int
unpack_check_path(struct str path, char ret[static UNPACK_PATH_MAX + 1], struct err *err)
{
	struct str rest = path;
	unsigned depth = 0;
	size_t n = 0;
	int rc = check_text(path, err);

	ret[0] = '\0';
	if (rc < 0)
		return rc;
	if (!path.len)
		return refuse(err, path, "an entry has no name");
	if (path.at[0] == '/')
		return refuse(err, path, "the path is absolute");
	while (rest.len) {
		struct str name = str_cut(&rest, '/');

		if (!name.len || str_eq(name, STR(".")))
			continue;
		if (str_eq(name, STR("..")))
			return refuse(err, path, "the path has '..'");
		if (name.len > UNPACK_NAME_MAX)
			return refuse(err, path, "a name in the path is too long");
		if (++depth > UNPACK_DEPTH_MAX)
			return refuse(err, path, "the path is too deep");
		if (n)
			ret[n++] = '/';
		memcpy(ret + n, name.at, name.len);
		n += name.len;
	}
	ret[n] = '\0';
	return 0;
}

static unsigned
depth_of_folder(struct str path)
{
	unsigned depth = 0;

	for (size_t i = 0; i < path.len; i++)
		depth += path.at[i] == '/';
	return depth;
}

int
unpack_check_link(struct str path, struct str target, struct err *err)
{
	unsigned ups_left = depth_of_folder(path);
	bool is_below = false;
	int rc = check_text(target, err);

	if (rc < 0)
		return err_wrap(err, rc, "a link's target");
	if (!target.len)
		return refuse(err, path, "the link has no target");
	if (target.at[0] == '/')
		return refuse(err, path, "the link points to an absolute path");
	while (target.len) {
		struct str name = str_cut(&target, '/');

		if (!name.len || str_eq(name, STR(".")))
			continue;
		if (!str_eq(name, STR(".."))) {
			is_below = true;
			continue;
		}
		if (is_below)
			return refuse(err, path, "the link's target has '..' behind a name");
		if (ups_left == 0)
			return refuse(err, path, "the link leaves the tree");
		ups_left--;
	}
	return 0;
}
