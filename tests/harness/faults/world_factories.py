"""The worlds that scenarios run in: quick ones, and one set of sockets kept open for many."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends
from requests.adapters import HTTPAdapter

from rotation.credential import ApiKey
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.cloud import Cloud, isolated_session
from rotation.sandbox.aws.rotations import RetryPolicy
from rotation.sandbox.vendor import Outage, Pki, VendorEmulator
from rotation.vendor.cms import verify_cms
from rotation.vendor.key_prover import SealProof, TestSealProver
from rotation.vendor.signer import Signer, SignerPolicy
from rotation.vendor.signing_api import SigningApi
from tests.harness.faults.boundary import Boundary
from tests.harness.faults.direct import DirectBucket, DirectClient, DirectSecrets, DirectTopic
from tests.harness.faults.direct_vendor import DirectVendor, QuickProver
from tests.harness.faults.gates import ONE_ATTEMPT, AwsGate, GatedHttp
from tests.harness.faults.scenarios import MakeWorld
from tests.harness.faults.world import (
    BUCKET,
    ONE_SECRET,
    PROPAGATION,
    VirtualClock,
    World,
    WorldShape,
)
from tests.rotation_fixture import FailsOnce


def quick_world(shape: WorldShape = ONE_SECRET) -> World:
    """A world without sockets."""
    clock, boundary = VirtualClock(), Boundary()
    backend = DirectSecrets(clock)
    vendor = DirectVendor(clock)
    http = _http(boundary, vendor, "http://127.0.0.1:1", clock)
    signing = SigningApi(http, "/v1/sign")
    bucket = DirectBucket(boundary)
    client = DirectClient(backend, boundary)
    vendor.keys.propagation_delay = PROPAGATION
    world = World(
        clock=clock,
        boundary=boundary,
        client=client,
        shortcut=client,
        person=DirectClient(backend),
        evidence=bucket,
        topic=DirectTopic(boundary),
        records=lambda: [
            json.loads(body)
            for name, body in bucket.objects.items()
            if name.startswith("incidents/")
        ],
        stored_journal=lambda name: json.loads(bucket.objects.get(name, b"{}")),
        http=http,
        keys=vendor.keys,
        prover=QuickProver(signing, clock),
        signing=signing,
        backend=backend,
        vendor_down=vendor.go_down,
        shape=shape,
    )
    clock.later(timedelta(minutes=1))
    return world


class Sockets:
    """One AWS and one PKI for many worlds over sockets, one world after the other."""

    def __init__(self, cloud: Cloud, clock: VirtualClock, pki: Pki) -> None:
        self._cloud, self._clock, self._pki = cloud, clock, pki
        self._gated = {name: self._client(name) for name in ("secretsmanager", "s3")}
        self._gates = {name: AwsGate(client, name) for name, client in self._gated.items()}
        self._person = self._client("secretsmanager")
        self._s3 = self._client("s3")

    @contextmanager
    def world(self, shape: WorldShape = ONE_SECRET) -> Iterator[World]:
        """A world of its own; the one before it is forgotten."""
        self._cloud.reset()
        clock, boundary = self._clock, Boundary()
        clock.begun = clock.now
        for gate in self._gates.values():
            gate.boundary = boundary
        self._s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        backend = secretsmanager_backends[ACCOUNT][REGION]
        with VendorEmulator(
            self._pki, clock=clock, propagation_delay=PROPAGATION, key_quota=50
        ) as vendor:
            _sign_once(vendor)
            http = _http(boundary, HTTPAdapter(max_retries=0), vendor.url, clock)
            signing = SigningApi(http, "/v1/sign")
            policy = SignerPolicy.from_pem(self._pki.root_pem, "Trusted Signatures Sandbox")
            world = World(
                clock=clock,
                boundary=boundary,
                client=self._gated["secretsmanager"],
                shortcut=DirectClient(backend, boundary),
                person=self._person,
                evidence=self._gated["s3"],
                topic=DirectTopic(boundary),
                records=self._records,
                stored_journal=self._stored_journal,
                http=http,
                keys=vendor.keys,
                prover=_Prover(signing, policy, clock),
                signing=signing,
                backend=backend,
                vendor_down=lambda down: setattr(
                    vendor, "outage", Outage.UNAVAILABLE if down else None
                ),
                shape=shape,
            )
            clock.later(timedelta(minutes=1))
            try:
                yield world
            finally:
                http.close()

    def _client(self, service: str) -> Any:
        return isolated_session().client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self._cloud.url,
            aws_access_key_id="AKIASANDBOX000000000",
            aws_secret_access_key="sandbox",
            config=ONE_ATTEMPT,
        )

    def _stored_journal(self, name: str) -> Mapping[str, Any]:
        try:
            body = self._s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return {}
        found: Mapping[str, Any] = json.loads(body)
        return found

    def _records(self) -> list[dict[str, Any]]:
        listed = self._s3.list_objects_v2(Bucket=BUCKET, Prefix="incidents/").get("Contents", [])
        bodies = (self._s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"] for one in listed)
        return [json.loads(body.read()) for body in bodies]


class _Prover(TestSealProver):
    """The product's prover, which judges bytes that it has judged in this world by memory."""

    def __init__(
        self, api: SigningApi, policy: SignerPolicy, clock: Callable[[], datetime]
    ) -> None:
        super().__init__(api, policy, clock)
        self._judged: dict[bytes, Signer] = {}

    def prove(self, key: ApiKey, statement: str) -> SealProof:
        digest = hashlib.sha256(statement.encode()).digest()
        der, vendor_time = self._api.sign_with_vendor_time(key, digest)
        now = self._clock()
        signer = self._judged.get(digest + der) or verify_cms(der, digest, self._policy, now)
        self._judged[digest + der] = signer
        return SealProof(now, vendor_time, signer.subject, signer.chained)


def _sign_once(vendor: VendorEmulator) -> None:
    """Give the same CMS again for the same digest: making one takes most of a scenario's time."""
    account = vendor._account
    account._signature = lru_cache(account._signature)  # type: ignore[method-assign]


def _http(boundary: Boundary, below: Any, origin: str, clock: VirtualClock) -> GatedHttp:
    return GatedHttp(
        boundary,
        below,
        origin,
        connect_timeout=timedelta(seconds=60),
        read_timeout=timedelta(seconds=60),
        clock=clock,
        sleep=clock.sleep,
    )


@contextmanager
def quick(shape: WorldShape = ONE_SECRET) -> Iterator[World]:
    """A world without sockets."""
    yield quick_world(shape)


@contextmanager
def over_sockets(pki: Pki | None = None) -> Iterator[MakeWorld]:
    """Makes worlds over sockets, one at a time; the harness itself runs the rotations."""
    clock = VirtualClock()
    with Cloud(retries=RetryPolicy(delays=()), clock=clock) as cloud:
        cloud.add_function("rotate", FailsOnce())
        yield Sockets(cloud, clock, pki or Pki.create(clock())).world


class WorldFactory:
    """Both kinds, for a process that runs many scenarios; sockets are opened when needed."""

    def __init__(self, sockets: MakeWorld | None = None) -> None:
        self._open = ExitStack()
        self._sockets = sockets

    def make(
        self, shape: WorldShape = ONE_SECRET, *, sockets: bool
    ) -> AbstractContextManager[World]:
        """A world of the kind that is asked for."""
        if not sockets:
            return quick(shape)
        if self._sockets is None:
            self._sockets = self._open.enter_context(over_sockets())
        return self._sockets(shape)

    def close(self) -> None:
        """Close the sockets."""
        self._open.close()
