"""The manifests fit each other, the library and docker/: `docker/kubernetes/check` compares them with the published types."""

import re
from urllib.parse import urlsplit

import pytest
import yaml

from crl.config.compose import composed
from tests.docker.tools import ROOT, started_as_the_library_does

FOLDER = ROOT / "docker/kubernetes"
OBJECTS = {
    (object_["kind"], object_["metadata"]["name"]): object_
    for file in ("team", "engines", "run")
    for object_ in yaml.safe_load_all((FOLDER / f"{file}.yaml").read_text())
}
ADDRESSES = OBJECTS["ConfigMap", "crl"]["data"]
CLUSTER = OBJECTS["RayJob", "crl"]["spec"]["rayClusterSpec"]
PODS = {
    "actor": OBJECTS["Deployment", "crl-actor"]["spec"]["template"],
    "extractor": OBJECTS["Deployment", "crl-extractor"]["spec"]["template"],
    "head": CLUSTER["headGroupSpec"]["template"],
    "nodes": CLUSTER["workerGroupSpecs"][0]["template"],
}


def container(pod: str) -> dict:
    [only] = PODS[pod]["spec"]["containers"]
    return only


@pytest.mark.parametrize("role", ["actor", "extractor"])
@pytest.mark.usefixtures("gpu_machine")
def test_vllm_is_started_as_the_library_starts_it(role: str) -> None:
    started_as_the_library_does(role, container(role)["args"])


@pytest.mark.parametrize("role", ["actor", "extractor"])
def test_the_runs_pods_find_the_engines_and_nobody_else_may_reach_them(role: str) -> None:
    address, service = urlsplit(ADDRESSES[f"CRL_{role.upper()}_URLS"]), OBJECTS["Service", f"crl-{role}"]
    assert (address.hostname, address.port) == (f"crl-{role}", service["spec"]["ports"][0]["port"])
    labels = PODS[role]["metadata"]["labels"]
    policy = OBJECTS["NetworkPolicy", "crl-engines"]["spec"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    [admitted] = policy["ingress"][0]["from"]
    for pod, template in PODS.items():
        reaches = admitted["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert reaches == (pod in ("head", "nodes"))


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_has_no_right_and_no_secret_that_it_does_not_need(pod: str) -> None:
    spec, rights = PODS[pod]["spec"], container(pod)["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert (rights["allowPrivilegeEscalation"], rights["capabilities"]) == (False, {"drop": ["ALL"]})
    assert container(pod)["resources"]["limits"]["memory"]
    named = {name: value for name, value in ADDRESSES.items() if re.search(r"AUTH|KEY|PASSWORD", name)}
    made = set(re.findall(r"^make (\w+)", (ROOT / "docker/secrets.sh").read_text(), re.MULTILINE))
    assert named.keys() == {name for name in named if name.endswith("_FILE")}
    assert {path.removeprefix("/run/secrets/crl/") for path in named.values()} <= made


def test_the_command_of_the_run_is_valid_and_its_ray_is_the_locked_one() -> None:
    words = OBJECTS["RayJob", "crl"]["spec"]["entrypoint"].split()
    started = words.index("flows.run")
    assert words[started - 2 : started] == ["python", "-m"]
    assert words[started + 1] == "--profile"
    config = composed(words[started + 2], words[started + 3 :], ROOT / "conf")
    assert (config.run.task_runner, config.engine.kind) == ("ray", "server")
    assert f"ray[default]=={CLUSTER['rayVersion']}" in (ROOT / "requirements/ray.in").read_text()
    for pod in ("head", "nodes"):  # the probes that KubeRay adds by itself need a program that our images lack
        assert {"livenessProbe", "readinessProbe"} <= container(pod).keys()
