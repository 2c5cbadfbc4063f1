"""Documents of an S3 Batch Operations job: what each task ends in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import NoReturn
from urllib.parse import quote, quote_plus

import pytest

from rotation.deadline import NEXT_DOCUMENT_RESERVE
from rotation.errors import ConfigurationError, InvalidEventError
from rotation.handlers.seal_batch import answer, job_options
from rotation.sandbox.aws.traffic import AwsError
from rotation.sandbox.vendor import Outage, VendorFault
from rotation.sealing.request import Certification, Level, SealOptions
from rotation.sealing.verify import verify
from rotation.unattended.idempotent_sealer import IdempotentSealer
from tests.rotation_fixture import RotationFixture
from tests.sealing.conftest import SealerFixture
from tests.sealing.pdfs import pdf
from tests.unattended.conftest import Log
from tests.unattended.fixtures import ArrivalQueue, old_task, result, task, unversioned


class TestSealing:
    """One task, one document."""

    @pytest.mark.parametrize("make", [task, old_task])
    def test_a_document_is_sealed_and_its_destination_told(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer, make: type
    ) -> None:
        """In both schemas; the second time nothing is bought, and the text says so."""
        version = sealer_fixture.put("a.pdf", pdf())
        event = make(sealer_fixture.incoming, "a.pdf", version)
        place = f"s3://{sealer_fixture.outgoing}/sealed/a.pdf/{version}.pdf"
        assert result(event, sealing) == ("Succeeded", f"sealed: {place}")
        assert result(event, sealing) == ("Succeeded", f"already sealed: {place}")
        assert sealer_fixture.emulator.signatures.total() == 1

    @pytest.mark.parametrize("encode", [quote, quote_plus])
    def test_keys_are_encoded_as_in_the_manifest(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer, encode: type
    ) -> None:
        """A space as %20 or as +, and a plus as %2B, whoever wrote the manifest."""
        version = sealer_fixture.put("2026/ä b+c.pdf", pdf())
        code, text = result(
            task(sealer_fixture.incoming, encode("2026/ä b+c.pdf"), version), sealing
        )
        assert code == "Succeeded"
        assert text.endswith(f"/sealed/2026/ä b+c.pdf/{version}.pdf")

    def test_without_a_version_the_current_one_is_sealed(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """A manifest of keys alone; the name tells which version that was."""
        sealer_fixture.put("a.pdf", b"%PDF-1.7 cut off")
        current = sealer_fixture.put("a.pdf", pdf())
        _, text = result(task(sealer_fixture.incoming, "a.pdf", None), sealing)
        assert text.endswith(f"/sealed/a.pdf/{current}.pdf")

    def test_what_marks_a_folder_is_no_failure(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """Inventories list it: an empty object whose key ends with a slash. Content is sealed."""
        version = sealer_fixture.put("2026/", b"")
        event = task(sealer_fixture.incoming, "2026/", version)
        source = f"s3://{sealer_fixture.incoming}/2026/ (version {version})"
        told = f"nothing to seal: {source} marks a folder"
        assert result(event, sealing) == ("Succeeded", told)
        odd = sealer_fixture.put("odd/", pdf())
        assert result(task(sealer_fixture.incoming, "odd/", odd), sealing)[1].startswith("sealed: ")

    def test_a_job_and_an_event_meet(
        self, sealer_fixture: SealerFixture, arrival_queue: ArrivalQueue
    ) -> None:
        """Whichever comes second finds the seal."""
        version = sealer_fixture.put("a.pdf", pdf())
        assert arrival_queue.deliver() == []
        _, text = result(task(sealer_fixture.incoming, "a.pdf", version), arrival_queue.sealing)
        assert text.startswith("already sealed: ")

    def test_a_bucket_without_versions(self, arrival_queue: ArrivalQueue) -> None:
        """The sealed document has the source's key, and is made anew when the source is new."""
        plain = unversioned(arrival_queue)
        for content, done in ((pdf(), "sealed"), (pdf(), "already"), (pdf(ending=b""), "sealed")):
            plain.sealer_fixture.s3.put_object(
                Bucket=plain.sealer_fixture.incoming, Key="a.pdf", Body=content
            )
            code, text = result(task(plain.sealer_fixture.incoming, "a.pdf", None), plain.sealing)
            assert (code, text.partition(" ")[0].rstrip(":")) == ("Succeeded", done)
        assert plain.sealer_fixture.sealed().startswith(pdf(ending=b""))


class TestFailures:
    """What the report says, and what S3 tries again."""

    def test_what_can_never_be_sealed_fails_for_good(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer, log: Log
    ) -> None:
        """The text begins with the stable code; the log has the task."""
        version = sealer_fixture.put("a.pdf", b"%PDF-1.7 cut off")
        code, text = result(task(sealer_fixture.incoming, "a.pdf", version), sealing)
        assert (code, text.partition(":")[0]) == ("PermanentFailure", "damaged_pdf")
        [fact] = log.facts("task failed")
        assert (fact["task"], fact["code"]) == ("task", "damaged_pdf")

    def test_what_passes_is_tried_again(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """An outage of the vendor is temporary."""
        version = sealer_fixture.put("a.pdf", pdf())
        sealer_fixture.emulator.outage = Outage.UNAVAILABLE
        code, text = result(task(sealer_fixture.incoming, "a.pdf", version), sealing)
        assert (code, text.partition(":")[0]) == ("TemporaryFailure", "vendor_unavailable")

    def test_stray_rejections_of_a_good_key_fail_no_task(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """S3 would not repeat a task whose key was rejected: the function itself asks again."""
        version = sealer_fixture.put("a.pdf", pdf())
        sealer_fixture.emulator.faults.next("sign", VendorFault.UNAUTHORIZED, times=4)
        code, _ = result(task(sealer_fixture.incoming, "a.pdf", version), sealing)
        assert code == "Succeeded"

    def test_a_missing_object_fails_for_good(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """A manifest may be older than the bucket."""
        code, text = result(task(sealer_fixture.incoming, "gone.pdf", None), sealing)
        assert (code, text.partition(":")[0]) == ("PermanentFailure", "source_not_found")

    def test_what_lies_elsewhere_is_refused(
        self,
        sealer_fixture: SealerFixture,
        sealing: IdempotentSealer,
        rotation_fixture: RotationFixture,
    ) -> None:
        """A manifest does not widen what the function may read."""
        sealer_fixture.s3.create_bucket(Bucket="elsewhere")
        sealer_fixture.s3.put_object(Bucket="elsewhere", Key="a.pdf", Body=pdf())
        code, text = result(task("elsewhere", "a.pdf", None), sealing)
        assert (code, text.partition(":")[0]) == ("PermanentFailure", "invalid_request")
        assert sealer_fixture.nothing_sealed()
        assert rotation_fixture.vendor.signatures.total() == 0

    def test_with_little_time_nothing_is_begun(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """The task is tried again."""
        version = sealer_fixture.put("a.pdf", pdf())
        event = task(sealer_fixture.incoming, "a.pdf", version)
        code, text = result(event, sealing, NEXT_DOCUMENT_RESERVE - timedelta(seconds=1))
        assert code == "TemporaryFailure"
        assert "was not begun" in text
        assert sealer_fixture.nothing_sealed()

    def test_a_missing_setting_is_in_the_report(self) -> None:
        """A function that was deployed wrong fails each task with the variable's name."""

        def unset() -> NoReturn:
            raise ConfigurationError("CREDENTIAL_SECRET is not set.")

        told = answer(task("in", "a.pdf", None), unset)
        assert told["results"][0]["resultCode"] == "PermanentFailure"
        assert told["results"][0]["resultString"] == (
            "configuration: CREDENTIAL_SECRET is not set."
        )

    def test_a_failure_that_nobody_foresaw_tells_the_report_nothing(self, log: Log) -> None:
        """The report has a code; the log has the traceback."""

        def broken() -> NoReturn:
            raise ZeroDivisionError("why")

        told = answer(task("in", "a.pdf", None), broken)
        assert told["results"][0]["resultString"].startswith("internal: ")
        assert "ZeroDivisionError" not in str(told)
        assert "ZeroDivisionError" in log.facts("task failed unexpectedly")[0]["exception"]

    def test_a_text_is_one_line_and_not_too_long(
        self,
        sealer_fixture: SealerFixture,
        sealing: IdempotentSealer,
        rotation_fixture: RotationFixture,
    ) -> None:
        """Whatever a key holds, the report's row stays one row (`result` holds the length)."""
        code, text = result(task(sealer_fixture.incoming, "a%0A" * 400, None), sealing)
        assert code == "PermanentFailure"
        assert "\n" not in text

    @pytest.mark.parametrize("event", [{}, {"tasks": []}, {"tasks": [{}]}, {"Records": []}])
    def test_what_is_no_task_is_refused(
        self, event: dict[str, object], sealing: IdempotentSealer
    ) -> None:
        """Nobody but S3 Batch Operations asks this function."""
        with pytest.raises(InvalidEventError, match="S3 Batch Operations"):
            answer(event, lambda: sealing)

    def test_a_refused_look_at_the_destination_is_no_reason_to_buy(
        self,
        sealer_fixture: SealerFixture,
        sealing: IdempotentSealer,
        rotation_fixture: RotationFixture,
    ) -> None:
        """Without the right to look, the task fails before a signature."""
        version = sealer_fixture.put("a.pdf", pdf())
        look = f"HEAD /{sealer_fixture.outgoing}/sealed/a.pdf/{version}.pdf"
        rotation_fixture.cloud.faults.before(look, AwsError("AccessDenied", status=403))
        code, text = result(task(sealer_fixture.incoming, "a.pdf", version), sealing)
        assert (code, text.partition(":")[0]) == ("PermanentFailure", "destination")
        assert "s3:ListBucket" in text
        assert sealer_fixture.emulator.signatures.total() == 0


class TestArguments:
    """A job's own words: user arguments, schema 2.0."""

    def test_they_go_before_the_settings(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """What the job says is in the signature; what it does not say is the function's."""
        sealing = replace(sealing, options=SealOptions(reason="Arrived", contact="Laboratory"))
        version = sealer_fixture.put("a.pdf", pdf())
        event = task(sealer_fixture.incoming, "a.pdf", version, reason="Archived", timestamp="true")
        assert result(event, sealing)[0] == "Succeeded"
        sealed = sealer_fixture.sealed(f"sealed/a.pdf/{version}.pdf")
        assert b"Archived" in sealed
        assert b"Arrived" not in sealed
        assert b"Laboratory" in sealed

    @pytest.mark.parametrize(
        ("arguments", "certified"),
        [({}, Certification.NO_CHANGES), ({"certify": "none"}, None)]
        + [({"certify": level.value}, level) for level in Certification],
    )
    def test_a_job_certifies_as_it_says(
        self,
        sealer_fixture: SealerFixture,
        sealing: IdempotentSealer,
        arguments: dict[str, str],
        certified: Certification | None,
    ) -> None:
        """Otherwise than the settings do, as they do, or not at all; in the field it names."""
        sealing = replace(sealing, options=SealOptions(certify=Certification.NO_CHANGES))
        version = sealer_fixture.put("a.pdf", pdf())
        event = task(sealer_fixture.incoming, "a.pdf", version, fieldName="Archive", **arguments)
        assert result(event, sealing)[0] == "Succeeded"
        sealed = sealer_fixture.sealed(f"sealed/a.pdf/{version}.pdf")
        (report,) = verify(sealed, sealer_fixture.pki.root_pem)
        assert (report.problem, report.allows) == (None, certified)
        assert b"(Archive)" in sealed

    @pytest.mark.parametrize(
        ("arguments", "options"),
        [
            ({}, {"level": "B-T", "lock": ["Name"]}),
            (
                {"level": "B-LT", "lock": "City,Street"},
                {"level": "B-LT", "lock": ["City", "Street"]},
            ),
            ({"level": "", "lock": ""}, {}),
        ],
    )
    def test_a_job_says_what_a_seal_proves_and_locks(
        self, arguments: dict[str, str], options: dict[str, object]
    ) -> None:
        """A level and locked fields of the job's own, those of the settings, or none."""
        settings = SealOptions(level=Level.B_T, lock=("Name",))
        assert job_options(settings, arguments).members() == options

    def test_a_job_may_have_damaged_documents_repaired(
        self, sealer_fixture: SealerFixture, sealing: IdempotentSealer
    ) -> None:
        """What the function by itself refuses."""
        version = sealer_fixture.put("a.pdf", pdf().replace(b"%PDF-", b"%QDF-"))
        event = task(sealer_fixture.incoming, "a.pdf", version)
        assert result(event, sealing)[1].startswith("damaged_pdf: ")
        repairing = task(sealer_fixture.incoming, "a.pdf", version, repair="true")
        assert result(repairing, sealing)[0] == "Succeeded"

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (
                {"optoins": "x"},
                "certify, contact, fieldName, level, location, lock, reason, repair, timestamp",
            ),
            (
                {"timestamp": "yes"},
                "SEAL_TIMESTAMP, or the job's user argument timestamp: must be true",
            ),
            ({"repair": "yes"}, "the job's user argument repair: must be true or false"),
            (
                {"certify": "EVERYTHING"},
                "SEAL_CERTIFY, or the job's user argument certify: must be one of",
            ),
            ({"level": "B-X"}, "SEAL_LEVEL, or the job's user argument level: must be one of"),
            ({"lock": "*,Name"}, "SEAL_LOCK, or the job's user argument lock: must be a list"),
            (
                {"reason": "x" * 300},
                "SEAL_REASON, or the job's user argument reason: must be plain text",
            ),
        ],
    )
    def test_a_typing_error_is_not_passed_over(
        self,
        sealer_fixture: SealerFixture,
        sealing: IdempotentSealer,
        arguments: dict[str, str],
        told: str,
    ) -> None:
        """An argument that is unknown or wrong fails each task before a signature."""
        version = sealer_fixture.put("a.pdf", pdf())
        code, text = result(task(sealer_fixture.incoming, "a.pdf", version, **arguments), sealing)
        assert (code, text.partition(":")[0]) == ("PermanentFailure", "invalid_request")
        assert told in text
        assert sealer_fixture.emulator.signatures.total() == 0
