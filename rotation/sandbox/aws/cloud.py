"""AWS on one machine: start it, register functions, look on, stop it.

::

    with Cloud() as cloud:
        function = cloud.add_function("rotate", ProcessFunction("handlers.rotate", ...))
        cloud.client("secretsmanager").rotate_secret(SecretId=..., RotationLambdaARN=function)
        outcome = cloud.wait_for_rotation(..., token)

moto keeps its state in the process, so one Cloud runs at a time; another may follow it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

import boto3
import botocore.session
import moto.s3.models
import moto.s3.responses
import moto.sqs.models
from moto.awslambda_simple.models import lambda_simple_backends
from moto.cloudtrail import urls as cloudtrail_urls
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.core.config import default_user_config
from moto.events.models import events_backends
from moto.iam import urls as iam_urls
from moto.s3.models import s3_backends
from moto.secretsmanager import urls as secretsmanager_urls
from moto.secretsmanager.models import secretsmanager_backends

from rotation.aws.client_config import SANDBOX
from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.access_analyzer import AccessAnalyzerService
from rotation.sandbox.aws.callers import Callers
from rotation.sandbox.aws.cloudtrail import EventDataStores, HistoryResponse, deliver_log_files
from rotation.sandbox.aws.event_bus import FaithfulEvents
from rotation.sandbox.aws.event_history import EventHistory
from rotation.sandbox.aws.functions import (
    EventRetries,
    FunctionRunner,
    Functions,
    Invocation,
    InvocationResult,
)
from rotation.sandbox.aws.lambda_service import FaithfulLambda, role_of
from rotation.sandbox.aws.metrics import measure_queues, publish_invocation
from rotation.sandbox.aws.object_store import (
    FaithfulS3,
    FaithfulS3Response,
    ObjectWrites,
    moto_time,
)
from rotation.sandbox.aws.principals import PrincipalsResponse
from rotation.sandbox.aws.rotations import RetryPolicy, RotationOutcome, Rotations, StepRun
from rotation.sandbox.aws.secrets_manager import FaithfulResponse, FaithfulSecretsManager
from rotation.sandbox.aws.server import LocalServer, MotoApplication
from rotation.sandbox.aws.traffic import AwsCall, AwsFaults, Traffic
from rotation.sandbox.aws.versions import value_of

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

DEFAULT_CALLER: Final = "AKIASANDBOX000000000"
_KEY: Final = "sandbox"
#: How long it is waited for something that should come: a loaded machine is slow.
_PATIENCE: Final = timedelta(minutes=5)

_only_one = Lock()


@dataclass(frozen=True)
class StoredVersion:
    """A version of a secret as Secrets Manager holds it.

    Attributes:
        id: its VersionId.
        created_at: aware UTC.
        labels: its staging labels; none: it is deprecated.
        text: its SecretString; None: it has no value yet, or a binary one.
    """

    id: str
    created_at: datetime
    labels: frozenset[str]
    text: str | None = field(repr=False)


class Cloud(AbstractContextManager["Cloud"]):
    """Secrets Manager, Lambda, S3, EventBridge, IAM and CloudTrail of one account, on loopback.

    Args:
        retries: how often and after how long a failed rotation is tried again.
        event_retries: how long Lambda waits before it repeats a failed asynchronous invocation.
        clock: the services' clock, aware UTC.

    Attributes:
        object_writes: which conditional writes S3 takes to be under way.
        event_history: CloudTrail's event history of the calls that were served.
    """

    account = ACCOUNT
    region = REGION

    def __init__(
        self,
        *,
        retries: RetryPolicy | None = None,
        event_retries: EventRetries | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._functions = Functions(event_retries or EventRetries(), clock)
        self._functions.watch = self._count_invocation
        self._rotations = Rotations(self._invoke, retries or RetryPolicy(), clock)
        self.object_writes = ObjectWrites()
        self._callers = Callers(self.account)
        self.event_history = EventHistory(self._callers, clock)
        self._stores = EventDataStores(self.event_history, self.account, self.region)
        self._rotations.announce = self.event_history.record_service_event
        self._analyzer = AccessAnalyzerService(
            MotoApplication(), self.account, self.region, self._resource_policies
        )
        self._traffic = Traffic(self._analyzer, self.account, self.event_history)
        self._registered: dict[str, tuple[timedelta, int]] = {}
        self._session = isolated_session()
        self._running = ExitStack()
        self._server: LocalServer | None = None

    def __enter__(self) -> Self:
        """Start. Raises RuntimeError when another Cloud is running in this process."""
        if not _only_one.acquire(blocking=False):
            raise RuntimeError("another Cloud is running in this process")
        with ExitStack() as undo:
            undo.callback(_only_one.release)
            self._install(undo)
            self._server = LocalServer(self._traffic)
            undo.callback(self._server.stop)
            self._running = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop: rotations end before their next step, functions are closed, state is gone."""
        self._rotations.forget()
        self._functions.close()
        self._rotations.join(timedelta(seconds=5))
        self._running.close()

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        if self._server is None:
            raise RuntimeError("this Cloud was not started")
        return self._server.url

    @property
    def calls(self) -> list[AwsCall]:
        """Every request so far, in the order of their arrival."""
        return self._traffic.calls

    @property
    def faults(self) -> AwsFaults:
        """Which of the next calls fail."""
        return self._traffic.faults

    @property
    def rotations(self) -> list[StepRun]:
        """Every rotation step that was run so far."""
        return self._rotations.history

    def watch_rotations(self, tell: Callable[[StepRun], None]) -> None:
        """Call ``tell`` with each rotation step as it ends; it must be brief."""
        self._rotations.watch = tell

    def function_caller(self, name: str) -> str:
        """The access key id with which the function ``name`` signs, as a session of its role."""
        return self._callers.act_as(role_of(name), name)

    @contextmanager
    def secrets_at_rest(self) -> Iterator[None]:
        """Nothing changes in Secrets Manager until the end of the block, which must be brief."""
        with self._rotations.lock:
            yield

    def versions(self, secret_id: str) -> tuple[StoredVersion, ...]:
        """Every version of a secret, oldest first: what is stored, without a call.

        Raises:
            LookupError: there is no such secret.
        """
        with self._rotations.lock:
            secret = secretsmanager_backends[self.account][self.region].secrets.get(secret_id)
            if secret is None:
                raise LookupError(f"there is no secret {secret_id}")
            return tuple(
                StoredVersion(
                    id=version["version_id"],
                    created_at=datetime.fromtimestamp(version["createdate"], UTC),
                    labels=frozenset(version["version_stages"]),
                    text=value_of(version).get("secret_string"),
                )
                for version in secret.versions.values()
            )

    def environment(self, caller: str = DEFAULT_CALLER) -> dict[str, str]:
        """What makes boto3 and the ``aws`` command line talk to this Cloud, and only to it.

        Args:
            caller: the access key id to sign with; `deny` tells callers apart by it.
        """
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": caller,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    @overload
    def client(
        self, service: Literal["secretsmanager"], region: str = REGION
    ) -> SecretsManagerClient: ...
    @overload
    def client(self, service: Literal["lambda"], region: str = REGION) -> LambdaClient: ...
    @overload
    def client(self, service: Literal["s3"], region: str = REGION) -> S3Client: ...
    def client(self, service: Any, region: str = REGION) -> Any:
        """A boto3 client for this Cloud, whatever the environment and the profiles say.

        Another region than the Cloud's is where replicas of its secrets are.
        """
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=DEFAULT_CALLER,
            aws_secret_access_key=_KEY,
            config=SANDBOX,
        )

    def add_function(
        self,
        name: str,
        runner: FunctionRunner,
        *,
        timeout: timedelta = timedelta(seconds=60),
        memory_mb: int = 512,
    ) -> str:
        """Create the function ``name``, run by ``runner`` until the Cloud stops; return its ARN.

        Timeout and memory are what GetFunction reports; the runner keeps to its own.
        """
        self._functions.add(name, runner)
        self._registered[name] = timeout, memory_mb
        return self._lambda().register(name, timeout, memory_mb)

    def add_alias(self, name: str, alias: str, runner: FunctionRunner) -> None:
        """Give the function ``name`` an alias, which ``runner`` runs; Invoke's Qualifier names it.

        With Lambda both are the same code; here each has processes of its own, because a process
        knows through which ARN it is invoked from its start.
        """
        self._functions.add(f"{name}:{alias}", runner)

    def deny(self, caller: str, *operations: str) -> None:
        """Refuse these operations to whoever signs with the access key id ``caller``.

        As an identity policy with an explicit Deny does; nothing else is refused to anybody.
        """
        self._traffic.deny(caller, *operations)

    def wait_for_rotation(
        self, secret_id: str, token: str, timeout: timedelta = _PATIENCE
    ) -> RotationOutcome:
        """Wait until the rotation with this ClientRequestToken is over.

        Args:
            secret_id: the secret's name or ARN.
            token: the VersionId that RotateSecret answered.
            timeout: how long to wait.

        Raises:
            LookupError: no such rotation was started.
            TimeoutError: it is still running.
        """
        with self._rotations.lock:
            secret = secretsmanager_backends[self.account][self.region].secrets.get(secret_id)
        return self._rotations.wait(secret.arn if secret else secret_id, token, timeout)

    def wait_for_events(self, timeout: timedelta = _PATIENCE) -> None:
        """Wait until every asynchronous invocation is over, retries included.

        Raises:
            TimeoutError: one is not.
        """
        self._functions.wait_for_events(timeout)

    def measure_queues(self) -> None:
        """Publish the metrics of every queue, as SQS does once a minute. Nothing does it here."""
        measure_queues(self._clock())

    def reset(self) -> None:
        """Forget secrets, objects, calls, faults and history. Functions stay, with their ARNs."""
        self._functions.forget_events()
        self._functions.forget_reservations()
        with self._rotations.lock:
            self._forget_state()
            for name, (timeout, memory_mb) in self._registered.items():
                self._lambda().register(name, timeout, memory_mb)
        self._traffic.reset()
        self.event_history.reset()
        self._stores.reset()
        self._analyzer.reset()

    def deliver_log_files(self) -> None:
        """Have each trail write what it has not written yet into its bucket."""
        make: Any = self.client
        deliver_log_files(self.event_history, make("cloudtrail"), make("s3"))

    def _install(self, undo: ExitStack) -> None:
        secrets = partial(FaithfulSecretsManager, rotations=self._rotations, clock=self._clock)
        undo.callback(self._forget_state)
        _replace(undo, secretsmanager_backends, "backend", secrets)
        _replace(
            undo,
            lambda_simple_backends,
            "backend",
            partial(FaithfulLambda, functions=self._functions),
        )
        _replace(
            undo, events_backends, "backend", partial(FaithfulEvents, functions=self._functions)
        )
        _replace(undo, s3_backends, "backend", partial(FaithfulS3, writes=self.object_writes))
        # moto loads the module with the URLs of S3 again each time; it takes the class from here.
        _replace(undo, moto.s3.responses, "S3Response", FaithfulS3Response)
        _replace(undo, moto.s3.models, "utcnow", moto_time(self._clock))
        _replace(undo, moto.sqs.models, "unix_time", lambda: self._clock().timestamp())
        _replace(
            undo, moto.sqs.models, "unix_time_millis", lambda: self._clock().timestamp() * 1000
        )
        # moto would read the host's profile here, and fail on one that does not exist.
        _replace(undo, AccountSpecificBackend, "get_session", lambda: self._session)
        undo.callback(secretsmanager_urls.url_paths.update, dict(secretsmanager_urls.url_paths))
        secretsmanager_urls.url_paths["{0}/$"] = FaithfulResponse.dispatch
        undo.callback(cloudtrail_urls.url_paths.update, dict(cloudtrail_urls.url_paths))
        cloudtrail_urls.url_paths["{0}/$"] = HistoryResponse.dispatch
        HistoryResponse.history = self.event_history
        HistoryResponse.stores = self._stores
        undo.callback(iam_urls.url_paths.update, dict(iam_urls.url_paths))
        iam_urls.url_paths["{0}/$"] = PrincipalsResponse.dispatch
        undo.callback(default_user_config["lambda"].update, dict(default_user_config["lambda"]))
        default_user_config["lambda"]["use_docker"] = False
        # moto would prefer this account to the one that the requests name.
        if (account := os.environ.pop("MOTO_ACCOUNT_ID", None)) is not None:
            undo.callback(os.environ.__setitem__, "MOTO_ACCOUNT_ID", account)
        self._forget_state()

    def _forget_state(self) -> None:
        # Ours first: requests take the locks in this order too.
        with self._rotations.lock:
            self._rotations.forget()
            BackendDict.reset()

    def _resource_policies(self) -> dict[str, str]:
        secrets = secretsmanager_backends[self.account][self.region].secrets.values()
        return {one.arn: one.policy for one in secrets if one.policy}

    def _count_invocation(self, invocation: Invocation) -> None:
        if (registered := self._registered.get(invocation.function)) is not None:
            publish_invocation(invocation, timeout=registered[0])

    def _invoke(self, function_arn: str, payload: bytes) -> InvocationResult:
        return self._lambda().run(function_arn, payload)

    def _lambda(self) -> FaithfulLambda:
        backend: FaithfulLambda = lambda_simple_backends[self.account][self.region]
        return backend


@lru_cache
def isolated_session() -> boto3.Session:
    """A boto3 session that reads nothing of the host: no AWS_* variable, profile or config file.

    One for the process: it caches the service models, most of the price of a client.
    """
    session = botocore.session.Session()
    for name in session.session_var_map:
        config_name, _, default, convert = session.session_var_map[name]
        session.session_var_map[name] = (config_name, None, default, convert)
    for name in ("config_file", "credentials_file"):
        session.session_var_map[name] = (None, None, os.devnull, None)
    return boto3.Session(botocore_session=session, region_name=REGION)


def _replace(undo: ExitStack, owner: Any, name: str, value: Any) -> None:
    undo.callback(setattr, owner, name, owner.__dict__.get(name, getattr(owner, name)))
    setattr(owner, name, value)
