# SPDX-License-Identifier: Apache-2.0
"""A function is made to ask for what its owner may not reach: each way to write it, each way to get
there. Every function here lists all that a list can hold, so that what holds is the platform."""
import ipaddress
import socket
import threading
import urllib.parse

import pytest

import outside
from outside import HOST, OTHER, egress

METADATA = '169.254.169.254'
# Connects to each (host, port), sends a request, and says what came of it.
REACH = '''
import errno, socket

def reach(host, port):
    try:
        with socket.create_connection((host, port), timeout=10) as s:
            s.sendall(b'GET /latest/meta-data/ HTTP/1.0\\r\\n\\r\\n')
            got = s.recv(100)
            return 'REACHED ' + got.decode() if got else 'end'
    except socket.gaierror:
        return 'no address'
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)

def handler(event, context):
    return [reach(host, port) for host, port in event]
'''
FETCH = '''
exports.handler = async (url) => {
  try {
    const answer = await fetch(url, {signal: AbortSignal.timeout(10000)});
    return 'REACHED ' + answer.status + ' ' + (await answer.text());
  } catch (error) { return String(error.cause || error); }
};
'''


@pytest.fixture(scope='module')
def resolver():
    resolver = outside.Resolver()
    yield resolver
    resolver.close()


@pytest.fixture(scope='module')
def victim():
    """What a server of the host looks like: on loopback, and on each address of it."""
    with outside.Web('0.0.0.0') as web:
        yield web
        web.shutdown()


@pytest.fixture(scope='module')
def place(resolver):
    with outside.daemon_with(resolver, 'limit_processes = 64') as daemon:
        yield daemon.new_org()


@pytest.fixture(scope='module')
def everything(place, victim):
    """The list of a function that wants all there is, on the victim's port and on 80."""
    daemon_port = int(place.daemon.address.rsplit(':', 1)[1])
    ports = sorted({victim.port, 80, daemon_port})
    allow = [f'{what}:{port}' for port in ports
             for what in ('*', '0.0.0.0/0', '[::/0]', '127.0.0.0/8', '169.254.0.0/16',
                          '[fe80::/10]', '[::1]', '[64:ff9b::/96]', '[fc00::/7]')]
    place.deploy('reach', REACH, runtime='python', network=egress(*allow))
    place.deploy('fetch', FETCH, runtime='node', network=egress(*allow))
    return place


def reach(org, targets):
    answer = org.call('reach', [list(target) for target in targets])
    return dict(zip(targets, answer.expect(200).json()))


def own_addresses():
    """Every address that this host has."""
    found = {HOST, OTHER}
    for family, target in ((socket.AF_INET, '192.0.2.1'), (socket.AF_INET6, '2001:db8::1')):
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            try:
                s.connect((target, 9))
                found.add(s.getsockname()[0])
            except OSError:
                pass
    try:
        found.update(info[4][0] for info in socket.getaddrinfo(socket.gethostname(), 0))
    except socket.gaierror:
        pass
    return found


def forms_of(address):
    """Each way to write an IPv4 address that a resolver, a URL or a gateway would take for it."""
    number = int(ipaddress.IPv4Address(address))
    a, b, c, d = address.split('.')
    low, high = number & 0xffff, number >> 16
    return [address, str(number), f'0x{number:x}', f'0{number:o}',
            '.'.join(f'0{int(part):o}' for part in (a, b, c, d)),
            '.'.join(f'0x{int(part):x}' for part in (a, b, c, d)),
            f'{a}.{number & 0xffffff}', f'{a}.{b}.{low}', f'0x{int(a):x}.{b}.0{low:o}',
            f'::ffff:{address}', f'::ffff:{high:x}:{low:x}', f'0:0:0:0:0:ffff:{address}',
            f'::{address}', f'::ffff:0:{address}', f'64:ff9b::{address}',
            f'64:ff9b::{high:x}:{low:x}', f'64:ff9b:1::{address}',
            f'2002:{high:x}:{low:x}::1', f'2001:0:{high:x}:{low:x}::1',
            f'2606:4700::5efe:{address}', f'2606:4700::200:5efe:{address}']


@pytest.mark.parametrize('address', [METADATA, '127.0.0.1', OTHER, '100.100.100.200',
                                     '168.63.129.16', '10.0.0.1', '192.168.0.1', '0.0.0.0'])
def test_no_form_of_a_refused_address_is_reached(everything, victim, address):
    targets = [(form, port) for form in forms_of(address) for port in (80, victim.port)]
    victim.seen.clear()
    results = reach(everything, targets)
    assert not [target for target, result in results.items() if 'REACHED' in result], results
    assert victim.seen == []


def test_no_special_address_of_ipv6_is_reached(everything, victim):
    hosts = ['::', '::1', 'fe80::1', 'fe80::1%lo', 'fe80::1%1', 'febf::1', 'fec0::1', 'fc00::1',
             'fd00:ec2::254', 'fd20:ce::254', 'ff02::1', 'ff02::1%1', 'ff05::2', '100::1',
             '2001:db8::1', '3fff::1', '5f00::1', '4000::1', '2001:10::1', '::ffff:0.0.0.0']
    victim.seen.clear()
    results = reach(everything, [(host, victim.port) for host in hosts])
    assert not [target for target, result in results.items() if 'REACHED' in result], results
    assert victim.seen == []


def test_the_hosts_own_addresses_are_refused_but_for_those_listed(everything, victim):
    listed = reach(everything, [(HOST, victim.port)])
    assert 'REACHED' in listed[HOST, victim.port]
    victim.seen.clear()
    others = own_addresses() - {HOST}
    results = reach(everything, [(host, victim.port) for host in sorted(others)])
    assert not [target for target, result in results.items() if 'REACHED' in result], results
    assert victim.seen == []


def test_the_daemons_own_port_is_not_reached(everything):
    port = int(everything.daemon.address.rsplit(':', 1)[1])
    results = reach(everything, [(host, port) for host in ('127.0.0.1', 'localhost', '::1',
                                                           '0.0.0.0', '::ffff:127.0.0.1')])
    assert not [target for target, result in results.items() if 'REACHED' in result], results


@pytest.mark.parametrize('url', [
    f'http://{METADATA}/latest/meta-data/', 'http://2852039166/', 'http://0xa9fea9fe/',
    'http://0251.0376.0251.0376/', 'http://[::ffff:169.254.169.254]/',
    'http://[::ffff:a9fe:a9fe]/', 'http://[64:ff9b::a9fe:a9fe]/', 'http://[fd00:ec2::254]/',
    'http://metadata.google.internal/', f'http://{METADATA}.nip.test/',
    'http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/', 'http://127.0.0.1@169.254.169.254/',
    'http://169.254.169.254./',
])
def test_no_url_leads_to_the_metadata_of_a_cloud(everything, resolver, url):
    resolver.zone['metadata.google.internal'] = [METADATA]
    resolver.zone[f'{METADATA}.nip.test'] = [METADATA]
    answer = everything.call('fetch', url).expect(200).json()
    assert 'REACHED' not in answer, answer


@pytest.mark.parametrize('target', ['127.0.0.1', OTHER, METADATA, '[::1]', '[::ffff:127.0.0.1]',
                                    'inner.test', '0x7f000001'])
def test_a_redirect_leads_nowhere_that_was_closed(everything, resolver, victim, target):
    resolver.zone['inner.test'] = ['127.0.0.1']
    victim.seen.clear()
    url = urllib.parse.quote(f'http://{target}:{victim.port}/inner', safe=':/[].')
    answer = everything.call('fetch', f'http://{HOST}:{victim.port}/to?{url}').expect(200).json()
    assert 'REACHED' not in answer, answer
    assert [path for path in victim.seen if path.startswith('/inner')] == []
    assert len(victim.seen) == 1        # the redirect itself was followed


# ---- names ----

BAD_ANSWERS = {
    'loopback.test': ['127.0.0.1'],
    'loopback6.test': ['::1'],
    'metadata.test': [METADATA],
    'mapped.test': ['::ffff:169.254.169.254'],
    'mapped-loopback.test': ['::ffff:127.0.0.1'],
    'nat64.test': ['64:ff9b::a9fe:a9fe'],
    'sixtofour.test': ['2002:7f00:1::1'],
    'compatible.test': ['::7f00:1'],
    'zero.test': ['0.0.0.0'],
    'private.test': ['10.0.0.1'],
    'neighbour.test': [OTHER],
    'local.test': ['fe80::1'],
    'unique.test': ['fd00:ec2::254'],
    'broadcast.test': ['255.255.255.255'],
    'alias.test': [('CNAME', 'loopback.test')],
    'alias2.test': [('CNAME', 'alias.test')],
    'many.test': ['127.0.0.1', METADATA, '10.0.0.1', OTHER, '::1', 'fe80::1'],
    'flood.test': [f'10.0.{i // 200}.{1 + i % 200}' for i in range(25)],
}


def test_a_name_gives_out_no_address_that_is_refused(everything, resolver, victim):
    resolver.zone.update(BAD_ANSWERS)
    victim.seen.clear()
    results = reach(everything, [(name, victim.port) for name in BAD_ANSWERS])
    assert set(results.values()) == {'no address'}, results
    assert victim.seen == []


def test_good_addresses_beside_bad_ones_are_all_that_is_given_out(everything, resolver, victim):
    resolver.zone['mixed.test'] = ['127.0.0.1', METADATA, '::1', '10.0.0.1', HOST, OTHER]
    resolver.zone['alias-good.test'] = [('CNAME', 'mixed.test')]
    victim.seen.clear()
    results = reach(everything, [('mixed.test', victim.port), ('alias-good.test', victim.port)])
    assert all('REACHED' in result for result in results.values()), results
    assert len(victim.seen) == 2


def test_an_alias_of_a_listed_name_to_one_that_is_not_opens_its_address_only(
        place, resolver, victim):
    """The owner of a listed name decides where it points, but not to what is refused; the name it
    points to is not opened by it."""
    resolver.zone.update({'target.test': [HOST], 'listed.test': [('CNAME', 'target.test')]})
    place.deploy('reach-listed', REACH, runtime='python',
                 network=egress(f'listed.test:{victim.port}'))
    answer = place.call('reach-listed', [['target.test', victim.port], ['listed.test', victim.port],
                                         ['target.test', victim.port]]).expect(200).json()
    assert [result[:7] for result in answer] == ['no addr', 'REACHED', 'no addr'], answer


@pytest.mark.parametrize('evil', ['127.0.0.1', METADATA, OTHER, '::1'])
def test_a_name_whose_address_turns_inward_is_of_no_use(place, resolver, victim, evil):
    """DNS rebinding: fine when it is looked at, and another when it is used."""
    name = f'rebind-{evil.replace(".", "-").replace(":", "x")}.test'
    resolver.zone[name] = lambda n: [HOST] if n == 1 else [evil]
    place.deploy('rebind', REACH, runtime='python', network=egress(f'*.test:{victim.port}'))
    victim.seen.clear()
    targets = [[name, victim.port], [evil, victim.port]]
    first = place.call('rebind', targets).expect(200).json()
    # Names of the first call are forgotten: it is asked anew, and turned by now.
    second = place.call('rebind', targets).expect(200).json()
    assert 'REACHED' in first[0] and second[0] == 'no address', (first, second)
    assert 'REACHED' not in first[1] + second[1], (first, second)
    assert len(victim.seen) == 1


def test_names_that_are_numbers_are_not_asked_for(everything, resolver):
    resolver.asked.clear()
    code_names = ['127.0.0.1.', '0x7f.1', '2130706433', '0177.1', '1.2.3.4.5', '169.254.43518']
    results = reach(everything, [(name, 80) for name in code_names])
    assert not [name for name, result in results.items() if 'REACHED' in result], results
    assert not [name for name, _ in resolver.asked if name.replace('.', '').isdigit()]


# ---- past the listeners ----

RAW = '''
import errno, socket, struct, time

def attempt(make):
    try:
        return make() or 'done'
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)

def datagram(host, port):
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'out of here', (host, port))

def handler(event, context):
    host, port = event['host'], event['port']
    def raw():
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    def icmp():
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    def packet():
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    def netlink():
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
    def ping():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        s.sendto(b'\\x08\\0\\0\\0\\0\\1\\0\\1', (host, 0))
    def bound():
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.bind((event['source'], 0))
        s.connect((host, port))
        s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
        return s.recv(100).decode()
    def urgent():
        s = socket.create_connection((host, port + 1))
    def device():
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0')
    for _ in range(20):
        attempt(lambda: datagram(host, port))
        attempt(lambda: datagram(host, event['udp']))
    return {f.__name__: attempt(f) for f in (raw, icmp, packet, netlink, ping, bound, urgent,
                                           device)}
'''


def test_nothing_but_streams_to_listed_ports_leaves(place, victim):
    heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.bind((HOST, 0))
    heard.settimeout(0.5)
    place.deploy('raw', RAW, runtime='python', network=egress(f'{HOST}:{victim.port}'))
    victim.seen.clear()
    results = place.call('raw', {'host': HOST, 'port': victim.port, 'source': METADATA,
                                 'udp': heard.getsockname()[1]}).expect(200).json()
    assert results['raw'] == 'EPERM', results
    assert results['packet'] == results['netlink'] == 'EAFNOSUPPORT', results
    assert results['icmp'] == results['ping'] == 'EPROTONOSUPPORT', results
    assert results['urgent'] == 'ECONNREFUSED', results
    assert results['device'] == 'ENOPROTOOPT', results
    # A false sender means nothing outside: the daemon is the one that connects.
    assert results['bound'].startswith('HTTP/'), results
    with pytest.raises(socket.timeout):
        heard.recv(100)
    heard.close()


def test_one_functions_names_open_nothing_to_another(place, resolver, victim):
    resolver.zone['mine.test'] = [HOST]
    place.deploy('one', REACH, runtime='python', network=egress(f'mine.test:{victim.port}'))
    place.deploy('two', REACH, runtime='python', network=egress(f'yours.test:{victim.port}'))
    first = place.call('one', [['mine.test', victim.port]]).expect(200).json()
    assert 'REACHED' in first[0]
    second = place.call('two', [[HOST, victim.port], ['mine.test', victim.port]])
    assert second.expect(200).json() == ['ECONNRESET', 'no address']


def test_a_flood_of_names_and_connections_harms_no_neighbour(place, resolver, victim):
    """One function asks without end for names that are never answered and opens what it can;
    another, of another org, is served."""
    place.deploy('flood', '''
import socket, threading, time

def handler(event, context):
    end = time.monotonic() + event['s']
    def names(i):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        n = 0
        while time.monotonic() < end:
            label = f'n{i}x{n}'.encode()
            s.sendto(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + bytes([len(label)]) + label +
                     b'\\7flooded\\4test\\0\\0\\1\\0\\1', ('127.0.0.1', 53))
            n += 1
            if n % 100 == 0:
                time.sleep(0.01)
    def connections():
        held = []
        while time.monotonic() < end:
            try:
                held.append(socket.create_connection((event['host'], event['port']), timeout=1))
            except OSError:
                held.clear()
    threads = [threading.Thread(target=names, args=(i,)) for i in range(4)]
    threads += [threading.Thread(target=connections) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 'done'
''', runtime='python', network=egress(f'*.flooded.test:{victim.port}', f'{HOST}:{victim.port}'))
    resolver.zone['calm.test'] = [HOST]
    other = place.daemon.new_org()
    other.deploy('reach', REACH, runtime='python', network=egress(f'calm.test:{victim.port}'))
    client = place.client_of('developer')
    done = []
    flood = threading.Thread(target=lambda: done.append(client.post(
        f'{place.path}/functions/flood/calls',
        {'s': 3, 'host': HOST, 'port': victim.port}).status))
    flood.start()
    for _ in range(10):
        answer = other.call('reach', [['calm.test', victim.port]]).expect(200).json()
        assert 'REACHED' in answer[0], answer
    flood.join()
    assert done == [200]
