"""The check of certificates: what servers show, and what lies in files; findings, and a line for each."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cryptography import x509

from tasks.base.attachments import Table, joined
from tasks.base.clock import iso, utc_now
from tasks.base.errors import NightshiftError
from tasks.base.findings import Finding, Scan, Severity, identity_of
from tasks.base.scans import Looked, Scanning, as_check, unknown, verdict_of
from tasks.base.security import place_of
from tasks.base.security_check import CertificatePolicy, Endpoint
from tasks.base.tls import certificates_in
from tasks.base.words import CheckResult, Verdict
from tasks.network import certificates, refusal
from tasks.network.certificates import Fault

_MOST_BYTES = 1024 * 1024
_HEADER = ("place", "subject", "names", "issuer", "not_before", "not_after", "days_left", "key", "faults")
_OLD_PROTOCOLS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1")


def certificate_checks(policy: CertificatePolicy) -> list[Scanning]:
    """One look per server and per pattern of files."""
    served: list[Scanning] = [(scope_of(one.address), partial(check_endpoint, one, policy)) for one in policy.endpoints]
    return served + [(scope_of(one), partial(check_files, one, policy)) for one in policy.files]


def scope_of(place: str) -> str:
    """The scope of a server or of a pattern of files."""
    return f"certificate {place}"


def check_endpoint(endpoint: Endpoint, policy: CertificatePolicy) -> Scan:
    """What a server shows; one that shows nothing is FAIL, and closes nothing."""
    return as_check(scope_of(endpoint.address), "tls", partial(_endpoint, endpoint, policy))


def check_files(pattern: str, policy: CertificatePolicy) -> Scan:
    """What lies in the files that a pattern names; one that cannot be read makes the scan incomplete."""
    return as_check(scope_of(pattern), "certificate files", partial(_files, pattern, policy))


def _endpoint(endpoint: Endpoint, policy: CertificatePolicy) -> Looked:
    command = _command(endpoint)
    try:
        shown, refused_by = refusal.look_at(endpoint, policy)
    except NightshiftError as error:
        return unknown("certificate", endpoint.address, error, command)
    own, now = shown.chain[0], utc_now()
    faults = [
        *certificates.faults_of_dates(own, policy, now),
        *certificates.faults_of_strength(own),
        *([refused] if (refused := certificates.fault_of_refusal(shown.chain, refused_by)) else []),
        *([wrong] if (wrong := certificates.fault_of_names(own, endpoint.name)) else []),
    ]
    if shown.protocol in _OLD_PROTOCOLS:
        sentence = f"is shown by a server that speaks nothing newer than {shown.protocol}"
        faults.append(Fault(rule="weak-protocol", severity=Severity.MEDIUM, sentence=sentence))
    for issuer in shown.chain[1:]:
        faults += [_of_issuer(one, issuer) for one in _faults(issuer, policy)]
    if refused_by is not None and not faults:
        sentence = "is refused for a date that is none of those shown: the authority behind them has expired"
        faults.append(Fault(rule="certificate-refused", severity=Severity.HIGH, sentence=sentence))
    verified = "" if faults else "; chain, names, key and signature are good"
    return _looked(scope_of(endpoint.address), endpoint.address, own, policy, faults, verified, command)


def _files(pattern: str, policy: CertificatePolicy) -> Looked:
    scope, places = scope_of(pattern), sorted(Path("/").glob(str(place_of(pattern)).lstrip("/")))
    seen: list[Looked] = []
    listing = f"ls -l {pattern}"
    missing = [] if places else [f"no file is at {pattern}; correct security_check.certificates.files"]
    for place in places:
        command = f"openssl x509 -in {place} -noout -dates -subject -issuer"
        try:
            own, *issuers = certificates_in(place.read_bytes()[:_MOST_BYTES])
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "it holds no certificate"
            missing.append(f"{place} cannot be read ({said}); give the right, or narrow the pattern")
            continue
        faults = _faults(own, policy) + [_of_issuer(fault, one) for one in issuers for fault in _faults(one, policy)]
        seen.append(_looked(scope, str(place), own, policy, faults, "", command))
    lines = [
        CheckResult(name="certificate", target=pattern, verdict=Verdict.INCOMPLETE, message=one, next_command=listing)
        for one in missing
    ]
    return Looked(
        findings=tuple(finding for one in seen for finding in one.findings),
        checks=(*(line for one in seen for line in one.checks), *lines),
        missing="; ".join(missing),
        attachments=joined(table for one in seen for table in one.attachments),
    )


def _faults(certificate: x509.Certificate, policy: CertificatePolicy) -> list[Fault]:
    dates = certificates.faults_of_dates(certificate, policy, utc_now())
    return [*dates, *certificates.faults_of_strength(certificate)]


def _of_issuer(fault: Fault, issuer: x509.Certificate) -> Fault:
    said = f"comes with that of {certificates.common_name(issuer.subject)}, which {fault.sentence}"
    return fault.model_copy(update={"sentence": said})


def _looked(
    scope: str,
    place: str,
    own: x509.Certificate,
    policy: CertificatePolicy,
    faults: Sequence[Fault],
    verified: str,
    command: str,
) -> Looked:
    """The line of one certificate, and a finding for each fault."""
    left = certificates.days_left(own, utc_now())
    end, issuer = iso(own.not_valid_after_utc), certificates.common_name(own.issuer)
    good = f"valid until {end}, {left:.1f} days, issued by {issuer}{verified}"
    findings = tuple(_finding(scope, place, own, fault) for fault in faults)
    line = CheckResult(
        name="certificate",
        target=place,
        verdict=verdict_of(findings),
        message=f"the certificate {'; it '.join(fault.sentence for fault in faults)}" if faults else good,
        value=round(left, 2),
        unit="days",
        threshold=policy.warning_days,
        next_command=command if faults else "",
    )
    row = {
        "place": place,
        "subject": certificates.common_name(own.subject),
        "names": ", ".join(certificates.names_of(own)),
        "issuer": issuer,
        "not_before": iso(own.not_valid_before_utc),
        "not_after": end,
        "days_left": round(left, 2),
        "key": certificates.key_of(own)[0],
        "faults": ", ".join(sorted({fault.rule for fault in faults})),
    }
    table = Table(name="certificates", title="Certificates", header=_HEADER, rows=(row,))
    return Looked(findings=findings, checks=(line,), attachments=(table,))


def _finding(scope: str, place: str, certificate: x509.Certificate, fault: Fault) -> Finding:
    return Finding(
        identity=identity_of(scope, "certificate", place, fault.rule),
        scope=scope,
        kind="certificate",
        severity=fault.severity,
        rule=fault.rule,
        title=certificates.RULES[fault.rule],
        location=place,
        package=certificates.common_name(certificate.subject),
        installed_version=f"until {iso(certificate.not_valid_after_utc)}",
    )


def _command(endpoint: Endpoint) -> str:
    starttls = f" -starttls {endpoint.starttls}" if endpoint.starttls else ""
    return (
        f"openssl s_client -connect {endpoint.host}:{endpoint.port} -servername {endpoint.name}{starttls} </dev/null | "
        "openssl x509 -noout -dates -subject -issuer -ext subjectAltName"
    )
