"""How the pages look: the results on a phone and a desktop, light and dark, and an executed notebook."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --mark: #2a7f62; --link: #12639b;
  --holds: #1c7a45; --fails: #b3352c; --open: #8a6100; --absent: #666; }
@media (prefers-color-scheme: dark) { :root { --link: #7cc0f0; --mark: #55b893;
  --holds: #5fce8c; --fails: #ff8e82; --open: #e8b64a; --absent: #a5a5a5; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }
a { color: var(--link); }
h1, h2, h3, h4 { line-height: 1.25; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.5rem, 6vw, 2rem); }
h2 { margin-top: 3rem; border-top: 2px solid var(--mark); padding-top: .6rem; }
h3 { margin: 2rem 0 .8rem; } h4 { margin: 0 0 .4rem; font-size: 1.1rem; }
nav a { display: inline-block; margin: 0 1rem .3rem 0; padding: .2rem 0; }
ul { padding-left: 0; list-style: none; }
.counts { display: flex; flex-wrap: wrap; gap: .6rem 1.6rem; } .counts b { font-size: 1.6rem; }
.overview { margin: 1rem 0; }
.overview li { display: grid; grid-template-columns: 2.6rem 1fr; align-items: start; margin: 0 0 .4rem;
  break-inside: avoid; }
.overview a { text-decoration: none; } .overview a:hover { text-decoration: underline; }
.overview .word { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.badge { display: inline-block; font-size: .8rem; font-weight: 600; white-space: nowrap; line-height: 1.5;
  padding: 0 .55rem; border: 1.5px solid currentColor; border-radius: 1rem; justify-self: start; }
.holds { color: var(--holds); } .fails { color: var(--fails); } .open { color: var(--open); }
.absent { color: var(--absent); border-style: dashed; }
.cards { display: grid; gap: 1rem; align-items: start; }
article { display: grid; gap: 1rem; padding: 1rem; background: var(--soft); border-radius: .6rem;
  scroll-margin-top: 1rem; }
article > div { min-width: 0; } article p { margin: .4rem 0; }
.rows li { padding: .5rem 0; border-top: 1px solid var(--line); }
.rows .text { margin-left: .3rem; }
.amount { display: block; font-size: .9rem; font-variant-numeric: tabular-nums; }
.interval { display: block; width: 100%; max-width: 22rem; height: 1.1rem; margin: .3rem 0; }
.interval line { vector-effect: non-scaling-stroke; stroke: currentColor; stroke-width: 1; }
.interval .axis { opacity: .25; } .interval .zero { opacity: .6; stroke-dasharray: 2 2; }
.interval .bar { stroke: var(--mark); stroke-width: 5; } .interval .at { stroke-width: 2.5; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; white-space: nowrap; }
.pictures { display: grid; gap: 1rem; }
figure { margin: 0; min-width: 0; }
figure img { display: block; width: 100%; height: auto; background: #fff; border-radius: .3rem; }
figcaption, .facts { font-size: .85rem; opacity: .85; overflow-wrap: anywhere; }
.label { background: var(--soft); border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .7rem;
  font-size: .8rem; }
.verdicts li { margin: .3rem 0; }
.damaged { border-left: .3rem solid #b33; padding-left: .7rem; overflow-wrap: anywhere; }
summary { cursor: pointer; padding: .3rem 0; }
@media (min-width: 50rem) {
  .pictures, .cards { grid-template-columns: 1fr 1fr; }
  .wide { grid-column: 1 / -1; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); padding: 1.2rem; }
  .overview { columns: 2; column-gap: 2rem; } .overview li { grid-template-columns: 9.2rem 1fr; }
  .overview .word { position: static; width: auto; height: auto; clip-path: none; }
}
"""

NOTEBOOK = """
:root { --jp-mirror-editor-keyword-color: #007a00; --jp-mirror-editor-string-color: #ba2121;
  --jp-mirror-editor-number-color: #12639b; --jp-mirror-editor-operator-color: #666;
  --jp-mirror-editor-punctuation-color: #444; --jp-mirror-editor-comment-color: #3d7b7b; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; max-width: 76rem;
  margin: 0 auto; padding: 1rem; }
a { color: #12639b; } .anchor-link, .jp-Collapser { display: none; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; } h1 { font-size: clamp(1.5rem, 6vw, 2rem); }
h2 { margin-top: 2.5rem; border-top: 2px solid #2a7f62; padding-top: .6rem; }
.jp-MarkdownOutput { max-width: 52rem; overflow-x: auto; }
.jp-CodeCell .jp-InputArea, .jp-OutputArea-child { display: grid; gap: .6rem; margin: .4rem 0;
  grid-template-columns: 4.5rem minmax(0, 1fr); }
.jp-InputPrompt, .jp-OutputPrompt { font: .75rem/2 ui-monospace, monospace; color: #666; text-align: right; }
.jp-InputArea-editor { background: #f6f6f6; border: 1px solid #ddd; border-radius: .3rem; }
pre { font: .82rem/1.45 ui-monospace, monospace; margin: 0; padding: .4rem .7rem; overflow-x: auto; }
code { font: .88em ui-monospace, monospace; background: #f2f2f2; padding: 0 .2rem; border-radius: .2rem; }
.jp-OutputArea-output { overflow-x: auto; } [data-mime-type$="stderr"] { background: #fbeaea; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid #ddd; vertical-align: top; }
.jp-MarkdownOutput :is(th, td), tbody th { text-align: left; } tbody tr:nth-child(even) { background: #f8f8f8; }
@media (max-width: 40rem) {
  .jp-CodeCell .jp-InputArea, .jp-OutputArea-child { display: block; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
}
"""
