"""The walk through Prefect's pages as a person makes it: each step waits for what that person would look for.

With a folder, it leaves pictures there: `python -m tests.browser.prefect_walk` draws those of docs/prefect.md.
"""

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from playwright.sync_api import Page, expect

from tests.browser.chromium import WAIT_MS, opened
from tests.prefect_checkout import Team, kill_session, make_folder, served

PICTURES = Path(__file__).parents[2] / "docs/pictures"


@contextmanager
def team(folder: Path) -> Iterator[Team]:
    """A server with the deployment `pipeline`, and a worker."""
    with served(make_folder(folder)) as made:
        made.call("flows.prefect.deploy", "pipeline")
        worker = made.worker()
        try:
            yield made
        finally:
            kill_session(worker)


@dataclass
class Walk:
    """One browser on one team's server."""

    page: Page
    team: Team
    pictures: Path | None = None

    def open_form(self) -> None:
        """Deployments -> pipeline -> Run -> Custom run."""
        self.page.goto(f"{self.team.url}/deployments")
        row = self.page.get_by_role("row").filter(has_text="pipeline")
        row.get_by_role("link", name="pipeline", exact=True).first.click()
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_text("Custom run").click()
        expect(self.field("wait_hours")).to_be_visible()

    def field(self, name: str):
        return self.page.locator(".p-label").filter(has=self.page.get_by_text(f"{name} (Optional)", exact=True))

    def refuse(self, rounds: str) -> None:
        """A number of rounds that the form must not take."""
        rounds_field = self.field("rounds")
        rounds_field.get_by_role("button", name="int", exact=True).click()
        rounds_field.locator("input[type=number]").fill(rounds)
        self.page.get_by_role("button", name="Submit").click()
        expect(self.page.get_by_text(f"{rounds} is not valid")).to_be_visible()
        self.picture("prefect_form", height=1150)

    def correct(self, name: str) -> None:
        """Leave the field empty. The server checks a form; on a busy machine an answer comes after the next change and stands."""
        for last in (False, False, True):
            self.field(name).get_by_role("button", name="None", exact=True).click()
            try:
                expect(self.page.get_by_text(" is not valid")).to_be_hidden(timeout=None if last else 20_000)
                return
            except AssertionError:
                if last:
                    raise
                self.field(name).get_by_role("button", name="int", exact=True).click()

    def submit(self) -> UUID:
        """Correct it, choose one stage, submit, follow the new run; its id."""
        self.correct("rounds")
        self.field("stages").locator("button.p-select-button__control").press(
            "ArrowDown"
        )  # a click opens and closes it
        self.page.locator("[role=option]").filter(has_text="co_evolve").click()
        self.page.keyboard.press("Escape")
        run = self.created()
        self.page.goto(f"{self.team.url}/runs/flow-run/{run}")
        return run

    def created(self) -> UUID:
        """Press `Submit`; again when the server refuses, as it does while its database is locked: its pages do not ask twice."""
        for attempt in range(3):
            # The note with the link to the run goes away by itself, so a slow machine may never see it.
            with self.page.expect_response(lambda answer: answer.url.endswith("/create_flow_run")) as created:
                self.page.get_by_role("button", name="Submit").click()
            if created.value.ok:
                return UUID(created.value.json()["id"])
            refusal = f"{created.value.status} {created.value.text()}"
            print(f"attempt {attempt}: {refusal}")
            self.page.wait_for_timeout(5000)  # the note about the refusal lies over the button
        raise AssertionError(f"no run was created: {refusal}")

    def rounds_reach(self, number: int) -> None:
        deadline = time.monotonic() + WAIT_MS / 1000
        while len(self.team.rounds()) < number:
            assert time.monotonic() < deadline, f"round {number} was not played"
            self.page.wait_for_timeout(250)

    def press(self, button: str) -> None:
        """`Cancel` or `Retry` on the run's page, and again in the dialogue that asks whether one is sure."""
        self.page.get_by_role("button", name=button, exact=True).first.click()
        self.page.get_by_role("dialog").get_by_role("button", name=re.compile(f"^(Confirm|{button})$")).click()

    def state_is(self, name: str) -> None:
        expect(self.page.locator(".state-badge").filter(has_text=name).first).to_be_visible()

    def picture(self, name: str, height: int = 800) -> None:
        if self.pictures is None:
            return
        self.page.set_viewport_size({"width": 1280, "height": height})
        self.page.wait_for_timeout(3000)  # what moves comes to rest
        self.page.screenshot(path=self.pictures / f"{name}.png")
        self.page.set_viewport_size({"width": 1280, "height": 800})


def walk(page: Page, team: Team, pictures: Path | None = None) -> None:
    """Start by the form, look, cancel, start again, see it through."""
    steps = Walk(page, team, pictures)
    steps.open_form()
    steps.refuse("0")
    run = steps.submit()
    steps.state_is("Running")
    steps.rounds_reach(2)
    steps.press("Cancel")
    steps.state_is("Cancelled")
    assert not team.processes()
    done = len(team.rounds())
    page.reload()
    steps.press("Retry")
    steps.state_is("Completed")
    assert [int(round_) for round_ in team.rounds()][: done + 1] == list(range(done + 1))
    page.get_by_role("listitem").filter(has_text="Task Runs").click()
    expect(page.get_by_role("link", name="co_evolve").first).to_be_visible()
    steps.picture("prefect_run")
    look_around(steps, run)


def look_around(steps: Walk, run: UUID) -> None:
    """The stage's run with its timeline, its artifact, and the automations."""
    page, url = steps.page, steps.team.url
    page.goto(f"{url}/runs")
    page.get_by_role("link", name="co_evolve toy").first.click()
    page.get_by_role("listitem").filter(has_text="Task Runs").click()
    expect(page.get_by_role("link", name="rollout-shard-0").first).to_be_visible()
    steps.picture("prefect_stage")
    page.goto(f"{url}/artifacts/key/co-evolve-round")
    expect(page.get_by_text("co-evolve-round").first).to_be_visible()
    page.goto(f"{url}/runs/flow-run/{run}")
    page.get_by_role("listitem").filter(has_text="Artifacts").click()
    expect(page.get_by_text("pipeline-links").first).to_be_visible()
    page.goto(f"{url}/automations")
    expect(page.get_by_text("crl: silent runs are crashed")).to_be_visible()
    expect(page.get_by_text("crl: cancelled runs end")).to_be_visible()
    steps.picture("prefect_automations", height=680)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, team(Path(folder)) as made, opened() as page:
        walk(page, made, PICTURES)


if __name__ == "__main__":
    main()
