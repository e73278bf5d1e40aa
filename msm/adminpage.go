package msm

// adminStyle is the page's style. The policy that goes with the page allows this
// text and no other.
const adminStyle = `
:root {
  color-scheme: light dark;
  --ground: #f6f6f3; --card: #fff; --ink: #1d2230; --soft: #697083; --rule: #dfe0e4; --accent: #2458c5; --good: #1f8a4c; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #14161c; --card: #1d2029; --ink: #e8eaf0; --soft: #9aa1b3; --rule: #343947; --accent: #7ea6ff; --good: #5fd08d; --bad: #ff8a80 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; margin-bottom: 1rem }
h1 { font-size: 1rem; font-weight: 600; margin: 0 }
h2 { font-size: 1rem; font-weight: 600; margin: 0 0 .75rem }
header span, .hint, th, footer { color: var(--soft); font-size: .875rem; font-weight: 400 }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; margin-bottom: 1rem; padding: 1.125rem 1.5rem; overflow-x: auto }
.problem { border-left: 6px solid var(--bad) } .problem p { margin: 0 }
.nodes { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .75rem }
.nodes li { border: 1.5px solid var(--rule); border-radius: 10px; padding: .75rem 1rem; overflow-wrap: anywhere }
.nodes b { font-size: 1.25rem } .nodes b::before { content: "\25CF"; font-size: .875rem; margin-right: .5rem; vertical-align: .1em }
.nodes .up b::before { color: var(--good) } .nodes .down b::before { color: var(--bad) }
.nodes .down { border-style: dashed; background: var(--ground) } .nodes p { margin: 0; color: var(--soft); font-size: .875rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left } td, th { padding: .2rem .75rem .2rem 0; vertical-align: middle } td.n, th.n { text-align: right; white-space: nowrap }
.name { width: 15rem } .drawn { width: 40%; padding-right: 0 } svg { display: block; width: 100%; height: .75rem }
svg .track { fill: var(--ground) } svg .bar { fill: var(--accent) } svg .dot { fill: var(--ink) }
code:empty::after { content: "\2013" } code { font: .9375rem/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
form { display: grid; grid-template-columns: 14rem 1fr auto; gap: .375rem 1rem; align-items: center; padding: .75rem 0; border-top: 1px solid var(--rule) }
form:first-of-type { border-top: 0; padding-top: 0 } form label { grid-column: 1 } form button { grid-column: 3 } form .hint { grid-column: 2; margin-top: -.25rem }
input, select { font: inherit; color: inherit; background: transparent; border: 1px solid var(--rule); border-radius: 8px; padding: .3rem .6rem; width: 100%; min-width: 0 }
select { background: var(--card) }
button { font: inherit; font-size: .875rem; font-weight: 600; color: inherit; background: transparent; border: 1px solid var(--rule); border-radius: 8px; padding: .45rem .9rem; cursor: pointer }
button:hover { border-color: currentColor }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
@media (max-width: 40rem) { .times .drawn { display: none } form { grid-template-columns: 1fr } form button, form .hint { grid-column: 1 } form button { justify-self: start; order: 1 } }
`

// adminPage is the template of the admin page; its data is *adminState.
const adminPage = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sessions: nodes, statistics, settings</title>
<link rel="icon" href="data:,">
<style>` + adminStyle + `</style>
</head>
<body>
<main>
<header><h1>Sessions</h1><span id="mode">{{.Mode}}</span><span>{{.Stats.LocalSessions}} in this process</span></header>
{{with .Problems}}
<section class="problem" id="problem">{{range .}}<p>{{.}}</p>{{end}}<p class="hint">Nothing was changed.</p></section>
{{end}}
<section>
<h2>Nodes</h2>
<ul class="nodes">
{{- range .Stats.Nodes}}
<li class="{{if .Up}}up{{else}}down{{end}}" data-name="{{.ID}}" data-up="{{.Up}}"><b>{{.ID}}</b>{{if .Failover}} <span class="hint">for failover</span>{{end}}
<p>{{.Addr}}</p>
<p>{{if .Up}}up{{else}}down since {{.DownSince.UTC.Format "15:04:05"}} UTC: {{.Cause}}{{end}}</p>
<p>operations {{.Operations}}, errors {{.Errors}}, in flight {{.InFlight}}, connections {{.Conns}}</p></li>
{{- else}}
<li class="down"><b>none</b><p>sessions are in this process only</p></li>
{{- end}}
</ul>
</section>

<section>
<h2>Events</h2>
<table>
{{- range .Bars}}
<tr><td>{{.Name}}</td><td class="n" id="{{.Name}}">{{.Value}}</td><td class="drawn"><svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="4"/><rect class="bar" width="{{printf "%.2f" .Width}}" height="4"/></svg></td></tr>
{{- end}}
<tr><td>BytesStored</td><td class="n" id="BytesStored">{{.Stats.BytesStored}}</td><td class="drawn hint">{{with .Stats.StoredBytes}}{{if .Count}}{{printf "%.0f" .Mean}} in the mean, {{printf "%.0f" .Max}} at most{{end}}{{end}}</td></tr>
</table>
</section>

<section>
<h2>Times</h2>
<table class="times">
<tr><th>milliseconds</th><th class="n">count</th><th class="n">min</th><th class="n">mean</th><th class="n">max</th><th class="drawn">1 µs to 10 s, logarithmic</th></tr>
{{- range .Spans}}
<tr><td>{{.Name}}</td><td class="n">{{.Probe.Count}}</td>
{{- if .Probe.Count}}<td class="n">{{printf "%.3f" .Probe.Min}}</td><td class="n">{{printf "%.3f" .Probe.Mean}}</td><td class="n">{{printf "%.3f" .Probe.Max}}</td>{{else}}<td></td><td></td><td></td>{{end -}}
<td class="drawn"><svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="4"/>
{{- if .Probe.Count}}<rect class="bar" x="{{printf "%.2f" .From}}" width="{{printf "%.2f" .Len}}" height="4"/><rect class="dot" x="{{printf "%.2f" .Dot}}" width="0.6" height="4"/>{{end}}</svg></td></tr>
{{- end}}
</table>
</section>

<section>
<h2>Settings</h2>
{{- range .Forms}}
<form method="post">
{{- range $i, $s := .}}
<label for="{{.Name}}">{{.Name}}</label>
{{- if .Choice}}{{$value := .Value}}
<select id="{{.Name}}" name="{{.Name}}">{{range .Choice}}<option{{if eq . $value}} selected{{end}}>{{.}}</option>{{end}}</select>
{{- else}}
<input id="{{.Name}}" name="{{.Name}}" value="{{.Value}}" autocomplete="off" spellcheck="false">
{{- end}}
{{- if eq $i 0}}<button aria-label="Change {{.Name}}">Change</button>{{end}}
<span class="hint">{{.Hint}}</span>
{{- end}}
</form>
{{- end}}
<table>
{{- range .Settings}}{{if not .Changeable}}
<tr><td class="name">{{.Name}}</td><td><code>{{.Value}}</code></td></tr>
{{- end}}{{end}}
</table>
</section>

{{with .Sessions}}
<section>
<h2>Sessions in this process</h2>
<table>
<tr><th>fingerprint</th><th>node</th><th class="n">attributes</th><th class="n">bytes</th><th class="n">age</th><th class="n">idle</th><th>in memcached</th></tr>
{{- range .}}
<tr><td><code>{{.Fingerprint}}</code></td><td>{{.Node}}</td><td class="n">{{.Attributes}}</td><td class="n">{{.Bytes}}</td><td class="n">{{.Age}}</td><td class="n">{{.Idle}}</td><td>{{if .Stored}}yes{{else}}not all{{end}}</td></tr>
{{- end}}
</table>
</section>
{{end}}
<footer>Fingerprints mean nothing outside this page. {{len .Sessions}} of {{.Stats.LocalSessions}} sessions in this process are listed.</footer>
</main>
</body>
</html>
`
