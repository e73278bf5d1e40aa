package msm

import "context"

// claim gets the lock of a session that was found, and the session as it is
// then. There may be none any more. ErrBusy.
func (c *core) claim(ctx context.Context, id sessionID, found *hold) (*hold, error) {
	release, err := c.locks.take(ctx, found.version)
	if err != nil {
		return nil, err
	}
	// Somebody may have had the lock, and changed the session, since it was read.
	h, err := c.keeper.load(ctx, id)
	if h == nil {
		release()
		return nil, err
	}
	h.release = release
	return h, nil
}

// upgrade gets the lock for a request of a line that has never changed a session
// so far, when f is about to. The request sees what the session has become
// meanwhile. Without the lock, it is merged. The caller has the turn.
func (s *Session) upgrade(f func(*batch)) {
	k := s.core.locks
	if k == nil || k.policy.habits == nil || s.exclusive || s.changed || s.sent || s.hold.fresh || s.hold.release != nil {
		return
	}
	var trial batch
	s.put(func() { f(&trial) })
	if trial.empty() {
		return
	}
	if h, err := s.core.claim(s.ctx, s.presented, s.hold); err == nil && h != nil {
		s.put(func() { s.hold = h })
	}
}

// learn has the next requests of this line profit from what this one did. The
// caller has the turn.
func (s *Session) learn() {
	if k := s.core.locks; k != nil && k.policy.habits != nil && (s.changed || s.hold != nil) {
		k.policy.habits.learn(s.line, s.changed)
	}
}

// letGo ends the request's exclusive use of the session. The caller has the
// turn.
func (s *Session) letGo() {
	if s.hold != nil && s.hold.release != nil {
		release := s.hold.release
		s.put(func() { s.hold.release = nil })
		release()
	}
}
