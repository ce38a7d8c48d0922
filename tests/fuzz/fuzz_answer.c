/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_answer - answer_parse(): what it accepts is a final status and headers that may be sent.
 */
#include "fuzz.h"

#include "base/own.h"
#include "runtime/answer.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(mem) char *text = mem_new(size + 1);
	struct answer answer;
	struct err err = {0};

	if (size)
		memcpy(text, bytes, size);
	if (answer_parse(text, size, &answer, &err) < 0) {
		must(err.code == ERR_ANSWER_INVALID && err.text[0] &&
			str_is_utf8(str_of(err.text)));
		return 0;
	}
	must(err.code == 0);
	must(answer.status >= 200 && answer.status <= 599);
	must(answer.n <= ANSWER_HEADERS);
	for (size_t i = 0; i < answer.n; i++) {
		const struct http_header *header = &answer.headers[i];

		must(http_is_token(header->name) && http_is_value(header->value));
		must(!str_eq_case(header->name, STR("transfer-encoding")));
		must(!str_eq_case(header->name, STR("content-length")));
		must(header->name.at >= text &&
			header->value.at + header->value.len <= text + size);
	}
	return 0;
}
