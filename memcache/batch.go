package memcache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed99545744/msm/internal/node"
	"github.com/seed99545744/msm/internal/proto"
)

// Limits of what is under way to one node for one batch.
const (
	// maxUnanswered bounds the bytes of requests without an answer: with so many
	// no other is started. A server stops reading when nobody takes its answers,
	// after some megabytes.
	maxUnanswered = 64 << 10

	// maxStarted bounds the requests without an answer, lest one batch crowd
	// others out of a connection.
	maxStarted = 64

	// maxChunk is the number of keys in one multi-get.
	maxChunk = 100

	// chunkBytes is what a multi-get counts among the unanswered bytes at least:
	// few are under way at a time, because their answers are large and each must
	// be complete within Timeout.
	chunkBytes = maxUnanswered / 4

	// overhead is about what a request has beside keys and value.
	overhead = 32
)

// batch is an operation over many elements, keys or items, split by node.
type batch[T any] struct {
	c     *Client
	op    string                              // the method's name
	chunk int                                 // elements in one request
	key   func(T) string                      // of one element
	check func(T) error                       // refuses an element before its request takes others down
	fill  func(req *proto.Request, chunk []T) // makes req the one for chunk

	// answer takes what came back, or a refusal's err, and returns the elements
	// that failed and why.
	answer func(chunk []T, call *node.Call, err error) ([]T, error)

	sole [1]*part[T] // memory for the list of parts while there is one node

	mu    sync.Mutex // guards the following, and what answer writes to
	errs  map[string]error
	again []T // for the next round
}

// run carries the batch out: in one round, unless nodes go down or the topology
// changes meanwhile.
func (b *batch[T]) run(ctx context.Context, list []T) error { return b.goOn(ctx, list, 0) }

// goOn is run from a round on.
func (b *batch[T]) goOn(ctx context.Context, list []T, round int) error {
	for ; len(list) > 0; round++ {
		t := b.c.core.topology.Load()
		parts := b.split(t, list, round == 0)
		b.again = nil
		inParallel(len(parts), func(i int) { parts[i].run(ctx, t, round) })
		list = b.again
	}
	if b.errs == nil {
		return nil
	}
	return &MultiError{Errs: b.errs}
}

// inParallel calls f with 0 to n-1 and returns when all calls are over.
func inParallel(n int, f func(i int)) {
	if n == 0 {
		return
	}
	var wg sync.WaitGroup
	for i := 1; i < n; i++ {
		// Ends as the caller's own call below does, by ctx and Timeout.
		wg.Go(func() { f(i) })
	}
	f(0)
	wg.Wait()
}

// split sorts the elements by node. The lists are its own.
func (b *batch[T]) split(t *topology, list []T, check bool) []*part[T] {
	parts := b.sole[:0]
	var last *part[T]
	var byNode map[*node.Node]*part[T] // nil where there is one node only
	for _, v := range list {
		if check {
			if err := b.check(v); err != nil {
				b.fail(v, err)
				continue
			}
		}
		n := b.c.locate(t, b.key(v))
		if n == nil {
			b.fail(v, ErrNoNodes)
			continue
		}
		p := last
		if p == nil || p.node != n {
			p = byNode[n]
		}
		if p == nil {
			p = b.newPart(n)
			if t.sole != nil || b.c.view {
				p.list = make([]T, 0, len(list))
			} else if byNode == nil {
				byNode = make(map[*node.Node]*part[T])
			}
			if byNode != nil {
				byNode[n] = p
			}
			parts = append(parts, p)
		}
		p.list = append(p.list, v)
		last = p
	}
	return parts
}

func (b *batch[T]) newPart(n *node.Node) *part[T] {
	p := &part[T]{batch: b, node: n}
	p.queue, p.calls = p.soleSent[:0], p.soleCall[:0]
	return p
}

func (b *batch[T]) fail(v T, err error) {
	if b.errs == nil {
		b.errs = make(map[string]error)
	}
	b.errs[b.key(v)] = err
}

// failAll notes that elements have failed in a round, or have another one.
func (b *batch[T]) failAll(t *topology, list []T, err error, round int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range list {
		if b.c.elsewhere(t, err, round) {
			b.again = append(b.again, v)
		} else {
			b.fail(v, err)
		}
	}
}

// part is what one node has to do for a batch.
type part[T any] struct {
	*batch[T]
	node *node.Node
	list []T // not yet started

	queue      []sent[T]
	unanswered int          // bytes of what is in queue
	calls      []*node.Call // of start, for reuse

	// Memory for queue and calls, which is enough for most multi-gets.
	soleSent [1]sent[T]
	soleCall [1]*node.Call
}

// sent is a request whose answer is still to come.
type sent[T any] struct {
	chunk []T
	call  *node.Call
	bytes int
}

// run sends requests without waiting for their answers, as far as the limits
// let it, and takes the answers in order.
func (p *part[T]) run(ctx context.Context, t *topology, round int) {
	begin, keys := time.Now(), len(p.list)
	var failed error
	for len(p.list) > 0 || len(p.queue) > 0 {
		list, err := p.step(ctx)
		if err == nil {
			continue
		}
		failed = err
		p.failAll(t, list, err, round)
	}
	if observe := p.c.core.cfg.Observe; observe != nil {
		observe(ctx, Operation{Name: p.op, Node: p.node.ID(), Keys: keys, Start: begin, Duration: time.Since(begin), Err: failed})
	}
}

// step starts requests, or takes an answer. It returns the elements that failed,
// if any, and why.
func (p *part[T]) step(ctx context.Context) ([]T, error) {
	// Half of what may be under way is taken before more is sent: then many
	// requests share a write.
	if len(p.list) > 0 && len(p.queue) <= maxStarted/2 && p.unanswered <= maxUnanswered/2 {
		return p.start(ctx)
	}
	s := p.queue[0]
	p.queue = p.queue[1:]
	p.unanswered -= s.bytes
	call, err := p.node.Wait(ctx, s.call)
	if err != nil {
		return s.chunk, failure(p.op, p.node, err)
	}
	defer p.c.core.free(call)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer(s.chunk, call, refusal(p.op, p.node, call))
}

// start starts as many requests as the limits let it.
func (p *part[T]) start(ctx context.Context) ([]T, error) {
	p.calls = p.calls[:0]
	queue := p.queue
	for list := p.list; len(list) > 0 && len(queue) < maxStarted && p.unanswered < maxUnanswered; {
		chunk := list[:min(p.chunk, len(list))]
		list = list[len(chunk):]
		call := p.c.core.call(0, "")
		p.fill(&call.Req, chunk)
		s := sent[T]{chunk, call, bytesOf(&call.Req)}
		p.unanswered += s.bytes
		queue, p.calls = append(queue, s), append(p.calls, call)
	}
	started, err := p.node.StartAll(ctx, p.calls)
	first := len(p.queue)
	p.queue = queue[:first+started]
	for _, s := range p.queue[first:] {
		p.list = p.list[len(s.chunk):]
	}
	if err == nil {
		return nil, nil
	}
	for _, s := range queue[first+started:] {
		p.unanswered -= s.bytes
	}
	failed := p.list[:min(p.chunk, len(p.list))]
	if isForAll(err) {
		failed = p.list
	}
	p.list = p.list[len(failed):]
	return failed, failure(p.op, p.node, err)
}

// isForAll tells whether a request could not be started for a reason that those
// behind it have, too. They would find out one after the other, and each after
// Timeout if it was that.
func isForAll(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, ErrNodeDown) || errors.Is(err, ErrClosed)
}

// bytesOf is about what a request weighs among the unanswered ones.
func bytesOf(req *proto.Request) int {
	n := overhead + len(req.Key) + len(req.Value)
	for _, key := range req.Keys {
		n += len(key)
	}
	if req.Op == proto.OpGetMulti {
		n = max(n, chunkBytes)
	}
	return n
}
