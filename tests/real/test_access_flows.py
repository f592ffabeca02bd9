"""The review of accounts from the system file to the sign-off, and what may be done after it."""

import csv
import io
from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pytest

from deployments.demo.planted import plant_host
from flows.access_review import access_review
from flows.account_disabling import account_disabling
from flows.security_audit import security_audit
from tasks.access.book import Book
from tasks.access.review import make_review
from tasks.base.clock import utc_now
from tasks.base.errors import IncompleteError, NightshiftError, RefusedError
from tasks.base.system import Database, RepositoryPolicy, System
from tasks.base.systems import load_system
from tasks.base.words import Verdict
from tasks.postgres.accounts import look
from tasks.postgres.disabling import Request, disable_roles
from tasks.repository import journal
from tasks.repository.local import LocalStore
from tests.real.conftest import change_system
from tests.real.loud import until_gone
from tests.unit.kubernetes_api import FakeCluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"
KINDS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")


@pytest.fixture
def reviewed(system, shop, tmp_path):
    """The system with a host's root folder and a cluster; the repository, the cluster, a session of the superuser."""
    plant_host(tmp_path / "host")
    cluster = FakeCluster()
    for kind in KINDS:
        cluster.put(f"{RBAC}/{kind}", [])
    subject = {"kind": "User", "name": "carla"}
    binding = {"metadata": {"name": "all"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}}
    cluster.put(f"{RBAC}/clusterrolebindings", [binding | {"subjects": [subject]}])
    change_system(
        capacity={"clusters": [{"name": "main", "kubeconfig": str(cluster.kubeconfig(tmp_path))}]},
        access={"hosts": [{"name": "web", "root": str(tmp_path / "host")}], "clusters": ["main"]},
    )
    with psycopg.connect(shop, autocommit=True) as session:
        session.execute("DROP ROLE IF EXISTS idle_app")
        session.execute("CREATE ROLE idle_app LOGIN")
        yield SimpleNamespace(repository=system, cluster=cluster, session=session, dsn=shop, folder=tmp_path)
        session.execute("DROP ROLE IF EXISTS idle_app, other_app")
    cluster.close()


def report(reviewed, run_id, name):
    (path,) = reviewed.repository.rglob(f"*-{run_id}/{name}")
    return path.read_text(encoding="utf-8")


def sign(review, **parameters):
    return access_review("acme", sign_off=review.run_id, signed_by="maria", **parameters)


def test_a_review_is_read_signed_and_the_next_one_shows_what_changed(reviewed):
    first = access_review("acme")
    assert first.verdict is Verdict.WARN, first.headline
    rows = {row["account"]: row for row in csv.DictReader(io.StringIO(report(reviewed, first.run_id, "report.csv")))}
    assert "sudo ALL as ALL:ALL" in rows["host web/ada"]["rights"]
    assert rows["host web/toor"]["remarks"] == "uid-twice; uid-zero"
    assert rows["kubernetes main/carla"]["remarks"] == "cluster-admin"
    assert rows["postgres shop/idle_app"]["can_log_in"] == "True"
    assert "decision=approve" in report(reviewed, first.run_id, "report.html")
    done = sign(first, decision="approve", inactive=("postgres shop/idle_app",))
    assert done.verdict is Verdict.OK, done.headline
    assert access_review("acme", remind=True).verdict is Verdict.OK
    reviewed.session.execute("ALTER ROLE idle_app SUPERUSER")
    reviewed.cluster.put(f"{RBAC}/clusterrolebindings", [])
    reviewed.cluster.faults[f"{RBAC}/roles"] = 403
    second = access_review("acme")
    changed = {row["account"]: (row["change"], row["added"]) for row in second.rows if row["change"]}
    assert changed == {
        "postgres shop/idle_app": ("changed", "superuser"),
        "kubernetes main/carla": ("not seen", ""),
    }, "a cluster that was not read whole says nothing of who is gone"
    skipped = next(check for check in second.checks if check.verdict is Verdict.SKIP)
    assert "resources: [roles], verbs: [list]" in skipped.message
    with pytest.raises(RefusedError, match="cannot be approved: kubernetes main"):
        sign(second, decision="approve")
    change_system(access={"hosts": [{"name": "web", "root": "/nowhere/at-all"}], "clusters": []})
    with pytest.raises(NightshiftError, match="host web: there is no folder /nowhere/at-all"):
        access_review("acme")


def ledger():
    return {row["rule"]: row["status"] for row in security_audit("acme").rows}


def test_the_audit_keeps_what_hosts_and_clusters_show_in_the_ledger(reviewed):
    first = ledger()
    assert {rule for rule, status in first.items() if status == "open"} >= {"uid-zero", "cluster-admin", "hba-trust"}
    place = reviewed.folder / "host" / "etc"
    (place / "passwd").write_text((place / "passwd").read_text().replace("toor:x:0:0", "toor:x:1001:0"))
    reviewed.cluster.put(f"{RBAC}/clusterrolebindings", [])
    reviewed.cluster.faults[f"{RBAC}/roles"] = 403
    with pytest.raises(IncompleteError, match="roles"):
        security_audit("acme")
    del reviewed.cluster.faults[f"{RBAC}/roles"]
    second = ledger()
    assert (second["uid-zero"], second["cluster-admin"]) == ("fixed", "fixed")


def can_log_in(reviewed, role):
    return reviewed.session.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", (role,)).fetchone()[0]


def disable(review, **parameters):
    state = account_disabling("acme", review=review.run_id, return_state=True, **parameters)
    return state.result(raise_on_failure=False)


def outcomes(reviewed):
    rows = journal.fold(LocalStore(reviewed.repository), "acme", "role_disablings", ("run_id", "role"))
    return [(row["role"], row["outcome"], row["asked_by"], row["signed_by"]) for row in rows]


def test_only_what_a_signed_review_confirmed_and_nobody_used_since_is_disabled(reviewed):
    reviewed.session.execute("CREATE ROLE other_app LOGIN")
    change_system(access={"hosts": [], "clusters": []})
    review = access_review("acme")
    assert "is not signed" in str(disable(review))
    names = tuple(f"postgres shop/{name}" for name in ("idle_app", "other_app", "postgres"))
    sign(review, decision="approve", inactive=names)
    assert "did not confirm 'postgres shop/shop_reader'" in str(disable(review, accounts=["postgres shop/shop_reader"]))
    # One logs in after all, and the list names the role of this very connection.
    with psycopg.connect(reviewed.dsn, user="other_app") as used:
        planned = disable(review, accounts=names[:1])
        assert (planned.rows[0]["outcome"], planned.dry_run) == ("planned", True)
        assert can_log_in(reviewed, "idle_app")
        assert "nobody is named; add asked_by=NAME" in str(disable(review, accounts=names[:1], dry_run=False))
        said = str(disable(review, asked_by="ada", dry_run=False))
        assert f"has sessions now ({used.info.backend_pid}, the newest since 20" in said
        assert used.execute("SELECT 1").fetchone() == (1,)
    assert [can_log_in(reviewed, role) for role in ("idle_app", "other_app", "postgres")] == [False, True, True]
    assert outcomes(reviewed) == [("idle_app", "disabled", "ada", "maria")]
    again = disable(review, accounts=names[:1], asked_by="ada", dry_run=False)
    assert (again.verdict, again.rows[0]["outcome"]) == (Verdict.OK, "already")
    reviewed.session.execute(again.rows[0]["undo"].encode())
    assert can_log_in(reviewed, "idle_app")


class FullStore(LocalStore):
    """A store that takes nothing more."""

    def put(self, key, data, *, only_if_absent=False):
        raise RefusedError("the disk is full")


def test_nothing_is_disabled_without_its_record_and_without_the_right_and_never_the_role_at_work(reviewed):
    database = Database(name="shop", dsn=reviewed.dsn)
    request = Request(
        review_id="r", review_sha256="s", reviewed_at=utc_now(), signed_by="maria", asked_by="ada", dry_run=False
    )

    def said(dsn, store, *names):
        acme = load_system("acme")
        found, _ = disable_roles(database.model_copy(update={"dsn": dsn}), list(names), acme, store, "run", request)
        return [(check.verdict, check.message) for check in found]

    store = LocalStore(reviewed.repository)
    ((verdict, message),) = said(reviewed.dsn, FullStore(reviewed.repository), "idle_app")
    assert (verdict, "did not take the record of it: the disk is full" in message) == (Verdict.FAIL, True)
    plain = psycopg.conninfo.make_conninfo(reviewed.dsn, user="idle_app")
    reviewed.session.execute('CREATE ROLE "other_app" LOGIN')
    own, refused, gone = said(plain, store, "idle_app", "other_app", "nobody-of-that-name")
    assert own == (Verdict.FAIL, "is the role of this connection, which would lock itself out; let another one do it")
    assert refused == (
        Verdict.FAIL, "this connection may not change it; as a superuser: ALTER ROLE other_app NOLOGIN"
    )  # fmt: skip
    assert gone[0] is Verdict.INFO
    with psycopg.connect(reviewed.dsn, user="other_app"):
        ((verdict, message),) = said(plain, store, "other_app")
        assert "it is in use; look whose they are" in message, "also where it is not shown since when"
        # A session of before the review is use all the same, whatever who signed believed.
        request = request.model_copy(update={"reviewed_at": utc_now()})
        ((verdict, message),) = said(reviewed.dsn, store, "other_app")
        assert (verdict, "pg_terminate_backend(" in message) == (Verdict.FAIL, True)
    until_gone(reviewed.dsn, "other_app")
    # The roles that Nightshift itself needs, whichever connection disables.
    other = psycopg.conninfo.make_conninfo(reviewed.dsn, user="other_app")
    change_system(databases=[{"name": "shop", "dsn": reviewed.dsn, "standbys": [other]}])
    entry = {"name": "x", "kind": "role", "max_age_days": 1, "role": "x", "place": {"kind": "file", "path": "/x"}}
    change_system(credentials={"entries": [entry | {"admin_dsn": plain}]})
    ((_, standby), (_, admin)) = said(reviewed.dsn, store, "other_app", "idle_app")
    assert standby == "is the role of Nightshift's connection to 'shop', which would be locked out"
    assert admin == "is the role of the connection that rotates 'x', which would be locked out"
    assert all(can_log_in(reviewed, role) for role in ("idle_app", "other_app"))
    assert outcomes(reviewed) == [("other_app", "asked", "ada", "maria")], "of what the server refused"
    change_system(credentials={"entries": []}, databases=[{"name": "shop", "dsn": reviewed.dsn}])
    ((verdict, message),) = said(reviewed.dsn, store, "other_app")
    assert (verdict, "undo it by: ALTER ROLE other_app LOGIN" in message) == (Verdict.OK, True)


def test_the_last_superuser_stays(reviewed):
    # Disabled by one that works as a superuser without being able to log in as one.
    session = reviewed.session
    request = Request(
        review_id="r", review_sha256="s", reviewed_at=utc_now(), signed_by="maria", asked_by="ada", dry_run=True
    )
    session.execute("CREATE ROLE other_app SUPERUSER LOGIN; GRANT postgres TO idle_app")
    borrowed = Database(
        name="shop", dsn=psycopg.conninfo.make_conninfo(reviewed.dsn, user="idle_app", options="-c role=postgres")
    )

    def said():
        store = LocalStore(reviewed.repository)
        (found,), _ = disable_roles(borrowed, ["other_app"], load_system("acme"), store, "run", request)
        return found.message

    assert said().startswith("would be disabled")
    try:
        session.execute("ALTER ROLE postgres NOLOGIN")
        assert "is the last superuser that may log in" in said()
    finally:
        session.execute("ALTER ROLE postgres LOGIN")


def test_statements_after_the_review_tell_of_a_use_that_left_no_session(loud_server, tmp_path):
    dsn = loud_server.dsn("postgres")
    shop, store = Database(name="shop", dsn=dsn), LocalStore(tmp_path)
    acme = System(name="acme", databases=(shop,), repository=RepositoryPolicy(url="file:///nowhere"))

    def used():
        with psycopg.connect(dsn, user="seldom", autocommit=True) as seldom:
            seldom.execute("SELECT 1")
        until_gone(dsn, "seldom")

    def said(**ground):
        words = {"review_id": "r", "review_sha256": "s", "signed_by": "maria", "asked_by": "ada", "dry_run": True}
        (found,), _ = disable_roles(shop, ["seldom"], acme, store, "run", Request(**words, **ground))
        return found.message

    with psycopg.connect(dsn, autocommit=True) as boss:
        boss.execute("CREATE ROLE seldom LOGIN")
        used()
        assert "was seen with a statement at 20" in said(reviewed_at=utc_now() - timedelta(hours=1))
        review = make_review("acme", "r", utc_now(), ["postgres shop"], [look(shop)], [], Book(store, "acme"))
        (line,) = (one for one in review.lines if one.account.name == "seldom")
        ground = {"reviewed_at": utc_now(), "statements": {line.name: line.account.statements}}
        assert said(**ground).startswith("would be disabled")
        used()
        assert "ran 1 statements after the review" in said(**ground), "one that was seen before the review too"
        boss.execute("DROP ROLE seldom")
