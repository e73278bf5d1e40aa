package msm

import (
	"context"
	"sync"
)

// gate counts those inside, until it is shut and they have left. The zero gate
// is open. It is safe for concurrent use.
type gate struct {
	mu     sync.Mutex // guards what follows
	inside int
	empty  chan struct{} // closed when the last one has left; nil: the gate is open
}

// enter is false if the gate is shut.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.empty != nil {
		close(g.empty)
	}
}

// shut lets nobody in any more, and waits until all have left.
func (g *gate) shut(ctx context.Context) error {
	g.mu.Lock()
	if g.empty == nil {
		g.empty = make(chan struct{})
		if g.inside == 0 {
			close(g.empty)
		}
	}
	empty := g.empty
	g.mu.Unlock()
	return await(ctx, empty)
}
