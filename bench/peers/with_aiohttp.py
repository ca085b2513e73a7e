"""python3-aiohttp: sequential N | each N CONCURRENCY | page. The same surroundings and output as bench/client.lua."""
import asyncio
import os
import ssl
import sys

import aiohttp

BASE = os.environ["BENCH_BASE"]
HEADERS = {"Authorization": "Bearer " + os.environ["BENCH_TOKEN"], "Accept": "application/json"}


async def get(session, path):
    async with session.get(BASE + "/api/alerts" + path) as answer:
        answer.raise_for_status()
        return len((await answer.json())["value"])


async def work(session, numbers):
    return sum([await get(session, "/da637472900382838869_%d/ips" % n) for n in numbers])


async def at_once(count, concurrency):
    numbers = iter(range(1, count + 1))
    context = ssl.create_default_context(cafile=os.environ["BENCH_CA_FILE"])
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:
        if count == 0:
            return await get(session, "")
        return sum(await asyncio.gather(*(work(session, numbers) for _ in range(concurrency))))


def sequential(count):
    return each(count, 1)


def each(count, concurrency):
    return asyncio.run(at_once(count, concurrency))


def page():
    return each(0, 1)


print(globals()[sys.argv[1]](*map(int, sys.argv[2:])))
