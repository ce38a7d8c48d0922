/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_network - egress_rule_parse(): what it accepts comes back the same when it is written and
 * read again, and what it refuses has a reason.
 */
#include "fuzz.h"

#include "base/own.h"
#include "net/egress_policy.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(buf) struct buf first = BUF_INIT;
	OWN(buf) struct buf second = BUF_INIT;
	struct egress_rule rule, again;
	struct err err = {0};

	if (egress_rule_parse(str_n(bytes, size), &rule, &err) < 0) {
		must(err.code == ERR_INVALID && err.text[0] && str_is_utf8(str_of(err.text)));
		return 0;
	}
	must(rule.n_ports == 1 || rule.n_ports == 2);
	must(rule.range.bits <= 128);
	egress_rule_write(&rule, &first);
	must(egress_rule_parse(buf_str(&first), &again, &err) == 0);
	egress_rule_write(&again, &second);
	must(str_eq(buf_str(&first), buf_str(&second)));
	must(rule.kind == again.kind && strcmp(rule.name, again.name) == 0 &&
		memcmp(&rule.range, &again.range, sizeof(rule.range)) == 0);
	return 0;
}
