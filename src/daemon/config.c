/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/path.h"
#include "domain/limits.h"

#define CONFIG_FILE_BYTES (1u << 20)
#define CONFIG_KEYS_MAX   128

/* Who says a value: the first of these that does is heard. */
enum config_source { CONFIG_NOBODY, CONFIG_FLAG, CONFIG_ENVIRONMENT, CONFIG_IN_FILE };

struct config_reader {
	struct config *config;                    /* borrowed */
	enum config_source said[CONFIG_KEYS_MAX]; /* by index of the key */
	char *said_value[CONFIG_KEYS_MAX];        /* owned; of limits */
	const char *file;                         /* borrowed; NULL for the usual place */
};

/* ---- one value ---- */

static int
config_refuse(const struct config_key *key, const char *value, struct err *err)
{
	static const char *const words[] = {
		[CONFIG_NUMBER] = "a number",
		[CONFIG_SIZE] = "a size like 512, 64KiB, 10MiB or 1GiB, in bytes",
		[CONFIG_DURATION] = "a duration like 250ms, 30s, 5m or 2h, in milliseconds",
	};

	if (key->kind == CONFIG_CHOICE)
		return err_field(err, ERR_INVALID, key->name, "%s must be one of: %s; it is '%s'",
			key->name, key->choices, value);
	return err_field(err, ERR_INVALID, key->name,
		"%s must be %s, from %llu to %llu; it is '%s'", key->name, words[key->kind],
		(unsigned long long)key->min, (unsigned long long)key->max, value);
}

static bool
config_parse_size(struct str text, uint64_t *ret)
{
	static const struct {
		const char *suffix;
		unsigned shift;
	} units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"", 0}};
	uint64_t number;

	for (size_t i = 0;; i++) {
		struct str suffix = str_of(units[i].suffix);

		if (!str_ends(text, suffix))
			continue;
		text.len -= suffix.len;
		if (!str_to_u64(text, &number) || number > UINT64_MAX >> units[i].shift)
			return false;
		*ret = number << units[i].shift;
		return true;
	}
}

static int
config_parse_number(const struct config_key *key, const char *value, uint64_t *ret, struct err *err)
{
	struct str text = str_of(value);
	bool is_good = key->kind == CONFIG_SIZE       ? config_parse_size(text, ret)
		       : key->kind == CONFIG_DURATION ? clock_parse_ms(text, ret)
						      : str_to_u64(text, ret);

	if (!is_good || *ret < key->min || *ret > key->max)
		return config_refuse(key, value, err);
	return 0;
}

static bool
config_has_choice(const struct config_key *key, const char *value)
{
	struct str choices = str_of(key->choices);

	while (choices.len)
		if (str_eq(str_cut(&choices, ' '), str_of(value)))
			return true;
	return false;
}

static void
config_add(const char ***list, const char *value)
{
	struct str rest = str_of(value);
	size_t n = 0;

	while (*list && (*list)[n])
		n++;
	while (rest.len) {
		struct str word = str_cut(&rest, ' ');

		if (!word.len)
			continue;
		*list = mem_grow(*list, (n + 2) * sizeof(**list));
		(*list)[n++] = str_dup(word);
		(*list)[n] = NULL;
	}
	if (!*list)
		*list = mem_new(sizeof(**list));
}

int
config_set(struct config *config, const struct config_key *key, const char *value, struct err *err)
{
	void *place = config ? (char *)config + key->offset : NULL;
	bool is_number = key->kind == CONFIG_NUMBER || key->kind == CONFIG_SIZE ||
			 key->kind == CONFIG_DURATION;
	uint64_t number = 0;
	int rc = is_number ? config_parse_number(key, value, &number, err) : 0;

	if (rc < 0)
		return rc;
	if (key->kind == CONFIG_CHOICE && !config_has_choice(key, value))
		return config_refuse(key, value, err);
	if (!place)
		return 0;
	if (key->kind == CONFIG_LIST)
		config_add(place, value);
	else if (key->kind == CONFIG_SIZE)
		*(uint64_t *)place = number;
	else if (is_number)
		*(unsigned *)place = (unsigned)number;
	else
		*(const char **)place = str_dup(str_of(value));
	return 0;
}

/* ---- who says it ---- */

static bool
config_is_limit(const struct config_key *key)
{
	return strncmp(key->name, "limit_", 6) == 0;
}

static const struct config_key *
config_find(struct str name, size_t *ret_index)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_each(i)); i++) {
		if (!str_eq(str_of(key->name), name))
			continue;
		*ret_index = i;
		return key;
	}
	return NULL;
}

/* Says a value unless someone before said it; the same source says it twice only to a list. */
static int
config_say(struct config_reader *reader, size_t i, enum config_source source, const char *value,
	struct err *err)
{
	const struct config_key *key = config_each(i);
	enum config_source before = reader->said[i];

	must(i < CONFIG_KEYS_MAX);
	if (before == source && key->kind != CONFIG_LIST)
		return err_field(err, ERR_INVALID, key->name, "%s is said twice", key->name);
	if (before != CONFIG_NOBODY && before != source)
		return config_set(NULL, key, value, err);
	reader->said[i] = source;
	if (config_is_limit(key)) {
		reader->said_value[i] = str_dup(str_of(value));
		return config_set(NULL, key, value, err);
	}
	return config_set(reader->config, key, value, err);
}

/* ---- flags ---- */

/* "--data-dir=/srv" or "--data-dir /srv"; gives how many arguments it took. */
static int
config_take_key(struct config_reader *reader, char **argv, struct err *err)
{
	struct str rest = str_of(argv[0] + 2);
	struct str flag = str_cut(&rest, '=');
	OWN(mem) char *name = str_dup(flag);
	const char *value = rest.at;
	size_t i;

	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : *c;
	if (!config_find(str_of(name), &i))
		return err_set(
			err, ERR_INVALID, "there is no flag --%.*s; see --help", STR_ARG(flag));
	if (!value)
		value = argv[1];
	if (!value)
		return err_set(err, ERR_INVALID, "--%.*s needs a value", STR_ARG(flag));
	int rc = config_say(reader, i, CONFIG_FLAG, value, err);

	if (rc < 0)
		return err_wrap(err, rc, "--%.*s", STR_ARG(flag));
	return rest.at ? 1 : 2;
}

static int
config_take_ready_fd(struct config *config, const char *value, struct err *err)
{
	uint64_t fd;

	if (!value || !str_to_u64(str_of(value), &fd) || fd > 1023)
		return err_set(err, ERR_INVALID, "--ready-fd needs the number of a descriptor");
	config->ready_fd = (int)fd;
	return 2;
}

static int
config_take(struct config_reader *reader, char **argv, struct err *err)
{
	struct config *config = reader->config;
	const struct {
		const char *word;
		bool *place;
	} switches[] = {{"--help", &config->is_help}, {"-h", &config->is_help},
		{"--version", &config->is_version}, {"--doctor", &config->is_doctor},
		{"--json", &config->is_json}, {"--check", &config->is_check}};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (strcmp(argv[0], switches[i].word) != 0)
			continue;
		*switches[i].place = true;
		return 1;
	}
	if (strcmp(argv[0], "--ready-fd") == 0)
		return config_take_ready_fd(config, argv[1], err);
	if (strcmp(argv[0], "--config") == 0) {
		reader->file = argv[1];
		return argv[1] ? 2 : err_set(err, ERR_INVALID, "--config needs a file");
	}
	if (strncmp(argv[0], "--", 2) != 0)
		return err_set(err, ERR_INVALID, "'%s' is no flag; see --help", argv[0]);
	return config_take_key(reader, argv, err);
}

/* ---- environment ---- */

static int
config_read_environment(struct config_reader *reader, struct err *err)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_each(i)); i++) {
		OWN(mem) char *name = mem_printf("MAYFLY_%s", key->name);
		const char *value;
		int rc;

		for (char *c = name; *c; c++)
			*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
		value = getenv(name);
		rc = value ? config_say(reader, i, CONFIG_ENVIRONMENT, value, err) : 0;
		if (rc < 0)
			return err_wrap(err, rc, "%s", name);
	}
	return 0;
}

/* ---- file ---- */

static int
config_read_line(struct config_reader *reader, struct str line, struct err *err)
{
	struct str rest = str_trim(line);
	struct str name;
	OWN(mem) char *value = NULL;
	size_t i;

	if (!rest.len || rest.at[0] == '#')
		return 0;
	name = str_trim(str_cut(&rest, '='));
	if (!rest.at)
		return err_set(err, ERR_INVALID, "a line is `key = value`");
	if (!config_find(name, &i))
		return err_set(err, ERR_INVALID, "there is no key %.*s", STR_ARG(name));
	value = str_dup(str_trim(rest));
	return config_say(reader, i, CONFIG_IN_FILE, value, err);
}

static int
config_read_file(struct config_reader *reader, struct err *err)
{
	const char *path = reader->file ? reader->file : CONFIG_FILE;
	OWN(buf) struct buf text = BUF_INIT;
	struct err missing = {0};
	struct str rest;
	int rc = path_read(path, CONFIG_FILE_BYTES, &text, &missing);

	if (rc == ERR_NOT_FOUND && !reader->file)
		return 0;
	if (rc < 0) {
		*err = missing;
		return rc;
	}
	rest = buf_str(&text);
	for (unsigned number = 1; rest.len; number++) {
		struct str line = str_cut(&rest, '\n');

		if (line.len && line.at[line.len - 1] == '\r')
			line.len--;
		rc = config_read_line(reader, line, err);
		if (rc < 0)
			return err_wrap(err, rc, "%s:%u", path, number);
	}
	return 0;
}

/* ---- all of it ---- */

static void
config_fill_defaults(struct config_reader *reader)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_each(i)); i++)
		if (reader->said[i] == CONFIG_NOBODY && !config_is_limit(key))
			must(config_set(reader->config, key, key->value, NULL) == 0);
}

/* Ceilings before defaults: a default is judged by the ceiling that holds. */
static int
config_set_limits(const struct config_reader *reader, bool is_ceiling, struct err *err)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_each(i)); i++) {
		OWN(mem) char *name = NULL;
		struct str field;
		bool has_suffix;
		uint64_t number;
		int rc;

		if (!config_is_limit(key) || !reader->said_value[i])
			continue;
		field = str_of(key->name + strlen("limit_"));
		has_suffix = str_ends(field, STR("_max"));
		if (has_suffix != is_ceiling)
			continue;
		field.len -= has_suffix ? strlen("_max") : 0;
		name = str_dup(field);
		must(str_to_u64(str_of(reader->said_value[i]), &number));
		rc = limits_configure(name, is_ceiling ? "ceiling" : "value", number, err);
		if (rc < 0)
			return err_wrap(err, rc, "%s", key->name);
	}
	return 0;
}

static void
config_free_list(const char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free((char *)list[i]);
	free(list);
}

void
config_done(struct config *config)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_each(i)); i++) {
		void *place = (char *)config + key->offset;

		if (key->kind == CONFIG_LIST)
			config_free_list(*(const char ***)place);
		else if (key->kind == CONFIG_TEXT || key->kind == CONFIG_CHOICE)
			free(*(char **)place);
	}
	*config = (struct config){.ready_fd = -1};
}

static int
config_check(const struct config *config, struct err *err)
{
	if (config->tls_listen[0] && (!config->tls_certificate[0] || !config->tls_key[0]))
		return err_field(err, ERR_INVALID, "tls_listen",
			"tls_listen needs tls_certificate and tls_key");
	if (!config->listen[0] && !config->tls_listen[0])
		return err_field(err, ERR_INVALID, "listen", "there is no address to listen on");
	if (config->uid_base > UINT32_MAX - config->max_sandboxes)
		return err_field(err, ERR_INVALID, "uid_base",
			"uid_base leaves no room for %u user ids", config->max_sandboxes);
	return 0;
}

static int
config_read_flags(struct config_reader *reader, int argc, char **argv, struct err *err)
{
	int n;

	for (int i = 1; i < argc; i += n) {
		n = config_take(reader, argv + i, err);
		if (n < 0)
			return n;
	}
	return 0;
}

static int
config_read_all(struct config_reader *reader, int argc, char **argv, struct err *err)
{
	int rc = config_read_flags(reader, argc, argv, err);

	if (rc < 0 || reader->config->is_help || reader->config->is_version)
		return rc;
	rc = config_read_environment(reader, err);
	if (rc == 0)
		rc = config_read_file(reader, err);
	if (rc < 0)
		return rc;
	config_fill_defaults(reader);
	rc = config_set_limits(reader, true, err);
	if (rc == 0)
		rc = config_set_limits(reader, false, err);
	return rc < 0 ? rc : config_check(reader->config, err);
}

int
config_read(struct config *ret, int argc, char **argv, struct err *err)
{
	struct config_reader reader = {.config = ret};
	int rc;

	*ret = (struct config){.ready_fd = -1};
	rc = config_read_all(&reader, argc, argv, err);
	for (size_t i = 0; i < CONFIG_KEYS_MAX; i++)
		free(reader.said_value[i]);
	return rc;
}

/* ---- what others take of it ---- */

void
config_domain(const struct config *config, struct domain_config *ret)
{
	domain_config_default(ret);
	ret->data_dir = config->data_dir;
	ret->max_instances = config->max_instances;
	ret->max_instances_total = config->max_instances_total;
	ret->max_concurrency = config->max_concurrency;
	ret->idle_ms = config->idle_ms;
	ret->boot_ms = config->boot_ms;
	ret->queue_calls = config->queue_calls;
	ret->starts = config->starts;
	ret->queue_ms = config->queue_ms;
	ret->queue_bytes = config->queue_bytes;
	ret->source_bytes = config->source_bytes;
	ret->build_memory_bytes = config->build_memory_bytes;
	ret->build_bytes = config->build_bytes;
	ret->build_ms = config->build_ms;
	ret->n_builds = config->builds;
	ret->npm_registry = config->npm_registry;
	ret->pip_index = config->pip_index;
	ret->build_hosts = config->build_hosts;
	ret->keep_calls = config->keep_calls;
	ret->keep_days = config->keep_days;
	ret->keep_versions = config->keep_versions;
}

void
config_egress(const struct config *config, struct egress_settings *ret)
{
	*ret = (struct egress_settings){
		.open = config->egress_private,
		.connections = config->egress_connections,
		.connect_ms = config->egress_connect_ms,
		.idle_ms = config->egress_idle_ms,
	};
}

void
config_http(const struct config *config, struct http_limits *ret)
{
	*ret = http_limits_default;
	ret->header_block_bytes = config->http_header_bytes;
	ret->target_bytes = config->http_target_bytes;
	ret->n_headers = config->http_headers;
	ret->body_memory_bytes = config->http_body_memory_bytes;
	ret->n_connections = config->http_connections;
	ret->header_ms = config->http_header_ms;
	ret->idle_ms = config->http_idle_ms;
	ret->body_rate_bytes_s = (unsigned)config->http_body_rate_bytes;
	ret->write_ms = config->http_write_ms;
	ret->n_streams = config->http_streams;
}

void
config_log(const struct config *config, struct log_config *ret)
{
	*ret = (struct log_config){
		.is_json = strcmp(config->log_format, "json") == 0, .process = "daemon"};
	must(log_level_parse(config->log_level, &ret->level));
}
