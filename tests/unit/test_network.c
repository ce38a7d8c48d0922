/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "domain/network.h"

static int
read_text(const char *text, struct network *ret, struct err *err)
{
	OWN(json) json_t *object = NULL;

	assert_int_equal(json_parse(str_of(text), &object, err), 0);
	return network_read(object, "network", ret, err);
}

static void
what_says_nothing_has_no_network(void **state)
{
	OWN(network) struct network network = {0};
	OWN(json) json_t *object = network_json(&network);
	OWN(buf) struct buf text = BUF_INIT;
	struct err err = {0};

	json_write(object, &text);
	assert_string_equal(text.at, "{\"mode\":\"none\"}");
	assert_int_equal(read_text("{\"mode\":\"none\"}", &network, &err), 0);
	assert_false(network.has_egress);
}

static void
what_is_read_is_written(void **state)
{
	static const char text[] = "{\"mode\":\"egress\",\"allow\":[\"api.example.com\","
				   "\"*.example.com:8443\",\"10.1.0.0/16:5432\"]}";
	OWN(network) struct network network = {0}, copy = {0};
	uint16_t ports[NETWORK_PORTS_MAX];
	OWN(buf) struct buf out = BUF_INIT;
	OWN(json) json_t *object = NULL;
	struct err err = {0};

	assert_int_equal(read_text(text, &network, &err), 0);
	assert_true(network.has_egress);
	network_copy(&network, &copy);
	assert_true(network_is_equal(&network, &copy));
	object = network_json(&copy);
	json_write(object, &out);
	assert_string_equal(out.at, text);
	assert_int_equal(network_ports(&network, ports), 4);
	assert_int_equal(ports[0], 80);
	assert_int_equal(ports[1], 443);
	assert_int_equal(ports[2], 5432);
	assert_int_equal(ports[3], 8443);
}

static void
a_fault_names_its_place_and_leaves_what_was(void **state)
{
	const struct {
		const char *text, *field;
	} rows[] = {
		{"{}", "network.mode"},
		{"{\"mode\":\"open\"}", "network.mode"},
		{"{\"mode\":1}", "network.mode"},
		{"{\"mode\":\"none\",\"allow\":[\"a\"]}", "network.allow"},
		{"{\"mode\":\"egress\"}", "network.allow"},
		{"{\"mode\":\"egress\",\"allow\":[]}", "network.allow"},
		{"{\"mode\":\"egress\",\"allow\":\"a\"}", "network.allow"},
		{"{\"mode\":\"egress\",\"allow\":[\"a\",\"b\",\"c\",\"d:x\"]}", "network.allow[3]"},
		{"{\"mode\":\"egress\",\"allow\":[\"a\",7]}", "network.allow[1]"},
		{"{\"mode\":\"egress\",\"allow\":[\"a:53\"]}", "network.allow[0]"},
		{"{\"mode\":\"egress\",\"allow\":[\"a\"],\"deny\":[]}", "network.deny"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		OWN(network) struct network network = {0};
		struct err err = {0};

		assert_int_equal(
			read_text("{\"mode\":\"egress\",\"allow\":[\"old:1\"]}", &network, &err),
			0);
		assert_int_equal(read_text(rows[i].text, &network, &err), ERR_INVALID);
		assert_string_equal(err.field, rows[i].field);
		assert_int_equal(network.n_rules, 1);
	}
}

static void
entries_and_ports_are_counted(void **state)
{
	for (unsigned n = 63; n <= 65; n++) {
		OWN(buf) struct buf text = BUF_INIT;
		OWN(network) struct network network = {0};
		struct err err = {0};

		buf_add_text(&text, "{\"mode\":\"egress\",\"allow\":[\"a\"");
		for (unsigned i = 1; i < n; i++)
			buf_printf(&text, ",\"h%u:443\"", i);
		buf_add_text(&text, "]}");
		assert_int_equal(read_text(text.at, &network, &err),
			n <= NETWORK_RULES_MAX ? 0 : ERR_INVALID);
	}
	for (unsigned n = 15; n <= 17; n++) {
		OWN(buf) struct buf text = BUF_INIT;
		OWN(network) struct network network = {0};
		struct err err = {0};

		buf_add_text(&text, "{\"mode\":\"egress\",\"allow\":[\"a:1000\"");
		for (unsigned i = 1; i < n; i++)
			buf_printf(&text, ",\"h:%u\"", 1000 + i);
		buf_add_text(&text, "]}");
		assert_int_equal(read_text(text.at, &network, &err),
			n <= NETWORK_PORTS_MAX ? 0 : ERR_INVALID);
	}
}

UNIT_TESTS(it(what_says_nothing_has_no_network), it(what_is_read_is_written),
	it(a_fault_names_its_place_and_leaves_what_was), it(entries_and_ports_are_counted))
