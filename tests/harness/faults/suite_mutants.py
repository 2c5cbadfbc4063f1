"""Defects that the fault harness cannot see, each with the test of the suite that must fail of it.

They need a command, a value that is no key, a definite refusal or a pure function: something that
no scenario has. Each is planted in a process of its own, which runs that one test.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import click
import pytest

from rotation import credential
from rotation.client.sealing_client import SealingClient
from rotation.core import issuing, proving, steps
from rotation.core.invocation import current_document
from rotation.core.policy import ReconciliationPolicy
from rotation.core.ports import KeyListing
from rotation.credential import Confidential, SecretDocument
from rotation.errors import InvalidCredentialError, JournalError
from rotation.handlers import reconcile_events, step_invocation
from rotation.incident import closing, containment, declaration, progress, rollback
from rotation.journal.keeper import JournalKeeper
from rotation.journal.model import Death, Journal
from rotation.key_pool import document
from rotation.key_pool.pool_secret import PoolSecret
from rotation.reconciliation import examination, execution, observation, phases, reconciler
from rotation.reconciliation import plan as planning
from rotation.reconciliation import proof_of_death as death_watch
from rotation.reconciliation.execution import Execution
from rotation.reconciliation.reconciler import Reconciler
from rotation.reconciliation.run_order import RunOrder
from rotation.reconciliation.situation import Situation
from rotation.secrets_manager import calls
from rotation.secrets_manager.labels import INCIDENT_TAG
from rotation.secrets_manager.snapshot import Snapshot
from rotation.secrets_manager.versions import SecretVersions
from tests.harness.faults.mutants import Places, planted
from tests.paths import ROOT

#: A test of the suite takes seconds. With a defect planted one may wait for ever.
_PATIENCE: Final = timedelta(minutes=3)


@dataclass(frozen=True)
class SuiteMutant:
    """One defect.

    Attributes:
        name: what is wrong.
        places: where it takes a function's place: owner, name, and what goes there.
        test: the test that must fail: a file of ``tests`` and a function.
    """

    name: str
    places: Places
    test: str


def outcome(mutant: SuiteMutant | None, test: str) -> int | None:
    """Run one test with a defect planted, or without one; pytest's exit code, None: it hung."""
    process = multiprocessing.get_context("fork").Process(target=_run, args=(mutant, test))
    process.start()
    process.join(_PATIENCE.total_seconds())
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return process.exitcode


def main() -> int:
    """Plant each defect; 1 if a test does not fail of its own."""
    survived = 0
    for mutant in SUITE_MUTANTS:
        found = outcome(mutant, mutant.test)
        caught = found == pytest.ExitCode.TESTS_FAILED
        survived += not caught
        click.echo(
            f"{'caught' if caught else f'NOT CAUGHT ({found})'}: {mutant.name}: {mutant.test}"
        )
    click.echo(f"{len(SUITE_MUTANTS)} defects for the suite, {survived} not caught")
    return bool(survived)


def _run(mutant: SuiteMutant | None, test: str) -> None:
    said = io.StringIO()
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", "-n", "0"]
    with contextlib.redirect_stdout(said), planted(mutant.places if mutant else ()):
        code = pytest.main([*options, str(ROOT / "tests" / test)])
    sys.stdout.flush()
    raise SystemExit(int(code))


def _nothing(*_: Any, **__: Any) -> None:
    """A check that never refuses."""


def _drops_events(journal: Any, before: Any, situation: Any, now: Any) -> Any:
    noted = sound_note_phases(journal, before, situation, now)
    assert noted.phases is not None
    known = noted.phases.known | {one.name for one in phases._recorded(journal)}
    return replace(noted, phases=replace(noted.phases, known=known))


def _labelled_versions_only(self: Any) -> Any:
    return tuple(one for one in sound_list_versions(self) if one.labels)


def _by_version(_: Any, key_id: str | None, version: str | None = None) -> bool:
    return any(version in one.versions for one in _.incidents)


def _only_open(self: Any, key_id: str | None, version: str | None = None) -> bool:
    one = self.open_incident
    return one is not None and (key_id in one.suspects or version in one.versions)


def _no_listed_keys(journal: Any, declared: Any, *, keys: Any, **named: Any) -> Any:
    return sound_declare(journal, declared, keys={}, **named)


def _folder_of_the_name(arn: str) -> str:
    return f"incidents/{arn.rpartition(':')[2].rpartition('-')[0]}/"


def _closed_is_contained(wait: Any, incident: Mapping[str, Any]) -> None:
    sound_read(wait, incident)
    wait.containment.contained = incident["closing"] is not None


def _counts_all(_: Any, retirement: Any) -> bool:
    return bool(retirement.revoke)


def _counts_what_was_asked(_: Any, retirement: Any) -> bool:
    return retirement.revoke and retirement.reason is planning.Reason.GRACE_OVER


def _held_by_one_answer(self: Any) -> Any:
    found: dict[str, Any] = {}
    for version in self.versions:
        if version.key_id is not None:
            found[version.key_id] = (*found.get(version.key_id, ()), version)
    return found


def _strays_by_one_answer(found: Any, policy: Any) -> Any:
    read = {one.key_id for one in found.versions}
    for key in planning._active_keys_with_our_label(found, policy):
        if key.id not in read | found.protected:
            yield planning.Retirement(key.id, (), planning.Reason.STRAY, found.now)


def _forgets_who_was_asked(journal: Any, *others: Any) -> None:
    keys = {one: replace(life, asked_at=None) for one, life in journal.keys.items()}
    sound_refuse_condemned(replace(journal, keys=keys), *others)


def _dead_by_list(self: Any, retirement: Any) -> bool:
    return sound_is_dead(self, retirement) or self._listed_inactive(retirement.key_id)


def _one_material(*given: Any) -> Any:
    return sound_read_keys(*given)[-1:]


def _as_if_whole(found: Any, *others: Any) -> bool:
    return sound_may_go_ahead(replace(found, whole=True, all_seen=True), *others)


def _yes(*_: Any) -> bool:
    return True


def _no(*_: Any) -> bool:
    return False


def _removes_first(self: Any) -> None:
    for label in self._plan.remove:
        self._try(lambda one=label: self._remove_label(one))
    sound_relabel(self)


def _empty_where_it_fails(self: Any, arn: str) -> Any:
    try:
        return sound_keeper_read(self, arn)
    except JournalError:
        return Journal(arn)


def _probes_without_control(self: Any, group: Any) -> Any:
    return [(history, self._probe(one, one.key)) for one, history in group]


def _opened_as_named(self: Any, run: Any, examiner: Any) -> Any:
    return examiner.look(run.secret)


def _as_listed(_: Any, secrets: Any) -> Any:
    return [one.arn for one in secrets]


def _same_incident(incident: Any, *_: Any) -> Any:
    return incident


def _no_warnings(*_: Any, **__: Any) -> list[Any]:
    return []


def _carries_over_what_is_a_key(rotation: Any, snapshot: Any, _: Any) -> Any:
    return current_document(rotation, snapshot)


def _closes_without_a_list(self: Any, journal: Any, now: Any) -> Any:
    before = self._examination
    listed = replace(before.situation, listing=KeyListing((), now))
    self._examination = replace(before, situation=listed)
    closed = sound_closed(self, journal, now)
    self._examination = before
    return closed


def _insists_on_the_tag(secret: Any, incident: Any, *_: Any) -> None:
    secret.tag({INCIDENT_TAG: declaration.tag_text(incident.declarations[0])})


def _insists_on_the_label(self: Any, label: Any) -> None:
    self._secret.add_label(label.label, label.version)


def _through_floats(self: Any) -> Confidential:
    return Confidential(json.dumps(json.loads(sound_serialize(self).reveal())))


def _without_former_names(self: Any) -> tuple[str, ...]:
    return (self.installation,)


def _leases_without_a_claim(self: Any, read: Any, changed: Any, _: Any) -> Any:
    return self._put_and_move(read.version, changed)


def _all_or_nothing(item: Any, key_format: Any) -> Any:
    entry = sound_parse_entry(item, key_format)
    if isinstance(entry, str):
        raise InvalidCredentialError(entry)
    return entry


sound_closed = Execution._closed
sound_serialize = SecretDocument.serialize
sound_parse_entry = document._parse_entry
sound_list_versions = SecretVersions.list_versions
sound_declare = declaration.declare
sound_read = containment._read
sound_refuse_condemned = rollback._refuse_condemned
sound_is_dead = Execution._is_dead
sound_read_keys = examination.read_keys
sound_may_go_ahead = planning._may_go_ahead
sound_relabel = Execution._relabel
sound_note_phases = phases.note_phases
sound_keeper_read = JournalKeeper.read

_STEPS = "core/test_steps.py::"
_FORCED = "incident/test_forced_rotation.py::"
_RETIREMENT = "reconciliation/test_retirement.py::"
_DEATH = "reconciliation/test_proof_of_death.py::"
_ORDER = "reconciliation/test_run_order.py::"

SUITE_MUTANTS = (
    SuiteMutant(
        "does not list versions without labels",
        ((SecretVersions, "list_versions", _labelled_versions_only),),
        _RETIREMENT + "test_a_key_that_was_displaced_twice_within_the_hour_is_not_lost_from_sight",
    ),
    SuiteMutant(
        "holds versions and no keys for suspect",
        ((Journal, "suspect", _by_version),),
        _STEPS + "test_a_pending_version_that_holds_a_suspect_key_is_abandoned",
    ),
    SuiteMutant(
        "forgets the suspect keys of a closed incident",
        ((Journal, "suspect", _only_open),),
        "journal/test_model.py",
    ),
    SuiteMutant(
        "declares without the vendor's list",
        ((declaration, "declare", _no_listed_keys),),
        "incident/test_declaration.py::test_every_key_that_is_found_or_known_is_suspect",
    ),
    SuiteMutant(
        "keeps evidence by the name and not by the ARN",
        ((closing, "record_folder", _folder_of_the_name),),
        "incident/test_closing.py::test_no_secret_s_folder_lies_in_that_of_another",
    ),
    SuiteMutant(
        "takes an incident that is not open for contained",
        ((containment, "_read", _closed_is_contained),),
        "incident/test_containment.py::test_nothing_else_is_the_end",
    ),
    SuiteMutant(
        "looks for suspects only at the declaration",
        ((observation, "_with_all_suspects", _same_incident),),
        _FORCED + "test_describe_secret_that_lags_behind_hides_no_key",
    ),
    SuiteMutant(
        "keeps the key of a put that was refused",
        ((issuing, "_discard_refused", _nothing),),
        _STEPS + "test_a_put_that_is_refused_leaves_no_key",
    ),
    SuiteMutant(
        "uses up the vendor's quota for one sick secret",
        ((issuing, "_refuse_one_more_stray", _nothing),),
        _STEPS + "test_a_sick_secret_does_not_use_up_the_vendor_s_quota",
    ),
    SuiteMutant(
        "issues a key before it knows that its value has room",
        ((steps, "refuse_too_large", _nothing),),
        _STEPS + "test_a_value_without_room_for_a_new_key_is_refused_before_issuing",
    ),
    SuiteMutant(
        "counts strays as too many",
        ((planning, "_counts", _counts_all),),
        _RETIREMENT + "test_strays_do_not_count_as_too_many",
    ),
    SuiteMutant(
        "counts keys that a person was asked about as too many",
        ((planning, "_counts", _counts_what_was_asked),),
        "reconciliation/test_plan.py::test_the_plan",
    ),
    SuiteMutant(
        "promotes a leftover",
        ((steps, "refuse_leftover", _nothing), (steps, "refuse_undoing", _nothing)),
        _STEPS + "test_a_leftover_on_a_version_that_was_current_is_taken_off",
    ),
    SuiteMutant(
        "promotes a key after one acceptance",
        ((proving, "ACCEPTANCES", 1), (proving, "SETTLED_ACCEPTANCES", 1)),
        "core/test_acceptances.py::test_a_key_that_half_of_the_nodes_accept_is_not_promoted",
    ),
    SuiteMutant(
        "takes one rejection of a new key for a verdict",
        ((proving, "HOPELESS_REJECTIONS", 1),),
        "core/test_acceptances.py::test_stray_rejections_of_an_old_key_abandon_nothing",
    ),
    SuiteMutant(
        "takes the key of a version without an answer for a stray",
        (
            (Situation, "holders", property(_held_by_one_answer)),
            (planning, "_strays", _strays_by_one_answer),
        ),
        _RETIREMENT + "test_one_answer_without_a_value_makes_no_stray",
    ),
    SuiteMutant(
        "undoes members that somebody changed meanwhile",
        ((steps, "refuse_undoing", _nothing),),
        _STEPS + "test_members_that_somebody_changes_meanwhile_are_not_undone",
    ),
    SuiteMutant(
        "stores a key that was declared compromised meanwhile",
        ((issuing, "refuse_suspect", _nothing),),
        _STEPS + "test_a_version_declared_compromised_before_the_put_is_given_up",
    ),
    SuiteMutant(
        "rolls back to a key that was asked to be revoked",
        ((rollback, "_refuse_condemned", _forgets_who_was_asked),),
        "incident/test_rollback.py::"
        "test_a_hold_brings_no_key_back_that_somebody_was_asked_to_revoke",
    ),
    SuiteMutant(
        "leaves the old grace to a key that came back",
        ((rollback, "replace", lambda life, **_: life),),
        "incident/test_rollback.py::"
        "test_a_run_that_is_about_to_revoke_the_key_does_not_after_a_rollback",
    ),
    SuiteMutant(
        "refuses a rollback under a hold",
        ((rollback, "hold_until", _nothing),),
        "incident/test_rollback.py::test_a_hold_stops_what_the_refusal_warns_of",
    ),
    SuiteMutant(
        "takes a key for dead at once when the list says so",
        ((Execution, "_is_dead", _dead_by_list),),
        _RETIREMENT + "test_a_stray_is_retired_once_it_is_half_an_hour_old",
    ),
    SuiteMutant(
        "probes one material of two",
        ((execution, "read_keys", _one_material),),
        _RETIREMENT + "test_a_key_is_dead_only_if_each_of_its_materials_is",
    ),
    SuiteMutant(
        "retires in a run that saw named secrets alone",
        ((planning, "_may_go_ahead", _as_if_whole),),
        _ORDER + "test_a_key_that_was_copied_into_another_secret_outlives_a_run_by_name",
    ),
    SuiteMutant(
        "retires a key that another secret uses",
        ((reconciler, "_relate", _nothing),),
        _RETIREMENT + "test_a_key_that_another_secret_uses_is_spared",
    ),
    SuiteMutant(
        "retires in the run that first saw a key displaced, with a grace of zero",
        ((planning, "_may_go_ahead", _yes),),
        "reconciliation/test_plan.py::test_a_grace_of_zero_is_over_in_the_next_run",
    ),
    SuiteMutant(
        "removes a label before the new one is there",
        ((Execution, "_relabel", _removes_first),),
        _RETIREMENT + "test_a_label_of_version_0_2_stays_until_the_new_one_is_there",
    ),
    SuiteMutant(
        "takes a journal that cannot be read for an empty one",
        ((JournalKeeper, "read", _empty_where_it_fails),),
        "journal/test_keeper.py::test_a_journal_that_cannot_be_read_is_not_an_empty_one",
    ),
    SuiteMutant(
        "counts rejections without a control",
        ((death_watch.DeathProver, "_probe_group", _probes_without_control),),
        _DEATH + "test_without_a_live_control_a_rejection_does_not_count",
    ),
    SuiteMutant(
        "counts rejections by a clock that is wrong",
        ((death_watch, "CLOCK_TOLERANCE", timedelta(days=1)),),
        _DEATH + "test_a_rejection_by_another_clock_does_not_count",
    ),
    SuiteMutant(
        "goes by the name that a person gave",
        ((Reconciler, "_first_look", _opened_as_named),),
        _ORDER + "test_a_secret_is_the_same_by_its_name",
    ),
    SuiteMutant(
        "begins each run with the same secrets",
        ((RunOrder, "arrange", _as_listed),),
        _ORDER + "test_secrets_that_no_run_has_time_for_all_of_get_their_turns",
    ),
    SuiteMutant(
        "says nothing of a run that finds no secret",
        ((reconciler, "_discovery_warnings", _no_warnings),),
        "reconciliation/test_run.py::test_a_run_that_finds_no_secret_is_an_urgent_warning",
    ),
    SuiteMutant(
        "refuses the event of EventBridge Scheduler",
        ((reconcile_events, "_SCHEDULES", ("aws.events",)),),
        "handlers/test_reconciliation_request.py",
    ),
    SuiteMutant(
        "stops at a current value that is no key",
        ((steps, "_to_carry_over", _carries_over_what_is_a_key),),
        _FORCED + "test_a_current_value_that_is_no_key_does_not_stop_it",
    ),
    SuiteMutant(
        "closes an incident without the vendor's list",
        ((Execution, "_closed", _closes_without_a_list),),
        "incident/test_containment.py::test_it_is_not_over_while_the_list_of_keys_is_not_whole",
    ),
    SuiteMutant(
        "closes an incident without another look at AWSCURRENT",
        ((Execution, "_look_at_current", lambda _: None),),
        _FORCED + "test_a_suspect_key_that_becomes_current_while_deaths_are_proven_is_replaced",
    ),
    SuiteMutant(
        "gives up when all tags are in use",
        ((progress, "_show", _insists_on_the_tag),),
        _FORCED + "test_a_full_quota_of_labels_and_tags_does_not_stop_it",
    ),
    SuiteMutant(
        "says nothing of labels that are all in use",
        ((Execution, "_keep", _insists_on_the_label),),
        _RETIREMENT + "test_a_label_of_version_0_2_stays_until_the_new_one_is_there",
    ),
    SuiteMutant(
        "reads the numbers of others as floats",
        ((SecretDocument, "serialize", _through_floats),),
        "test_credential.py::test_members_survive_a_new_key_to_the_letter",
    ),
    SuiteMutant(
        "takes no token but a UUID",
        ((step_invocation, "_TOKEN_LENGTHS", range(36, 37)),),
        "handlers/test_step_invocation.py::test_a_token_has_any_characters",
    ),
    SuiteMutant(
        "stops at a byte order mark",
        ((credential, "_BYTE_ORDER_MARK", "-"),),
        "test_credential.py::test_a_byte_order_mark_is_ignored",
    ),
    SuiteMutant(
        "knows no key of a former installation",
        ((ReconciliationPolicy, "installations", property(_without_former_names)),),
        "core/test_listing.py::test_keys_of_former_ids_are_listed_and_those_of_others_are_not",
    ),
    SuiteMutant(
        "believes an answer that was cut",
        ((calls, "_REQUIRED", {}),),
        "secrets_manager/test_incomplete_answers.py",
    ),
    SuiteMutant(
        "changes the pool without waiting for others",
        ((PoolSecret, "_swap", _leases_without_a_claim),),
        "key_pool/test_pool_secret.py::test_twenty_leases_at_once_cost_twenty_versions",
    ),
    SuiteMutant(
        "refuses a pool for one sick entry",
        ((document, "_parse_entry", _all_or_nothing),),
        "key_pool/test_pool_document.py::test_an_entry_that_cannot_be_read_holds_up_no_other",
    ),
    SuiteMutant(
        "takes a lost journal for one that never was",
        ((Snapshot, "signs_of_a_journal", ()),),
        "core/test_journal_reading.py::test_nothing_is_concluded_from_a_journal_that_is_lost",
    ),
    SuiteMutant(
        "calls a death proven that a person attests",
        ((Death, "attested", False),),
        "incident/test_attestation.py::"
        "test_an_attested_death_ends_the_incident_and_is_never_called_proven",
    ),
    SuiteMutant(
        "attests what can be proven",
        ((reconciler, "refuse_provable", _nothing),),
        "incident/test_attestation.py::test_what_can_be_proven_is_not_attested",
    ),
    SuiteMutant(
        "ignores what an old command line declares",
        ((observation, "is_compromised", _no),),
        "reconciliation/test_observation.py",
    ),
    SuiteMutant(
        "drops an event for which there is no room",
        ((phases, "note_phases", _drops_events),),
        "reconciliation/test_phases.py::test_an_event_without_room_comes_later_and_is_not_lost",
    ),
    SuiteMutant(
        "asks about a dead key for half a minute with each document",
        ((SealingClient, "_was_given_up", _no),),
        "client/test_sealing_client.py::"
        "test_a_client_asks_about_a_dead_key_for_half_a_minute_and_not_for_each_document",
    ),
)


if __name__ == "__main__":
    sys.exit(main())
