/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_fetch_url - fetch_check_url(): what it accepts is printable, http or https, and names
 * nobody; what it refuses has a reason.
 */
#include "fuzz.h"

#include "net/fetch.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str url = str_n(bytes, size), rest = url;
	struct err err = {0};

	if (fetch_check_url(url, &err) < 0) {
		must(err.code == ERR_INVALID && err.text[0] && str_is_utf8(str_of(err.text)));
		return 0;
	}
	must(url.len <= 2048 && !err.code);
	for (size_t i = 0; i < url.len; i++)
		must(url.at[i] > ' ' && url.at[i] < 0x7f);
	struct str scheme = str_cut(&rest, ':');

	must(str_eq_case(scheme, STR("http")) || str_eq_case(scheme, STR("https")));
	must(rest.len > 2 && rest.at[0] == '/' && rest.at[1] == '/' && rest.at[2] != '/');
	str_cut(&rest, '/');
	str_cut(&rest, '/');
	/* What is before the path, the query and the fragment has no user. */
	for (size_t i = 0; i < rest.len && !strchr("/?#", rest.at[i]); i++)
		must(rest.at[i] != '@');
	return 0;
}
