"""A sandbox with a second Region, for a replica that was promoted there.

moto has replicas, but no StopReplicationToReplica. So the secret that results from it is made as
AWS describes it (UserGuide standalone-secret): one of its own, with the versions, labels and tags
of the primary, and without rotation. The second Region has a stack of its own, from the same
template: functions, admin secret and evidence bucket.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from moto.awslambda_simple.models import lambda_simple_backends

from rotation.sandbox.aws import ACCOUNT, REGION
from rotation.sandbox.aws.cloud import Cloud
from rotation.sandbox.aws.functions import FunctionRunner, InvocationResult
from rotation.sandbox.aws.processes import ProcessFunction
from rotation.sandbox.aws.rotations import RetryPolicy, RotationOutcome
from rotation.sandbox.deployment import (
    ADMIN_SECRET,
    EVIDENCE_BUCKET,
    RECONCILE,
    ROTATE,
    SECRET,
    TIMEOUTS,
    Deployment,
    create_evidence_bucket,
)
from tests.journal.graces import let_graces_end

OTHER_REGION: Final = "eu-west-1"
STACK: Final = "second-region"
_HANDLERS: Final = {
    "rotate": (ROTATE, "tests.docs.runbooks.elsewhere.rotate"),
    "reconcile": (RECONCILE, "tests.docs.runbooks.elsewhere.reconcile"),
}


class TwoRegionsCloud(Cloud):
    """A cloud whose rotations find their function in the Region that its ARN names."""

    def add_function_in(self, region: str, name: str, runner: FunctionRunner) -> None:
        """Create a function in another Region, under a name that no other function has."""
        self._functions.add(name, runner)
        lambda_simple_backends[self.account][region].register(name, TIMEOUTS[ROTATE], 512)

    def wait_for_rotation(
        self, secret_id: str, token: str, timeout: timedelta = timedelta(minutes=5)
    ) -> RotationOutcome:
        """As `Cloud.wait_for_rotation`; an ARN names the Region too."""
        if secret_id.startswith("arn:"):
            return self._rotations.wait(secret_id, token, timeout)
        return super().wait_for_rotation(secret_id, token, timeout)

    def _invoke(self, function_arn: str, payload: bytes) -> InvocationResult:
        region = function_arn.split(":")[3]
        backend = lambda_simple_backends[self.account][region]
        answer: InvocationResult = backend.run(function_arn, payload)
        return answer


class TwoRegions(Deployment):
    """The deployment, and the same stack in `OTHER_REGION`."""

    cloud: TwoRegionsCloud

    def __init__(self, folder: Path, *, retries: RetryPolicy, propagation_limit: timedelta) -> None:
        super().__init__(folder, retries=retries, propagation_limit=propagation_limit)
        self.cloud = TwoRegionsCloud(retries=retries)

    def promote_replica(self) -> None:
        """What StopReplicationToReplica leaves behind in the other Region."""
        primary = self.cloud.client("secretsmanager")
        promoted = self.cloud.client("secretsmanager", OTHER_REGION)
        described = primary.describe_secret(SecretId=SECRET)
        promoted.create_secret(Name=SECRET, Tags=described.get("Tags", []))
        for version, labels in described["VersionIdsToStages"].items():
            value = primary.get_secret_value(SecretId=SECRET, VersionId=version)
            promoted.put_secret_value(
                SecretId=SECRET,
                ClientRequestToken=version,
                SecretString=value["SecretString"],
                VersionStages=labels,
            )

    def reconcile_after_the_grace(self) -> None:
        """What the hourly runs of both stacks do when every displaced key's grace is over."""
        s3 = self.cloud.client("s3")
        for region, function, bucket in (
            (REGION, RECONCILE, EVIDENCE_BUCKET),
            (OTHER_REGION, f"{STACK}-reconcile", f"{EVIDENCE_BUCKET}-{OTHER_REGION}"),
        ):
            secrets = self.cloud.client("secretsmanager", region)
            arn = secrets.describe_secret(SecretId=SECRET)["ARN"]
            let_graces_end(s3, bucket, arn)
            self.cloud.client("lambda", region).invoke(FunctionName=function)

    def deploy_stack(self) -> str:
        """Deploy the functions in the other Region; the ARN of its rotation function."""
        primary = self.cloud.client("secretsmanager")
        admin = primary.get_secret_value(SecretId=ADMIN_SECRET)["SecretString"]
        other = self.cloud.client("secretsmanager", OTHER_REGION)
        other.create_secret(Name=ADMIN_SECRET, SecretString=admin)
        bucket = f"{EVIDENCE_BUCKET}-{OTHER_REGION}"
        create_evidence_bucket(self.cloud.client("s3"), bucket)
        own = {
            "AWS_REGION": OTHER_REGION,
            "AWS_DEFAULT_REGION": OTHER_REGION,
            "INSTALLATION_ID": STACK,
            "ROTATED_SECRETS": f"arn:aws:secretsmanager:{OTHER_REGION}:{ACCOUNT}:secret:*",
            "ROTATION_FUNCTION": _arn("rotate"),
            "RECONCILE_FUNCTION": f"{STACK}-reconcile",
            "EVIDENCE_BUCKET": bucket,
        }
        for role, (first, handler) in _HANDLERS.items():
            name = f"{STACK}-{role}"
            runner = ProcessFunction(
                handler,
                environment={**self._function_environment(first), **own},
                log_path=self.logs / f"{name}.log",
                timeout=TIMEOUTS[first],
                concurrency=4,
                name=name,
            )
            self.cloud.add_function_in(OTHER_REGION, name, runner)
        return _arn("rotate")


def _arn(role: str) -> str:
    return f"arn:aws:lambda:{OTHER_REGION}:{ACCOUNT}:function:{STACK}-{role}"
