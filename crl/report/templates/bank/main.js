// Tabs, keys, and the address: #ID opens an entry.
const TABS = ["entries", "rounds", "retrieval"];
const started = new Set();

function turnTo(name) {
  for (const each of TABS) {
    const tab = $(`tab-${each}`), chosen = each === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    $(`view-${each}`).hidden = !chosen;
  }
  if (started.has(name)) return;
  started.add(name);
  ({entries: startEntries, rounds: startRounds, retrieval: () => (startRetrieval(), match())})[name]();
}

function followAddress() {
  const at = entries.id.indexOf(location.hash.slice(1));
  if (at >= 0) openEntry(at);
}

function keys(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    turnTo("entries");
    $("search").focus();
    $("search").select();
    event.preventDefault();
  } else if (event.key === "Escape" && !$("entry").hidden) {
    closeEntry();
    event.preventDefault();
  } else if (event.target === document.body && /^(Arrow(Up|Down)|Page(Up|Down)|Home|End|Enter)$/.test(event.key)) {
    const list = document.querySelector("main section:not([hidden]) .rows");  // nothing has the focus yet: the list takes it
    list.focus();
    list.dispatchEvent(new KeyboardEvent("keydown", {key: event.key}));
    event.preventDefault();
  }
}

async function start() {
  await unpack();
  const rounds = data.moments.length, last = data.moments[rounds - 1] || [0, 0, 0, 0, 0, 0];
  $("facts").textContent = `${last[1].toLocaleString("en")} entries in the bank after round ${last[0]}, ${total.toLocaleString("en")} ever; ${last[2].toLocaleString("en")} measured, `
    + `${last[4]} known to help and ${last[5]} to harm (${Math.round(100 * data.confidence)} % intervals). From ${data.source === "ledger" ? "the ledger" : `${rounds === 1 ? "one snapshot" : `${rounds} snapshots`}: who left between two, and why, the ledger knows`}.`;
  turnTo("entries");
  followAddress();
  addEventListener("hashchange", followAddress);
  addEventListener("keydown", keys);
  TABS.forEach((name, i) => {
    $(`tab-${name}`).addEventListener("click", () => turnTo(name));
    $(`tab-${name}`).addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowLeft: 2}[event.key];
      if (!step) return;
      const next = TABS[(i + step) % 3];
      turnTo(next);
      $(`tab-${next}`).focus();
    });
  });
  performance.mark("entries shown");
  setTimeout(haystack);
}

start().catch(fault => $("facts").textContent = `The entries cannot be shown: ${fault}. Remedy: a browser of 2023 or later.`);
