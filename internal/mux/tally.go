package mux

import (
	"sync/atomic"

	"github.com/seed99545744/msm/internal/proto"
)

// Tally counts how calls were answered: hits and misses by key, all else by call.
// Connections may share one. The reader adds to it for all calls that a read has
// answered: their owners, on several processors, would take its memory from each
// other time and again.
type Tally struct {
	Hits, Misses            atomic.Uint64
	Done                    atomic.Uint64 // others that were answered and not refused
	Refused                 atomic.Uint64 // by the server, for a reason that lies in the request
	BytesRead, BytesWritten atomic.Uint64 // of values
}

// answers are a Tally in the making.
type answers struct {
	hits, misses, done, refused, bytesRead, bytesWritten uint64
}

// count counts a call whose reply is complete.
func (a *answers) count(call *Call) {
	ok, miss := call.Rep.Status == proto.StatusOK, call.Rep.Status == proto.StatusMiss
	op := call.Req.Op
	read := op == proto.OpGet || op == proto.OpGetAndTouch
	switch {
	case op == proto.OpGetMulti:
		a.countItems(call)
	case ok && read:
		a.hits++
		a.bytesRead += uint64(len(call.Value))
	case miss && read:
		a.misses++
	case ok, miss:
		a.done++
		a.bytesWritten += uint64(len(call.Req.Value))
	default:
		a.refused++
	}
}

// countItems is count for a multi-get.
func (a *answers) countItems(call *Call) {
	for i := range call.Items {
		a.bytesRead += uint64(len(call.Items[i].Value))
	}
	a.hits += uint64(len(call.Items))
	if call.Rep.Status == proto.StatusOK {
		a.misses += uint64(len(call.Req.Keys) - len(call.Items))
	} else {
		a.refused++
	}
}

// add adds what has been counted.
func (t *Tally) add(a *answers) {
	add := func(total *atomic.Uint64, n uint64) {
		if n > 0 {
			total.Add(n)
		}
	}
	add(&t.Hits, a.hits)
	add(&t.Misses, a.misses)
	add(&t.Done, a.done)
	add(&t.Refused, a.refused)
	add(&t.BytesRead, a.bytesRead)
	add(&t.BytesWritten, a.bytesWritten)
}
