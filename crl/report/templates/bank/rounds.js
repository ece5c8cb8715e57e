// The bank over the rounds, and what differs between two of them.
let changes;

function liveAt(round) {
  const live = new Set();
  for (let at = 0; at < total; at++) {
    const spans = entries.spans[at];
    for (let i = 0; i < spans.length; i += 2) if (spans[i] <= round && round <= spans[i + 1]) live.add(at);
  }
  return live;
}

// What an entry replaced after round a and until b, directly or through others.
function replaced(at, a, b) {
  const found = new Set([at]);
  for (const each of found) {  // which grows meanwhile
    for (const [round, , , , ...parents] of entries.writings[each]) if (a < round && round <= b) parents.forEach(parent => parent >= 0 && found.add(parent));
    for (const [other, round] of entries.joined[each]) if (round <= b) found.add(other);
  }
  return found;
}

function compare() {
  const [a, b] = [Number($("from").value), Number($("to").value)], [old, now] = [liveAt(a), liveAt(b)];
  const added = [], changed = [], gone = new Set([...old].filter(at => !now.has(at))), through = new Set();
  for (const at of now) {
    if (old.has(at)) continue;
    const past = [...replaced(at, a, b)].filter(each => gone.has(each)).sort((one, other) => one - other);
    past.forEach(each => through.add(each));
    (past.length ? changed : added).push({at, past, sign: past.length ? "~" : "+"});
  }
  const removed = [...gone].filter(at => !through.has(at)).map(at => ({at, past: [], sign: "−"}));
  changes.show([...added, ...removed, ...changed]);
  $("difference").textContent = `round ${a}: ${old.size} entries, round ${b}: ${now.size}; ${added.length} added, ${removed.length} removed, ${changed.length} changed`;
}

function change({at, past, sign}) {
  const kind = {"+": "added", "−": "removed", "~": "changed"}[sign];
  const from = past.length ? [el("span.note.from", {}, `from ${past.map(each => short(oneLine(entries.text[each]), 60)).join(" | ")}`)] : [];
  const cells = row(at, [el(`span.sign.${kind}`, {"aria-label": kind}, sign)]);
  if (past.length) cells[cells.length - 1].lastChild.replaceWith(...from);
  return cells;
}

function startRounds() {
  const rounds = data.moments.map(moment => moment[0]), empty = rounds.length ? [rounds[0] - 1, ...rounds] : [];
  const most = Math.max(1, ...data.moments.map(moment => moment[1]));
  const measured = data.moments.filter(moment => moment[2]), largest = Math.max(100, ...measured.map(moment => Math.abs(moment[3])));
  $("curves").replaceChildren(
    curve("Mean measured effect, points", measured.map(moment => [moment[0], moment[3]]), -largest, largest, points),
    curve("Entries in the bank", data.moments.map(moment => [moment[0], moment[1]]), 0, most, String),
    curve("Known to help", data.moments.map(moment => [moment[0], moment[4]]), 0, Math.max(1, ...data.moments.map(moment => moment[4])), String, ".better"),
    curve("Known to harm", data.moments.map(moment => [moment[0], moment[5]]), 0, Math.max(1, ...data.moments.map(moment => moment[5])), String, ".worse"),
  );
  changes = new Rows($("changes"), change, each => location.hash = entries.id[each.at]);
  for (const id of ["from", "to"]) {
    options($(id), empty.map((round, i) => i ? round : `${round} (empty)`), empty);
    $(id).addEventListener("input", compare);
  }
  $("from").value = rounds[Math.max(0, rounds.length - 2)];
  $("to").value = rounds[rounds.length - 1];
  compare();
}
