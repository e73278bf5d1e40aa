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

// count is what became of a counting command.
type count struct {
	outcome
	item           // afterwards
	number  uint64 // that the item is now
	created bool
	ttl     int64 // what flag t shows
}

// add carries out a counting command.
func (s *store) add(c counting) count {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.lookup(c.key, now)
	if it != nil || !c.create {
		s.countCounting(c.decr, it != nil)
	}
	r := count{number: c.initial, created: it == nil}
	switch {
	case it != nil:
		if r.outcome, r.number = it.add(&c); r.outcome != stored {
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

// add returns what the item's number would be.
func (it *item) add(c *counting) (outcome, uint64) {
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

func (s *store) countCounting(decr, hit bool) {
	switch {
	case decr && hit:
		s.count.decrHits++
	case decr:
		s.count.decrMisses++
	case hit:
		s.count.incrHits++
	default:
		s.count.incrMisses++
	}
}

// metaArithmetic answers ma (protocol.txt, "Meta Arithmetic").
func (c *conn) metaArithmetic(args [][]byte) {
	if !c.metaArgs(args) {
		return
	}
	key, f, refusal := parseMeta(args[0], args[1:])
	if refusal != "" {
		c.say(someFlag)
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
	r := c.srv.store.add(cmd)
	switch {
	case r.outcome == notFound:
		c.status("NF", key, &f)
	case r.outcome == exists:
		c.status("EX", key, &f)
	case r.outcome == notNumber:
		c.say(notANumber)
	case r.created || !f.has('q'): // memcached tells a creation even so
		c.counted(&r, &f)
	}
}

// counted answers an ma that was carried out.
func (c *conn) counted(r *count, f *metaFlags) {
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
