"""A person reads a bank in a real browser: by mouse and by keys alone, from a file, without a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from crl.bank.bank import Bank
from crl.bank.effect import Use
from crl.bank.records import Shown
from crl.config.play import RetrievalConfig
from crl.episode.transcripts import Line, Transcript
from crl.report.bank_history import History
from crl.report.bank_page import Asked, write_bank_page
from tests.bank.samples import WordEmbedder, add, apply, merge, open_bank, show, update
from tests.browser import chromium

HOSTILE = (
    "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> push the boulder"
)


def lived(folder: Path) -> Bank:
    bank = open_bank(folder)
    old, other, helpful = apply(bank, "c1", add("go up"), add("wait [here]"), add("take the key"), round=0).added
    apply(bank, "c0", add(HOSTILE), scope="room", key_text="a boulder <b>here</b>", round=0)
    show(bank, Shown(old, "r1.g0.e4", 1))
    bank.record_uses([Use(helpful, 1, g, 2, 2, 2, g % 2) for g in range(4)] + [Use(old, 1, 0, 2, 0, 2, 1)])
    new = apply(bank, "c2", update("go up, then left", old), key_text="a bright hall", round=1).added[0]
    bank.quarantine(other, "useless", round=1)
    merge(bank, "m1", (new, helpful), "key first, then up and left", round=2)
    return bank


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if chromium.chromium() is None:
        pytest.skip(f"no chromium. Remedy: {chromium.REMEDY}")
    folder = tmp_path_factory.mktemp("bank")
    lived(folder / "bank").close()
    lines = (Line("observation", "a dark room"), Line("actor", "go up"))
    episode = Transcript("r0.g0.e4", "maze", "guided", 0, "success", None, lines)
    asked = [Asked("an unknown place", WordEmbedder().embed(["an unknown place"])[0])]
    history = History.of_ledger(folder / "bank")
    write_bank_page(history, folder / "bank.html", retrieval=RetrievalConfig(), transcripts=[episode], asked=asked)
    with chromium.opened() as page:
        asked_for: list[str] = []
        page.on("request", lambda request: asked_for.append(request.url))
        page.on("pageerror", lambda error: asked_for.append(str(error)))
        page.goto((folder / "bank.html").as_uri())
        yield page
        assert set(asked_for) == {(folder / "bank.html").as_uri()}  # nothing else was loaded, and nothing went wrong
        assert page.title() == "The experience bank"


@pytest.fixture(autouse=True)
def fresh(page: Page) -> None:
    page.goto(page.url.partition("#")[0])
    expect(page.locator("#count")).to_have_text("2 of 6 entries")


def options(page: Page, of: str = "entries") -> list[str]:
    return page.locator(f"#{of} [role=option] .says").all_text_contents()


def test_hostile_text_is_shown_as_text(page: Page) -> None:
    page.locator("#search").fill("</SCRIPT> boulder")
    assert options(page) == [HOSTILE]
    assert page.locator("#entries mark").all_text_contents() == ["</script>", "boulder"]
    assert page.locator("#entries img").count() == 0


def test_entries_are_filtered_by_task_state_origin_and_round_and_ordered_by_effect(page: Page) -> None:
    page.locator("#state").select_option(label="in quarantine")
    assert options(page) == ["wait [here]"]
    assert "in quarantine since round 1: quarantine useless" in page.locator("#entries").inner_text()
    page.locator("#state").select_option(label="all")
    expect(page.locator("#count")).to_have_text("6 of 6 entries")
    assert options(page)[0] == "take the key"
    page.locator("#order").select_option("worst")
    assert options(page)[0] == "go up"
    page.locator("#origin").select_option(label="merge")
    assert options(page) == ["key first, then up and left"]
    page.locator("#origin").select_option(label="all")
    page.locator("#first").fill("1")
    page.locator("#last").fill("1")
    assert options(page) == ["go up, then left"]
    page.locator("#last").fill("")
    page.locator("#task").select_option(label="room")
    expect(page.locator("#count")).to_have_text("0 of 6 entries")


def test_arrows_move_through_the_list_from_wherever_nothing_has_the_focus(page: Page) -> None:
    second = options(page)[1]
    page.keyboard.press("ArrowDown")
    expect(page.locator("#entries")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#entry h2")).to_have_text(second)


def test_keys_alone_lead_from_the_search_to_the_transcript_and_back(page: Page) -> None:
    press = page.keyboard.press
    press("/")
    page.keyboard.type("key first")
    press("Enter")
    expect(page.locator("#entries")).to_be_focused()
    press("Enter")
    entry = page.locator("#entry")
    expect(entry).to_be_focused()
    expect(entry.locator("h2")).to_have_text("key first, then up and left")
    for part in ("not measured", "merge in round 2, replaced", "go up, then left", "distil in round 1, replaced"):
        expect(entry).to_contain_text(part)
    while not page.evaluate(
        "document.activeElement.matches('summary') && document.activeElement.innerText.includes('member 4')"
    ):
        press("Tab")
        assert page.evaluate("document.activeElement !== document.body")
    press("Enter")
    expect(entry.locator("dd.actor").filter(visible=True)).to_have_text("go up")
    press("Escape")
    expect(entry).to_be_hidden()
    expect(page.locator("#entries")).to_be_focused()


def test_an_entry_has_an_address_of_its_own_its_effect_over_the_rounds_and_what_it_became(page: Page) -> None:
    page.locator("#state").select_option(label="all")
    page.locator("#entries [role=option]").filter(has_text="take the key").click()
    entry = page.locator("#entry")
    expect(entry).to_contain_text("measured in 4 groups")
    assert (
        entry.locator("svg.curve")
        .get_attribute("aria-label")
        .startswith("Its effect, in rounds that measured it: round 1 +")
    )
    assert "left in round 2: merge" in entry.inner_text()
    entry.locator("a").filter(has_text="key first").click()
    expect(entry.locator("h2")).to_have_text("key first, then up and left")
    page.go_back()
    expect(entry.locator("h2")).to_have_text("take the key")


def test_two_rounds_differ_as_the_command_diff_tells(page: Page) -> None:
    page.get_by_role("tab", name="Entries").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Rounds")).to_be_focused()
    told = page.locator("#difference")
    for before, after, said in (
        ("0", "1", "round 0: 4 entries, round 1: 3; 0 added, 1 removed, 1 changed"),
        ("-1", "0", "round -1: 0 entries, round 0: 4; 4 added, 0 removed, 0 changed"),
        ("0", "2", "round 0: 4 entries, round 2: 2; 0 added, 1 removed, 1 changed"),
    ):
        page.locator("#from").select_option(before)
        page.locator("#to").select_option(after)
        expect(told).to_have_text(said)
    assert options(page, "changes") == ["wait [here]", "key first, then up and left"]
    expect(page.locator("#changes")).to_contain_text("from go up | take the key")


def test_retrieval_says_what_is_exact_and_what_is_a_match_by_words(page: Page) -> None:
    page.get_by_role("tab", name="Retrieval").click()
    page.locator("#where").select_option(label="maze")
    expect(page.locator("#honest")).to_contain_text("matched with these situations by its words alone")
    page.locator("#situation").fill("a dark room")
    known = page.locator("#known [role=option]").first
    expect(known).to_contain_text("the same")
    assert options(page, "found") == ["key first, then up and left"]
    page.locator("#situation").fill("the dark")
    expect(known).to_contain_text("% by words")
    page.locator("#situation").fill("an unknown place")
    expect(known).to_contain_text("asked for")
    expect(page.locator("#found")).to_contain_text("returned, similarity")


def test_it_is_readable_on_a_dark_screen_and_a_narrow_one(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    page.set_viewport_size({"width": 400, "height": 800})
    page.locator("#entries [role=option]").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light")
