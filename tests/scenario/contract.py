# SPDX-License-Identifier: Apache-2.0
"""contract - whether an answer is what src/api/openapi.yaml promises.

A small checker of the part of JSON Schema 2020-12 that the document uses; a keyword that it does
not know is an error, so that nothing is promised unchecked. `seen` counts the operations and
statuses that the session met.
"""
import collections
import functools
import json
import pathlib
import re
import urllib.parse

import yaml

PATH = pathlib.Path(__file__).resolve().parents[2] / 'src' / 'api' / 'openapi.yaml'
SAYS_NOTHING = {'description', 'example', 'examples', 'default', 'format', 'title', 'deprecated',
                'contentEncoding', 'contentMediaType', 'readOnly', 'writeOnly', '$comment'}
TYPES = {
    'object': lambda v: isinstance(v, dict),
    'array': lambda v: isinstance(v, list),
    'string': lambda v: isinstance(v, str),
    'integer': lambda v: isinstance(v, int) and not isinstance(v, bool),
    'number': lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    'boolean': lambda v: isinstance(v, bool),
    'null': lambda v: v is None,
}
seen = collections.Counter()  # (method, path of the document, status)


@functools.lru_cache(maxsize=None)
def document():
    return yaml.safe_load(PATH.read_text())


def resolve(node):
    while isinstance(node, dict) and '$ref' in node:
        target = document()
        for step in node['$ref'].removeprefix('#/').split('/'):
            target = target[step]
        node = target
    return node


def _same(a, b):
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _counts(schemas, value, where):
    return sum(1 for one in schemas if not problems(one, value, where))


def _object(schema, value, where):
    known = schema.get('properties', {})
    rest = schema.get('additionalProperties', True)
    for key in schema.get('required', []):
        if key not in value:
            yield f'{where}.{key} is missing'
    if len(value) > schema.get('maxProperties', len(value)):
        yield f'{where} has too many members'
    for key, item in value.items():
        if key in known:
            yield from problems(known[key], item, f'{where}.{key}')
        elif rest is False:
            yield f'{where}.{key} is not in the document'
        elif isinstance(rest, dict):
            yield from problems(rest, item, f'{where}.{key}')


def _array(schema, value, where):
    if not schema.get('minItems', 0) <= len(value) <= schema.get('maxItems', len(value)):
        yield f'{where} has {len(value)} items'
    for index, item in enumerate(value):
        yield from problems(schema.get('items', {}), item, f'{where}[{index}]')


def _string(schema, value, where):
    if not schema.get('minLength', 0) <= len(value) <= schema.get('maxLength', len(value)):
        yield f'{where} has a length of {len(value)}'
    if 'pattern' in schema and not re.search(schema['pattern'], value):
        yield f'{where} is {value!r}, not {schema["pattern"]}'


def _number(schema, value, where):
    if not schema.get('minimum', value) <= value <= schema.get('maximum', value):
        yield f'{where} is {value}, out of its range'


BY_TYPE = [
    (dict, {'properties', 'required', 'additionalProperties', 'maxProperties'}, _object),
    (list, {'items', 'minItems', 'maxItems'}, _array),
    (str, {'minLength', 'maxLength', 'pattern'}, _string),
    ((int, float), {'minimum', 'maximum'}, _number),
]
COMBINED = {'$ref', 'type', 'enum', 'const', 'oneOf', 'anyOf', 'allOf'}
KNOWN = SAYS_NOTHING | COMBINED | set().union(*(keys for _, keys, _ in BY_TYPE))


def problems(schema, value, where='answer'):
    """What is wrong with a value, as sentences; an empty list when nothing is."""
    schema = resolve(schema)
    unknown = set(schema) - KNOWN
    assert not unknown, f'the checker does not know {unknown} at {where}'
    types = schema.get('type', list(TYPES))
    types = types if isinstance(types, list) else [types]
    if not any(TYPES[name](value) for name in types):
        return [f'{where} is {value!r}, not {types}']
    found = []
    if 'enum' in schema and not any(_same(value, item) for item in schema['enum']):
        found.append(f'{where} is {value!r}, not one of {schema["enum"]}')
    if 'const' in schema and not _same(value, schema['const']):
        found.append(f'{where} is {value!r}, not {schema["const"]!r}')
    for one in schema.get('allOf', []):
        found += problems(one, value, where)
    if 'anyOf' in schema and not _counts(schema['anyOf'], value, where):
        found.append(f'{where} fits none of anyOf')
    if 'oneOf' in schema and _counts(schema['oneOf'], value, where) != 1:
        found.append(f'{where} fits not exactly one of oneOf')
    for kind, _, check_kind in BY_TYPE:
        if isinstance(value, kind) and not isinstance(value, bool):
            found += check_kind(schema, value, where)
    return found


@functools.lru_cache(maxsize=None)
def _patterns():
    out = []
    for path in document()['paths']:
        parts = re.split(r'\{[a-z]+\}', path)
        out.append((re.compile('[^/]+'.join(map(re.escape, parts)) + '$'), path))
    return sorted(out, key=lambda row: row[1].count('{'))  # the more literal path first


def operations():
    """(method, path, operation) of the document."""
    for path, methods in document()['paths'].items():
        for method, operation in methods.items():
            if method != '$ref':
                yield method.upper(), path, operation


def operation(method, target):
    """(path of the document, operation) for a request, (None, None) where it has none."""
    path = urllib.parse.urlsplit(target).path
    for pattern, name in _patterns():
        if pattern.match(path):
            methods = document()['paths'][name]
            found = methods.get('get' if method == 'HEAD' else method.lower())
            return (name, found) if found else (None, None)
    return None, None


def check(method, target, answer):
    """Fails if the answer is not one that the document promises for this request."""
    name, found = operation(method, target)
    if found is None:
        assert answer.status >= 400, f'{method} {target} is not in openapi.yaml: {answer}'
        check_error(answer, method)
        return
    seen[method, name, answer.status] += 1
    responses = found['responses']
    other = responses.get('default') if answer.status >= 400 else None
    promised = responses.get(str(answer.status), other)
    assert promised, f'{method} {name}: {answer.status} is not in openapi.yaml: {answer}'
    promised = resolve(promised)
    for header, spec in promised.get('headers', {}).items():
        if resolve(spec).get('required'):
            assert header.lower() in answer.headers, f'{method} {name}: no {header}: {answer}'
    content = promised.get('content')
    if method == 'HEAD' or not content:
        assert not answer.body, f'{method} {name}: {answer.status} has no body: {answer}'
        return
    kind = answer.headers.get('content-type', '').split(';')[0]
    media = content.get(kind, content.get('*/*'))
    assert media is not None, f'{method} {name}: {answer.status} is not {kind!r}'
    if kind == 'application/json' and 'schema' in media:
        wrong = problems(media['schema'], json.loads(answer.body))
        assert not wrong, f'{method} {name} {answer.status}: {wrong}'


def check_error(answer, method='GET'):
    """Fails unless the answer is an error in the one shape."""
    if method == 'HEAD':
        return
    assert answer.headers.get('content-type') == 'application/json', answer
    wrong = problems({'$ref': '#/components/schemas/Error'}, answer.json())
    assert not wrong, wrong
