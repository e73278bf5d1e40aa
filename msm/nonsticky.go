package msm

import (
	"context"
	"errors"
	"time"
)

// errSuperseded says that the cookie's session was renewed a moment ago: the
// browser has sent this request beside the one that did it.
var errSuperseded = errors.New("msm: session has got a new id a moment ago")

// nonSticky keeps sessions in memcached alone. It is safe for concurrent use.
type nonSticky struct {
	// Immutable.
	store   *store
	sync    bool      // commits wait for the second copy
	until   time.Time // until then they do so anyway: the nodes have changed a moment ago
	queue   *queue
	convoys *convoys
}

func (k *nonSticky) load(ctx context.Context, id sessionID) (*hold, error) {
	v, err := k.store.load(ctx, id.base, id.epoch)
	if err != nil {
		return nil, err
	}
	if v.rec == nil {
		return nil, nil
	}
	if v.rec.dead != alive {
		return nil, superseded(v.rec)
	}
	h := &hold{version: v, accessed: v.accessed}
	h.refresh()
	return h, nil
}

// superseded tells a session that has just been renewed from one that is over.
func superseded(rec *record) error {
	if rec.dead == renewed && time.Since(rec.accessed) < renewGrace {
		return errSuperseded
	}
	return nil
}

// refresh makes h what its version is by now.
func (h *hold) refresh() {
	h.rec, h.stamp, h.node, h.fresh = h.version.rec, h.version.stamp, h.version.node(), false
}

func (k *nonSticky) commit(ctx context.Context, h *hold, b *batch) error {
	local, err := b.local.merge(h.local)
	if err != nil {
		return err
	}
	if !b.stored.empty() || h.version.fresh {
		seen := h.version.rec
		v, err := k.convoys.commit(ctx, h.version, b, k.settle)
		if err != nil {
			return err
		}
		h.version = v
		k.store.stats.merged(seen, v.rec, b.nonce)
	}
	h.refresh()
	h.local = local
	return nil
}

func (k *nonSticky) settle(ctx context.Context, v *version, batches []*batch) error {
	in := intent{batches: batches}
	if !k.sync && time.Now().After(k.until) {
		in.second = k.later
	}
	was, begin := *v, k.store.stats.begin()
	err := k.store.settle(ctx, v, in)
	k.store.stats.settled(&was, &in, begin, err)
	if err != nil {
		v.restore(&was)
	}
	return err
}

// later has the second copy stored in the background.
func (k *nonSticky) later(v *version) {
	v = v.clone() // the request goes on with its own
	k.queue.add(v.base, func(ctx context.Context) error {
		// As the commit's own end: should no other node take the copy, the next
		// epoch refuses the one that was left behind.
		was := *v
		err := k.store.settle(ctx, v, intent{batches: []*batch{{nonce: v.rec.nonces.last()}}})
		if err != nil {
			v.restore(&was) // it is tried again
		}
		return err
	})
}

func (k *nonSticky) renew(ctx context.Context, h *hold, b *batch) error {
	local, err := b.local.merge(h.local)
	if err != nil {
		return err
	}
	was := *h.version
	v, err := k.store.renew(ctx, h.version, b)
	if err != nil {
		h.version.restore(&was) // the request goes on with it
		return err
	}
	h.version, h.local = v, local
	h.refresh()
	return nil
}

func (k *nonSticky) end(ctx context.Context, h *hold) error {
	was := *h.version
	err := k.store.end(ctx, h.version, invalidated)
	if err != nil {
		h.version.restore(&was) // the request goes on with it
	}
	return err
}
