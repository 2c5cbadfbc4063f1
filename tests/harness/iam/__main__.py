"""``python -m tests.harness.iam``: whether the template's rights suffice, and all are needed."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.artifacts.parameter_sets import FULLEST, GIVEN, SHORTEST
from tests.harness.iam.attacks import attacks
from tests.harness.iam.evaluation import Questions
from tests.harness.iam.policies import ACCOUNT, Mutation, Policies, mutations
from tests.harness.iam.recording import Call, record
from tests.harness.iam.requests import Request, Rights

#: What is not proved by a mutation, and why it stays.
EXCEPTIONS: Final = {
    "TheKeyComesWithTheRequest": "a second lock: nothing is allowed that it denies, and it holds "
    "also if somebody adds a right",
    "KeepEvidence: without arn:aws:s3:::EvidenceBucket/pools/*": "the record of a leaked key "
    "of the pool is kept when its death is proven, which takes hours of asking for each key",
    "KeepEvidence: without arn:aws:s3:::EvidenceBucket/drills/*": "the record of a drill is kept "
    "for a secret that no parameter of these sets allows to be rotated",
}
#: KMS developer guide, key-policy-default.
DEFAULT_KEY_POLICY: Final = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}
#: The sets of parameters whose policies are proved; together they have every statement.
SETS: Final[Mapping[str, Mapping[str, str]]] = {
    "shortest": SHORTEST,
    "fullest": FULLEST,
    "fullest, key-pool": {**FULLEST, "KeyIssuer": "key-pool"},
    "shortest, admin-api": {**SHORTEST, "KeyIssuer": "admin-api"},
    "given": GIVEN,
}


#: Whether a request shall be allowed, the request in words, and the place of its answer.
Expectation = tuple[bool, str, int]


class Proof:
    """What was asked for one set of parameters, and what must come of it."""

    def __init__(self, name: str, parameters: Mapping[str, str], calls: Iterable[Call]) -> None:
        self.policies = Policies.of(parameters)
        self.name, self.questions = name, Questions()
        rights = Rights(self.policies)
        needed = [*rights.by_services()]
        for call in calls:
            if call.role in self.policies.identity:
                needed += rights.of(call)
        self.needed = [*dict.fromkeys(needed)]
        self._own = {arn: self._policy(one) for arn, one in self.policies.resource.items()}
        # As AWS makes it, and as the documentation asks for: it leaves access to IAM policies.
        self._of_keys = self.questions.policy([DEFAULT_KEY_POLICY])
        self._identity = {
            role: self.questions.policy(one) for role, one in self.policies.identity.items()
        }
        self.mutations = [
            mutation
            for role, statements in self.policies.identity.items()
            for mutation in mutations(role, statements)
            if not any(mutation.what.startswith(one) for one in EXCEPTIONS)
        ]

    def _policy(self, document: Mapping[str, Any]) -> int:
        return self.questions.policy(document["Statement"])

    def _ask(self, request: Request, identity: int) -> int:
        place = re.sub(r"^(arn:aws:s3:::[^/]+)/.*", r"\1", request.resource)
        if request.action.startswith("kms:"):
            return self.questions.ask(request, identity, self._of_keys)
        return self.questions.ask(request, identity, self._own.get(place))

    def run(self) -> tuple[list[str], int]:
        """What is wrong, each in words; and how many mutations there were."""
        expected = self._expected()
        tried = [(one, [*self._try(one)]) for one in self.mutations]
        answers = self.questions.answers()
        wrong = _unexpected(expected, answers)
        for mutation, places in tried:
            # A mutation that allows less breaks a call; one that allows more lets an attempt in.
            found = any(answers[at] != mutation.narrower for at in places)
            if not found or (mutation.narrower and all(answers[at] for at in places)):
                wrong.append(f"survived: {mutation.role}/{mutation.what}")
        return [f"{self.name}: {one}" for one in wrong], len(tried)

    def judge(self) -> tuple[list[str], int]:
        """The same without mutations; and how many requests were judged."""
        expected = self._expected()
        wrong = _unexpected(expected, self.questions.answers())
        return [f"{self.name}: {one}" for one in wrong], len(expected)

    def _expected(self) -> list[Expectation]:
        """Ask for every request that is needed, and for every attack."""
        needed = [
            (True, _words(one), self._ask(one, self._identity[one.role])) for one in self.needed
        ]
        return needed + [
            (False, f"{what}: {_words(one)}", self._ask(one, self._identity[one.role]))
            for what, one in attacks(self.policies)
            if one.role in self._identity
        ]

    def _try(self, mutation: Mutation) -> Iterator[int]:
        identity = self.questions.policy(mutation.statements)
        for request in self.needed:
            if request.role == mutation.role and _covered(request.action, mutation.actions):
                if mutation.narrower:
                    yield self._ask(request, identity)
                else:
                    for attempt in _attempts(request):
                        yield self._ask(attempt, identity)


def _unexpected(expected: Iterable[Expectation], answers: Sequence[bool]) -> list[str]:
    return [
        f"{'not allowed' if shall else 'allowed'}: {words}"
        for shall, words, at in expected
        if answers[at] != shall
    ]


def _covered(action: str, actions: Iterable[str]) -> bool:
    return any(re.fullmatch(one.replace("*", ".*"), action) for one in actions)


def _attempts(request: Request) -> Iterator[Request]:
    """The same request for what it is not meant for: another resource, another context."""
    context = dict(request.context)
    if request.resource != "*":
        last = r"(?<=:::)[^/]+" if ":s3:::" in request.resource else r"[^:/]+$"
        other = re.sub(last, "foreign-ZyXwVu", request.resource)
        yield Request(request.role, request.action, other, request.context)
    for key, value in context.items():
        left = {name: one for name, one in context.items() if name != key}
        yield Request.of(request.role, request.action, request.resource, **left)
        changed = {"true": "false", "false": "true"}.get(str(value), "foreign")
        if key.endswith(("Arn", "ARN")):
            changed = f"{value}-foreign"
        other_value = (changed,) if isinstance(value, tuple) else changed
        yield Request.of(
            request.role, request.action, request.resource, **{**context, key: other_value}
        )
    for key, value in (
        ("secretsmanager:RotationLambdaARN", "arn:aws:lambda:eu-central-1:1:function:foreign"),
        ("lambda:SourceFunctionArn", "arn:aws:lambda:eu-central-1:1:function:foreign"),
    ):
        if (key[0] == "s") == (request.action == "secretsmanager:RotateSecret") and (
            key[0] == "s" or request.action.startswith("ec2:")
        ):
            yield Request.of(
                request.role, request.action, request.resource, **{**context, key: value}
            )


def _words(request: Request) -> str:
    return f"{request.role} {request.action} {request.resource} {dict(request.context)}"


def main(arguments: Sequence[str]) -> int:
    """Record, ask, and print one line; what is wrong comes before it."""
    if arguments == ["--short"]:
        return _judge_attacks()
    with tempfile.TemporaryDirectory() as folder:
        calls = record(Path(folder))
    wrong: list[str] = []
    statements: set[tuple[str, str]] = set()
    tried = 0
    for name, parameters in SETS.items():
        proof = Proof(name, parameters, calls)
        found, count = proof.run()
        wrong, tried = wrong + found, tried + count
        statements |= {
            (role, one["Sid"]) for role, all_of in proof.policies.identity.items() for one in all_of
        }
    survivors = sum(": survived: " in one for one in wrong)
    line = (
        f"{len(statements)} statements, {tried} mutations, {survivors} survivors, "
        f"{len(wrong) - survivors} refused or let in wrongly; {len(EXCEPTIONS)} exceptions"
    )
    sys.stdout.write("\n".join([*wrong, line, ""]))
    return 1 if wrong else 0


def _judge_attacks() -> int:
    """Run no flow: whether every attack is refused, and AWS's services do what they do for us."""
    judged = [Proof(name, parameters, ()).judge() for name, parameters in SETS.items()]
    wrong = [one for found, _ in judged for one in found]
    line = f"{sum(count for _, count in judged)} requests, {len(wrong)} refused or let in wrongly"
    sys.stdout.write("\n".join([*wrong, line, ""]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
