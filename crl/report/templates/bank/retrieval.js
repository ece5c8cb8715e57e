// What retrieval returns for a situation. The embedder does not run in a page, so results are those of situations whose keys were
// known when the page was written; a typed text is matched with these by its words, and that is said.
let known, found, index;

const wordsOf = text => text.toLowerCase().match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) || [];

function counts(text) {
  const bag = new Map();
  for (const word of wordsOf(text)) bag.set(word, (bag.get(word) || 0) + 1);
  return bag;
}

// Words by the known situations that have them: cosine of (1 + ln count) * ln(1 + N / documents).
function makeIndex() {
  const bags = data.known.map(each => counts(data.situations[each[1]])), postings = new Map();
  bags.forEach((bag, i) => bag.forEach((count, word) => {
    if (!postings.has(word)) postings.set(word, []);
    postings.get(word).push([i, 1 + Math.log(count)]);
  }));
  const rarity = word => Math.log(1 + bags.length / postings.get(word).length), norms = new Float64Array(bags.length);
  postings.forEach((places, word) => places.forEach(([i, weight]) => norms[i] += (weight * rarity(word)) ** 2));
  return {postings, rarity, norms: norms.map(Math.sqrt)};
}

function match() {
  index ??= makeIndex();
  const text = $("situation").value.trim(), task = Number($("where").value), scores = new Float64Array(data.known.length);
  let norm = 0;
  counts(text).forEach((count, word) => {
    if (!index.postings.has(word)) return norm += (1 + Math.log(count)) ** 2 * Math.log(1 + data.known.length) ** 2;
    const weight = (1 + Math.log(count)) * index.rarity(word);
    norm += weight ** 2;
    for (const [i, other] of index.postings.get(word)) scores[i] += weight * other * index.rarity(word);
  });
  const near = [];
  data.known.forEach(([where, situation, , asked], i) => {
    const same = data.situations[situation].trim() === text;
    const score = same ? 1 : Math.min(0.999, norm ? scores[i] / (Math.sqrt(norm) * index.norms[i] || 1) : 0);
    if (where === task && (!text || score > 0)) near.push({i, score, same, asked});
  });
  near.sort((a, b) => b.score - a.score || b.asked - a.asked || a.i - b.i);
  known.show(near);
  showFound(near[0]);
}

function showFound(near) {
  const pairs = near ? data.known[near.i][2] : [], rows = [];
  for (let i = 0; i < pairs.length; i += 2) rows.push({at: pairs[i], similarity: pairs[i + 1], rank: i / 2 + 1});
  $("chosen").textContent = near ? data.situations[data.known[near.i][1]] : "";
  found.show(rows);
}

function startRetrieval() {
  const [rule, k, weight] = data.retrieval;
  const worth = rule === "newest" ? "the most similar, and among equals what is worth most" : `the best by effect plus ${weight} times similarity`;
  $("honest").textContent = `What evaluation and serving take: ${worth}; the first ${k === 1 ? "" : `${k} `}of the list. Training draws and counts besides. `
    + `These results are exact for the ${data.known.length.toLocaleString("en")} situations below, whose keys (${data.embedder}) are known. `
    + "The embedder does not run in a page: a text that you type is matched with these situations by its words alone, and may be nearer to another one for the embedder. "
    + "Exact for any text: crl bank search TEXT, or crl bank page --situation TEXT, which puts it below.";
  known = new Rows($("known"), near => [
    el("span.figures", {}, near.asked ? "asked for" : near.same ? "the same" : near.score ? `${Math.round(100 * near.score)} % by words` : ""),
    el("span.what", {}, el("span.says", {}, short(oneLine(data.situations[data.known[near.i][1]]), 240))),
  ], showFound);
  found = new Rows($("found"), each => row(each.at, [el("span.figures", {}, `${each.rank <= k ? "returned" : "next"}, similarity ${(each.similarity / 1000).toFixed(3)}`)]), each => location.hash = entries.id[each.at]);
  options($("where"), data.tasks, [...data.tasks.keys()]);
  $("where").addEventListener("input", match);
  $("situation").addEventListener("input", match);
}
