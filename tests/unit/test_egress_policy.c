/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/egress_policy.h"

static struct egress_address
address_of(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct egress_address address = {0};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		assert_true(egress_address_of((struct sockaddr *)&v4, &address));
	else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		assert_true(egress_address_of((struct sockaddr *)&v6, &address));
	else
		fail_msg("%s is no address", text);
	return address;
}

/* NULL: of the open Internet. */
static const struct {
	const char *text, *why;
} addresses[] = {
	{"0.0.0.0", "unspecified"},
	{"0.1.2.3", "unspecified"},
	{"1.1.1.1", NULL},
	{"8.8.8.8", NULL},
	{"9.255.255.255", NULL},
	{"10.0.0.0", "private"},
	{"10.255.255.255", "private"},
	{"11.0.0.0", NULL},
	{"100.63.255.255", NULL},
	{"100.64.0.0", "shared"},
	{"100.100.100.200", "shared"}, /* the metadata service of one cloud */
	{"100.127.255.255", "shared"},
	{"100.128.0.0", NULL},
	{"126.255.255.255", NULL},
	{"127.0.0.1", "loopback"},
	{"127.255.255.254", "loopback"},
	{"128.0.0.0", NULL},
	{"168.63.129.15", NULL},
	{"168.63.129.16", "a service of the host's cloud"},
	{"169.253.255.255", NULL},
	{"169.254.0.0", "link-local"},
	{"169.254.169.254", "link-local"}, /* that of most */
	{"169.254.170.2", "link-local"},
	{"169.255.0.0", NULL},
	{"172.15.255.255", NULL},
	{"172.16.0.0", "private"},
	{"172.31.255.255", "private"},
	{"172.32.0.0", NULL},
	{"192.0.0.0", "reserved"},
	{"192.0.0.192", "reserved"},
	{"192.0.1.0", NULL},
	{"192.0.2.53", "documentation"},
	{"192.88.99.1", "a relay of tunnels"},
	{"192.167.255.255", NULL},
	{"192.168.0.0", "private"},
	{"192.168.255.255", "private"},
	{"192.169.0.0", NULL},
	{"198.17.255.255", NULL},
	{"198.18.0.0", "reserved"},
	{"198.19.255.255", "reserved"},
	{"198.20.0.0", NULL},
	{"198.51.100.7", "documentation"},
	{"203.0.113.7", "documentation"},
	{"203.0.114.0", NULL},
	{"223.255.255.255", NULL},
	{"224.0.0.1", "multicast"},
	{"239.255.255.255", "multicast"},
	{"240.0.0.1", "reserved"},
	{"255.255.255.254", "reserved"},
	{"255.255.255.255", "broadcast"},
	{"::", "loopback"},
	{"::1", "loopback"},
	{"::7f00:1", "an IPv4 address in disguise"},         /* IPv4-compatible */
	{"::a9fe:a9fe", "an IPv4 address in disguise"},      /* 169.254.169.254 */
	{"::ffff:127.0.0.1", "loopback"},                    /* IPv4-mapped */
	{"::ffff:169.254.169.254", "link-local"},            /* the same */
	{"::ffff:8.8.8.8", NULL},                            /* is IPv4 */
	{"::ffff:0:8.8.8.8", "an IPv4 address in disguise"}, /* IPv4-translated */
	{"64:ff9b::8.8.8.8", NULL},                          /* NAT64 */
	{"64:ff9b::169.254.169.254", "link-local"},
	{"64:ff9b::127.0.0.1", "loopback"},
	{"64:ff9b::10.1.2.3", "private"},
	{"64:ff9b::0.0.0.0", "unspecified"},
	{"64:ff9b:0:0:1::8.8.8.8", "reserved"},
	{"64:ff9b:1::8.8.8.8", "private"}, /* NAT64 of one's own */
	{"100::1", "reserved"},            /* discard */
	{"200::1", "reserved"},
	{"1fff::1", "reserved"},
	{"2000::1", NULL},
	{"2001::1", "reserved"}, /* Teredo */
	{"2001:0:a9fe:a9fe::1", "reserved"},
	{"2001:2::1", "reserved"},  /* benchmarks */
	{"2001:20::1", "reserved"}, /* ORCHID */
	{"2001:200::1", NULL},
	{"2001:db8::1", "documentation"},
	{"2001:db9::1", NULL},
	{"2002:7f00:1::1", "a tunnel to an IPv4 address"},   /* 6to4 */
	{"2002:a9fe:a9fe::", "a tunnel to an IPv4 address"}, /* the same */
	{"2002:808:808::1", "a tunnel to an IPv4 address"},
	{"2606:4700::1111", NULL},
	{"2606:4700::5efe:10.1.2.3", "private"}, /* ISATAP */
	{"2606:4700::200:5efe:127.0.0.1", "loopback"},
	{"2606:4700::5efe:8.8.8.8", NULL},
	{"3ffe::1", NULL},
	{"3fff::1", "documentation"},
	{"4000::1", "reserved"},
	{"5f00::1", "reserved"},
	{"fc00::1", "private"},
	{"fd00:ec2::254", "private"}, /* a metadata service */
	{"fdff:ffff::1", "private"},
	{"fe00::1", "reserved"},
	{"fe80::1", "link-local"},
	{"febf::1", "link-local"},
	{"fec0::1", "private"},
	{"ff02::1", "multicast"},
	{"ff0e::1", "multicast"},
};

static void
what_is_not_of_the_open_internet_has_a_fault(void **state)
{
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		struct egress_address address = address_of(addresses[i].text);
		const char *why = egress_address_fault(&address);

		if ((why == NULL) != (addresses[i].why == NULL) ||
			(why && strcmp(why, addresses[i].why) != 0))
			fail_msg("%s is %s, not %s", addresses[i].text, why ? why : "open",
				addresses[i].why ? addresses[i].why : "open");
	}
}

static struct egress_range
range_of(const char *text)
{
	struct egress_range range;
	struct err err = {0};

	if (egress_range_parse(str_of(text), &range, &err) < 0)
		fail_msg("%s %s", text, err.text);
	return range;
}

/* Whether an address is open to a provider who lists one range. */
static bool
is_open_with(const char *listed, const char *text)
{
	struct egress_range range = range_of(listed);
	const struct egress_ranges open = {.at = &range, .n = 1};
	struct egress_address address = address_of(text);

	return egress_ranges_fault(&open, &address) == NULL;
}

static void
a_listed_range_opens_what_lies_in_it(void **state)
{
	assert_true(is_open_with("10.1.0.0/16", "10.1.2.3"));
	assert_false(is_open_with("10.1.0.0/16", "10.2.2.3"));
	assert_true(is_open_with("10.0.0.0/8", "10.2.2.3"));
	assert_true(is_open_with("127.0.0.1", "127.0.0.1"));
	assert_false(is_open_with("127.0.0.1", "127.0.0.2"));
	assert_true(is_open_with("fd00:1::/32", "fd00:1::7"));
	assert_true(is_open_with("::1", "::1"));
	assert_false(is_open_with("::1", "::"));
	assert_true(is_open_with("169.254.169.254", "169.254.169.254"));
}

static void
a_wide_range_opens_no_special_one_that_it_does_not_name(void **state)
{
	assert_false(is_open_with("0.0.0.0/0", "127.0.0.1"));
	assert_false(is_open_with("0.0.0.0/0", "169.254.169.254"));
	assert_false(is_open_with("0.0.0.0/0", "10.0.0.1"));
	assert_false(is_open_with("8.0.0.0/5", "10.0.0.1"));
	assert_false(is_open_with("::/0", "::1"));
	assert_false(is_open_with("::/0", "fe80::1"));
	assert_false(is_open_with("::/0", "169.254.169.254"));
	assert_true(is_open_with("0.0.0.0/0", "8.8.8.8"));
}

static void
a_listed_ipv4_range_does_not_open_its_disguises(void **state)
{
	assert_false(is_open_with("10.1.0.0/16", "64:ff9b::10.1.2.3"));
	assert_false(is_open_with("10.1.0.0/16", "::10.1.2.3"));
	assert_false(is_open_with("10.1.0.0/16", "2002:a01:203::1"));
	assert_true(is_open_with("10.1.0.0/16", "::ffff:10.1.2.3"));
	assert_true(is_open_with("64:ff9b::/96", "64:ff9b::10.1.2.3"));
}

static void
an_address_with_a_scope_is_none(void **state)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_scope_id = 2};
	struct sockaddr local = {.sa_family = AF_UNIX};
	struct egress_address address;

	inet_pton(AF_INET6, "2606:4700::1111", &v6.sin6_addr);
	assert_false(egress_address_of((struct sockaddr *)&v6, &address));
	assert_false(egress_address_of(&local, &address));
}

static void
an_address_goes_out_in_the_form_that_it_has(void **state)
{
	struct egress_address mapped = address_of("::ffff:192.0.2.7"), v6 = address_of("2000::1");
	struct sockaddr_storage to;
	char text[EGRESS_TEXT_SIZE];

	assert_int_equal(egress_address_to(&mapped, 443, &to), sizeof(struct sockaddr_in));
	assert_int_equal(to.ss_family, AF_INET);
	assert_int_equal(((struct sockaddr_in *)&to)->sin_port, htons(443));
	assert_int_equal(((struct sockaddr_in *)&to)->sin_addr.s_addr, htonl(0xc0000207));
	assert_int_equal(egress_address_to(&v6, 80, &to), sizeof(struct sockaddr_in6));
	egress_address_text(&mapped, text);
	assert_string_equal(text, "192.0.2.7");
}

/* The same text comes back, or the second where it is given. */
static const struct {
	const char *text, *written;
	unsigned n_ports, port;
} rules[] = {
	{"api.example.com", NULL, 2, 443},
	{"api.example.com:8443", NULL, 1, 8443},
	{"API.Example.COM.", "api.example.com", 2, 80},
	{"*.example.com:443", NULL, 1, 443},
	{"*.example.com", NULL, 2, 80},
	{"*", NULL, 2, 443},
	{"*:25", NULL, 1, 25},
	{"db_1.internal:5432", NULL, 1, 5432},
	{"xn--bcher-kva.example", NULL, 2, 443},
	{"10.1.0.0/16:5432", NULL, 1, 5432},
	{"10.1.2.3", NULL, 2, 443},
	{"0.0.0.0/0:443", NULL, 1, 443},
	{"2001:db8::/32", NULL, 2, 443},
	{"[2001:db8::1]:443", NULL, 1, 443},
	{"[2001:DB8::/32]:8443", "[2001:db8::/32]:8443", 1, 8443},
	{"[2001:db8::1]", "2001:db8::1", 2, 443},
	{"::/0", NULL, 2, 80},
};

static void
a_rule_is_written_as_it_is_meant(void **state)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		OWN(buf) struct buf out = BUF_INIT;
		struct egress_rule rule;
		struct err err = {0};

		if (egress_rule_parse(str_of(rules[i].text), &rule, &err) < 0)
			fail_msg("%s %s", rules[i].text, err.text);
		egress_rule_write(&rule, &out);
		assert_string_equal(out.at, rules[i].written ? rules[i].written : rules[i].text);
		assert_int_equal(rule.n_ports, rules[i].n_ports);
		assert_true(egress_rule_has_port(&rule, (uint16_t)rules[i].port));
		assert_false(egress_rule_has_port(&rule, 1));
	}
}

static void
what_is_no_rule_is_refused_with_a_reason(void **state)
{
	static const char *const texts[] = {"", ":443", "a:", "a:0", "a:65536", "a:99999999999",
		"a:-1", "a: 80", "a:80:81x", "http://a", "a/b", "a b", "a..b", ".a", "a..", "-a",
		"a-", "*a", "*.", "*.*.a", "a.*",
		("b\xc3\xbc"
		 "cher.example"),
		"127.1", "0x7f.1", "2130706433", "0177.0.0.1", "a.0x7f", "1.2.3.4.5", "1.2.3",
		"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.1/8", "10.0.0.0/-1",
		"10.0.0.0/+8", "10.0.0.0/008x", "fe80::1%1", "[::1", "::1]", "[::1]80",
		"[::1]:", "[]", "[]:80", "::ffff:10.0.0.1", "::ffff:0:0/96", "2001:db8::/129",
		"2001:db8::1/32", "a\x01",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct egress_rule rule;
		struct err err = {0};

		if (egress_rule_parse(str_of(texts[i]), &rule, &err) != ERR_INVALID)
			fail_msg("'%s' is taken for a rule", texts[i]);
		assert_true(err.text[0]);
	}
}

static bool
has_name(const char *rule_text, const char *name)
{
	struct egress_rule rule;

	assert_int_equal(egress_rule_parse(str_of(rule_text), &rule, NULL), 0);
	return egress_rule_has_name(&rule, name);
}

static void
a_rule_has_its_host_or_those_below(void **state)
{
	assert_true(has_name("a.example", "a.example"));
	assert_false(has_name("a.example", "b.a.example"));
	assert_false(has_name("a.example", "xa.example"));
	assert_true(has_name("*.a.example", "b.a.example"));
	assert_true(has_name("*.a.example", "c.b.a.example"));
	assert_false(has_name("*.a.example", "a.example"));
	assert_false(has_name("*.a.example", "ba.example"));
	assert_false(has_name("*.a.example", ".a.example"));
	assert_true(has_name("*", "a"));
	assert_false(has_name("0.0.0.0/0", "a"));
}

static void
a_range_ends_at_its_bit(void **state)
{
	struct egress_range range = range_of("10.1.128.0/17"), all = range_of("::/0");
	struct egress_address in = address_of("10.1.128.1"), out = address_of("10.1.127.255");
	struct egress_address v6 = address_of("2000::1");

	assert_true(egress_range_has(&range, &in));
	assert_false(egress_range_has(&range, &out));
	assert_true(egress_range_has(&all, &v6));
	assert_false(egress_range_has(&all, &in));
}

UNIT_TESTS(it(what_is_not_of_the_open_internet_has_a_fault),
	it(a_listed_range_opens_what_lies_in_it),
	it(a_wide_range_opens_no_special_one_that_it_does_not_name),
	it(a_listed_ipv4_range_does_not_open_its_disguises), it(an_address_with_a_scope_is_none),
	it(an_address_goes_out_in_the_form_that_it_has), it(a_rule_is_written_as_it_is_meant),
	it(what_is_no_rule_is_refused_with_a_reason), it(a_rule_has_its_host_or_those_below),
	it(a_range_ends_at_its_bit))
