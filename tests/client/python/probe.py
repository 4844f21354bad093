"""The Python SDK as an application uses it; driven by ../sdks.mjs, which says what is printed."""
import os
import socket
import sys
import threading
import time

import azure.cosmos
from azure.cosmos import CosmosClient, PartitionKey, exceptions

env = os.environ
lock = threading.Lock()
ending = threading.Event()
resolve = socket.getaddrinfo


def loopback(host, *rest, **named):
    """Names below .localhost are this machine's, whatever the resolver says. For tests only."""
    return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **named)


socket.getaddrinfo = loopback


def say(*words):
    with lock:
        print(*words, flush=True)


def check(name, fn):
    try:
        fn()
        say("check", name, "ok")
    except Exception as err:  # whatever the SDK makes of it
        say("check", name, "failed", type(err).__name__, str(err).replace("\n", " | ")[:400])


def must(condition, what):
    if not condition:
        raise AssertionError(what)


say("version", azure.cosmos.__version__)
client = CosmosClient(env["HF_ENDPOINT"], env["HF_KEY"], preferred_locations=env["HF_REGIONS"].split(","),
                      connection_timeout=5, read_timeout=5)
database = client.create_database_if_not_exists("sdks")
container = database.create_container_if_not_exists(env["HF_CONTAINER"], PartitionKey(path="/pk"))


def basics():
    check("create", lambda: container.create_item({"id": "1", "pk": "a", "n": 1}))
    check("read", lambda: must(container.read_item("1", "a")["n"] == 1, "n"))
    check("replace", lambda: container.replace_item("1", {"id": "1", "pk": "a", "n": 2}))
    check("upsert", lambda: container.upsert_item({"id": "2", "pk": "b", "n": 3}))
    check("patch", lambda: container.patch_item("2", "b", [{"op": "set", "path": "/n", "value": 4}]))

    def query():
        found = [r["n"] for r in container.query_items("SELECT * FROM c WHERE c.n >= 2 ORDER BY c.n",
                                                       enable_cross_partition_query=True)]
        must(found == [2, 4], found)
    check("query", query)

    def feed():
        seen = {r["id"] for r in container.query_items_change_feed(start_time="Beginning")}
        must(seen == {"1", "2"}, seen)
    check("changefeed", feed)
    check("delete", lambda: container.delete_item("2", "b"))

    def missing():
        try:
            container.read_item("2", "b")
        except exceptions.CosmosResourceNotFoundError:
            return
        raise AssertionError("found")
    check("missing", missing)


def stream(letter, fn):
    n = 0
    while not ending.is_set():
        try:
            fn(n)
            say(letter, "ok")
        except exceptions.CosmosHttpResponseError as err:
            say(letter, f"{err.status_code}" + (f"/{err.sub_status}" if err.sub_status else ""))
        except Exception as err:  # the application's view: any error counts
            say(letter, type(err).__name__)
        n += 1
        time.sleep(0.02)


if env["HF_MODE"] == "basics":
    basics()
else:
    container.upsert_item({"id": "read-me", "pk": "r"})
    for letter, fn in (("w", lambda n: container.create_item({"id": f"w{n}", "pk": f"k{n % 10}"})),
                       ("r", lambda n: container.read_item("read-me", "r"))):
        threading.Thread(target=stream, args=(letter, fn), daemon=True).start()
    sys.stdin.read()
    ending.set()
os._exit(0)  # background threads of the SDK
