# SPDX-License-Identifier: Apache-2.0
"""load - finds the handler that MAYFLY_HANDLER names, and says what is wrong in the developer's
words: which file, which line, which module, what is defined instead."""
import importlib
import os
import sys
import types

import mayfly_words as words


class LoadError(Exception):
    def __init__(self, kind, message, trace=""):
        super().__init__(message)
        self.type = kind
        self.trace = trace


def split(spec):
    """"pkg/mod.handler" and "pkg.mod.handler" → ("pkg.mod", "handler")"""
    module, _, name = spec.rpartition(".")
    module = module.replace("/", ".")
    if not name or not all(part.isidentifier() for part in module.split(".")):
        raise LoadError("Runtime.MalformedHandlerName",
                        f"the handler '{spec}' is not of the form file.function, as main.handler is")
    return module, name


def listing(folder):
    try:
        names = sorted(name for name in os.listdir(folder) if name != "__pycache__")
    except OSError:
        return "the code cannot be read"
    if not names:
        return "the code is empty"
    if len(names) == 1 and os.path.isdir(os.path.join(folder, names[0])):
        return f"the code has the folder {names[0]} and nothing else: upload what is in it"
    return "the code has " + ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def check_file(module, code):
    """A module of the code is a file of the code, not one of the standard library."""
    place = os.path.join(code, *module.split("."))
    if os.path.isfile(place + ".py") or os.path.isfile(os.path.join(place, "__init__.py")):
        top = module.partition(".")[0]
        if top in sys.builtin_module_names or top in sys.modules:
            raise LoadError("Runtime.ImportModuleError",
                            f"{top}.py has the name of a module of Python itself: give it another")
        return
    if os.path.isdir(place):
        return
    file = module.replace(".", "/") + ".py"
    raise LoadError("Runtime.ImportModuleError", f"there is no {file}: {listing(code)}")


def explain(error):
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{words.shown(error.filename)}:{error.lineno}"
        return LoadError("Runtime.UserCodeSyntaxError", f"{place}: {error.msg}", words.trace_of(error))
    trace = words.trace_of(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return LoadError(
            "Runtime.ImportModuleError",
            f"{importer(error)} needs the module '{error.name}', which is neither in the code nor "
            "among its dependencies (is it in requirements.txt?)", trace)
    if isinstance(error, ImportError):
        return LoadError("Runtime.ImportModuleError", f"{importer(error)}: {words.message_of(error)}", trace)
    return LoadError(words.type_of(error), f"loading the code: {words.message_of(error)}", trace)


def importer(error):
    """The file and line of the import that failed: the last frame that is not the importer's."""
    place = "the code"
    trace = error.__traceback__
    while trace is not None:
        if not words.is_foreign(trace.tb_frame):
            place = f"{words.shown(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def choose(module, name):
    found = getattr(module, name, None)
    if callable(found):
        return found
    file = words.shown(getattr(module, "__file__", None) or module.__name__)
    if found is not None:
        raise LoadError("Runtime.HandlerNotFound",
                        f"'{name}' in {file} is of type {type(found).__name__}, not a function")
    have = [key for key, value in vars(module).items()
            if isinstance(value, types.FunctionType) and value.__module__ == module.__name__]
    text = "its functions are " + ", ".join(have[:20]) if have else "it defines no function"
    raise LoadError("Runtime.HandlerNotFound", f"{file} does not define '{name}': {text}")


def hook(module, name):
    """A hook of the function, None if it has none."""
    found = getattr(module, name, None)
    if found is None or callable(found):
        return found
    raise LoadError("Runtime.HandlerNotFound",
                    f"'{name}' in {words.shown(module.__file__)} is of type "
                    f"{type(found).__name__}, not a function")


def run_before(before, loop):
    """before_snapshot(), in the loop of the function where it is async."""
    try:
        result = before()
        if not hasattr(result, "__await__"):
            return
        if loop is not None:
            loop.run_until_complete(result)
            return
        import asyncio
        asyncio.run(result)
    except Exception as error:
        raise LoadError(words.type_of(error), f"before_snapshot: {words.message_of(error)}",
                        words.trace_of(error)) from None


def add_path(code, deps):
    """Code first, then dependencies with their .pth files, then the standard library."""
    sys.path[:0] = [code, deps]
    try:
        names = os.listdir(deps)
    except OSError:
        return
    if any(name.endswith(".pth") for name in names):
        import site
        site.addsitedir(deps)


class Function:
    """What a module gives: its handler, and its hooks or None."""

    def __init__(self, module, name):
        self.handler = choose(module, name)
        self.before_snapshot = hook(module, "before_snapshot")
        self.after_restore = hook(module, "after_restore")
        if is_async(self.after_restore) and not is_async(self.handler):
            raise LoadError("Runtime.HandlerNotFound",
                            "after_restore is `async def`, and the handler is not")


def function(spec, code, deps):
    """Gives the Function; raises LoadError, or what ends the process (SystemExit)."""
    module, name = split(spec)
    try:
        os.chdir(code)
    except OSError:
        pass  # the missing file is named below
    check_file(module, code)
    add_path(code, deps)
    try:
        return Function(importlib.import_module(module), name)
    except LoadError:
        raise
    except Exception as error:
        raise explain(error) from None


def is_async(function):
    """True for `async def`, and for an object whose __call__ is one."""
    target = function
    while hasattr(target, "__wrapped__"):
        target = target.__wrapped__
    target = getattr(target, "func", target)  # functools.partial
    return any(getattr(getattr(one, "__code__", None), "co_flags", 0) & 0x280
               for one in (function, target, getattr(type(function), "__call__", None)))
