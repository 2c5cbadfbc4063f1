"""Who signed a request, as CloudTrail tells it: users, assumed roles, and the account's root.

UserGuide cloudtrail-event-reference-user-identity has the shapes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

_PARTITION: Final = "aws"


@dataclass
class Callers:
    """The access keys of one account.

    Attributes:
        account: the account's id.
        sessions: the access keys of functions: each with the role and the session's name.
    """

    account: str
    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def act_as(self, role: str, session: str) -> str:
        """An access key id of a session of the role ``role``; always the same one.

        Lambda names the session after the function.
        """
        digest = hashlib.sha256(f"{role}/{session}".encode()).hexdigest().upper()
        access_key = f"ASIA{digest[:16]}"
        self.sessions[access_key] = role, session
        return access_key

    def identity(self, access_key: str) -> dict[str, Any]:
        """The element userIdentity of who signs with ``access_key``.

        Whoever signs with a key that IAM and STS do not know is the account's root: moto checks no
        signature.
        """
        iam = iam_backends[self.account][_PARTITION]
        assumed = sts_backends[self.account][_PARTITION].get_assumed_role_from_access_key(
            access_key
        )
        if assumed is not None:
            return self._session(access_key, assumed.role_arn, assumed.session_name)
        if access_key in self.sessions:
            name, session = self.sessions[access_key]
            return self._session(access_key, f"arn:aws:iam::{self.account}:role/{name}", session)
        user = iam.get_user_from_access_key_id(access_key) if access_key else None
        if user is not None:
            return {
                "type": "IAMUser",
                "principalId": user.id,
                "arn": user.arn,
                "accountId": self.account,
                "accessKeyId": access_key,
                "userName": user.name,
            }
        return {
            "type": "Root",
            "principalId": self.account,
            "arn": f"arn:aws:iam::{self.account}:root",
            "accountId": self.account,
            "accessKeyId": access_key,
        }

    def _session(self, access_key: str, role_arn: str, session: str) -> dict[str, Any]:
        account, name = role_arn.split(":")[4], role_arn.rpartition("/")[2]
        roles = iam_backends[account][_PARTITION].roles.values()
        role_id = next((role.id for role in roles if role.arn == role_arn), "AROAUNKNOWN")
        return {
            "type": "AssumedRole",
            "principalId": f"{role_id}:{session}",
            "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            "accountId": account,
            "accessKeyId": access_key,
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": role_id,
                    "arn": role_arn,
                    "accountId": account,
                    "userName": name,
                },
                "attributes": {"mfaAuthenticated": "false"},
            },
        }


def user_name(identity: dict[str, Any]) -> str:
    """What the event history lists as the user name: of a session, the session's name."""
    if identity["type"] == "AssumedRole":
        return str(identity["principalId"]).partition(":")[2]
    return str(identity.get("userName", "root"))
