/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <string.h>

#include "napi.h"

/* What Node looks up in an addon. */
napi_value napi_register_module_v1(napi_env env, napi_value exports);

static napi_value
text_or_null(napi_env env, const char *text)
{
	napi_value value = NULL;

	if (text)
		napi_create_string_utf8(env, text, strlen(text), &value);
	else
		napi_get_undefined(env, &value);
	return value;
}

/* startRandom(): undefined, or why not. */
static napi_value
on_start_random(napi_env env, napi_callback_info info)
{
	(void)info;
	return text_or_null(env, addon_random_start());
}

static const struct {
	const char *name;
	napi_callback *function;
} functions[] = {
	{"startRandom", on_start_random},
};

__attribute__((visibility("default"))) napi_value
napi_register_module_v1(napi_env env, napi_value exports)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		napi_value value;

		if (napi_create_function(env, functions[i].name, strlen(functions[i].name),
			    functions[i].function, NULL, &value) != NAPI_OK)
			return NULL;
		napi_set_named_property(env, exports, functions[i].name, value);
	}
	return exports;
}
