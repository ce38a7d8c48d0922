/* SPDX-License-Identifier: Apache-2.0 */
#include "net/egress_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define EGRESS_V4_BITS     96 /* of ::ffff:0:0/96, in front of an IPv4 address */
#define EGRESS_PORT_HTTPS  443
#define EGRESS_PORT_HTTP   80
#define EGRESS_LABEL_MAX   63
#define EGRESS_UNKNOWN_MIN 8 /* bits of a listed range that opens what no table row knows */

static const uint8_t egress_v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ---- addresses ---- */

static void
egress_address_set_v4(struct egress_address *ret, const void *four)
{
	memcpy(ret->at, egress_v4_prefix, sizeof(egress_v4_prefix));
	memcpy(ret->at + 12, four, 4);
}

bool
egress_address_is_v4(const struct egress_address *address)
{
	return memcmp(address->at, egress_v4_prefix, sizeof(egress_v4_prefix)) == 0;
}

bool
egress_address_of(const struct sockaddr *from, struct egress_address *ret)
{
	const struct sockaddr_in *v4 = (const void *)from;
	const struct sockaddr_in6 *v6 = (const void *)from;

	if (from->sa_family == AF_INET) {
		egress_address_set_v4(ret, &v4->sin_addr);
		return true;
	}
	if (from->sa_family != AF_INET6 || v6->sin6_scope_id)
		return false;
	memcpy(ret->at, &v6->sin6_addr, sizeof(ret->at));
	return true;
}

socklen_t
egress_address_to(const struct egress_address *address, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (egress_address_is_v4(address)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, address->at + 12, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, address->at, sizeof(address->at));
	return sizeof(*v6);
}

void
egress_address_text(const struct egress_address *address, char ret[static EGRESS_TEXT_SIZE])
{
	bool is_v4 = egress_address_is_v4(address);

	must(inet_ntop(
		is_v4 ? AF_INET : AF_INET6, address->at + (is_v4 ? 12 : 0), ret, EGRESS_TEXT_SIZE));
}

bool
egress_range_has(const struct egress_range *range, const struct egress_address *address)
{
	unsigned whole = range->bits / 8, rest = range->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	/* ::/0 is all of IPv6 and nothing of IPv4. */
	if (range->bits < EGRESS_V4_BITS && egress_address_is_v4(address))
		return false;
	if (memcmp(range->base.at, address->at, whole) != 0)
		return false;
	return rest == 0 || (range->base.at[whole] & mask) == (address->at[whole] & mask);
}

/* ---- what is not of the open Internet ---- */

#define V4(a, b, c, d, n, why)                                                                     \
	{                                                                                          \
		{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}}, EGRESS_V4_BITS + (n)},  \
			why                                                                        \
	}
#define V6(n, why, ...)                                                                            \
	{                                                                                          \
		{{{__VA_ARGS__}}, n}, why                                                          \
	}

/* IANA's registries of special-purpose addresses (RFC 6890), with the addresses that clouds gave
 * to the services of their hosts. The first row that has an address is the one. */
static const struct {
	struct egress_range range;
	const char *why;
} egress_special[] = {
	V4(0, 0, 0, 0, 8, "unspecified"),
	V4(10, 0, 0, 0, 8, "private"),
	V4(100, 64, 0, 0, 10, "shared"),
	V4(127, 0, 0, 0, 8, "loopback"),
	V4(168, 63, 129, 16, 32, "a service of the host's cloud"),
	V4(169, 254, 0, 0, 16, "link-local"),
	V4(172, 16, 0, 0, 12, "private"),
	V4(192, 0, 0, 0, 24, "reserved"),
	V4(192, 0, 2, 0, 24, "documentation"),
	V4(192, 88, 99, 0, 24, "a relay of tunnels"),
	V4(192, 168, 0, 0, 16, "private"),
	V4(198, 18, 0, 0, 15, "reserved"),
	V4(198, 51, 100, 0, 24, "documentation"),
	V4(203, 0, 113, 0, 24, "documentation"),
	V4(224, 0, 0, 0, 4, "multicast"),
	V4(255, 255, 255, 255, 32, "broadcast"),
	V4(240, 0, 0, 0, 4, "reserved"),
	V6(127, "loopback", 0), /* :: and ::1 */
	V6(96, "an IPv4 address in disguise", 0),
	V6(96, "an IPv4 address in disguise", 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff),
	V6(48, "private", 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01),
	V6(8, "reserved", 0x01),
	V6(23, "reserved", 0x20, 0x01, 0x00, 0x00),
	V6(32, "documentation", 0x20, 0x01, 0x0d, 0xb8),
	V6(16, "a tunnel to an IPv4 address", 0x20, 0x02),
	V6(20, "documentation", 0x3f, 0xff),
	V6(7, "private", 0xfc),
	V6(10, "link-local", 0xfe, 0x80),
	V6(10, "private", 0xfe, 0xc0),
	V6(8, "multicast", 0xff),
};

#undef V4
#undef V6

/* Two forms lead to an IPv4 address over a gateway that is not the sender's choice: NAT64 (RFC
 * 6052) and ISATAP (RFC 5214). */
static bool
egress_address_inner(const struct egress_address *address, struct egress_address *ret)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t isatap[3] = {0x00, 0x5e, 0xfe};

	if (memcmp(address->at, nat64, sizeof(nat64)) != 0 &&
		((address->at[8] & ~2) != 0 ||
			memcmp(address->at + 9, isatap, sizeof(isatap)) != 0 ||
			egress_address_is_v4(address)))
		return false;
	egress_address_set_v4(ret, address->at + 12);
	return true;
}

/* Gives the bits of the special range that the address lies in; -1 for an address of the open
 * Internet. */
static int
egress_address_special(const struct egress_address *address, const char **ret_why)
{
	static const struct egress_range nat64 = {{{0x00, 0x64, 0xff, 0x9b}}, 96};
	static const struct egress_range global = {{{0x20}}, 3};
	struct egress_address inner;

	for (size_t i = 0; i < sizeof(egress_special) / sizeof(*egress_special); i++) {
		*ret_why = egress_special[i].why;
		if (egress_range_has(&egress_special[i].range, address))
			return (int)egress_special[i].range.bits;
	}
	if (egress_address_inner(address, &inner) && egress_address_special(&inner, ret_why) >= 0)
		return EGRESS_V4_BITS;
	*ret_why = "reserved";
	return egress_address_is_v4(address) || egress_range_has(&global, address) ||
			       egress_range_has(&nat64, address)
		       ? -1
		       : EGRESS_UNKNOWN_MIN;
}

const char *
egress_address_fault(const struct egress_address *address)
{
	const char *why = NULL;

	return egress_address_special(address, &why) < 0 ? NULL : why;
}

void
egress_ranges_done(struct egress_ranges *ranges)
{
	free(ranges->at);
	*ranges = (struct egress_ranges){0};
}

bool
egress_ranges_have(const struct egress_ranges *ranges, const struct egress_address *address,
	unsigned least_bits)
{
	for (size_t i = 0; i < ranges->n; i++)
		if (ranges->at[i].bits >= least_bits && egress_range_has(&ranges->at[i], address))
			return true;
	return false;
}

const char *
egress_ranges_fault(const struct egress_ranges *open, const struct egress_address *address)
{
	const char *why = NULL;
	int bits = egress_address_special(address, &why);

	return bits < 0 || egress_ranges_have(open, address, (unsigned)bits) ? NULL : why;
}

/* ---- ranges as text ---- */

static bool
egress_range_has_rest(const struct egress_range *range)
{
	for (unsigned bit = range->bits; bit < 128; bit++)
		if (range->base.at[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

/* ERR_NOT_FOUND, without words, for what does not begin with an address. */
static int
egress_range_parse_base(struct str text, struct egress_range *ret, unsigned *ret_least)
{
	char copy[EGRESS_TEXT_SIZE];
	uint8_t bytes[16];

	if (text.len >= sizeof(copy) || memchr(text.at, '\0', text.len))
		return ERR_NOT_FOUND;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	*ret_least = EGRESS_V4_BITS;
	if (inet_pton(AF_INET, copy, bytes) == 1) {
		egress_address_set_v4(&ret->base, bytes);
		return 0;
	}
	if (inet_pton(AF_INET6, copy, ret->base.at) != 1)
		return ERR_NOT_FOUND;
	*ret_least = 0;
	return 0;
}

int
egress_range_parse(struct str text, struct egress_range *ret, struct err *err)
{
	bool has_bits = text.len && memchr(text.at, '/', text.len);
	struct str rest = text, base = str_cut(&rest, '/');
	unsigned least = 0;
	uint64_t bits = 0;

	if (!base.len || egress_range_parse_base(base, ret, &least) < 0)
		return err_set(err, ERR_INVALID, "is no address and no range of addresses");
	if (has_bits && (!str_to_u64(rest, &bits) || bits > 128 - least || rest.len > 3))
		return err_set(err, ERR_INVALID, "has a length of its prefix that is not 0 to %u",
			128 - least);
	ret->bits = has_bits ? (unsigned)bits + least : 128;
	if (least == 0 && egress_address_is_v4(&ret->base))
		return err_set(err, ERR_INVALID, "is IPv4 written as IPv6: write it as IPv4");
	if (egress_range_has_rest(ret))
		return err_set(err, ERR_INVALID, "has bits set behind its prefix");
	return 0;
}

static void
egress_range_write(const struct egress_range *range, struct buf *out)
{
	unsigned least = egress_address_is_v4(&range->base) && range->bits >= EGRESS_V4_BITS
				 ? EGRESS_V4_BITS
				 : 0;
	char text[EGRESS_TEXT_SIZE];

	egress_address_text(&range->base, text);
	buf_add_text(out, text);
	if (range->bits < 128)
		buf_printf(out, "/%u", range->bits - least);
}

/* ---- names ---- */

static bool
egress_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "7", "0177", "0x7f": as the last part of a name, resolvers take the whole for an address. */
static bool
egress_label_is_number(struct str label)
{
	bool is_hex = label.len > 1 && label.at[0] == '0' && label.at[1] == 'x';

	for (size_t i = is_hex ? 2 : 0; i < label.len; i++)
		if (!egress_is_digit(label.at[i]) &&
			!(is_hex && label.at[i] >= 'a' && label.at[i] <= 'f'))
			return false;
	return true;
}

static bool
egress_label_is_good(struct str label)
{
	if (!label.len || label.len > EGRESS_LABEL_MAX || label.at[0] == '-' ||
		label.at[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.at[i];

		if (!egress_is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
			return false;
	}
	return true;
}

int
egress_name_parse(struct str text, char ret[static EGRESS_NAME_SIZE], struct err *err)
{
	struct str rest, label = STR_NONE;

	if (text.len && text.at[text.len - 1] == '.')
		text.len--;
	if (!text.len)
		return err_set(err, ERR_INVALID, "has no name");
	if (text.len >= EGRESS_NAME_SIZE)
		return err_set(err, ERR_INVALID, "has a name of more than 253 bytes");
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		ret[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	ret[text.len] = '\0';
	/* str_cut() cannot tell "a" from "a.": a dot at the end was one too many. */
	if (ret[text.len - 1] == '.')
		return err_set(err, ERR_INVALID, "is no name of a host: a part of it is empty");
	for (rest = str_n(ret, text.len); rest.len;) {
		label = str_cut(&rest, '.');
		if (!egress_label_is_good(label))
			return err_set(err, ERR_INVALID,
				"is no name of a host: parts of 1 to 63 letters, digits and "
				"hyphens (names in other scripts begin with xn--)");
	}
	if (egress_label_is_number(label))
		return err_set(
			err, ERR_INVALID, "is a number and no name: an address is written a.b.c.d");
	return 0;
}

bool
egress_rule_has_name(const struct egress_rule *rule, const char *name)
{
	struct str whole = str_of(name), below = str_of(rule->name);

	if (rule->kind == EGRESS_NAME)
		return str_eq(whole, below);
	if (rule->kind != EGRESS_BELOW)
		return false;
	return below.len == 0 || (whole.len > below.len + 1 && str_ends(whole, below) &&
					 whole.at[whole.len - below.len - 1] == '.');
}

/* ---- rules ---- */

bool
egress_rule_has_port(const struct egress_rule *rule, uint16_t port)
{
	for (unsigned i = 0; i < rule->n_ports; i++)
		if (rule->ports[i] == port)
			return true;
	return false;
}

static int
egress_rule_parse_port(struct str text, struct egress_rule *ret, struct err *err)
{
	uint64_t port;

	if (!str_to_u64(text, &port) || port < 1 || port > 65535 || text.len > 5)
		return err_set(err, ERR_INVALID, "has a port that is not 1 to 65535");
	ret->ports[0] = (uint16_t)port;
	ret->n_ports = 1;
	return 0;
}

/* Parts "host", "host:port", "[v6]", "[v6]:port"; a bare IPv6 range has no port. */
static int
egress_rule_split(struct str text, struct str *ret_host, struct egress_rule *ret, struct err *err)
{
	const char *first = memchr(text.at, ':', text.len);
	const char *last = memrchr(text.at, ':', text.len);
	const char *close = memchr(text.at, ']', text.len);

	*ret_host = text;
	if (text.at[0] == '[') {
		if (!close)
			return err_set(err, ERR_INVALID, "has a '[' without a ']'");
		*ret_host = str_n(text.at + 1, (size_t)(close - text.at) - 1);
		first = last = close + 1;
		if (first == text.at + text.len)
			return 0;
		if (*first != ':')
			return err_set(err, ERR_INVALID, "has more than a port behind its ']'");
	} else if (!first || first != last) {
		return 0;
	} else {
		ret_host->len = (size_t)(first - text.at);
	}
	return egress_rule_parse_port(
		str_n(last + 1, text.len - (size_t)(last + 1 - text.at)), ret, err);
}

static bool
egress_host_is_range(struct str host)
{
	struct egress_range range;
	struct str rest = host, base = str_cut(&rest, '/');
	unsigned least;

	return rest.len || (host.len && memchr(host.at, '/', host.len)) ||
	       (host.len && memchr(host.at, ':', host.len)) ||
	       (base.len && egress_range_parse_base(base, &range, &least) == 0);
}

static int
egress_rule_parse_host(struct str host, struct egress_rule *ret, struct err *err)
{
	if (egress_host_is_range(host)) {
		ret->kind = EGRESS_RANGE;
		return egress_range_parse(host, &ret->range, err);
	}
	if (str_eq(host, STR("*"))) {
		ret->kind = EGRESS_BELOW;
		return 0;
	}
	ret->kind = str_starts(host, STR("*.")) ? EGRESS_BELOW : EGRESS_NAME;
	if (ret->kind == EGRESS_BELOW)
		host = str_n(host.at + 2, host.len - 2);
	return egress_name_parse(host, ret->name, err);
}

int
egress_rule_parse(struct str text, struct egress_rule *ret, struct err *err)
{
	struct str host;
	int rc;

	*ret = (struct egress_rule){0};
	if (!text.at || !text.len)
		return err_set(err, ERR_INVALID, "is empty");
	rc = egress_rule_split(text, &host, ret, err);
	if (rc == 0)
		rc = egress_rule_parse_host(host, ret, err);
	if (rc == 0 && ret->n_ports == 0) {
		ret->ports[0] = EGRESS_PORT_HTTPS;
		ret->ports[1] = EGRESS_PORT_HTTP;
		ret->n_ports = 2;
	}
	return rc;
}

void
egress_rule_write(const struct egress_rule *rule, struct buf *out)
{
	bool is_v6 = rule->kind == EGRESS_RANGE && !egress_address_is_v4(&rule->range.base);
	bool has_port = rule->n_ports == 1;

	if (is_v6 && has_port)
		buf_add_char(out, '[');
	if (rule->kind == EGRESS_RANGE)
		egress_range_write(&rule->range, out);
	else if (rule->kind == EGRESS_NAME)
		buf_add_text(out, rule->name);
	else
		buf_printf(out, "*%s%s", rule->name[0] ? "." : "", rule->name);
	if (has_port)
		buf_printf(out, "%s:%u", is_v6 ? "]" : "", rule->ports[0]);
}
