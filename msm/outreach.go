package msm

import "sync"

// outreach is the attempts of one Manager to reach nodes in the background. The
// zero value is ready; it is safe for concurrent use.
type outreach struct {
	mu      sync.Mutex // guards over, after which nothing joins running
	over    bool
	running sync.WaitGroup
}

// start makes an attempt, unless the Manager was shut down.
func (o *outreach) start(attempt func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		o.running.Go(attempt) // ends by a bound of its own; end waits for it
	}
}

// end waits for the attempts under way.
func (o *outreach) end() {
	o.mu.Lock()
	o.over = true
	o.mu.Unlock()
	o.running.Wait()
}
