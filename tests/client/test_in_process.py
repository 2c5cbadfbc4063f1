"""The same client over a sealer in the application's own process; S3 and vendor over sockets."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from rotation.client.credential_cache import CredentialCache
from rotation.client.in_process import InProcessInvoker
from rotation.client.sealing_client import SealingClient
from rotation.credential import ApiKey
from rotation.errors import InvalidRequestError, SourceNotFoundError
from rotation.sealing.request import ObjectLocation, SealOptions, SealRequest
from rotation.sealing.verify import verify
from tests.client.fixtures import NAME, SandboxSecrets
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdfs import pdf


@pytest.fixture
def client(rotation_fixture: RotationFixture, sealer_fixture: SealerFixture) -> SealingClient:
    """A client with a cache of its own."""
    cache = CredentialCache(SandboxSecrets(rotation_fixture).source)
    return SealingClient(InProcessInvoker(sealer_fixture.sealer), cache, NAME)


def places(sealer_fixture: SealerFixture, name: str) -> tuple[ObjectLocation, ObjectLocation]:
    source = ObjectLocation(sealer_fixture.incoming, "a.pdf")
    return source, ObjectLocation(sealer_fixture.outgoing, f"sealed/{name}")


def test_a_rotation_and_a_revocation_between_two_seals_are_not_noticed(
    rotation_fixture: RotationFixture, sealer_fixture: SealerFixture, client: SealingClient
) -> None:
    """The cached key is dead: one rejected call, one fetch, and the document is sealed."""
    sealer_fixture.put("a.pdf", pdf())
    first, second = rotation_fixture.store(), None
    assert client.seal(*places(sealer_fixture, "1.pdf")).key_id == first.id
    second = rotation_fixture.store()
    assert rotation_fixture.vendor.keys.revoke(first.id)
    seal = client.seal(*places(sealer_fixture, "2.pdf"), SealOptions(reason="Final inspection"))
    assert seal.key_id == second.id
    assert client.seal(*places(sealer_fixture, "3.pdf")).key_id == second.id
    [report] = verify(sealer_fixture.sealed("sealed/2.pdf"), sealer_fixture.pki.root_pem)
    assert report.problem is None
    fetched = [call for call in rotation_fixture.cloud.calls if call.operation == "GetSecretValue"]
    assert len(fetched) == 2


def test_errors_have_the_classes_that_the_function_s_answers_have(
    rotation_fixture: RotationFixture, sealer_fixture: SealerFixture, client: SealingClient
) -> None:
    """No such source, and a place that is not allowed."""
    rotation_fixture.store()
    with pytest.raises(SourceNotFoundError, match=r"a\.pdf"):
        client.seal(*places(sealer_fixture, "1.pdf"))
    with pytest.raises(InvalidRequestError, match="DESTINATION_LOCATIONS"):
        client.seal(
            ObjectLocation(sealer_fixture.incoming, "a.pdf"), ObjectLocation("elsewhere", "a.pdf")
        )


def test_a_request_is_checked_as_the_function_checks_it(sealer_fixture: SealerFixture) -> None:
    """Calling the sealer in process opens no way around the rules for names."""
    key = ApiKey.from_text(sealer_fixture.key.id, sealer_fixture.material)
    source, destination = places(sealer_fixture, "1.pdf")
    request = SealRequest(source, replace(destination, key="sealed/../a.pdf"), key, SealOptions())
    answer = InProcessInvoker(sealer_fixture.sealer).invoke(request)
    assert answer["error"]["code"] == "invalid_request"


def test_a_sealer_that_breaks_is_an_answer_and_logged(
    sealer_fixture: SealerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """As in the function: the code "internal", and the traceback in the log without the key."""
    # Not a key of the vendor's: pytest's own log capture shows what is logged.
    key = ApiKey.from_text(sealer_fixture.key.id, "9d3f" * 16)
    sealer_fixture.put("a.pdf", pdf())

    def breaks(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError(key.material.reveal())

    sealer_fixture.sign = breaks
    request = SealRequest(*places(sealer_fixture, "1.pdf"), key, SealOptions())
    with caplog.at_level(logging.ERROR):
        answer = InProcessInvoker(sealer_fixture.sealer).invoke(request)
    assert answer["error"]["code"] == "internal"
    assert "ZeroDivisionError" in caplog.text
    assert key.material.reveal()[:12] not in caplog.text + json.dumps(answer)
