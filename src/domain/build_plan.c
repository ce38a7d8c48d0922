/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/build_plan.h"

#include "base/json.h"
#include "base/own.h"
#include "domain/function.h"

/* What the report says. */
struct report {
	struct buf digests; /* owned: "name digest\n" of each file that the result may depend on */
	struct str text;    /* of the manifest */
	bool has_manifest, has_text, has_modules;
};

static const char *
manifest_of(const struct version *version)
{
	if (!version->language)
		return NULL;
	if (strcmp(version->language->family, "node") == 0)
		return "package.json";
	if (strcmp(version->language->family, "python") == 0)
		return "requirements.txt";
	return NULL;
}

bool
build_plan_is_report_needed(const struct version *version)
{
	return manifest_of(version) != NULL;
}

/* ---- the report ---- */

static void
read_file_line(struct str line, const char *manifest, struct report *report)
{
	struct str name = str_cut(&line, ' ');
	struct str digest = str_cut(&line, ' ');

	if (str_eq(name, str_of(manifest)))
		report->has_manifest = true;
	buf_printf(&report->digests, "%.*s %.*s\n", STR_ARG(name), STR_ARG(digest));
}

static void
read_text(struct str line, const char *manifest, struct str *rest, struct report *report)
{
	struct str name = str_cut(&line, ' ');
	uint64_t size;

	if (!str_to_u64(line, &size) || size >= rest->len)
		return;
	if (str_eq(name, str_of(manifest))) {
		report->has_text = true;
		report->text = str_n(rest->at, size);
	}
	*rest = str_n(rest->at + size + 1, rest->len - size - 1);
}

static void
read_report(struct str rest, const char *manifest, struct report *ret)
{
	while (rest.len) {
		struct str line = str_cut(&rest, '\n');
		struct str word = str_cut(&line, ' ');

		if (str_eq(word, STR("file")))
			read_file_line(line, manifest, ret);
		else if (str_eq(word, STR("text")))
			read_text(line, manifest, &rest, ret);
		else if (str_eq(word, STR("folder")))
			ret->has_modules = true;
	}
}

/* ---- package.json ---- */

static json_t *
parse_package(struct str text)
{
	static const struct str mark = STR("\xef\xbb\xbf");
	json_t *document = NULL;

	if (str_starts(text, mark))
		text = str_n(text.at + mark.len, text.len - mark.len);
	return json_parse(text, &document, NULL) < 0 ? NULL : document;
}

static bool
has_members(const json_t *package, const char *key)
{
	const json_t *member = json_object_get(package, key);

	return json_object_size(member) > 0 || json_array_size(member) > 0;
}

static bool
package_asks(const json_t *package)
{
	return has_members(package, "dependencies") ||
	       has_members(package, "optionalDependencies") ||
	       has_members(package, "peerDependencies") || has_members(package, "workspaces");
}

/* Whether one of the dependencies is a folder or a file of the source. */
static bool
names_a_path(const json_t *dependencies)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)dependencies, key, value) {
		struct str text = str_of(json_string_value(value));

		if (str_starts(text, STR("file:")) || str_starts(text, STR("link:")) ||
			str_starts(text, STR(".")) || str_starts(text, STR("/")))
			return true;
	}
	return false;
}

static bool
package_looks_at_source(const json_t *package)
{
	static const char *const hooks[] = {"preinstall", "install", "postinstall", "prepublish",
		"preprepare", "prepare", "postprepare", NULL};
	const json_t *scripts = json_object_get(package, "scripts");

	for (size_t i = 0; hooks[i]; i++)
		if (json_object_get(scripts, hooks[i]))
			return true;
	return has_members(package, "workspaces") ||
	       names_a_path(json_object_get(package, "dependencies")) ||
	       names_a_path(json_object_get(package, "optionalDependencies"));
}

/* ---- requirements.txt ---- */

/* The next line that says something. */
static bool
next_requirement(struct str *rest, struct str *ret)
{
	while (rest->len) {
		struct str line = str_cut(rest, '\n');

		if (line.len && line.at[line.len - 1] == '\r')
			line.len--;
		*ret = str_trim(line);
		if (ret->len && ret->at[0] != '#')
			return true;
	}
	return false;
}

static bool
requirements_ask(struct str text)
{
	struct str line;

	return next_requirement(&text, &line);
}

/* Options name further files, and so may whatever has a slash. */
static bool
requirements_look_at_source(struct str text)
{
	struct str line;

	while (next_requirement(&text, &line))
		if (line.at[0] == '-' || line.at[0] == '.' || memchr(line.at, '/', line.len))
			return true;
	return false;
}

/* ---- the plan ---- */

static void
make_key(const struct version *version, const struct report *report, bool looks_at_source,
	char ret[static ID_SHA256_SIZE])
{
	const struct domain_config *config = &version->function->org->domain->config;
	OWN(buf) struct buf text = BUF_INIT;

	buf_printf(&text, "1\n%s\n%s %s\n%s %s\n%s", version->function->org->name,
		version->language->name, version->language->version, config->npm_registry,
		config->pip_index, report->digests.len ? report->digests.at : "");
	if (looks_at_source)
		buf_printf(&text, "source %s %s\n", version->source, version->filename);
	id_sha256(buf_str(&text), ret);
}

void
build_plan_read(const struct version *version, struct str report_text, struct build_plan *ret)
{
	const char *manifest = manifest_of(version);
	struct report report = {0};
	bool asks = true, looks_at_source = true;

	*ret = (struct build_plan){0};
	if (!manifest)
		return;
	read_report(report_text, manifest, &report);
	if (!report.has_manifest) {
		asks = false;
	} else if (strcmp(manifest, "requirements.txt") == 0 && report.has_text) {
		asks = requirements_ask(report.text);
		looks_at_source = requirements_look_at_source(report.text);
	} else if (strcmp(manifest, "package.json") == 0) {
		OWN(json) json_t *package = report.has_text ? parse_package(report.text) : NULL;

		asks = !report.has_modules && (!package || package_asks(package));
		looks_at_source = !package || package_looks_at_source(package);
	}
	if (asks) {
		ret->manifest = manifest;
		make_key(version, &report, looks_at_source, ret->key);
	}
	buf_done(&report.digests);
}

int
build_plan_host(const char *url, char ret[static 280], struct err *err)
{
	bool is_tls = str_starts(str_of(url), STR("https://"));
	const char *host, *at, *port;
	size_t len;

	if (!is_tls && !str_starts(str_of(url), STR("http://")))
		return err_set(err, ERR_INVALID, "'%.100s' is no http or https URL", url);
	host = strstr(url, "://") + 3;
	len = strcspn(host, "/?#");
	at = memrchr(host, '@', len);
	if (at) {
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (!len || len > 260)
		return err_set(err, ERR_INVALID, "'%.100s' has no host", url);
	port = memrchr(host, ':', len);
	if (port && memchr(port, ']', len - (size_t)(port - host)))
		port = NULL;
	snprintf(ret, 280, "%.*s%s", (int)len, host, port ? "" : is_tls ? ":443" : ":80");
	return 0;
}
