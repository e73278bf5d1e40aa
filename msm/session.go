package msm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Session is the session of one request. From gives it; it is safe for
// concurrent use by the goroutines of the request, until the handler returns.
//
// It does nothing until it is used: the first method loads the session. A
// session begins when something is stored. Changes are visible to this request
// at once, and to others when they are stored: before the first byte of the
// response leaves, or by Save. Values are encoded and decoded one by one, so
// that nothing mutable is shared between requests.
//
// A load that failed is not tried again: all methods return its error, which
// is ErrUnavailable most of the time.
type Session struct {
	// Immutable.
	core       *core
	ctx        context.Context // the request's
	candidates []sessionID     // what its cookies may mean
	refusal    error           // what all methods return; nil in a request with sessions
	exclusive  bool            // the request is to have the session's lock from the beginning
	line       line            // with LockingMode auto

	// turn is held while the session is loaded, stored or changed: a lock that
	// may be held over a round trip. It comes before mu.
	turn chan struct{}

	mu         sync.Mutex // guards what follows; it is changed with turn held as well
	loaded     bool
	loadErr    error
	hold       *hold     // nil: there is no session
	presented  sessionID // of the cookie that named it
	superseded bool      // the cookie's session got a new id a moment ago
	ended      bool      // this request ended the cookie's session
	changed    bool      // this request has changed the session, or tried to
	unsaved    []*batch  // oldest first; the last one may still be open
	used       bool      // an attribute was looked at or changed
	stored     bool      // something was stored
	sent       bool      // the headers have left
	closed     bool      // the handler has returned
}

// Info is what is known of a session beside its attributes.
type Info struct {
	IsNew        bool          // it was created by this request
	CreatedAt    time.Time     // to the millisecond
	LastAccessed time.Time     // before this request, to some seconds; where the protocol does not tell, the last store
	MaxInactive  time.Duration // negative: it never expires
	Node         string        // the id of its node; "" if that has none, or while none is up
	Route        string        // this instance's
}

// Get decodes an attribute into the value that into points to, and reports
// whether there is one. ErrDecode if it cannot be decoded.
func (s *Session) Get(name string, into any) (bool, error) {
	if err := s.load(); err != nil {
		return false, err
	}
	a, ok := s.look(name)
	if !ok {
		return false, nil
	}
	return true, s.core.decode(a, into)
}

// Set gives an attribute a value, which is encoded at once. It creates the
// session if there is none. Names have 1 to 64 bytes.
func (s *Session) Set(name string, value any) error {
	if s.refusal != nil {
		return s.refusal
	}
	a, err := s.core.encode(name, value)
	if err != nil {
		return err
	}
	return s.change(true, func(b *batch) {
		old, ok := s.find(name)
		if part, moves := s.core.part(b, s.hold, name); moves || !ok || !sameValue(old, a) {
			part.set(a)
		}
	})
}

// Delete removes an attribute. One that does not exist is no error.
func (s *Session) Delete(name string) error {
	return s.change(false, func(b *batch) {
		if _, ok := s.find(name); ok {
			part, _ := s.core.part(b, s.hold, name)
			part.remove(name)
		}
	})
}

// update changes an attribute by a function of what it is. f runs without a
// lock held, and again if the attribute has changed meanwhile.
func (s *Session) update(name string, f update) error {
	if err := s.load(); err != nil {
		return err
	}
	for done := false; !done; {
		old, ok := s.look(name)
		value, err := f(old, ok)
		if err != nil {
			return err
		}
		err = s.change(true, func(b *batch) {
			now, still := s.find(name)
			done = still == ok && (!ok || sameValue(now, old))
			if done && !(ok && sameValue(value, old)) {
				part, moves := s.core.part(b, s.hold, name)
				part.compute(old, ok && !moves, value, f.again(name))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Names returns the names of the attributes in alphabetical order. It never
// creates a session.
func (s *Session) Names() ([]string, error) {
	if err := s.load(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make(map[string]bool)
	if s.hold != nil {
		for _, attrs := range [][]attr{s.hold.rec.attrs, s.hold.local} {
			for _, a := range attrs {
				names[a.name] = true
			}
		}
	}
	for _, b := range s.unsaved {
		for _, part := range []*changes{&b.stored, &b.local} {
			for name := range part.attrs {
				_, names[name], _ = b.look(name)
			}
		}
	}
	maps.DeleteFunc(names, func(_ string, there bool) bool { return !there })
	return slices.Sorted(maps.Keys(names)), nil
}

// ID returns the session's id as it stands in the cookie, without the epoch:
// base, node and route. It creates the session if there is none. Who knows the
// id has the session: keep it out of logs.
func (s *Session) ID() (string, error) {
	var id string
	err := s.change(true, func(*batch) { id = s.id().publicString() })
	return id, err
}

// Info tells about the session; the zero Info if there is none. It never
// creates one.
func (s *Session) Info() (Info, error) {
	if err := s.load(); err != nil {
		return Info{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold == nil {
		return Info{}, nil
	}
	rec := s.hold.rec
	info := Info{
		IsNew:        s.hold.created,
		CreatedAt:    rec.created,
		LastAccessed: s.hold.accessed,
		MaxInactive:  rec.maxInactive,
		Node:         s.hold.node,
		Route:        s.core.cfg.Route,
	}
	for _, b := range s.unsaved {
		if b.stored.maxInactive != nil {
			info.MaxInactive = *b.stored.maxInactive
		}
	}
	return info, nil
}

// SetMaxInactive gives this session an idle time-out of its own, a hundred years at
// most; negative means that it never expires, 0 that of Config. It creates the
// session if there is none.
func (s *Session) SetMaxInactive(d time.Duration) error {
	if s.refusal == nil && d == 0 {
		d = s.core.cfg.MaxInactiveInterval
	}
	d = storable(d)
	return s.change(true, func(b *batch) { b.stored.maxInactive = &d })
}

// Renew gives the session a new id: call it when somebody logs in or gains
// rights. The changes so far are stored under the new id, and when Renew has
// returned nil the old one is no session any more, for requests under way
// neither. ErrCommitted if the headers have left. Without a session it does
// nothing.
func (s *Session) Renew() error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.yield()
	switch {
	case s.hold == nil:
		return nil
	case s.sent:
		return ErrCommitted
	case s.hold.fresh:
		h := s.core.newHold() // the first id has gone nowhere yet
		s.put(func() { s.hold = h })
		return nil
	}
	ctx, cancel := s.core.storeContext(s.ctx)
	defer cancel()
	if err := s.flushSealed(ctx); err != nil {
		return err
	}
	h, b := *s.hold, new(batch)
	if len(s.unsaved) > 0 {
		b = s.unsaved[0]
	}
	if err := s.core.keeper.renew(ctx, &h, b); err != nil {
		return err
	}
	s.put(func() { s.hold, s.unsaved, s.changed = &h, nil, true })
	return nil
}

// Invalidate ends the session for everybody, for requests under way too, before
// it returns. What is set afterwards begins a new session. Once the headers have
// left, the cookie stays in the browser and means nothing. Without a session it
// does nothing.
//
// After ErrUnavailable the session may live on: tell the user to try again.
func (s *Session) Invalidate() error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.yield()
	if s.hold == nil {
		return nil
	}
	if !s.hold.fresh {
		ctx, cancel := s.core.storeContext(s.ctx)
		defer cancel()
		h := *s.hold
		if err := s.core.keeper.end(ctx, &h); err != nil {
			return err
		}
	}
	s.letGo()
	s.put(func() { s.hold, s.unsaved, s.ended, s.changed = nil, nil, true, true })
	return nil
}

// Save stores the changes now, for handlers that go on for long: before the
// headers leave, the session is stored without that. ctx bounds it beside the
// time-outs of Config. What an error leaves unsaved is tried again by the next
// Save and at the end of the request; after ErrTooLarge, make it smaller first.
func (s *Session) Save(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.yield()
	ctx, cancel := context.WithTimeout(ctx, s.core.storeTimeout())
	defer cancel()
	return s.flush(ctx)
}

// Copies asks the nodes for this session, and returns the ids of those that hold
// its newest version, the session's own node first. It is for operators; a
// session that was not stored yet has none.
func (s *Session) Copies() ([]string, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.yield()
	if s.hold == nil || s.core.store == nil {
		return nil, nil
	}
	return s.core.store.holders(s.ctx, s.hold.rec.base)
}

// Format implements fmt.Formatter: it shows nothing of the session.
func (s *Session) Format(f fmt.State, _ rune) { io.WriteString(f, "msm.Session") }

// LogValue implements slog.LogValuer: it shows nothing of the session.
func (s *Session) LogValue() slog.Value { return slog.StringValue("msm.Session") }

// MarshalJSON implements json.Marshaler: it shows nothing of the session.
func (s *Session) MarshalJSON() ([]byte, error) { return []byte(`"msm.Session"`), nil }
