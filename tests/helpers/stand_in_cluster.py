"""Two of a cluster's commands, played on this machine: `submit SCRIPT`, `status ID`.

The folder in STAND_IN holds a line for each call in `log`, and for each job its output and exit status.
"""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(os.environ.get("STAND_IN", "."))


def main(command: str, *words: str) -> None:
    with (FOLDER / "log").open("a") as log:
        if command == "submit":
            words = (_submit(words[-1]),)
        log.write(f"{command} {' '.join(words)}\n")
    if command == "submit":
        print(words[0])
    else:
        print(_status(words[0]))


def _submit(script: str) -> str:
    """Start a job's script in a session of its own, whose number is the job's."""
    run = 'sh "$0"; echo $? > "$1/$$.status"'
    with (FOLDER / "output").open("a") as output:
        job = subprocess.Popen(
            ["sh", "-c", run, script, FOLDER],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return str(job.pid)


def _status(job: str) -> str:
    ended = FOLDER / f"{job}.status"
    if ended.is_file():
        return "success" if ended.read_text().strip() == "0" else "failed"
    try:
        os.killpg(int(job), 0)
    except ProcessLookupError:
        return "failed"
    return "running"


if __name__ == "__main__":
    main(*sys.argv[1:])
