"""What compose.yaml promises before anything is started: valid profiles, no open door, no secret in it."""

import re
import subprocess

import pytest
import yaml

from crl.config.servers import EngineConfig
from crl.engine.vllm.serve import environment
from tests.docker.tools import PROFILES, ROOT, compose_arguments, started_as_the_library_does

FILE = ROOT / "docker/compose.yaml"
SECRET_WORDS = re.compile(r"PASSWORD|KEY|AUTH|TOKEN|SECRET")


@pytest.mark.usefixtures("compose")
@pytest.mark.parametrize("profile", [*PROFILES, "*"])
def test_every_profile_is_valid_without_a_warning(profile: str) -> None:
    done = subprocess.run([*compose_arguments(profile), "config", "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_profiles_hold_what_the_page_says(project: dict) -> None:
    services = {profile: set() for profile in PROFILES}
    for name, service in project["services"].items():
        for profile in service["profiles"]:
            services[profile].add(name)
    assert services == {
        "core": {"weaviate", "prefect", "prefect-db", "mlflow", "mlflow-db"},
        "worker": {"worker"},
        "gpu": {"actor", "extractor", "embedder", "trainer"},
        "sandbox": {"sandbox"},
    }


def test_ports_answer_on_this_machine_alone_and_vllm_has_none(project: dict) -> None:
    published = {name: service.get("ports", []) for name, service in project["services"].items()}
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}
    assert [
        name for name in ("actor", "extractor", "embedder", "sandbox", "prefect-db", "mlflow-db") if published[name]
    ] == []


def test_secrets_are_files_and_nothing_else(project: dict) -> None:
    assert all(set(secret) <= {"name", "file"} for secret in project["secrets"].values())
    for name, service in project["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if SECRET_WORDS.search(variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.startswith("/run/secrets/"), f"{name}: {variable}"
                assert value.rpartition("/")[2] in {secret["source"] for secret in service["secrets"]}


def test_services_hold_no_right_that_they_do_not_need(project: dict) -> None:
    for name, service in project["services"].items():
        assert service["mem_limit"], name
        assert not service.get("privileged"), name
        assert "docker.sock" not in str([volume.get("source") for volume in service.get("volumes", [])]), name
        if name == "sandbox":  # the one that needs rights has no network and no folder of the host
            assert service["network_mode"] == "none"
            assert {volume["type"] for volume in service["volumes"]} == {"volume"}
            continue
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["pids_limit"] > 0, name


@pytest.mark.parametrize("role", ["actor", "extractor", "embedder"])
@pytest.mark.usefixtures("gpu_machine")
def test_vllm_is_started_as_the_library_starts_it(project: dict, role: str) -> None:
    started_as_the_library_does(role, project["services"][role]["command"])


@pytest.mark.usefixtures("gpu_machine")
def test_the_vllm_image_sets_what_the_library_sets() -> None:
    image = (ROOT / "docker/vllm/Dockerfile").read_text()
    for name, value in environment(EngineConfig(), device="cuda").items():
        if name not in ("PYTHONPATH", "VLLM_API_KEY"):
            assert f"{name}={value}" in image


def test_the_example_names_only_settings_that_exist() -> None:
    example = (ROOT / "docker/.env.example").read_text()
    named = set(re.findall(r"^#?(CRL_\w+)=", example, re.MULTILINE))
    text = FILE.read_text()
    assert named <= set(re.findall(r"\$\{(CRL_\w+)", text)) | set(re.findall(r"^  (CRL_\w+):", text, re.MULTILINE))
    assert not SECRET_WORDS.search(
        "\n".join(line for line in example.splitlines() if not line.startswith("#")).replace("CRL_SECRETS", "")
    )


def test_secret_files_are_random_and_made_once(tmp_path) -> None:
    def made(folder) -> dict[str, str]:
        subprocess.run([ROOT / "docker/secrets.sh", folder], check=True, capture_output=True)
        return {file.name: file.read_text() for file in folder.iterdir()}

    first, second = made(tmp_path / "a"), made(tmp_path / "b")
    assert set(first) == set(yaml.safe_load(FILE.read_text())["secrets"])
    assert not set(first.values()) & set(second.values())
    assert made(tmp_path / "a") == first
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    for ignored in ("docker/secrets/any", "docker/.env", "docker/certs/extra.crt"):
        assert subprocess.run(["git", "check-ignore", "-q", ignored], cwd=ROOT).returncode == 0
