package msm

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// convoys puts the commits of one session in this process in a line. Instead of
// fighting each other for the CAS, which would make all but one of them read
// again, one at a time stores what it and those behind it have changed. It is
// safe for concurrent use.
type convoys struct {
	mu        sync.Mutex // guards what follows, and the lines
	bySession map[string]*convoy
}

// convoy is the commits of one session. One of them stores; the others wait.
type convoy struct{ waiting []*waiter }

// waiter is a commit behind another one.
type waiter struct {
	batch *batch
	ready chan outcome // has room for one
}

// outcome is what a waiter is told.
type outcome struct {
	version *version // the newest one, the waiter's own
	err     error
	lead    bool // the waiter is to store now, on top of that version
}

func newConvoys() *convoys { return &convoys{bySession: make(map[string]*convoy)} }

// commit stores a batch with settle, on top of v or of what is newer, and returns
// the version that has it. v is the caller's no more. After an error of settle v
// must be what it was before.
func (l *convoys) commit(ctx context.Context, v *version, b *batch, settle func(context.Context, *version, []*batch) error) (*version, error) {
	if w := l.join(v.base, b); w != nil {
		o, err := l.await(ctx, v.base, w)
		if err != nil || !o.lead {
			return o.version, err
		}
		if o.version.stamp.newerThan(v.stamp) {
			v = o.version
		}
	}
	err := l.lead(ctx, v, b, settle)
	l.leave(v)
	return v, err
}

// lead stores the batch and those that wait.
func (l *convoys) lead(ctx context.Context, v *version, b *batch, settle func(context.Context, *version, []*batch) error) error {
	group := l.take(v.base)
	for {
		batches := []*batch{b}
		for _, w := range group {
			batches = append(batches, w.batch)
		}
		err := settle(ctx, v, batches)
		var bad *batchError
		switch {
		case errors.As(err, &bad) && bad.batch != b:
			i := slices.IndexFunc(group, func(w *waiter) bool { return w.batch == bad.batch })
			group[i].ready <- outcome{err: bad.err}
			group = slices.Delete(group, i, i+1)
			continue
		case err != nil && len(group) > 0:
			l.putBack(v.base, group) // whatever it is, it is each one's own
			group = nil
			continue
		}
		for _, w := range group {
			w.ready <- outcome{version: v.clone()}
		}
		return err
	}
}

// join enters the line of a session; nil means that nobody is before.
func (l *convoys) join(session string, b *batch) *waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.bySession[session]
	if ln == nil {
		l.bySession[session] = new(convoy)
		return nil
	}
	w := &waiter{b, make(chan outcome, 1)}
	ln.waiting = append(ln.waiting, w)
	return w
}

// await waits for a waiter's outcome. Who gives up leaves the line, unless its
// batch is being stored.
func (l *convoys) await(ctx context.Context, session string, w *waiter) (outcome, error) {
	select {
	case o := <-w.ready:
		return o, o.err
	case <-ctx.Done():
	}
	if l.withdraw(session, w) {
		return outcome{}, unavailable(ctx.Err())
	}
	o := <-w.ready // soon: whoever stores it has a bound of its own
	return o, o.err
}

func (l *convoys) withdraw(session string, w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.bySession[session]
	if ln == nil {
		return false
	}
	i := slices.Index(ln.waiting, w)
	if i < 0 {
		return false
	}
	ln.waiting = slices.Delete(ln.waiting, i, i+1)
	return true
}

// take returns those who wait, as many as can be stored with one more batch.
func (l *convoys) take(session string) []*waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.bySession[session]
	n := min(len(ln.waiting), maxGroup-1)
	group := slices.Clone(ln.waiting[:n])
	ln.waiting = slices.Delete(ln.waiting, 0, n)
	return group
}

// putBack puts those who were taken at the front again.
func (l *convoys) putBack(session string, group []*waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.bySession[session]
	ln.waiting = append(slices.Clone(group), ln.waiting...)
}

// leave makes the next one in the line lead, on top of v.
func (l *convoys) leave(v *version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.bySession[v.base]
	if len(ln.waiting) == 0 {
		delete(l.bySession, v.base)
		return
	}
	next := ln.waiting[0]
	ln.waiting = slices.Delete(ln.waiting, 0, 1)
	next.ready <- outcome{version: v.clone(), lead: true}
}
