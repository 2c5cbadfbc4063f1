"""Documents that arrive: sealed once, in any order, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from rotation.deadline import NEXT_DOCUMENT_RESERVE
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import Fault, Outage
from rotation.sealing.verify import verify
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture
from tests.sealing.pdfs import large, pdf
from tests.unattended.conftest import Log
from tests.unattended.parts import PLENTY, Arrivals, unversioned


def keys(arrivals: Arrivals) -> set[str]:
    """What lies in the outgoing bucket."""
    listed = arrivals.office.s3.list_objects_v2(Bucket=arrivals.office.outgoing)
    return {one["Key"] for one in listed.get("Contents", ())}


def versions(arrivals: Arrivals) -> int:
    """How often something was stored there."""
    listed = arrivals.office.s3.list_object_versions(Bucket=arrivals.office.outgoing)
    return len(listed.get("Versions", ()))


def bought(arrivals: Arrivals) -> int:
    """How many signatures the vendor has sold."""
    return arrivals.rotation_fixture.vendor.signatures.total()


class TestOnArrival:
    """One upload, one seal."""

    @pytest.mark.parametrize("name", ["a.pdf", "2026/ä +%2B (1).PDF"])
    def test_what_arrives_is_sealed_under_its_version(self, arrivals: Arrivals, name: str) -> None:
        """The key of the sealed document is the source's, and the version; it is a good seal."""
        version = arrivals.office.put(name, pdf())
        assert arrivals.deliver() == []
        assert keys(arrivals) == {f"sealed/{name}/{version}.pdf"}
        sealed = arrivals.office.sealed(f"sealed/{name}/{version}.pdf")
        [report] = verify(sealed, arrivals.office.pki.root_pem)
        assert report.problem is None
        assert arrivals.take() == []

    def test_what_is_no_pdf_by_its_name_does_not_reach_the_queue(self, arrivals: Arrivals) -> None:
        """The template's rule passes PDFs on and nothing else."""
        arrivals.office.put("notes.txt", b"no PDF")
        assert arrivals.take() == []

    def test_a_bucket_without_versions_keeps_its_keys(self, arrivals: Arrivals) -> None:
        """There the sealed document has the source's own key."""
        plain = unversioned(arrivals)
        plain.office.s3.put_object(Bucket=plain.office.incoming, Key="in/a.pdf", Body=pdf())
        assert plain.deliver() == []
        assert keys(plain) == {"sealed/in/a.pdf"}


class TestRepeatsAndOrder:
    """S3 delivers at least once, and in any order."""

    def test_a_repeated_event_buys_nothing(self, arrivals: Arrivals) -> None:
        """The second time, and the third, the seal is found."""
        arrivals.office.put("a.pdf", pdf())
        [message] = arrivals.take()
        for _ in range(3):
            arrivals.send(message)
            assert arrivals.deliver() == []
        assert (bought(arrivals), versions(arrivals)) == (1, 1)

    def test_events_in_any_order_seal_each_version_once(self, arrivals: Arrivals) -> None:
        """The older version's event comes last, and touches nothing of the newer's."""
        contents = [pdf(), large(500), large(600)]
        named = [arrivals.office.put("a.pdf", content) for content in contents]
        messages = arrivals.take()
        for message in [*reversed(messages), messages[0]]:
            arrivals.send(message)
            assert arrivals.deliver() == []
        assert keys(arrivals) == {f"sealed/a.pdf/{version}.pdf" for version in named}
        assert bought(arrivals) == versions(arrivals) == 3
        for version, content in zip(named, contents, strict=True):
            assert arrivals.office.sealed(f"sealed/a.pdf/{version}.pdf").startswith(content)

    def test_an_old_event_of_a_bucket_without_versions_is_a_reason_to_look(
        self, arrivals: Arrivals
    ) -> None:
        """What lies there now is sealed, once, whichever event comes first or last."""
        plain = unversioned(arrivals)
        for content in (pdf(), large(500)):
            plain.office.s3.put_object(Bucket=plain.office.incoming, Key="a.pdf", Body=content)
        old, new = plain.take()
        for message in (new, old, new, old):
            plain.send(message)
            assert plain.deliver() == []
        assert plain.office.sealed().startswith(large(500))
        assert bought(plain) == 1

    def test_without_versions_a_seal_that_was_overtaken_is_made_again(
        self, arrivals: Arrivals
    ) -> None:
        """Replaced while it is being sealed, it comes again, and what is there now is sealed."""
        plain = unversioned(arrivals)
        place: dict[str, Any] = {"Bucket": plain.office.incoming, "Key": "a.pdf"}
        plain.office.s3.put_object(**place, Body=pdf())
        [message] = plain.take()
        plain.send(message)
        plain.during_the_next_seal(lambda: plain.office.s3.put_object(**place, Body=large(500)))
        assert plain.deliver() == [message]
        assert plain.deliver() == []
        assert plain.office.sealed().startswith(large(500))
        assert bought(plain) == 2

    def test_a_source_that_is_removed_once_it_is_sealed_is_no_failure(
        self, arrivals: Arrivals
    ) -> None:
        """Whoever waits for the sealed document may clear the source away at once."""
        plain = unversioned(arrivals)
        place: dict[str, Any] = {"Bucket": plain.office.incoming, "Key": "a.pdf"}
        plain.office.s3.put_object(**place, Body=pdf())
        plain.during_the_next_seal(lambda: plain.office.s3.delete_object(**place))
        assert plain.deliver() == []
        assert keys(plain) == {"sealed/a.pdf"}


class TestFailures:
    """A message whose document is not sealed comes again, and ends with the dead letters."""

    def test_one_bad_message_repeats_no_other(self, arrivals: Arrivals) -> None:
        """Half of a batch fails; the other half is sealed, deleted, and not touched again."""
        for number in range(3):
            arrivals.office.put(f"good-{number}.pdf", pdf())
            arrivals.office.put(f"bad-{number}.pdf", b"%PDF-1.7 cut off")
        failed = arrivals.deliver()
        assert sorted(json.loads(one)["detail"]["object"]["key"] for one in failed) == [
            *("bad-0.pdf", "bad-1.pdf", "bad-2.pdf"),
        ]
        assert len(arrivals.deliver()) == 3
        assert (bought(arrivals), len(keys(arrivals))) == (3, 3)

    def test_what_can_never_be_sealed_reaches_the_dead_letters(
        self, arrivals: Arrivals, log: Log
    ) -> None:
        """After its last attempt, with its code in the log each time."""
        arrivals.office.put("a.pdf", b"%PDF-1.7 cut off")
        for _ in range(arrivals.attempts):
            assert len(arrivals.deliver()) == 1
        [letter] = arrivals.dead_letters()
        assert json.loads(letter)["detail"]["object"]["key"] == "a.pdf"
        returned = log.facts("message returned")
        assert [fact["code"] for fact in returned] == ["damaged_pdf"] * arrivals.attempts
        assert [fact["received"] for fact in returned] == ["1", "2", "3"]
        assert returned[0]["retryable"] is False
        assert bought(arrivals) == 0

    def test_a_message_that_is_not_s3_s_reaches_the_dead_letters(self, arrivals: Arrivals) -> None:
        """And the good one beside it is sealed."""
        body = "poison"
        arrivals.send(body)
        version = arrivals.office.put("a.pdf", pdf())
        for _ in range(arrivals.attempts):
            assert arrivals.deliver() == [body]
        assert arrivals.dead_letters() == [body]
        assert keys(arrivals) == {f"sealed/a.pdf/{version}.pdf"}

    def test_what_passes_is_sealed_when_it_has_passed(self, arrivals: Arrivals) -> None:
        """An outage of the vendor costs attempts and nothing else."""
        arrivals.office.put("a.pdf", pdf())
        arrivals.office.emulator.outage = Outage.UNAVAILABLE
        assert len(arrivals.deliver()) == 1
        arrivals.office.emulator.outage = None
        assert arrivals.deliver() == []
        assert len(keys(arrivals)) == 1

    @pytest.mark.parametrize("fault", [AwsError("AccessDenied", status=403), Dropped()])
    def test_whether_it_is_sealed_must_be_seen(
        self, arrivals: Arrivals, fault: AwsError | Dropped
    ) -> None:
        """A refused or lost look at the destination is no reason to buy."""
        version = arrivals.office.put("a.pdf", pdf())
        look = f"HEAD /{arrivals.office.outgoing}/sealed/a.pdf/{version}.pdf"
        arrivals.rotation_fixture.cloud.faults.before(look, fault, times=10)
        assert len(arrivals.deliver()) == 1
        assert bought(arrivals) == 0
        arrivals.rotation_fixture.cloud.faults.clear()
        assert arrivals.deliver() == []
        assert bought(arrivals) == 1

    def test_a_seal_whose_answer_was_lost_is_found(self, arrivals: Arrivals) -> None:
        """The function died after storing: the message comes again and buys nothing."""
        arrivals.office.put("a.pdf", pdf())
        [message] = arrivals.take()
        arrivals.send(message)

        def dies(event: dict[str, Any]) -> Mapping[str, Any]:
            arrivals._answer(event)
            return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}

        assert arrivals.deliver(dies) == [message]
        assert arrivals.deliver() == []
        assert (bought(arrivals), versions(arrivals)) == (1, 1)


class TestKeys:
    """The functions hold a key of their own."""

    def test_a_rejected_key_is_fetched_anew(
        self, rotation_fixture: RotationFixture, arrivals: Arrivals
    ) -> None:
        """Rotated and revoked between two documents: one fetch more, and no message fails."""
        arrivals.office.put("a.pdf", pdf())
        assert arrivals.deliver() == []
        first = next(iter(rotation_fixture.vendor.signatures))
        second = rotation_fixture.store()
        assert rotation_fixture.vendor.keys.revoke(first)
        arrivals.office.put("b.pdf", pdf())
        assert arrivals.deliver() == []
        assert rotation_fixture.vendor.signatures == {first: 1, second.id: 1}
        fetched = [
            call for call in rotation_fixture.cloud.calls if call.operation == "GetSecretValue"
        ]
        assert len(fetched) == 2

    def test_without_a_key_every_message_waits(
        self, rotation_fixture: RotationFixture, arrivals: Arrivals
    ) -> None:
        """Secrets Manager refuses: nothing is lost, and all are sealed once it does not."""
        for name in ("a.pdf", "b.pdf"):
            arrivals.office.put(name, pdf())
        rotation_fixture.cloud.faults.before(
            "GetSecretValue", AwsError("AccessDeniedException"), times=9
        )
        assert len(arrivals.deliver()) == 2
        rotation_fixture.cloud.faults.clear()
        # For up to a second the cache tells of the refusal without asking again.
        arrivals.clock.advance(2)
        assert arrivals.deliver() == []
        assert bought(arrivals) == 2

    def test_no_message_and_no_answer_holds_a_key(
        self, rotation_fixture: RotationFixture, arrivals: Arrivals, log: Log
    ) -> None:
        """Queues and answers hold names alone, whatever becomes of the documents."""
        material = rotation_fixture.value("AWSCURRENT")["apiKey"]
        arrivals.office.put("a.pdf", pdf())
        arrivals.office.put("b.pdf", b"no PDF")
        rotation_fixture.vendor.faults.next("sign", Fault.STRANGER)
        failed = arrivals.deliver()
        assert len(failed) == 2
        canary = Canary()
        canary.plant(material, "the key")
        said = json.dumps([failed, arrivals.answers]) + log.getvalue()
        assert "seal_verification" in said
        assert canary.find(said.encode()) is None


class TestTime:
    """No document is begun that could not be finished."""

    def test_what_is_not_begun_comes_again(self, arrivals: Arrivals) -> None:
        """With little time left nothing is read, nothing is bought, and nothing is lost."""
        arrivals.office.put("a.pdf", pdf())
        arrivals.time_left = NEXT_DOCUMENT_RESERVE - timedelta(seconds=1)
        assert len(arrivals.deliver()) == 1
        assert arrivals.office.nothing_sealed()
        arrivals.time_left = NEXT_DOCUMENT_RESERVE
        assert arrivals.deliver() == []
        assert bought(arrivals) == 1

    def test_the_time_is_looked_at_before_each_document(self, arrivals: Arrivals) -> None:
        """The first takes what there was; the rest of the batch comes again, whole."""
        for number in range(3):
            arrivals.office.put(f"{number}.pdf", pdf())

        def pass_time() -> None:
            arrivals.time_left = timedelta(seconds=40)

        arrivals.during_the_next_seal(pass_time)
        assert len(arrivals.deliver()) == 2
        arrivals.time_left = PLENTY
        assert arrivals.deliver() == []
        assert bought(arrivals) == 3


class TestNoRecursion:
    """A function never seals what it has sealed."""

    def test_what_lies_at_the_destination_is_passed_over(
        self, arrivals: Arrivals, log: Log
    ) -> None:
        """Even if a rule should send it: the message is done with, and the log says so."""
        arrivals.office.put("a.pdf", pdf())
        [message] = arrivals.take()
        event = json.loads(message)
        event["detail"]["bucket"]["name"] = arrivals.office.outgoing
        event["detail"]["object"] |= {"key": "sealed/a.pdf"}
        arrivals.send(json.dumps(event))
        assert arrivals.deliver() == []
        assert arrivals.office.nothing_sealed()
        assert len(log.facts("sealed document passed over")) == 1

    def test_what_marks_a_folder_is_done_with(self, arrivals: Arrivals, log: Log) -> None:
        """S3's console makes an empty object for a folder; S3's own notifications tell of it."""
        arrivals.office.put("incoming/", b"")
        record = {
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": arrivals.office.incoming}, "object": {"key": "incoming/"}},
        }
        arrivals.send(json.dumps({"Records": [record]}))
        assert arrivals.deliver() == []
        assert "/incoming/ (version " in log.facts("nothing to seal")[0]["source"]
        assert arrivals.office.nothing_sealed()

    def test_what_s3_says_of_other_things_is_done_with(self, arrivals: Arrivals) -> None:
        """A deletion is no document to seal, and no failure."""
        arrivals.send('{"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}}')
        assert arrivals.deliver() == []
        assert arrivals.take() == []
        assert arrivals.office.nothing_sealed()
