package memcachetest

import (
	"strconv"
	"time"
)

// counting is one command that increments or decrements.
type counting struct {
	key     string
	decr    bool
	delta   uint64
	cas     uint64 // 0: unconditional
	create  bool   // an absent item is created with initial and exptime
	initial uint64
	exptime int64
	meta    *metaFlags // of an ma: b, N, T and t count; else nil
}

// counted is what became of it.
type counted struct {
	outcome
	item           // afterwards
	number  uint64 // that the item is now
	created bool
	ttl     int64 // what flag t shows
}

// count carries out a command that increments or decrements.
func (s *store) count(c counting) counted {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.lookup(c.key, now)
	if it != nil || !c.create {
		s.countIncr(c.decr, it != nil)
	}
	r := counted{number: c.initial, created: it == nil}
	switch {
	case it != nil:
		if r.outcome, r.number = it.compute(&c); r.outcome != stored {
			return r
		}
		s.setNumber(it, r.number, now)
	case !c.create:
		r.outcome = notFound
		return r
	default:
		it = &item{key: c.key, value: strconv.AppendUint(nil, c.initial, 10), expires: expiry(c.exptime, now)}
		it.binaryKey = c.meta != nil && c.meta.has('b')
		s.link(it, now)
	}
	if c.meta != nil {
		r.ttl, _ = it.applyTimes(c.meta, now, r.created)
	}
	r.item = *it
	return r
}

// compute returns what the item's number would be.
func (it *item) compute(c *counting) (outcome, uint64) {
	switch {
	case len(it.value) == 0: // memcached looks at this before it looks at the CAS
		return notNumber, 0
	case c.cas != 0 && c.cas != it.cas:
		return exists, 0
	}
	n, ok := parseUint(it.value)
	switch {
	case !ok:
		return notNumber, 0
	case c.decr:
		return stored, n - min(n, c.delta) // stops at 0
	}
	return stored, n + c.delta // wraps
}

// setNumber replaces the item's text. It never gets shorter: memcached
// overwrites it in place. A longer text makes a new item, which nobody has
// fetched or marked.
func (s *store) setNumber(it *item, n uint64, now time.Time) {
	const longest = len("18446744073709551615")
	text := strconv.AppendUint(make([]byte, 0, max(len(it.value), longest)), n, 10)
	for len(text) < len(it.value) {
		text = append(text, ' ')
	}
	if grown := len(text) - len(it.value); grown > 0 {
		s.size += grown
		it.accessed, it.fetched, it.stale, it.won, it.binaryKey = now, false, false, false, false
		s.refresh(it)
	}
	it.value, it.cas = text, s.nextCAS()
}

// countIncr counts for the statistics.
func (s *store) countIncr(decr, hit bool) {
	switch {
	case decr && hit:
		s.stats.decrHits++
	case decr:
		s.stats.decrMisses++
	case hit:
		s.stats.incrHits++
	default:
		s.stats.incrMisses++
	}
}

// metaArithmetic answers ma (protocol.txt, "Meta Arithmetic").
func (c *conn) metaArithmetic(args [][]byte) {
	key, f, ok := c.metaHead(args)
	if !ok {
		return
	}
	cmd := counting{key: key, delta: f.delta, cas: f.cas, create: f.has('N'), initial: f.initial, meta: &f}
	switch f.mode {
	case 0, 'I', '+':
	case 'D', '-':
		cmd.decr = true
	default:
		c.say("CLIENT_ERROR invalid mode for ma M token")
		return
	}
	r := c.srv.store.count(cmd)
	switch {
	case r.outcome == notFound:
		c.status("NF", key, &f)
	case r.outcome == exists:
		c.status("EX", key, &f)
	case r.outcome == notNumber:
		c.say(notANumber)
	case r.created || !f.has('q'): // memcached tells a creation even so
		c.metaCounted(&r, &f)
	}
}

// metaCounted answers an ma that was carried out.
func (c *conn) metaCounted(r *counted, f *metaFlags) {
	text := strconv.FormatUint(r.number, 10)
	if f.has('v') {
		c.out = strconv.AppendInt(append(c.out, "VA "...), int64(len(text)), 10)
	} else {
		c.out = append(c.out, "HD"...)
	}
	for _, w := range f.words {
		switch w[0] {
		case 't':
			c.number('t', r.ttl)
		case 'c':
			c.cas(r.item.cas)
		default:
			c.echo(r.key, f.has('b'), w)
		}
	}
	c.say("")
	if f.has('v') {
		c.say(text)
	}
}
