"""Credentials that a configured program rotates, and the proofs that they work afterwards."""

import os
import secrets
from pathlib import Path

import httpx

from tasks.base.credentials import Command, Credential, HttpRequest, Proof, ServedCertificate
from tasks.base.errors import (
    ConfigurationError,
    IncompleteError,
    NightshiftError,
    RefusedError,
    ToolFailedError,
    UnreachableError,
)
from tasks.base.pipes import pipe
from tasks.base.programs import Finished, Program, run
from tasks.base.secrets import remember, resolve
from tasks.base.security import place_of
from tasks.base.words import CheckResult, Verdict
from tasks.credentials.certificates import Certificate, shown_by
from tasks.repository.rotations import Rotations, Step

_DEADLINE_SECONDS = 30.0
# A child's own words could hold a secret, and only a failure quotes them: every code is taken, then judged.
ALL_CODES = tuple(range(-64, 256))


def plan(credential: Credential, rotations: Rotations) -> CheckResult:
    """What would be done, after a look whether it could be. Raises a NightshiftError for what stands in the way."""
    command, proof = _parts(credential)
    check_program(command.arguments)
    for reference in (*command.environment.values(), *([command.stdin] if command.stdin else [])):
        resolve(reference)
    before = _before(proof)
    until = f", now valid until {before.ends_at:%Y-%m-%d}" if isinstance(before, Certificate) else ""
    left = rotations.unsettled(credential.name)
    message = f"{Path(command.arguments[0]).name} would be run, then proven by {_in_words(proof)}{until}"
    if left is not None:
        how = f"failed ({left.detail})" if left.step is Step.FAILED else "was interrupted"
        message = f"an earlier run of it {how}, so what it did is not known; {message}"
    return _check(credential, Verdict.WARN if left else Verdict.INFO, message)


def rotate(credential: Credential, rotations: Rotations) -> CheckResult:
    """Run the program, then the proof, under the database's lock. Raises a NightshiftError that tells the state."""
    command, proof = _parts(credential)
    if rotations.rotated_meanwhile(credential.name):
        return _check(credential, Verdict.INFO, "was rotated by another run meanwhile; nothing was done")
    if rotations.proven_by(credential.name, rotations.run_id):
        return _check(credential, Verdict.OK, "was rotated and proven by this run before")
    before = _before(proof)
    words = _in_words(proof)
    rotations.record(credential.name, Step.INTENDED, f"{command.arguments[0]}, to be proven by {words}")
    if (how := _went_wrong(command)) is not None:
        rotations.record(credential.name, Step.FAILED, how)
        raise IncompleteError(
            f"{command.arguments[0]} {how}, so whether {credential.name} was rotated is not known; what it said is not "
            "shown, for it may hold a secret: run it by hand, then look at what uses the credential"
        )
    try:
        _prove(proof, before)
    except NightshiftError as error:
        rotations.record(credential.name, Step.FAILED, f"not proven by {words}")
        raise RefusedError(
            f"{command.arguments[0]} ended well, but {credential.name} is not proven: {error}; the former one may no "
            "longer work: look at what uses it, mend it, and start the flow again"
        ) from None
    rotations.record(credential.name, Step.PROVEN, words)
    return _check(credential, Verdict.OK, f"was rotated by {Path(command.arguments[0]).name}, proven by {words}")


def run_with_secret(program: Program, secret: str | None) -> Finished:
    """Run a program with a secret on its standard input: there no process list shows it."""
    if secret is None:
        return run(program)
    read_end, write_end = pipe()
    try:
        # A secret fits into the pipe, so that nothing waits for a reader.
        os.write(write_end, secret.encode())
        os.close(write_end)
        return run(program, stdin=read_end)
    finally:
        os.close(read_end)


def check_program(arguments: tuple[str, ...]) -> None:
    """Raises ConfigurationError when there is no such program."""
    path = place_of(arguments[0])
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigurationError(f"{path} is no program that can be run; correct the system file, or install it")


def _parts(credential: Credential) -> tuple[Command, Proof]:
    assert credential.command is not None
    assert credential.proof is not None
    return credential.command, credential.proof


def _went_wrong(command: Command) -> str | None:
    """Run a program; how it failed, without a word of what it said, None when it did not."""
    program = Program(
        arguments=(str(place_of(command.arguments[0])), *command.arguments[1:]),
        environment={name: resolve(reference) for name, reference in command.environment.items()},
        ok_codes=ALL_CODES,
        deadline_seconds=command.deadline_seconds,
    )
    try:
        ended = run_with_secret(program, resolve(command.stdin) if command.stdin is not None else None)
    except ToolFailedError:
        return f"did not end within {command.deadline_seconds:g} s and was ended"
    return f"ended with exit code {ended.exit_code}" if ended.exit_code else None


def _before(proof: Proof) -> Certificate | str | None:
    """What has to change: the certificate, or the credential that is kept.

    Raises UnreachableError for what does not answer, a certificate or a request: what is not seen before proves no
    change after; IncompleteError for a request that lets everybody through.
    """
    if isinstance(proof, ServedCertificate):
        return shown_by(proof, valid=False)
    if not isinstance(proof, HttpRequest):
        return None
    if _status(proof, remember(secrets.token_urlsafe(24))) == proof.expected_status:
        raise IncompleteError(
            f"{proof.url} answers {proof.expected_status} to a made-up credential too, so that it proves nothing: "
            "nothing was changed; name a request that only the credential opens"
        )
    return _kept(proof.secret)


def _kept(reference: str) -> str | None:
    try:
        return resolve(reference)
    except ConfigurationError:
        return None  # the first one is still to come


def _prove(proof: Proof, before: Certificate | str | None) -> None:
    if isinstance(proof, ServedCertificate):
        after = shown_by(proof, valid=True)
        assert isinstance(before, Certificate)
        if after.fingerprint == before.fingerprint:
            raise RefusedError(f"{proof.address} shows the same certificate as before; reload the server")
        if after.ends_at <= before.ends_at:
            raise RefusedError(f"the new certificate of {proof.host} ends no later than the one before")
    elif isinstance(proof, HttpRequest):
        if (kept := resolve(proof.secret)) == before:
            raise RefusedError(f"{proof.secret} holds the same as before")
        _request(proof, kept)
    elif (how := _went_wrong(proof)) is not None:
        raise RefusedError(f"{proof.arguments[0]} {how}")


def _request(proof: HttpRequest, secret: str) -> None:
    status = _status(proof, secret)
    if status != proof.expected_status:
        raise RefusedError(f"{proof.url} answered {status} instead of {proof.expected_status}")


def _status(proof: HttpRequest, secret: str) -> int:
    value = proof.template.replace("{secret}", secret)
    try:
        answer = httpx.get(proof.url, headers={proof.header: value}, timeout=_DEADLINE_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, ValueError) as error:
        raise UnreachableError(f"{proof.url} does not answer ({type(error).__name__}); look whether it runs") from None
    return answer.status_code


def _in_words(proof: Proof) -> str:
    if isinstance(proof, ServedCertificate):
        return f"a new and valid certificate at {proof.address}"
    if isinstance(proof, HttpRequest):
        return f"a request to {proof.url}"
    return f"{Path(proof.arguments[0]).name}"


def _check(credential: Credential, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="rotation", target=credential.name, verdict=verdict, message=message)
