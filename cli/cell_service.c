/* SPDX-License-Identifier: Apache-2.0 */
#include "cell_service.h"

#include "base/xml.h"
#include "cell_read.h"

#define SERVICES     "/api/admin/extension/service"
#define SERVICE_TYPE "application/vnd.vmware.admin.service+xml"
#define FILTER_TYPE  "application/vnd.vmware.admin.apiFilter+xml"
#define NAMESPACES                                                                                 \
	"xmlns=\"http://www.vmware.com/vcloud/v1.5\" "                                             \
	"xmlns:vmext=\"http://www.vmware.com/vcloud/extension/v1.5\""
#define XML_HEAD  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define PAGE      128
#define PAGES_MAX 100
#define TEXT_MAX  255

/* ---- what may be asked for ---- */

static int
check_text(const char *flag, const char *text, struct err *err)
{
	struct str view = str_of(text);

	if (!view.len || view.len > TEXT_MAX || !xml_can_hold(view))
		return err_field(
			err, ERR_INVALID, flag, "has 1 to %d bytes that XML can hold", TEXT_MAX);
	return 0;
}

/* Like that of a Java package. */
static bool
is_namespace(struct str text)
{
	bool is_first = true;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (!is_letter && (is_first || ((c < '0' || c > '9') && c != '.')))
			return false;
		is_first = c == '.';
	}
	return !is_first;
}

int
cell_service_check(const struct cell_service *service, struct err *err)
{
	int rc = check_text("--name", service->name, err);

	if (rc == 0)
		rc = check_text("--exchange", service->exchange, err);
	if (rc == 0)
		rc = check_text("--routing-key", service->routing_key, err);
	if (rc == 0)
		rc = check_text("--namespace", service->namespace, err);
	if (rc == 0 && !is_namespace(str_of(service->namespace)))
		return err_field(err, ERR_INVALID, "--namespace", "is like org.mayfly.faas");
	if (rc == 0 && service->priority > 100)
		return err_field(err, ERR_INVALID, "--priority", "is 0 to 100");
	return rc;
}

/* ---- reading ---- */

/* All pages of a query: each is another question. */
static int
read_all(struct cell *cell, const char *path, const char *record, const char *const *attributes,
	json_t **ret, struct err *err)
{
	OWN(json) json_t *all = json_array();

	for (unsigned page = 1; page <= PAGES_MAX; page++) {
		OWN(mem)
		char *target = mem_printf("%s?page=%u&pageSize=%d", path, page, PAGE);
		OWN(buf) struct buf body = BUF_INIT;
		size_t before = json_array_size(all);
		uint64_t total = 0;
		int rc = cell_ask(cell, "GET", target, NULL, STR_NONE, &body, err);

		if (rc < 0)
			return rc;
		rc = cell_read_records(buf_str(&body), record, attributes, all, &total, err);
		if (rc < 0)
			return err_wrap(
				err, ERR_SYSTEM, "GET %s: no answer of vCloud Director's", path);
		if (json_array_size(all) >= total || json_array_size(all) == before)
			break;
	}
	*ret = take_ptr(&all);
	return 0;
}

static const char *
text_of(const json_t *record, const char *key)
{
	const char *text = json_string_value(json_object_get(record, key));

	return text ? text : "";
}

int
cell_service_find(struct cell *cell, const char *namespace, json_t **ret, struct err *err)
{
	static const char *const attributes[] = {"name", "namespace", "exchange", "routingKey",
		"priority", "enabled", "isAuthorizationEnabled", "href", NULL};
	OWN(json) json_t *all = NULL;
	json_t *record;
	size_t i;
	int rc = read_all(cell, SERVICES "/query", "AdminServiceRecord", attributes, &all, err);

	*ret = NULL;
	if (rc < 0)
		return rc;
	json_array_foreach (all, i, record) {
		if (strcmp(text_of(record, "namespace"), namespace) == 0) {
			*ret = json_incref(record);
			return 0;
		}
	}
	return 0;
}

struct cell_service
cell_service_of(const json_t *record)
{
	uint64_t priority = 0;

	str_to_u64(str_of(text_of(record, "priority")), &priority);
	return (struct cell_service){
		.name = text_of(record, "name"),
		.namespace = text_of(record, "namespace"),
		.exchange = text_of(record, "exchange"),
		.routing_key = text_of(record, "routingKey"),
		.priority = priority > 100 ? 100 : (unsigned)priority,
		.is_enabled = strcmp(text_of(record, "enabled"), "true") == 0,
		.is_authorized = strcmp(text_of(record, "isAuthorizationEnabled"), "true") == 0,
	};
}

/* Where a record is: its UUID below a path of ours. The rest of what a cell calls an address is
 * not followed, the session goes nowhere else. */
static int
path_of(const json_t *record, const char *folder, char **ret, struct err *err)
{
	char uuid[CELL_UUID_SIZE];

	if (!cell_read_uuid(str_of(text_of(record, "href")), uuid))
		return err_set(err, ERR_SYSTEM, "vCloud Director names no proper address of it");
	*ret = mem_printf("%s/%s", folder, uuid);
	return 0;
}

/* ---- writing ---- */

static void
add_element(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, "<vmext:%s>", name);
	xml_add_text(out, str_of(text));
	buf_printf(out, "</vmext:%s>", name);
}

static const char *
word_of(bool is_true)
{
	return is_true ? "true" : "false";
}

/* The order of the members is that of the schema. filters: NULL leaves them as they are. */
static void
write_service(struct buf *out, const struct cell_service *service, const json_t *filters)
{
	char priority[16];
	const json_t *filter;
	size_t i;

	snprintf(priority, sizeof(priority), "%u", service->priority);
	buf_add_text(out, XML_HEAD "<vmext:Service " NAMESPACES " name=\"");
	xml_add_text(out, str_of(service->name));
	buf_add_text(out, "\">");
	add_element(out, "Namespace", service->namespace);
	add_element(out, "Enabled", word_of(service->is_enabled));
	add_element(out, "AuthorizationEnabled", word_of(service->is_authorized));
	add_element(out, "RoutingKey", service->routing_key);
	add_element(out, "Priority", priority);
	add_element(out, "Exchange", service->exchange);
	if (filters)
		buf_add_text(out, "<vmext:ApiFilters>");
	json_array_foreach (filters, i, filter) {
		buf_add_text(out, "<vmext:ApiFilter>");
		add_element(out, "UrlPattern", json_string_value(filter));
		buf_add_text(out, "</vmext:ApiFilter>");
	}
	if (filters)
		buf_add_text(out, "</vmext:ApiFilters>");
	buf_add_text(out, "</vmext:Service>\n");
}

int
cell_service_create(struct cell *cell, const struct cell_service *service, const json_t *filters,
	struct err *err)
{
	OWN(buf) struct buf body = BUF_INIT;

	write_service(&body, service, filters);
	return cell_ask(cell, "POST", SERVICES, SERVICE_TYPE, buf_str(&body), NULL, err);
}

int
cell_service_change(struct cell *cell, const json_t *record, const struct cell_service *service,
	struct err *err)
{
	OWN(mem) char *path = NULL;
	OWN(buf) struct buf body = BUF_INIT;
	int rc = path_of(record, SERVICES, &path, err);

	if (rc < 0)
		return rc;
	write_service(&body, service, NULL);
	return cell_ask(cell, "PUT", path, SERVICE_TYPE, buf_str(&body), NULL, err);
}

int
cell_service_delete(struct cell *cell, const json_t *record, struct err *err)
{
	OWN(mem) char *path = NULL;
	int rc = path_of(record, SERVICES, &path, err);

	return rc < 0 ? rc : cell_ask(cell, "DELETE", path, NULL, STR_NONE, NULL, err);
}

/* ---- filters ---- */

int
cell_service_filters(struct cell *cell, const json_t *record, json_t **ret, struct err *err)
{
	static const char *const attributes[] = {"urlPattern", "href", NULL};
	OWN(mem) char *path = NULL, *list = NULL;
	int rc = path_of(record, SERVICES, &path, err);

	if (rc < 0)
		return rc;
	list = mem_printf("%s/apifilters", path);
	return read_all(cell, list, "ApiFilterRecord", attributes, ret, err);
}

int
cell_service_add_filter(
	struct cell *cell, const json_t *record, const char *pattern, struct err *err)
{
	OWN(mem) char *path = NULL, *list = NULL;
	OWN(buf) struct buf body = BUF_INIT;
	int rc = path_of(record, SERVICES, &path, err);

	if (rc < 0)
		return rc;
	list = mem_printf("%s/apifilters", path);
	buf_add_text(&body, XML_HEAD "<vmext:ApiFilter " NAMESPACES ">");
	add_element(&body, "UrlPattern", pattern);
	buf_add_text(&body, "</vmext:ApiFilter>\n");
	return cell_ask(cell, "POST", list, FILTER_TYPE, buf_str(&body), NULL, err);
}

int
cell_service_remove_filter(struct cell *cell, const json_t *filter, struct err *err)
{
	OWN(mem) char *path = NULL;
	int rc = path_of(filter, SERVICES "/apifilter", &path, err);

	return rc < 0 ? rc : cell_ask(cell, "DELETE", path, NULL, STR_NONE, NULL, err);
}
