"""The style of the data docs, inlined into every page."""

STYLE = """
:root { --ink: #1d2430; --soft: #5c6675; --line: #dfe3ea; --ground: #fff; --tint: #f5f6f9; --good: #1a7f4b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #9aa5b5; --line: #333b47; --ground: #14181f; --tint: #1c222b; --good: #55c48a; --bad: #ff8a80; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 2rem 4rem; max-width: 84rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h4, h5, h6 { margin: 0; font-size: 1rem; }
p { margin: .2rem 0; } .lead, .note { color: var(--soft); }
nav ol, nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
nav ol { margin-bottom: 1rem; color: var(--soft); font-size: .9rem; } nav ol li + li::before { content: "/ "; }
nav ul a { text-decoration: none; color: var(--soft); } nav ul a:hover { color: var(--ink); }
.navbar-brand, .btn-group, .card-header, .card:has(.btn-group), p:has(> a[data-toggle=collapse]) { display: none; }
.card { margin: .6rem 0; } .sticky .card { border-bottom: 1px solid var(--line); padding-bottom: .8rem; }
.ge-section { margin-top: 1.6rem; } .collapse { color: var(--soft); font-size: .85rem; }
.alert { border-bottom: 2px solid var(--line); padding: .3rem 0; } .alert h5 { font-size: 1.15rem; }
.table-responsive { overflow-x: auto; } .show-scrollbars { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 .8rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .85rem; }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td table { width: auto; font-size: .88rem; background: var(--tint); } td table th, td table td { padding: .2rem .8rem; }
table.table-sm td:first-child { width: 16rem; color: var(--soft); }
td table.table-sm td:first-child { width: auto; color: inherit; }
.badge { background: var(--tint); border-radius: 3px; padding: 0 .3rem; font-size: .92em; }
.text-danger { color: var(--bad); } .text-success { color: var(--good); }
.fas { font-style: normal; font-weight: 700; } .fa-check-circle::before { content: "holds"; }
.fa-times::before { content: "broken"; }
.fa-exclamation-triangle::before { content: "not evaluated"; }
.cooltip .top { display: none; } td.n { text-align: right; white-space: nowrap; }
.index li { margin: 0; } .index ul { padding-left: 1rem; margin: 0; }
.holds { color: var(--good); font-weight: 700; } .broken { color: var(--bad); font-weight: 700; }
"""
