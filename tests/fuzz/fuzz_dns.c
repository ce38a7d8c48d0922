/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dns - egress_dns_parse() and the answer: a name that is read is one that a host can have,
 * and an answer is no longer than the client takes and repeats the question.
 */
#include "fuzz.h"

#include "base/own.h"
#include "net/egress_dns.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct egress_address addresses[40];
	char name[EGRESS_NAME_SIZE];
	struct egress_dns_question question;
	OWN(buf) struct buf answer = BUF_INIT;
	int code = egress_dns_parse(str_n(bytes, size), &question);

	if (code < 0)
		return 0;
	must(code <= EGRESS_DNS_NOT_DONE);
	must(question.size_max >= EGRESS_DNS_SIZE_OLD && question.size_max <= EGRESS_DNS_SIZE_MAX);
	if (question.name[0]) {
		must(egress_name_parse(str_of(question.name), name, NULL) == 0);
		must(strcmp(name, question.name) == 0);
	}
	egress_dns_write(&question, (enum egress_dns_code)code, addresses, 40, 30,
		question.size_max, &answer);
	must(answer.len <= question.size_max && answer.len >= 12 + question.text_len);
	must(memcmp(answer.at + 12, question.text, question.text_len) == 0);
	must(egress_dns_parse(buf_str(&answer), &question) < 0);
	return 0;
}
