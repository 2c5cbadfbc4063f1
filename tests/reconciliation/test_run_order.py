"""Every secret has its turn, and is the same by whatever name a person gives it."""

from __future__ import annotations

from datetime import timedelta

from rotation.errors import JournalError
from rotation.journal.keeper import JournalKeeper
from rotation.reconciliation.run_order import RunOrder
from rotation.secrets_manager.discovery import ListedSecret
from tests.journal.memory_store import MemoryJournalStore
from tests.reconciliation.reconciliation_fixture import ReconciliationFixture, codes

FUNCTION = "arn:aws:lambda:us-east-1:012345678912:function:rotate"


def listed(*arns: str, incident: str = "") -> list[ListedSecret]:
    return [ListedSecret(arn, arn == incident) for arn in arns]


def test_a_run_begins_with_what_the_last_one_did_not_reach() -> None:
    """Secrets with an incident come before those, and the others after them."""
    store = MemoryJournalStore()
    first = RunOrder(store, FUNCTION)
    assert first.arrange(listed("a", "b", "c", "d")) == ["a", "b", "c", "d"]
    first.keep(["c", "d"])
    second = RunOrder(store, FUNCTION)
    assert second.arrange(listed("a", "b", "c", "d", incident="b")) == ["b", "c", "d", "a"]
    second.keep(())
    assert RunOrder(store, FUNCTION).arrange(listed("a", "c")) == ["a", "c"]


def test_an_order_that_is_no_news_is_not_written() -> None:
    """A run that always reaches every secret writes nothing."""
    store = MemoryJournalStore()
    for _ in range(3):
        order = RunOrder(store, FUNCTION)
        order.arrange(listed("a"))
        order.keep(())
    assert store.history == []


def test_an_order_that_cannot_be_read_costs_nothing_but_the_order() -> None:
    """The store fails, or holds something else: the run goes on in the order of the list."""

    class Broken(MemoryJournalStore):
        def read(self, secret_arn: str) -> tuple[bytes, str] | None:
            raise JournalError("no answer")

    order = RunOrder(Broken(), FUNCTION)
    assert order.arrange(listed("a", "b")) == ["a", "b"]
    order.keep(["b"])
    store = MemoryJournalStore()
    store.write(FUNCTION, b"[]", None)
    assert RunOrder(store, FUNCTION).arrange(listed("a", "b")) == ["a", "b"]


def test_secrets_that_no_run_has_time_for_all_of_get_their_turns(
    reconciliation: ReconciliationFixture,
) -> None:
    """With time for one secret a run, three runs reconcile three secrets."""
    rotation = reconciliation.rotation
    create = rotation.client.create_secret
    arns = [rotation.arn, *(create(Name=f"another-{number}")["ARN"] for number in (1, 2))]
    own = rotation.arn
    for arn in arns:
        rotation.arn = arn
        rotation.store()
        reconciliation.rotate()
    rotation.arn = own
    reconciliation.workers = 1
    reached: set[str] = set()
    for _ in arns:
        reconciliation.time_left = timedelta(minutes=15)
        reconciliation.journals = JournalKeeper(_EndsAfterOne(reconciliation))
        report = reconciliation.run()
        examined = [one for one in report["secrets"] if "versions" in one]
        assert len(examined) == 1
        reached.add(examined[0]["arn"])
    assert reached == set(arns)


class _EndsAfterOne:
    """A store that uses up the time of the run when the first journal is read."""

    def __init__(self, reconciliation: ReconciliationFixture) -> None:
        self._reconciliation = reconciliation
        self._store = reconciliation.rotation.journal_store

    def read(self, secret_arn: str) -> tuple[bytes, str] | None:
        if ":secret:" in secret_arn:
            self._reconciliation.time_left = timedelta(seconds=1)
        return self._store.read(secret_arn)

    def write(self, secret_arn: str, body: bytes, replaces: str | None) -> str:
        return self._store.write(secret_arn, body, replaces)


def test_a_secret_is_the_same_by_its_name(reconciliation: ReconciliationFixture) -> None:
    """After two rotations a report by name is the report by ARN, and so is what a run does."""
    rotation = reconciliation.rotation
    old = rotation.store()
    reconciliation.rotate()
    reconciliation.rotate()
    name = rotation.arn.rpartition(":")[2][:-7]
    by_name, by_arn = (
        reconciliation.run(one, act=False)["secrets"] for one in (name, rotation.arn)
    )
    for one in (*by_name, *by_arn):
        for key in one["keys"]:
            key["firstSeenAt"] = key["displacedAt"] = key["retireAfter"] = None
        for version in one["versions"]:
            version["retireAfter"] = None
        for retirement in one["retirements"]:
            retirement["after"] = None
    assert by_name == by_arn
    reconciliation.run(name)
    reconciliation.pass_grace()
    report = reconciliation.run(name)["secrets"][0]
    assert report["arn"] == rotation.arn
    due = [one["keyId"] for one in report["retirements"] if one["reason"] == "grace_over"]
    assert len(due) == 2
    done = reconciliation.run()["secrets"][0]["done"]
    assert sorted(done["provenDead"]) == sorted(due)
    assert not reconciliation.alive(old.id)


def test_a_key_that_was_copied_into_another_secret_outlives_a_run_by_name(
    reconciliation: ReconciliationFixture,
) -> None:
    """The run after a promotion sees one secret; the key is current in another one."""
    rotation = reconciliation.rotation
    rotation.store()
    reconciliation.rotate()
    value = rotation.value("AWSCURRENT")
    own = rotation.arn
    rotation.arn = rotation.client.create_secret(Name="copy")["ARN"]
    rotation.put(value)
    reconciliation.rotate()
    rotation.put(value)
    rotation.arn = own
    reconciliation.rotate()
    reconciliation.run(own)
    reconciliation.pass_grace()
    reconciliation.run(own)
    assert reconciliation.alive(value["apiKeyId"])
    reconciliation.run()
    assert reconciliation.alive(value["apiKeyId"])


def test_a_run_that_finds_no_secret_warns(reconciliation: ReconciliationFixture) -> None:
    """The function's ARN was replaced: nobody is watched, and that is urgent."""
    assert codes(reconciliation.run()) == {"no_secrets"}
