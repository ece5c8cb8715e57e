// The list of entries: what it shows, searched, filtered and ordered.
let haystacks, list, words = [];

const haystack = () => haystacks ??= entries.text.map((text, i) =>
  [text, data.situations[entries.situation[i]], entries.id[i], ...entries.writings[i].map(writing => writing[2])].join("\n").toLowerCase());

// The text with the words that were searched for marked, from a little before the first of them.
function marked(whole) {
  const start = Math.min(...words.map(word => whole.toLowerCase().indexOf(word)).filter(at => at >= 0));
  const text = short(start > 60 && start < Infinity ? `…${whole.slice(start - 30)}` : whole, 240), lower = text.toLowerCase(), parts = [];
  const hits = lower.length === text.length ? words.map(word => [lower.indexOf(word), word.length]).filter(([at]) => at >= 0).sort((a, b) => a[0] - b[0]) : [];
  let done = 0;
  for (const [at, length] of hits) {
    if (at < done) continue;
    parts.push(text.slice(done, at), el("mark", {}, text.slice(at, at + length)));
    done = at + length;
  }
  return [...parts, text.slice(done)];
}

function row(at, before = [], says = short(oneLine(entries.text[at]), 240)) {
  const state = data.states[entries.state[at]], writings = entries.writings[at];
  const what = [data.tasks[entries.task[at]], data.purposes[writings[0][1]], `round ${writings[0][0]}`, `shown ${entries.shown[at]}`];
  return [...before, interval(entries.effect[at]), el(`span.figures.${tone(entries.effect[at])}`, {}, effectText(entries.effect[at])),
    el("span.what", {}, el("span.says", {}, ...[says].flat()), el("span.note", {}, what.join(" · "), state === "live" ? "" : ` · ${standing(at)}`))];
}

const ORDERS = {
  best: at => -(entries.effect[at] ? entries.effect[at][0] : entries.belief[at] - 1e6),
  worst: at => entries.effect[at] ? entries.effect[at][0] : entries.belief[at] + 1e6,
  shown: at => -entries.shown[at],
  newest: at => -at,
};

function find() {
  words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = ["task", "state", "origin"].map(id => Number($(id).value));
  const [first, last] = [$("first").value === "" ? -Infinity : Number($("first").value), $("last").value === "" ? Infinity : Number($("last").value)];
  const [task, state, origin] = chosen, texts = words.length ? haystack() : [], found = [];
  for (let at = 0; at < total; at++) {
    if (task >= 0 && entries.task[at] !== task || state >= 0 && entries.state[at] !== state) continue;
    if (!entries.writings[at].some(([round, purpose]) => round >= first && round <= last && (origin < 0 || purpose === origin))) continue;
    if (words.every(word => texts[at].includes(word))) found.push(at);
  }
  const key = ORDERS[$("order").value], keys = new Float64Array(total);
  for (const at of found) keys[at] = key(at);
  found.sort((a, b) => keys[a] - keys[b]);
  list.show(found);
  $("count").textContent = `${found.length.toLocaleString("en")} of ${total.toLocaleString("en")} entries`;
}

function startEntries() {
  const all = [...data.tasks.keys()];
  options($("task"), ["all", ...data.tasks], [-1, ...all]);
  const states = [...new Set(entries.state)].sort();
  const named = {live: "in the bank", quarantined: "in quarantine", gone: "left"};
  options($("state"), ["all", ...states.map(state => named[data.states[state]])], [-1, ...states]);
  if (states.includes(0)) $("state").value = 0;
  options($("origin"), ["all", ...data.purposes], [-1, ...data.purposes.keys()]);
  list = new Rows($("entries"), at => row(at, [], marked(oneLine(entries.text[at]))), at => location.hash = entries.id[at]);
  $("filters").addEventListener("input", find);
  $("filters").addEventListener("submit", event => event.preventDefault());
  $("search").addEventListener("keydown", event => {
    if (event.key !== "ArrowDown" && event.key !== "Enter") return;
    $("entries").focus();
    event.preventDefault();
  });
  find();
}
