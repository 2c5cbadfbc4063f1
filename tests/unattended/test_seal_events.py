"""Documents that arrive: sealed once, in any order, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from rotation.deadline import NEXT_DOCUMENT_RESERVE
from rotation.sandbox.aws.traffic import AwsError, Dropped
from rotation.sandbox.vendor import Outage, VendorFault
from rotation.sealing.pdf import Limits
from rotation.sealing.verify import verify
from tests.privacy.canary import Canary
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdf.test_limits import many_objects
from tests.sealing.pdfs import large, pdf
from tests.unattended.conftest import Log
from tests.unattended.fixtures import PLENTY, ArrivalQueue, unversioned


def keys(arrival_queue: ArrivalQueue) -> set[str]:
    """What lies in the outgoing bucket."""
    listed = arrival_queue.sealer_fixture.s3.list_objects_v2(
        Bucket=arrival_queue.sealer_fixture.outgoing
    )
    return {one["Key"] for one in listed.get("Contents", ())}


def versions(arrival_queue: ArrivalQueue) -> int:
    """How often something was stored there."""
    listed = arrival_queue.sealer_fixture.s3.list_object_versions(
        Bucket=arrival_queue.sealer_fixture.outgoing
    )
    return len(listed.get("Versions", ()))


def bought(arrival_queue: ArrivalQueue) -> int:
    """How many signatures the vendor has sold."""
    return arrival_queue.rotation_fixture.vendor.signatures.total()


class TestOnArrival:
    """One upload, one seal."""

    @pytest.mark.parametrize("name", ["a.pdf", "2026/ä +%2B (1).PDF"])
    def test_what_arrives_is_sealed_under_its_version(
        self, arrival_queue: ArrivalQueue, name: str
    ) -> None:
        """The key of the sealed document is the source's, and the version; it is a good seal."""
        version = arrival_queue.sealer_fixture.put(name, pdf())
        assert arrival_queue.deliver() == []
        assert keys(arrival_queue) == {f"sealed/{name}/{version}.pdf"}
        sealed = arrival_queue.sealer_fixture.sealed(f"sealed/{name}/{version}.pdf")
        [report] = verify(sealed, arrival_queue.sealer_fixture.pki.root_pem)
        assert report.problem is None
        assert arrival_queue.take() == []

    def test_what_is_no_pdf_by_its_name_does_not_reach_the_queue(
        self, arrival_queue: ArrivalQueue
    ) -> None:
        """The template's rule passes PDFs on and nothing else."""
        arrival_queue.sealer_fixture.put("notes.txt", b"no PDF")
        assert arrival_queue.take() == []

    def test_a_bucket_without_versions_keeps_its_keys(self, arrival_queue: ArrivalQueue) -> None:
        """There the sealed document has the source's own key."""
        plain = unversioned(arrival_queue)
        plain.sealer_fixture.s3.put_object(
            Bucket=plain.sealer_fixture.incoming, Key="in/a.pdf", Body=pdf()
        )
        assert plain.deliver() == []
        assert keys(plain) == {"sealed/in/a.pdf"}


class TestRepeatsAndOrder:
    """S3 delivers at least once, and in any order."""

    def test_a_repeated_event_buys_nothing(self, arrival_queue: ArrivalQueue) -> None:
        """The second time, and the third, the seal is found."""
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        [message] = arrival_queue.take()
        for _ in range(3):
            arrival_queue.send(message)
            assert arrival_queue.deliver() == []
        assert (bought(arrival_queue), versions(arrival_queue)) == (1, 1)

    def test_events_in_any_order_seal_each_version_once(self, arrival_queue: ArrivalQueue) -> None:
        """The older version's event comes last, and touches nothing of the newer's."""
        contents = [pdf(), large(500), large(600)]
        named = [arrival_queue.sealer_fixture.put("a.pdf", content) for content in contents]
        messages = arrival_queue.take()
        for message in [*reversed(messages), messages[0]]:
            arrival_queue.send(message)
            assert arrival_queue.deliver() == []
        assert keys(arrival_queue) == {f"sealed/a.pdf/{version}.pdf" for version in named}
        assert bought(arrival_queue) == versions(arrival_queue) == 3
        for version, content in zip(named, contents, strict=True):
            assert arrival_queue.sealer_fixture.sealed(f"sealed/a.pdf/{version}.pdf").startswith(
                content
            )

    def test_an_old_event_of_a_bucket_without_versions_is_a_reason_to_look(
        self, arrival_queue: ArrivalQueue
    ) -> None:
        """What lies there now is sealed, once, whichever event comes first or last."""
        plain = unversioned(arrival_queue)
        for content in (pdf(), large(500)):
            plain.sealer_fixture.s3.put_object(
                Bucket=plain.sealer_fixture.incoming, Key="a.pdf", Body=content
            )
        old, new = plain.take()
        for message in (new, old, new, old):
            plain.send(message)
            assert plain.deliver() == []
        assert plain.sealer_fixture.sealed().startswith(large(500))
        assert bought(plain) == 1

    def test_without_versions_a_seal_that_was_overtaken_is_made_again(
        self, arrival_queue: ArrivalQueue
    ) -> None:
        """Replaced while it is being sealed, it comes again, and what is there now is sealed."""
        plain = unversioned(arrival_queue)
        place: dict[str, Any] = {"Bucket": plain.sealer_fixture.incoming, "Key": "a.pdf"}
        plain.sealer_fixture.s3.put_object(**place, Body=pdf())
        [message] = plain.take()
        plain.send(message)
        plain.during_the_next_seal(
            lambda: plain.sealer_fixture.s3.put_object(**place, Body=large(500))
        )
        assert plain.deliver() == [message]
        assert plain.deliver() == []
        assert plain.sealer_fixture.sealed().startswith(large(500))
        assert bought(plain) == 2

    def test_a_source_that_is_removed_once_it_is_sealed_is_no_failure(
        self, arrival_queue: ArrivalQueue
    ) -> None:
        """Whoever waits for the sealed document may clear the source away at once."""
        plain = unversioned(arrival_queue)
        place: dict[str, Any] = {"Bucket": plain.sealer_fixture.incoming, "Key": "a.pdf"}
        plain.sealer_fixture.s3.put_object(**place, Body=pdf())
        plain.during_the_next_seal(lambda: plain.sealer_fixture.s3.delete_object(**place))
        assert plain.deliver() == []
        assert keys(plain) == {"sealed/a.pdf"}


class TestFailures:
    """A message whose document is not sealed comes again, and ends with the dead letters."""

    def test_one_bad_message_repeats_no_other(self, arrival_queue: ArrivalQueue) -> None:
        """Half of a batch fails; the other half is sealed, deleted, and not touched again."""
        for number in range(3):
            arrival_queue.sealer_fixture.put(f"good-{number}.pdf", pdf())
            arrival_queue.sealer_fixture.put(f"bad-{number}.pdf", b"%PDF-1.7 cut off")
        failed = arrival_queue.deliver()
        assert sorted(json.loads(one)["detail"]["object"]["key"] for one in failed) == [
            *("bad-0.pdf", "bad-1.pdf", "bad-2.pdf"),
        ]
        assert len(arrival_queue.deliver()) == 3
        assert (bought(arrival_queue), len(keys(arrival_queue))) == (3, 3)

    def test_what_can_never_be_sealed_reaches_the_dead_letters(
        self, arrival_queue: ArrivalQueue, log: Log
    ) -> None:
        """After its last attempt, with its code in the log each time."""
        arrival_queue.sealer_fixture.put("a.pdf", b"%PDF-1.7 cut off")
        for _ in range(arrival_queue.attempts):
            assert len(arrival_queue.deliver()) == 1
        [letter] = arrival_queue.dead_letters()
        assert json.loads(letter)["detail"]["object"]["key"] == "a.pdf"
        returned = log.facts("message returned")
        assert [fact["code"] for fact in returned] == ["damaged_pdf"] * arrival_queue.attempts
        assert [fact["received"] for fact in returned] == ["1", "2", "3"]
        assert returned[0]["retryable"] is False
        assert bought(arrival_queue) == 0

    def test_a_message_that_is_not_s3_s_reaches_the_dead_letters(
        self, arrival_queue: ArrivalQueue
    ) -> None:
        """And the good one beside it is sealed."""
        body = "poison"
        arrival_queue.send(body)
        version = arrival_queue.sealer_fixture.put("a.pdf", pdf())
        for _ in range(arrival_queue.attempts):
            assert arrival_queue.deliver() == [body]
        assert arrival_queue.dead_letters() == [body]
        assert keys(arrival_queue) == {f"sealed/a.pdf/{version}.pdf"}

    def test_what_passes_is_sealed_when_it_has_passed(self, arrival_queue: ArrivalQueue) -> None:
        """An outage of the vendor costs attempts and nothing else."""
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        arrival_queue.sealer_fixture.emulator.outage = Outage.UNAVAILABLE
        assert len(arrival_queue.deliver()) == 1
        arrival_queue.sealer_fixture.emulator.outage = None
        assert arrival_queue.deliver() == []
        assert len(keys(arrival_queue)) == 1

    @pytest.mark.parametrize("fault", [AwsError("AccessDenied", status=403), Dropped()])
    def test_whether_it_is_sealed_must_be_seen(
        self, arrival_queue: ArrivalQueue, fault: AwsError | Dropped
    ) -> None:
        """A refused or lost look at the destination is no reason to buy."""
        version = arrival_queue.sealer_fixture.put("a.pdf", pdf())
        look = f"HEAD /{arrival_queue.sealer_fixture.outgoing}/sealed/a.pdf/{version}.pdf"
        arrival_queue.rotation_fixture.cloud.faults.before(look, fault, times=10)
        assert len(arrival_queue.deliver()) == 1
        assert bought(arrival_queue) == 0
        arrival_queue.rotation_fixture.cloud.faults.clear()
        assert arrival_queue.deliver() == []
        assert bought(arrival_queue) == 1

    def test_a_seal_whose_answer_was_lost_is_found(self, arrival_queue: ArrivalQueue) -> None:
        """The function died after storing: the message comes again and buys nothing."""
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        [message] = arrival_queue.take()
        arrival_queue.send(message)

        def dies(event: dict[str, Any]) -> Mapping[str, Any]:
            arrival_queue._answer(event)
            return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}

        assert arrival_queue.deliver(dies) == [message]
        assert arrival_queue.deliver() == []
        assert (bought(arrival_queue), versions(arrival_queue)) == (1, 1)


class TestKeys:
    """The functions hold a key of their own."""

    def test_a_rejected_key_is_fetched_anew(
        self, rotation_fixture: RotationFixture, arrival_queue: ArrivalQueue
    ) -> None:
        """Rotated and revoked between two documents: one fetch more, and no message fails."""
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        assert arrival_queue.deliver() == []
        first = next(iter(rotation_fixture.vendor.signatures))
        second = rotation_fixture.store()
        assert rotation_fixture.vendor.keys.revoke(first)
        arrival_queue.sealer_fixture.put("b.pdf", pdf())
        assert arrival_queue.deliver() == []
        assert rotation_fixture.vendor.signatures == {first: 1, second.id: 1}
        fetched = [
            call for call in rotation_fixture.cloud.calls if call.operation == "GetSecretValue"
        ]
        assert len(fetched) == 2

    def test_stray_rejections_of_a_good_key_fail_no_message(
        self, rotation_fixture: RotationFixture, arrival_queue: ArrivalQueue
    ) -> None:
        """Four 401 in a row, and no other key: the same key is sent again, and seals."""
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        rotation_fixture.vendor.faults.next("sign", VendorFault.UNAUTHORIZED, times=4)
        assert arrival_queue.deliver() == []
        assert rotation_fixture.vendor.signatures.total() == 1

    def test_without_a_key_every_message_waits(
        self, rotation_fixture: RotationFixture, arrival_queue: ArrivalQueue
    ) -> None:
        """Secrets Manager refuses: nothing is lost, and all are sealed once it does not."""
        for name in ("a.pdf", "b.pdf"):
            arrival_queue.sealer_fixture.put(name, pdf())
        rotation_fixture.cloud.faults.before(
            "GetSecretValue", AwsError("AccessDeniedException"), times=9
        )
        assert len(arrival_queue.deliver()) == 2
        rotation_fixture.cloud.faults.clear()
        # For up to a second the cache tells of the refusal without asking again.
        arrival_queue.clock.advance(2)
        assert arrival_queue.deliver() == []
        assert bought(arrival_queue) == 2

    def test_no_message_and_no_answer_holds_a_key(
        self, rotation_fixture: RotationFixture, arrival_queue: ArrivalQueue, log: Log
    ) -> None:
        """Queues and answers hold names alone, whatever becomes of the documents."""
        material = rotation_fixture.value("AWSCURRENT")["apiKey"]
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        arrival_queue.sealer_fixture.put("b.pdf", b"no PDF")
        rotation_fixture.vendor.faults.next("sign", VendorFault.STRANGER)
        failed = arrival_queue.deliver()
        assert len(failed) == 2
        canary = Canary()
        canary.plant(material, "the key")
        said = json.dumps([failed, arrival_queue.answers]) + log.getvalue()
        assert "seal_verification" in said
        assert canary.find(said.encode()) is None


class TestBatches:
    """The messages of one invocation."""

    def test_their_documents_are_sealed_at_the_same_time(self, arrival_queue: ArrivalQueue) -> None:
        """The vendor is asked for all signatures before it has given one."""
        names = [f"{number}.pdf" for number in range(3)]
        for name in names:
            arrival_queue.sealer_fixture.put(name, pdf())
        all_have_asked = Barrier(len(names), timeout=300)
        arrival_queue.while_signing(all_have_asked.wait)
        arrival_queue.at_once = len(names)
        assert arrival_queue.deliver() == []
        assert {key.split("/")[1] for key in keys(arrival_queue)} == {*names}

    def test_each_message_has_its_own_result(self, arrival_queue: ArrivalQueue) -> None:
        """One that fails comes again alone, whatever place it had among the others."""
        arrival_queue.at_once = 10
        for number in range(9):
            content = b"no PDF" if number == 4 else pdf()
            arrival_queue.sealer_fixture.put(f"{number}.pdf", content)
        [failed] = arrival_queue.deliver()
        assert json.loads(failed)["detail"]["object"]["key"] == "4.pdf"
        assert len(keys(arrival_queue)) == bought(arrival_queue) == 8

    def test_a_document_that_costs_much_to_read_is_sealed_too(
        self, rotation_fixture: RotationFixture, sealer_fixture: SealerFixture
    ) -> None:
        """It has more objects than a document may have that is read together with others."""
        queue = ArrivalQueue(
            rotation_fixture, replace(sealer_fixture, at_once=2, largest=2**30), at_once=2
        )
        for number in range(2):
            queue.sealer_fixture.put(f"{number}.pdf", many_objects(Limits().shared().objects + 1))
        assert queue.deliver() == []
        assert len(keys(queue)) == 2


class TestTime:
    """No document is begun that could not be finished."""

    def test_what_is_not_begun_comes_again(self, arrival_queue: ArrivalQueue) -> None:
        """With little time left nothing is read, nothing is bought, and nothing is lost."""
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        arrival_queue.time_left = NEXT_DOCUMENT_RESERVE - timedelta(seconds=1)
        assert len(arrival_queue.deliver()) == 1
        assert arrival_queue.sealer_fixture.nothing_sealed()
        arrival_queue.time_left = NEXT_DOCUMENT_RESERVE
        assert arrival_queue.deliver() == []
        assert bought(arrival_queue) == 1

    def test_the_time_is_looked_at_before_each_document(self, arrival_queue: ArrivalQueue) -> None:
        """The first takes what there was; the rest of the batch comes again, whole."""
        for number in range(3):
            arrival_queue.sealer_fixture.put(f"{number}.pdf", pdf())

        def pass_time() -> None:
            arrival_queue.time_left = timedelta(seconds=40)

        arrival_queue.during_the_next_seal(pass_time)
        assert len(arrival_queue.deliver()) == 2
        arrival_queue.time_left = PLENTY
        assert arrival_queue.deliver() == []
        assert bought(arrival_queue) == 3


class TestNoRecursion:
    """A function never seals what it has sealed."""

    def test_what_lies_at_the_destination_is_passed_over(
        self, arrival_queue: ArrivalQueue, log: Log
    ) -> None:
        """Even if a rule should send it: the message is done with, and the log says so."""
        arrival_queue.sealer_fixture.put("a.pdf", pdf())
        [message] = arrival_queue.take()
        event = json.loads(message)
        event["detail"]["bucket"]["name"] = arrival_queue.sealer_fixture.outgoing
        event["detail"]["object"] |= {"key": "sealed/a.pdf"}
        arrival_queue.send(json.dumps(event))
        assert arrival_queue.deliver() == []
        assert arrival_queue.sealer_fixture.nothing_sealed()
        assert len(log.facts("sealed document passed over")) == 1

    def test_what_marks_a_folder_is_done_with(self, arrival_queue: ArrivalQueue, log: Log) -> None:
        """S3's console makes an empty object for a folder; S3's own notifications tell of it."""
        arrival_queue.sealer_fixture.put("incoming/", b"")
        record = {
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": arrival_queue.sealer_fixture.incoming},
                "object": {"key": "incoming/"},
            },
        }
        arrival_queue.send(json.dumps({"Records": [record]}))
        assert arrival_queue.deliver() == []
        assert "/incoming/ (version " in log.facts("nothing to seal")[0]["source"]
        assert arrival_queue.sealer_fixture.nothing_sealed()

    def test_what_s3_says_of_other_things_is_done_with(self, arrival_queue: ArrivalQueue) -> None:
        """A deletion is no document to seal, and no failure."""
        arrival_queue.send('{"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}}')
        assert arrival_queue.deliver() == []
        assert arrival_queue.take() == []
        assert arrival_queue.sealer_fixture.nothing_sealed()
