package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// view is what a page says about the session.
type view struct {
	Problem string // instead of a session
	ID      string
	New     bool
	Created time.Time
	Visits  int
	Note    string
	Copies  []string // node ids, the session's node first
}

// Base, Node and Route are the parts of the id: base-node.route.
func (v view) Base() string {
	base, _, _ := strings.Cut(v.ID, "-")
	return strings.TrimSuffix(base, "."+v.Route())
}

// Node is the part of the id that names the session's node.
func (v view) Node() string {
	_, rest, _ := strings.Cut(v.ID, "-")
	node, _, _ := strings.Cut(rest, ".")
	return node
}

// Route is the part of the id that names the instance.
func (v view) Route() string {
	_, route, _ := strings.Cut(v.ID, ".")
	return route
}

// Age is how long the session has existed.
func (v view) Age() time.Duration { return time.Since(v.Created).Round(time.Second) }

// box is a node or an instance in the picture.
type box struct {
	Name, Addr   string
	Class        string // of its colour
	X, Y, W, H   int
	Up           bool
	Controllable bool
	Role         string // node: what it holds of this session
	Answered     bool   // instance: this page is from it
}

// Middle, Bottom and Verb are for the template.
func (b box) Middle() int { return b.X + b.W/2 }
func (b box) Bottom() int { return b.Y + b.H }
func (b box) Verb() string {
	if b.Up {
		return "stop"
	}
	return "start"
}

// line joins two boxes.
type line struct {
	Path  template.HTMLAttr
	Class string
}

// pageData is what the template shows.
type pageData struct {
	view
	Mode          string
	Answered      string // the instance; "" if none did
	AnsweredClass string
	Width, Height int
	Proxy         box
	Instances     []box
	Nodes         []box
	Lines         []line
}

// The picture's measures, in the units of its view box.
const (
	pictureWidth = 900
	instanceTop  = 96
	nodeTop      = 262
	boxHeight    = 104
	boxWidth     = 210
	minGap       = 16
	maxGap       = 110
)

// render answers with the page. instance is who answers, "" for none.
func (s *system) render(w http.ResponseWriter, status int, instance string, v view) {
	var b bytes.Buffer
	if err := page.Execute(&b, s.pageData(instance, v)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

func (s *system) pageData(instance string, v view) pageData {
	d := pageData{view: v, Mode: s.mode(), Height: nodeTop + boxHeight + 4}
	d.Width = max(pictureWidth, len(s.nodes)*(boxWidth+minGap))
	d.Proxy = box{X: d.Width/2 - boxWidth/2, Y: 2, W: boxWidth, H: 40}
	for k, in := range s.instances {
		b := place(k, len(s.instances), d.Width, instanceTop)
		b.Name, b.Addr, b.Up, b.Controllable = in.name, in.address(), in.address() != "", true
		b.Class, b.Answered = fmt.Sprintf("app-%d", k), in.name == instance
		if b.Answered {
			d.Answered, d.AnsweredClass = b.Name, b.Class
		}
		d.Instances = append(d.Instances, b)
	}
	for k, n := range s.nodes {
		b := place(k, len(s.nodes), d.Width, nodeTop)
		b.Name, b.Addr, b.Up, b.Controllable = n.id, short(n.addr), n.up(), !n.external
		switch slices.Index(v.Copies, n.id) {
		case -1:
		case 0:
			b.Role = "session"
		default:
			b.Role = "second copy"
		}
		d.Nodes = append(d.Nodes, b)
	}
	d.Lines = lines(d)
	return d
}

// short is an address that fits into a box: its end tells more than its start.
func short(addr string) string {
	const fits = 26
	runes := []rune(addr)
	if len(runes) > fits {
		return "…" + string(runes[len(runes)-fits+1:])
	}
	return addr
}

// mode says in words how sessions are kept.
func (s *system) mode() string {
	kept, copies := "sticky", "copies are written in the background"
	switch {
	case s.msm.Disabled:
		return "disabled: every instance keeps sessions to itself"
	case s.msm.NonSticky:
		kept, copies = "non-sticky, locking "+cmp.Or(s.msm.LockingMode, "none"), "the second copy is written in the background"
	}
	if s.msm.SessionBackupSync {
		copies = "both copies are written before a visit is answered"
	}
	return kept + "; " + copies
}

// place puts the k-th of n boxes into a row.
func place(k, n, width, top int) box {
	gap := min(maxGap, (width-n*boxWidth)/n)
	row := n*(boxWidth+gap) - gap
	return box{X: (width-row)/2 + k*(boxWidth+gap), Y: top, W: boxWidth, H: boxHeight}
}

// lines shows the way of this request: through the proxy to the instance, and
// from there to the nodes that hold the session.
func lines(d pageData) []line {
	var all []line
	for _, in := range d.Instances {
		class := "idle"
		if in.Answered {
			class = "way " + in.Class
		}
		all = append(all, join(d.Proxy, in, class))
		if !in.Answered {
			continue
		}
		for _, n := range d.Nodes {
			switch n.Role {
			case "session":
				all = append(all, join(in, n, "way "+in.Class))
			case "second copy":
				all = append(all, join(in, n, "way second "+in.Class))
			default:
				all = append(all, join(in, n, "idle"))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b line) int { return strings.Compare(a.Class, b.Class) }) // the way lies on top
	return all
}

// join draws from the bottom of a to the top of b.
func join(a, b box, class string) line {
	y := (a.Bottom() + b.Y) / 2
	return line{template.HTMLAttr(fmt.Sprintf(`d="M%d %dC%d %d %d %d %d %d"`, a.Middle(), a.Bottom(), a.Middle(), y, b.Middle(), y, b.Middle(), b.Y)), class}
}
