/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_function_wish - the body that creates a function: whatever it says, every text that was read
 * is terminated within its place, and what is refused says which field.
 */
#include "fuzz.h"

#include "api/api_function_put.h"

static void
fuzz_check(const struct api_function_wish *wish)
{
	must(memchr(wish->name, 0, sizeof(wish->name)));
	must(memchr(wish->route, 0, sizeof(wish->route)));
	must(memchr(wish->runtime, 0, sizeof(wish->runtime)));
	must(memchr(wish->handler, 0, sizeof(wish->handler)));
	must(memchr(wish->filename, 0, sizeof(wish->filename)));
	must(!strchr(wish->filename, '/') && wish->filename[0] != '.');
	must(!wish->digest[0] || id_is_sha256(str_of(wish->digest)));
	must(!wish->has_source || wish->source.len);
	must(!(wish->has_source && wish->digest[0]));
	for (size_t i = 0; i < LIMITS_N; i++) {
		const char *at = (const char *)&wish->config.limits + limits_table[i].offset;
		uint64_t value = *(const uint64_t *)at;

		must(value >= limits_table[i].floor && value <= limits_table[i].ceiling);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct domain domain = {0};
	OWN(json) json_t *json = NULL;
	struct api_function_wish wish;
	struct err err = {0};

	domain_config_default(&domain.config);
	if (json_parse(str_n(bytes, size), &json, &err) < 0)
		return 0;
	if (api_function_wish_read(&domain, json, &wish, &err) == 0)
		fuzz_check(&wish);
	else
		must(err.code == ERR_INVALID && err.text[0]);
	api_function_wish_done(&wish);
	return 0;
}
