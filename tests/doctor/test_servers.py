"""What `crl doctor` says of servers: closed ports, refused credentials, wrong models, servers that nobody needs."""

import base64
import json
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from crl.cli.main import app
from crl.doctor.http import ask, shown
from tests.doctor.conftest import ROOT, serving

VLLM = ("engine.kind=server", "run.schedule=async")
CLOSED = "http://127.0.0.1:1"


def weaviate(path, headers):
    if path.startswith("/v1/.well-known"):
        return 200, {}
    return (200, {"version": "1.38.11"}) if headers.get("Authorization") == "Bearer k3y" else (401, {})


def test_weaviate_wants_its_key_and_its_grpc_port(find):
    with serving(weaviate) as url:
        address = f"{url}?grpc={urlsplit(url).port}"
        environment = {"CRL_WEAVIATE_URL": address}
        [refused] = find("weaviate", "bank.index=weaviate", environment=environment)
        assert refused.status == "fail"
        assert "401" in refused.seen
        assert "CRL_WEAVIATE_API_KEY" in refused.remedy
        environment["CRL_WEAVIATE_API_KEY"] = "k3y"
        [well] = find("weaviate", "bank.index=weaviate", environment=environment)
        assert well.status == "ok"
        assert "1.38.11" in well.seen
        [half] = find(
            "weaviate", "bank.index=weaviate", environment=environment | {"CRL_WEAVIATE_URL": f"{url}?grpc=1"}
        )
        assert half.status == "fail"
        assert "gRPC port 1" in half.seen


def test_a_server_that_the_run_needs_fails_and_one_that_is_only_named_warns(find):
    environment = {"CRL_WEAVIATE_URL": CLOSED, "CRL_RAY_ADDRESS": "ray://127.0.0.1:1", "CRL_ACTOR_URLS": CLOSED}
    assert find("weaviate", "bank.index=weaviate", environment=environment)[0].status == "fail"
    for check in ("weaviate", "ray", "vllm"):
        [finding] = find(check, environment=environment)
        assert (finding.check, finding.status) == (check, "warn")
        assert finding.remedy
    for check in ("weaviate", "ray", "vllm", "prefect", "mlflow"):
        assert find(check) == []  # neither needed nor named


def test_without_an_address_weaviate_is_embedded_and_its_program_must_be_here(find, monkeypatch, tmp_path):
    program = tmp_path / "weaviate-server"
    program.touch(0o755)
    monkeypatch.setenv("CRL_WEAVIATE_BINARY", str(program))
    assert find("weaviate", "bank.index=weaviate")[0].status == "ok"
    monkeypatch.setenv("CRL_WEAVIATE_BINARY", str(tmp_path / "nothing"))
    [finding] = find("weaviate", "bank.index=weaviate")
    assert finding.status == "fail"
    assert finding.remedy


def models(role="actor", longest=448):
    def reply(path, headers):
        if headers.get("Authorization") != "Bearer k3y" and path.startswith("/v1"):
            return 401, {}
        return 200, {"data": [{"id": role, "max_model_len": longest}]}

    return reply


def test_vllm_serves_the_right_model_with_room_for_the_context(find):
    key = {"CRL_VLLM_API_KEY": "k3y"}
    with serving(models()) as actor, serving(models("extractor", 100)) as short:
        both = {"CRL_ACTOR_URLS": f"{actor},{CLOSED}", "CRL_EXTRACTOR_URLS": short}
        well, closed, small = find("vllm", *VLLM, environment=both | key)
        assert (well.status, closed.status, small.status) == ("ok", "fail", "fail")
        assert "--max-model-len=256" in small.remedy
        [other, absent] = find("vllm", *VLLM, environment={"CRL_ACTOR_URLS": short} | key)[::-1]
        assert "serves extractor" in other.seen
        assert "no server of the extractor is named" in absent.seen
        embedder = find("vllm", environment={"CRL_EMBEDDER_URLS": actor} | key)
        assert "serves actor" in embedder[0].seen
        refused = find("vllm", *VLLM, environment={"CRL_ACTOR_URLS": actor, "CRL_EXTRACTOR_URLS": short})[0]
        assert "CRL_VLLM_API_KEY" in refused.remedy


def test_an_embedder_may_take_fewer_tokens_than_the_models(find):
    with serving(models("embedder", 32)) as url:
        [finding] = find("vllm", environment={"CRL_EMBEDDER_URLS": url, "CRL_VLLM_API_KEY": "k3y"})
    assert finding.status == "ok"


def login(user, password):
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def reply(path, headers):
        return (200, 0) if path.endswith("/health") or headers.get("Authorization") == expected else (401, {})

    return reply


@pytest.mark.parametrize(
    ("check", "address", "right"),
    [
        ("prefect", "PREFECT_API_URL", {"PREFECT_API_AUTH_STRING": "me:s3cret"}),
        ("mlflow", "MLFLOW_TRACKING_URI", {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "s3cret"}),
    ],
)
def test_a_server_that_refuses_us_names_the_variables_to_set(find, check, address, right):
    with serving(login("me", "s3cret")) as url:
        for environment, status in (({}, "fail"), (right, "ok")):
            [finding] = find(check, environment={address: url, **environment})
            assert finding.status == status, finding
        assert next(iter(right)) in find(check, environment={address: url})[0].remedy


def test_a_lost_tracker_is_a_warning_since_records_wait_and_a_lost_prefect_a_failure(find):
    assert find("mlflow", environment={"MLFLOW_TRACKING_URI": CLOSED})[0].status == "warn"
    assert find("prefect", environment={"PREFECT_API_URL": f"{CLOSED}/api"})[0].status == "fail"
    assert find("mlflow", environment={"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}) == []


def test_credentials_in_the_trackers_address_are_used_and_never_shown(find):
    with serving(login("me", "s3cret")) as url:
        environment = {"MLFLOW_TRACKING_URI": url.replace("//", "//me:s3cret@")}
        findings = find("mlflow", environment=environment)
    assert [finding.status for finding in findings] == ["ok"]
    lost = find("mlflow", environment=environment)
    assert "s3cret" not in repr(findings + lost)
    assert shown("http://h:1/x") == "http://h:1/x"


def test_a_clock_that_differs_from_a_servers_is_told(find, monkeypatch):
    late = formatdate(time.time() - 3600, usegmt=True)
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_: late)
    with serving(lambda *_: (200, {})) as url:
        skewed, well = find("mlflow", environment={"MLFLOW_TRACKING_URI": url})
    assert (skewed.check, skewed.status, well.status) == ("clock", "warn", "ok")


def test_an_answer_that_is_no_http_no_json_or_no_address_breaks_nothing(find):
    for url in ("http://", CLOSED):
        assert find("mlflow", environment={"MLFLOW_TRACKING_URI": url})[0].status == "warn"
    with serving(lambda *_: (500, "no")) as url:
        assert find("mlflow", environment={"MLFLOW_TRACKING_URI": url})[0].status == "warn"
    with serving(lambda *_: (200, "plain")) as url:
        assert ask(url, 5)[1] == "plain"
        assert find("mlflow", environment={"MLFLOW_TRACKING_URI": url})[0].status == "ok"


def test_an_address_that_is_none_and_a_secret_that_cannot_be_read_are_findings(find, tmp_path):
    [finding] = find("vllm", *VLLM, environment={"CRL_ACTOR_URLS": "nowhere"})
    assert (finding.status, "CRL_ACTOR_URLS" in finding.seen) == ("fail", True)
    [unreadable] = find("credentials", environment={"CRL_VLLM_API_KEY_FILE": str(tmp_path / "none")})
    assert (unreadable.status, "CRL_VLLM_API_KEY_FILE" in unreadable.seen) == ("fail", True)
    (tmp_path / "empty").touch()
    assert find("credentials", environment={"CRL_VLLM_API_KEY_FILE": str(tmp_path / "empty")})[0].status == "fail"
    [told] = find("credentials", environment={"CRL_VLLM_API_KEY": "s3cret"})
    assert (told.status, "s3cret" in told.seen) == ("ok", False)


def test_a_server_that_hangs_is_a_finding_after_the_deadline(find):
    with serving(lambda *_: time.sleep(1.5) or (200, {})) as url:
        [finding] = find("mlflow", environment={"MLFLOW_TRACKING_URI": url}, deadline_s=0.5)
    assert finding.status in ("warn", "fail")
    assert finding.remedy


def test_the_command_exits_with_1_on_a_failure_and_prints_json(monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "CRL_WEAVIATE_URL"):
        monkeypatch.delenv(name, raising=False)
    run = CliRunner()
    quick = ["doctor", "--profile", "quick", "--deadline", "60"]
    good = run.invoke(app, [*quick, "--json"])
    assert good.exit_code == 0, good.output
    assert {finding["status"] for finding in json.loads(good.stdout)} <= {"ok", "warn"}
    monkeypatch.setenv("PREFECT_API_URL", f"{CLOSED}/api")
    bad = run.invoke(app, quick)
    assert bad.exit_code == 1
    assert "FAIL" in bad.output
    assert "Remedy" in bad.output
    assert run.invoke(app, ["doctor", "--params", "nowhere.yaml"]).exit_code == 2
