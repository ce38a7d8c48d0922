/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NETWORK_DNS_PORT 53

void
network_done(struct network *network)
{
	free(network->rules);
	*network = (struct network){0};
}

void
network_copy(const struct network *from, struct network *ret)
{
	*ret = (struct network){.has_egress = from->has_egress, .n_rules = from->n_rules};
	if (from->n_rules == 0)
		return;
	ret->rules = mem_new(from->n_rules * sizeof(*ret->rules));
	memcpy(ret->rules, from->rules, from->n_rules * sizeof(*ret->rules));
}

bool
network_is_equal(const struct network *a, const struct network *b)
{
	OWN(json) json_t *x = network_json(a);
	OWN(json) json_t *y = network_json(b);

	return json_equal(x, y);
}

/* ---- ports ---- */

static bool
network_has_port(const uint16_t *ports, unsigned n, uint16_t port)
{
	for (unsigned i = 0; i < n; i++)
		if (ports[i] == port)
			return true;
	return false;
}

static int
network_compare_ports(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Gives how many there are, which may be one more than there is room for. */
static unsigned
network_gather_ports(const struct network *network, uint16_t ret[static NETWORK_PORTS_MAX])
{
	unsigned n = 0;

	for (size_t i = 0; i < network->n_rules; i++) {
		const struct egress_rule *rule = &network->rules[i];

		for (unsigned j = 0; j < rule->n_ports; j++) {
			if (network_has_port(ret, n, rule->ports[j]))
				continue;
			if (n == NETWORK_PORTS_MAX)
				return n + 1;
			ret[n++] = rule->ports[j];
		}
	}
	qsort(ret, n, sizeof(*ret), network_compare_ports);
	return n;
}

unsigned
network_ports(const struct network *network, uint16_t ret[static NETWORK_PORTS_MAX])
{
	unsigned n = network_gather_ports(network, ret);

	must(n <= NETWORK_PORTS_MAX);
	return n;
}

/* ---- reading ---- */

static int
network_read_rule(const json_t *entry, const char *field, struct egress_rule *ret, struct err *err)
{
	struct err why = {0};

	if (!json_is_string(entry))
		return err_field(err, ERR_INVALID, field, "%s must be a string", field);
	if (egress_rule_parse(
		    str_n(json_string_value(entry), json_string_length(entry)), ret, &why) < 0)
		return err_field(err, ERR_INVALID, field, "%s %s", field, why.text);
	if (egress_rule_has_port(ret, NETWORK_DNS_PORT))
		return err_field(err, ERR_INVALID, field,
			"%s has port 53, where every function finds its own name server", field);
	return 0;
}

static int
network_read_rules(const json_t *allow, const char *field, struct network *ret, struct err *err)
{
	uint16_t ports[NETWORK_PORTS_MAX];
	size_t n = json_array_size(allow);

	if (n == 0)
		return err_field(
			err, ERR_INVALID, field, "%s must list what the function may reach", field);
	if (n > NETWORK_RULES_MAX)
		return err_field(err, ERR_INVALID, field, "%s has more than %d entries", field,
			NETWORK_RULES_MAX);
	ret->rules = mem_new(n * sizeof(*ret->rules));
	for (; ret->n_rules < n; ret->n_rules++) {
		char entry[sizeof(err->field)];
		int rc;

		snprintf(entry, sizeof(entry), "%.30s[%u]", field, (unsigned)ret->n_rules % 100);
		rc = network_read_rule(
			json_array_get(allow, ret->n_rules), entry, &ret->rules[ret->n_rules], err);
		if (rc < 0)
			return rc;
	}
	if (network_gather_ports(ret, ports) > NETWORK_PORTS_MAX)
		return err_field(err, ERR_INVALID, field, "%s has more than %d different ports",
			field, NETWORK_PORTS_MAX);
	return 0;
}

static int
network_read_mode(const char *mode, const json_t *allow, const char *path, struct network *ret,
	struct err *err)
{
	char field[sizeof(err->field)];

	if (strcmp(mode, "none") == 0 && !allow)
		return 0;
	snprintf(field, sizeof(field), "%.25s%sallow", path, *path ? "." : "");
	if (strcmp(mode, "none") == 0)
		return err_field(
			err, ERR_INVALID, field, "%s goes with mode \"egress\" only", field);
	ret->has_egress = true;
	if (strcmp(mode, "egress") == 0)
		return network_read_rules(allow, field, ret, err);
	snprintf(field, sizeof(field), "%.25s%smode", path, *path ? "." : "");
	return err_field(err, ERR_INVALID, field, "%s must be \"none\" or \"egress\"", field);
}

int
network_read(const json_t *object, const char *path, struct network *ret, struct err *err)
{
	static const char *const known[] = {"mode", "allow", NULL};
	OWN(network) struct network network = {0};
	struct network old = *ret;
	const json_t *allow = NULL;
	const char *mode = NULL;
	int rc = json_check_keys(object, path, known, err);

	if (rc >= 0)
		rc = json_get_str(object, path, "mode", JSON_NEEDED, 16, &mode, err);
	if (rc >= 0)
		rc = json_get_array(object, path, "allow", JSON_OPTIONAL, &allow, err);
	if (rc >= 0)
		rc = network_read_mode(mode, allow, path, &network, err);
	if (rc < 0)
		return rc;
	*ret = network;
	network = old;
	return 0;
}

/* ---- writing ---- */

json_t *
network_json(const struct network *network)
{
	json_t *object = json_object(), *allow;

	json_object_set_new(object, "mode", json_string(network->has_egress ? "egress" : "none"));
	if (!network->has_egress)
		return object;
	allow = json_array();
	for (size_t i = 0; i < network->n_rules; i++) {
		OWN(buf) struct buf text = BUF_INIT;

		egress_rule_write(&network->rules[i], &text);
		json_array_append_new(allow, json_stringn(text.at, text.len));
	}
	json_object_set_new(object, "allow", allow);
	return object;
}
