package msm

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Bounds of the queue.
const (
	maxWaiting = 10_000                 // sessions; who comes then runs its job itself
	firstPause = 100 * time.Millisecond // before a job that failed is tried again; doubled every time
	maxTries   = 7                      // in about 6 s
)

// errStopped is what jobs fail with that a queue never came to.
var errStopped = errors.New("msm: not stored before Shutdown ended")

// job stores something of a session in the background.
type job func(ctx context.Context) error

// queue runs jobs, a few at a time. Of one session one runs at a time, and one
// waits at most: a newer one takes its place. A job that fails is tried again.
// It is safe for concurrent use.
type queue struct {
	// Immutable.
	workers int
	timeout time.Duration // of a job
	lost    func(error)   // is told of a job that was given up

	mu      sync.Mutex       // guards what follows
	waiting map[string]*task // by session
	order   []string         // sessions whose task may run, in that order
	running map[string]bool  // sessions with a job under way
	active  int              // workers
	resting int              // tasks between two tries
	hasty   bool             // jobs run at once, in the place of who adds them
	givenUp map[string]bool  // sessions with a job that came to nothing since drain gave up; nil: it has not
	calm    chan struct{}    // closed when no worker is active; nil: nobody waits for that
	idle    chan struct{}    // closed when nothing is left; nil: nobody waits for that
}

// task is a job and how often it was tried.
type task struct {
	session string
	job     job
	tries   int
}

func newQueue(workers int, timeout time.Duration, lost func(error)) *queue {
	return &queue{workers: workers, timeout: timeout, lost: lost, waiting: make(map[string]*task), running: make(map[string]bool)}
}

// add has the job run soon, in place of one of the same session that waits. With
// too many sessions waiting, and in haste, it runs it at once.
func (q *queue) add(session string, j job) {
	t := &task{session: session, job: j}
	q.mu.Lock()
	full := len(q.waiting) >= maxWaiting && q.waiting[session] == nil
	now := full || q.hasty
	if !now {
		q.enqueue(t)
	}
	q.mu.Unlock()
	if !now {
		return
	}
	switch err := q.run(t); {
	case err != nil && full:
		q.lost(err)
	case err != nil:
		q.failed(t, err)
	}
}

// put has the job run when its turn comes, however many sessions are waiting: for
// who must not run it.
func (q *queue) put(session string, j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.enqueue(&task{session: session, job: j})
}

// hurry has everything stored that waits, and from now on what is added at once.
// It returns when no worker is active, or ctx ends; what rests between two tries
// goes on resting. It is called once.
func (q *queue) hurry(ctx context.Context) {
	q.mu.Lock()
	q.hasty = true
	calm := make(chan struct{})
	q.calm = calm
	q.settle()
	q.mu.Unlock()
	await(ctx, calm)
}

// enqueue is add for who has mu.
func (q *queue) enqueue(t *task) {
	old := q.waiting[t.session]
	q.waiting[t.session] = t
	if old != nil || q.running[t.session] {
		return // its place in the order is taken, or comes when the other job is done
	}
	q.line(t.session)
}

// line puts a session at the end of the order and sees to it that somebody
// works. The caller has mu.
func (q *queue) line(session string) {
	q.order = append(q.order, session)
	if q.active < q.workers {
		q.active++
		go q.work() // ends when the order is empty; drain waits for it
	}
}

func (q *queue) work() {
	for {
		t := q.next()
		if t == nil {
			return
		}
		q.done(t, q.run(t))
	}
}

func (q *queue) run(t *task) error {
	ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
	defer cancel()
	return t.job(ctx)
}

// next returns the next task; nil ends the worker.
func (q *queue) next() *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		q.active--
		q.settle()
		return nil
	}
	session := q.order[0]
	q.order = q.order[1:]
	t := q.waiting[session]
	delete(q.waiting, session)
	q.running[session] = true
	return t
}

// done takes note of how a worker's task ended.
func (q *queue) done(t *task, err error) {
	q.mu.Lock()
	delete(q.running, t.session)
	newer := q.waiting[t.session] != nil
	if newer {
		q.line(t.session)
	}
	q.mu.Unlock()
	if err != nil && !newer {
		q.failed(t, err)
	}
}

// failed has a task tried again, or gives it up.
func (q *queue) failed(t *task, err error) {
	t.tries++
	q.mu.Lock()
	again := t.tries < maxTries && q.givenUp == nil && !errors.Is(err, ErrInvalidated)
	if again {
		q.resting++
		// Fires once; drain waits for it.
		time.AfterFunc(firstPause<<(t.tries-1), func() { q.retry(t) })
	}
	lost := !again && q.isNews(t.session)
	q.mu.Unlock()
	if lost {
		q.lost(err)
	}
}

// isNews is false if drain has given up, and the loss of that session's changes
// was told before: all its jobs store the same. The caller has mu.
func (q *queue) isNews(session string) bool {
	if q.givenUp == nil {
		return true
	}
	known := q.givenUp[session]
	q.givenUp[session] = true
	return !known
}

// retry puts a task back whose pause is over.
func (q *queue) retry(t *task) {
	q.mu.Lock()
	q.resting--
	over := q.givenUp != nil
	if !over && q.waiting[t.session] == nil {
		q.enqueue(t)
	}
	lost := over && q.isNews(t.session)
	q.settle()
	q.mu.Unlock()
	if lost {
		q.lost(errStopped)
	}
}

// settle tells hurry and drain when that is so what they wait for. The caller has
// mu.
func (q *queue) settle() {
	if q.calm != nil && q.active == 0 {
		close(q.calm)
		q.calm = nil
	}
	if q.idle != nil && q.active == 0 && q.resting == 0 {
		close(q.idle)
		q.idle = nil
	}
}

// drain waits until nothing is left to do. When ctx ends first, what waits is
// given up. It is called once, when nothing is added any more.
func (q *queue) drain(ctx context.Context) error {
	q.mu.Lock()
	idle := make(chan struct{})
	q.idle = idle
	q.settle()
	q.mu.Unlock()
	err := await(ctx, idle)
	if err == nil {
		return nil
	}
	q.mu.Lock()
	q.givenUp = make(map[string]bool, len(q.waiting))
	for session := range q.waiting {
		q.givenUp[session] = true
	}
	lost := len(q.waiting)
	q.order = nil
	clear(q.waiting)
	q.mu.Unlock()
	for range lost {
		q.lost(errStopped)
	}
	return err
}
