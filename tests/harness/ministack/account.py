"""The template's resources in the emulator, its roles, and its functions as sessions of them."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rotation.sandbox.aws.functions import InvocationResult
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.vendor import Pki, Role, VendorEmulator
from tests.artifacts.stack import Stack
from tests.artifacts.template import Template
from tests.harness.ministack.emulator import Ministack

#: The condition keys that the emulator knows begin so.
_KNOWN: Final = ("aws:", "s3:")


@dataclass
class SessionFunction:
    """A function of the template: processes of the source tree, as a session of its role."""

    name: str
    properties: Mapping[str, Any]
    process: ProcessFunction | None = None

    def invoke(self, payload: bytes) -> InvocationResult:
        """Run it once."""
        assert self.process is not None, "the functions begin when all roles are there"
        return self.process.invoke(payload)

    def close(self) -> None:
        """End its processes."""
        if self.process is not None:
            self.process.close()


@dataclass
class Account:
    """A stack in the emulator, and a vendor.

    Attributes:
        functions: by logical id.
        sessions: the environment variables of a session of each role, by its logical id.
        dropped: the condition keys that the emulator does not know; their conditions are dropped.
    """

    ministack: Ministack
    folder: Path
    functions: dict[str, SessionFunction] = field(default_factory=dict)
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    @contextmanager
    def deployed(self) -> Iterator[Account]:
        """Create everything; a key of the portal is current at the end."""
        pki = Pki.create(datetime.now(UTC))
        anchors = self.folder / "anchors.pem"
        anchors.write_bytes(pki.root_pem)
        with ExitStack() as undo:
            self.vendor = undo.enter_context(VendorEmulator(pki, clock=lambda: datetime.now(UTC)))
            template = Template.read(KeyIssuer="admin-api", UnattendedSealing="events")
            cloud: Any = self
            self.stack = Stack(cloud, template, self._function).create()
            self.secret: str = self.stack.output("SecretArn")
            for secret in (self.secret, self.stack.output("AdminSecretArn")):
                # It denies every call without TLS, of which there is none on loopback.
                self.client("secretsmanager").delete_resource_policy(SecretId=secret)
            self._store_first_values()
            for name in self.stack.template.created("AWS::IAM::Role"):
                arn = self.stack.attribute(name, "Arn")
                self._drop_unknown_conditions(arn)
                self.sessions[name] = self.ministack.session_of(arn)
            for name, function in self.functions.items():
                undo.callback(function.close)
                function.process = self._process(name, function, anchors)
            yield self

    # What `Stack` asks of a cloud.

    def client(self, service: str, role: str = "") -> Any:
        """A boto3 client of the root user, or of a session of a role."""
        return self.ministack.client(service, self.sessions[role] if role else None)

    def add_function(
        self, name: str, runner: SessionFunction, *, timeout: timedelta, memory_mb: int
    ) -> str:
        """Create a function that does nothing, so that there is one to be invoked."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("nothing.py", "def handler(event, context):\n    return None\n")
        answer = self.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=runner.properties["Role"],
            Handler="nothing.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=int(timeout.total_seconds()),
            MemorySize=memory_mb,
        )
        return str(answer["FunctionArn"])

    def wait_for_rotation(self, *_: Any) -> None:
        """Nothing: the emulator rotates no secret."""

    # What people and AWS's services do.

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """Run a function of the template; its answer.

        Raises:
            AssertionError: it failed.
        """
        result = self.functions[f"{function}Function"].invoke(json.dumps(event).encode())
        assert not result.error, f"{function}: {result.description()}"
        return json.loads(result.payload)

    def current(self) -> dict[str, str]:
        """The value that applications read."""
        answer = self.client("secretsmanager").get_secret_value(SecretId=self.secret)
        value: dict[str, str] = json.loads(answer["SecretString"])
        return value

    def rotate(self) -> None:
        """What Secrets Manager does on AWS: the four steps, one after the other.

        The emulator cannot have a pending version that has no value yet, so a session of the
        function's role stores what createSecret would, and createSecret finds it.
        """
        token, value = str(uuid.uuid4()), self._value(Role.SIGNING)
        self.client("secretsmanager", "RotationRole").put_secret_value(
            SecretId=self.secret,
            ClientRequestToken=token,
            SecretString=value,
            VersionStages=["AWSPENDING"],
        )
        for step in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            event = {"SecretId": self.secret, "ClientRequestToken": token, "Step": step}
            self.invoke("Rotation", event)

    def put_source(self, key: str, body: bytes) -> str:
        """A document into the source bucket; its version."""
        bucket = self.stack.output("SourceBucketName")
        return str(self.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["VersionId"])

    def _value(self, role: Role) -> str:
        key = self.vendor.keys.create(role=role)
        return json.dumps({"apiKey": key.material, "apiKeyId": key.id})

    def _store_first_values(self) -> None:
        secrets = self.client("secretsmanager")
        value = self._value(Role.SIGNING)
        # The second one drives out the version that RotateSecret made, which has no value.
        for _ in range(2):
            secrets.put_secret_value(SecretId=self.secret, SecretString=value)
        admin = self.stack.output("AdminSecretArn")
        secrets.put_secret_value(SecretId=admin, SecretString=self._value(Role.ADMIN))

    def _drop_unknown_conditions(self, role_arn: str) -> None:
        iam, role = self.client("iam"), role_arn.rpartition("/")[2]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in document["Statement"]:
                self._drop(statement.get("Condition", {}))
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    def _drop(self, conditions: dict[str, dict[str, Any]]) -> None:
        for operator, keys in [*conditions.items()]:
            unknown = {key for key in keys if not key.startswith(_KNOWN)}
            self.dropped |= unknown
            for key in unknown:
                del keys[key]
            if not keys:
                del conditions[operator]

    def _function(self, name: str, called: str, properties: Mapping[str, Any]) -> Any:
        self.functions[name] = SessionFunction(called, properties)
        return self.functions[name]

    def _process(self, name: str, function: SessionFunction, anchors: Path) -> ProcessFunction:
        variables = function.properties["Environment"]["Variables"]
        return ProcessFunction(
            function.properties["Handler"],
            environment={
                **{variable: str(value) for variable, value in variables.items()},
                **self.sessions[name.replace("Function", "Role")],
                "VENDOR_URL": self.vendor.url,
                "ADMIN_API_URL": "",
                "SIGNER_TRUST_ANCHORS": str(anchors),
                "PROPAGATION_LIMIT_SECONDS": "0.5",
            },
            log_path=self.folder / f"{name}.log",
            timeout=timedelta(seconds=int(function.properties["Timeout"])),
            name=function.name,
        )
