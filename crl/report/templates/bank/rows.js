// A list of any length of which only the rows on screen are in the document. Arrow keys move, Enter or a click opens.
const ROW_PX = 46;

class Rows {
  constructor(box, draw, open) {
    Object.assign(this, {box, draw, open, items: [], at: 0});
    this.pad = el("div.pad", {role: "presentation"});
    box.append(this.pad);
    box.addEventListener("scroll", () => this.paint());
    box.addEventListener("keydown", event => this.key(event));
    box.addEventListener("click", event => {
      const row = event.target.closest("[data-at]");
      if (row) this.choose(Number(row.dataset.at));
    });
    new ResizeObserver(() => this.paint()).observe(box);
  }

  show(items) {
    this.items = items;
    this.at = 0;
    this.pad.style.height = `${items.length * ROW_PX}px`;
    this.box.scrollTop = 0;
    this.paint();
  }

  paint() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PX) - 3);
    const end = Math.min(this.items.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW_PX) + 3);
    const rows = [];
    for (let at = first; at < end; at++) {
      const row = el("div.row", {
        role: "option", id: `${this.box.id}-${at}`, "data-at": at, "aria-selected": at === this.at, "aria-posinset": at + 1, "aria-setsize": this.items.length,
      }, ...this.draw(this.items[at], at));
      row.style.transform = `translateY(${at * ROW_PX}px)`;
      rows.push(row);
    }
    this.pad.replaceChildren(...rows);
    if (this.items.length) this.box.setAttribute("aria-activedescendant", `${this.box.id}-${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  move(to) {
    this.at = Math.max(0, Math.min(this.items.length - 1, to));
    const top = this.at * ROW_PX, height = this.box.clientHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + ROW_PX > this.box.scrollTop + height) this.box.scrollTop = top + ROW_PX - height;
    this.paint();
  }

  choose(at) {
    this.move(at);
    if (this.items.length) this.open(this.items[this.at]);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1), end = this.items.length - 1;
    const to = {ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + page, PageUp: this.at - page, Home: 0, End: end}[event.key];
    if (to !== undefined) this.move(to);
    else if (event.key === "Enter" || event.key === " ") this.choose(this.at);
    else return;
    event.preventDefault();
  }
}
