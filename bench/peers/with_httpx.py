"""python3-httpx: sequential N | each N CONCURRENCY | page. The same surroundings and output as bench/client.lua."""
import asyncio
import os
import sys

import httpx

BASE = os.environ["BENCH_BASE"]
SETTINGS = {
    "verify": os.environ["BENCH_CA_FILE"],
    "trust_env": False,
    "headers": {"Authorization": "Bearer " + os.environ["BENCH_TOKEN"], "Accept": "application/json"},
}


def items(answer):
    answer.raise_for_status()
    return len(answer.json()["value"])


def address(n):
    return "%s/api/alerts/da637472900382838869_%d/ips" % (BASE, n)


def sequential(count):
    with httpx.Client(**SETTINGS) as client:
        return sum(items(client.get(address(n))) for n in range(1, count + 1))


async def work(client, numbers):
    return sum([items(await client.get(address(n))) for n in numbers])


async def at_once(count, concurrency):
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    numbers = iter(range(1, count + 1))
    async with httpx.AsyncClient(limits=limits, **SETTINGS) as client:
        return sum(await asyncio.gather(*(work(client, numbers) for _ in range(concurrency))))


def each(count, concurrency):
    return asyncio.run(at_once(count, concurrency))


def page():
    with httpx.Client(**SETTINGS) as client:
        return items(client.get(BASE + "/api/alerts"))


print(globals()[sys.argv[1]](*map(int, sys.argv[2:])))
