"""A server that a test kills: ``python doomed.py FOLDER`` serves a puppet over a store and prints its URL."""

import itertools
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from puppet import Puppet, final, running, service_of

from ossia.server.store.store import Store

if __name__ == "__main__":
    count = itertools.count()
    puppet = Puppet(
        lambda _: final(f"Answer {next(count)}: " + " ".join(map(str, range(40)))), seconds_per_token=0.001
    )
    with running(service_of(puppet, store=Store.open(Path(sys.argv[1]) / "ossia.db"))) as url:
        print(url, flush=True)
        threading.Event().wait()
