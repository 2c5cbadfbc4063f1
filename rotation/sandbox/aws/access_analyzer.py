"""IAM Access Analyzer, which moto does not have: findings about the policies of secrets.

An analyzer finds whom the policy of a secret lets in from outside of the account (UserGuide
access-analyzer-findings). AWS takes up to half an hour for that; here it is done when it is asked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from rotation.sandbox.aws.traffic import Application, Environ, StartResponse

_SERVICE: Final = "/access-analyzer/aws4_request"
_FINDING: Final = re.compile(r"/findingv2/([^/]+)")


class AccessAnalyzerService:
    """A WSGI application: the operations of Access Analyzer, and everything else from another.

    Args:
        other: serves what is not Access Analyzer's.
        account: the account's number.
        region: the Region.
        policies: the ARN of each secret that has a resource policy, and the policy.
    """

    def __init__(
        self,
        other: Application,
        account: str,
        region: str,
        policies: Callable[[], Mapping[str, str]],
    ) -> None:
        self._other = other
        self._account = account
        self._region = region
        self._policies = policies
        self._analyzers: dict[str, dict[str, Any]] = {}

    def reset(self) -> None:
        """Forget every analyzer."""
        self._analyzers.clear()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if _SERVICE not in environ.get("HTTP_AUTHORIZATION", ""):
            return self._other(environ, start_response)
        size = int(environ.get("CONTENT_LENGTH") or 0)
        asked = json.loads(environ["wsgi.input"].read(size) or b"{}") if size else {}
        status, answer = self._answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], asked)
        body = json.dumps(answer).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        if status >= 400:
            headers["x-amzn-errortype"] = answer["__type"]
        start_response(f"{status} Access Analyzer", [*headers.items()])
        return [body]

    def _answer(
        self, method: str, path: str, asked: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """API_CreateAnalyzer, API_ListAnalyzers, API_ListFindingsV2 and API_GetFindingV2."""
        if (method, path) == ("PUT", "/analyzer"):
            name = asked["analyzerName"]
            arn = f"arn:aws:access-analyzer:{self._region}:{self._account}:analyzer/{name}"
            self._analyzers[arn] = {
                "arn": arn,
                "name": name,
                "type": asked["type"],
                "createdAt": _time(),
                "status": "ACTIVE",
            }
            return 200, {"arn": arn}
        if (method, path) == ("GET", "/analyzer"):
            return 200, {"analyzers": [*self._analyzers.values()]}
        if (method, path) == ("POST", "/findingv2"):
            wanted = asked.get("filter", {}).get("resource", {}).get("eq", [])
            found = [
                {name: value for name, value in one.items() if name != "findingDetails"}
                for one in self._findings()
                if not wanted or one["resource"] in wanted
            ]
            return 200, {"findings": found}
        if method == "GET" and (named := _FINDING.fullmatch(unquote(path))):
            for one in self._findings():
                if one["id"] == named[1]:
                    return 200, one
        return 404, {"__type": "ResourceNotFoundException", "message": f"{method} {path}"}

    def _findings(self) -> Iterator[dict[str, Any]]:
        """A finding for each outsider whom a statement lets in."""
        for arn, policy in self._policies().items():
            for statement in json.loads(policy)["Statement"]:
                principal = statement.get("Principal", {})
                names = {"AWS": "*"} if principal == "*" else principal
                for kind, named in names.items():
                    for name in [named] if isinstance(named, str) else named:
                        if statement["Effect"] == "Allow" and self._account not in name:
                            yield self._finding(arn, statement, {kind: name})

    def _finding(
        self, arn: str, statement: Mapping[str, Any], principal: Mapping[str, str]
    ) -> dict[str, Any]:
        actions = statement["Action"]
        condition = {
            key: str(value)
            for one in statement.get("Condition", {}).values()
            for key, value in one.items()
        }
        identity = json.dumps([arn, statement, principal], sort_keys=True).encode()
        return {
            "id": hashlib.sha256(identity).hexdigest()[:32],
            "analyzedAt": _time(),
            "createdAt": _time(),
            "updatedAt": _time(),
            "resource": arn,
            "resourceType": "AWS::SecretsManager::Secret",
            "resourceOwnerAccount": self._account,
            "status": "ACTIVE",
            "findingType": "ExternalAccess",
            "findingDetails": [
                {
                    "externalAccessDetails": {
                        "action": [actions] if isinstance(actions, str) else actions,
                        "condition": condition,
                        "isPublic": "*" in principal.values(),
                        "principal": principal,
                    }
                }
            ],
        }


def _time() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
