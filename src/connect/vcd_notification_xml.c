/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_notification_xml.h"

#include <stdlib.h>

#include "base/xml.h"

#define XML_NAMESPACE  "http://www.vmware.com/vcloud/extension/v1.5"
#define XML_LINKS_MAX  100
#define XML_URN_PREFIX "urn:vcloud:"

static void
set_attribute(xmlNode *node, const char *attribute, json_t *json, const char *key)
{
	OWN(mem) char *value = xml_attribute(node, attribute);

	if (value)
		json_object_set_new(json, key, json_string(value));
}

/* The member of the JSON form that a link stands for; NULL for none. */
static const char *
link_member(const char *rel)
{
	static const struct {
		const char *rel, *member;
	} links[] = {
		{"entity", "entity"},
		{"up", "org"},
		{"down", "user"},
		{"task", "task"},
		{"task:owner", "taskOwner"},
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (strcmp(links[i].rel, rel) == 0)
			return links[i].member;
	return NULL;
}

/* The entity's URN is its id; where there is none the address may end with it. */
static const char *
link_urn(const json_t *link)
{
	const char *id = json_string_value(json_object_get(link, "id"));
	const char *href = json_string_value(json_object_get(link, "href"));
	const char *slash = href ? strrchr(href, '/') : NULL;

	if (id)
		return id;
	return slash && strncmp(slash + 1, XML_URN_PREFIX, strlen(XML_URN_PREFIX)) == 0 ? slash + 1
											: NULL;
}

static void
add_link(xmlNode *node, json_t *data, json_t *links)
{
	static const char *const attributes[] = {"rel", "type", "name", "id", "href"};
	json_t *link = json_object();
	const char *rel, *member;

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		set_attribute(node, attributes[i], link, attributes[i]);
	rel = json_string_value(json_object_get(link, "rel"));
	member = rel && xml_is_element(node, "EntityLink") ? link_member(rel) : NULL;
	if (member && link_urn(link) && !json_object_get(data, member))
		json_object_set_new(data, member, json_string(link_urn(link)));
	if (json_array_size(links) < XML_LINKS_MAX)
		json_array_append_new(links, link);
	else
		json_decref(link);
}

static int
add_success(const char *text, json_t *data, struct err *err)
{
	struct str word = str_trim(str_of(text));
	bool is_true = str_eq(word, STR("true")) || str_eq(word, STR("1"));

	if (!is_true && !str_eq(word, STR("false")) && !str_eq(word, STR("0")))
		return err_field(err, ERR_INVALID, "OperationSuccess",
			"OperationSuccess is neither true nor false");
	json_object_set_new(data, "operationSuccess", json_boolean(is_true));
	return 0;
}

static int
add_child(xmlNode *node, json_t *data, json_t *links, struct err *err)
{
	OWN(mem) char *text = NULL;

	if (xml_is_element(node, "Link") || xml_is_element(node, "EntityLink"))
		add_link(node, data, links);
	if (!xml_is_element(node, "Timestamp") && !xml_is_element(node, "OperationSuccess"))
		return 0;
	text = xml_text(node);
	if (xml_is_element(node, "OperationSuccess"))
		return add_success(text, data, err);
	struct str time = str_trim(str_of(text));

	json_object_set_new(data, "timestamp", json_stringn(time.at, time.len));
	return 0;
}

static int
read_root(xmlNode *root, json_t **ret, struct err *err)
{
	OWN(json) json_t *data = json_object();
	json_t *links = json_array();
	int rc = 0;

	json_object_set_new(data, "links", links);
	set_attribute(root, "type", data, "type");
	set_attribute(root, "eventId", data, "eventId");
	for (xmlNode *child = root->children; child && rc == 0; child = child->next)
		rc = add_child(child, data, links, err);
	if (rc == 0)
		*ret = take_ptr(&data);
	return rc;
}

int
vcd_notification_xml_read(struct str bytes, json_t **ret, struct err *err)
{
	OWN(xml_doc) xmlDocPtr doc = NULL;
	int rc = xml_parse(bytes, &doc, err);

	if (rc < 0)
		return rc;
	if (!xml_is_element_of(xmlDocGetRootElement(doc), XML_NAMESPACE, "Notification"))
		return err_set(err, ERR_INVALID, "it is not a Notification of vCloud Director");
	return read_root(xmlDocGetRootElement(doc), ret, err);
}
