"""How fast the cache is, next to what else hands out secrets in Python.

Rivals are measured in the same run, turn by turn, so that a machine that is busy for a moment is
busy for all; each figure is the median of the rounds.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from statistics import median
from threading import Barrier, Thread

from aws_lambda_powertools.utilities.parameters import SecretsProvider

from rotation.client.credential_cache import CredentialCache
from rotation.client.secret_source import SecretsManager
from rotation.sandbox.aws.cloud import Cloud
from tests.client.fixtures import NAME, client_of, document, run_in_threads
from tests.harness.bench.results import Figure

FIGURES = (
    Figure("cache_hit_over_powertools", "a hit, against Powertools `parameters`", 0.15),
    Figure("cache_hit_over_aws_caching", "a hit, against `aws-secretsmanager-caching`", 0.01),
    Figure(
        "cache_hit_8_threads_over_one",
        "all hits shared by eight threads, against one thread",
        1.3,
    ),
    Figure("cold_100_threads_gets", "GetSecretValue calls of 100 threads that start cold", 1),
    Figure(
        "rejected_20_threads_gets", "GetSecretValue calls of 20 threads whose key was rejected", 1
    ),
    Figure("cache_hit_ns", "nanoseconds of a hit"),
    Figure("powertools_hit_ns", "nanoseconds of Powertools' hit"),
    Figure("aws_caching_hit_ns", "nanoseconds of `aws-secretsmanager-caching`'s hit"),
)


def seconds(act: Callable[[str], object], times: int) -> float:
    """How long ``times`` calls take."""
    begun = time.perf_counter()
    for _ in range(times):
        act(NAME)
    return time.perf_counter() - begun


def in_threads(act: Callable[[str], object], times: int, threads: int) -> float:
    """How long ``times`` calls take that ``threads`` threads share."""
    barrier = Barrier(threads + 1)

    def run() -> None:
        barrier.wait()
        seconds(act, times // threads)
        barrier.wait()

    running = [Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    barrier.wait()
    begun = time.perf_counter()
    barrier.wait()
    elapsed = time.perf_counter() - begun
    for thread in running:
        thread.join()
    return elapsed


def hits(cloud: Cloud, rounds: int = 31) -> dict[str, float]:
    """Nanoseconds for a hit of each, and their ratios. All hold what the same service answered."""
    caching = importlib.import_module("aws_secretsmanager_caching")
    client = client_of(cloud, "secretsmanager")
    client.create_secret(Name=NAME, SecretString=document())
    powertools = SecretsProvider(boto3_client=client)
    rivals: dict[str, tuple[Callable[[str], object], int]] = {
        "ours": (CredentialCache(SecretsManager(lambda: client)).get, 20_000),
        "powertools": (lambda name: powertools.get(name, max_age=3600), 2_000),
        "aws_caching": (caching.SecretCache(client=client).get_secret_string, 200),
    }
    before = len(cloud.calls)
    for act, _ in rivals.values():
        act(NAME)
    fetched = len(cloud.calls) - before
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, (act, times) in rivals.items():
            taken[name].append(seconds(act, times) / times)
    assert len(cloud.calls) - before == fetched, "hits alone were measured"
    ours, other, theirs = (median(taken[name]) for name in rivals)
    return {
        "cache_hit_ns": round(ours * 1e9, 1),
        "powertools_hit_ns": round(other * 1e9, 1),
        "aws_caching_hit_ns": round(theirs * 1e9, 1),
        "cache_hit_over_powertools": round(ours / other, 4),
        "cache_hit_over_aws_caching": round(ours / theirs, 5),
    }


def contention(cloud: Cloud, rounds: int = 15, times: int = 400_000) -> dict[str, float]:
    """The wall time of the same number of hits, in eight threads and in one."""
    get = CredentialCache(SecretsManager(lambda: client_of(cloud, "secretsmanager"))).get
    get(NAME)
    one: list[float] = []
    eight: list[float] = []
    for _ in range(rounds):
        one.append(in_threads(get, times, 1))
        eight.append(in_threads(get, times, 8))
    return {"cache_hit_8_threads_over_one": round(median(eight) / median(one), 3)}


def fetches(cloud: Cloud, rounds: int = 5) -> dict[str, float]:
    """GetSecretValue calls over sockets: the most of all rounds."""
    cold, rejected = 0, 0
    for _ in range(rounds):
        calls = cold_and_rejected(cloud)
        cold, rejected = max(cold, calls[0]), max(rejected, calls[1])
    return {"cold_100_threads_gets": cold, "rejected_20_threads_gets": rejected}


def cold_and_rejected(cloud: Cloud) -> tuple[int, int]:
    """What 100 threads with an empty cache ask for, and 20 whose key was rejected."""
    cloud.reset()
    client = cloud.client("secretsmanager")
    cache = CredentialCache(SecretsManager(lambda: client_of(cloud, "secretsmanager")))
    old = client.create_secret(Name=NAME, SecretString=document())["VersionId"]
    got = run_in_threads(100, lambda: cache.get(NAME))
    assert {one.version for one in got} == {old}
    cold = gets(cloud)
    new = client.put_secret_value(SecretId=NAME, SecretString=document())["VersionId"]
    got = run_in_threads(20, lambda: cache.refresh(NAME, if_version=old))
    assert {one.version for one in got} == {new}
    return cold, gets(cloud) - cold


def gets(cloud: Cloud) -> int:
    """How many times GetSecretValue was called since the last reset."""
    return sum(call.operation == "GetSecretValue" for call in cloud.calls)


def measured() -> dict[str, float]:
    """Every figure of the cache."""
    with Cloud() as cloud:
        return hits(cloud) | contention(cloud) | fetches(cloud)
