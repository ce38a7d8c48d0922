# SPDX-License-Identifier: Apache-2.0
"""random - no two calls draw the same values, though the memory of this process is brought back to
what it was before a call, or was copied from another process.

os.urandom(), and with it secrets and uuid4, asks the kernel. What has a state of its own begins
anew with each call: `random`, numpy's global generator, OpenSSL (ssl, and in `cryptography`). Only
what was loaded when the function was ready is looked at: what is loaded later begins with bytes of
the kernel. Generators that a function has made of its own are its own: `after_restore`.
"""
import os
import sys

_renewers = []


class _Lazy:
    """The state of the module `random`: bytes for it wait until they are needed."""

    fresh = None


def _prepare_random(module):
    """For a `random` that nobody has taken a function of yet: its seeding, which takes longer than
    many a call, waits for the first use."""
    seed = module.Random.seed
    base = module.Random.__mro__[1]
    draw, draw_bits, seed_state = base.random, base.getrandbits, base.seed

    class Random(module.Random):
        """The generator behind the functions of the module."""

        def random(self):
            if _Lazy.fresh is not None:
                self.renew()
            return draw(self)

        def getrandbits(self, k):
            if _Lazy.fresh is not None:
                self.renew()
            return draw_bits(self, k)

        def renew(self):
            fresh, _Lazy.fresh = _Lazy.fresh, None
            seed_state(self, int.from_bytes(fresh, "little"))
            self.gauss_next = None

        def seed(self, *args, **kwargs):
            _Lazy.fresh = None
            seed(self, *args, **kwargs)

        def getstate(self):
            if _Lazy.fresh is not None:
                self.renew()
            return super().getstate()

        def setstate(self, state):
            _Lazy.fresh = None
            super().setstate(state)

    one = module._inst = Random()
    for name, value in list(vars(module).items()):
        if isinstance(getattr(value, "__self__", None), module.Random):
            setattr(module, name, getattr(one, name))
    module._mayfly = True


def _renew_later(fresh):
    _Lazy.fresh = bytes(fresh)


def _renewer_of_random(module):
    if hasattr(module, "_mayfly"):
        return _renew_later
    one = module._inst
    seed = module.Random.__mro__[1].seed

    def renew(fresh):
        seed(one, int.from_bytes(fresh, "little"))
        one.gauss_next = None
    return renew


def _renewer_of_numpy(module):
    seed = module.seed
    return lambda fresh: seed([int.from_bytes(fresh[at:at + 4], "little") for at in range(0, 32, 4)])


def _renewer_of_ssl(module):
    """RAND_add() reseeds the generator that the others of OpenSSL are seeded from, and they notice
    (NIST SP 800-90A chains of OpenSSL: EVP_RAND(7))."""
    add = module.RAND_add
    return lambda fresh: add(fresh, 32.0)


def _renewer_of_cryptography(module):
    """The wheels of `cryptography` bring an OpenSSL of their own."""
    openssl = getattr(module, "_openssl", module)
    add, make = openssl.lib.RAND_add, openssl.ffi.from_buffer
    return lambda fresh: add(make(fresh), len(fresh), 32.0)


def _renewer_of_tempfile(module):
    """Names of temporary files: they are drawn from a generator that is made at the first."""
    def renew(_):
        module._name_sequence = None
    return renew


_KNOWN = (
    ("random", _renewer_of_random),
    ("numpy.random", _renewer_of_numpy),
    ("_ssl", _renewer_of_ssl),
    ("cryptography.hazmat.bindings._rust", _renewer_of_cryptography),
    ("cryptography.hazmat.bindings._openssl", _renewer_of_cryptography),  # before version 40
    ("tempfile", _renewer_of_tempfile),
)


def prepare():
    """Before any code of the function: for modules that are loaded already."""
    module = sys.modules.get("random")
    if module is not None and not hasattr(module, "_mayfly"):
        _prepare_random(module)


def ready():
    """When the function is loaded: what it keeps random state in. Gives the names of modules that
    cannot be told to begin anew."""
    _renewers.clear()
    unknown = []
    for name, make in _KNOWN:
        module = sys.modules.get(name)
        if module is None:
            continue
        try:
            _renewers.append(make(module))
        except AttributeError:
            unknown.append(name)
    return unknown


def renew(fresh):
    """`fresh`: 32 bytes that nobody has seen."""
    for one in _renewers:
        one(fresh)


def renew_from_kernel():
    """In a copy of this process, before it does anything else."""
    ready()
    renew(os.urandom(32))
