package msm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// step is one thing that a handler does with its session.
type step struct {
	kind  stepKind
	pause time.Duration // of wait
}

type stepKind uint8

const (
	checkIn    stepKind = iota // reads the owner; the handler ends if there is no session
	readAll                    // reads all other attributes
	setOwn                     // writes the branch's attribute
	deleteOwn                  // deletes it
	count                      // raises the counter
	save                       // stores now
	wait                       // takes its time
	renew                      // gives the session a new id
	invalidate                 // ends it
	logIn                      // begins it
	intrude                    // changes whatever session there is
)

func (s step) String() string {
	if s.kind == wait {
		return "wait " + s.pause.String()
	}
	return [...]string{"check in", "read", "set", "delete", "count", "save", "", "renew", "invalidate", "log in", "intrude"}[s.kind]
}

// request is one request of a user, and what came of it.
type request struct {
	// Immutable.
	c      *chaos
	u      *person
	t      *tale
	id     *identity // that cookie names; of a login nil
	cookie string
	branch int
	steps  []step

	// Set when it is sent, immutable from then on.
	proc *process
	view view
	dead bool // what the cookie names must not be seen any more
	then circumstances

	// Owned by the handler, and by finish when that has returned.
	session *Session
	floors  floors
	pending []*deed // not acknowledged yet
	counted int     // increments of this request
	stored  bool    // the last changes were acknowledged
	absent  bool    // there was no session
	renewed bool
	ended   bool
	err     error
	notes   []string
}

// ServeHTTP is the handler of this request.
func (r *request) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	r.session = From(hr.Context())
	for _, s := range r.steps {
		if r.err = r.do(hr.Context(), s); r.err != nil {
			http.Error(w, "see err", http.StatusInternalServerError)
			return
		}
		if r.absent {
			break
		}
	}
	w.WriteHeader(http.StatusOK)
}

func (r *request) do(ctx context.Context, s step) error {
	switch s.kind {
	case checkIn:
		return r.checkIn()
	case readAll:
		return r.readAll()
	case setOwn:
		n := r.begin(&r.t.register[r.branch], false)
		return r.session.Set(own(r.branch), r.t.value(r.branch, n))
	case deleteOwn:
		r.begin(&r.t.register[r.branch], true)
		return r.session.Delete(own(r.branch))
	case count:
		r.begin(&r.t.counter, false)
		return NewKey[int](countAttr).Update(r.session, func(n int, _ bool) (int, error) { return n + 1, nil })
	case save:
		err := r.session.Save(ctx)
		if err == nil {
			r.acknowledge()
		}
		return err
	case wait:
		return sleep(ctx, s.pause)
	case renew:
		return r.end(r.session.Renew, &r.renewed)
	case invalidate:
		return r.end(r.session.Invalidate, &r.ended)
	case logIn:
		return r.session.Set(ownerAttr, r.t.name)
	case intrude:
		return r.session.Set(ownerAttr, intruder)
	}
	return nil
}

// begin takes note of a change that may become visible from now on.
func (r *request) begin(reg *register, gone bool) (n int) {
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	w := &deed{gone: gone, begun: time.Now()}
	// To delete what a copy does not have does nothing. It may be that sticky
	// sessions have it elsewhere, for as long as they may be late.
	w.vague = gone && reg.last(r.view) < reg.last(view{current: true})
	*reg = append(*reg, w)
	r.pending = append(r.pending, w)
	if reg == &r.t.counter {
		r.counted++
	} else {
		r.floors.own[r.branch] = len(*reg) // a request sees its own changes
	}
	return len(*reg)
}

func (r *request) checkIn() error {
	var owner string
	ok, err := r.session.Get(ownerAttr, &owner)
	if err != nil {
		return err
	}
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	switch {
	case !ok:
		r.absent = true
		r.judgeAbsence("there is no session for a live cookie")
	case owner == intruder && !r.id.ended.IsZero():
		r.judgeReturn("a session that has ended was changed")
	case owner != r.t.name:
		r.c.violated(r, time.Time{}, "the session is that of %q", owner)
	case r.dead:
		r.judgeReturn("a session that has ended is seen again")
	}
	return nil
}

// judgeAbsence is called when a session seems not to exist. The caller has the
// user's mu.
func (r *request) judgeAbsence(what string) {
	switch {
	case r.id == nil || r.id.ending:
	case !r.c.protects(r.t.held):
		r.c.tally.excused.Add(1)
		r.notes = append(r.notes, "lost with its nodes")
		r.u.abandon(r.t)
	default:
		r.c.violated(r, r.t.newest(), "%s", what)
	}
}

// judgeReturn is called when a session is seen that must have ended. Nothing but
// tombstones tells that: one must be in reach, and two must have been made, lest
// the nodes that missed the end agree about the old copy. The caller has the
// user's mu.
func (r *request) judgeReturn(what string) {
	held := r.id.held
	if r.id.forgiven || held.count() < 2 || r.then.well(held) == 0 || r.c.circumstances().well(held) == 0 {
		r.c.tally.excused.Add(1)
		r.id.forgiven = true // whoever saw it may have made a new version of it
		return
	}
	r.c.violated(r, r.id.ended, "%s; its tombstone is on %v", what, held)
}

// judgeLoss is called when something wrong was read; lost is since when it must
// have been right. The caller has the user's mu.
func (r *request) judgeLoss(lost time.Time, wrong string) {
	if wrong == "" || !r.id.ended.IsZero() && !r.renewed {
		return
	}
	if !r.c.protects(r.t.held) {
		r.c.tally.excused.Add(1)
		r.u.abandon(r.t)
		return
	}
	r.c.violated(r, lost, "%s", wrong)
}

func (r *request) readAll() error {
	n, _, err := NewKey[int](countAttr).Get(r.session)
	if err != nil {
		return err
	}
	r.note("counter %d", n)
	r.u.mu.Lock()
	wrong := r.t.mayCount(n, r.floors.counter+r.counted)
	r.judgeLoss(r.t.right, wrong)
	if n >= r.t.counter.sum(view{current: true}) {
		r.t.right = r.view.at
	}
	r.u.mu.Unlock()
	for branch := range branches {
		var value string
		ok, err := r.session.Get(own(branch), &value)
		if err != nil {
			return err
		}
		if ok {
			r.note("%s", value[strings.Index(value, "/")+1:])
		}
		r.u.mu.Lock()
		wrong, since := r.t.mayBe(branch, value, ok, r.floors.own[branch])
		r.judgeLoss(since, wrong)
		r.u.mu.Unlock()
	}
	return nil
}

// end is Renew or Invalidate.
func (r *request) end(end func() error, done *bool) error {
	r.u.mu.Lock()
	r.id.ending = true
	r.id.ends++
	r.u.mu.Unlock()
	err := end()
	var held nodeSet
	if err == nil {
		held = r.c.tombstones(r.id)
	}
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	r.id.ends--
	if err != nil {
		return err
	}
	*done = true
	if !r.id.ended.IsZero() {
		if r.renewed {
			r.c.violated(r, r.id.ended, "an id that had ended was renewed")
		}
		return nil
	}
	r.id.ended, r.id.ender, r.id.held = time.Now(), r.view.app, held
	r.u.bury(r.id)
	if r.t.held.count() > 0 {
		r.c.witness(r, &r.c.tally.ends, held, "the end of a session")
	}
	return nil
}

// acknowledge is called when all changes so far were said to be stored.
func (r *request) acknowledge() {
	base, nonce, at, certain := r.session.evidence()
	if len(r.pending) == 0 || base == "" {
		return
	}
	if !certain {
		r.c.tally.unstored.Add(1)
		r.pending, r.stored = nil, false
		return
	}
	held := r.c.inspect(base, func(rec *record) bool { return rec.dead != alive || rec.committed(nonce) })
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	now := time.Now()
	for _, w := range r.pending {
		if !w.vague {
			w.acked, w.where = now, r.view.app
		}
	}
	r.pending, r.stored = nil, true
	if base != r.t.heldAs || !r.t.stamp.newerThan(at) {
		r.t.heldAs, r.t.stamp, r.t.held, r.t.sign = base, at, held, nonce
	}
	r.c.witness(r, &r.c.tally.acks, held, "a change")
}

// evidence is by what the version is known that has all changes so far; certain
// is whether memcached is said to have it.
func (s *Session) evidence() (base string, n nonce, at stamp, certain bool) {
	s.mu.Lock()
	h := s.hold
	s.mu.Unlock()
	if h == nil || h.fresh {
		return "", 0, 0, false
	}
	return h.rec.base, h.rec.nonces.last(), h.stamp, h.entry == nil || !h.entry.dirty()
}

func (r *request) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// send sends the request to an instance and draws the conclusions.
func (r *request) send(a *app, p *process) {
	r.u.mu.Lock()
	r.proc, r.then = p, r.c.circumstances()
	id, _ := parseID(r.cookie)
	r.view = view{at: time.Now(), app: a, current: r.c.mode.nonSticky || id.route != a.route, stale: r.c.mode.staleness()}
	r.floors = r.t.floors(r.view)
	r.dead = r.id != nil && r.view.sees(r.id.ended, r.id.ender)
	r.u.mu.Unlock()
	hr := httptest.NewRequest("GET", "/", nil)
	if r.cookie != "" {
		hr.Header.Set("Cookie", "__Host-sid="+r.cookie)
	}
	w := httptest.NewRecorder()
	p.manager.Handler(r).ServeHTTP(w, hr)
	r.finish(w.Result())
}

// finish draws the conclusions from a response.
func (r *request) finish(resp *http.Response) {
	delivered := !r.proc.crashed.Load()
	ok := delivered && resp.StatusCode == http.StatusOK
	if ok && !r.absent {
		r.acknowledge()
	}
	var tombstones nodeSet
	if r.dead {
		tombstones = r.c.tombstones(r.id)
	}
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	defer r.record(resp, delivered)
	r.c.tally.count(delivered, resp.StatusCode)
	if tombstones.count() > 0 {
		r.id.held = tombstones // who met one has given it to others
	}
	r.judgeError(resp)
	switch {
	case r.id == nil && !ok, r.renewed && !ok, r.ended:
		r.u.abandon(r.t)
	case r.absent && r.id != nil && r.id.ending && r.id.ends == 0 && r.u.id == r.id:
		r.u.abandon(r.t) // Renew or Invalidate has failed, and happened
	case delivered && !r.absent:
		r.takeCookie(resp, ok)
	}
}

// judgeError looks at a failure.
func (r *request) judgeError(resp *http.Response) {
	switch {
	case r.err == nil && resp.StatusCode == http.StatusServiceUnavailable:
		r.note("503")
	case r.err == nil && resp.StatusCode != http.StatusOK:
		r.c.violated(r, time.Time{}, "status %d", resp.StatusCode)
	case errors.Is(r.err, ErrInvalidated):
		r.judgeAbsence("a live session is said to have ended")
	case r.err == nil, errors.Is(r.err, ErrUnavailable), errors.Is(r.err, ErrConflict), errors.Is(r.err, errOver):
	default:
		r.c.violated(r, time.Time{}, "unexpected error: %v", r.err)
	}
}

// takeCookie puts the response's cookie into the user's jar.
func (r *request) takeCookie(resp *http.Response, ok bool) {
	var value string
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-sid" && c.MaxAge >= 0 {
			value = c.Value
		}
	}
	named, _ := parseID(value)
	switch {
	case r.id == nil || r.renewed:
		if named.base == "" {
			r.c.violated(r, time.Time{}, "there is no cookie for a new id")
			return
		}
		r.u.settleOn(&identity{base: named.base, cookie: value, tale: r.t})
	case r.dead:
		if ok && (named.base == "" || named.base == r.id.base) {
			r.judgeReturn("a change went into a session that has ended")
		}
	case named.base == "":
	case named.base == r.id.base:
		r.id.cookie = value
	default:
		r.judgeAbsence("a live cookie was answered by that of a new session")
	}
}
