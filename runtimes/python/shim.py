# SPDX-License-Identifier: Apache-2.0
"""shim - runs a function's handler for the frames that come over descriptor 3.

    python3 /runtime/shim.py [folder of the code [folder of the dependencies]]

mayfly-init has made the environment from INIT, or template.py in its place; here the handler is
loaded (READY or FAIL) and called once for each CALL. A plain handler with one call at a time runs
in a bare loop on the main thread; several calls at a time get threads; an `async def` handler runs
in asyncio. The contract with the daemon is src/runtime/frame.h, that with the developer is docs/runtimes.md.
"""
import os
import sys

# The code of the function comes first in the path; this folder, with names of its own, last.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if path != HERE] + [HERE]

import mayfly_call as call_of  # noqa: E402
import mayfly_channel as channel_of  # noqa: E402
import mayfly_load as load  # noqa: E402
import mayfly_random as random  # noqa: E402
import mayfly_words as words  # noqa: E402
from mayfly_call import Call, give_error, settle  # noqa: E402

CODE = "/code"
DEPS = "/deps"


def flush_output():
    """What the handler printed is written before its answer is."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # the function closed or replaced it


def serve_plainly(channel, handler, restore):
    """One call at a time, on the main thread."""
    for kind, number, view in channel.frames():
        if kind != channel_of.CALL:
            continue
        call = Call(channel, number)
        try:
            event, context = call.begin(view)
            if restore is not None:
                restore()
            result = handler(event, context)
        except Exception as error:  # noqa: BLE001 - whatever the function raises is its answer
            flush_output()
            give_error(call, error)
        except BaseException:
            flush_output()
            raise
        else:
            flush_output()
            settle(call, result)
        channel.flush()


def get_ready(spec, code, deps, is_fresh):
    """Loads the function. Gives it with the loop that an async one runs in, or None."""
    random.prepare()
    function = load.function(spec, code, deps)
    loop = None
    if load.is_async(function.handler):
        import mayfly_many as many
        loop = many.new_loop()
    if function.before_snapshot is not None:
        load.run_before(function.before_snapshot, loop)
    unknown = random.ready()
    if unknown and is_fresh:
        raise load.LoadError("Runtime.Unsupported", "isolation call is not possible with this "
                             f"version of {unknown[0]}, whose random state cannot be renewed")
    return function, loop


def serve(channel, function, loop, concurrency, is_fresh):
    restore = function.after_restore if is_fresh else None
    if loop is not None:
        import mayfly_many as many
        many.serve_async(channel, function.handler, loop, restore)
    elif concurrency > 1:
        import mayfly_many as many
        many.serve_threads(channel, function.handler, concurrency)
    else:
        serve_plainly(channel, function.handler, restore)


def main():
    code = sys.argv[1] if len(sys.argv) > 1 else CODE
    deps = sys.argv[2] if len(sys.argv) > 2 else DEPS
    for name in [name for name in os.environ if name.startswith("MAYFLY_COMMAND_")]:
        del os.environ[name]
    spec = os.environ.get("MAYFLY_HANDLER") or "main.handler"
    concurrency = int(os.environ.get("MAYFLY_CONCURRENCY") or 1)
    is_fresh = os.environ.get("MAYFLY_ISOLATION") == "call"
    sys.argv[:] = [os.path.join(code, spec.rpartition(".")[0] + ".py")]
    words.setup(code, deps, HERE)
    call_of.setup()
    channel = channel_of.Channel(3)
    if concurrency > 1:
        import mayfly_many as many
        many.capture(channel)
    else:
        sys.stdout.reconfigure(line_buffering=True)
    try:
        function, loop = get_ready(spec, code, deps, is_fresh)
    except load.LoadError as error:
        flush_output()
        channel.send(channel_of.FAIL, 0, words.payload(error.type, str(error), error.trace))
        channel.flush()
        os._exit(1)
    except BaseException as error:  # SystemExit and KeyboardInterrupt while loading
        flush_output()
        channel.send(channel_of.FAIL, 0, words.payload(
            "Runtime.ExitError", f"the code ended the process while it was loaded: {error!r}", ""))
        channel.flush()
        os._exit(1)
    channel.send(channel_of.READY, 0, b"")
    channel.flush()
    serve(channel, function, loop, concurrency, is_fresh)


def run():
    try:
        main()
    except SystemExit as ending:
        flush_output()
        status = ending.code
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


if __name__ == "__main__":
    run()
