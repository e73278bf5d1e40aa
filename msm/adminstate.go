package msm

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// shownSessions is how many sessions the admin page lists.
const shownSessions = 50

// adminState is what the admin page shows, and its JSON.
type adminState struct {
	Problems []string       `json:"problems,omitempty"` // of the change that was asked for
	Settings []settingState `json:"settings"`
	Stats    Stats          `json:"stats"`
	Sessions []sessionState `json:"sessions"` // some of those in this process
}

type settingState struct {
	Name       string   `json:"name"`
	Value      string   `json:"value"`
	Changeable bool     `json:"changeable"`
	Hint       string   `json:"-"`
	Form       int      `json:"-"`
	Choice     []string `json:"-"` // nil: any text
}

// sessionState is what may be known of a session without having it.
type sessionState struct {
	Fingerprint string    `json:"fingerprint"`
	Node        string    `json:"node"`
	Attributes  int       `json:"attributes"`
	Bytes       int       `json:"bytes"`
	CreatedAt   time.Time `json:"createdAt"`
	LastAccess  time.Time `json:"lastAccess"`
	Stored      bool      `json:"stored"` // memcached lacks nothing of it
}

// state takes a look at everything.
func (a *adminHandler) state() *adminState {
	s := &adminState{Stats: a.manager.Stats(), Sessions: a.sessions()}
	if c := a.manager.core.Load(); c != nil {
		cfg := c.cfg
		for _, st := range adminSettings() {
			s.Settings = append(s.Settings, settingState{st.name, st.show(&cfg), st.set != nil, st.hint, st.form, st.choice})
		}
	}
	return s
}

// sessions lists some of those in this process, the last used first.
func (a *adminHandler) sessions() []sessionState {
	list := []sessionState{}
	for _, e := range a.manager.table.some(shownSessions) {
		e.locked(func() {
			if !e.over {
				list = append(list, sessionState{
					Fingerprint: a.prints.of(e.base), Node: e.node, Attributes: len(e.rec.attrs) + len(e.local), Bytes: e.rec.sizeBound(),
					CreatedAt: e.rec.created, LastAccess: e.accessed, Stored: len(e.unsaved) == 0 && !e.behind,
				})
			}
		})
	}
	slices.SortFunc(list, func(a, b sessionState) int { return b.LastAccess.Compare(a.LastAccess) })
	return list
}

// Age and Idle are for the page.
func (s sessionState) Age() time.Duration  { return time.Since(s.CreatedAt).Round(time.Second) }
func (s sessionState) Idle() time.Duration { return time.Since(s.LastAccess).Round(time.Second) }

// Forms are the settings that can be changed, those together that are changed
// together.
func (s *adminState) Forms() [][]settingState {
	var forms [][]settingState
	for _, st := range s.Settings {
		switch last := len(forms) - 1; {
		case !st.Changeable:
		case last >= 0 && forms[last][0].Form == st.Form:
			forms[last] = append(forms[last], st)
		default:
			forms = append(forms, []settingState{st})
		}
	}
	return forms
}

// bar is a number and how long it is drawn, in percent of the largest.
type bar struct {
	Name  string
	Value uint64
	Width float64
}

// Bars are the counters of requests and events; bytes would dwarf them.
func (s *adminState) Bars() []bar {
	var bars []bar
	most := uint64(1)
	fields := reflect.ValueOf(s.Stats.Counters)
	for i := range fields.NumField() {
		b := bar{Name: fields.Type().Field(i).Name, Value: fields.Field(i).Uint()}
		if b.Name != "BytesStored" {
			bars = append(bars, b)
			most = max(most, b.Value)
		}
	}
	for i := range bars {
		bars[i].Width = 100 * float64(bars[i].Value) / float64(most)
	}
	return bars
}

// The scale of the probes is logarithmic, from a microsecond to ten seconds.
const (
	scaleFrom    = 1e-3 // milliseconds
	scaleDecades = 7
)

// span is a probe from its smallest to its largest measurement, in percent of
// the scale.
type span struct {
	Name           string
	Probe          Probe
	From, Len, Dot float64
}

// Spans are the probes of times.
func (s *adminState) Spans() []span {
	var spans []span
	fields := reflect.ValueOf(s.Stats.Probes)
	for i := range fields.NumField() {
		name, isTime := strings.CutSuffix(fields.Type().Field(i).Name, "Millis")
		if !isTime {
			continue
		}
		p := fields.Field(i).Interface().(Probe)
		from, to := onScale(p.Min), onScale(p.Max)
		spans = append(spans, span{name, p, from, max(to-from, 0.5), onScale(p.Mean)})
	}
	return spans
}

func onScale(millis float64) float64 {
	if millis <= scaleFrom {
		return 0
	}
	return min(100*math.Log10(millis/scaleFrom)/scaleDecades, 100)
}

// Mode says in words how sessions are kept.
func (s *adminState) Mode() string {
	value := func(name string) string {
		for _, st := range s.Settings {
			if st.Name == name {
				return st.Value
			}
		}
		return ""
	}
	switch {
	case len(s.Settings) == 0:
		return "shut down"
	case value("Disabled") == "true":
		return "disabled: sessions in this process only"
	case value("NonSticky") == "true":
		return "non-sticky, locking " + cmp.Or(value("LockingMode"), "none")
	}
	return "sticky"
}
