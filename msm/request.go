package msm

import (
	"context"
	"errors"
	"net/http"
)

// newSession returns the session of a request, not loaded yet.
func (c *core) newSession(r *http.Request) *Session {
	s := &Session{core: c, ctx: r.Context(), candidates: c.cookie.candidates(r, nil), turn: make(chan struct{}, 1)}
	if c.locks != nil {
		s.exclusive, s.line = c.locks.policy.wants(r)
	}
	return s
}

// refuse returns a session whose every method fails.
func refuse(why error) *Session { return &Session{refusal: why} }

// take waits for the turn. A free one is had also when ctx is over: what a
// handler does after its client has gone counts.
func (s *Session) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Session) yield() { <-s.turn }

// put changes what mu guards. The caller has the turn.
func (s *Session) put(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// begin takes the turn and makes sure that the session is loaded. The caller
// must yield, unless there is an error.
func (s *Session) begin() error {
	if s.refusal != nil {
		return s.refusal
	}
	if err := s.take(s.ctx); err != nil {
		return err
	}
	if !s.loaded && !s.closed {
		s.fetch()
	}
	err := s.loadErr
	if s.closed {
		err = errNoSession
	}
	if err != nil {
		s.yield()
	}
	return err
}

// load makes sure that the session is loaded.
func (s *Session) load() error {
	if s.refusal != nil {
		return s.refusal
	}
	s.mu.Lock()
	ready := s.loaded && !s.closed
	err := s.loadErr
	s.mu.Unlock()
	if ready {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.yield()
	return nil
}

// fetch loads the first session that a cookie names. The caller has the turn.
func (s *Session) fetch() {
	var (
		h          *hold
		err        error
		presented  sessionID
		superseded bool
	)
	for _, id := range s.candidates {
		h, err = s.core.keeper.load(s.ctx, id)
		switch {
		case h == nil || s.core.locks == nil:
		case s.exclusive:
			h, err = s.core.claim(s.ctx, id, h)
		default:
			s.core.stats.count(readOnlyRequests)
		}
		if errors.Is(err, errSuperseded) {
			superseded, err = true, nil
			continue
		}
		if presented = id; h != nil || err != nil {
			break
		}
	}
	s.put(func() {
		s.loaded, s.loadErr, s.hold, s.presented, s.superseded = true, err, h, presented, superseded && h == nil
	})
}

// change makes a change in the open batch. It creates the session if there is
// none and the change needs one; otherwise nothing is done then.
func (s *Session) change(create bool, f func(*batch)) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.yield()
	if s.hold == nil {
		switch {
		case !create:
			return nil
		case s.superseded:
			return ErrInvalidated
		case s.sent:
			return ErrCommitted
		}
		h := s.core.newHold()
		s.put(func() { s.hold = h })
	}
	s.upgrade(f)
	s.put(func() {
		n := len(s.unsaved)
		if n == 0 || s.unsaved[n-1].nonce != 0 {
			s.unsaved = append(s.unsaved, new(batch))
			n++
		}
		f(s.unsaved[n-1])
		if s.unsaved[n-1].empty() {
			s.unsaved = s.unsaved[:n-1]
			return
		}
		s.changed = true
	})
	return nil
}

// look returns an attribute as this request sees it.
func (s *Session) look(name string) (attr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(name)
}

// find is look for who has mu.
func (s *Session) find(name string) (attr, bool) {
	s.used = true
	if s.hold == nil {
		return attr{}, false
	}
	for i := len(s.unsaved) - 1; i >= 0; i-- {
		if a, ok, known := s.unsaved[i].look(name); known {
			return a, ok
		}
	}
	return s.hold.look(name)
}

// id is what the cookie is to say. The caller has mu or the turn.
func (s *Session) id() sessionID {
	id := s.hold.id()
	id.route = s.core.cfg.Route
	return id
}

// flush stores everything that is not stored yet. The caller has the turn.
func (s *Session) flush(ctx context.Context) error {
	if s.hold != nil && s.hold.fresh && len(s.unsaved) == 0 {
		s.put(func() { s.unsaved = append(s.unsaved, new(batch)) })
	}
	for len(s.unsaved) > 0 {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// flushSealed stores batches whose commit has failed before.
func (s *Session) flushSealed(ctx context.Context) error {
	for len(s.unsaved) > 0 && s.unsaved[0].nonce != 0 {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// commit stores the oldest batch.
func (s *Session) commit(ctx context.Context) error {
	b := s.unsaved[0]
	first := b.nonce == 0
	if first {
		b.nonce = s.core.author.newNonce()
	}
	h := *s.hold // readers go on with the old one
	if err := s.core.keeper.commit(ctx, &h, b); err != nil {
		if first && errors.Is(err, ErrTooLarge) {
			// No node has taken it: the handler may make it smaller.
			s.put(func() { s.hold, s.unsaved[0] = &h, &batch{stored: b.stored, local: b.local} })
		}
		return err
	}
	s.put(func() { s.hold, s.unsaved, s.stored = &h, s.unsaved[1:], true })
	return nil
}

// commitHeaders stores the session before the headers leave, and sets its
// cookie among them.
func (s *Session) commitHeaders(w http.ResponseWriter, r *http.Request) error {
	if err := s.take(context.WithoutCancel(s.ctx)); err != nil {
		return err
	}
	defer s.yield()
	defer s.put(func() { s.sent = true })
	switch {
	case !s.loaded:
		return nil
	case errors.Is(s.loadErr, ErrBusy):
		return s.loadErr
	}
	begin := s.core.stats.begin()
	if err := s.store(); err != nil {
		return err
	}
	if s.hold != nil {
		s.core.stats.since(effectiveBackup, begin)
	}
	s.letGo()
	s.setCookie(w.Header(), r)
	varyCookie(w.Header())
	return nil
}

// store is flush in a time of its own: a client that has gone does not undo
// what its request did.
func (s *Session) store() error {
	if s.hold == nil || len(s.unsaved) == 0 && !s.hold.fresh {
		return nil
	}
	ctx, cancel := s.core.storeContext(s.ctx)
	defer cancel()
	return s.flush(ctx)
}

// setCookie makes the browser's cookie right, if it is not.
func (s *Session) setCookie(h http.Header, r *http.Request) {
	if s.hold == nil {
		if s.ended {
			s.core.cookie.remove(h)
		}
		return
	}
	id := s.id()
	if id.base == s.presented.base {
		unplaced := id.node == "" && !s.core.anonymous // no node is up: the old one is as good as any
		if (id == s.presented || unplaced) && !s.core.fades(s.hold) {
			return
		}
	}
	if id.base == s.presented.base && id.node != s.presented.node {
		s.core.stats.count(nodeFailovers)
	}
	s.core.cookie.set(h, id.String())
	s.core.cookie.warnPlain(s.core.log, r)
}

// close ends the session's use by the request, whose handler has returned or
// panicked.
func (s *Session) close() {
	s.turn <- struct{}{} // held by goroutines of the handler for bounded operations only
	defer s.yield()
	s.letGo()
	s.learn()
	s.put(func() { s.closed = true })
}

// storeLate stores what a handler has changed after the headers had left.
func (s *Session) storeLate() {
	if err := s.take(context.WithoutCancel(s.ctx)); err != nil {
		return
	}
	defer s.yield()
	if err := s.store(); err != nil && !isClients(err) {
		s.core.log.Error("msm: changes that a handler made after the response's headers are lost", "err", err)
	}
}
