/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/mem.h"

struct tls_context {
	SSL_CTX *ssl;           /* owned; sessions hold their own reference */
	char *certificate_path; /* owned */
	char *key_path;         /* owned */
};

struct tls_session {
	SSL *ssl; /* owned, with both BIOs */
	BIO *in;  /* borrowed: what came from the wire */
	BIO *out; /* borrowed: what goes there */
};

/* ---- contexts ---- */

static int
tls_fail(struct err *err, const char *doing, const char *path)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(err, ERR_INVALID, "%s %s: %s", doing, path, reason ? reason : "failed");
}

/* The server's order: h2, then http/1.1; a client that offers neither gets no ALPN at all. */
static int
tls_on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
	const unsigned char *offered, unsigned offered_len, void *arg)
{
	static const unsigned char known[] = "\x02h2\x08http/1.1";

	return SSL_select_next_proto((unsigned char **)ret, ret_len, known, sizeof(known) - 1,
		       offered, offered_len) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_NOACK;
}

static int
tls_load(SSL_CTX *ssl, const char *certificate_path, const char *key_path, struct err *err)
{
	if (SSL_CTX_use_certificate_chain_file(ssl, certificate_path) != 1)
		return tls_fail(err, "reading the certificate", certificate_path);
	if (SSL_CTX_use_PrivateKey_file(ssl, key_path, SSL_FILETYPE_PEM) != 1)
		return tls_fail(err, "reading the key", key_path);
	if (SSL_CTX_check_private_key(ssl) != 1)
		return tls_fail(err, "matching the certificate with", key_path);
	return 0;
}

static int
tls_make(const char *certificate_path, const char *key_path, SSL_CTX **ret, struct err *err)
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
	int rc;

	must(ssl);
	must(SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1);
	must(SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
	SSL_CTX_set_options(ssl,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(ssl, tls_on_alpn, NULL);
	rc = tls_load(ssl, certificate_path, key_path, err);
	if (rc < 0) {
		SSL_CTX_free(ssl);
		return rc;
	}
	*ret = ssl;
	return 0;
}

int
tls_context_new(const char *certificate_path, const char *key_path, struct tls_context **ret,
	struct err *err)
{
	struct tls_context *tls;
	SSL_CTX *ssl;
	int rc = tls_make(certificate_path, key_path, &ssl, err);

	if (rc < 0)
		return rc;
	tls = mem_new(sizeof(*tls));
	tls->ssl = ssl;
	tls->certificate_path = str_dup(str_of(certificate_path));
	tls->key_path = str_dup(str_of(key_path));
	*ret = tls;
	return 0;
}

/* The old certificate stays in use when the new one cannot be read. */
int
tls_context_reload(struct tls_context *tls, struct err *err)
{
	SSL_CTX *ssl;
	int rc = tls_make(tls->certificate_path, tls->key_path, &ssl, err);

	if (rc < 0)
		return rc;
	SSL_CTX_free(tls->ssl);
	tls->ssl = ssl;
	return 0;
}

void
tls_context_free(struct tls_context *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->ssl);
	free(tls->certificate_path);
	free(tls->key_path);
	free(tls);
}

/* ---- sessions ---- */

struct tls_session *
tls_session_new(struct tls_context *context)
{
	struct tls_session *tls = mem_new(sizeof(*tls));

	tls->ssl = SSL_new(context->ssl);
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	must(tls->ssl && tls->in && tls->out);
	BIO_set_mem_eof_return(tls->in, -1);
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_accept_state(tls->ssl);
	return tls;
}

void
tls_session_free(struct tls_session *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

void
tls_session_feed(struct tls_session *tls, struct str bytes)
{
	must(bytes.len <= INT_MAX);
	must(BIO_write(tls->in, bytes.at, (int)bytes.len) == (int)bytes.len);
}

int
tls_session_handshake(struct tls_session *tls)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(tls->ssl);
	if (rc == 1)
		return 1;
	return SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ ? 0 : ERR_INVALID;
}

bool
tls_session_is_http2(const struct tls_session *tls)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(tls->ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

int
tls_session_read(struct tls_session *tls, char *at, size_t size)
{
	int n;

	ERR_clear_error();
	n = SSL_read(tls->ssl, at, size > INT_MAX ? INT_MAX : (int)size);
	if (n > 0)
		return n;
	return SSL_get_error(tls->ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

bool
tls_session_write(struct tls_session *tls, struct str bytes)
{
	ERR_clear_error();
	while (bytes.len) {
		int n = SSL_write(
			tls->ssl, bytes.at, bytes.len > INT_MAX ? INT_MAX : (int)bytes.len);

		if (n <= 0)
			return false;
		bytes = str_n(bytes.at + n, bytes.len - (size_t)n);
	}
	return true;
}

void
tls_session_take(struct tls_session *tls, struct buf *out)
{
	char *bytes;
	long n = BIO_get_mem_data(tls->out, &bytes);

	if (n > 0) {
		buf_add(out, bytes, (size_t)n);
		(void)BIO_reset(tls->out);
	}
}

void
tls_session_close(struct tls_session *tls)
{
	ERR_clear_error();
	if (SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
}
