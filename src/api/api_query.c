/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_query - the parameters behind the '?' of a control-plane request.
 */
#include "api/api_request.h"

#define API_QUERY_NAME_SIZE 32

/* Takes the next `name=value` off *rest, decoded. */
static int
api_query_next(struct str *rest, struct buf *name, struct buf *value, struct err *err)
{
	struct str item = str_cut(rest, '&');
	struct str raw = str_cut(&item, '=');

	buf_clear(name);
	buf_clear(value);
	if (!http_percent_decode(raw, true, name) || !http_percent_decode(item, true, value))
		return err_set(err, ERR_INVALID, "the query is badly encoded");
	return 0;
}

int
api_query_str(struct api_request *request, const char *name, char *ret, size_t size,
	bool *ret_found, struct err *err)
{
	OWN(buf) struct buf key = BUF_INIT;
	OWN(buf) struct buf value = BUF_INIT;
	struct str rest = http_request_of(request->exchange)->query;

	*ret_found = false;
	while (rest.len) {
		int rc = api_query_next(&rest, &key, &value, err);

		if (rc < 0)
			return rc;
		if (!str_eq(buf_str(&key), str_of(name)))
			continue;
		if (value.len >= size)
			return err_field(err, ERR_INVALID, name, "%s must have at most %zu bytes",
				name, size - 1);
		memcpy(ret, value.at ? value.at : "", value.len);
		ret[value.len] = 0;
		*ret_found = true;
		return 0;
	}
	return 0;
}

int
api_query_u64(struct api_request *request, const char *name, uint64_t min, uint64_t max,
	uint64_t *ret, struct err *err)
{
	char text[API_QUERY_NAME_SIZE];
	uint64_t number;
	bool is_found;
	int rc = api_query_str(request, name, text, sizeof(text), &is_found, err);

	if (rc < 0 || !is_found)
		return rc;
	if (!str_to_u64(str_of(text), &number) || number < min || number > max)
		return err_field(err, ERR_INVALID, name, "%s must be %llu to %llu", name,
			(unsigned long long)min, (unsigned long long)max);
	*ret = number;
	return 0;
}

int
api_query_bool(struct api_request *request, const char *name, bool *ret, struct err *err)
{
	char text[API_QUERY_NAME_SIZE];
	bool is_found;
	int rc = api_query_str(request, name, text, sizeof(text), &is_found, err);

	if (rc < 0 || !is_found)
		return rc;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return err_field(err, ERR_INVALID, name, "%s must be true or false", name);
	*ret = text[0] == 't';
	return 0;
}

int
api_query_check(struct api_request *request, const char *const *known, struct err *err)
{
	OWN(buf) struct buf key = BUF_INIT;
	OWN(buf) struct buf value = BUF_INIT;
	struct str rest = http_request_of(request->exchange)->query;

	while (rest.len) {
		int rc = api_query_next(&rest, &key, &value, err);
		const char *const *one = known;

		if (rc < 0)
			return rc;
		while (*one && !str_eq(buf_str(&key), str_of(*one)))
			one++;
		if (!*one && key.len && key.len < API_QUERY_NAME_SIZE && str_is_utf8(buf_str(&key)))
			return err_field(err, ERR_INVALID, buf_str(&key).at, "%s is not known here",
				buf_str(&key).at);
		if (!*one)
			return err_set(err, ERR_INVALID, "there is an unknown parameter");
	}
	return 0;
}
