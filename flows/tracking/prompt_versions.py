"""Versions of prompts in MLflow's registry: one per content, found again by its digest. Importing this imports MLflow."""

from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
from mlflow.prompt.constants import PROMPT_EXPERIMENT_IDS_TAG_KEY as _EXPERIMENTS

DIGEST_TAG = "crl.digest"


@dataclass(frozen=True)
class Prompt:
    name: str
    digest: str  # of the template
    template: list[dict[str, str]]  # chat messages: role, content


def prompt_version(client: MlflowClient, prompt: Prompt, experiment: str) -> str:
    """The number of the version with this content, made where there is none. The prompt is listed in the experiment's page.

    Not by `register_prompt`, which lists it, in a thread of its own, in the experiment that is active: none is here, which it takes
    for the default one.
    """
    known = client.search_prompts(
        f"name = '{prompt.name}'"
    )  # `get_prompt` would take a server that is away for "no such prompt"
    listed = [each for each in known[0].tags.get(_EXPERIMENTS, "").split(",") if each] if known else []
    if not known:
        client.create_prompt(prompt.name, tags={_EXPERIMENTS: f",{experiment},"})
    elif experiment not in listed:
        client.set_prompt_tag(prompt.name, _EXPERIMENTS, f",{','.join([*listed, experiment])},")
    where = f"name = '{prompt.name}' and tag.`{IS_PROMPT_TAG_KEY}` = 'true' and tag.`{DIGEST_TAG}` = '{prompt.digest}'"
    if found := client.search_model_versions(where):
        return str(min(int(version.version) for version in found))
    return str(client.create_prompt_version(prompt.name, prompt.template, tags={DIGEST_TAG: prompt.digest}).version)
