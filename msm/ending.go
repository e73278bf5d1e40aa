package msm

import (
	"context"
	"sync"
)

// ending is the way of one Manager to its end. It is safe for concurrent use.
type ending struct {
	done chan struct{} // closed when it has ended

	mu    sync.Mutex         // guards what follows
	begun bool               // Shutdown was called
	cut   context.CancelFunc // ends what the Reconfigure under way waits for; nil: there was none
}

func newEnding() *ending { return &ending{done: make(chan struct{})} }

// watch has cut called when the end begins; it replaces the one of before. It is
// false if that was already.
func (e *ending) watch(cut context.CancelFunc) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut = cut
	return !e.begun
}

// begin tells whether it is called for the first time. The first caller has to
// call finish; done is closed then.
func (e *ending) begin() (first bool, done <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	first = !e.begun
	e.begun = true
	if first && e.cut != nil {
		e.cut()
	}
	return first, e.done
}

func (e *ending) finish() { close(e.done) }

// await waits until done is closed, or ctx ends. What is done already is done,
// whatever ctx says.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-done:
		return nil
	default:
		return ctx.Err()
	}
}
