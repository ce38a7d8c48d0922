# SPDX-License-Identifier: Apache-2.0
"""http_matrix - requests that are malformed, ambiguous or merely unusual, and what each must get.

A row is (name, bytes, statuses, end). PATH in the bytes is where a plain GET gives 200; OTHER is a
path that no row may reach. `end` says what becomes of the connection:

    OPEN    it stays: a further request behind the bytes is answered, too
    CLOSED  it ends with the last status: a further request behind the bytes is not answered

A status 'ok' is that of a plain GET.
"""

OPEN, CLOSED = 'open', 'closed'
H = b'Host: a\r\n'
POST = b'POST PATH HTTP/1.1\r\n' + H
GET = b'GET PATH HTTP/1.1\r\n' + H
SMUGGLED = b'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
CHUNKED = POST + b'Transfer-Encoding: chunked\r\n\r\n'


def length(value):
    return POST + b'Content-Length:' + value + b'\r\n\r\n'


def coding(value, more=b''):
    return POST + b'Transfer-Encoding: ' + value + b'\r\n' + more + b'\r\n0\r\n\r\n'


def line(text):
    return text + b'\r\n' + H + b'\r\n'


def header(text):
    return GET + text + b'\r\n\r\n'


ROWS = [
    # what must work
    ('a plain GET', GET + b'\r\n', ['ok'], OPEN),
    ('three pipelined', (GET + b'\r\n') * 3, ['ok'] * 3, OPEN),
    ('POST then GET pipelined', length(b' 3') + b'abc' + GET + b'\r\n', ['ok', 'ok'], OPEN),
    ('chunked body', CHUNKED + b'3\r\nabc\r\n0\r\n\r\n', ['ok'], OPEN),
    ('chunked, any case of the coding', coding(b'Chunked'), ['ok'], OPEN),
    ('chunked, two chunks and a trailer',
     CHUNKED + b'3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n', ['ok'], OPEN),
    ('chunk extension', CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0;last\r\n\r\n', ['ok'], OPEN),
    ('chunk size in upper case with zeros', CHUNKED + b'000A\r\n0123456789\r\n0\r\n\r\n', ['ok'],
     OPEN),
    ('Expect: 100-continue', POST + b'Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc',
     ['100', 'ok'], OPEN),
    ('Content-Length 0', length(b' 0'), ['ok'], OPEN),
    ('Content-Length with leading zeros', length(b' 003') + b'abc', ['ok'], OPEN),
    ('white space around Content-Length', length(b' \t3\t ') + b'abc', ['ok'], OPEN),
    ('GET with a body', GET + b'Content-Length: %d\r\n\r\n' % len(SMUGGLED) + SMUGGLED, ['ok'],
     OPEN),
    ('absolute-form', line(b'GET http://b:80PATH HTTP/1.1'), ['ok'], OPEN),
    ('one empty line in front', b'\r\n' + GET + b'\r\n', ['ok'], OPEN),
    ('obs-text in a value', header(b'X: \xe4\xff'), ['ok'], OPEN),
    ('empty value', header(b'X:'), ['ok'], OPEN),
    ('IPv6 host', b'GET PATH HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', ['ok'], OPEN),
    ('Connection: close', header(b'Connection: close'), ['ok'], CLOSED),
    ('Connection: a list with close', header(b'Connection: x, Close'), ['ok'], CLOSED),
    ('HTTP/1.0', b'GET PATH HTTP/1.0\r\n\r\n', ['ok'], CLOSED),
    ('HTTP/1.0 keep-alive', b'GET PATH HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', ['ok'], OPEN),
    ('Expect in HTTP/1.0 says nothing',
     b'POST PATH HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc', ['ok'], CLOSED),
    # Content-Length
    ('Content-Length not a number', length(b' abc') + b'abc', ['400'], CLOSED),
    ('Content-Length negative', length(b' -1') + b'abc', ['400'], CLOSED),
    ('Content-Length with a plus', length(b' +3') + b'abc', ['400'], CLOSED),
    ('Content-Length in hex', length(b' 0x3') + b'abc', ['400'], CLOSED),
    ('Content-Length with a space inside', length(b' 3 3') + b'abc', ['400'], CLOSED),
    ('Content-Length with a fraction', length(b' 3.0') + b'abc', ['400'], CLOSED),
    ('Content-Length 2^64+3', length(b' 18446744073709551619') + b'abc', ['400'], CLOSED),
    ('Content-Length of thirty digits', length(b' ' + b'9' * 30) + b'abc', ['400'], CLOSED),
    ('Content-Length empty', length(b' '), ['400'], CLOSED),
    ('Content-Length a list', length(b' 3, 3') + b'abc', ['400'], CLOSED),
    ('two different Content-Length', POST + b'Content-Length: 0\r\nContent-Length: 35\r\n\r\n',
     ['400'], CLOSED),
    ('two equal Content-Length', POST + b'Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc',
     ['400'], CLOSED),
    ('Content-Length far too large', length(b' 99999999999') + b'abc', ['413'], CLOSED),
    # Transfer-Encoding
    ('chunked with Content-Length', coding(b'chunked', b'Content-Length: 41\r\n'), ['400'], CLOSED),
    ('Content-Length with chunked', POST + b'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'
     b'\r\n0\r\n\r\n', ['400'], CLOSED),
    ('unknown coding', coding(b'xchunked'), ['501'], CLOSED),
    ('identity coding', coding(b'identity'), ['501'], CLOSED),
    ('gzip, chunked', coding(b'gzip, chunked'), ['501'], CLOSED),
    ('chunked, gzip', coding(b'chunked, gzip'), ['501'], CLOSED),
    ('chunked, chunked', coding(b'chunked, chunked'), ['501'], CLOSED),
    ('chunked in quotes', coding(b'"chunked"'), ['501'], CLOSED),
    ('chunked with a vertical tab', coding(b'\x0bchunked'), ['400'], CLOSED),
    ('chunked with a comma', coding(b'chunked,'), ['501'], CLOSED),
    ('coding empty', coding(b''), ['400'], CLOSED),
    ('coding twice', coding(b'chunked', b'Transfer-Encoding: identity\r\n'), ['400'], CLOSED),
    ('chunked twice', coding(b'chunked', b'Transfer-Encoding: chunked\r\n'), ['400'], CLOSED),
    ('coding in HTTP/1.0', b'POST PATH HTTP/1.0\r\n' + H + b'Connection: keep-alive\r\n'
     b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', ['400'], CLOSED),
    ('space before the colon', POST + b'Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n'
     b'0\r\n\r\n', ['400'], CLOSED),
    ('tab before the colon', POST + b'Content-Length\t: 5\r\n\r\n', ['400'], CLOSED),
    # lines
    ('obs-fold', header(b'X: a\r\n b'), ['400'], CLOSED),
    ('obs-fold with a tab', header(b'X: a\r\n\tb'), ['400'], CLOSED),
    ('first header begins with a space', b'GET PATH HTTP/1.1\r\n Host: a\r\n\r\n', ['400'], CLOSED),
    ('bare LF lines', b'GET PATH HTTP/1.1\nHost: a\n\n', ['400'], CLOSED),
    ('bare LF after a header', b'GET PATH HTTP/1.1\r\nHost: a\n\r\n', ['400'], CLOSED),
    ('bare LF at the end of the head', GET + b'\n', ['400'], CLOSED),
    ('bare CR in a value', header(b'X: a\rY: b'), ['400'], CLOSED),
    ('CR CR LF', header(b'X: a\r'), ['400'], CLOSED),
    ('NUL in a value', header(b'X: a\x00b'), ['400'], CLOSED),
    ('DEL in a value', header(b'X: a\x7fb'), ['400'], CLOSED),
    ('NUL in the target', line(b'GET PATH\x00b HTTP/1.1'), ['400'], CLOSED),
    ('tab in the target', line(b'GET PATH\tb HTTP/1.1'), ['400'], CLOSED),
    ('non-ASCII in the target', line(b'GET PATH\xc3\xa4 HTTP/1.1'), ['400'], CLOSED),
    ('fragment in the target', line(b'GET PATH#top HTTP/1.1'), ['400'], CLOSED),
    ('invalid character in a name', header(b'X(y): 1'), ['400'], CLOSED),
    ('non-ASCII in a name', header(b'X\xe4: 1'), ['400'], CLOSED),
    ('empty name', header(b': x'), ['400'], CLOSED),
    ('header without a colon', header(b'nothing'), ['400'], CLOSED),
    ('two empty lines in front', b'\r\n\r\n' + GET + b'\r\n', ['400'], CLOSED),
    ('spaces in front', b' ' + GET + b'\r\n', ['400'], CLOSED),
    # Host
    ('no Host', b'GET PATH HTTP/1.1\r\n\r\n', ['400'], CLOSED),
    ('two Hosts', GET + b'Host: b\r\n\r\n', ['400'], CLOSED),
    ('two equal Hosts', GET + H + b'\r\n', ['400'], CLOSED),
    ('empty Host', b'GET PATH HTTP/1.1\r\nHost:\r\n\r\n', ['400'], CLOSED),
    ('Host with a path', b'GET PATH HTTP/1.1\r\nHost: a/b\r\n\r\n', ['400'], CLOSED),
    ('Host with user information', b'GET PATH HTTP/1.1\r\nHost: b@a\r\n\r\n', ['400'], CLOSED),
    ('Host a list', b'GET PATH HTTP/1.1\r\nHost: a, b\r\n\r\n', ['400'], CLOSED),
    ('Host with a broken port', b'GET PATH HTTP/1.1\r\nHost: a:8x\r\n\r\n', ['400'], CLOSED),
    # the request line
    ('target without a slash', line(b'GET foo HTTP/1.1'), ['400'], CLOSED),
    ('asterisk with GET', line(b'GET * HTTP/1.1'), ['400'], CLOSED),
    ('absolute-form of another scheme', line(b'GET ftp://b/x HTTP/1.1'), ['400'], CLOSED),
    ('absolute-form without a host', line(b'GET http:///x HTTP/1.1'), ['400'], CLOSED),
    ('absolute-form with user information', line(b'GET http://u@b/x HTTP/1.1'), ['400'], CLOSED),
    ('two spaces before the target', line(b'GET  PATH HTTP/1.1'), ['400'], CLOSED),
    ('two spaces behind the target', line(b'GET PATH  HTTP/1.1'), ['400'], CLOSED),
    ('a space at the end', line(b'GET PATH HTTP/1.1 '), ['400'], CLOSED),
    ('a tab instead of a space', line(b'GET\tPATH HTTP/1.1'), ['400'], CLOSED),
    ('no target', line(b'GET HTTP/1.1'), ['400'], CLOSED),
    ('method not a token', line(b'GE(T PATH HTTP/1.1'), ['400'], CLOSED),
    ('method far too long', line(b'G' * 33 + b' PATH HTTP/1.1'), ['501'], CLOSED),
    ('HTTP/9.9', line(b'GET PATH HTTP/9.9'), ['505'], CLOSED),
    ('HTTP/1.2', line(b'GET PATH HTTP/1.2'), ['505'], CLOSED),
    ('HTTP/2.0 in words', line(b'GET PATH HTTP/2.0'), ['505'], CLOSED),
    ('HTTP/0.9', b'GET PATH\r\n', ['400'], CLOSED),
    ('http in lower case', line(b'GET PATH http/1.1'), ['400'], CLOSED),
    ('HTTP/1.10', line(b'GET PATH HTTP/1.10'), ['400'], CLOSED),
    ('HTTP/1', line(b'GET PATH HTTP/1'), ['400'], CLOSED),
    ('CONNECT', line(b'CONNECT a:1 HTTP/1.1'), ['405'], CLOSED),
    ('another expectation', header(b'Expect: 200-ok'), ['417'], CLOSED),
    ('a TLS hello in clear', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'z' * 40 + b'\r\n\r\n',
     ['400'], CLOSED),
    ('a broken preface of HTTP/2', b'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', ['505'], CLOSED),
    # sizes
    ('a header of 64 KiB', header(b'X: ' + b'a' * 65536), ['431'], CLOSED),
    ('1000 headers', header(b'\r\n'.join(b'X%d: y' % i for i in range(1000))), ['431'], CLOSED),
    ('a target of 64 KiB', line(b'GET PATH?' + b'a' * 65536 + b' HTTP/1.1'), ['414'], CLOSED),
    ('a request line that never ends', b'GET PATH?' + b'a' * 65536, ['414'], CLOSED),
    # chunks
    ('chunk size overflow', CHUNKED + b'10000000000000003\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('chunk size with 0x', CHUNKED + b'0x3\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('chunk size negative', CHUNKED + b'-3\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('chunk size with a plus', CHUNKED + b'+3\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('chunk size empty', CHUNKED + b'\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('space before the chunk size', CHUNKED + b' 3\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('space behind the chunk size', CHUNKED + b'3 \r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('chunk size not hex', CHUNKED + b'3g\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('chunk data longer than its size', CHUNKED + b'3\r\nabcXX0\r\n\r\n', ['400'], CLOSED),
    ('chunk data shorter than its size', CHUNKED + b'5\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('bare LF behind the chunk size', CHUNKED + b'3\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('bare LF behind the chunk data', CHUNKED + b'3\r\nabc\n0\r\n\r\n', ['400'], CLOSED),
    ('bare LF in a chunk extension', CHUNKED + b'3;a\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('bare CR in a chunk extension', CHUNKED + b'3;a\rb\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('NUL in a chunk extension', CHUNKED + b'3;\x00\r\nabc\r\n0\r\n\r\n', ['400'], CLOSED),
    ('chunk extensions without end', CHUNKED + b'1;' + b'a' * 5000 + b'\r\nx\r\n0\r\n\r\n', ['400'],
     CLOSED),
    ('a trailer that is no header', CHUNKED + b'0\r\nno colon\r\n\r\n', ['400'], CLOSED),
    ('a trailer with bare LF', CHUNKED + b'0\r\nX: y\n\r\n', ['400'], CLOSED),
    ('trailers without end', CHUNKED + b'0\r\nX: ' + b'a' * 5000 + b'\r\n\r\n', ['400'], CLOSED),
]

# Rows that are sent through TLS as well: those that a proxy in front would be fooled by.
MAIN = {
    'a plain GET', 'three pipelined', 'POST then GET pipelined', 'chunked body',
    'Expect: 100-continue', 'HTTP/1.0', 'two different Content-Length',
    'chunked with Content-Length', 'gzip, chunked', 'coding twice', 'coding in HTTP/1.0',
    'space before the colon', 'obs-fold', 'bare LF lines', 'NUL in a value', 'two Hosts',
    'chunk data longer than its size', 'bare LF in a chunk extension', 'a header of 64 KiB',
    'HTTP/9.9', 'Content-Length far too large',
}
