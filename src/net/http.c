/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http.h"

struct str
http_header(const struct http_request *request, const char *name)
{
	struct str wanted = str_of(name);

	for (size_t i = 0; i < request->n_headers; i++)
		if (str_eq(request->headers[i].name, wanted))
			return request->headers[i].value;
	return STR_NONE;
}

/* Set for tchar of RFC 9110 5.6.2. */
static const bool http_token_chars[256] = {
	['!'] = 1,
	['#'] = 1,
	['$'] = 1,
	['%'] = 1,
	['&'] = 1,
	['\''] = 1,
	['*'] = 1,
	['+'] = 1,
	['-'] = 1,
	['.'] = 1,
	['^'] = 1,
	['_'] = 1,
	['`'] = 1,
	['|'] = 1,
	['~'] = 1,
	['0' ... '9'] = 1,
	['A' ... 'Z'] = 1,
	['a' ... 'z'] = 1,
};

bool
http_is_token(struct str text)
{
	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!http_token_chars[(unsigned char)text.at[i]])
			return false;
	return true;
}

bool
http_is_value(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (text.len - i >= 8 && http_are_plain(text.at + i)) {
			i += 7;
			continue;
		}
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* reg-name and IPv4address: unreserved, pct-encoded, sub-delims; a comma would make a list of it.
 */
static const bool http_host_chars[256] = {
	['-'] = 1,
	['.'] = 1,
	['_'] = 1,
	['~'] = 1,
	['%'] = 1,
	['!'] = 1,
	['$'] = 1,
	['&'] = 1,
	['\''] = 1,
	['('] = 1,
	[')'] = 1,
	['*'] = 1,
	['+'] = 1,
	[';'] = 1,
	['='] = 1,
	['0' ... '9'] = 1,
	['A' ... 'Z'] = 1,
	['a' ... 'z'] = 1,
};

static const bool http_address_chars[256] = {
	[':'] = 1,
	['.'] = 1,
	['0' ... '9'] = 1,
	['A' ... 'F'] = 1,
	['a' ... 'f'] = 1,
};

static size_t
http_host_len(struct str text)
{
	size_t n = 0;

	if (text.at[0] != '[') {
		while (n < text.len && http_host_chars[(unsigned char)text.at[n]])
			n++;
		return n;
	}
	for (n = 1; n < text.len && http_address_chars[(unsigned char)text.at[n]];)
		n++;
	return n > 2 && n < text.len && text.at[n] == ']' ? n + 1 : 0;
}

bool
http_is_authority(struct str text)
{
	size_t n = text.len ? http_host_len(text) : 0;

	if (n == 0)
		return false;
	if (n == text.len)
		return true;
	if (text.at[n] != ':' || text.len - n > 6)
		return false;
	for (size_t i = n + 1; i < text.len; i++)
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
	return true;
}

bool
http_has_port(struct str authority)
{
	size_t n = authority.len ? http_host_len(authority) : 0;

	return n + 1 < authority.len;
}

/* The registry "HTTP Status Codes" of IANA, without the entries that say unused. */
const char *
http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} rows[] = {
		{100, "Continue"},
		{101, "Switching Protocols"},
		{102, "Processing"},
		{103, "Early Hints"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{203, "Non-Authoritative Information"},
		{204, "No Content"},
		{205, "Reset Content"},
		{206, "Partial Content"},
		{207, "Multi-Status"},
		{208, "Already Reported"},
		{226, "IM Used"},
		{300, "Multiple Choices"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{305, "Use Proxy"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{407, "Proxy Authentication Required"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{423, "Locked"},
		{424, "Failed Dependency"},
		{425, "Too Early"},
		{426, "Upgrade Required"},
		{428, "Precondition Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{451, "Unavailable For Legal Reasons"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{506, "Variant Also Negotiates"},
		{507, "Insufficient Storage"},
		{508, "Loop Detected"},
		{511, "Network Authentication Required"},
	};

	if (status == 200)
		return "OK";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].reason;
	return "";
}

static int
http_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
http_percent_decode(struct str text, bool plus_is_space, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (c == '+' && plus_is_space) {
			c = ' ';
		} else if (c == '%') {
			bool is_whole = text.len - i > 2;
			int high = is_whole ? http_hex_digit(text.at[i + 1]) : -1;
			int low = is_whole ? http_hex_digit(text.at[i + 2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		buf_add_char(out, c);
	}
	return true;
}

bool
http_is_loopback(struct str host)
{
	if (str_starts(host, STR("[::1]")))
		return host.len == 5 || host.at[5] == ':';
	struct str name = str_cut(&host, ':');

	if (str_eq(name, STR("localhost")))
		return true;
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] != '.' && (name.at[i] < '0' || name.at[i] > '9'))
			return false;
	return str_starts(name, STR("127."));
}
