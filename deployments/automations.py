"""What the Prefect server does by itself: end zombies, and tell of runs that crashed or that nobody began."""

from datetime import timedelta

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, CallWebhook, ChangeFlowRunState, DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.types import SecretDict
from pydantic import SecretStr

from deployments.prefect_yaml import HEARTBEAT_SECONDS, OWN_TAG, system_tag
from tasks.base.secrets import resolve
from tasks.base.system import System
from tasks.base.words import WITH_WARNINGS

# Five missed heartbeats: with 90 s instead healthy runs on a busy machine were taken for dead.
ZOMBIE_AFTER = timedelta(seconds=5 * HEARTBEAT_SECONDS)
LATE_AFTER = timedelta(minutes=10)
_RUNS = {"prefect.resource.id": "prefect.flow-run.*"}
# The event has the name of the state, which is our own for a run that ended with warnings.
_ENDED = {
    f"prefect.flow-run.{name}"
    for name in ("Completed", WITH_WARNINGS, "Failed", "Crashed", "Cancelled", "Suspended", "Paused")
}
_BEGUN = {f"prefect.flow-run.{name}" for name in ("Pending", "Running", "AwaitingConcurrencySlot")}


def apply_automations(client: SyncPrefectClient, system: System) -> list[tuple[str, str]]:
    """Create or update the rules by their names, removing what is not wanted; return name and what was done.

    A rule that the operator has switched off stays off.
    """
    webhook = _webhook(client, system)
    wanted = [_zombie(), _late(system, webhook), *([_crashed(system, webhook)] if webhook else [])]
    done = [(rule.name, _apply(client, rule)) for rule in wanted]
    if not webhook:
        done += [(one.name, "removed, no webhook is configured") for one in _delete(client, _crashed_name(system))]
    return done


def _apply(client: SyncPrefectClient, rule: AutomationCore) -> str:
    there = client.read_automations_by_name(rule.name)
    if not there:
        client.create_automation(rule)
        return "created"
    for twice in there[1:]:
        client.delete_automation(twice.id)
    rule = rule.model_copy(update={"enabled": there[0].enabled})
    if AutomationCore.model_validate(there[0].model_dump()) == rule:
        return "unchanged"
    client.update_automation(there[0].id, rule)
    return "updated"


def _delete(client: SyncPrefectClient, name: str) -> list[AutomationCore]:
    found = client.read_automations_by_name(name)
    for one in found:
        client.delete_automation(one.id)
    return [*found]


def _zombie() -> AutomationCore:
    return AutomationCore(
        name="nightshift: a run whose process died",
        description=f"A run without a heartbeat for {ZOMBIE_AFTER.seconds} s is marked Crashed.",
        tags=[OWN_TAG],
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *_ENDED},
            match=_RUNS,
            match_related=_tagged(OWN_TAG),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=ZOMBIE_AFTER,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="its process died without a word; start it again, it cleans up first"
            )
        ],
    )


def _late(system: System, webhook: ActionTypes | None) -> AutomationCore:
    return AutomationCore(
        name=f"nightshift: a late run of {system.name}",
        description=f"A run that no worker began within {LATE_AFTER.seconds // 60} min of being late.",
        tags=[OWN_TAG, system_tag(system.name)],
        trigger=EventTrigger(
            after={"prefect.flow-run.Late"},
            expect=_BEGUN | _ENDED,
            match=_RUNS,
            match_related=_tagged(system_tag(system.name)),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=LATE_AFTER,
        ),
        actions=[_with_text(webhook, "is late: no worker took it; start 'prefect worker start --pool {pool}'", system)],
    )


def _crashed(system: System, webhook: ActionTypes | None) -> AutomationCore:
    return AutomationCore(
        name=_crashed_name(system),
        description="One message for a run that crashed; its own process can send none.",
        tags=[OWN_TAG, system_tag(system.name)],
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match=_RUNS,
            match_related=_tagged(system_tag(system.name)),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[_with_text(webhook, "crashed; start it again, it cleans up first", system)],
    )


def _crashed_name(system: System) -> str:
    return f"nightshift: a crashed run of {system.name}"


def _tagged(tag: str) -> dict[str, str | list[str]]:
    return {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}


def _with_text(webhook: ActionTypes | None, text: str, system: System) -> ActionTypes:
    """The call with its message; without a webhook the triggered rule is still seen in the event feed."""
    if not isinstance(webhook, CallWebhook):
        return DoNothing()
    words = text.format(pool=system.work_pool)
    # Rendered by the server: the name is put in as JSON, whatever characters it has.
    payload = '{"text": {{ (flow_run.name ~ " ' + words + '") | tojson }}}'
    return webhook.model_copy(update={"payload": payload})


def _webhook(client: SyncPrefectClient, system: System) -> CallWebhook | None:
    """The system's webhook as a block, where Prefect keeps it encrypted: the server has to call it by itself."""
    name = f"nightshift-{system.name}"
    if not system.alerting.webhook_url:
        _forget_block(client, name)
        return None
    block = Webhook(
        method="POST",
        url=SecretStr(resolve(system.alerting.webhook_url)),
        headers=SecretDict({"Content-Type": "application/json"}),
    )
    # Prefect types the synchronous call as if it were a coroutine.
    identity = block.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    return CallWebhook(block_document_id=identity)


def _forget_block(client: SyncPrefectClient, name: str) -> None:
    try:
        block = client.read_block_document_by_name(name, "webhook")
    except ObjectNotFound:
        return
    client.delete_block_document(block.id)
