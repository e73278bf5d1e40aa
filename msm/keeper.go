package msm

import (
	"context"
	"maps"
	"sync/atomic"
	"time"
)

// keeper keeps sessions from one request to the next: in memcached alone, or in
// this process with memcached behind it.
type keeper interface {
	// load finds the session that a cookie names; nil if there is none.
	// errSuperseded means that it has another id since a moment ago.
	load(ctx context.Context, id sessionID) (*hold, error)

	// commit stores the batch and brings h up to date. A session that was created
	// by this request comes into being. After an error the same batch is to be
	// committed again before any other.
	commit(ctx context.Context, h *hold, b *batch) error

	// renew stores the batch under a new id and ends the old one. h has the new
	// id afterwards.
	renew(ctx context.Context, h *hold, b *batch) error

	// end ends the session for everybody, before it returns.
	end(ctx context.Context, h *hold) error
}

// batch is changes that are stored together.
type batch struct {
	stored changes
	local  changes // to attributes that are not stored
	nonce  nonce   // names the commit; 0 while changes can be added

	failure atomic.Pointer[error] // why no entry will ever store it; Renew passes a batch from one entry to the next
}

// failed returns why the batch will never be stored; nil as far as is known.
func (b *batch) failed() error {
	if failure := b.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// fail makes failure the reason why the batches will never be stored.
func fail(batches []*batch, failure error) {
	for _, b := range batches {
		b.failure.Store(&failure)
	}
}

// clone is for a batch that changes: the clone does not. It has none of the local
// changes.
func (b *batch) clone() *batch {
	return &batch{nonce: b.nonce, stored: changes{maps.Clone(b.stored.attrs), b.stored.maxInactive}}
}

func (b *batch) empty() bool { return b.stored.empty() && b.local.empty() }

// look returns what the batch says of an attribute; known is whether it says
// anything. One that moves from one part to the other is gone in the first.
func (b *batch) look(name string) (a attr, ok, known bool) {
	c, known := b.stored.attrs[name]
	if other, too := b.local.attrs[name]; too && (!known || c.gone) {
		c, known = other, true
	}
	return c.value, known && !c.gone, known
}

// hold is a session in the hands of one request. Nothing in it is shared but
// what never changes.
type hold struct {
	rec      *record // without the changes of this request
	local    []attr  // attributes that are not stored, sorted by name
	node     string  // the session's node; "" if it has no name, or none is up
	stamp    stamp
	accessed time.Time // before this request
	created  bool      // by this request
	fresh    bool      // and not stored yet

	version *version // NonSticky; of a fresh session always
	entry   *entry   // sticky
	taken   bool     // sticky: another instance served the session before
	release func()   // ends the request's exclusive use; nil without lock, and when it has ended
}

// id is the session's id without route.
func (h *hold) id() sessionID {
	id := sessionID{base: h.rec.base, node: h.node}
	if id.node != "" {
		id.epoch = h.stamp.epoch()
	}
	return id
}

// look returns an attribute of the session.
func (h *hold) look(name string) (attr, bool) {
	if a, ok := find(h.local, name); ok {
		return a, true
	}
	return find(h.rec.attrs, name)
}
