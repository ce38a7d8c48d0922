# SPDX-License-Identifier: Apache-2.0
"""vcd_admin - what a system administrator of vCloud Director finds in its REST API, played.

The other half of the mock in vcd_cell.py: sessions, extension services with their API filters, and
blocking tasks. Written from VMware's reference and from what public clients send; it is strict where
these say something (types, versions, order of elements, who may), and where they say nothing, such
as which status a second service of one namespace gets, it is a guess that is marked as one.

    cell.admin.users['administrator@System']    the password
    cell.admin.services                         what was registered
    task = cell.add_blocking_task()             task.status: 'activeTask', 'resumed', 'aborted', 'failed'
    cell.admin.instead = lambda method, path: (200, {}, b'<broken')     None: as it would have been
"""
import base64
import datetime
import json
import re
import secrets
import subprocess
import urllib.parse
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr

VCLOUD = 'http://www.vmware.com/vcloud/v1.5'
VMEXT = 'http://www.vmware.com/vcloud/extension/v1.5'
VERSIONS = 'http://www.vmware.com/vcloud/versions'
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'

SERVICE_TYPE = 'application/vnd.vmware.admin.service+xml'
FILTER_TYPE = 'application/vnd.vmware.admin.apiFilter+xml'
TASK_TYPE = 'application/vnd.vmware.admin.blockingTask+xml'
PARAMS_TYPE = 'application/vnd.vmware.admin.blockingTaskOperationParams+xml'
PROGRESS_TYPE = 'application/vnd.vmware.admin.blockingTaskUpdateProgressOperationParams+xml'
RECORDS_TYPE = 'application/vnd.vmware.vcloud.query.records+xml'

# What may stand in a service, in this order.
SERVICE_MEMBERS = ('Namespace', 'Enabled', 'AuthorizationEnabled', 'RoutingKey', 'Priority', 'Exchange',
                   'ServiceLinks', 'ApiFilters')
UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
ENDED_BY = {'resume': 'resumed', 'abort': 'aborted', 'fail': 'failed'}


class Refused(Exception):
    def __init__(self, status, minor, message):
        super().__init__(message)
        self.status, self.minor, self.message = status, minor, message


class Service:
    """An extension service, and the filters {id: pattern} that lead requests to it."""

    def __init__(self, name):
        self.id, self.name, self.filters = str(uuid.uuid4()), name, {}
        self.namespace = self.routing_key = self.exchange = None
        self.is_enabled, self.is_authorized, self.priority = False, False, 0

    def fits(self, path):
        return self.is_enabled and any(re.fullmatch(one, path) for one in self.filters.values())

    @property
    def patterns(self):
        return list(self.filters.values())


class BlockingTask:
    """An operation of vCloud Director's that stands still until somebody decides."""

    def __init__(self, operation, timeout_s, timeout_action):
        self.id, self.operation = str(uuid.uuid4()), operation
        self.urn = f'urn:vcloud:blockingTask:{self.id}'
        self.timeout_action = timeout_action
        self.status, self.message = 'activeTask', None
        self.actions = []           # (action, message), in the order of their coming
        self.set_timeout(timeout_s)

    def set_timeout(self, seconds):
        self.timeout_at = now() + datetime.timedelta(seconds=seconds)

    def expire(self):
        if self.status == 'activeTask' and now() > self.timeout_at:
            self.status, self.message = ENDED_BY[self.timeout_action], 'timeout'


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def certificate(folder):
    """Makes ca.pem, and server.pem with its key for the name localhost; gives (ca, server)."""
    def openssl(*arguments):
        subprocess.run(['openssl', *arguments], cwd=folder, check=True, capture_output=True)
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj',
            '/CN=authority of a cell', '-keyout', 'ca.key', '-out', 'ca.pem')
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout',
            'server.key', '-out', 'server.csr')
    (folder / 'names').write_text('subjectAltName=DNS:localhost\n')
    openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key',
            '-CAcreateserial', '-days', '2', '-extfile', 'names', '-out', 'server.pem')
    with open(folder / 'server.pem', 'a') as both:
        both.write((folder / 'server.key').read_text())
    return folder / 'ca.pem', folder / 'server.pem'


def local(element):
    return element.tag.rpartition('}')[2]


def document(body, name):
    """The root of an XML body, which must have that name in vmext."""
    try:
        root = ET.fromstring(body)
    except ET.ParseError as why:
        raise Refused(400, 'BAD_REQUEST', f'not XML: {why}') from why
    if root.tag != f'{{{VMEXT}}}{name}':
        raise Refused(400, 'BAD_REQUEST', f'{root.tag} instead of {name}')
    return root


def members(root, allowed, needed):
    """{name: element} of the children, which must stand in the order of `allowed`."""
    names = [local(child) for child in root]
    if any(not child.tag.startswith(f'{{{VMEXT}}}') for child in root):
        raise Refused(400, 'BAD_REQUEST', 'a child is not in the namespace of the extension')
    if any(name not in allowed for name in names):
        raise Refused(400, 'BAD_REQUEST', f'one of {names} is not of this type')
    if names != sorted(set(names), key=allowed.index):
        raise Refused(400, 'BAD_REQUEST', f'{names} is not the order of the schema')
    for name in needed:
        if name not in names:
            raise Refused(400, 'BAD_REQUEST', f'{name} is missing')
    return {local(child): child for child in root}


def text(found, name, default=None):
    return (found[name].text or '') if name in found else default


def boolean(word):
    if word not in ('true', 'false'):
        raise Refused(400, 'BAD_REQUEST', f'{word} is neither true nor false')
    return word == 'true'


def check_pattern(pattern):
    try:
        re.compile(pattern)
    except re.error as why:
        raise Refused(400, 'BAD_REQUEST', f'UrlPattern: {why}') from why
    if not pattern or len(pattern) > 1024:
        raise Refused(400, 'BAD_REQUEST', 'UrlPattern has 1 to 1024 characters')
    return pattern


class Admin:
    versions = ('31.0', '32.0', '33.0', '36.3', '37.2')
    page_size = 25

    def __init__(self):
        self.users = {'administrator@System': 'a secret', 'auditor@System': 'another',
                      'ada@acme': 'a third'}
        self.powerful = {'administrator@System'}
        self.sessions = {}          # token → user
        self.session_ids = {}       # id → token
        self.services, self.tasks = [], {}
        self.seen = []              # (method, path with query, headers)
        self.instead = None
        self.base = ''              # the cell's address, for links

    PREFIXES = ('/api/session', '/api/versions', '/cloudapi/', '/api/admin/', '/api/entity/')

    def is_asked(self, path):
        return path.startswith(self.PREFIXES)

    def handle(self, method, target, headers, body):
        """(status, headers, body) of the answer to one request."""
        headers = {name.lower(): value for name, value in headers.items()}
        path, _, query = target.partition('?')
        self.seen.append((method, target, headers))
        special = self.instead and self.instead(method, path)
        if special:
            return special
        try:
            return self.route(method, path, urllib.parse.parse_qs(query), headers, body)
        except Refused as no:
            return self.error(no, path.startswith('/cloudapi/'))

    def error(self, no, is_json):
        more = {'WWW-Authenticate': 'Basic realm="vCloud Director"'} if no.status == 401 else {}
        if is_json:
            out = {'minorErrorCode': no.minor, 'message': no.message, 'stackTrace': None}
            return no.status, {'Content-Type': 'application/json', **more}, json.dumps(out).encode()
        out = (f'{HEAD}<Error xmlns="{VCLOUD}" message={quoteattr(no.message)} '
               f'majorErrorCode="{no.status}" minorErrorCode="{no.minor}"/>')
        kind = 'application/vnd.vmware.vcloud.error+xml'
        return no.status, {'Content-Type': kind, **more}, out.encode()

    def route(self, method, path, query, headers, body):
        for way, pattern, handler in self.ROUTES:
            found = re.fullmatch(pattern, path)
            if found and way == method:
                return handler(self, found, query, headers, body)
        if any(re.fullmatch(pattern, path) for _, pattern, _ in self.ROUTES):
            raise Refused(405, 'METHOD_NOT_ALLOWED', f'{method} is not for {path}')
        raise Refused(404, 'RESOURCE_NOT_FOUND', f'no such resource: {path}')

    # ---- who asks, and in which version ----

    def version(self, headers, kind):
        accept = re.fullmatch(rf'{kind};\s*version=(\d+\.\d+)', headers.get('accept', ''))
        if not accept or accept[1] not in self.versions:
            raise Refused(406, 'NOT_ACCEPTABLE',
                          f'The request has invalid accept header: {headers.get("accept")}')
        return float(accept[1])

    def check_credentials(self, headers):
        kind, _, rest = headers.get('authorization', '').partition(' ')
        try:
            user, _, password = base64.b64decode(rest, validate=True).decode().partition(':')
        except ValueError:
            user = password = None
        if kind != 'Basic' or not user or self.users.get(user) != password:
            raise Refused(401, 'UNAUTHORIZED', 'Unauthorized')
        return user

    def new_session(self, user):
        token, number = secrets.token_urlsafe(24), f'urn:vcloud:session:{uuid.uuid4()}'
        self.sessions[token], self.session_ids[number] = user, token
        return token, number

    def token(self, headers):
        kind, _, bearer = headers.get('authorization', '').partition(' ')
        token = bearer if kind == 'Bearer' else headers.get('x-vcloud-authorization')
        if token not in self.sessions:
            raise Refused(401, 'UNAUTHORIZED', 'no session')
        return token

    def enter(self, headers):
        """What every request to /api/admin must bring."""
        token = self.token(headers)
        self.version(headers, r'application/\*\+xml')
        if self.sessions[token] not in self.powerful:
            raise Refused(403, 'ACCESS_TO_RESOURCE_IS_FORBIDDEN',
                          'The user has no right: Extensions: View, Change')

    def get_versions(self, *_):
        infos = ''.join(f'<VersionInfo deprecated="false"><Version>{one}</Version>'
                        f'<LoginUrl>{self.base}/api/sessions</LoginUrl></VersionInfo>'
                        for one in self.versions)
        out = f'{HEAD}<SupportedVersions xmlns="{VERSIONS}">{infos}</SupportedVersions>'
        return 200, {'Content-Type': 'text/xml'}, out.encode()

    def post_sessions(self, _found, _query, headers, _body):
        if self.version(headers, r'application/\*\+xml') >= 37:
            raise Refused(404, 'RESOURCE_NOT_FOUND', 'POST /sessions was removed in 37.0')
        user = self.check_credentials(headers)
        token, number = self.new_session(user)
        name, _, org = user.partition('@')
        out = f'{HEAD}<Session xmlns="{VCLOUD}" user="{name}" org="{org}" id="{number}"/>'
        return 200, {'x-vcloud-authorization': token,
                     'Content-Type': 'application/vnd.vmware.vcloud.session+xml'}, out.encode()

    def post_provider(self, _found, _query, headers, _body):
        if self.version(headers, 'application/json') < 33:
            raise Refused(404, 'RESOURCE_NOT_FOUND', 'sessions are here from 33.0 on')
        user = self.check_credentials(headers)
        if not user.endswith('@System'):
            raise Refused(401, 'UNAUTHORIZED', 'Unauthorized')
        token, number = self.new_session(user)
        out = json.dumps({'id': number, 'user': {'name': user.split('@')[0]}}).encode()
        return 200, {'X-VMWARE-VCLOUD-ACCESS-TOKEN': token, 'X-VMWARE-VCLOUD-TOKEN-TYPE': 'Bearer',
                     'Content-Type': 'application/json'}, out

    def delete_session(self, found, _query, headers, _body):
        token = self.token(headers)
        if found.groups() and self.session_ids.get(found[1]) != token:
            raise Refused(404, 'RESOURCE_NOT_FOUND', 'no such session')
        del self.sessions[token]
        return 204, {}, b''

    # ---- extension services ----

    def take(self, service, root):
        found = members(root, SERVICE_MEMBERS, ('Namespace', 'Enabled', 'RoutingKey', 'Exchange'))
        if not re.fullmatch(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)*', text(found, 'Namespace')):
            raise Refused(400, 'BAD_REQUEST', 'Namespace is not like that of a Java package')
        priority = text(found, 'Priority', str(service.priority))
        if not priority.isdecimal() or int(priority) > 100:
            raise Refused(400, 'BAD_REQUEST', 'Priority is 0 to 100')
        patterns = []
        for child in found.get('ApiFilters', ()):
            inside = members(child, ('UrlPattern', 'ResponseContentType'), ('UrlPattern',))
            patterns.append(check_pattern(text(inside, 'UrlPattern')))
        service.namespace, service.priority = text(found, 'Namespace'), int(priority)
        service.is_enabled = boolean(text(found, 'Enabled'))
        service.is_authorized = boolean(text(found, 'AuthorizationEnabled', 'false'))
        service.routing_key = text(found, 'RoutingKey')
        service.exchange = text(found, 'Exchange')
        for pattern in patterns:
            service.filters[str(uuid.uuid4())] = pattern

    def need_type(self, headers, kind):
        if headers.get('content-type', '').partition(';')[0].strip() != kind:
            raise Refused(415, 'UNSUPPORTED_MEDIA_TYPE', f'{kind} is needed')

    def named(self, root):
        if not root.get('name'):
            raise Refused(400, 'BAD_REQUEST', 'a service has a name')
        return root.get('name')

    def post_service(self, _found, _query, headers, body):
        self.enter(headers)
        self.need_type(headers, SERVICE_TYPE)
        root = document(body, 'Service')
        service = Service(self.named(root))
        self.take(service, root)
        if any(one.namespace == service.namespace for one in self.services):
            # A guess: no document says how a second one is refused.
            raise Refused(400, 'DUPLICATE_NAME', f'namespace {service.namespace} is in use')
        self.services.append(service)
        return 201, {'Content-Type': SERVICE_TYPE}, self.service_document(service)

    def service_document(self, service):
        address = f'{self.base}/api/admin/extension/service/{service.id}'
        values = {'Namespace': service.namespace, 'Enabled': str(service.is_enabled).lower(),
                  'AuthorizationEnabled': str(service.is_authorized).lower(),
                  'RoutingKey': service.routing_key, 'Priority': str(service.priority),
                  'Exchange': service.exchange}
        root = ET.Element(f'{{{VMEXT}}}Service', name=service.name, href=address,
                          id=f'urn:vcloud:externalService:{service.id}', type=SERVICE_TYPE)
        for name, value in values.items():
            ET.SubElement(root, f'{{{VMEXT}}}{name}').text = value
        return HEAD.encode() + ET.tostring(root)

    def service_of(self, number):
        for service in self.services:
            if service.id == number:
                return service
        raise Refused(404, 'RESOURCE_NOT_FOUND', f'no service {number}')

    def get_service(self, found, _query, headers, _body):
        self.enter(headers)
        service = self.service_of(found[1])
        return 200, {'Content-Type': SERVICE_TYPE}, self.service_document(service)

    def put_service(self, found, _query, headers, body):
        self.enter(headers)
        self.need_type(headers, SERVICE_TYPE)
        service = self.service_of(found[1])
        root = document(body, 'Service')
        changed = Service(self.named(root))
        self.take(changed, root)
        if changed.namespace != service.namespace:
            raise Refused(400, 'BAD_REQUEST', 'the namespace of a service stays')
        kept = (service.id, service.filters)
        service.__dict__.update(changed.__dict__)
        service.id, service.filters = kept
        return 200, {'Content-Type': SERVICE_TYPE}, self.service_document(service)

    def delete_service(self, found, _query, headers, _body):
        self.enter(headers)
        service = self.service_of(found[1])
        if service.is_enabled:
            raise Refused(400, 'BAD_REQUEST', 'a service that is enabled cannot be deleted')
        self.services.remove(service)
        return 204, {}, b''

    def records(self, name, rows, query):
        """One page of a query's result."""
        size = min(int(query.get('pageSize', [self.page_size])[0]), 128)
        page = int(query.get('page', ['1'])[0])
        if size < 1 or page < 1:
            raise Refused(400, 'BAD_REQUEST', 'page and pageSize are 1 and more')
        if query.get('format', ['records']) != ['records']:
            raise Refused(400, 'BAD_REQUEST', 'only records are played here')
        root = ET.Element(f'{{{VCLOUD}}}QueryResultRecords', name=name, page=str(page),
                          pageSize=str(size), total=str(len(rows)))
        for row in rows[(page - 1) * size:page * size]:
            ET.SubElement(root, f'{{{VCLOUD}}}{name[0].upper()}{name[1:]}Record', row)
        return 200, {'Content-Type': RECORDS_TYPE}, HEAD.encode() + ET.tostring(root)

    def query_services(self, _found, query, headers, _body):
        self.enter(headers)
        return self.records('adminService', [
            {'name': one.name, 'namespace': one.namespace, 'routingKey': one.routing_key,
             'exchange': one.exchange, 'priority': str(one.priority),
             'enabled': str(one.is_enabled).lower(),
             'isAuthorizationEnabled': str(one.is_authorized).lower(),
             'href': f'{self.base}/api/admin/extension/service/{one.id}'}
            for one in self.services], query)

    def get_filters(self, found, query, headers, _body):
        self.enter(headers)
        address = f'{self.base}/api/admin/extension/service/apifilter'
        return self.records('apiFilter', [
            {'urlPattern': pattern, 'href': f'{address}/{number}'}
            for number, pattern in self.service_of(found[1]).filters.items()], query)

    def post_filter(self, found, _query, headers, body):
        self.enter(headers)
        self.need_type(headers, FILTER_TYPE)
        service = self.service_of(found[1])
        inside = members(document(body, 'ApiFilter'), ('UrlPattern', 'ResponseContentType'),
                         ('UrlPattern',))
        service.filters[str(uuid.uuid4())] = check_pattern(text(inside, 'UrlPattern'))
        return 201, {'Content-Type': FILTER_TYPE}, HEAD.encode() + body

    def delete_filter(self, found, _query, headers, _body):
        self.enter(headers)
        for service in self.services:
            if service.filters.pop(found[1], None):
                return 204, {}, b''
        raise Refused(404, 'RESOURCE_NOT_FOUND', f'no filter {found[1]}')

    # ---- blocking tasks ----

    def add_task(self, operation='vdcInstantiateVapp', timeout_s=3600, timeout_action='abort'):
        task = BlockingTask(operation, timeout_s, timeout_action)
        self.tasks[task.id] = task
        return task

    def task_of(self, number):
        if number not in self.tasks:
            raise Refused(404, 'RESOURCE_NOT_FOUND', f'no blocking task {number}')
        self.tasks[number].expire()
        return self.tasks[number]

    def get_task(self, found, _query, headers, _body):
        self.enter(headers)
        task = self.task_of(found[1])
        root = ET.Element(f'{{{VMEXT}}}BlockingTask', {
            'id': task.urn, 'name': task.operation, 'status': task.status, 'type': TASK_TYPE,
            'href': f'{self.base}/api/admin/extension/blockingTask/{task.id}',
            'timeoutDate': task.timeout_at.isoformat(timespec='milliseconds'),
            'timeoutAction': task.timeout_action})
        return 200, {'Content-Type': TASK_TYPE}, HEAD.encode() + ET.tostring(root)

    def post_action(self, found, _query, headers, body):
        self.enter(headers)
        task, action = self.task_of(found[1]), found[2]
        is_progress = action == 'updateProgress'
        self.need_type(headers, PROGRESS_TYPE if is_progress else PARAMS_TYPE)
        if is_progress:
            inside = members(document(body, 'BlockingTaskUpdateProgressParams'),
                             ('Message', 'TimeoutValueInMilliseconds'),
                             ('Message', 'TimeoutValueInMilliseconds'))
        else:
            inside = members(document(body, 'BlockingTaskOperationParams'), ('Message',),
                             ('Message',))
        if task.status != 'activeTask':
            raise Refused(400, 'BAD_REQUEST', f'the blocking task is {task.status}')
        self.act(task, action, inside)
        return 204, {}, b''

    def act(self, task, action, inside):
        if action == 'updateProgress':
            value = text(inside, 'TimeoutValueInMilliseconds')
            if not value.isdecimal():
                raise Refused(400, 'BAD_REQUEST', 'TimeoutValueInMilliseconds is a number')
            task.set_timeout(int(value) / 1000)
        else:
            task.status, task.message = ENDED_BY[action], text(inside, 'Message')
        task.actions.append((action, text(inside, 'Message')))

    _SERVICE = '/api/admin/extension/service'
    _TASK = f'(?:/api/admin/extension/blockingTask/|/api/entity/urn:vcloud:blockingTask:)({UUID})'
    ROUTES = [
        ('GET', '/api/versions', get_versions),
        ('POST', '/api/sessions', post_sessions),
        ('DELETE', '/api/session/?', delete_session),
        ('POST', '/cloudapi/1.0.0/sessions/provider', post_provider),
        ('DELETE', f'/cloudapi/1.0.0/sessions/(urn:vcloud:session:{UUID})', delete_session),
        ('POST', _SERVICE, post_service),
        ('GET', f'{_SERVICE}/query', query_services),
        ('GET', f'{_SERVICE}/({UUID})', get_service),
        ('PUT', f'{_SERVICE}/({UUID})', put_service),
        ('DELETE', f'{_SERVICE}/({UUID})', delete_service),
        ('GET', f'{_SERVICE}/({UUID})/apifilters', get_filters),
        ('POST', f'{_SERVICE}/({UUID})/apifilters', post_filter),
        ('DELETE', f'{_SERVICE}/apifilter/({UUID})', delete_filter),
        ('GET', _TASK, get_task),
        ('POST', f'{_TASK}/action/(resume|abort|fail|updateProgress)', post_action),
    ]
