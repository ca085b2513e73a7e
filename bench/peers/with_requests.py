"""python3-requests: sequential N | each N CONCURRENCY | page. The same surroundings and output as bench/client.lua."""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import requests

BASE = os.environ["BENCH_BASE"]


def new_session(connections=1):
    session = requests.Session()
    session.trust_env = False
    session.verify = os.environ["BENCH_CA_FILE"]
    session.headers.update({"Authorization": "Bearer " + os.environ["BENCH_TOKEN"], "Accept": "application/json"})
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=connections))
    return session


def get(session, path):
    answer = session.get(BASE + "/api/alerts" + path)
    answer.raise_for_status()
    return len(answer.json()["value"])


def ips(session, n):
    return get(session, "/da637472900382838869_%d/ips" % n)


def sequential(count):
    session = new_session()
    return sum(ips(session, n) for n in range(1, count + 1))


def each(count, concurrency):
    session = new_session(concurrency)
    with ThreadPoolExecutor(concurrency) as pool:
        return sum(pool.map(lambda n: ips(session, n), range(1, count + 1)))


def page():
    return get(new_session(), "")


print(globals()[sys.argv[1]](*map(int, sys.argv[2:])))
