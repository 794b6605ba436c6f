"""tunacode's own tools on the mixed batch of `tools.rs`, in the process that has them, by its own parallel mode.

mixed_batch.py TREE ROUNDS FILE…   (by a Python that has tunacode-cli 0.1.21; FILE: the files to read, whole paths)
Prints the milliseconds of each round as a JSON list; the first round warms its caches and is left out.
"""

import asyncio
import contextlib
import json
import os
import sys
import time

from tunacode.core.agents.agent_components.tool_executor import execute_tools_parallel
from tunacode.tools.glob import glob
from tunacode.tools.grep import grep
from tunacode.tools.list_dir import list_dir
from tunacode.tools.read_file import read_file


async def main() -> list[float]:
    tree, rounds, files = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    os.chdir(tree)
    calls = [lambda file=file: read_file(file) for file in files]
    calls.append(lambda: glob("**/*.toml", tree, include_hidden=True))
    calls.append(lambda: list_dir(tree))
    calls += [lambda text=text: grep(text, tree) for text in ("unsafe_op_in_unsafe_fn", "impl Drop for")]

    async def call(part, _):
        return await part()

    taken = []
    for number in range(rounds + 1):
        begun = time.perf_counter()
        await execute_tools_parallel([(part, None) for part in calls], call)
        if number:
            taken.append((time.perf_counter() - begun) * 1e3)
    return taken


with contextlib.redirect_stdout(sys.stderr):
    taken = asyncio.run(main())
print(json.dumps(taken))
