package msm

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"
)

// longRun skips what takes too long for every day. make chaos runs it.
func longRun(t *testing.T) {
	t.Helper()
	if os.Getenv("CHAOS") == "" {
		t.Skip("a long run: make chaos")
	}
}

// SR-01: a million ids.
func TestChaosSR01_IDs(t *testing.T) {
	longRun(t)
	uniform(t, 1_000_000)
}

// SR-54: a million requests that look for a session and have none.
func TestChaosSR54_Bots(t *testing.T) {
	longRun(t)
	bots(t, 1_000_000)
}

// SR-15: how long it takes to find that there is no session does not tell how
// much of the presented id is that of a live one.
func TestChaosSR15_Timing(t *testing.T) {
	longRun(t)
	m := instance(t, Config{Disabled: true})
	b := new(browser)
	b.set(t, m, "who", "me")
	live := b.id(t).base
	other := func(c byte) byte { return "ab"[1-(c-'a')%2] }
	first, last := []byte(live), []byte(live)
	first[0], last[baseLen-1] = other(live[0]), other(live[baseLen-1])
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if ok, err := From(r.Context()).Get("who", new(string)); ok || err != nil {
			t.Errorf("Get = %v, %v; want nothing", ok, err)
		}
	}))
	const samples = 10_000
	took := make(map[string][]time.Duration)
	w := httptest.NewRecorder()
	for range samples {
		for name, id := range map[string]string{"one character right": string(first), "all but one right": string(last), "nothing right": newBase()} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", "__Host-sid="+id)
			begin := time.Now()
			h.ServeHTTP(w, r)
			took[name] = append(took[name], time.Since(begin))
		}
	}
	var medians []time.Duration
	for name, all := range took {
		slices.Sort(all)
		t.Logf("%s: %v in the middle", name, all[samples/2])
		medians = append(medians, all[samples/2])
	}
	if low, high := slices.Min(medians), slices.Max(medians); high > low+low/10 {
		t.Errorf("medians between %v and %v, want them within a tenth", low, high)
	}
}
