/* SPDX-License-Identifier: Apache-2.0 */
#include "cell_read.h"

#include "base/xml.h"
#include "screen.h"

#define VCLOUD      "http://www.vmware.com/vcloud/v1.5"
#define VERSIONS    "http://www.vmware.com/vcloud/versions"
#define MESSAGE_MAX 150

/* In 39.0 extension services over AMQP are deprecated. */
#define LAST_MAJOR 38

/* With a space for each control character: a name or a message is one line. */
static void
clean(struct str text, struct buf *out)
{
	while (text.len) {
		size_t n = screen_control(text);

		if (n)
			buf_add_char(out, ' ');
		else
			buf_add(out, text.at, n = str_utf8_step(text));
		text = str_n(text.at + n, text.len - n);
	}
}

static json_t *
read_record(const xmlNode *node, const char *const *attributes)
{
	json_t *record = json_object();

	for (; *attributes; attributes++) {
		OWN(mem) char *value = xml_attribute(node, *attributes);
		OWN(buf) struct buf text = BUF_INIT;

		if (!value)
			continue;
		clean(str_of(value), &text);
		json_object_set_new(
			record, *attributes, json_stringn(text.at ? text.at : "", text.len));
	}
	return record;
}

int
cell_read_records(struct str body, const char *record, const char *const *attributes, json_t *array,
	uint64_t *ret_total, struct err *err)
{
	OWN(xml_doc) xmlDocPtr doc = NULL;
	int rc = xml_parse(body, &doc, err);

	if (rc < 0)
		return rc;
	const xmlNode *root = xmlDocGetRootElement(doc);
	OWN(mem) char *total = NULL;

	if (!xml_is_element_of(root, VCLOUD, "QueryResultRecords"))
		return err_set(err, ERR_INVALID, "it is not the result of a query");
	total = xml_attribute(root, "total");
	if (!total || !str_to_u64(str_of(total), ret_total))
		return err_set(err, ERR_INVALID, "the result of a query has no total");
	for (const xmlNode *child = root->children; child; child = child->next)
		if (xml_is_element_of(child, VCLOUD, record))
			json_array_append_new(array, read_record(child, attributes));
	return 0;
}

bool
cell_read_version(struct str text, unsigned *ret_major, unsigned *ret_minor)
{
	struct str minor = text, major = str_cut(&minor, '.');
	uint64_t high, low;

	if (text.len >= CELL_VERSION_SIZE || !str_to_u64(major, &high) ||
		!str_to_u64(minor, &low) || high > 999 || low > 999)
		return false;
	*ret_major = (unsigned)high;
	*ret_minor = (unsigned)low;
	return true;
}

/* Whether `a` is to be spoken rather than `b`. */
static bool
is_better(unsigned a, unsigned b)
{
	bool is_late = a / 1000 > LAST_MAJOR, was_late = b / 1000 > LAST_MAJOR;

	if (is_late != was_late)
		return was_late;
	return is_late ? a < b : a > b;
}

int
cell_read_versions(struct str body, char ret[static CELL_VERSION_SIZE], struct err *err)
{
	OWN(xml_doc) xmlDocPtr doc = NULL;
	int rc = xml_parse(body, &doc, err);
	unsigned best = 0, major, minor;

	if (rc < 0)
		return rc;
	const xmlNode *root = xmlDocGetRootElement(doc);

	if (!xml_is_element_of(root, VERSIONS, "SupportedVersions"))
		return err_set(err, ERR_INVALID, "it is not a list of versions");
	for (const xmlNode *info = root->children; info; info = info->next) {
		if (!xml_is_element(info, "VersionInfo"))
			continue;
		for (const xmlNode *child = info->children; child; child = child->next) {
			OWN(mem) char *text = xml_text(child);

			if (xml_is_element(child, "Version") &&
				cell_read_version(str_trim(str_of(text)), &major, &minor) &&
				(!best || is_better(major * 1000 + minor, best)))
				best = major * 1000 + minor;
		}
	}
	if (!best)
		return err_set(err, ERR_INVALID, "it offers no version");
	snprintf(ret, CELL_VERSION_SIZE, "%u.%u", best / 1000, best % 1000);
	return 0;
}

static char *
find_message(struct str body)
{
	OWN(xml_doc) xmlDocPtr doc = NULL;
	OWN(json) json_t *json = NULL;
	const char *text;

	if (xml_parse(body, &doc, NULL) == 0) {
		const xmlNode *root = xmlDocGetRootElement(doc);

		return xml_is_element(root, "Error") ? xml_attribute(root, "message") : NULL;
	}
	if (json_parse(body, &json, NULL) < 0)
		return NULL;
	text = json_string_value(json_object_get(json, "message"));
	return text ? str_dup(str_of(text)) : NULL;
}

void
cell_read_error(struct str body, struct buf *out)
{
	OWN(mem) char *message = find_message(body);
	struct str rest = str_of(message);
	size_t len = 0;

	while (rest.len > len) {
		size_t step = str_utf8_step(str_n(rest.at + len, rest.len - len));

		if (!step || len + step > MESSAGE_MAX)
			break;
		len += step;
	}
	clean(str_n(rest.at, len), out);
}

bool
cell_read_uuid(struct str href, char ret[static CELL_UUID_SIZE])
{
	size_t len = CELL_UUID_SIZE - 1;

	if (href.len <= len || !strchr("/:", href.at[href.len - len - 1]))
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = href.at[href.len - len + i];
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? c != '-' : !strchr("0123456789abcdefABCDEF", c) || !c)
			return false;
		ret[i] = c;
	}
	ret[len] = '\0';
	return true;
}
