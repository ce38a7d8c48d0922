/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch_url - which URLs are asked: looked at before one is kept, and again before it is used.
 */
#include <curl/curl.h>
#include <stdlib.h>

#include "base/own.h"
#include "net/fetch.h"

#define FETCH_URL_BYTES 2048

OWN_DEFINE(curl_url, CURLU *, curl_url_cleanup)
OWN_DEFINE(curl_text, char *, curl_free)

/* RFC 3986 knows printable ASCII only. */
static bool
fetch_url_is_printable(struct str url)
{
	for (size_t i = 0; i < url.len; i++)
		if ((unsigned char)url.at[i] <= ' ' || (unsigned char)url.at[i] >= 0x7f ||
			url.at[i] == '\\')
			return false;
	return true;
}

/* libcurl takes one slash and three for two. */
static bool
fetch_url_begins_well(struct str url)
{
	str_cut(&url, ':');
	return str_starts(url, STR("//")) && url.len > 2 && url.at[2] != '/';
}

static bool
fetch_url_has(CURLU *parts, CURLUPart which)
{
	OWN(curl_text) char *text = NULL;

	return curl_url_get(parts, which, &text, 0) == CURLUE_OK;
}

int
fetch_check_url(struct str url, struct err *err)
{
	OWN(curl_url) CURLU *parts = curl_url();
	OWN(curl_text) char *scheme = NULL;
	OWN(mem) char *copy = NULL;

	must(parts);
	if (url.len > FETCH_URL_BYTES)
		return err_set(err, ERR_INVALID, "the URL has more than %d bytes", FETCH_URL_BYTES);
	if (!fetch_url_is_printable(url))
		return err_set(err, ERR_INVALID, "the URL has a character that no URL has");
	copy = str_dup(url);
	if (curl_url_set(parts, CURLUPART_URL, copy, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
		curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return err_set(err, ERR_INVALID, "the URL is none");
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return err_set(err, ERR_INVALID, "the URL must begin with http:// or https://");
	if (fetch_url_has(parts, CURLUPART_USER) || fetch_url_has(parts, CURLUPART_PASSWORD))
		return err_set(err, ERR_INVALID, "the URL must have no user and no password");
	if (!fetch_url_begins_well(url) || !fetch_url_has(parts, CURLUPART_HOST))
		return err_set(err, ERR_INVALID, "the URL has no host");
	return 0;
}
