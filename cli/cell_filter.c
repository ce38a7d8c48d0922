/* SPDX-License-Identifier: Apache-2.0 */
#include "cell_filter.h"

#include "base/xml.h"

#define PATTERN_MAX 1024
#define ORG_MAX     128

/* What vCloud Director has below /api/org/{id}. */
static const char *const own_resources[] = {"action", "associations", "catalog", "catalogs",
	"edgeGateways", "hybrid", "metadata", "networks", "tasksList", "vdcRollup", "vdcTemplates"};

static bool
is_name(struct str text, const char *more)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (!c || (!strchr(more, c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') &&
				  (c < 'a' || c > 'z')))
			return false;
	}
	return text.len > 0;
}

static bool
is_own(struct str route)
{
	struct str first = str_cut(&route, '/');

	for (size_t i = 0; i < sizeof(own_resources) / sizeof(own_resources[0]); i++)
		if (str_eq_case(first, str_of(own_resources[i])))
			return true;
	return false;
}

/* Of what is_name() allows only the dot means something in a pattern. */
static void
add_literal(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '.')
			buf_add_char(out, '\\');
		buf_add_char(out, text.at[i]);
	}
}

int
cell_filter_of(const char *function, char **ret, struct err *err)
{
	struct str route = str_of(function), org = str_cut(&route, '/');
	bool is_any = str_eq(org, STR("*"));
	struct buf out = BUF_INIT;

	if (org.len > ORG_MAX || (!is_any && !is_name(org, "-_.~:")) || !is_name(route, "-_.~/") ||
		route.at[0] == '/' || route.at[route.len - 1] == '/')
		return err_field(err, ERR_INVALID, "--function",
			"'%s' is not like ORG/ROUTE (pscoe/hello, or */hello for any org)",
			function);
	if (is_own(route))
		return err_field(err, ERR_CONFLICT, "--function",
			"/api/org/{id}/%.*s is vCloud Director's own; --filter takes it anyway",
			STR_ARG(route));
	buf_add_text(&out, "/api/org/");
	if (is_any)
		buf_add_text(&out, "[^/]+");
	else
		add_literal(&out, org);
	buf_add_char(&out, '/');
	add_literal(&out, route);
	buf_add_text(&out, "(/.*)?");
	*ret = buf_take(&out, NULL);
	return 0;
}

int
cell_filter_check(const char *pattern, struct err *err)
{
	struct str text = str_of(pattern);

	if (!text.len || text.len > PATTERN_MAX)
		return err_field(err, ERR_INVALID, "--filter", "has 1 to %d bytes", PATTERN_MAX);
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < 0x20)
			return err_field(
				err, ERR_INVALID, "--filter", "has a control character in it");
	if (!xml_can_hold(text))
		return err_field(err, ERR_INVALID, "--filter", "is not text that XML can hold");
	return 0;
}
