/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config - what an operator can set: one table of keys with default, unit, range and meaning.
 *
 * A value comes from, in this order: a flag (`--data-dir /srv`), the environment
 * (MAYFLY_DATA_DIR), the file (`data_dir = /srv`), the default. An unknown key, a value out of its
 * range or a key that is said twice is an error that names its place; nothing is guessed. The same
 * table writes `--help`, and tests hold packaging/mayfly.conf.example and docs/configuration.md
 * against it. Limits of functions have two keys each, made from domain/limits.h:
 * `limit_memory_mib` (default) and `limit_memory_mib_max` (ceiling). Before the loop runs.
 */
#ifndef MAYFLY_DAEMON_CONFIG_H
#define MAYFLY_DAEMON_CONFIG_H

#include <stdio.h>

#include "base/log.h"
#include "domain/domain.h"
#include "net/http_server.h"

#define CONFIG_FILE "/etc/mayfly/mayfly.conf"

enum config_kind {
	CONFIG_TEXT,
	CONFIG_LIST,     /* values separated by spaces; said again, it goes on */
	CONFIG_CHOICE,   /* one of the words in `choices` */
	CONFIG_NUMBER,   /* unsigned */
	CONFIG_SIZE,     /* uint64_t bytes: "64MiB", "10KiB", "512" */
	CONFIG_DURATION, /* unsigned milliseconds: "30s", "5m" */
};

struct config {
	const char *data_dir;                                                /* all text is owned */
	const char **listen, **tls_listen, **build_hosts, **runtime_folders; /* NULL-terminated */
	const char **egress_private, **callback_private;                     /* the same */
	const char *tls_certificate, *tls_key;
	const char *user;
	const char *log_format, *log_level, *metrics;
	const char *cgroup_parent;
	const char *npm_registry, *pip_index;
	const char *bus, *amqp_url, *amqp_password_file, *amqp_ca_file;
	unsigned uid_base, max_sandboxes;
	unsigned grace_ms, drain_ms;
	unsigned max_instances, max_instances_total, max_concurrency, idle_ms, boot_ms, queue_calls;
	unsigned starts, queue_ms;
	uint64_t queue_bytes, source_bytes, queue_memory_bytes;
	unsigned queue_length_org;
	const char *vcd_exchange, *vcd_routing_key, *vcd_source, *vcd_orgs;
	const char **vcd_notifications; /* NULL-terminated */
	const char *vcd_url, *vcd_user, *vcd_password_file, *vcd_ca_file, *vcd_api_version;
	const char *vcd_mqtt_url, *vcd_mqtt_name, *vcd_mqtt_token_file, *vcd_mqtt_ca_file;
	unsigned vcd_calls, vcd_timeout_ms;
	uint64_t build_memory_bytes, build_bytes;
	unsigned build_ms, builds;
	unsigned egress_connections, egress_connect_ms, egress_idle_ms;
	unsigned keep_calls, keep_days, keep_versions;
	uint64_t http_header_bytes, http_target_bytes, http_body_memory_bytes, http_body_rate_bytes;
	unsigned http_headers, http_connections, http_header_ms, http_idle_ms, http_write_ms;
	unsigned http_streams;
	unsigned followers, followers_org, waits, waits_org;
	/* flags that are no keys */
	int ready_fd; /* -1 for none: a line is written to it when the daemon is ready */
	bool is_help, is_version, is_doctor, is_json, is_check;
};

struct config_key {
	const char *name;
	enum config_kind kind;
	size_t offset;       /* in struct config */
	const char *value;   /* the default, as an operator would write it */
	uint64_t min, max;   /* of numbers, sizes (bytes) and durations (ms) */
	const char *choices; /* words separated by spaces */
	const char *section; /* heading that it stands under */
	const char *text;    /* what it means, one sentence without a full stop */
};

/* The i-th key; NULL behind the last. Keys of limits come last and have no offset. */
const struct config_key *config_each(size_t i);

/* Everything from flags, environment and file. ERR_INVALID names the flag, the variable or
 * "file:line". Sets limits_table too. */
int config_read(struct config *ret, int argc, char **argv, struct err *err);
void config_done(struct config *config); /* after a failed config_read() too */

/* One value, checked and set; `config` may be NULL to check alone. */
int config_set(
	struct config *config, const struct config_key *key, const char *value, struct err *err);

void config_help(FILE *out);

/* What the rooms below take of it. */
void config_domain(const struct config *config, struct domain_config *ret);
void config_egress(const struct config *config, struct egress_settings *ret);
void config_http(const struct config *config, struct http_limits *ret);
void config_log(const struct config *config, struct log_config *ret);

#endif
