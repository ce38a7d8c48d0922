/* SPDX-License-Identifier: Apache-2.0 */
/*
 * napi - the part of Node-API that mayfly's addon uses, declared here so that a build needs no
 * headers of Node: the interface is stable over all versions of Node (doc/api/n-api.md of Node).
 */
#ifndef MAYFLY_NODE_NAPI_H
#define MAYFLY_NODE_NAPI_H

#include <stddef.h>
#include <stdint.h>

typedef struct napi_env_of *napi_env;
typedef struct napi_value_of *napi_value;
typedef struct napi_info_of *napi_callback_info;
typedef napi_value napi_callback(napi_env env, napi_callback_info info);

struct uv_loop_s;

enum { NAPI_OK = 0 };

int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *n, napi_value *args,
	napi_value *self, void **data);
int napi_create_function(napi_env env, const char *name, size_t size, napi_callback *function,
	void *data, napi_value *ret);
int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);
int napi_get_undefined(napi_env env, napi_value *ret);
int napi_create_int32(napi_env env, int32_t value, napi_value *ret);
int napi_get_value_int32(napi_env env, napi_value value, int32_t *ret);
int napi_create_string_utf8(napi_env env, const char *text, size_t size, napi_value *ret);
int napi_get_value_string_utf8(
	napi_env env, napi_value value, char *ret, size_t size, size_t *ret_size);
int napi_create_array(napi_env env, napi_value *ret);
int napi_set_element(napi_env env, napi_value array, uint32_t i, napi_value value);
int napi_throw_error(napi_env env, const char *code, const char *text);
int napi_get_uv_event_loop(napi_env env, struct uv_loop_s **ret);

#endif
