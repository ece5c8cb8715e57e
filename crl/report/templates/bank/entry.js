// One entry: what is known of it, how that came, and where it comes from, down to episodes and transcripts.
let became;  // by entry: those that replaced it, or that it joined
let opener;  // where the focus was before

const name = at => at < 0 ? data.strange[-1 - at] : entries.id[at];
const times = count => count === 1 ? "once" : `${count} times`;
const address = episode => episode.replace(/^r(-?\d+)\.g(\d+)\.e(\d+)$/, "round $1, group $2, member $3");

function link(at) {
  if (at < 0) return el("span.note", {}, `${name(at).slice(0, 8)}: it came and left between two snapshots`);
  return el("a", {href: `#${name(at)}`}, `${name(at).slice(0, 8)} ${short(oneLine(entries.text[at]))}`);
}

function standing(at) {
  const left = entries.left[at], state = data.states[entries.state[at]];
  if (state === "live") return "in the bank";
  return `${state === "quarantined" ? "in quarantine since" : "left in"} round ${left[0]}${left[1] ? `: ${left[1]}` : ""}`;
}

function transcript(episode) {
  const kept = data.transcripts[episode];
  if (!kept) return el("span.leaf", {}, `${address(episode)} `, el("span.note", {}, "its transcript was not kept"));
  const summary = el("summary", {}, address(episode), el("span.badge", {}, kept.outcome), el("span.badge", {}, kept.arm));
  return el("details", {}, summary, el("div.inner", {},
    ...(kept.advice ? [el("div.advice", {}, el("span", {}, "experience it was shown"), kept.advice)] : []),
    el("dl.lines", {}, ...kept.lines.flatMap(([role, text]) => [el("dt", {}, role), el(`dd.${role === "actor" ? "actor" : "observation"}`, {}, text)])),
    ...(kept.more ? [el("p.note", {}, `${kept.more} more lines`)] : [])));
}

// Each level is made when it is opened: entries that were merged often have more paths to their origins than fit anywhere.
function family(at, depth = 0) {
  const list = el("ul.family");
  for (const [round, purpose, episode, situation, ...parents] of entries.writings[at]) {
    const how = `${data.purposes[purpose]} in round ${round}`;
    const item = el("li", {}, el("span.note", {}, parents.length ? `${how}, replaced` : how), " ");
    if (episode) item.append(transcript(episode));
    if (parents.length) item.append(el("ul.family", {}, ...parents.map(parent => el("li", {}, branch(parent, depth)))));
    list.append(item);
  }
  for (const [other, round] of entries.joined[at]) {
    list.append(el("li", {}, el("span.note", {}, `a near duplicate joined in round ${round}`), branch(other, depth)));
  }
  return list;
}

function branch(at, depth) {
  if (at < 0) return link(at);
  const inner = el("div.inner");
  const fill = () => inner.childElementCount || inner.append(el("a", {href: `#${name(at)}`}, "show this entry"), family(at, depth + 1));
  const node = el("details", {toggle: fill}, el("summary", {}, el("span.fill", {}, short(oneLine(entries.text[at]), 70)), el("span.note", {}, `${name(at).slice(0, 8)}, ${effectText(entries.effect[at])}`)), inner);
  if (depth < 1) {
    fill();
    node.open = true;
  }
  return node;
}

function successors(at) {
  if (!became) {
    became = new Map();
    const note = (from, to) => became.set(from, [...(became.get(from) || []), to]);
    for (let i = 0; i < total; i++) {
      new Set(entries.writings[i].flatMap(writing => writing.slice(4))).forEach(parent => note(parent, i));
      entries.joined[i].forEach(([other]) => note(other, i));
    }
  }
  return became.get(at) || [];
}

function course(at) {
  const flat = entries.course[at], rows = [];
  for (let i = 0; i < flat.length; i += 5) rows.push(flat.slice(i, i + 4));
  return rows;
}

function openEntry(at) {
  const figures = entries.effect[at], groups = figures ? figures[3] : 0, later = successors(at), rows = course(at);
  const facts = [
    ["effect", figures ? `${effectText(figures)} points, measured in ${groups} groups` : `not measured; ${points(entries.belief[at])} points are expected of it, by what is like it`],
    ["task", data.tasks[entries.task[at]]], ["state", standing(at)], ["shown", times(entries.shown[at])], ["written", times(entries.written[at])], ["id", entries.id[at]],
  ];
  const aside = $("entry");
  if (aside.hidden) opener = document.activeElement;
  aside.hidden = false;
  document.body.classList.add("opened");
  aside.replaceChildren(
    el("button.close", {click: closeEntry, "aria-label": "Close"}, "×"),
    el("h2.text", {}, entries.text[at]), interval(figures, 300),
    el("dl.facts", {}, ...facts.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])),
    ...(rows.length ? [curve("Its effect, in rounds that measured it", rows, -1000, 1000, points, `.${tone(figures)}`)] : []),
    el("h3", {}, "Situation"), el("pre.situation", {}, data.situations[entries.situation[at]]),
    el("h3", {}, "Where it comes from"), family(at),
    ...(later.length ? [el("h3", {}, "What it became"), el("ul.family", {}, ...later.map(next => el("li", {}, link(next))))] : []),
  );
  aside.scrollTop = 0;
  aside.focus();
}

function closeEntry() {
  $("entry").hidden = true;
  document.body.classList.remove("opened");
  history.replaceState(null, "", "#");
  if (opener) opener.focus();
}
