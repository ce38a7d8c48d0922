# SPDX-License-Identifier: Apache-2.0
"""What openapi.yaml says of itself: references, names, examples, errors."""
import re

import contract


def references(node):
    if isinstance(node, dict):
        if '$ref' in node:
            yield node['$ref']
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_of_the_document_leads_somewhere_and_every_part_is_used():
    document = contract.document()
    used = set(references(document))
    for reference in used:
        contract.resolve({'$ref': reference})
    for kind in ('schemas', 'parameters', 'responses', 'headers'):
        for name in document['components'][kind]:
            assert f'#/components/{kind}/{name}' in used, f'{kind} {name} is used nowhere'


def test_every_operation_has_a_name_of_its_own_and_declares_its_parameters():
    names = [operation['operationId'] for _, _, operation in contract.operations()]
    assert len(names) == len(set(names))
    for method, path, operation in contract.operations():
        declared = [contract.resolve(one) for one in operation.get('parameters', [])]
        in_path = {one['name'] for one in declared if one['in'] == 'path'}
        assert in_path == set(re.findall(r'{(\w+)}', path)), f'{method} {path}'


def test_examples_of_the_document_fit_their_schemas():
    checked = 0
    for _, _, operation in contract.operations():
        media = list(operation.get('requestBody', {}).get('content', {}).values())
        for response in operation['responses'].values():
            media += contract.resolve(response).get('content', {}).values()
        for one in media:
            values = [one['example']] if 'example' in one else []
            values += [item['value'] for item in one.get('examples', {}).values()]
            for value in values:
                assert not contract.problems(one['schema'], value), value
                checked += 1
    assert checked > 10


def test_every_error_of_the_document_has_its_status_in_the_table():
    codes = contract.document()['components']['schemas']['Error']['properties']['code']['enum']
    table = contract.document()['info']['description']
    for code in codes:
        assert re.search(rf'\| [\w, ]*\b{code}\b[\w, ]* \| \d{{3}} \|', table), code
