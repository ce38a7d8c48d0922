/* SPDX-License-Identifier: Apache-2.0 */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "napi.h"
#include "platform.h"
#include "preload.h"

/* What Node looks up in an addon. */
napi_value napi_register_module_v1(napi_env env, napi_value exports);

/* ---- values ---- */

static napi_value
nothing(napi_env env)
{
	napi_value value = NULL;

	napi_get_undefined(env, &value);
	return value;
}

/* undefined for NULL. */
static napi_value
text_or_nothing(napi_env env, const char *text)
{
	napi_value value = NULL;

	if (!text)
		return nothing(env);
	napi_create_string_utf8(env, text, strlen(text), &value);
	return value;
}

static napi_value
number(napi_env env, int value)
{
	napi_value ret = NULL;

	napi_create_int32(env, value, &ret);
	return ret;
}

static napi_value
throw_errno(napi_env env)
{
	napi_throw_error(env, NULL, strerror(errno));
	return NULL;
}

/* The words of a text, each ended by NUL, as execve(2) takes them; the caller frees them and *ret.
 */
static char **
take_words(napi_env env, napi_value value, char **ret)
{
	size_t size = 0, n = 0;
	char *text, **words;

	napi_get_value_string_utf8(env, value, NULL, 0, &size);
	text = mem_new(size + 1);
	napi_get_value_string_utf8(env, value, text, size + 1, &size);
	words = mem_new((size + 1) * sizeof(*words));
	for (size_t at = 0; at < size; at += strlen(text + at) + 1)
		words[n++] = text + at;
	words[n] = NULL;
	*ret = text;
	return words;
}

/* ---- functions ---- */

/* startRandom(): undefined, or why not. */
static napi_value
on_start_random(napi_env env, napi_callback_info info)
{
	return text_or_nothing(env, addon_random_start());
}

/* startPlatform(): undefined, or why not. */
static napi_value
on_start_platform(napi_env env, napi_callback_info info)
{
	return text_or_nothing(env, platform_replace());
}

/* startWorkers(): the threads of the platform. */
static napi_value
on_start_workers(napi_env env, napi_callback_info info)
{
	platform_wake();
	return nothing(env);
}

/* isPreloaded(): 1 or 0. */
static napi_value
on_is_preloaded(napi_env env, napi_callback_info info)
{
	return number(env, preload_is_whole());
}

/* startAgain(path of the addon, arguments): never returns, or throws. */
static napi_value
on_start_again(napi_env env, napi_callback_info info)
{
	napi_value args[2];
	size_t n = 2;
	char *path, *text;

	napi_get_cb_info(env, info, &n, args, NULL, NULL);
	free(take_words(env, args[0], &path));
	preload_start_again(path, take_words(env, args[1], &text));
	return throw_errno(env);
}

/* become(arguments, environment): execve(2); descriptors 0 to 3 stay. Throws. */
static napi_value
on_become(napi_env env, napi_callback_info info)
{
	napi_value args[2];
	size_t n = 2;
	char *text, *variables, **words;

	napi_get_cb_info(env, info, &n, args, NULL, NULL);
	words = take_words(env, args[0], &text);
	execve(words[0], words, take_words(env, args[1], &variables));
	return throw_errno(env);
}

/* pair(): two descriptors, connected. */
static napi_value
on_pair(napi_env env, napi_callback_info info)
{
	napi_value array = NULL;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return throw_errno(env);
	napi_create_array(env, &array);
	for (uint32_t i = 0; i < 2; i++)
		napi_set_element(env, array, i, number(env, fds[i]));
	return array;
}

/* serve(): returns in each child; in the template, why it ended. */
static napi_value
on_serve(napi_env env, napi_callback_info info)
{
	struct uv_loop_s *loop = NULL;

	if (napi_get_uv_event_loop(env, &loop) != NAPI_OK)
		return text_or_nothing(env, "Node has no loop");
	return text_or_nothing(env, addon_template_serve(loop));
}

/* refuse(reason): tells the spawner. */
static napi_value
on_refuse(napi_env env, napi_callback_info info)
{
	napi_value args[1];
	size_t n = 1;
	char *reason;

	napi_get_cb_info(env, info, &n, args, NULL, NULL);
	free(take_words(env, args[0], &reason));
	addon_template_refuse(reason);
	free(reason);
	return nothing(env);
}

/* pid(): of this process, whatever it was forked from. */
static napi_value
on_pid(napi_env env, napi_callback_info info)
{
	return number(env, getpid());
}

/* exit(status): at once. What Node would wait for at its end, a forked process does not have. */
static napi_value
on_exit_now(napi_env env, napi_callback_info info)
{
	napi_value args[1];
	int32_t status = 0;
	size_t n = 1;

	napi_get_cb_info(env, info, &n, args, NULL, NULL);
	napi_get_value_int32(env, args[0], &status);
	_exit(status);
}

static const struct {
	const char *name;
	napi_callback *function;
} functions[] = {
	{"startRandom", on_start_random},
	{"startPlatform", on_start_platform},
	{"startWorkers", on_start_workers},
	{"isPreloaded", on_is_preloaded},
	{"startAgain", on_start_again},
	{"become", on_become},
	{"pair", on_pair},
	{"serve", on_serve},
	{"refuse", on_refuse},
	{"pid", on_pid},
	{"exit", on_exit_now},
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
